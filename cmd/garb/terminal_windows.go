package main

import (
	"os"

	"golang.org/x/sys/windows"
)

// enableEscapes makes a Windows console obey escape sequences, and reports whether it
// does: consoles before Windows 10 cannot.
func enableEscapes(f *os.File) bool {
	var mode uint32
	console := windows.Handle(f.Fd())
	if err := windows.GetConsoleMode(console, &mode); err != nil {
		return false
	}
	return windows.SetConsoleMode(console, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
