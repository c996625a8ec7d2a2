package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"garb/model"
	"garb/picture"
)

// trainSmall trains small networks with different seeds, and returns their data set and runs.
func trainSmall(t *testing.T, seeds ...string) (data string, runs []string) {
	t.Helper()
	data, home := drawDataSet(t), t.TempDir()
	for _, seed := range seeds {
		run := filepath.Join(home, "run"+seed)
		code, _, errOut := runGarb(t, nil, "train", "--data", data, "--backbone", "small-cnn", "--size", "32",
			"--epochs", "2", "--seed", seed, "--out", run)
		if code != exitDone {
			t.Fatal(errOut)
		}
		runs = append(runs, run)
	}
	return data, runs
}

// TestAverageCommand averages two small networks.
func TestAverageCommand(t *testing.T) {
	_, runs := trainSmall(t, "1", "2")
	out := filepath.Join(t.TempDir(), "mean.safetensors")
	code, text, errOut := runGarb(t, nil, "average", runs[0], runs[1], "--out", out)
	if code != exitDone || !strings.Contains(text, "the average of 2 models") ||
		!strings.Contains(text, "--data fits it") {
		t.Fatalf("%d %s %s", code, text, errOut)
	}
	m, err := model.Open(out, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Description().Training; got == nil || len(got.Averaged) != 2 {
		t.Errorf("its record is %+v", got)
	}
	if m.Description().Acceptance != nil || !strings.Contains(errOut, "acceptance of "+runs[0]) {
		t.Errorf("acceptance %+v; said %q", m.Description().Acceptance, errOut)
	}
	if _, shown, _ := runGarb(t, nil, "models", "show", out); !strings.Contains(shown, "average of 2 models") {
		t.Errorf("models show: %s", shown)
	}
	code, _, errOut = runGarb(t, nil, "average", runs[0], runs[1], "--out", out)
	if code != exitFailed || !strings.Contains(errOut, "exists") {
		t.Errorf("a file that exists: %d %s", code, errOut)
	}
}

// TestAverageBackbones averages backbones, and trains a head on the result.
func TestAverageBackbones(t *testing.T) {
	data, runs := trainSmall(t, "1", "2")
	home := t.TempDir()
	backbone := filepath.Join(home, "backbone.safetensors")
	code, text, errOut := runGarb(t, nil, "average", runs[0], runs[1], "--backbones", "--out", backbone)
	if code != exitDone || !strings.Contains(text, "backbones of 2 models: small-cnn") {
		t.Fatalf("%d %s %s", code, text, errOut)
	}
	code, _, errOut = runGarb(t, nil, "train", "--data", data, "--backbone", backbone, "--size", "32",
		"--epochs", "1", "--out", filepath.Join(home, "head"))
	if code != exitDone {
		t.Errorf("a head on the average of backbones: %d %s", code, errOut)
	}
	code, _, errOut = runGarb(t, nil, "average", runs[0], runs[1], "--backbones", "--data", data,
		"--out", backbone+"2")
	if code != exitMisused || !strings.Contains(errOut, "omit --data") {
		t.Errorf("backbones with data: %d %s", code, errOut)
	}
}

// TestAverageFits: the average of a model with itself is that model, whose temperature was
// fitted by training.
func TestAverageFits(t *testing.T) {
	data, runs := trainSmall(t, "1")
	fitted := filepath.Join(t.TempDir(), "fitted.safetensors")
	code, text, errOut := runGarb(t, nil, "average", runs[0], runs[0], "--data", data, "--out", fitted)
	if code != exitDone || !strings.Contains(text, "(fitted)") || !strings.Contains(text, "accuracy") {
		t.Fatalf("%d %s %s", code, text, errOut)
	}
	models, err := openAll([]string{runs[0], fitted}, picture.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	a, b := models[0].Description().Temperature, models[1].Description().Temperature
	if a/b < 0.99 || a/b > 1.01 {
		t.Errorf("temperature %v, and of its average with itself %v", a, b)
	}
}

// TestAverageGreedy: the greedy average is at least as accurate as the best of three networks.
func TestAverageGreedy(t *testing.T) {
	data, runs := trainSmall(t, "1", "2", "3")
	home := t.TempDir()
	greedy := filepath.Join(home, "greedy.safetensors")
	// With itself nothing gets worse, so all are added.
	code, text, errOut := runGarb(t, nil, "average", runs[0], runs[0], runs[0], "--data", data, "--greedy",
		"--out", greedy)
	if code != exitDone || strings.Count(text, ": added") != 2 || !strings.Contains(text, "the average of 3 models") {
		t.Errorf("%d %s %s", code, text, errOut)
	}
	greedy += "2"
	code, text, errOut = runGarb(t, nil, append(append([]string{"average"}, runs...), "--data", data, "--greedy",
		"--out", greedy)...)
	steps := regexp.MustCompile(`(?m)^[01]\.\d+  .*$`).FindAllString(text, -1)
	if len(steps) != 3 {
		t.Fatalf("%d %s %s", code, text, errOut)
	}
	best := steps[0][:6]
	for _, step := range steps[1:] {
		if added := strings.HasSuffix(step, ": added"); added != (step[:6] >= best) {
			t.Errorf("%s, with the best so far %s", step, best)
		} else if added {
			best = step[:6]
		}
	}
	if _, err := os.Stat(greedy); (err == nil) != (code == exitDone) {
		t.Errorf("exit code %d, and the file: %v", code, err)
	}
	if left, _ := filepath.Glob(filepath.Join(home, ".garb-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAverageRefuses(t *testing.T) {
	skipSmall(t, "ImageNet network")
	out := filepath.Join(t.TempDir(), "mean.safetensors")
	for word, args := range map[string][]string{
		"at least two":       {"clothing", "--out", out},
		"--out":              {"clothing", "clothing"},
		"--greedy":           {"clothing", "clothing", "--greedy", "--out", out},
		"--split":            {"clothing", "clothing", "--split", "test", "--out", out},
		"cannot be averaged": {"clothing", "imagenet", "--out", out},
		"no such file":       {"clothing", "nowhere", "--out", out},
	} {
		code, _, errOut := runGarb(t, nil, append([]string{"average"}, args...)...)
		if code == exitDone || !strings.Contains(errOut, word) || len(errOut) > 400 {
			t.Errorf("%v: %d %s", args, code, errOut)
		}
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a file was written")
	}
}
