package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

// terminal is what a writer can show. Every bar and every colour asks terminalOf, and
// nothing else decides.
type terminal struct {
	file    *os.File
	redraws bool // lines can be drawn over, by carriage returns and escape sequences
	colours bool // and have colours and weights
}

// detectTerminal tells what w can show. A file, a pipe, a terminal of TERM=dumb and a
// Windows console without escape sequences get plain lines; NO_COLOR turns colours off
// (no-color.org).
func detectTerminal(w io.Writer) terminal {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" || !enableEscapes(f) {
		return terminal{}
	}
	return terminal{file: f, redraws: true, colours: os.Getenv("NO_COLOR") == ""}
}

// columns is the terminal's width in characters, 0 if it is unknown.
func (t terminal) columns() int {
	columns, _, err := term.GetSize(int(t.file.Fd()))
	if err != nil {
		return 0
	}
	return columns
}

// supportsColour reports whether a writer is a terminal that shows colours.
func supportsColour(w io.Writer) bool { return detectTerminal(w).colours }
