package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"garb/backbone"
	"garb/picture"
	"garb/train"
)

// TestSweepSaysWhatItKnows: the text of the ranking for one seed and for several, and the hint
// if the folder holds another sweep.
func TestSweepSaysWhatItKnows(t *testing.T) {
	skipSmall(t, "ImageNet network")
	data := drawDataSet(t)
	t.Setenv("GARB_HOME", t.TempDir())
	out := filepath.Join(t.TempDir(), "sweep")
	args := strings.Fields("--size 32 --epochs 1 --batch 4 --learning-rate 1e-4,0.01")
	args = append(args, "--data", data, "--out", out)
	text, _, err := runCommand(t, newSweepCommand(), args...)
	if err != nil || !strings.Contains(text, "\nTrained with 1 seed: ") {
		t.Errorf("%v: %s", err, text)
	}
	text, _, err = runCommand(t, newSweepCommand(), append(args, "--seeds", "2")...)
	if err != nil || strings.Contains(text, "Trained with 1 seed") || !strings.Contains(text, "1, 1 ") {
		t.Errorf("%v: %s", err, text)
	}
	text, progress, err := runCommand(t, newSweepCommand(), append(args, "--folds", "3")...)
	if err != nil || strings.Contains(text, "Trained with 1 seed") || strings.Count(text, "1, 1, 1 ") != 2 ||
		!strings.Contains(progress, "run 6 of 6") {
		t.Errorf("%v: %s%s", err, text, progress)
	}
	args[len(args)-1] = out + "2"
	_, progress, err = runCommand(t, newSweepCommand(), append(args, "--folds", "3", "--fold", "2")...)
	if err != nil || !strings.Contains(progress, "run 2 of 2") {
		t.Errorf("%v: %s", err, progress)
	}
	if _, _, err = runCommand(t, newSweepCommand(), append(args, "--folds", "1")...); err == nil {
		t.Error("one fold: no error")
	}
	args[len(args)-1] = out
	_, _, err = runCommand(t, newSweepCommand(), append(args, "--batch", "3")...)
	if err == nil || !strings.HasSuffix(err.Error(), "batch (3, not 4); choose another folder with --out") {
		t.Errorf("another sweep's folder: %v", err)
	}
}

func TestPrintRanking(t *testing.T) {
	run := func(epoch int) train.SweepRun { return train.SweepRun{Best: train.Epoch{Epoch: epoch}} }
	var b strings.Builder
	printRanking(&b, []*train.Point{
		{
			Name: "dropout=0", Runs: []train.SweepRun{run(3), run(12)}, Mean: 0.9, Spread: 0.01,
			Interval: [2]float64{0.85, 0.94}, PValue: 1, Noise: true,
		},
		{
			Name: "dropout=0.5", Runs: []train.SweepRun{run(9)}, Mean: 0.8,
			Interval: [2]float64{0.74, 0.86}, Difference: -0.1, PValue: 0.004,
		},
		{Name: "dropout=0.9", Failed: "seed 1: the loss is not a number", Noise: true},
	}, false)
	const want = `
settings     val accuracy  spread  95 % interval   best epoch  compared with the best
dropout=0          0.9000  0.0100  0.850 to 0.940  3, 12       the best
dropout=0.5        0.8000          0.740 to 0.860  9           worse (p = 0.004)
dropout=0.9  diverged: seed 1: the loss is not a number

The best is significantly better than the other point.
`
	if b.String() != want {
		t.Errorf("%s", b.String())
	}
}

// TestSweepOfBackbones sweeps over networks in files and networks with names. Each has its own
// preprocessing, and flags change all of them.
func TestSweepOfBackbones(t *testing.T) {
	skipSmall(t, "ONNX, and writes no Keras files")
	folder := t.TempDir()
	t.Setenv("GARB_HOME", filepath.Join(folder, "home"))
	data, network := drawDataSet(t), filepath.Join(folder, "colours.onnx")
	if code, _, errOut := runGarb(t, nil, "convert", makeLabellingModel(t), network); code != exitDone {
		t.Fatal(errOut)
	}
	out := filepath.Join(folder, "sweep")
	args := []string{"--data", data, "--out", out, "--backbone", network + ",efficientnet-lite0",
		"--resize", "nearest", "--preprocess", "none", "--epochs", "1", "--batch", "4"}
	text, _, err := runCommand(t, newSweepCommand(), args...)
	if err != nil || !strings.Contains(text, "backbone=colours.onnx ") ||
		!strings.Contains(text, "backbone=efficientnet-lite0") {
		t.Fatalf("%v: %s", err, text)
	}
	for name, mean := range map[string][3]float32{"colours.onnx": {}, "efficientnet-lite0": {127, 127, 127}} {
		var c train.Config
		config := readFile(t, filepath.Join(out, "backbone="+name, "seed1", "config.json"))
		if err = json.Unmarshal(config, &c); err != nil {
			t.Fatal(err)
		}
		if c.Preprocessing.Filter != picture.Nearest || c.Preprocessing.Mean != mean {
			t.Errorf("%s: pictures are prepared as %+v", name, c.Preprocessing)
		}
		if own := c.Backbone == backbone.OwnName; own != (c.Weights != "") || own != (name != "efficientnet-lite0") {
			t.Errorf("%s: backbone %q, weights %q", name, c.Backbone, c.Weights)
		}
	}
	again, _, err := runCommand(t, newSweepCommand(), args...)
	if err != nil || again != text {
		t.Errorf("done again: %v: %s", err, again)
	}
	// Another network takes the first one's place.
	more := filepath.Join(folder, "more.onnx")
	if err = os.WriteFile(more, readFile(t, network), 0o644); err != nil {
		t.Fatal(err)
	}
	text, _, err = runCommand(t, newSweepCommand(),
		append(slices.Clone(args), "--backbone", more+",efficientnet-lite0")...)
	if err != nil || !strings.Contains(text, "backbone=more.onnx ") {
		t.Errorf("another network: %v: %s", err, text)
	}
	if err := os.Mkdir(filepath.Join(folder, "other"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "other", "colours.onnx"), readFile(t, network), 0o644); err != nil {
		t.Fatal(err)
	}
	for said, bad := range map[string][]string{
		"--weights requires a single":     {"--weights", network},
		"--features-at requires a single": {"--features-at", "x"},
		"two files of the same name": {"--backbone",
			network + "," + filepath.Join(folder, "other", "colours.onnx")},
		"no backbone is named": {"--backbone", "efficientnet-lite0,missing.onnx"},
	} {
		_, _, err := runCommand(t, newSweepCommand(), append(slices.Clone(args), bad...)...)
		if err == nil || !strings.Contains(err.Error(), said) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
