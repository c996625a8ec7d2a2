package safefile

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestReplaceOpenFile tests that a file that a program has open is replaced once it is closed, and
// that the old file stays if it never is.
func TestReplaceOpenFile(t *testing.T) {
	folder := t.TempDir()
	from, to := filepath.Join(folder, "from"), filepath.Join(folder, "to")
	write(t, from, "new")
	write(t, to, "old")
	reader, err := os.Open(to)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	rename := func() error { return os.Rename(from, to) }
	var busy *BusyError
	if err = retry(to, 20*time.Millisecond, isBusy, rename); !errors.As(err, &busy) {
		t.Fatalf("error %v, want a *BusyError", err)
	}
	if got, _ := os.ReadFile(to); string(got) != "old" {
		t.Errorf("the file holds %q, want the old text", got)
	}
	attempts := 0
	err = retry(to, time.Hour, isBusy, func() error {
		if attempts++; attempts == 3 {
			reader.Close()
		}
		return rename()
	})
	if err != nil || attempts != 3 {
		t.Fatalf("%d attempts, error %v", attempts, err)
	}
	if got, _ := os.ReadFile(to); string(got) != "new" {
		t.Errorf("the file holds %q, want the new text", got)
	}
}
