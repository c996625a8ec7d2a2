package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"garb/model"
)

// TestAverageCommand trains three small networks and averages them: with the pictures to
// choose by, the greedy mean is at least as good as the best of them.
func TestAverageCommand(t *testing.T) {
	data, home := drawn(t), t.TempDir()
	var runs []string
	for _, seed := range []string{"1", "2", "3"} {
		run := filepath.Join(home, "run"+seed)
		code, _, errOut := garbRun(t, nil, "train", "--data", data, "--backbone", "small-cnn", "--size", "32",
			"--epochs", "2",
			"--seed", seed, "--out", run)
		if code != exitDone {
			t.Fatal(errOut)
		}
		runs = append(runs, run)
	}
	out := filepath.Join(home, "mean.safetensors")
	code, text, errOut := garbRun(t, nil, "average", runs[0], runs[1], "--out", out)
	if code != exitDone || !strings.Contains(text, "the mean of 2 models") || !strings.Contains(text, "not fitted") {
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
	if _, shown, _ := garbRun(t, nil, "models", "show", out); !strings.Contains(shown, "the mean of 2 models") {
		t.Errorf("models show: %s", shown)
	}
	code, _, errOut = garbRun(t, nil, "average", runs[0], runs[1], "--out", out)
	if code != exitFailed || !strings.Contains(errOut, "exists") {
		t.Errorf("a file that exists: %d %s", code, errOut)
	}

	bone := filepath.Join(home, "backbone.safetensors")
	code, text, errOut = garbRun(t, nil, "average", runs[0], runs[1], "--backbones", "--out", bone)
	if code != exitDone || !strings.Contains(text, "backbones of 2 models: small-cnn") {
		t.Fatalf("%d %s %s", code, text, errOut)
	}
	code, _, errOut = garbRun(t, nil, "train", "--data", data, "--backbone", bone, "--size", "32", "--epochs", "1",
		"--out",
		filepath.Join(home, "head"))
	if code != exitDone {
		t.Errorf("a head on the mean of backbones: %d %s", code, errOut)
	}
	code, _, errOut = garbRun(t, nil, "average", runs[0], runs[1], "--backbones", "--data", data, "--out", bone+"2")
	if code != exitMisused || !strings.Contains(errOut, "omit --data") {
		t.Errorf("backbones with data: %d %s", code, errOut)
	}

	fitted := filepath.Join(home, "fitted.safetensors")
	code, text, errOut = garbRun(t, nil, "average", runs[0], runs[0], "--data", data, "--out", fitted)
	if code != exitDone || !strings.Contains(text, "(fitted)") || !strings.Contains(text, "accuracy") {
		t.Fatalf("%d %s %s", code, text, errOut)
	}
	// The mean of a model with itself is that model: its temperature was fitted by training.
	one, err := model.Open(runs[0], model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	twice, err := model.Open(fitted, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if a, b := one.Description().Temperature, twice.Description().Temperature; a/b < 0.99 || a/b > 1.01 {
		t.Errorf("temperature %v, and of its mean with itself %v", a, b)
	}

	// With itself nothing becomes worse, so all are added.
	greedy := filepath.Join(home, "greedy.safetensors")
	code, text, errOut = garbRun(t, nil, "average", runs[0], runs[0], runs[0], "--data", data, "--greedy", "--out",
		greedy)
	if code != exitDone || strings.Count(text, ": added") != 2 || !strings.Contains(text, "the mean of 3 models") {
		t.Errorf("%d %s %s", code, text, errOut)
	}
	greedy += "2"
	code, text, errOut = garbRun(t, nil, append(append([]string{"average"}, runs...), "--data", data, "--greedy",
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
	out := filepath.Join(t.TempDir(), "mean.safetensors")
	for word, args := range map[string][]string{
		"at least two": {"clothing", "--out", out},
		"--out":        {"clothing", "clothing"},
		"--greedy":     {"clothing", "clothing", "--greedy", "--out", out},
		"--split":      {"clothing", "clothing", "--split", "test", "--out", out},
		"cannot be averaged": {"clothing", "imagenet", "--out", out},
		"no such file": {"clothing", "nowhere", "--out", out},
	} {
		code, _, errOut := garbRun(t, nil, append([]string{"average"}, args...)...)
		if code == exitDone || !strings.Contains(errOut, word) || len(errOut) > 400 {
			t.Errorf("%v: %d %s", args, code, errOut)
		}
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a file was written")
	}
}
