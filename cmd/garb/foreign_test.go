package main

import (
	"image/color"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestForeignBackbone: another program's file can be used as a backbone directly, and is
// converted once.
func TestForeignBackbone(t *testing.T) {
	skipSmall(t, "ONNX, and writes no Keras files")
	folder := t.TempDir()
	t.Setenv("GARB_HOME", filepath.Join(folder, "home"))
	path := filepath.Join(folder, "colours.onnx")
	if code, _, errOut := runGarb(t, nil, "convert", makeLabellingModel(t), path); code != exitDone {
		t.Fatal(errOut)
	}
	yellow := drawPlainPicture(t, filepath.Join(folder, "yellow.png"), color.RGBA{255, 255, 0, 255})
	embed := func(args ...string) string {
		t.Helper()
		code, out, errOut := runGarb(t, nil, append([]string{"embed", "--backbone", path, yellow}, args...)...)
		if code != exitDone {
			t.Fatal(errOut)
		}
		return out
	}
	files := func() []string {
		all, err := filepath.Glob(filepath.Join(folder, "home", "converted", "*"))
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	first := embed()
	if !strings.Contains(first, "1.0000 1.0000 0.0000") {
		t.Errorf("features %q", first)
	}
	kept := files()
	if len(kept) != 1 {
		t.Fatalf("%v", kept)
	}
	before, err := os.Stat(kept[0])
	if err != nil {
		t.Fatal(err)
	}
	if again := embed(); again != first {
		t.Errorf("then %q", again)
	}
	if after, err := os.Stat(kept[0]); err != nil || !after.ModTime().Equal(before.ModTime()) || len(files()) != 1 {
		t.Errorf("it was converted again: %v, %v", files(), err)
	}
	if other := embed("--preprocess", "none"); !strings.Contains(other, "255.0000 255.0000 0.0000") ||
		len(files()) != 2 {
		t.Errorf("with samples as they are %q, %v", other, files())
	}
	code, _, errOut := runGarb(t, nil, "embed", "--backbone", "efficientnet-lite0", "--preprocess", "none", yellow)
	if code == exitDone || !strings.Contains(errOut, "--preprocess is only for Keras and ONNX files") {
		t.Errorf("%d, %s", code, errOut)
	}
}
