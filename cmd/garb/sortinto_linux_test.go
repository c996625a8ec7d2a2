package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// TestMoveThatFails: if the picture cannot be removed after it was linked or copied, the move
// is undone. If it runs as root, the test does this as an unprivileged user.
func TestMoveThatFails(t *testing.T) {
	root := t.TempDir()    // which is removed after the user is root again
	runtime.LockOSThread() // Linux keeps the user for each thread
	if err := syscall.Setfsuid(65534); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Setfsuid(os.Getuid())
		runtime.UnlockOSThread()
	})
	for name, move := range map[string]func(string, string) error{
		"file": moveFile, "copy": moveCopy,
		"link": func(from, to string) error { return moveLink("x", from, to) },
	} {
		asRoot := func(do func() error) {
			t.Helper()
			syscall.Setfsuid(os.Getuid())
			defer syscall.Setfsuid(65534)
			if err := do(); err != nil {
				t.Fatal(err)
			}
		}
		var locked, open string
		asRoot(func() error {
			locked, open = filepath.Join(root, name, "locked"), filepath.Join(root, name, "open")
			if err := errors.Join(os.MkdirAll(locked, 0o755), os.MkdirAll(open, 0o755)); err != nil {
				return err
			}
			write(t, locked, "from", []byte("x"))
			err := errors.Join(os.Chmod(filepath.Join(locked, "from"), 0o666), os.Chmod(locked, 0o555),
				os.Chmod(open, 0o777))
			for folder := filepath.Dir(open); len(folder) > len(os.TempDir()); folder = filepath.Dir(folder) {
				err = errors.Join(err, os.Chmod(folder, 0o755))
			}
			return err
		})
		from, to := filepath.Join(locked, "from"), filepath.Join(open, "to")
		if err := move(from, to); !errors.Is(err, fs.ErrPermission) || exists(to) || !exists(from) {
			t.Errorf("%s: %v; the new name is there: %v, the old: %v", name, err, exists(to), exists(from))
		}
		asRoot(func() error { return os.Chmod(locked, 0o755) })
	}
}
