package queue_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"garb/queue"
)

// A worker whose model is not the job's is refused.
func TestDigest(t *testing.T) {
	q := open(t, newFolder(t))
	create(t, q, queue.Job{})
	put(t, q, number(0, 3))
	w := newWorker(readName)
	w.Digest = "sha256:2"
	_, err := q.Work(t.Context(), "job", w)
	var other *queue.DigestError
	if !errors.As(err, &other) || !strings.Contains(err.Error(), "sha256:2") {
		t.Error(err)
	}
	if s := status(t, q); s.Left() != 3 || s.InFlight != 0 {
		t.Errorf("%+v", s)
	}
}

// Every method reports a job that does not exist, with those that do.
func TestUnknownJob(t *testing.T) {
	q := open(t, newFolder(t))
	create(t, q, queue.Job{})
	ctx := t.Context()
	calls := map[string]func(name string) error{
		"Job": func(name string) error { _, err := q.Job(ctx, name); return err },
		"Put": func(name string) error {
			_, err := q.Put(ctx, name, number(0, 1), queue.PutOptions{})
			return err
		},
		"Work":      func(name string) error { _, err := q.Work(ctx, name, newWorker(readName)); return err },
		"Status":    func(name string) error { _, err := q.Status(ctx, name); return err },
		"RetryDead": func(name string) error { _, err := q.RetryDead(ctx, name); return err },
		"Delete":    func(name string) error { return q.Delete(ctx, name) },
		"Results": func(name string) error {
			for _, err := range q.Results(ctx, name, false) {
				return err
			}
			return nil
		},
		"Dead": func(name string) error {
			for _, err := range q.Dead(ctx, name) {
				return err
			}
			return nil
		},
	}
	for method, call := range calls {
		var unknown *queue.UnknownJobError
		if err := call("other"); !errors.As(err, &unknown) || !slices.Equal(unknown.Known, []string{"job"}) {
			t.Errorf("%s: %v", method, err)
		}
		if err := call("no.name"); err == nil || errors.As(err, &unknown) {
			t.Errorf("%s of an invalid name: %v", method, err)
		}
	}
}

// A job that exists with other settings is an error that names the setting. A deleted job is gone.
func TestCreateTwice(t *testing.T) {
	q := open(t, newFolder(t))
	threshold := 0.5
	j := create(t, q, queue.Job{Accept: &threshold})
	again := 0.5
	j.Accept = &again
	if err := q.Create(t.Context(), j); err != nil {
		t.Error(err)
	}
	again = 0.25
	var exists *queue.JobExistsError
	if err := q.Create(t.Context(), j); !errors.As(err, &exists) || exists.Setting != "accept" || exists.Have != 0.5 {
		t.Error(err)
	}
	put(t, q, number(0, 3))
	if err := q.Delete(t.Context(), "job"); err != nil {
		t.Fatal(err)
	}
	create(t, q, j)
	if s := status(t, q); s.Put != 0 {
		t.Errorf("%+v", s)
	}
}

// Invalid jobs and options are refused.
func TestValidate(t *testing.T) {
	good := queue.Job{Name: "a", Task: queue.Embed}
	for name, change := range map[string]func(*queue.Job){
		"name": func(j *queue.Job) { j.Name = "a b" }, "task": func(j *queue.Job) { j.Task = "cook" },
		"batch": func(j *queue.Job) { j.Batch = 5000 }, "top": func(j *queue.Job) { j.Top = -1 },
		"accept": func(j *queue.Job) { j.Accept = new(float64); *j.Accept = 2 },
	} {
		j := good
		change(&j)
		if good.Validate() != nil || j.Validate() == nil {
			t.Errorf("a job with a wrong %s is valid", name)
		}
	}
	for _, o := range []queue.Options{
		{}, {Dir: "a", URL: "nats://b"}, {URL: "nats://b", Listen: ":1"}, {Dir: "a", Replicas: 3},
		{URL: "nats://b", Replicas: 9}, {URL: "nats://b", Existing: true},
		{URL: "nats://b", Token: "a", Credentials: "b"}, {Dir: "a", MaxBytes: -1},
	} {
		if o.Validate() == nil {
			t.Errorf("%+v is valid", o)
		}
	}
}

