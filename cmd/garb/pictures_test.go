package main

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestPatterns: patterns are expanded if the shell did not, but names of existing files are
// not.
func TestPatterns(t *testing.T) {
	root := t.TempDir()
	t.Chdir(root)
	if err := os.MkdirAll(filepath.Join("pics", "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pics/b.jpg", "pics/a.jpg", "pics/a.png", "pics/.hidden.jpg", ".secret",
		"pics/sub/c.jpg", "pics/[x].jpg", "pics/x.jpg", "pics/[.jpg"} {
		write(t, root, filepath.FromSlash(name), nil)
	}
	for _, c := range []struct {
		arg  string
		want []string // nil: an error that has word
		word string
	}{
		{"pics/*.jpg", []string{"pics/[.jpg", "pics/[x].jpg", "pics/a.jpg", "pics/b.jpg", "pics/x.jpg"}, ""},
		{"pics/?.jpg", []string{"pics/[.jpg", "pics/a.jpg", "pics/b.jpg", "pics/x.jpg"}, ""},
		{"pics/[ab].*", []string{"pics/a.jpg", "pics/a.png", "pics/b.jpg"}, ""},
		{"*/*/*.jpg", []string{"pics/sub/c.jpg"}, ""},
		{"pics/.*.jpg", []string{"pics/.hidden.jpg"}, ""},
		{"pics/[x].jpg", []string{"pics/[x].jpg"}, ""}, // not x.jpg
		{"pics/[.jpg", []string{"pics/[.jpg"}, ""},
		{"./*", []string{"pics"}, ""},
		{"./pics/s*", []string{"pics/sub"}, ""},
		{"nix.jpg", []string{"nix.jpg"}, ""}, // which then is a file that does not exist
		{"-", []string{"-"}, ""},
		{"pics/*.gif", nil, "no file matches"},
		{"nix/*", nil, "no file matches"},
		{"pics/[a", nil, "neither a file nor a valid pattern"},
	} {
		var got []string
		for _, s := range expand([]string{c.arg}) {
			if c.want == nil && (s.err == nil || !strings.Contains(s.err.Error(), c.word) || s.name != c.arg) {
				t.Errorf("%s: %v", c.arg, s)
			}
			if c.want != nil && s.err != nil {
				t.Errorf("%s: %v", c.arg, s.err)
			}
			got = append(got, filepath.ToSlash(filepath.Clean(s.name)))
		}
		if c.want != nil && !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.arg, got, c.want)
		}
	}
}

func TestPatternsInCommands(t *testing.T) {
	root := t.TempDir()
	data := readFile(t, example)
	for _, name := range []string{"a.jpg", "b.jpg", "c.txt"} {
		write(t, root, name, data)
	}
	pattern, none := filepath.Join(root, "*.jpg"), filepath.Join(root, "*.gif")
	for _, command := range []string{"classify", "embed"} {
		code, out, errOut := runGarb(t, nil, command, "--json", pattern)
		if code != exitDone || strings.Count(out, "\n") != 2 ||
			strings.Index(out, "a.jpg") > strings.Index(out, "b.jpg") {
			t.Errorf("%s: %d %s%s", command, code, out, errOut)
		}
		code, out, _ = runGarb(t, nil, command, "--json", none)
		if code != exitFailed || !strings.Contains(out, "not_found") || !strings.Contains(out,
			"no file matches this pattern") {
			t.Errorf("%s: %d %s", command, code, out)
		}
	}
	code, _, errOut := runGarb(t, nil, "explain", pattern, "--out", filepath.Join(root, "look"))
	if code != exitFailed || !strings.Contains(errOut, "matches 2 files; explain takes one picture") {
		t.Errorf("explain: %d %s", code, errOut)
	}
	code, _, errOut = runGarb(t, nil, "explain", none, "--out", filepath.Join(root, "look"))
	if code != exitFailed || !strings.Contains(errOut, "no file matches") {
		t.Errorf("explain: %d %s", code, errOut)
	}
}

// TestNoCacheFolder: on a machine that has no folder for caches, only archives are refused.
func TestNoCacheFolder(t *testing.T) {
	for _, name := range []string{"GARB_HOME", "XDG_CACHE_HOME", "HOME", "LocalAppData"} {
		t.Setenv(name, "")
	}
	if code, out, errOut := runGarb(t, nil, "classify", example, filepath.Dir(example)); code != exitDone ||
		!strings.Contains(out, "t-shirt") {
		t.Errorf("%d %s%s", code, out, errOut)
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("a.jpg")
	if err != nil {
		t.Fatal(err)
	}
	w.Write(readFile(t, example))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	archive := write(t, t.TempDir(), "a.zip", b.Bytes())
	for _, command := range []string{"classify", "data check"} {
		code, _, errOut := runGarb(t, nil, append(strings.Fields(command), archive)...)
		if code != exitFailed || !strings.Contains(errOut, "a.zip") || !strings.Contains(errOut, "set GARB_HOME") {
			t.Errorf("%s: %d %s", command, code, errOut)
		}
	}
}

// TestProgressOfAnswers: answers that go to a file show how far a command is.
func TestProgressOfAnswers(t *testing.T) {
	folder := t.TempDir()
	for _, c := range []struct {
		command string
		shown   bool
	}{
		{"classify --json", false},
		{"classify --json --out " + filepath.Join(folder, "a.jsonl"), true},
		{"classify --out " + filepath.Join(folder, "b.txt") + " --shard 0/1", true},
		{"embed", false},
		{"embed --json --out " + filepath.Join(folder, "c.jsonl"), true},
		{"embed --out " + filepath.Join(folder, "d.npy"), true},
		{"embed --out " + filepath.Join(folder, "e.npy") + " --shard 0/1", true},
	} {
		code, _, errOut := runGarb(t, nil, append(strings.Fields(c.command), example, example)...)
		if code != exitDone || strings.Contains(errOut, "pictures: 2 of 2\n") != c.shown {
			t.Errorf("%s: %d %s", c.command, code, errOut)
		}
	}
	out := filepath.Join(folder, "f.txt")
	if code, _, errOut := runGarb(t, nil, "classify", "--out", out, example); code != exitDone ||
		errOut != "wrote "+escape(out)+"\n" {
		t.Errorf("one picture: %d %s", code, errOut)
	}
}
