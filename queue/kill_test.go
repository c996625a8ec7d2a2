package queue_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"garb/queue"
)

// workerFolder is the variable that makes this test binary a worker on a folder.
const workerFolder = "GARB_TEST_QUEUE_FOLDER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(workerFolder); dir != "" {
		if err := workInProcess(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// workInProcess works on the job of a folder. It prints a line after each batch.
func workInProcess(dir string) error {
	q, err := queue.Open(context.Background(), queue.Options{Dir: dir})
	if err != nil {
		return err
	}
	w := newWorker(sourceFunc(func(_ context.Context, p queue.Picture) ([]byte, error) {
		time.Sleep(time.Duration(rand.IntN(10)) * time.Millisecond)
		if strings.HasPrefix(p.Name, "deadly") {
			os.Exit(9)
		}
		return []byte(p.Name), nil
	}))
	w.Done = func(done, dead int) { fmt.Println("batch", done, dead) }
	fmt.Println("ready")
	_, err = q.Work(context.Background(), "job", w)
	if err != nil {
		return err
	}
	return q.Close()
}

// process is a worker that runs as a process of its own.
type process struct {
	*exec.Cmd
	errors *strings.Builder
}

// startWorker starts a worker process. It sends to lines for each line that it prints, and
// returns when it is ready.
func startWorker(t *testing.T, dir string, lines chan<- string) process {
	t.Helper()
	p := process{exec.Command(os.Args[0]), &strings.Builder{}}
	p.Env = append(os.Environ(), workerFolder+"="+dir)
	p.Stderr = p.errors
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Process.Kill() })
	ready := make(chan bool)
	go func() {
		s := bufio.NewScanner(out)
		first := true
		for s.Scan() {
			if first {
				first = false
				close(ready)
				continue
			}
			lines <- s.Text()
		}
		if first {
			close(ready)
		}
	}()
	<-ready
	return p
}

// TestKilled kills a third of the workers at random moments, among them the one that runs the
// server. The others finish: nothing is lost and nothing is double.
func TestKilled(t *testing.T) {
	const workers, pictures = 6, 1200
	dir := filepath.Join(newFolder(t), "queue")
	q := open(t, dir)
	create(t, q, queue.Job{DeadlineSeconds: 2})
	put(t, q, number(0, pictures))
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, pictures)
	var running []process
	for range workers {
		running = append(running, startWorker(t, dir, lines)) // the first runs the server
	}
	kill := func(i int) {
		running[i].Process.Kill()
		running[i].Wait()
		running = slices.Delete(running, i, i+1)
	}
	for _, i := range []int{0, rand.IntN(workers - 1)} {
		for range 20 + rand.IntN(60) {
			<-lines
		}
		kill(i)
	}
	go func() {
		for range lines { //nolint:revive // so that the workers never wait
		}
	}()
	for _, p := range running {
		if err := p.Wait(); err != nil {
			t.Errorf("%v: %s", err, p.errors)
		}
	}
	close(lines)
	q = open(t, dir)
	if s := status(t, q); s.Done != pictures || s.Dead != 0 || s.Left() != 0 {
		t.Errorf("%+v", s)
	}
	if got, _ := collect(t, q); !slices.Equal(got, names(number(0, pictures))) {
		t.Errorf("%d rows", len(got))
	}
}

// TestDeadlyPicture: a picture that kills each worker that reads it becomes a dead letter by
// name, and the others of its batch are answered.
func TestDeadlyPicture(t *testing.T) {
	dir := filepath.Join(newFolder(t), "queue")
	q := open(t, dir) // runs the server, and is not killed
	create(t, q, queue.Job{DeadlineSeconds: 0.3})
	put(t, q, number(0, 10))
	put(t, q, func(yield func(queue.Picture, error) bool) {
		_ = yield(queue.Picture{Name: "a"}, nil) && yield(queue.Picture{Name: "deadly"}, nil) &&
			yield(queue.Picture{Name: "b"}, nil)
	})
	lines := make(chan string, 1000)
	deaths := 0
	for ; deaths < 30; deaths++ {
		p := startWorker(t, dir, lines)
		if err := p.Wait(); err == nil {
			break
		} else if p.ProcessState.ExitCode() != 9 {
			t.Fatal(err, p.errors)
		}
	}
	if deaths != 5 { // two in company, three alone
		t.Errorf("%d workers died", deaths)
	}
	if got, rows := collect(t, q); len(got) != 13 || rows["deadly"].Failure == nil ||
		rows["deadly"].Failure.Kind != "worker_died" {
		t.Errorf("%v: %+v", got, rows["deadly"].Failure)
	}
	if s := status(t, q); s.Done != 12 || s.Dead != 1 {
		t.Errorf("%+v", s)
	}
}

// Two processes cannot run the server of the same folder; the second uses the first one's, and
// takes over when the first one ends.
func TestTwoCoordinators(t *testing.T) {
	dir := newFolder(t)
	opened := make([]*queue.Queue, 4)
	var opening sync.WaitGroup
	for i := range opened {
		opening.Go(func() {
			var err error
			if opened[i], err = queue.Open(t.Context(), queue.Options{Dir: dir}); err != nil {
				t.Error(err)
			}
		})
	}
	opening.Wait()
	if t.Failed() {
		return
	}
	create(t, opened[3], queue.Job{})
	put(t, opened[2], number(0, 20))
	for i, q := range opened { // all but one see a server end and another one start
		if s := status(t, q); s.Put != 20 {
			t.Errorf("queue %d: %+v", i, s)
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	}
}
