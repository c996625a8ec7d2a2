package train

import (
	"fmt"
	"path/filepath"

	"github.com/gofrs/flock"
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
	l := flock.New(filepath.Join(folder, lockFile))
	ok, err := l.TryLock()
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", folder, err)
	}
	if !ok {
		return nil, &LockedError{folder}
	}
	return func() { _ = l.Unlock() }, nil // closing the file unlocks it in any case
}
