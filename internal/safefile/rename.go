package safefile

import (
	"fmt"
	"os"
	"time"
)

// busyWait is the time for which Rename and Remove try again while another program has a file
// open. Virus scanners and indexers open new files for less than a second.
const busyWait = 2 * time.Second

// BusyError says that Windows refused to replace or remove a file, most likely because a
// program has it open.
type BusyError struct {
	Path string
	Err  error
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("%s cannot be replaced or removed: another program has it open, or it is read-only "+
		"(close it there and try again): %v", e.Path, e.Err)
}

// Unwrap returns the error of the system.
func (e *BusyError) Unwrap() error { return e.Err }

// Rename renames a file or a folder. It replaces a file that has the new name. Windows refuses this
// while a program has one of the files open: then Rename tries again for two seconds, and
// returns a *BusyError.
func Rename(from, to string) error {
	return retry(to, busyWait, isBusy, func() error { return os.Rename(from, to) })
}

// Remove removes a file or an empty folder. While a program has it open, it does what Rename
// does.
func Remove(path string) error {
	return retry(path, busyWait, isBusy, func() error { return os.Remove(path) })
}

// retry calls attempt until it returns no error for which busy is true, but not after wait has
// passed. The pauses between the calls double from 5 to 160 ms.
func retry(path string, wait time.Duration, busy func(error) bool, attempt func() error) error {
	const shortest, longest = 5 * time.Millisecond, 160 * time.Millisecond
	deadline := time.Now().Add(wait)
	for pause := shortest; ; pause = min(2*pause, longest) {
		err := attempt()
		switch {
		case err == nil || !busy(err):
			return err
		case time.Now().After(deadline):
			return &BusyError{path, err}
		}
		time.Sleep(pause)
	}
}
