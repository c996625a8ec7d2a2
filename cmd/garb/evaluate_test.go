package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"garb/model"
)

// writeClassFolders writes files to the folders of their classes.
func writeClassFolders(t *testing.T, root string, files map[string][]byte) string {
	t.Helper()
	for name, data := range files {
		folder := filepath.Join(root, filepath.Dir(name))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, folder, filepath.Base(name), data)
	}
	return root
}

func TestEvaluateWrongUse(t *testing.T) {
	for _, args := range [][]string{
		{"evaluate", "--data", "x", "--split", "train"}, {"compare", "clothing"}, {"compare", "clothing", "imagenet"},
		{"compare", "a", "b", "c", "--data", "x"}, {"compare", "a", "b", "--data", "x", "--split", "tset"},
	} {
		code, out, errOut := runGarb(t, nil, args...)
		if code != exitMisused || out != "" || !strings.Contains(errOut, "--help") {
			t.Errorf("%v: %d %q %q", args, code, out, errOut)
		}
	}
}

// TestEvaluateParts evaluates the built-in classifier on splits that differ.
func TestEvaluateParts(t *testing.T) {
	shirt := readFile(t, example)
	root := writeClassFolders(t, t.TempDir(), map[string][]byte{
		"train/t-shirt/1.jpg": shirt, "validation/t-shirt/1.jpg": shirt, "validation/t-shirt/2.jpg": shirt,
		"test/dress/1.jpg": shirt,
	})
	page := filepath.Join(t.TempDir(), "report.html")
	for _, c := range []struct {
		args         []string
		out, message string
	}{
		{[]string{"--data", root}, "accuracy  0.0 % on 1 picture", "on the test split of "},
		{[]string{"--data", root, "--split", "test"}, "accuracy  0.0 % on 1 picture", "on the test split of "},
		{[]string{"--data", root, "--split", "validation", "--html", page}, "accuracy  100.0 % on 2 pictures",
			"on the validation split of "},
		{[]string{"--data", filepath.Join(root, "validation")}, "accuracy  100.0 % on 2 pictures", ""},
	} {
		code, out, errOut := runGarb(t, nil, append([]string{"evaluate"}, c.args...)...)
		if code != exitDone || !strings.HasPrefix(out, c.out) || !strings.Contains(errOut, c.message) ||
			(c.message == "") == strings.Contains(errOut, "split of ") {
			t.Errorf("%v: %d\n%s%s", c.args, code, out, errOut)
		}
	}
	text := string(readFile(t, page))
	for _, want := range []string{"<h1>clothing on validation</h1>", "accuracy, validation (2 pictures)",
		"data:image/jpeg;base64,", "</html>"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if err := os.RemoveAll(filepath.Join(root, "test")); err != nil {
		t.Fatal(err)
	}
	if code, _, errOut := runGarb(t, nil, "evaluate", "--data", root); code != exitFailed || !strings.Contains(errOut,
		"no test split") {
		t.Errorf("without test: %d %s", code, errOut)
	}
	nowhere := filepath.Join(root, "gone", "report.html")
	if code, _, errOut := runGarb(t, nil, "evaluate", "--data", root, "--split", "validation", "--html",
		nowhere); code != exitFailed || !strings.Contains(errOut, nowhere) {
		t.Errorf("a page in no folder: %d %s", code, errOut)
	}
}

// trainDividedModel trains on a folder without splits, which the seed splits.
func trainDividedModel(t *testing.T, data, seed string, flags ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "seed"+seed)
	args := append([]string{"train", "--data", data, "--size", "32", "--epochs", "1", "--split-seed", seed,
		"--out", out}, flags...)
	if code, printed, errOut := runGarb(t, nil, args...); code != exitDone {
		t.Fatalf("%d\n%s%s", code, printed, errOut)
	}
	return out
}

// TestEvaluateDivides: for a folder without splits, a model is evaluated on the pictures that
// its own training held out, whatever the seed.
func TestEvaluateDivides(t *testing.T) {
	skipSmall(t, "ImageNet network")
	t.Setenv("GARB_HOME", t.TempDir())
	shirt, plain := readFile(t, example), readFile(t, "../../picture/testdata/plain.png")
	files := map[string][]byte{}
	for i := range 20 {
		// Bytes after a picture's end tell equal ones apart.
		files[fmt.Sprintf("shirt/%02d.jpg", i)] = append(bytes.Clone(shirt), byte(i))
		files[fmt.Sprintf("dot/%02d.png", i)] = append(bytes.Clone(plain), byte(i))
	}
	root := writeClassFolders(t, t.TempDir(), files)
	digest := func(args ...string) string {
		t.Helper()
		printed := mustRun(t, append([]string{"evaluate", "--json", "--data", root}, args...)...)
		return printed[strings.Index(printed, "data_digest"):][:90]
	}
	one, two := trainDividedModel(t, root, "1"), trainDividedModel(t, root, "2", "--test-share", "0")
	all := digest("--model", one)
	if got := digest("--model", two); got != all {
		t.Errorf("the whole folder is %s, and %s", all, got)
	}
	for _, c := range []struct {
		args    []string
		warning string // of training pictures among those that are measured on
	}{
		{[]string{"--model", one}, "--split test for"},
		{[]string{"--model", one, "--split", "all"}, "--split test for"},
		{[]string{"--model", two}, "--split validation for"},
		{[]string{"--model", one, "--split", "test"}, ""},
		{[]string{"--merge", "dot=hat"}, ""},
	} {
		code, _, errOut := runGarb(t, nil, append([]string{"evaluate", "--data", root}, c.args...)...)
		if code != exitDone || !strings.Contains(errOut, c.warning) ||
			strings.Contains(errOut, "overestimated") != (c.warning != "") {
			t.Errorf("%v: %d %s", c.args, code, errOut)
		}
	}
	seen := map[string]bool{all: true}
	for _, args := range [][]string{{"--model", one, "--split", "test"}, {"--model", one, "--split", "validation"},
		{"--model", two, "--split", "validation"}} {
		got := digest(args...)
		if seen[got] {
			t.Errorf("%v: the same pictures as before", args)
		}
		seen[got] = true
		// The page that training wrote is on the very same pictures.
		page := readFile(t, filepath.Join(args[1], "report.html"))
		if !bytes.Contains(page, []byte(got[len(`data_digest":"`):][:71])) {
			t.Errorf("%v: training had other pictures than %s", args, got)
		}
	}
	code, _, errOut := runGarb(t, nil, "evaluate", "--model", two, "--data", root, "--split", "test")
	if code != exitFailed || !strings.Contains(errOut, "--test-share 0") {
		t.Errorf("without a test part: %d %s", code, errOut)
	}
	code, _, errOut = runGarb(t, nil, "compare", one, two, "--data", root, "--split", "validation")
	if code != exitFailed || !strings.Contains(errOut, "different splits") {
		t.Errorf("two divisions: %d %s", code, errOut)
	}
	code, out, errOut := runGarb(t, nil, "compare", one, one, "--data", root, "--split", "validation")
	if code != exitDone || !strings.Contains(out, "equally accurate") ||
		strings.Contains(out, "only one model") {
		t.Errorf("with itself: %d\n%s%s", code, out, errOut)
	}
}

