package dataset

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// asNobody lets a test, should it run as root, see files as a user without rights does.
// Linux keeps these for each thread.
func asNobody(t *testing.T) {
	runtime.LockOSThread()
	if err := syscall.Setfsuid(65534); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Setfsuid(os.Getuid())
		runtime.UnlockOSThread()
	})
}

// TestUnreadable: a folder without the right to read it is named, wherever it is.
func TestUnreadable(t *testing.T) {
	for _, closed := range []string{".", "train", "train/hat", "validation/shoes"} {
		t.Run(closed, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "data")
			for _, folder := range []string{"train/hat", "train/shoes", "validation/hat", "validation/shoes"} {
				if err := os.MkdirAll(filepath.Join(root, folder), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(root, folder, "a.jpg"), nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			// The test's own folder is the owner's alone.
			for folder := filepath.Dir(root); len(folder) > len(os.TempDir()); folder = filepath.Dir(folder) {
				if err := os.Chmod(folder, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			locked := filepath.Join(root, closed)
			if err := os.Chmod(locked, 0); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.Chmod(locked, 0o755) }) // so that it can be removed
			asNobody(t)
			_, err := OpenSplits(root, DefaultSplitRule())
			if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), locked) {
				t.Errorf("%v", err)
			}
		})
	}
}
