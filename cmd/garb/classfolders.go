package main

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"garb/internal/filename"
)

// maxFolderBytes is the maximum length of a class folder's name. File systems allow 255
// bytes, but nobody wants to read such a name.
const maxFolderBytes = 120

// nameClassFolders returns a folder name for each class: the class's own name if every file
// system allows it, and a similar one otherwise. Names are unique even if letter case is
// ignored.
func nameClassFolders(classes []string) []string {
	names := make([]string, len(classes))
	used := map[string]bool{}
	for i, class := range classes {
		names[i] = escapeFolderName(class)
		for n := 2; used[foldCase(names[i])]; n++ {
			names[i] = fmt.Sprintf("%s%%~%d", escapeFolderName(class), n) // escapeFolderName never returns this
		}
		used[foldCase(names[i])] = true
	}
	return names
}

// foldCase returns the same text for names that macOS or Windows treats as equal.
func foldCase(name string) string { return norm.NFC.String(strings.ToLower(strings.ToUpper(name))) }

// escapeFolderName returns a class's name as a folder name. Characters that some file system
// refuses, that lead to another folder or that cannot be printed are percent-encoded, and so
// is the percent sign itself. So no two classes share a name.
func escapeFolderName(class string) string {
	var b strings.Builder
	for i := 0; i < len(class); {
		r, size := utf8.DecodeRuneInString(class[i:])
		bytes := class[i : i+size]
		first, last := i == 0, i+size == len(class)
		switch {
		case r == utf8.RuneError && size == 1, !unicode.IsPrint(r), strings.ContainsRune(`%/\:*?"<>|`, r),
			first && (r == '.' || r == ' '), // hidden, or the parent folder
			last && (r == '.' || r == ' '),  // Windows drops them
			first && filename.IsDevice(class):
			fmt.Fprintf(&b, "%s", percentEncode(bytes))
		default:
			b.WriteString(bytes)
		}
		i += size
	}
	name := b.String()
	switch {
	case name == "":
		return "%~"
	case len(name) <= maxFolderBytes:
		return name
	}
	cut := maxFolderBytes
	for !utf8.RuneStart(name[cut]) {
		cut--
	}
	return fmt.Sprintf("%s%%~%x", name[:cut], sha256.Sum256([]byte(class)))[:cut+2+16]
}

func percentEncode(bytes string) string {
	var b strings.Builder
	for _, c := range []byte(bytes) {
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}
