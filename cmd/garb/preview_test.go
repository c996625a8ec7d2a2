package main

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "image/jpeg"
)

// makeSplitPictures makes a data set for training with two classes of four pictures, each of
// one colour: red levels of 20 and more for hats, green ones for shoes.
func makeSplitPictures(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	for _, split := range []string{"train", "validation"} {
		for class, name := range []string{"hat", "shoes"} {
			folder := filepath.Join(root, split, name)
			if err := os.MkdirAll(folder, 0o755); err != nil {
				t.Fatal(err)
			}
			for i := range 4 {
				m := image.NewNRGBA(image.Rect(0, 0, 40, 30))
				level := uint8(20 * (i + 1))
				levels := [...]color.NRGBA{{R: level, A: 255}, {G: level, A: 255}}[class]
				for p := range 40 * 30 {
					m.SetNRGBA(p%40, p/40, levels)
				}
				var b bytes.Buffer
				if err := png.Encode(&b, m); err != nil {
					t.Fatal(err)
				}
				write(t, folder, string(rune('a'+i))+".png", b.Bytes())
			}
		}
	}
	return root
}

// runPreview runs the command by itself, with the exit codes of run.
func runPreview(t testing.TB, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	command := newPreviewCommand()
	command.SilenceUsage, command.SilenceErrors = true, true
	markFailures(command)
	command.SetArgs(append([]string{}, args...)) // nil would mean those of the process
	command.SetOut(&o)
	command.SetErr(&e)
	err := command.ExecuteContext(t.Context())
	var failed failure
	switch {
	case errors.As(err, &failed):
		code = exitFailed
	case err != nil:
		code = exitMisused
	}
	if err != nil {
		e.WriteString(err.Error())
	}
	return code, o.String(), e.String()
}

func readSheet(t testing.TB, path string) image.Image {
	t.Helper()
	m, _, err := image.Decode(bytes.NewReader(readFile(t, path)))
	if err != nil {
		t.Fatal(path, err)
	}
	return m
}

func TestPreview(t *testing.T) {
	data, out := makeSplitPictures(t), filepath.Join(t.TempDir(), "sheet.png")
	args := []string{data, "--size", "32", "--rows", "4", "--columns", "3", "--brightness", "0.5", "--out", out}
	code, text, errOut := runPreview(t, args...)
	if code != exitDone || errOut != "4 pictures used, 0 skipped\n" || strings.Count(text, "\n") != 5 ||
		!strings.Contains(text, "row 4, column 1: shoes") {
		t.Fatalf("%d\n%s%s", code, text, errOut)
	}
	m := readSheet(t, out)
	if want := image.Rect(0, 0, 3*36+4, 4*36+4); m.Bounds() != want {
		t.Fatalf("%v, want %v", m.Bounds(), want)
	}
	at := func(x, y int) color.NRGBA { return color.NRGBAModel.Convert(m.At(x, y)).(color.NRGBA) }
	for row := range 4 {
		y := 4 + 36*row
		original, view := at(4, y), at(4+36, y)
		level, other := original.R, original.G
		if row >= 2 {
			level, other = other, level
		}
		if level%20 != 0 || level == 0 || other != 0 {
			t.Errorf("row %d begins with %v", row, original)
		}
		if view == original || at(4+2*36, y) == view {
			t.Errorf("row %d: the views are %v and %v of %v", row, view, at(4+2*36, y), original)
		}
		if white := (color.NRGBA{255, 255, 255, 255}); at(3, y) != white || at(36, y) != white {
			t.Errorf("row %d has no gap", row)
		}
	}

	before := readFile(t, out)
	if code, _, errOut := runPreview(t, args...); code != exitDone || !bytes.Equal(readFile(t, out), before) {
		t.Errorf("the same seed draws another sheet: %d %s", code, errOut)
	}
	if code, _, errOut := runPreview(t, append(args, "--seed", "2")...); code != exitDone ||
		bytes.Equal(readFile(t, out),
			before) {
		t.Errorf("another seed draws the same sheet: %d %s", code, errOut)
	}
}

// TestPreviewWithoutChanges shows all pictures once, in order.
func TestPreviewWithoutChanges(t *testing.T) {
	data, out := makeSplitPictures(t), filepath.Join(t.TempDir(), "sheet.JPG")
	code, text, errOut := runPreview(t, data, "--size", "32", "--columns", "3", "--out", out)
	if code != exitDone || errOut != "8 pictures used, 0 skipped\n" || strings.Count(text, "train") != 8 ||
		!strings.Contains(text, "row 3, column 2: shoes") {
		t.Fatalf("%d\n%s%s", code, text, errOut)
	}
	if m, want := readSheet(t, out), image.Rect(0, 0, 3*36+4, 3*36+4); m.Bounds() != want {
		t.Errorf("%v, want %v", m.Bounds(), want)
	}
}