// A picture that cannot be read for a while is tried again, and becomes a dead letter if that
// never ends. A source that does not answer at all ends with its time.
func TestTemporaryErrors(t *testing.T) {
	q := open(t, newFolder(t))
	create(t, q, queue.Job{})
	put(t, q, number(0, 12))
	var reads atomic.Int64
	w := newWorker(sourceFunc(func(_ context.Context, p queue.Picture) ([]byte, error) {
		switch p.Name {
		case "p1":
			if reads.Add(1) < 3 {
				return nil, errors.New("slow down")
			}
		case "p6":
			return nil, errors.New("slow down")
		case "p10":
			select {} // ignores the context
		}
		return []byte(p.Name), nil
	}))
	w.Attempts, w.ReadTimeout = 4, 200*time.Millisecond
	if report := work(t, q, w); report.Done != 10 || report.Dead != 2 || report.Returned != 2+3+3 {
		t.Errorf("%+v", report)
	}
	_, rows := collect(t, q)
	if f := rows["p6"].Failure; f == nil || f.Message != "slow down" {
		t.Errorf("%+v", f)
	}
	if f := rows["p10"].Failure; f == nil || f.Kind != "timeout" {
		t.Errorf("%+v", f)
	}
}

// A worker that is stopped hands its batches back: another one gets them at once, long before
// the deadline, even if the server ends with the worker.
func TestStopped(t *testing.T) {
	for i := range 4 { // a batch that arrives while a worker stops is rare
		dir := newFolder(t)
		q := open(t, dir)
		create(t, q, queue.Job{DeadlineSeconds: 3600})
		put(t, q, number(0, 40))
		ctx, stop := context.WithCancel(t.Context())
		w := newWorker(sourceFunc(func(ctx context.Context, p queue.Picture) ([]byte, error) {
			if p.Name == "p9" {
				stop()
				<-ctx.Done()
			}
			return []byte(p.Name), ctx.Err()
		}))
		report, err := q.Work(ctx, "job", w)
		if !errors.Is(err, context.Canceled) || report.Returned == 0 {
			t.Error(report, err)
		}
		if i%2 == 1 {
			if err = q.Close(); err != nil {
				t.Fatal(err)
			}
			q = open(t, dir)
		}
		ctx, stop = context.WithTimeout(t.Context(), 2*time.Minute)
		second, err := q.Work(ctx, "job", newWorker(readName))
		stop()
		if err != nil {
			t.Fatalf("%+v: %v", status(t, q), err)
		}
		// A result whose confirmation came too late is stored, and counted by neither.
		if report.Done+second.Done > 40 || second.Dead != 0 {
			t.Errorf("%+v and %+v", report, second)
		}
		if got, _ := collect(t, q); len(got) != 40 {
			t.Errorf("%d rows", len(got))
		}
	}
}

// Pictures that are put as soon as a worker has finished are not kept by its last request.
func TestPutAfterTheEnd(t *testing.T) {
	q := open(t, newFolder(t))
	create(t, q, queue.Job{DeadlineSeconds: 3600})
	for i := range 20 {
		put(t, q, number(4*i, 4*i+4))
		ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
		report, err := q.Work(ctx, "job", newWorker(readName))
		stop()
		if err != nil || report.Done != 4 {
			t.Fatalf("%+v, %v", report, err)
		}
	}
}

// A batch that takes longer than the deadline stays with its worker.
func TestDeadlineIsExtended(t *testing.T) {
	q := open(t, newFolder(t))
	create(t, q, queue.Job{DeadlineSeconds: 0.3})
	put(t, q, number(0, 1))
	var reads atomic.Int64
	source := sourceFunc(func(_ context.Context, p queue.Picture) ([]byte, error) {
		reads.Add(1)
		time.Sleep(1500 * time.Millisecond)
		return nil, nil
	})
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() { work(t, q, newWorker(source)) })
	}
	workers.Wait()
	if reads.Load() != 1 {
		t.Errorf("the picture was read %d times", reads.Load())
	}
}