// TestCompare compares the built-in classifier, which recognizes the t-shirt, with a model
// that was trained on wrong labels.
func TestCompare(t *testing.T) {
	skipSmall(t, "ImageNet network")
	t.Setenv("GARB_HOME", t.TempDir())
	shirt, plain := readFile(t, example), readFile(t, "../../picture/testdata/plain.png")
	files := map[string][]byte{}
	for _, split := range []string{"train", "validation"} {
		files[split+"/dress/1"], files[split+"/t-shirt/1"] = shirt, plain
	}
	wrong := filepath.Join(t.TempDir(), "wrong")
	code, out, errOut := runGarb(t, nil, "train", "--data", writeClassFolders(t, t.TempDir(), files), "--size", "64",
		"--epochs", "5", "--learning-rate", "0.01", "--out", wrong)
	if code != exitDone {
		t.Fatalf("%d\n%s%s", code, out, errOut)
	}
	const copies = shownDiffering + 5
	files = map[string][]byte{"t-shirt/bad": []byte("text")}
	for i := range copies {
		files[fmt.Sprintf("t-shirt/%02d", i)] = shirt
	}
	root := writeClassFolders(t, t.TempDir(), files)
	code, out, errOut = runGarb(t, nil, "compare", model.Clothing, wrong, "--data", root)
	if code != exitDone || !strings.Contains(out, "accuracy 100.0 % on 25 pictures") ||
		!strings.Contains(out, "accuracy 0.0 % on 25 pictures") ||
		!strings.Contains(out, "correct: both 0, only A 25, only B 0, neither 0") ||
		!strings.Contains(out, "A is better") {
		t.Errorf("%d\n%s%s", code, out, errOut)
	}
	if !strings.Contains(out, "20 of 25; --json lists all") ||
		strings.Count(out, "t-shirt, which B classified as dress") != shownDiffering {
		t.Errorf("the pictures:\n%s", out)
	}
	code, out, _ = runGarb(t, nil, "compare", wrong, model.Clothing, "--data", root, "--json")
	o := decodeObject(t, out, "a", "b", "count", "both", "only_a", "only_b", "neither", "p_value", "differ")
	// 2·(1/2)²⁵
	if code != exitDone || o["only_b"] != 25.0 || len(o["differ"].([]any)) != copies ||
		o["p_value"].(float64) > 6e-8 || o["p_value"].(float64) < 5.9e-8 {
		t.Errorf("%d\n%s", code, out)
	}
	// A class that only one of them knows is left out for both.
	more := writeClassFolders(t, t.TempDir(), map[string][]byte{"T-Shirt/1": shirt, "hat/1": shirt, "hat/2": plain})
	code, _, errOut = runGarb(t, nil, "compare", model.Clothing, wrong, "--data", more)
	if code != exitFailed || !strings.Contains(errOut,
		`the model does not know 1 class of the data set: "hat"; it knows "dress", "t-shirt"`) {
		t.Errorf("%d %s", code, errOut)
	}
	code, out, errOut = runGarb(t, nil, "compare", model.Clothing, wrong, "--data", more, "--ignore-unknown-classes")
	if code != exitDone || !strings.Contains(out, "on 1 picture") || strings.Count(errOut, `"hat" (2)`) != 1 {
		t.Errorf("%d %s%s", code, out, errOut)
	}
	for _, args := range [][]string{
		{"compare", wrong, wrong, "--data", root}, {"compare", "--json", wrong, wrong, "--data", root},
		{"evaluate", "--data", root}, {"evaluate", "--json", "--data", root},
	} {
		var full bytes.Buffer
		if code = run(t.Context(), args, strings.NewReader(""), fullDisk{}, &full); code != exitFailed ||
			!strings.Contains(full.String(), "no space left") {
			t.Errorf("%v to a full disk: %d %s", args, code, full.String())
		}
	}
	code, _, errOut = runGarb(t, nil, "compare", wrong, filepath.Join(root, "gone"), "--data", root)
	if code != exitFailed || !strings.Contains(errOut, "gone") || strings.Contains(errOut, "pictures:") {
		t.Errorf("a model that is not there: %d %s", code, errOut)
	}
}
