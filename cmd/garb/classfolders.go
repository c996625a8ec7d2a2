package main

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxFolderBytes bounds the name of a class's folder: file systems take 255 bytes, and
// people read none of that length.
const maxFolderBytes = 120

// nameClassFolders returns a folder's name for each class: the class's own where every file
// system takes it, and one that is like it otherwise. Different classes have different
// names, also where letter case does not count.
func nameClassFolders(classes []string) []string {
	names := make([]string, len(classes))
	used := map[string]bool{}
	for i, class := range classes {
		names[i] = escapeFolderName(class)
		for n := 2; used[foldCase(names[i])]; n++ {
			names[i] = fmt.Sprintf("%s%%~%d", escapeFolderName(class), n) // as folderName gives to none
		}
		used[foldCase(names[i])] = true
	}
	return names
}

// foldCase returns what names have in common that a file system without letter case takes
// for one.
func foldCase(name string) string { return strings.ToLower(strings.ToUpper(name)) }

// Names that Windows takes for devices, with any ending. (Microsoft, "Naming Files, Paths,
// and Namespaces".)
var deviceName = regexp.MustCompile(`(?i)^(con|prn|aux|nul|(com|lpt)[0-9¹²³])\s*(\.|$)`)

// escapeFolderName writes a class's name as a folder's: what some file system refuses, what
// leads elsewhere and what cannot be printed is written as %XX, each byte in hexadecimal,
// as in addresses, and so is the percent sign. So no two classes share a name.
func escapeFolderName(class string) string {
	var b strings.Builder
	for i := 0; i < len(class); {
		r, size := utf8.DecodeRuneInString(class[i:])
		bytes := class[i : i+size]
		first, last := i == 0, i+size == len(class)
		switch {
		case r == utf8.RuneError && size == 1, !unicode.IsPrint(r), strings.ContainsRune(`%/\:*?"<>|`, r),
			first && (r == '.' || r == ' '), // hidden, or a folder above
			last && (r == '.' || r == ' '),  // which Windows drops
			first && deviceName.MatchString(class):
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
