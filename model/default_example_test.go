//go:build !small

package model_test

import (
	"context"
	"errors"
	"fmt"
	"garb/accept"
	"garb/model"
	"garb/tensor"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

func TestAcceptThreshold(t *testing.T) {
	data := read(t, example)
	path, _ := saveJudge(t, accept.Energy)
	at := func(v float64) model.Options { return model.Options{Accept: &v} }
	for _, threshold := range []float64{0, 1e-3, .9999, 1} {
		c := open(t, path, at(threshold))
		a, err := c.Judge(t.Context(), data)
		if err != nil || !a.Judged || a.Accepted != (a.Acceptance >= threshold) ||
			c.AcceptanceThreshold() != threshold {
			t.Errorf("threshold %v: %+v, %v", threshold, a, err)
		}
	}
	for _, bad := range []float64{-.1, 1.1, math.NaN()} {
		if _, err := model.Open(path, at(bad)); err == nil {
			t.Errorf("the threshold %v is accepted", bad)
		}
	}
	// A model that does not judge has only the threshold 0, at which it accepts every picture.
	plain, _ := saveSmall(t)
	for _, name := range []string{plain, model.ImageNet} {
		if _, err := model.Open(name, at(.5)); !errors.Is(err, model.ErrNoAcceptance) {
			t.Errorf("%s: %v", name, err)
		}
		if c := open(t, name, at(0)); c.Judges() {
			t.Errorf("%s judges", name)
		}
	}
}

func TestImageNet(t *testing.T) {
	c, err := model.Open(model.ImageNet, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	predictions, err := c.Classify(context.Background(), read(t, example))
	if err != nil {
		t.Fatal(err)
	}
	// jersey, T-shirt, tee shirt is ImageNet's class 610.
	if p := predictions[0]; len(predictions) != 1000 || c.WNID(p.Index) != "n03595614" || p.Index != 610 {
		t.Errorf("%d classes, the first %+v", len(predictions), p)
	}
}

// TestSize checks that a model answers on pictures of the size in its options.
func TestSize(t *testing.T) {
	for _, name := range []string{model.Clothing, model.ImageNet} {
		c, err := model.Open(name, model.Options{Size: 128})
		if err != nil {
			t.Fatal(err)
		}
		own, err := model.Open(name, model.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if spec := c.Spec(); spec.Width != 128 || spec.Height != 128 || c.Description().Preprocessing != spec ||
			own.Spec() == spec {
			t.Errorf("%s: %+v, of its own %+v", name, spec, own.Spec())
		}
		at128, err := c.Embed(t.Context(), read(t, example))
		if err != nil {
			t.Fatal(err)
		}
		atOwn, err := own.Embed(t.Context(), read(t, example))
		if err != nil {
			t.Fatal(err)
		}
		if slices.Equal(at128, atOwn) {
			t.Errorf("%s: the size changes nothing", name)
		}
	}
	var bad *model.Error
	for _, size := range []int{-1, 8, 1 << 20} {
		if _, err := model.Open(model.Clothing, model.Options{Size: size}); !errors.As(err, &bad) {
			t.Errorf("size %d: %v", size, err)
		}
	}
}

// TestEveryLevelOpensTheBuiltInNames opens the built-in models in other processes, since a process
// chooses its level of kernels when it starts: the golden logits must hold at each.
func TestEveryLevelOpensTheBuiltInNames(t *testing.T) {
	if os.Getenv("GARB_TEST_OPEN") != "" {
		for _, name := range []string{model.Clothing, model.ImageNet} {
			if _, err := model.Open(name, model.Options{}); err != nil {
				t.Error(err)
			}
		}
		return
	}
	for _, level := range []string{"generic", "avx2", "avx512"} {
		c := exec.Command(os.Args[0], "-test.run", "^TestEveryLevelOpensTheBuiltInNames$", "-test.count=1")
		c.Env = append(os.Environ(), "GARB_CPU="+level, "GARB_TEST_OPEN=1")
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("GARB_CPU=%s: %v\n%s", level, err, out)
		}
	}
}

// Some of ImageNet's classes share a name. WordNet's identifiers distinguish them.
func ExampleListedPrediction() {
	classifier, err := model.Open(model.ImageNet, model.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	data, err := os.ReadFile("../examples/t-shirt.jpg")
	if err != nil {
		fmt.Println(err)
		return
	}
	predictions, err := classifier.Classify(context.Background(), data)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range classifier.List(predictions[:1]) {
		fmt.Println(p.Class, p.WNID, *p.Index)
	}
	// Output: jersey, T-shirt, tee shirt n03595614 610
}

// The built-in models are always available.
func ExampleBuiltInNames() {
	fmt.Println(model.BuiltInNames())
	// Output: [clothing garments imagenet]
}

// Only a model that judges takes a threshold. That of ImageNet does not judge.
func ExampleErrNoAcceptance() {
	threshold := 0.9
	_, err := model.Open(model.ImageNet, model.Options{Accept: &threshold})
	fmt.Println(errors.Is(err, model.ErrNoAcceptance))
	// Output: true
}

// TestIsModel checks that built-in names, folders and files with a description are models.
func TestIsModel(t *testing.T) {
	path, m := saveSmall(t)
	folder := t.TempDir()
	weights := filepath.Join(folder, "weights.safetensors")
	if err := tensor.WriteFile(weights, nil, m.Tensors, tensor.Float32); err != nil {
		t.Fatal(err)
	}
	for reference, want := range map[string]bool{
		model.Clothing: true, model.Garments: true, model.ImageNet: true, path: true, folder: true, weights: false,
		example: false, filepath.Join(folder, "none"): false,
	} {
		if have := model.IsModel(reference); have != want {
			t.Errorf("%s is a model: %v", reference, have)
		}
	}
}

// TestImageNetNames checks that identifiers distinguish those of ImageNet's classes that share a
// name.
func TestImageNetNames(t *testing.T) {
	c, err := model.Open(model.ImageNet, model.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	seen, numbered := map[string]bool{}, 0
	for i, name := range c.DistinctClasses() {
		if seen[name] {
			t.Errorf("two classes have the name %s", name)
		}
		seen[name] = true
		if name != c.Classes()[i] {
			numbered++
			if name != c.Classes()[i]+" ("+c.WNID(i)+")" {
				t.Errorf("class %d is named %s", i, name)
			}
		}
	}
	if len(seen) != 1000 || numbered == 0 || numbered > 10 {
		t.Errorf("%d names, %d with an identifier", len(seen), numbered)
	}
	listed := c.List([]model.Prediction{{Class: "tench", Index: 0}, {Class: "jean", Index: 608}})
	if listed[1].WNID != c.WNID(608) || listed[1].Index == nil || *listed[1].Index != 608 || *listed[0].Index != 0 {
		t.Errorf("%+v", listed)
	}
	path, _ := saveSmall(t)
	if c, err = model.Open(path, model.Options{}); err != nil {
		t.Fatal(err)
	}
	if listed := c.List([]model.Prediction{{Class: "hat"}}); listed[0].WNID != "" || listed[0].Index != nil {
		t.Errorf("%+v", listed)
	}
}