// Names beyond the size of a message are refused. Batches are split by bytes. A result that
// takes several messages is one result, and one that fits in none is a dead letter.
func TestLongMessages(t *testing.T) {
	q := open(t, newFolder(t))
	create(t, q, queue.Job{Task: queue.Embed, Batch: 100})
	long := strings.Repeat("a", 100_000)
	var refused []string
	report, err := q.Put(t.Context(), "job", func(yield func(queue.Picture, error) bool) {
		for i := range 25 {
			if !yield(queue.Picture{Name: fmt.Sprintf("%d-%s", i, long)}, nil) {
				return
			}
		}
		yield(queue.Picture{Name: strings.Repeat("b", 2<<20)}, nil)
	}, queue.PutOptions{Refuse: func(err *queue.TooLongError) { refused = append(refused, err.Error()) }})
	if report != (queue.PutReport{Added: 25, Refused: 1}) || err != nil || len(refused) != 1 || len(refused[0]) > 200 {
		t.Errorf("%+v: %v, refused %v", report, err, refused)
	}
	w := newWorker(readName)
	w.Compute = func(_ context.Context, p queue.Picture, _ []byte) (queue.Row, error) {
		values := 100_000
		if strings.HasPrefix(p.Name, "13-") {
			values = 500_000
		}
		v := make(queue.Vector, values)
		v[values-1] = float32(len(p.Name))
		return queue.Row{Vector: v}, nil
	}
	if report := work(t, q, w); report != (queue.WorkReport{Done: 24, Dead: 1}) {
		t.Errorf("%+v", report)
	}
	got, rows := collect(t, q)
	if len(got) != 25 {
		t.Errorf("%d rows", len(got))
	}
	for i, name := range got {
		row := rows[name]
		switch {
		case !strings.HasPrefix(name, fmt.Sprint(i, "-")):
			t.Errorf("row %d is %.10s", i, name)
		case i == 13 && (row.Failure == nil || row.Failure.Kind != "too_large"):
			t.Errorf("row 13 is %+v", row.Failure)
		case i != 13 && (len(row.Vector) != 100_000 || row.Vector[99_999] != float32(len(name))):
			t.Errorf("row %d has %d values", i, len(row.Vector))
		}
	}
}

// A queue that reaches its size limit says so and loses nothing. With more space it goes on.
func TestFull(t *testing.T) {
	dir := newFolder(t)
	limited := func(bytes int64) *queue.Queue {
		q, err := queue.Open(t.Context(), queue.Options{Dir: dir, MaxBytes: bytes})
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	q := limited(60_000)
	create(t, q, queue.Job{DeadlineSeconds: 2})
	report, err := q.Put(t.Context(), "job", number(0, 20_000), queue.PutOptions{})
	var full *queue.FullError
	if !errors.As(err, &full) || report.Added == 20_000 {
		t.Errorf("%+v: %v", report, err)
	}
	added := status(t, q).Put
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if added == 0 || added != report.Added {
		t.Errorf("%+v, and the job has %d", report, added)
	}
	q = limited(70_000) // space for some results
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Second)
	if _, err := q.Work(ctx, "job", newWorker(readName)); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	stop()
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q = limited(1 << 30)
	t.Cleanup(func() { q.Close() })
	if report := put(t, q, number(0, 2*added)); report != (queue.PutReport{Added: added, Known: added}) {
		t.Errorf("%+v", report)
	}
	work(t, q, newWorker(readName))
	if got, _ := collect(t, q); !slices.Equal(got, names(number(0, 2*added))) {
		t.Errorf("%d rows", len(got))
	}
}

