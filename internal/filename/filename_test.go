package filename

import (
	"path/filepath"
	"runtime"
	"testing"

	"pgregory.net/rapid"
)

func TestIsPortable(t *testing.T) {
	for name, want := range map[string]bool{
		"a.jpg": true, "T-Shirt": true, "été": true, ".hidden": true, "con.fused.jpg": false, "confused.jpg": true,
		"com": true, "com10": true, "auxiliary": true, "nulls": true, " a": true, "a b": true,
		"": false, ".": false, "..": false, "a.": false, "a ": false, ".. ": false, "...": false,
		"a/b": false, `a\b`: false, "C:": false, "a:stream": false, "a*": false, "a?": false, `"a"`: false,
		"<a>": false,
		"a|b": false, "a\n": false, "a\x00b": false, "a\x7f": false,
		"CON": false, "nul": false, "aux.txt": false, "PRN .txt": false, "COM1": false, "lpt9.jpg": false,
		"com¹":   false,
		"CONIN$": false, "conout$.jpg": false, "NUL .tar.gz": false, "nul..jpg": false,
	} {
		if got := IsPortable(name); got != want {
			t.Errorf("%q: portable %v", name, got)
		}
	}
}

func TestFirstUnportable(t *testing.T) {
	for path, want := range map[string]string{
		"": "", "a.jpg": "", "train/hat/1.jpg": "", "./a/../b.jpg": "", "a//b": "", "train/hat /1.jpg": "hat ",
		"C:/a.jpg": "C:", "hat/aux.jpg": "aux.jpg", "nul/a": "nul", "a/b:c/d:e": "b:c", "hat/a.": "a.",
	} {
		if got := FirstUnportable(path); got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}

// TestPortableNamesAreLocal tests that the rules are at least as strict as those of package filepath, on
// each system.
func TestPortableNamesAreLocal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`(con|NUL|aux|com|lpt|COM0|a)?[1-9¹ .:$\\/*]{0,3}[a-z.$ ]{0,3}`).Draw(t, "name")
		if IsPortable(name) && !filepath.IsLocal(name) {
			t.Fatalf("%s: %q is portable, but not local", runtime.GOOS, name)
		}
	})
}
