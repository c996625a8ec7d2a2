package main

import (
	"bytes"
	"encoding/json"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"garb/accept"
	"garb/model"
	"garb/nn"
	"garb/picture"
	"garb/results"
	"garb/tensor"
)

// makeJudgingModel saves a model of two classes that refuses pictures as "no light" the less
// red they have: the acceptance is 1/(1+e^−(20·red−10)).
func makeJudgingModel(t *testing.T) string {
	t.Helper()
	spec := picture.Spec{Width: 8, Height: 8, Filter: picture.Nearest, Fit: picture.Stretch,
		Std: [3]float32{255, 255, 255}}
	b := nn.NewBuilder(8, 8, 3)
	graph := b.Build(b.Dense("top", b.GlobalAveragePool(b.Input()), 3, nn.WithBias()))
	tensors := tensor.Map{
		// From red, green, blue to day, night, and the output of acceptance.
		"top/kernel": tensor.FromSlice([]float32{0, 0, 1, 3, 0, 0, 0, 3, 0}, 3, 3), "top/bias": tensor.New(3),
	}
	m := model.Model{Description: model.Description{
		Format: model.FormatVersion, Network: graph.Layers(), Classes: []string{"day", "night"}, Preprocessing: spec,
		Acceptance: &model.Acceptance{
			Method: accept.Head, Calibration: accept.Calibration{Slope: 20, Offset: -10}, Threshold: .5,
			Refusal:    "no light",
			Validation: accept.Share{Count: 20, Accepted: 19}, Preprocessing: spec,
			Others: []model.OtherShare{{Name: "caves", Share: accept.Share{Count: 50, Accepted: 1}}},
		},
	}, Tensors: tensors}
	if err := m.SetGolden(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "light.safetensors")
	if err := m.Save(path, tensor.Float32); err != nil {
		t.Fatal(err)
	}
	return path
}

