package main

import (
	"bytes"
	"encoding/json"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"garb/evaluate"
)

// TestEvaluateOther evaluates the built-in classifier against other pictures. One of them is
// in the data set too, and one is broken.
func TestEvaluateOther(t *testing.T) {
	data, folder := t.TempDir(), t.TempDir()
	writeClassFolders(t, data, map[string][]byte{
		"hat/a.png": drawPNG(t, 0), "shirt/b.png": drawPNG(t, 1), "hat/c.png": drawPNG(t, 2),
	})
	write(t, folder, "new.png", drawPNG(t, 7))
	write(t, folder, "same.png", drawPNG(t, 1))
	write(t, folder, "broken.png", []byte("\x89PNG\r\n\x1a\n broken"))

	page := filepath.Join(t.TempDir(), "page.html")
	code, out, errOut := runGarb(t, nil, "evaluate", "--data", data, "--other", folder, "--json", "--html", page)
	var r evaluate.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 {
		t.Fatalf("code %d, %v: %s", code, err, errOut)
	}
	if o := r.Acceptance.Other; o == nil || o.Count != 1 || len(o.Skipped) != 1 || len(o.Repeated) != 1 ||
		filepath.Base(o.Repeated[0].Picture) != "same.png" || filepath.Base(o.Repeated[0].Same) != "b.png" {
		t.Errorf("%+v", o)
	}
	for _, want := range []string{"same.png is ignored: it is the same picture", "1 unreadable", "broken.png"} {
		if !strings.Contains(errOut, want) {
			t.Errorf("%q is not said: %s", want, errOut)
		}
	}
	text, err := os.ReadFile(page)
	if err != nil || !strings.Contains(string(text), "Risk against coverage") {
		t.Errorf("%v: no curve on the page", err)
	}
	code, out, errOut = runGarb(t, nil, "evaluate", "--data", data, "--other", folder)
	if code != 0 || !strings.Contains(out, "AUROC ") || !strings.Contains(out, "false accepts") {
		t.Errorf("code %d: %s%s", code, out, errOut)
	}
	for name, test := range map[string]struct {
		want string
		args []string
	}{
		"none":        {"contains no pictures", []string{"--other", t.TempDir()}},
		"missing":     {"no such folder", []string{"--other", filepath.Join(folder, "gone")}},
		"itself":      {"pictures of the data set", []string{"--other", data}},
		"a class":     {"pictures of the data set", []string{"--other", filepath.Join(data, "hat")}},
		"above":       {"pictures of the data set", []string{"--other", filepath.Dir(data)}},
		"all":         {"--split test", []string{"--coverage", "0.9"}},
		"no coverage": {"--coverage: the coverage is 1.5", []string{"--coverage", "1.5"}},
	} {
		code, _, errOut = runGarb(t, nil, append([]string{"evaluate", "--data", data}, test.args...)...)
		if code == 0 || !strings.Contains(errOut, test.want) {
			t.Errorf("%s: code %d: %s", name, code, errOut)
		}
	}
	code, _, errOut = runGarb(t, nil, "classify", "--coverage", filepath.Join(folder, "new.png"))
	if code == 0 || !strings.Contains(errOut, "train it with --coverage") {
		t.Errorf("code %d: %s", code, errOut)
	}
}

// drawPNG draws a picture with different colours for each n.
func drawPNG(t *testing.T, n int) []byte {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, 24, 24))
	for i := range m.Pix {
		m.Pix[i] = uint8(i * (n + 1))
		if i%4 == 3 {
			m.Pix[i] = 255
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
