package main

import (
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// escape returns a name that is safe to print on a terminal: the name itself, or, if it has
// unprintable characters, the name quoted as in Go. Otherwise a line break in a file name
// would look like another file, and the terminal would obey escape sequences.
func escape(name string) string {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if utf8.ValidString(name) && !strings.ContainsFunc(name, unprintable) {
		return name
	}
	return strconv.Quote(name)
}

// escapeLines returns text that is safe to print on a terminal. Unprintable characters are
// written as in a Go string, except tabs and line breaks.
func escapeLines(text string) string {
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		invalid := r == utf8.RuneError && size == 1
		if !invalid && (r == '\n' || r == '\t' || unicode.IsPrint(r)) {
			b.WriteString(text[:size])
		} else {
			quoted := strconv.Quote(text[:size])
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		text = text[size:]
	}
	return b.String()
}

// escapingWriter escapes the text that is written to it with escapeLines. Each call of Write
// must have whole characters, as those of fmt.Fprintf do.
type escapingWriter struct{ to io.Writer }

func (w escapingWriter) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.to, escapeLines(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// openTextOut returns a command's standard output for text with names of files, classes or
// columns, which it escapes.
func openTextOut(c *cobra.Command) io.Writer { return escapingWriter{c.OutOrStdout()} }