// drawPlainPicture draws a picture of one colour.
func drawPlainPicture(t *testing.T, path string, c color.RGBA) string {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, 40, 40))
	draw.Draw(m, m.Rect, image.NewUniform(c), image.Point{}, draw.Src)
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestClassifyRefuses(t *testing.T) {
	reference, folder := makeJudgingModel(t), t.TempDir()
	bright := drawPlainPicture(t, filepath.Join(folder, "bright.png"), color.RGBA{255, 255, 0, 255})
	dark := drawPlainPicture(t, filepath.Join(folder, "dark.png"), color.RGBA{0, 0, 255, 255})
	run := func(args ...string) (out, errOut string) {
		t.Helper()
		code, out, errOut := runGarb(t, nil, append([]string{"classify", "--model", reference}, args...)...)
		if code != exitDone {
			t.Fatalf("%v: exit code %d, %s", args, code, errOut)
		}
		return out, errOut
	}
	out, errOut := run(bright, dark)
	if !strings.Contains(out, "dark.png\n  no light   (closest: night 95 %)\n") ||
		strings.Count(out, "no light") != 1 ||
		!strings.Contains(out, "day     95.3 %") || !strings.Contains(errOut, "1 of 2 pictures refused: no light") {
		t.Errorf("%s%s", out, errOut)
	}
	out, errOut = run("--accept", "all", bright, dark)
	if strings.Contains(out+errOut, "no light") {
		t.Errorf("--accept all: %s%s", out, errOut)
	}
	if out, _ = run("--accept", "1", bright); !strings.Contains(out, "no light") {
		t.Errorf("--accept 1: %s", out)
	}

	out, _ = run("--json", bright, dark)
	var lines []results.Answer
	for d := json.NewDecoder(strings.NewReader(out)); d.More(); {
		var line results.Answer
		if err := d.Decode(&line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	if len(lines) != 2 || !*lines[0].Accepted || *lines[0].Acceptance < .99 || lines[0].Refusal != "" ||
		*lines[1].Accepted || *lines[1].Acceptance > .01 || lines[1].Refusal != "no light" ||
		lines[1].Class != "night" {
		t.Errorf("--json: %s", out)
	}

	out, _ = run("--csv", bright, dark)
	header, rows := parseTable(t, out)
	want := []string{"picture", "class", "accepted", "acceptance", "probability", "day", "night", "error"}
	if !slices.Equal(header, want) {
		t.Errorf("--csv: columns %q", header)
	}
	if rows[0][2] != "true" || rows[1][2] != "false" || rows[1][1] != "night" {
		t.Errorf("--csv: %q", rows)
	}
}

// TestClassifyWithoutAcceptance: a model without an acceptance prints none, and takes no
// threshold.
func TestClassifyWithoutAcceptance(t *testing.T) {
	skipSmall(t, "ImageNet network")
	_, out, _ := runGarb(t, nil, "classify", "--model", model.ImageNet, "--json", example)
	if strings.Contains(out, "accept") || !strings.Contains(out, `"class"`) {
		t.Error(out)
	}
	code, _, errOut := runGarb(t, nil, "classify", "--model", model.ImageNet, "--accept", ".5", example)
	if code == exitDone || !strings.Contains(errOut, "does not judge") || !strings.Contains(errOut, "omit --accept") {
		t.Errorf("%d %s", code, errOut)
	}
	code, _, errOut = runGarb(t, nil, "classify", "--model", model.ImageNet, "--accept", "all", example)
	if code != exitDone {
		t.Error(errOut)
	}
	for _, wrong := range []string{"2", "-1", "none", "NaN"} {
		if code, _, errOut := runGarb(t, nil, "classify", "--accept", wrong, example); code != exitMisused ||
			!strings.Contains(errOut, "0 to 1") {
			t.Errorf("--accept %s: %d %s", wrong, code, errOut)
		}
	}
}

// TestSortRefused: refused pictures are sorted into a folder of their own. The next run
// ignores it, and undo empties it.
func TestSortRefused(t *testing.T) {
	reference, folder := makeJudgingModel(t), t.TempDir()
	bright := drawPlainPicture(t, filepath.Join(folder, "bright.png"), color.RGBA{255, 255, 0, 255})
	dark := drawPlainPicture(t, filepath.Join(folder, "dark.png"), color.RGBA{0, 0, 255, 255})
	into := filepath.Join(folder, "sorted")
	sort := func() (int, string) {
		code, _, errOut := runGarb(t, nil, "classify", "--model", reference, "--sort-into", into, "--move", folder)
		return code, errOut
	}
	if code, errOut := sort(); code != exitDone {
		t.Fatal(errOut)
	}
	if !exists(filepath.Join(into, "day", "bright.png")) || !exists(filepath.Join(into, "no light", "dark.png")) ||
		exists(bright) || exists(dark) {
		t.Error("the pictures are not in their folders")
	}
	if log := string(readFile(t, filepath.Join(into, sortLogName))); !strings.Contains(log, `"class":"no light"`) {
		t.Errorf("the log does not say that a picture was refused:\n%s", log)
	}
	if code, errOut := sort(); code == exitDone || !strings.Contains(errOut, "already") {
		t.Errorf("sorted again: %d %s", code, errOut)
	}
	if code, _, errOut := runGarb(t, nil, "classify", "--undo-sort", into); code != exitDone {
		t.Error(errOut)
	}
	if !exists(bright) || !exists(dark) || exists(filepath.Join(into, "no light")) {
		t.Error("the sorting was not undone")
	}
}

// TestSortRefusedBesideAClassOfThatName: a class with the same name as the refusal keeps its
// folder.
func TestSortRefusedBesideAClassOfThatName(t *testing.T) {
	s, err := openSorter(t.TempDir(), sortCopy, []string{"no light"},
		"no light")
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if a, b := s.folders[0], s.folders[refused]; a != "no light" || a == b || b == "" {
		t.Errorf("folders %q and %q", a, b)
	}
}

func TestShowAcceptance(t *testing.T) {
	reference := makeJudgingModel(t)
	code, out, errOut := runGarb(t, nil, "models", "show", reference)
	if code != exitDone {
		t.Fatal(errOut)
	}
	for _, want := range []string{`"no light"`, "0.500", "head: ", "95.0 % of 20 pictures", "76.4 to 99.1",
		"2.0 % of 50 pictures of caves"} {
		if !strings.Contains(out, want) {
			t.Errorf("models show lacks %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "not measured") {
		t.Error("models show says that the model was not measured")
	}
	rows := formatAcceptance(&model.Acceptance{Method: accept.Energy, Refusal: model.NoneOfThese})
	if last := rows[len(rows)-1][1]; last != "not measured on other pictures" {
		t.Errorf("models show ends with %q", last)
	}
	_, out, _ = runGarb(t, nil, "models", "show", "--json", reference)
	var d struct{ Acceptance model.Acceptance }
	if err := json.Unmarshal([]byte(out), &d); err != nil || d.Acceptance.Slope != 20 || d.Acceptance.Threshold != .5 {
		t.Errorf("%+v, %v", d.Acceptance, err)
	}
}

func TestExplainSaysRefused(t *testing.T) {
	reference, folder := makeJudgingModel(t), t.TempDir()
	dark := drawPlainPicture(t, filepath.Join(folder, "dark.png"), color.RGBA{0, 0, 255, 255})
	code, out, errOut := runGarb(t, nil, "explain", "--model", reference, "--out", filepath.Join(folder, "out"), dark)
	if code != exitDone || !strings.Contains(out, `refused as "no light"`) {
		t.Errorf("%d %s%s", code, out, errOut)
	}
}

// TestEveryMethodHasWords: every acceptance method has a description.
func TestEveryMethodHasWords(t *testing.T) {
	for _, m := range accept.Methods() {
		if methodNames[m] == "" {
			t.Errorf("%s has no words", m)
		}
	}
}
