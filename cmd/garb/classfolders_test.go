package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

func TestFolderName(t *testing.T) {
	for class, want := range map[string]string{
		"t-shirt": "t-shirt", "été": "été", "T Shirt": "T Shirt", "v1.5": "v1.5", "console": "console", "com": "com",
		"../x": "%2E.%2Fx", "..": "%2E%2E", ".": "%2E", ".hidden": "%2Ehidden", "a/b": "a%2Fb", `a\b`: "a%5Cb",
		"/etc": "%2Fetc",
		"C:":   "C%3A", "a.": "a%2E", "a ": "a%20", " a": "%20a", "CON": "%43ON", "con.txt": "%63on.txt",
		"COM1": "%43OM1",
		"lpt¹": "%6Cpt¹",
		"50 %": "50 %25", "a\nb": "a%0Ab", "\x1b[2J": "%1B[2J", "\xff": "%FF", "\x00": "%00",
		"a\u202eb": "a%E2%80%AEb",
		"":         "%~",
	} {
		if got := escapeFolderName(class); got != want {
			t.Errorf("%q: %q, want %q", class, got, want)
		}
	}
	long := strings.Repeat("é", 300)
	a, b := escapeFolderName(long), escapeFolderName(long+"x")
	if a == b || len(a) > 200 || !strings.HasPrefix(a, "éé") {
		t.Errorf("long names: %q, %q", a, b)
	}
}

// TestClassFoldersAlike: file systems that treat names as equal hold a folder for each class.
func TestClassFoldersAlike(t *testing.T) {
	names := nameClassFolders([]string{"\u00e9t\u00e9", "e\u0301te\u0301", "\u00c9T\u00c9", "hat", "Hat"})
	seen := map[string]bool{}
	for _, name := range names {
		seen[norm.NFD.String(strings.ToLower(name))] = true
	}
	if len(seen) != len(names) {
		t.Errorf("%+q", names)
	}
}

// TestClassFoldersProperty: whatever the names of classes, their folders are distinct, can be
// created, and are in the same folder.
func TestClassFoldersProperty(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		class := rapid.OneOf(rapid.String(), rapid.StringMatching(`[aA./%\\ ~2]{0,4}`),
			rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 4), func(b []byte) string { return string(b) }))
		classes := rapid.SliceOfNDistinct(class, 0, 12, rapid.ID).Draw(r, "classes")
		seen := map[string]bool{}
		root, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			r.Fatal(err)
		}
		for i, name := range nameClassFolders(classes) {
			if seen[strings.ToLower(name)] {
				r.Fatalf("%q gets %q, which another class has", classes[i], name)
			}
			seen[strings.ToLower(name)] = true
			path := filepath.Join(root, name)
			if filepath.Dir(path) != root || escape(name) != name || strings.HasPrefix(name, ".") {
				r.Fatalf("%q gets %q", classes[i], name)
			}
			if err := os.Mkdir(path, 0o755); err != nil {
				r.Fatal(err)
			}
		}
	})
}
