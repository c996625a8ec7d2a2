package queue_test

import (
	"context"
	"io/fs"
	"path/filepath"
	"testing"

	"garb/queue"
)

// measureFolder returns the size of the files below a folder.
func measureFolder(b *testing.B, dir string) float64 {
	var total int64
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return float64(total)
}

// An operation of these benchmarks is one picture.

func BenchmarkPut(b *testing.B) {
	dir := b.TempDir()
	q := open(b, dir)
	create(b, q, queue.Job{Batch: 32})
	b.ResetTimer()
	put(b, q, number(0, b.N))
	b.StopTimer()
	b.ReportMetric(measureFolder(b, dir)/float64(b.N), "B/picture")
}

// line is as long as a row of garb classify --json --top 3.
var line = []byte(`{"picture":"s3://bucket/pictures/2026/000000000000.jpg","class":"t-shirt",` +
	`"probability":0.9712345678901234,"predictions":[{"class":"t-shirt","probability":0.9712345678901234},` +
	`{"class":"shirt","probability":0.0112345678901234},` +
	`{"class":"longsleeve","probability":0.0052345678901234}],` +
	`"accepted":true,"acceptance":0.9991234567890123,` +
	`"model":{"name":"clothing","digest":"sha256:8a05e4e1acf2b6e64fadaee7d64cf3576a4268f9bb4e75383c38828ba10329c7"}}`)

// newIdleWorker returns a worker whose pictures cost nothing.
func newIdleWorker() queue.Worker {
	w := newWorker(readName)
	w.Compute = func(context.Context, queue.Picture, []byte) (queue.Row, error) { return queue.Row{Line: line}, nil }
	return w
}

func BenchmarkWork(b *testing.B) {
	dir := b.TempDir()
	q := open(b, dir)
	create(b, q, queue.Job{Batch: 32, DeadlineSeconds: 60})
	put(b, q, number(0, b.N))
	before := measureFolder(b, dir)
	b.ResetTimer()
	work(b, q, newIdleWorker())
	b.StopTimer()
	b.ReportMetric((measureFolder(b, dir)-before)/float64(b.N), "B/picture")
}

func BenchmarkGet(b *testing.B) {
	q := open(b, b.TempDir())
	create(b, q, queue.Job{Batch: 32, DeadlineSeconds: 60})
	put(b, q, number(0, b.N))
	work(b, q, newIdleWorker())
	b.ResetTimer()
	rows := 0
	for _, err := range q.Results(b.Context(), "job", false) {
		if err != nil {
			b.Fatal(err)
		}
		rows++
	}
	if rows != b.N {
		b.Errorf("%d rows", rows)
	}
}
