package queue_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"garb/queue"
)

// When the disk is full, a worker warns and waits, and another process says so at once. When
// there is space again, the worker goes on.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
		t.Skip("needs the permission to mount a small disk:", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, 0) })
	warned := make(chan error, 100)
	o := queue.Options{Dir: dir, Warn: func(err error) { warned <- err }}
	q := connect(t, o)
	create(t, q, queue.Job{DeadlineSeconds: 2})
	put(t, q, number(0, 1000))
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 16<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := q.Work(t.Context(), "job", newWorker(readName))
		done <- err
	}()
	var full *queue.FullError
	select {
	case err := <-warned:
		if !errors.As(err, &full) {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("no warning")
	}
	if _, err := queue.Open(t.Context(), queue.Options{Dir: dir, Patience: time.Minute}); !errors.As(err, &full) {
		t.Error(err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got, _ := collect(t, q); len(got) != 1000 {
		t.Errorf("%d rows", len(got))
	}
}
