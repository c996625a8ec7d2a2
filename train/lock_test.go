package train

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"garb/internal/safefile"
)

// lockVariable is the environment variable that makes TestLockFolderInChild lock a folder.
const lockVariable = "GARB_TEST_LOCK_FOLDER"

// TestLockFolderInChild is the body of the other process: it locks a folder, says so, and waits
// until its standard input ends.
func TestLockFolderInChild(t *testing.T) {
	folder := os.Getenv(lockVariable)
	if folder == "" {
		t.Skip("it runs as a child of other tests")
	}
	if _, err := lockFolder(folder); err != nil {
		t.Fatal(err)
	}
	fmt.Println("locked")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// lockInChild locks a folder in another process, and returns a function that kills the process.
func lockInChild(t *testing.T, folder string) (kill func()) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLockFolderInChild$")
	child.Env = append(os.Environ(), lockVariable+"="+folder)
	stdin, stdinErr := child.StdinPipe()
	stdout, stdoutErr := child.StdoutPipe()
	if err := errors.Join(stdinErr, stdoutErr, child.Start()); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "locked\n" {
		t.Fatalf("the child says %q, %v", line, err)
	}
	return func() {
		_ = child.Process.Kill()
		_ = stdin.Close()
		_ = child.Wait()
	}
}

// TestLock: while another process trains in a folder, Run, Resume and a sweep are refused there and
// change nothing; once that process is killed, they go on.
func TestLock(t *testing.T) {
	c := tiny(t, drawn(t))
	ran(t, c)
	c.Epochs++
	fresh := c
	fresh.Out = filepath.Join(t.TempDir(), "fresh")
	sweep := Sweep{Base: c, Axes: []Axis{{"dropout", []string{"0"}}}, Seeds: 1}
	sweep.Base.Out = filepath.Join(t.TempDir(), "sweep")
	attempts := map[string]struct {
		folder string
		try    func() error
	}{
		"resume": {c.Out, func() error { _, err := Resume(t.Context(), c, Progress{}); return err }},
		"run":    {fresh.Out, func() error { _, err := Run(t.Context(), fresh, Progress{}); return err }},
		"sweep": {sweep.Base.Out, func() error {
			_, err := sweep.Run(t.Context(), func(*Point, int, int) Progress { return Progress{} })
			return err
		}},
	}
	for name, a := range attempts {
		if err := os.MkdirAll(a.folder, 0o755); err != nil {
			t.Fatal(err)
		}
		before := listFolder(t, a.folder)
		kill := lockInChild(t, a.folder)
		err := a.try()
		var locked *LockedError
		if !errors.As(err, &locked) || locked.Folder != a.folder {
			t.Errorf("%s beside another process: %v", name, err)
		}
		if after := listFolder(t, a.folder); len(after) > len(before)+1 { // the lock file
			t.Errorf("%s beside another process left %v, before %v", name, after, before)
		}
		kill()
		if err := a.try(); err != nil {
			t.Errorf("%s after the other process: %v", name, err)
		}
	}
}

func listFolder(t *testing.T, folder string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(folder, func(path string, _ os.DirEntry, err error) error {
		names = append(names, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestLockedBeforePreparation refuses a folder that another process writes before the data set is
// read, and without the advice to remove the run.
func TestLockedBeforePreparation(t *testing.T) {
	folder := t.TempDir()
	defer lockInChild(t, folder)()
	if err := os.WriteFile(filepath.Join(folder, stateFile), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	c := Default()
	c.Data, c.Out = filepath.Join(folder, "none"), folder
	var locked *LockedError
	if _, err := Run(t.Context(), c, Progress{}); !errors.As(err, &locked) {
		t.Errorf("%v", err)
	}
}

// TestLockOfAnotherKind refuses a lock that is no regular file: opening a named pipe would hang.
func TestLockOfAnotherKind(t *testing.T) {
	folder := t.TempDir()
	if err := os.Symlink(filepath.Join(folder, "elsewhere"), filepath.Join(folder, lockFile)); err != nil {
		t.Skip(err)
	}
	var wrong *safefile.NotRegularError
	if _, err := lockFolder(folder); !errors.As(err, &wrong) {
		t.Errorf("%v", err)
	}
	if _, err := os.Lstat(filepath.Join(folder, "elsewhere")); err == nil {
		t.Error("the link was followed")
	}
}
