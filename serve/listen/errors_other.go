//go:build !windows

package listen

import (
	"errors"
	"syscall"
)

// Errors of sockets.
const (
	errInUse         = syscall.EADDRINUSE
	errNoAddress     = syscall.EADDRNOTAVAIL
	errRefused       = syscall.ECONNREFUSED
	errNoUnixSockets = syscall.EAFNOSUPPORT
)

// errReservedPort occurs on Windows only.
var errReservedPort = errors.New("the port is reserved")
