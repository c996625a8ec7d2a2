package queue_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"garb/queue"
)

// smallDisk is the variable with the folder on which the process of runOnSmallDisk mounts a disk.
const smallDisk = "GARB_TEST_SMALL_DISK"

// onSmallDisk runs the test in a process of its own, which has a disk of 16 MB. The mount belongs to
// that process and so ends with it, however it ends. It returns the folder of the disk in that
// process, and "" in the others.
func onSmallDisk(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv(smallDisk); dir != "" {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
			t.Skip("cannot mount a small disk:", err)
		}
		return dir
	}
	c := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=170s")
	c.Env = append(os.Environ(), smallDisk+"="+t.TempDir())
	c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		c.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		c.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	out, err := c.CombinedOutput()
	var ended *exec.ExitError
	switch {
	case err != nil && !errors.As(err, &ended):
		t.Skip("cannot mount a small disk; run the test as root, or allow user namespaces:", err)
	case err != nil:
		t.Errorf("%v:\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("%s", out)
	}
	return ""
}

// fillDisk writes a file until the disk is full, and returns its name.
func fillDisk(t *testing.T, dir string) string {
	t.Helper()
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 17<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal("the disk is not full:", err)
	}
	return filler
}

// When the disk gets full, a worker warns, waits and keeps its results. What starts meanwhile says at once that
// the disk is full. When there is space again, the worker goes on.
func TestFullDisk(t *testing.T) {
	disk := onSmallDisk(t)
	if disk == "" {
		return
	}
	dir := filepath.Join(disk, "queue")
	warned := make(chan error, 100)
	q := connect(t, queue.Options{Dir: dir, Warn: func(err error) { warned <- err }})
	create(t, q, queue.Job{DeadlineSeconds: 2})
	put(t, q, number(0, 1000))
	started, filled := make(chan bool, 1000), make(chan bool)
	w := newWorker(readName)
	w.Done = func(int, int) {
		started <- true
		<-filled
	}
	done := make(chan error, 1)
	go func() {
		_, err := q.Work(t.Context(), "job", w)
		done <- err
	}()
	<-started
	filler := fillDisk(t, disk)
	close(filled)
	var full *queue.FullError
	select {
	case err := <-warned:
		if !errors.As(err, &full) {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("no warning")
	}
	for name, err := range map[string]error{
		"status": tryStatus(t, dir),
		"put": func() error {
			_, err := q.Put(t.Context(), "job", number(1000, 2000),
				queue.PutOptions{})
			return err
		}(),
	} {
		if !errors.As(err, &full) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the worker does not go on")
	}
	if got, _ := collect(t, q); len(got) != 1000 {
		t.Errorf("%d rows", len(got))
	}
}

// tryStatus opens the queue of a folder, asks for the status of its job, and closes it.
func tryStatus(t *testing.T, dir string) error {
	q, err := queue.Open(t.Context(), queue.Options{Dir: dir})
	if err != nil {
		return err
	}
	_, err = q.Status(t.Context(), "job")
	return errors.Join(err, q.Close())
}

// On a disk that is full already, put and work end at once with an error that says so, and so do commands that
// have to start the server. Nothing is lost.
func TestFullDiskAtStart(t *testing.T) {
	disk := onSmallDisk(t)
	if disk == "" {
		return
	}
	dir := filepath.Join(disk, "queue")
	q := connect(t, queue.Options{Dir: dir})
	create(t, q, queue.Job{})
	put(t, q, number(0, 100))
	filler := fillDisk(t, disk)
	var full *queue.FullError
	for name, call := range map[string]func() error{
		"create": func() error { return q.Create(t.Context(), queue.Job{Name: "other", Task: queue.Embed}) },
		"work":   func() error { _, err := q.Work(t.Context(), "job", newWorker(readName)); return err },
		"put": func() error {
			_, err := q.Put(t.Context(), "job", number(100, 5000), queue.PutOptions{})
			return err
		},
	} {
		if err := call(); !errors.As(err, &full) || !strings.Contains(err.Error(), "free space") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := q.Close(); err != nil {
		t.Error(err)
	}
	if err := tryStatus(t, dir); !errors.As(err, &full) {
		t.Errorf("status: %v", err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	q = connect(t, queue.Options{Dir: dir})
	put(t, q, number(100, 300))
	work(t, q, newWorker(readName))
	if got, _ := collect(t, q); !slices.Equal(got, names(number(0, 300))) {
		t.Errorf("%d rows", len(got))
	}
}
