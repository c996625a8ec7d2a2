package safefile

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestRetry(t *testing.T) {
	locked, other := errors.New("locked"), errors.New("other")
	for _, c := range []struct {
		name     string
		results  []error // of each attempt; the last one repeats
		wait     time.Duration
		attempts int // -1: several
		want     error
		busy     bool
	}{
		{"at once", []error{nil}, time.Hour, 1, nil, false},
		{"another error", []error{other}, time.Hour, 1, other, false},
		{"soon free", []error{locked, locked, nil}, time.Hour, 3, nil, false},
		{"then another error", []error{locked, other}, time.Hour, 2, other, false},
		{"never free", []error{locked}, 20 * time.Millisecond, -1, locked, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			attempts := 0
			err := retry("a file", c.wait, func(err error) bool { return errors.Is(err, locked) }, func() error {
				attempts++
				return c.results[min(attempts, len(c.results))-1]
			})
			var busy *BusyError
			if !errors.Is(err, c.want) || errors.As(err, &busy) != c.busy {
				t.Errorf("error %v", err)
			}
			if c.busy && (busy.Path != "a file" || attempts < 2) || !c.busy && attempts != c.attempts {
				t.Errorf("%d attempts, error %v", attempts, err)
			}
		})
	}
}

func TestRenameAndRemove(t *testing.T) {
	folder := t.TempDir()
	from, to := filepath.Join(folder, "from"), filepath.Join(folder, "to")
	write(t, from, "new")
	write(t, to, "old")
	if err := Rename(from, to); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(to); string(got) != "new" {
		t.Errorf("the file holds %q", got)
	}
	if err := Remove(to); err != nil {
		t.Fatal(err)
	}
	if err := Remove(to); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("removing a missing file: %v", err)
	}
}

// TestOpenFilesMove tests that a file that Open has opened can be renamed and removed.
func TestOpenFilesMove(t *testing.T) {
	folder := t.TempDir()
	for _, act := range []func(path string) error{
		os.Remove,
		func(path string) error { return os.Rename(path, path+".old") },
	} {
		path := filepath.Join(folder, "file")
		write(t, path, "text")
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if err = act(path); err != nil {
			t.Error(err)
		}
		text := make([]byte, 4)
		if _, err = f.Read(text); err != nil || string(text) != "text" {
			t.Errorf("read %q, %v", text, err)
		}
		f.Close()
	}
	var missing *os.PathError
	if _, err := Open(filepath.Join(folder, "none")); !errors.As(err, &missing) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("opening a missing file: %v", err)
	}
}
