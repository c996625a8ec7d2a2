package main

import (
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// escape returns a name as a terminal may show it: as it is, or, if it holds what
// cannot be printed, quoted as in Go. A line break in a file's name would otherwise look
// like another file's, and an escape sequence would be obeyed.
func escape(name string) string {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if utf8.ValidString(name) && !strings.ContainsFunc(name, unprintable) {
		return name
	}
	return strconv.Quote(name)
}

// escapeLines returns text of several lines as a terminal may show it: what cannot be printed
// is written as in a string of Go, but for tabs and line breaks.
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

// escapingWriter makes all that is written through it visible. Each call of Write has
// whole characters, as those of fmt.Fprintf have.
type escapingWriter struct{ to io.Writer }

func (w escapingWriter) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.to, escapeLines(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// openTextOut is where a command writes text that has names of files, classes or columns: its
// standard output, made visible.
func openTextOut(c *cobra.Command) io.Writer { return escapingWriter{c.OutOrStdout()} }
