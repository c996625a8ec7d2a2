package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"garb/internal/scale"
	"garb/model"
	"garb/queue"
	"garb/results"
)

// nothing is a source of pictures without bytes.
type nothing struct{}

func (nothing) Read(context.Context, queue.Picture) ([]byte, error) { return nil, nil }

// measureQueue measures the queue with n pictures that are neither read nor classified: their
// answers are as long as those of three classes. Server and clients share this machine.
func measureQueue(ctx context.Context, n int, m *scale.Measured) error {
	folder, err := os.MkdirTemp("", "scale-queue-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	q, err := queue.Open(ctx, queue.Options{Dir: folder})
	if err != nil {
		return err
	}
	defer q.Close()
	job := queue.Job{Name: "rates", Task: queue.Classify, Model: "none", Digest: "none", Batch: scale.BatchPictures}
	if err = q.Create(ctx, job); err != nil {
		return err
	}
	each := func(since time.Time) float64 { return time.Since(since).Seconds() / float64(n) }
	before := heapBytes()
	began := time.Now()
	if _, err = q.Put(ctx, job.Name, names(n), queue.PutOptions{}); err != nil {
		return err
	}
	m.Rates.PutPicture = each(began)
	began = time.Now()
	if _, err = q.Work(ctx, job.Name, queue.Worker{Digest: "none", Source: nothing{}, Compute: answer}); err != nil {
		return err
	}
	m.Rates.QueueBatch = each(began) * scale.BatchPictures
	m.QueueMemory = float64(heapBytes()-before) / float64(n)
	began = time.Now()
	rows := 0
	for _, err := range q.Results(ctx, job.Name, false) {
		if err != nil {
			return err
		}
		rows++
	}
	if rows != n {
		return fmt.Errorf("%d rows of %d pictures", rows, n)
	}
	m.Rates.GetPicture = each(began)
	size, err := folderBytes(folder)
	m.QueueBytes = float64(size) / float64(n)
	return err
}

// names returns n pictures with names of a usual length.
func names(n int) iter.Seq2[queue.Picture, error] {
	return func(yield func(queue.Picture, error) bool) {
		for i := range n {
			name := fmt.Sprintf("s3://pictures/2026/11/28/%09d.jpg", i)
			if !yield(queue.Picture{Name: name, Version: "d41d8cd98f00b204e9800998ecf8427e"}, nil) {
				return
			}
		}
	}
}

// answer returns a row as long as that of classify with three classes.
func answer(_ context.Context, p queue.Picture, _ []byte) (queue.Row, error) {
	best := model.Prediction{Class: "longsleeve", Probability: 0.9123456789012345, Logit: 2.9159462}
	a := results.Answer{Picture: p.Name, Class: best.Class, Probability: best.Probability}
	for range 3 {
		a.Predictions = append(a.Predictions, model.ListedPrediction{Prediction: best})
	}
	line, err := json.Marshal(a)
	return queue.Row{Line: line}, err
}

// heapBytes returns the memory that the program uses, after a garbage collection.
func heapBytes() int64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

// folderBytes returns the size of the files in a folder.
func folderBytes(folder string) (int64, error) {
	var size int64
	err := filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	return size, err
}
