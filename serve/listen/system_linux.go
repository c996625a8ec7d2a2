package listen

import (
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func closeOnExec(fd int) { syscall.CloseOnExec(fd) }

// restrictSocket removes permissions from a socket before it is bound. Linux copies them to the
// file that bind creates.
func restrictSocket(c syscall.RawConn, mode fs.FileMode) (err error) {
	control := c.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), uint32(mode.Perm())) })
	if control != nil {
		return control
	}
	return err
}

// isListening reports whether a file is a socket that accepts connections.
func isListening(f *os.File) bool {
	c, err := f.SyscallConn()
	if err != nil {
		return false
	}
	var value int
	control := c.Control(func(fd uintptr) {
		value, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	})
	return control == nil && err == nil && value == 1
}

// readMonotonicClock returns the time of CLOCK_MONOTONIC, which systemd compares.
func readMonotonicClock() (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0, os.NewSyscallError("clock_gettime", err)
	}
	return time.Duration(t.Nano()), nil
}
