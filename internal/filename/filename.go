// Package filename says which names of files each system allows, so that a data set that was
// written on one system can be read on all others.
package filename

import (
	"regexp"
	"strings"
	"unicode"
)

// device matches names that Windows reserves for devices, with any extension (Microsoft,
// "Naming Files, Paths, and Namespaces").
var device = regexp.MustCompile(`(?i)^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\.|$)`)

// IsDevice reports whether Windows opens a device by a name, such as NUL or aux.txt, in any
// folder.
func IsDevice(name string) bool { return device.MatchString(name) }

// IsPortable reports whether files and folders may have a name on Linux, macOS and Windows alike: it has
// no control characters and none of /\:*?"<>|, does not end with a dot or a space, and names
// no device.
func IsPortable(name string) bool {
	return name != "" && !strings.ContainsAny(name, `/\:*?"<>|`) && !strings.ContainsFunc(name, unicode.IsControl) &&
		!strings.HasSuffix(name, ".") && !strings.HasSuffix(name, " ") && !IsDevice(name)
}

// FirstUnportable returns the first element of a path, separated by slashes, that is not portable, or ""
// if all are.
func FirstUnportable(path string) string {
	for element := range strings.SplitSeq(path, "/") {
		if element != "" && element != "." && element != ".." && !IsPortable(element) {
			return element
		}
	}
	return ""
}