// A broken address file, or one that names a server that has ended, does not matter to the
// process that runs the server.
func TestBrokenAddressFile(t *testing.T) {
	dir := newFolder(t)
	for _, content := range []string{"", "{", `{"address": "127.0.0.1:1"}`, `{"address": 5}`} {
		if err := os.WriteFile(filepath.Join(dir, "server.json"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		q := open(t, dir)
		create(t, q, queue.Job{})
		info, err := os.Stat(filepath.Join(dir, "server.json"))
		if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Error(info, err)
		}
		if content == `{"address": 5}` { // and one that is broken while the server runs
			if err := os.WriteFile(filepath.Join(dir, "server.json"), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := queue.Open(t.Context(), queue.Options{Dir: dir, Patience: time.Second})
			var silent *queue.NoAnswerError
			if !errors.As(err, &silent) || !strings.Contains(err.Error(), "server.json") {
				t.Error(err)
			}
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A damaged store is an error, not an empty queue.
func TestCorruptStore(t *testing.T) {
	dir := newFolder(t)
	q := open(t, dir)
	create(t, q, queue.Job{})
	put(t, q, number(0, 10))
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	meta, err := filepath.Glob(filepath.Join(dir, "store", "jetstream", "$G", "streams", "garb-pictures-job", "meta.*"))
	if err != nil || len(meta) == 0 {
		t.Fatal(meta, err)
	}
	for _, path := range meta {
		if err = os.WriteFile(path, []byte("garbage"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err = queue.Open(t.Context(), queue.Options{Dir: dir})
	var broken *queue.StoreError
	if !errors.As(err, &broken) || !strings.Contains(err.Error(), "garb-pictures-job") {
		t.Error(err)
	}
	if _, err := queue.Open(t.Context(), queue.Options{Dir: filepath.Join(dir, "lock")}); err == nil {
		t.Error("a file was opened as a queue")
	}
}

// TestDamagedFiles damages each file of a queue, in several ways. Opening, status, work and get then do what they
// should, or end with an error that names the damaged data: no endless wait, no result that is missing.
func TestDamagedFiles(t *testing.T) {
	whole := newFolder(t)
	q := open(t, whole)
	create(t, q, queue.Job{Batch: 8, DeadlineSeconds: 0.5})
	put(t, q, number(0, 400))
	ctx, stop := context.WithCancel(t.Context())
	w := newWorker(readName)
	w.Done = func(int, int) { stop() }
	if _, err := q.Work(ctx, "job", w); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	var files []string
	err := filepath.WalkDir(filepath.Join(whole, "store"), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			path, err = filepath.Rel(whole, path)
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	damages := map[string]func(data []byte) []byte{
		"empty":  func([]byte) []byte { return nil },
		"cut":    func(data []byte) []byte { return data[:len(data)/2] },
		"start":  func(data []byte) []byte { return flip(data, 0) },
		"middle": func(data []byte) []byte { return flip(data, len(data)/2) },
		"end":    func(data []byte) []byte { return flip(data, max(len(data)-30, 0)) },
		"gone":   nil,
	}
	for _, file := range files {
		for name, damage := range damages {
			for _, steps := range []string{"status work get", "work status", "get work get"} {
				t.Run(file+" "+name+" "+steps, func(t *testing.T) {
					t.Parallel()
					dir := newFolder(t)
					if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
						t.Fatal(err)
					}
					damageFile(t, filepath.Join(dir, file), damage)
					checkDamaged(t, dir, steps)
				})
			}
		}
	}
}

// checkDamaged takes steps with a damaged queue. Where an error says what to remove, they succeed afterwards.
func checkDamaged(t *testing.T, dir, steps string) {
	err := useDamaged(t, dir, steps)
	var broken *queue.StoreError
	if err != nil && !errors.As(err, &broken) {
		t.Error(err)
	}
	state := filepath.Join("garb-pictures-job", "obs", "work")
	if err == nil || !strings.Contains(err.Error(), state) {
		return
	}
	if err = os.RemoveAll(filepath.Join(dir, "store", "jetstream", "$G", "streams", state)); err == nil {
		err = useDamaged(t, dir, steps)
	}
	if err != nil && !strings.Contains(err.Error(), "put the pictures again") {
		t.Errorf("after what the error says was done: %v", err)
	}
}

// damageFile changes a file, or removes it if damage is nil.
func damageFile(t *testing.T, path string, damage func([]byte) []byte) {
	data, err := os.ReadFile(path)
	if err == nil && damage == nil {
		err = os.Remove(path)
	} else if err == nil {
		err = os.WriteFile(path, damage(data), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// flip changes 20 bytes from a place on.
func flip(data []byte, from int) []byte {
	data = slices.Clone(data)
	for i := from; i < min(from+20, len(data)); i++ {
		data[i] ^= 0x5a
	}
	return data
}

// useDamaged takes steps with the job of TestDamagedFiles. It returns the first error. Unless there is one, all
// pictures have a result after work.
func useDamaged(t *testing.T, dir, steps string) error {
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	var warning error
	q, err := queue.Open(ctx, queue.Options{Dir: dir, Patience: 10 * time.Second, Warn: func(err error) {
		warning = &queue.StoreError{Text: err.Error()}
		stop()
	}})
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer q.Close()
	for i, step := range strings.Fields(steps) {
		n := 0
		switch step {
		case "status":
			var s queue.Status
			s, err = q.Status(ctx, "job")
			n = s.Done
			if err == nil && s.Put != 400 {
				t.Errorf("status: %d pictures", s.Put)
			}
		case "work":
			_, err = q.Work(ctx, "job", newWorker(readName))
			if warning != nil { // it waits for workers that never were
				err = warning
			}
			n = 400
		case "get":
			for _, rowErr := range q.Results(ctx, "job", i == 0) {
				err = errors.Join(err, rowErr)
				n++
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", step, err)
		}
		if i > 0 && n != 400 {
			t.Errorf("%s: %d rows", step, n)
		}
	}
	return nil
}

// Whatever workers fail, stop or crash, the rows are those of the pictures, each once.
func TestRandomFailures(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		dir, err := os.MkdirTemp(newFolder(t), "")
		if err != nil {
			t.Fatal(err)
		}
		q, err := queue.Open(t.Context(), queue.Options{Dir: dir})
		if err != nil {
			r.Fatal(err)
		}
		defer q.Close()
		pictures := rapid.IntRange(1, 40).Draw(r, "pictures")
		create(t, q, queue.Job{Batch: rapid.IntRange(1, 9).Draw(r, "batch"), DeadlineSeconds: 0.2})
		put(t, q, number(0, pictures))
		kinds := rapid.SampledFrom([]string{"stop", "crash", "fail"})
		for i, kind := range rapid.SliceOfN(kinds, 0, 3).Draw(r, "workers") {
			at := int64(rapid.IntRange(1, pictures).Draw(r, fmt.Sprint("at ", i)))
			disturb(t, dir, kind, at)
		}
		work(t, q, newWorker(readName))
		if got, _ := collect(t, q); !slices.Equal(got, names(number(0, pictures))) {
			r.Errorf("rows of %v", got)
		}
	})
}

// disturb runs a worker that is stopped, loses its connection or cannot read at a picture.
func disturb(t *testing.T, dir, kind string, at int64) {
	q, err := queue.Open(t.Context(), queue.Options{Dir: dir, Patience: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var reads atomic.Int64
	w := newWorker(sourceFunc(func(_ context.Context, p queue.Picture) ([]byte, error) {
		if reads.Add(1) == at {
			switch kind {
			case "stop":
				stop()
			case "crash":
				go q.Close()
			case "fail":
				return nil, errors.New("slow down")
			}
		}
		return []byte(p.Name), nil
	}))
	q.Work(ctx, "job", w) // it may fail
}

// A vector keeps its bits as JSON.
func TestVector(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		v := queue.Vector(rapid.SliceOf(rapid.Float32()).Draw(r, "vector"))
		data, err := json.Marshal(v)
		if err != nil {
			r.Fatal(err)
		}
		var got queue.Vector
		if err := json.Unmarshal(data, &got); err != nil || !slices.Equal(got, v) {
			r.Errorf("%v: %v", got, err)
		}
	})
	for _, text := range []string{`"AAA="`, `5`, `"%"`} {
		var v queue.Vector
		if json.Unmarshal([]byte(text), &v) == nil {
			t.Errorf("%s is a vector: %v", text, v)
		}
	}
}
