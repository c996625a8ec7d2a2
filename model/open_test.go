package model_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"garb/accept"
	"garb/conformal"
	"garb/model"
	"garb/nn"
	"garb/picture"
	"garb/tensor"
)

// TestOpenFS checks that models in a file system are found and checked as those on disk are.
func TestOpenFS(t *testing.T) {
	path, _ := saveSmall(t)
	data := read(t, path)
	files := fstest.MapFS{
		"a/small.safetensors":                    {Data: data},
		"run/checkpoints/x_2_0.9.safetensors":    {Data: data[:100]},
		"run/checkpoints/x_10_0.8.safetensors":   {Data: data},
		"run/checkpoints/x_11_0.8.txt":           {Data: data[:100]},
		"run/checkpoints/y_12.safetensors":       {Data: data[:100]},
		"run/checkpoints/z_last_0.8.safetensors": {Data: data[:100]},
		"begun/checkpoints/x_1_0.5.safetensors":  {Data: data},
		"zero/checkpoints/x_0_0.5.safetensors":   {Data: data},
		"empty/notes.txt":                        {},
		"broken.safetensors":                     {Data: data[:len(data)-1]},
	}
	for name, want := range map[string]string{
		"a/small.safetensors": "small", "run": "x_10_0.8", "begun": "x_1_0.5", "zero": "x_0_0.5",
	} {
		c, err := model.OpenFS(files, name, model.Options{})
		if err != nil || c.Name() != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, want := range map[string]error{
		"empty": model.ErrNotModel, "gone": fs.ErrNotExist, "broken.safetensors": nil,
	} {
		_, err := model.OpenFS(files, name, model.Options{})
		var wrong *model.Error
		if !errors.As(err, &wrong) || want != nil && !errors.Is(err, want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOpenBytes(t *testing.T) {
	path, _ := saveSmall(t)
	data := read(t, path)
	c, err := model.OpenBytes(data, model.Options{})
	if err != nil || len(c.Classes()) != 3 {
		t.Error(err)
	}
	var wrong *model.Error
	for _, broken := range [][]byte{nil, data[:len(data)-1], []byte("text")} {
		if _, err := model.OpenBytes(broken, model.Options{}); !errors.As(err, &wrong) {
			t.Errorf("%d bytes: %v", len(broken), err)
		}
	}
}

// TestSizesBeyondBounds checks that the height and width of an input are bounded.
func TestSizesBeyondBounds(t *testing.T) {
	path, _ := saveSmall(t)
	for _, size := range []int{4097, -1} {
		if _, err := model.Open(path, model.Options{Size: size}); err == nil || !strings.Contains(err.Error(), "4096") {
			t.Errorf("a size of %d: %v", size, err)
		}
	}
}

// TestCountClasses checks that one sigmoid or logit makes two classes, and anything else as many
// as it has outputs.
func TestCountClasses(t *testing.T) {
	network := func(layers ...nn.Layer) *nn.Network {
		all := []nn.Layer{{Op: nn.OpInput, Shape: []int{4, 4, 3}}, {Op: nn.OpGlobalAveragePool, Inputs: []int{0}}}
		return &nn.Network{Layers: append(all, layers...)}
	}
	dense := func(units int) nn.Layer { return nn.Layer{Op: nn.OpDense, Name: "d", Inputs: []int{1}, Units: units} }
	for name, test := range map[string]struct {
		network *nn.Network
		want    int
	}{
		"one logit":          {network(dense(1)), 2},
		"one sigmoid":        {network(dense(1), nn.Layer{Op: nn.OpSigmoid, Inputs: []int{2}}), 2},
		"another function":   {network(dense(1), nn.Layer{Op: nn.OpTanh, Inputs: []int{2}}), 1},
		"two logits":         {network(dense(2)), 2},
		"two sigmoids":       {network(dense(2), nn.Layer{Op: nn.OpSigmoid, Inputs: []int{2}}), 2},
		"seven":              {network(dense(7), nn.Layer{Op: nn.OpSoftmax, Inputs: []int{2}}), 7},
		"no classifying end": {network(), 3},
	} {
		if have, err := model.CountClasses(test.network); have != test.want || err != nil {
			t.Errorf("%s: %d classes, %v; want %d", name, have, err, test.want)
		}
	}
	if _, err := model.CountClasses(&nn.Network{}); err == nil {
		t.Error("no error for a network without layers")
	}
}

// TestFindBackboneRefuses checks files that claim to be models and are not.
func TestFindBackboneRefuses(t *testing.T) {
	_, m := saveSmall(t)
	path := filepath.Join(t.TempDir(), "m.safetensors")
	for _, description := range []string{"{", `{"format":1}`} {
		err := tensor.WriteFile(path, map[string]string{"garb": description}, m.Tensors, tensor.Float32)
		if err != nil {
			t.Fatal(err)
		}
		var wrong *model.Error
		if base, err := model.FindBackbone(path, ""); !errors.As(err, &wrong) {
			t.Errorf("%s: %+v, %v", description, base, err)
		}
	}
}

// TestCoverage checks that a rule recognizes the pictures that it was fitted on, and no others.
func TestCoverage(t *testing.T) {
	rule := conformal.Rule{Coverage: 0.9, Threshold: 0.5, Free: 1, Pictures: 20, ChosenOn: 20, MeanSize: 1}
	digest := func(i int) string { return fmt.Sprintf("%x", sha256.Sum256([]byte{byte(i)})) }
	var fitted []string
	for i := range 50 {
		fitted = append(fitted, digest(i))
	}
	c, err := model.NewCoverage(rule, fitted)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.FittedOn) != 5*50 {
		t.Errorf("%d bytes for 50 pictures", len(c.FittedOn))
	}
	for i := range 100 {
		if have := c.WasFittedOn(digest(i)); have != (i < 50) {
			t.Errorf("picture %d: fitted on it: %v", i, have)
		}
	}
	for _, broken := range []string{"", "00112233", "0011223", "no digest"} {
		if _, err := model.NewCoverage(rule, []string{broken}); err == nil {
			t.Errorf("the digest %q is accepted", broken)
		}
		if c.WasFittedOn(broken) {
			t.Errorf("the rule was fitted on the digest %q", broken)
		}
	}
	if _, err := model.NewCoverage(rule, []string{"0011223344"}); err != nil {
		t.Errorf("five bytes: %v", err)
	}
	if _, err := model.NewCoverage(conformal.Rule{Coverage: 2}, fitted); err == nil {
		t.Error("an invalid rule is accepted")
	}
	predictions := []model.Prediction{{Class: "a", Probability: 0.6}, {Class: "b", Probability: 0.3},
		{Class: "c", Probability: 0.1}}
	set := model.SelectClasses(conformal.Rule{Coverage: 0.9, Threshold: 0.7}, predictions)
	if !slices.Equal(set, []string{"a", "b"}) {
		t.Errorf("the set is %q", set)
	}
}

// TestThresholdAtAnotherSize checks that the error says why a model does not judge.
func TestThresholdAtAnotherSize(t *testing.T) {
	half := 0.5
	_, err := model.Open(model.Clothing, model.Options{Size: 128, Accept: &half})
	if !errors.Is(err, model.ErrNoAcceptance) || !strings.Contains(err.Error(), "another size") {
		t.Errorf("a model that judges: %v", err)
	}
	path, _ := saveSmall(t)
	_, err = model.Open(path, model.Options{Accept: &half})
	if !errors.Is(err, model.ErrNoAcceptance) || strings.Contains(err.Error(), "another size") {
		t.Errorf("a model that does not: %v", err)
	}
}

// TestSaveRefuses checks that models that would not open are not saved.
func TestSaveRefuses(t *testing.T) {
	_, m := saveSmall(t)
	for name, spoil := range map[string]func(m *model.Model){
		"no golden logits": func(m *model.Model) { m.Golden = nil },
		"no classes":       func(m *model.Model) { m.Classes = nil },
	} {
		spoiled := m
		spoil(&spoiled)
		path := filepath.Join(t.TempDir(), "m.safetensors")
		if err := spoiled.Save(path, tensor.Float32); err == nil || !strings.Contains(err.Error(), "not saved") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := model.Open(path, model.Options{}); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: there is a file: %v", name, err)
		}
	}
}

// TestOpenUnknownType checks that a model whose weights have an unknown type does not open.
func TestOpenUnknownType(t *testing.T) {
	path, _ := saveSmall(t)
	data := bytes.Replace(read(t, path), []byte(`"F32"`), []byte(`"U32"`), 1)
	var wrong *model.Error
	if _, err := model.OpenBytes(data, model.Options{}); !errors.As(err, &wrong) {
		t.Errorf("%v", err)
	}
}

// TestOpenNames checks that the error about an unknown model names the built-in ones.
func TestOpenNames(t *testing.T) {
	_, err := model.Open("none", model.Options{})
	var wrong *model.Error
	if !errors.As(err, &wrong) || !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%v", err)
	}
	for _, name := range model.BuiltInNames() {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not name %s", err, name)
		}
	}
}

