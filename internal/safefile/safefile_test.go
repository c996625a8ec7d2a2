package safefile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := Write(path, func(w io.Writer) error { _, err := io.WriteString(w, text); return err }); err != nil {
		t.Fatal(err)
	}
}

func TestWriteThenRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "result")
	for _, text := range []string{"first", "second, longer", ""} {
		write(t, path, text)
		got, err := Read(path, 100)
		if err != nil || string(got) != text {
			t.Errorf("read %q, %v; want %q", got, err, text)
		}
	}
}

func TestFailedWriteKeepsOldFile(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "result")
	write(t, path, "old")
	failure := errors.New("stopped")
	err := Write(path, func(w io.Writer) error { io.WriteString(w, "half"); return failure })
	if !errors.Is(err, failure) {
		t.Errorf("error %v, want %v", err, failure)
	}
	if got, _ := os.ReadFile(path); string(got) != "old" {
		t.Errorf("file holds %q, want the old text", got)
	}
	if entries, _ := os.ReadDir(folder); len(entries) != 1 {
		t.Errorf("folder holds %d files, want 1", len(entries))
	}
}

func TestWriteFollowsLinks(t *testing.T) {
	folder := t.TempDir()
	target, link := filepath.Join(folder, "target"), filepath.Join(folder, "link")
	write(t, target, "old")
	if err := os.Symlink(target, link); err != nil {
		t.Skip("cannot make symbolic links here: ", err)
	}
	write(t, link, "new")
	if got, _ := os.ReadFile(target); string(got) != "new" {
		t.Errorf("the link's target holds %q", got)
	}
}

func TestReadAndWriteRefuse(t *testing.T) {
	folder := t.TempDir()
	var notRegular *NotRegularError
	if _, err := Read(folder, 1); !errors.As(err, &notRegular) {
		t.Errorf("reading a folder: %v", err)
	}
	if err := Write(folder, func(io.Writer) error { return nil }); !errors.As(err, &notRegular) {
		t.Errorf("writing a folder: %v", err)
	}
	path := filepath.Join(folder, "large")
	write(t, path, "12345")
	var notFolder *NotFolderError
	if _, err := ReadDir(path); !errors.As(err, &notFolder) || errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file as a folder: %v", err)
	}
	if entries, err := ReadDir(folder); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
	if _, err := ReadDir(filepath.Join(folder, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("reading a missing folder: %v", err)
	}
	var tooLarge *TooLargeError
	if _, err := Read(path, 4); !errors.As(err, &tooLarge) {
		t.Errorf("reading a large file: %v", err)
	}
	if _, err := Read(filepath.Join(folder, "none"), 4); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("reading a missing file: %v", err)
	}
}

// TestCheckName checks which names Windows would change, or open as something else.
func TestCheckName(t *testing.T) {
	for name, allowed := range map[string]bool{
		"a.csv": true, "console.csv": true, "été.csv": true, ".a": true,
		"aux.csv": false, "NUL": false, "out:1.csv": false, "a.": false, "a ": false, "a?.csv": false,
	} {
		path := filepath.Join("folder", name)
		if err := checkName(path, "linux"); err != nil {
			t.Error(err)
		}
		var wrong *NameError
		if err := checkName(path, "windows"); errors.As(err, &wrong) == allowed {
			t.Errorf("%q: %v", name, err)
		}
		if runtime.GOOS == "windows" && !allowed {
			if f, err := Create(filepath.Join(t.TempDir(), name)); !errors.As(err, &wrong) {
				t.Errorf("created %q: %v, %v", name, f, err)
			}
		}
	}
}

// TestLongPaths uses paths of more than 260 characters, which Windows supports only in part.
func TestLongPaths(t *testing.T) {
	folder := t.TempDir()
	for range 4 {
		folder = filepath.Join(folder, strings.Repeat("long", 20))
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "file")
	write(t, path, "text")
	write(t, path, "text")
	if got, err := Read(path, 100); err != nil || string(got) != "text" {
		t.Errorf("read %q, %v", got, err)
	}
	if err := Rename(path, path+"2"); err != nil {
		t.Fatal(err)
	}
	if entries, err := ReadDir(folder); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
	if err := Remove(path + "2"); err != nil {
		t.Error(err)
	}
}

func TestCannotSync(t *testing.T) {
	for err, want := range map[error]bool{
		nil: false, syscall.EIO: false, syscall.ENOSPC: false, syscall.EINVAL: true, syscall.ENOTSUP: true,
	} {
		if err != nil {
			err = &os.PathError{Op: "sync", Path: "folder", Err: err}
		}
		if cannotSync(err) != want {
			t.Errorf("%v", err)
		}
	}
}
