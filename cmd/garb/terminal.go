package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

// terminal says what a writer can display. All bars and colours rely on detectTerminal.
type terminal struct {
	file    *os.File
	redraws bool // lines can be redrawn with carriage returns and escape sequences
	colours bool // text can have colours and weights
}

// detectTerminal returns what w can display. Files, pipes, terminals with TERM=dumb and Windows
// consoles without escape sequences get plain lines. NO_COLOR disables colours.
func detectTerminal(w io.Writer) terminal {
	if s, ok := w.(*screen); ok {
		w = s.to
	}
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" || !enableEscapes(f) {
		return terminal{}
	}
	return terminal{file: f, redraws: true, colours: os.Getenv("NO_COLOR") == ""}
}

// columns returns the terminal's width in characters, or 0 if it is unknown.
func (t terminal) columns() int {
	columns, _, err := term.GetSize(int(t.file.Fd()))
	if err != nil {
		return 0
	}
	return columns
}

// supportsColour reports whether a writer is a terminal that shows colours.
func supportsColour(w io.Writer) bool { return detectTerminal(w).colours }