func TestPreviewLeavesOutWhatCannotBeRead(t *testing.T) {
	data, out := makeSplitPictures(t), filepath.Join(t.TempDir(), "sheet.png")
	hats := filepath.Join(data, "train", "hat")
	for _, name := range []string{"a.png", "b.png"} {
		write(t, hats, name, []byte("no picture"))
	}
	preview := func() (int, string, string) {
		return runPreview(t, data, "--size", "32", "--rows", "4", "--columns", "2", "--horizontal-flip", "--out", out)
	}
	code, text, errOut := preview()
	if code != exitDone || strings.Count(errOut, "skipped: ") != 2 || !strings.Contains(errOut, filepath.Join(hats,
		"b.png")) || strings.Count(text, "row") != 3 {
		t.Errorf("%d\n%s%s", code, text, errOut)
	}
	for _, class := range []string{"hat", "shoes"} {
		for _, name := range []string{"a.png", "b.png", "c.png", "d.png"} {
			write(t, filepath.Join(data, "train", class), name, []byte("no picture"))
		}
	}
	if code, text, errOut := preview(); code != exitFailed || !strings.Contains(errOut, "no picture could be read") {
		t.Errorf("%d\n%s%s", code, text, errOut)
	}
}

func TestPreviewWrongUse(t *testing.T) {
	data, out := makeSplitPictures(t), filepath.Join(t.TempDir(), "sheet.png")
	for _, test := range []struct {
		args string
		word string
	}{
		{"", "one data set"}, {"DIR DIR", "one data set"}, {"DIR --out sheet.gif", ".png"},
		{"DIR --rows 0", "at least 1"},
		{"DIR --columns 1 --zoom 0.1", "2 columns"},
		{"DIR --rows 9000000000000000000", "too large"}, {"DIR --rows 60 --columns 60", "too large"}, {"DIR --zoom 2",
			"zoom"},
		{"DIR --crop-aspect 1.3", "smallest crop"}, {"DIR --size 1", "at least"}, {"DIR --backbone nix", "nix"},
	} {
		args := append([]string{"--out", out}, strings.Fields(strings.ReplaceAll(test.args, "DIR", data))...)
		if code, _, errOut := runPreview(t, args...); code != exitMisused || !strings.Contains(errOut, test.word) {
			t.Errorf("%s: %d %s", test.args, code, errOut)
		}
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a sheet was written")
	}
	if code, _, errOut := runPreview(t, filepath.Join(data, "nix"), "--out", out); code != exitFailed {
		t.Errorf("missing folder: %d %s", code, errOut)
	}
	if code, _, errOut := runPreview(t, data, "--out", filepath.Join(data, "nix", "sheet.png")); code != exitFailed {
		t.Errorf("missing folder for the sheet: %d %s", code, errOut)
	}
}

// TestPreviewKeepsGroups: the sheet shows the training pictures that train would use with the
// same flags, with groups kept together.
func TestPreviewKeepsGroups(t *testing.T) {
	data := filepath.Join(makeSplitPictures(t), "train") // hats and shoes a to d
	shown := func(flags ...string) map[string]string {
		args := append([]string{data, "--rows", "2", "--columns", "4", "--test-share", "0", "--out",
			filepath.Join(t.TempDir(), "p.png")}, flags...)
		code, out, errOut := runPreview(t, args...)
		if code != exitDone {
			t.Fatalf("%v: %d %s%s", flags, code, out, errOut)
		}
		names := map[string]string{}
		for _, class := range []string{"hat", "shoes"} {
			for _, name := range []string{"a", "b", "c", "d"} {
				if strings.Contains(out, filepath.Join(class, name+".png")) {
					names[class] += name
				}
			}
		}
		return names
	}
	grouped := []string{"--group-pattern", "^(.)"}
	for fold := range 4 {
		got := shown(append(grouped, "--folds", "4", "--fold", string(rune('1'+fold)))...)
		if len(got["hat"]) != 3 || got["hat"] != got["shoes"] {
			t.Errorf("fold %d shows %v", fold+1, got)
		}
	}
	if code, _, errOut := runPreview(t, data, "--folds", "4"); code != exitMisused || !strings.Contains(errOut,
		"from 1 to 4") {
		t.Errorf("no fold: %d %s", code, errOut)
	}
}
