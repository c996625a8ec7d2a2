//go:build !linux

package listen

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// Only Linux has systemd: other systems need none of these.

func closeOnExec(int) {}

func restrictSocket(syscall.RawConn, fs.FileMode) error { return nil }

func isListening(*os.File) bool { return true }

func readMonotonicClock() (time.Duration, error) { return 0, errors.ErrUnsupported }
