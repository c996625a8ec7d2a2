package safefile

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

// Open opens a file to read it, so that others can rename and remove it meanwhile. os.Open does
// not allow that on Windows.
func Open(path string) (*os.File, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	handle, err := windows.CreateFile(name, windows.GENERIC_READ,
		windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE,
		nil, windows.OPEN_EXISTING, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(handle), path), nil
}

// isBusy reports whether an error is one of those that Windows returns for files that a program
// has open. It returns ERROR_ACCESS_DENIED for files that it will soon remove, and for the
// target of a rename, but also for missing permissions.
func isBusy(err error) bool {
	var code syscall.Errno
	return errors.As(err, &code) && (code == windows.ERROR_ACCESS_DENIED ||
		code == windows.ERROR_SHARING_VIOLATION || code == windows.ERROR_LOCK_VIOLATION)
}
