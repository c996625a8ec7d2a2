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

// asNobody makes a test that runs as root see files as a user without rights does. In Linux the
// rights are those of a thread.
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

// TestUnreadable checks that the error names a folder that may not be read.
func TestUnreadable(t *testing.T) {
	for _, closed := range []string{".", "train", "train/hat", "validation/shoes"} {
		t.Run(closed, func(t *testing.T) {
			root := lay(t, pictures(1, "train/hat", "train/shoes", "validation/hat", "validation/shoes"))
			// Only the owner may enter the test's own folder.
			for folder := root; len(folder) > len(os.TempDir()); folder = filepath.Dir(folder) {
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
