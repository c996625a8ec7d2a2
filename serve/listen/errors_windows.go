package listen

import "golang.org/x/sys/windows"

// Errors of sockets. They are not those of package syscall with the same names, which Windows
// never returns.
const (
	errInUse         = windows.WSAEADDRINUSE
	errNoAddress     = windows.WSAEADDRNOTAVAIL
	errRefused       = windows.WSAECONNREFUSED
	errNoUnixSockets = windows.WSAEAFNOSUPPORT
	errReservedPort  = windows.WSAEACCES
)
