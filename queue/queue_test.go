package queue_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"garb/queue"
)

// digest is that of the model of the tests' jobs.
const digest = "sha256:1"

// newFolder returns a folder that is removed when the test ends: in memory if it can, because the
// server syncs every message, which takes a while on a busy disk.
func newFolder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "garb-queue-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// open opens a queue that is closed when the test ends.
func open(t testing.TB, dir string) *queue.Queue {
	t.Helper()
	q, err := queue.Open(t.Context(), queue.Options{Dir: dir, Warn: func(err error) { t.Log("warning:", err) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return q
}

// create creates a job with small batches.
func create(t testing.TB, q *queue.Queue, j queue.Job) queue.Job {
	t.Helper()
	if j.Name == "" {
		j.Name = "job"
	}
	if j.Task == "" {
		j.Task = queue.Classify
	}
	if j.Batch == 0 {
		j.Batch = 4
	}
	j.Digest = digest
	if err := q.Create(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	return j
}

// number returns pictures with the names p0, p1, ….
func number(from, to int) iter.Seq2[queue.Picture, error] {
	return func(yield func(queue.Picture, error) bool) {
		for i := from; i < to && yield(queue.Picture{Name: fmt.Sprint("p", i)}, nil); i++ {
		}
	}
}

func put(t testing.TB, q *queue.Queue, pictures iter.Seq2[queue.Picture, error]) queue.PutReport {
	t.Helper()
	report, err := q.Put(t.Context(), "job", pictures, queue.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// sourceFunc is a Source that is a function.
type sourceFunc func(ctx context.Context, p queue.Picture) ([]byte, error)

func (f sourceFunc) Read(ctx context.Context, p queue.Picture) ([]byte, error) { return f(ctx, p) }

// readName is a source whose pictures consist of their names.
var readName = sourceFunc(func(_ context.Context, p queue.Picture) ([]byte, error) { return []byte(p.Name), nil })

// errCorrupt is the error of a picture that cannot be decoded.
var errCorrupt = errors.New("not a picture")

// newWorker returns a worker that answers with the bytes of the picture. Names with "corrupt"
// are errors.
func newWorker(source queue.Source) queue.Worker {
	return queue.Worker{
		Digest: digest, Source: source, Threads: 2,
		Compute: func(_ context.Context, p queue.Picture, data []byte) (queue.Row, error) {
			if strings.Contains(p.Name, "corrupt") {
				return queue.Row{}, errCorrupt
			}
			line, err := json.Marshal(map[string]string{"picture": p.Name, "class": string(data)})
			return queue.Row{Line: line}, err
		},
		Delays: []time.Duration{10 * time.Millisecond},
	}
}

func work(t testing.TB, q *queue.Queue, w queue.Worker) queue.WorkReport {
	t.Helper()
	report, err := q.Work(t.Context(), "job", w)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// collect returns the names of the rows of a job, and the rows by name. It fails for a picture
// with two rows.
func collect(t testing.TB, q *queue.Queue) ([]string, map[string]queue.Row) {
	t.Helper()
	var names []string
	rows := map[string]queue.Row{}
	for row, err := range q.Results(t.Context(), "job", false) {
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := rows[row.Picture]; ok {
			t.Errorf("%s has two rows", row.Picture)
		}
		names = append(names, row.Picture)
		rows[row.Picture] = row
	}
	return names, rows
}

// names lists the names of pictures.
func names(pictures iter.Seq2[queue.Picture, error]) []string {
	var all []string
	for p := range pictures {
		all = append(all, p.Name)
	}
	return all
}

func status(t testing.TB, q *queue.Queue) queue.Status {
	t.Helper()
	s, err := q.Status(t.Context(), "job")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Pictures that are put are worked on once, and their rows come in the order of Put.
func TestJob(t *testing.T) {
	q := open(t, newFolder(t))
	create(t, q, queue.Job{})
	if report := put(t, q, number(0, 30)); report != (queue.PutReport{Added: 30}) {
		t.Errorf("%+v", report)
	}
	var left *queue.IncompleteError
	for _, err := range q.Results(t.Context(), "job", false) {
		if !errors.As(err, &left) || left.Status.Left() != 30 {
			t.Errorf("before the work: %v", err)
		}
	}
	if report := work(t, q, newWorker(readName)); report != (queue.WorkReport{Done: 30}) {
		t.Errorf("%+v", report)
	}
	got, rows := collect(t, q)
	if want := names(number(0, 30)); !slices.Equal(got, want) {
		t.Errorf("rows of %v, want %v", got, want)
	}
	if got := string(rows["p7"].Line); got != `{"class":"p7","picture":"p7"}` {
		t.Errorf("the row of p7 is %s", got)
	}
	if s := status(t, q); s.Put != 30 || s.Done != 30 || s.Dead != 0 || s.Left() != 0 || s.InFlight != 0 {
		t.Errorf("%+v", s)
	}
}

// Putting the same pictures again adds nothing, whatever the batches; another version of one
// is another picture.
func TestPutTwice(t *testing.T) {
	dir := newFolder(t)
	q := open(t, dir)
	create(t, q, queue.Job{})
	put(t, q, number(3, 10))
	if got := put(t, q, number(0, 12)); got != (queue.PutReport{Added: 5, Known: 7}) {
		t.Errorf("%+v", got)
	}
	work(t, q, newWorker(readName))
	if got := put(t, q, number(0, 12)); got != (queue.PutReport{Known: 12}) {
		t.Errorf("after the work: %+v", got)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q = open(t, dir)
	changed := func(yield func(queue.Picture, error) bool) {
		_ = yield(queue.Picture{Name: "p1"}, nil) && yield(queue.Picture{Name: "p2", Version: "2"}, nil) &&
			yield(queue.Picture{Name: "p2", Version: "2"}, nil) && yield(queue.Picture{Name: "p2", Dir: "/other"}, nil)
	}
	if got := put(t, q, changed); got != (queue.PutReport{Added: 2, Known: 2}) {
		t.Errorf("after a restart: %+v", got)
	}
	if got := put(t, q, number(0, 0)); got != (queue.PutReport{}) {
		t.Errorf("of nothing: %+v", got)
	}
}

// Two calls of Put at the same time add each picture once.
func TestPutConcurrently(t *testing.T) {
	q := open(t, newFolder(t))
	create(t, q, queue.Job{})
	var added [3]int
	var puts sync.WaitGroup
	for i := range added {
		puts.Go(func() { added[i] = put(t, q, number(100*i, 1000+100*i)).Added })
	}
	puts.Wait()
	if sum := added[0] + added[1] + added[2]; sum != 1200 || status(t, q).Put != 1200 {
		t.Errorf("added %v, and the job has %d", added, status(t, q).Put)
	}
	work(t, q, newWorker(readName))
	if got, _ := collect(t, q); len(got) != 1200 {
		t.Errorf("%d rows", len(got))
	}
}

// A corrupt picture and one that is gone become dead letters with their error; the others are
// answered. RetryDead puts them in again, and their results replace the errors.
func TestDeadLetters(t *testing.T) {
	q := open(t, newFolder(t))
	create(t, q, queue.Job{})
	gone := map[string]error{"p2": fs.ErrNotExist, "p9": fs.ErrPermission, "p5": &queue.PermanentError{Err: errCorrupt}}
	source := sourceFunc(func(_ context.Context, p queue.Picture) ([]byte, error) {
		return []byte(p.Name), gone[p.Name]
	})
	put(t, q, number(0, 11))
	put(t, q, func(yield func(queue.Picture, error) bool) { yield(queue.Picture{Name: "corrupt"}, nil) })
	if report := work(t, q, newWorker(source)); report != (queue.WorkReport{Done: 8, Dead: 4}) {
		t.Errorf("%+v", report)
	}
	listDead := func() map[string]string {
		kinds := map[string]string{}
		for row, err := range q.Dead(t.Context(), "job") {
			if err != nil {
				t.Fatal(err)
			}
			kinds[row.Picture] = row.Failure.Kind
		}
		return kinds
	}
	if got := fmt.Sprint(listDead()); got != "map[corrupt:unreadable p2:not_found p5:unreadable p9:denied]" {
		t.Error(got)
	}
	delete(gone, "p2")
	delete(gone, "p9")
	for _, want := range []int{4, 0} {
		if n, err := q.RetryDead(t.Context(), "job"); n != want || err != nil {
			t.Errorf("%d put in again, not %d: %v", n, want, err)
		}
	}
	if s := status(t, q); s.Done != 8 || s.Dead != 0 || s.Left() != 4 || len(listDead()) != 0 {
		t.Errorf("%+v", s)
	}
	work(t, q, newWorker(source))
	if s := status(t, q); s.Put != 12 || s.Done != 10 || s.Dead != 2 || s.Left() != 0 {
		t.Errorf("%+v", s)
	}
	if got := fmt.Sprint(listDead()); got != "map[corrupt:unreadable p5:unreadable]" {
		t.Error(got)
	}
	order, rows := collect(t, q)
	if want := append(names(number(0, 11)), "corrupt"); !slices.Equal(order, want) {
		t.Errorf("rows of %v", order)
	}
	for name, row := range rows {
		if dead := name == "p5" || name == "corrupt"; dead != (row.Failure != nil) {
			t.Errorf("%s: %+v", name, row)
		}
	}
	if n, err := q.RetryDead(t.Context(), "job"); n != 2 || err != nil { // a third attempt
		t.Error(n, err)
	}
	work(t, q, newWorker(readName))
	if s := status(t, q); s.Done != 11 || s.Dead != 1 {
		t.Errorf("%+v", s)
	}
}
