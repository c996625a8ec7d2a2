//go:build !windows

package main

import (
	"os"
	"syscall"
)

// hangup is the signal to reload; nil if the system has none.
var hangup os.Signal = syscall.SIGHUP