// TestOpenBelowAFile: a path that leads through a file is not one of a file that is missing.
func TestOpenBelowAFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows says the same of both")
	}
	_, err := model.Open(filepath.Join(example, "x"), model.Options{})
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// TestDetectors: a model has one if it judges by its features.
func TestDetectors(t *testing.T) {
	path, _ := saveSmall(t)
	c, err := model.Open(path, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if c.Detector() != nil {
		t.Error("a model without acceptance has a detector")
	}
	for _, m := range accept.Methods() {
		path, _ := saveJudge(t, m)
		if c := open(t, path, model.Options{}); (c.Detector() != nil) != m.NeedsFeatures() {
			t.Errorf("%s: detector %v", m, c.Detector())
		}
	}
}

// TestSigmoids: two sigmoids or more make a multi-label model, one makes two classes.
func TestSigmoids(t *testing.T) {
	for outputs, classes := range map[int]int{1: 2, 2: 2, 3: 3} {
		b := nn.NewBuilder(4, 4, 3)
		x := b.Sigmoid(b.Dense("d", b.GlobalAveragePool(b.Input()), outputs))
		n := &nn.Network{Layers: b.Build(x).Layers(), Tensors: tensor.Map{"d/kernel": tensor.New(3, outputs)}}
		spec := picture.Spec{Width: 4, Height: 4, Filter: picture.Nearest, Fit: picture.Stretch,
			Std: [3]float32{1, 1, 1}}
		m, err := model.FromNetwork(n, []string{"a", "b", "c"}[:classes], spec)
		if err != nil || m.MultiLabel != (outputs > 1) {
			t.Errorf("%d sigmoids: multi-label %v, %v", outputs, m != nil && m.MultiLabel, err)
		}
	}
}
