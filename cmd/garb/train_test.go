package main

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"garb/internal/kernel"
	"garb/model"
	"garb/tensor"
)

// TestMain runs garb itself for tests that need a process of their own.
func TestMain(m *testing.M) {
	if os.Getenv("GARB_TEST_IS_GARB") != "" {
		main()
	}
	os.Exit(m.Run())
}

// newGarbProcess returns a command that runs garb as another process.
func newGarbProcess(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), program, args...)
	c.Env = append(os.Environ(), "GARB_TEST_IS_GARB=1")
	return c
}

// drawDataSet draws a data set of two classes, light and dark, in all splits.
func drawDataSet(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	random := rand.New(rand.NewPCG(5, 5))
	for split, count := range map[string]int{"train": 8, "validation": 4, "test": 3} {
		for class, level := range map[string]int{"dark": 60, "light": 140} {
			folder := filepath.Join(root, split, class)
			if err := os.MkdirAll(folder, 0o755); err != nil {
				t.Fatal(err)
			}
			for i := range count {
				m := image.NewGray(image.Rect(0, 0, 36, 36))
				for p := range m.Pix {
					m.Pix[p] = uint8(level + random.IntN(60))
				}
				m.SetGray(0, 0, color.Gray{uint8(i)})
				var b bytes.Buffer
				if err := png.Encode(&b, m); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%d.png", i)), b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return root
}

// makeQuickArgs returns the arguments of a training that takes about a second.
func makeQuickArgs(data, out string) []string {
	return []string{
		"train", "--data", data, "--out", out, "--size", "32", "--fine-tune", "3", "--epochs", "6", "--batch", "4",
		"--horizontal-flip", "--zoom", "0.1", "--average", "0.9", "--optimizer", "adamw", "--schedule", "cosine",
		"--seed", "7",
	}
}

// TestKilled kills garb train at random moments, again and again, and resumes the run each
// time. Its model is that of a run that was not killed, to the bit.
func TestKilled(t *testing.T) {
	skipSmall(t, "ImageNet network")
	if testing.Short() {
		t.Skip("left out with -short: it runs garb a dozen times")
	}
	data := drawDataSet(t)
	whole := filepath.Join(t.TempDir(), "run")
	began := time.Now()
	if out, err := newGarbProcess(t, makeQuickArgs(data, whole)...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	took := time.Since(began)
	want, err := filepath.Glob(filepath.Join(whole, "checkpoints", "*"))
	if err != nil || len(want) == 0 {
		t.Fatal(want, err)
	}
	random := rand.New(rand.NewPCG(uint64(began.UnixNano()), 0))
	kills := 0
	rounds := 4
	if kernel.ActiveLevel() == kernel.Generic {
		rounds = 1 // each takes ten times as long
	}
	// On a machine that became idle, a run can end before its first kill.
	for round := 0; round < rounds || kills == 0 && round < 20; round++ {
		out := filepath.Join(t.TempDir(), "run")
		kills += trainWithKills(t, data, out, func() time.Duration { return time.Duration(random.Int64N(int64(took))) })
		for _, path := range want {
			got := readFile(t, filepath.Join(out, "checkpoints", filepath.Base(path)))
			if !bytes.Equal(got, readFile(t, path)) {
				t.Errorf("%s is another model after kills", filepath.Base(path))
			}
		}
	}
	t.Logf("%d kills", kills)
	if kills == 0 {
		t.Error("nothing was killed")
	}
}

// trainWithKills starts a run, kills it up to six times after a random time each, and resumes it
// until it is done. It returns the number of kills.
func trainWithKills(t *testing.T, data, out string, wait func() time.Duration) int {
	t.Helper()
	const most = 6
	for kills := 0; ; kills++ {
		args := makeQuickArgs(data, out)
		if exists(filepath.Join(out, "config.json")) {
			args = []string{"train", "--resume", out}
		}
		c := newGarbProcess(t, args...)
		var said bytes.Buffer
		c.Stdout, c.Stderr = &said, &said
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if kills < most {
			time.Sleep(wait())
			c.Process.Kill()
		}
		err := c.Wait()
		switch {
		case err == nil:
			return kills
		case kills < most:
		case strings.Contains(said.String(), "has finished its 6 epochs"): // killed at the very end
			return kills
		default:
			t.Fatalf("after %d kills: %v: %s", kills, err, said.String())
		}
	}
}

// TestTrainInterrupted: Ctrl-C saves the run, prints how to resume it, and exits with 130.
func TestTrainInterrupted(t *testing.T) {
	skipSmall(t, "ImageNet network")
	data, out := drawDataSet(t), filepath.Join(t.TempDir(), "run")
	c := newGarbProcess(t, append(makeQuickArgs(data, out), "--epochs", "100000")...)
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	makeInterruptible(c)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for range 400 { // until it is in its epochs
		if exists(filepath.Join(out, "state.safetensors")) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	interrupt(t, c)
	c.Wait()
	if code := c.ProcessState.ExitCode(); code != exitStopped || !strings.Contains(said.String(),
		"garb train --resume "+out) {
		t.Errorf("exit code %d: %s", code, said.String())
	}
}

func TestTrainCommand(t *testing.T) {
	skipSmall(t, "ImageNet network")
	data := drawDataSet(t)
	t.Setenv("GARB_HOME", t.TempDir())
	out := filepath.Join(t.TempDir(), "run")
	text, _, err := runCommand(t, newTrainCommand(), makeQuickArgs(data, out)[1:]...)
	if err != nil || !strings.Contains(text, "best so far") || !strings.Contains(text, "test      accuracy") {
		t.Fatalf("%v: %s", err, text)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"finished": {[]string{"--resume", out}, "raise --epochs"},
		"other settings": {[]string{"--resume", out, "--epochs", "8", "--learning-rate", "0.5", "--dropout", "0.2"},
			"learning_rate (0.5, not 0.0003)"},
		"other network":    {[]string{"--resume", out, "--epochs", "8", "--inner", "5"}, "inner ([5], not [])"},
		"other place":      {[]string{"--resume", out, "--out", "x"}, "omit --out"},
		"no fold":          {[]string{"--data", data, "--folds", "3"}, "needs --fold, from 1 to 3"},
		"no run":           {[]string{"--resume", data}, "not the folder of a run"},
		"taken folder":     {makeQuickArgs(data, out)[1:], "holds another run"},
		"no data":          {[]string{"--out", "x"}, "needs --data"},
		"no such data":     {[]string{"--data", filepath.Join(data, "nix"), "--out", "x"}, "nix"},
		"argument":         {[]string{data}, "takes its data set as --data"},
		"unknown word":     {[]string{"--data", data, "--optimizer", "adagrad"}, "must be one of adam, adamw, sgd"},
		"out of range":     {[]string{"--data", data, "--dropout", "1"}, "at least 0 and below 1"},
		"a small picture":  {[]string{"--data", data, "--size", "8"}, "at least 32"},
		"views of nothing": {[]string{"--data", data, "--cached-views", "2"}, "cached views"},
	} {
		_, _, refusal := runCommand(t, newTrainCommand(), c.args...)
		if refusal == nil || !strings.Contains(refusal.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, refusal, c.want)
		}
	}
	if text, _, err = runCommand(t, newTrainCommand(), "--resume", out, "--epochs", "7", "--seed", "7"); err != nil ||
		strings.Count(text, "\n    7 ") != 1 {
		t.Errorf("one more epoch: %v: %s", err, text)
	}
}

// TestTrainOnAFile: the backbone of a run can be trained further in the next run.
func TestTrainOnAFile(t *testing.T) {
	skipSmall(t, "ImageNet network")
	data := drawDataSet(t)
	t.Setenv("GARB_HOME", t.TempDir())
	first, second := filepath.Join(t.TempDir(), "first"), filepath.Join(t.TempDir(), "second")
	if _, _, err := runCommand(t, newTrainCommand(), makeQuickArgs(data, first)[1:]...); err != nil {
		t.Fatal(err)
	}
	if _, _, err := runCommand(t, newTrainCommand(), "--data", data, "--out", second, "--backbone", first,
		"--size", "32", "--epochs", "2"); err != nil {
		t.Fatal(err)
	}
	tensors := func(run string) *tensor.File {
		path, err := model.BestCheckpoint(run)
		if err != nil {
			t.Fatal(err)
		}
		f, err := tensor.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	a, b := tensors(first), tensors(second)
	x, err := a.Tensor("head/conv/kernel")
	if err != nil {
		t.Fatal(err)
	}
	y, err := b.Tensor("head/conv/kernel")
	if err != nil || !slices.Equal(x.Data, y.Data) {
		t.Errorf("the frozen backbone is another, %v", err)
	}
	for name, bad := range map[string][]string{
		"no network": {"--data", data, "--backbone", filepath.Join(data, "train", "dark", "0.png")},
		"no file":    {"--data", data, "--backbone", "nix"},
		// Weights of another architecture than the one that was named.
		"another architecture": {"--data", data, "--backbone", "efficientnet-lite1", "--weights", filepath.Join(first,
			"state.safetensors"), "--out", filepath.Join(t.TempDir(), "x")},
	} {
		if _, _, err := runCommand(t, newTrainCommand(), bad...); err == nil {
			t.Errorf("%s: no error", name)
		} else {
			t.Log(err)
		}
	}
}

// TestTrainDiskFull: a full disk ends the run with an error that says so, and files from
// before can still be used.
func TestTrainDiskFull(t *testing.T) {
	skipSmall(t, "ImageNet network")
	data, folder := drawDataSet(t), t.TempDir()
	t.Setenv("GARB_HOME", t.TempDir())
	if err := mountSmall(folder); err != nil {
		t.Skipf("it takes the right to mount a small disk: %v", err)
	}
	defer unmount(folder)
	out := filepath.Join(folder, "run")
	args := append(makeQuickArgs(data, out)[1:], "--fine-tune", "none")
	if _, _, err := runCommand(t, newTrainCommand(), args...); err != nil {
		t.Fatal(err)
	}
	rest, err := os.Create(filepath.Join(folder, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(rest, zeros{}) // until it is full
	rest.Close()
	if _, _, err := runCommand(t, newTrainCommand(), "--resume", out, "--epochs", "9"); err == nil ||
		!strings.Contains(err.Error(), "no space left") {
		t.Errorf("%v", err)
	}
	os.Remove(rest.Name())
	if _, _, err := runCommand(t, newTrainCommand(), "--resume", out, "--epochs", "9"); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestSweepCommand runs a grid of two by two, stops it and continues it.
func TestSweepCommand(t *testing.T) {
	skipSmall(t, "ImageNet network")
	data := drawDataSet(t)
	t.Setenv("GARB_HOME", t.TempDir())
	out := filepath.Join(t.TempDir(), "sweep")
	args := []string{"--data", data, "--out", out, "--size", "32", "--epochs", "2", "--batch", "4", "--learning-rate",
		"1e-4,0.01", "--inner", "0,5", "--seeds", "2"}
	text, progress, err := runCommand(t, newSweepCommand(), args...)
	if err != nil || strings.Count(text, "learning-rate=0.01") != 2 || strings.Count(text, "inner=5") != 2 ||
		!strings.Contains(text, "the best") {
		t.Fatalf("%v: %s", err, text)
	}
	if strings.Count(progress, "run ") != 8 {
		t.Errorf("progress: %s", progress)
	}
	state := filepath.Join(out, "learning-rate=0.01_inner=5", "seed1", "state.safetensors")
	before := readFile(t, state)
	again, _, err := runCommand(t, newSweepCommand(), args...)
	if err != nil || again != text {
		t.Errorf("done again: %v: %s", err, again)
	}
	if !bytes.Equal(readFile(t, state), before) {
		t.Error("a run that was done was done again")
	}
	for name, bad := range map[string][]string{
		"nothing to sweep": {"--data", data},
		"no number":        {"--data", data, "--dropout", "0,x"},
		"no such backbone": {"--data", data, "--backbone", "efficientnet-lite0,resnet"},
		"out of range":     {"--data", data, "--dropout", "0,1.5"},
		"other settings":   append(args, "--optimizer", "sgd"),
	} {
		if _, _, err := runCommand(t, newSweepCommand(), bad...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestLRFindCommand(t *testing.T) {
	skipSmall(t, "ImageNet network")
	data := drawDataSet(t)
	t.Setenv("GARB_HOME", t.TempDir())
	plot := filepath.Join(t.TempDir(), "rates.svg")
	text, _, err := runCommand(t, newLRFindCommand(), "--data", data, "--size", "32", "--batch", "4", "--steps", "40",
		"--plot", plot)
	if err != nil || !strings.Contains(text, "proposed  --learning-rate ") {
		t.Fatalf("%v: %s", err, text)
	}
	if !bytes.Contains(readFile(t, plot), []byte("</svg>")) {
		t.Error("no plot")
	}
}
