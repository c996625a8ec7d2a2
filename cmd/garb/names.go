package main

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// printable returns a name as a terminal may show it: as it is, or, if it holds what
// cannot be printed, quoted as in Go. A line break in a file's name would otherwise look
// like another file's, and an escape sequence would be obeyed.
func printable(name string) string {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if utf8.ValidString(name) && !strings.ContainsFunc(name, unprintable) {
		return name
	}
	return strconv.Quote(name)
}
