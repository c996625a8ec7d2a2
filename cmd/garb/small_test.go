//go:build small

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"garb/internal/edition"
	"garb/model"
)

// TestSmallNamesTheDefaultBuild runs what the small build does not have.
func TestSmallNamesTheDefaultBuild(t *testing.T) {
	const picture = "../../examples/t-shirt.jpg"
	settings := filepath.Join(t.TempDir(), "settings.yaml")
	if err := os.WriteFile(settings, []byte("epochs: 3\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"serve --addr :0", "health", "map --data pictures", "queue work --wait",
		"classify --model imagenet " + picture,
		"classify ../../internal/heif/testdata/drawn.avif",
		"train --config " + settings,
		"convert clothing " + t.TempDir() + "/clothing.onnx",
	} {
		code, out, errOut := runGarb(t, nil, strings.Fields(line)...)
		text := strings.ReplaceAll(out+errOut, "\n", " ")
		if code == exitDone || !strings.Contains(text, "small build of garb has no ") ||
			!strings.Contains(text, "use the default build") {
			t.Errorf("%s: %d %s", line, code, text)
		}
	}
	if edition.Name != "small" {
		t.Errorf("the build's name is %q", edition.Name)
	}
}

// TestSmallClassifies runs what the small build has.
func TestSmallClassifies(t *testing.T) {
	for _, name := range model.BuiltInNames() {
		code, out, errOut := runGarb(t, nil, "classify", "--model", name, "../../examples/t-shirt.jpg")
		if code != exitDone || !strings.Contains(out, "t-shirt") {
			t.Errorf("%s: %d %s%s", name, code, out, errOut)
		}
	}
	for _, line := range []string{"version", "models list"} {
		code, out, errOut := runGarb(t, nil, strings.Fields(line)...)
		if code != exitDone || strings.Contains(out, "imagenet ") || strings.Count(out, "garments") == 0 {
			t.Errorf("%s: %d %s%s", line, code, out, errOut)
		}
	}
}

// TestSmallTrains trains on the features of a built-in model, and uses the result.
func TestSmallTrains(t *testing.T) {
	data, run := drawDataSet(t), filepath.Join(t.TempDir(), "run")
	t.Setenv("GARB_HOME", t.TempDir())
	args := append(makeQuickArgs(data, run), "--backbone", model.Garments)
	if code, out, errOut := runGarb(t, nil, args...); code != exitDone || !strings.Contains(out, "test      accuracy") {
		t.Fatalf("%d %s%s", code, out, errOut)
	}
	code, out, errOut := runGarb(t, nil, "evaluate", "--model", run, "--data", filepath.Join(data, "test"))
	if code != exitDone || !strings.Contains(out, "accuracy") {
		t.Errorf("%d %s%s", code, out, errOut)
	}
	code, out, errOut = runGarb(t, nil, "classify", "--model", run, "../../examples/t-shirt.jpg")
	if code != exitDone {
		t.Errorf("%d %s%s", code, out, errOut)
	}
}
