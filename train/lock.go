package train

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"

	"garb/internal/safefile"
)

// lockFile is the name of the file in the folder of a run or sweep that is locked while a process
// writes there. It stays when the process ends: the lock does not.
const lockFile = ".lock"

// LockedError says that another process is writing a run or sweep.
type LockedError struct{ Folder string }

func (e *LockedError) Error() string { return "another process is training in " + e.Folder }

// lockFolder locks the folder of a run or sweep, which must exist. The error is *LockedError if
// another process, or another call in this one, holds the lock.
func lockFolder(folder string) (unlock func(), err error) {
	path := filepath.Join(folder, lockFile)
	if info, statErr := os.Lstat(path); statErr == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("locking %s: %w", folder, &safefile.NotRegularError{Path: path, Mode: info.Mode()})
	}
	l := flock.New(path, flock.SetPermissions(0o666)) // others who may write the folder may lock it, too
	ok, err := l.TryLock()
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", folder, err)
	}
	if !ok {
		return nil, &LockedError{folder}
	}
	return func() { _ = l.Unlock() }, nil // closing the file unlocks it in any case
}

// checkUnlocked returns an error if another process writes a run or sweep into the folder, which
// need not exist.
func checkUnlocked(folder string) error {
	if _, err := os.Lstat(filepath.Join(folder, lockFile)); err != nil {
		return nil // nobody has trained here
	}
	unlock, err := lockFolder(folder)
	if err != nil {
		return err
	}
	unlock()
	return nil
}
