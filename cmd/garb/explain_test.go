package main

import (
	"context"
	"encoding/json"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"garb/explain"
)

// makeEmptyPicture returns a picture of one pixel.
func makeEmptyPicture() image.Image { return image.NewNRGBA(image.Rect(0, 0, 1, 1)) }

func readFindings(t *testing.T, folder string) explain.Findings {
	t.Helper()
	var f explain.Findings
	if err := json.Unmarshal(readFile(t, filepath.Join(folder, "explain.json")), &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestExplain(t *testing.T) {
	folder, data := filepath.Join(t.TempDir(), "look"), makeSplitPictures(t)
	code, out, errOut := runGarb(t, nil, "explain", example, "--out", folder, "--top", "2", "--html", "--neighbours",
		data)
	if code != exitDone || !strings.Contains(out, "t-shirt") || !strings.Contains(out, "index.html") ||
		!strings.Contains(errOut, "neighbours: 8 of 8") {
		t.Fatalf("%d\n%s%s", code, out, errOut)
	}
	f := readFindings(t, folder)
	if len(f.Predictions) != 2 || f.Predictions[0].Class != "t-shirt" || len(f.Maps) != 6 || len(f.Layers) < 4 ||
		f.Filters == nil || f.Stopped {
		t.Errorf("%+v", f)
	}
	// Only training pictures are compared with.
	if n := f.Neighbours; n == nil || n.Compared != 8 || len(n.Nearest) != 8 ||
		!strings.Contains(n.Nearest[0].Path, "train") {
		t.Errorf("%+v", f.Neighbours)
	}
	names := []string{f.Filters.File, f.Neighbours.File}
	for _, m := range f.Maps {
		names = append(names, m.File)
	}
	for _, l := range f.Layers {
		names = append(names, l.File)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.png"))
	if err != nil || len(files) != len(names) {
		t.Errorf("%d files, of which %d are named", len(files), len(names))
	}
	for _, name := range names {
		file, err := os.Open(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		if m, err := png.Decode(file); err != nil || m.Bounds().Dx() < 100 {
			t.Errorf("%s: %v", name, err)
		}
		file.Close()
	}
	page := string(readFile(t, filepath.Join(folder, "index.html")))
	if strings.Count(page, `src="data:image/png;base64,`) != len(names) {
		t.Error("the page lacks pictures")
	}
}

// TestExplainAgain: explain writes to a folder with files only with --force, and then replaces
// only the files of an earlier explain.
func TestExplainAgain(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"notes.txt", "cam-old.png", "camera.png"} {
		write(t, folder, name, []byte("x"))
	}
	args := []string{"explain", example, "--out", folder, "--class", "dress", "--class", "hat", "--layer",
		"stem/conv", "--layer", "3"}
	code, _, errOut := runGarb(t, nil, args...)
	if code != exitFailed || !strings.Contains(errOut, "--force") {
		t.Errorf("%d %s", code, errOut)
	}
	if code, _, errOut := runGarb(t, nil, append(args, "--force")...); code != exitDone {
		t.Fatalf("%d %s", code, errOut)
	}
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	want := []string{
		"cam-dress.png", "cam-hat.png", "camera.png", "explain.json", "features-3-relu6.png", "features-stem-conv.png",
		"filters.png", "gradcam-dress.png", "gradcam-hat.png", "notes.txt", "occlusion-dress.png", "occlusion-hat.png",
	}
	if !slices.Equal(names, want) {
		t.Errorf("%v", names)
	}
}

func TestExplainRefuses(t *testing.T) {
	folder, text := filepath.Join(t.TempDir(), "look"), write(t, t.TempDir(), "text.jpg", []byte("no picture at all"))
	for _, c := range []struct {
		args []string
		code int
		word string
	}{
		{[]string{example}, exitMisused, "--out"},
		{[]string{"--out", folder}, exitMisused, "one picture"},
		{[]string{example, "--out", folder, "--top", "0"}, exitMisused, "--top 0"},
		{[]string{text, "--out", folder}, exitFailed, "JPEG, PNG"},
		{[]string{"missing.jpg", "--out", folder}, exitFailed, "no such file"},
		{[]string{example, "--out", folder, "--class", "sock"}, exitFailed, "t-shirt"},
		{[]string{example, "--out", folder, "--layer", "sock"}, exitFailed, "stem/conv"},
		{[]string{example, "--out", folder, "--model", "missing"}, exitFailed, "missing"},
		{[]string{example, "--out", folder, "--neighbours", "missing"}, exitFailed, missingText},
		{[]string{example, "--out", folder, "--neighbours", t.TempDir()}, exitFailed, "no pictures"},
	} {
		code, _, errOut := runGarb(t, nil, append([]string{"explain"}, c.args...)...)
		if code != c.code || !strings.Contains(errOut, c.word) {
			t.Errorf("%v: %d %s", c.args, code, errOut)
		}
	}
	if exists(folder) {
		t.Error("what was refused has made a folder")
	}
}

// stopper is an output that cancels the work when it is written to.
type stopper struct{ stop func() }

func (s stopper) Write(p []byte) (int, error) { s.stop(); return len(p), nil }

// TestExplainStopped: what was drawn before an interrupt is kept and described.
func TestExplainStopped(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "look")
	ctx, cancel := context.WithCancel(context.Background())
	var out strings.Builder
	code := run(ctx, []string{"explain", example, "--out", folder, "--html", "--top", "1"}, strings.NewReader(""),
		&out, stopper{cancel})
	f := readFindings(t, folder)
	if code != exitStopped || !f.Stopped || len(f.Maps) != 2 || len(f.Layers) == 0 {
		t.Errorf("%d: %+v", code, f)
	}
	page := string(readFile(t, filepath.Join(folder, "index.html")))
	if !strings.Contains(page, "garb was stopped") {
		t.Error("the page does not say that it is not all")
	}
}

func TestFileNames(t *testing.T) {
	f, err := openOutFolder(t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	inner := explain.DrawGrid("x", []explain.Tile{{Picture: makeEmptyPicture()}}, 1)
	tile := explain.DrawGrid("", []explain.Tile{{Picture: inner}}, 1)
	for label, want := range map[string]string{
		"": "cam.png", "Größe 9": "cam-Größe-9.png", "../../etc/x": "cam-..-..-etc-x.png",
	} {
		if got, err := f.draw("cam", label, tile); err != nil || got != want {
			t.Errorf("%q: %s, %v", label, got, err)
		}
	}
	a, _ := f.draw("cam", "a/b", tile)
	b, _ := f.draw("cam", "A b", tile)
	if a != "cam-a-b.png" || b != "cam-A-b-2.png" || f.pictures != 5 {
		t.Errorf("%s and %s", a, b)
	}
}
