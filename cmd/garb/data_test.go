package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"garb/dataset"
)

// TestDataCheckCommand: the exit code is 0 for a data set that training accepts as it is, and
// 1 if training would refuse it or skip pictures, or with --strict if splits share pictures.
func TestDataCheckCommand(t *testing.T) {
	page := filepath.Join(t.TempDir(), "check.html")
	check := func(data string, flags ...string) (int, string, string) {
		return runGarb(t, nil, append([]string{"data", "check", data}, flags...)...)
	}
	// Pictures that do not look alike.
	data := t.TempDir()
	for i, name := range []string{"train/hat/a.png", "train/shoes/a.png", "validation/hat/a.png",
		"validation/shoes/a.png"} {
		m := image.NewNRGBA(image.Rect(0, 0, 64, 64))
		for p := range 64 * 64 {
			x, y := p%64/8, p/64/8
			if (x*(i+2)+y*(3*i+1))%5 < 2 {
				m.SetNRGBA(p%64, p/64, color.NRGBA{uint8(60 * i), 200, uint8(255 - 60*i), 255})
			}
		}
		var b bytes.Buffer
		if err := png.Encode(&b, m); err != nil {
			t.Fatal(err)
		}
		folder := filepath.Join(data, filepath.Dir(name))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, folder, filepath.Base(name), b.Bytes())
	}
	code, out, errOut := check(data, "--html", page)
	if code != exitDone || !strings.HasSuffix(errOut, "pictures used, 0 skipped\n") ||
		!strings.Contains(out, "pictures    ") {
		t.Errorf("clean: %d\n%s%s", code, out, errOut)
	}
	if text := string(readFile(t, page)); !strings.Contains(text, "<h1>Check of ") ||
		strings.Contains(text, "<h2>Split</h2>") {
		t.Error("the page of a data set with splits")
	}
	if code, _, _ = check(data, "--strict"); code != exitDone {
		t.Errorf("strict and clean: %d", code)
	}
	hat := readFile(t, filepath.Join(data, "train", "hat", "a.png"))
	write(t, filepath.Join(data, "validation", "hat"), "leak.png", hat)
	if code, out, _ = check(data); code != exitDone ||
		!strings.Contains(out, "same bytes  1 group, 1 across splits") {
		t.Errorf("a leak: %d\n%s", code, out)
	}
	if code, _, _ = check(data, "--strict"); code != exitFailed {
		t.Errorf("a leak with --strict: %d", code)
	}
	write(t, filepath.Join(data, "train", "hat"), "broken.png", []byte("text"))
	code, out, errOut = check(data, "--json")
	var h dataset.Health
	if err := json.Unmarshal([]byte(out), &h); err != nil || code != exitFailed {
		t.Fatalf("%d %v\n%s%s", code, err, out, errOut)
	}
	if h.Skipped[dataset.ReasonNotPicture] != 1 || h.Used == 0 || len(h.Exact) == 0 || !h.Failing() {
		t.Errorf("%+v", h)
	}
	if code, _, errOut := check(data, "--group-by", "sender"); code != exitFailed ||
		!strings.Contains(errOut, "--group-by") {
		t.Errorf("groups without a table: %d %s", code, errOut)
	}
}

// TestDataCheckTable: for a table, the page and the text say how it is split, how far each
// class is from its target share, and which column looks like contributors.
func TestDataCheckTable(t *testing.T) {
	root := t.TempDir()
	var b strings.Builder
	b.WriteString("file;kind;user\n")
	picture := readFile(t, "../../picture/testdata/plain.png")
	for i := range 120 {
		write(t, root, fmt.Sprintf("p%03d.png", i), append(bytes.Clone(picture), byte(i)))
		fmt.Fprintf(&b, "p%03d;%s;u%d\n", i, []string{"hat", "shoes"}[i%2], i*i%23)
	}
	fmt.Fprint(&b, "gone;hat;u1\n")
	write(t, root, "list.csv", []byte(b.String()))
	page := filepath.Join(t.TempDir(), "check.html")
	flags := []string{"data", "check", root, "--label-column", "kind", "--html", page}
	code, out, errOut := runGarb(t, nil, flags...)
	for _, want := range []string{`contributor "user"`, "--group-by user", "gone"} {
		if !strings.Contains(out, want) {
			t.Errorf("the text lacks %q:\n%s", want, out)
		}
	}
	if code != exitFailed || !strings.HasSuffix(errOut, "120 pictures used, 1 skipped (1 missing)\n") {
		t.Errorf("%d %s", code, errOut)
	}
	text := string(readFile(t, page))
	for _, want := range []string{"<h2>Split</h2>", "target 15.0 %", "--group-by user", "1 missing", "gone"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	code, out, _ = runGarb(t, nil, append(flags, "--group-by", "user")...)
	if code != exitFailed || !strings.Contains(out, "12 groups kept together") ||
		!strings.Contains(out, "0 in several splits") ||
		!strings.Contains(out, "  hat  ") || strings.Contains(out, `contributor "user"`) {
		t.Errorf("grouped: %d\n%s", code, out)
	}
	if text := string(readFile(t, page)); !strings.Contains(text, "0 in several splits") {
		t.Error("the page lacks the groups")
	}
	if err := os.Remove(filepath.Join(root, "list.csv")); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := runGarb(t, nil, "data", "check", root); code != exitFailed ||
		!strings.Contains(out, "no labelled pictures") {
		t.Errorf("without the table: %d\n%s", code, out)
	}
}
