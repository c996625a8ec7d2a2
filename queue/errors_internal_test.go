package queue

import (
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"
)

// TestSaysFull: only a disk without space is called full, not a folder that may not be written.
func TestSaysFull(t *testing.T) {
	for err, want := range map[error]bool{
		syscall.ENOSPC: true, fs.ErrPermission: false, errors.New("write: disk quota exceeded"): true,
	} {
		if saysFull(err.Error()) != want {
			t.Errorf("%v: full is %v, not %v", err, !want, want)
		}
	}
}

// TestCheckSpaceOfMissingFolder: a folder that cannot be written for another reason is not full.
func TestCheckSpaceOfMissingFolder(t *testing.T) {
	o := Options{Dir: filepath.Join(t.TempDir(), "missing")}
	q := &Queue{options: o, host: &host{options: o}}
	if err := q.checkSpace(); err != nil {
		t.Error(err)
	}
}
