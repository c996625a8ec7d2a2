package weights

import (
	"path/filepath"
	"syscall"
	"testing"
)

// TestPipesAreNotOpened checks that a pipe is refused: nobody writes to it, so opening it would
// wait for ever.
func TestPipesAreNotOpened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip("this file system has no pipes:", err)
	}
	if _, err := Open(path); err == nil {
		t.Error("no error")
	}
	if _, err := Read(path); err == nil {
		t.Error("Read: no error")
	}
}
