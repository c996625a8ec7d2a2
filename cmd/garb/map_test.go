//go:build !small

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMap(t *testing.T) {
	data, folder := makeSplitPictures(t), t.TempDir()
	for _, method := range []string{methodTSNE, methodPCA} {
		var pages [2][]byte
		for i := range pages {
			file := filepath.Join(folder, "map.html")
			code, out, errOut := runGarb(t, nil, "map", "--data", data, "--method", method, "--out", file, "--seed",
				"7")
			if code != exitDone || !strings.Contains(out, "16 pictures") ||
				!strings.Contains(errOut, "pictures: 16 of 16") {
				t.Fatalf("%d\n%s%s", code, out, errOut)
			}
			pages[i] = readFile(t, file)
		}
		if !bytes.Equal(pages[0], pages[1]) {
			t.Errorf("%s: two maps differ", method)
		}
		for _, text := range []string{"train/hat/a.png", ">validation<", `"judged":true`} {
			if !bytes.Contains(pages[0], []byte(text)) {
				t.Errorf("%s: the page lacks %s", method, text)
			}
		}
	}
}

// TestMapOfATree: any tree of folders can be mapped, broken pictures are skipped and listed,
// and --limit is respected.
func TestMapOfATree(t *testing.T) {
	data := makeSplitPictures(t)
	tree := filepath.Join(data, "train")
	write(t, filepath.Join(tree, "hat"), "broken.png", badPictures["cut.png"].data)
	file := filepath.Join(t.TempDir(), "map.html")
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(tree, link); err != nil {
		link = tree // this user may not make links
	}
	code, out, errOut := runGarb(t, nil, "map", "--data", link, "--out", file)
	if code != exitDone || !strings.Contains(out, "8 pictures") || !strings.Contains(errOut, "broken.png") ||
		!strings.Contains(errOut, "8 pictures used, 1 skipped (1 unreadable)") {
		t.Errorf("%d\n%s%s", code, out, errOut)
	}
	code, _, errOut = runGarb(t, nil, "map", "--data", link, "--out", file, "--strict")
	if code != exitFailed || !strings.Contains(errOut, "1 file skipped (1 unreadable), but none may be") {
		t.Errorf("strict: %d\n%s", code, errOut)
	}
	code, out, errOut = runGarb(t, nil, "map", "--data", data, "--out", file, "--limit", "3")
	if code != exitDone || !strings.Contains(out, "3 pictures") || !strings.Contains(errOut, "3 of 17") {
		t.Errorf("%d\n%s%s", code, out, errOut)
	}
}

func TestMapRefuses(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		word string
	}{
		{nil, exitMisused, "--data"},
		{[]string{"--data", "x", "y"}, exitMisused, "y"},
		{[]string{"--data", "x", "--method", "umap"}, exitMisused, "tsne or pca"},
		{[]string{"--data", "x", "--limit", "-1"}, exitMisused, "--limit -1"},
		{[]string{"--data", "x", "--perplexity", "0"}, exitMisused, "perplexity is 0"},
		{[]string{"--data", "missing"}, exitFailed, missingText},
		{[]string{"--data", example}, exitFailed, "neither a folder"},
		{[]string{"--data", t.TempDir()}, exitFailed, "no pictures"},
	} {
		code, _, errOut := runGarb(t, nil, append([]string{"map"}, c.args...)...)
		if code != c.code || !strings.Contains(errOut, c.word) {
			t.Errorf("%v: %d %s", c.args, code, errOut)
		}
	}
}
