package model_test

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"garb/model"
	"garb/picture"
	"garb/tensor"
)

// TestWrongDescriptions opens files whose description Save would not write.
func TestWrongDescriptions(t *testing.T) {
	_, m := saveSmall(t)
	for name, c := range map[string]struct{ description, says string }{
		"no JSON":    {`{`, "cannot be read"},
		"other JSON": {`{"format":"one"}`, "cannot be read"},
		"null":       {`null`, "version 0"},
		"no golden logits": {`{"format":1,"architecture":"small-cnn","classes":["a","b","c"],` +
			`"preprocessing":{"width":12,"height":12,"filter":"nearest","fit":"stretch","std":[1,1,1]}}`, "golden"},
		"huge input": {`{"format":1,"architecture":"small-cnn","classes":["a"],` +
			`"golden":[{"picture":0,"logits":[0]}],"preprocessing":{"width":1073741824,"height":1073741824,` +
			`"filter":"nearest","fit":"stretch","std":[1,1,1]}}`, "1073741824"},
		"no such golden picture": {`{"format":1,"architecture":"small-cnn","classes":["a"],` +
			`"golden":[{"picture":-1,"logits":[0]}],"preprocessing":{"width":12,"height":12,` +
			`"filter":"nearest","fit":"stretch","std":[1,1,1]}}`, "golden"},
	} {
		path := filepath.Join(t.TempDir(), "wrong.safetensors")
		err := tensor.WriteFile(path, map[string]string{"garb": c.description}, m.Tensors, tensor.Float32)
		if err != nil {
			t.Fatal(err)
		}
		_, err = model.Open(path, model.Options{})
		var wrong *model.Error
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want a *Error with the path that says %q", name, err, c.says)
		}
	}
}

// TestOpenRunWithAnOddName opens a run in a folder whose name has the wildcards of patterns.
func TestOpenRunWithAnOddName(t *testing.T) {
	_, m := saveSmall(t)
	name := "odd [1] {a}*"
	if runtime.GOOS == "windows" {
		name = "odd [1] {a}" // * cannot be in a name there
	}
	run := filepath.Join(t.TempDir(), name)
	checkpoints := filepath.Join(run, "checkpoints")
	if err := os.MkdirAll(checkpoints, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := m.Save(filepath.Join(checkpoints, "odd_10_0.600.safetensors"), tensor.Float32); err != nil {
		t.Fatal(err)
	}
	c, err := model.Open(run, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if c.Name() != "odd_10_0.600" {
		t.Errorf("opened %s", c.Name())
	}
}

func TestClassifyErrors(t *testing.T) {
	path, _ := saveSmall(t)
	data := read(t, example)
	c, err := model.Open(path, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = c.Classify(t.Context(), []byte("text")); !errors.Is(err, picture.ErrNotPicture) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = c.Classify(ctx, data); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	l := picture.DefaultLimits()
	l.MaxPixels = 100
	if c, err = model.Open(path, model.Options{Limits: l}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Classify(t.Context(), data); !errors.Is(err, picture.ErrTooLarge) {
		t.Error(err)
	}
	if _, err := model.Open(path, model.Options{Limits: picture.Limits{MaxPixels: -1}}); err == nil {
		t.Error("invalid limits are accepted")
	}
}

// TestStore checks that a stored model has the golden logits and the answers of its rounded weights.
func TestStore(t *testing.T) {
	path, _ := saveSmall(t)
	for _, dtype := range []tensor.DType{tensor.Float32, tensor.Float16, tensor.Int8} {
		to := filepath.Join(t.TempDir(), "stored.safetensors")
		if _, err := model.Store(path, to, dtype); err != nil {
			t.Fatal(err)
		}
		before, err := model.Open(path, model.Options{})
		if err != nil {
			t.Fatal(err)
		}
		after, err := model.Open(to, model.Options{})
		if err != nil {
			t.Fatal(err)
		}
		p, err := before.Classify(t.Context(), read(t, example))
		if err != nil {
			t.Fatal(err)
		}
		q, err := after.Classify(t.Context(), read(t, example))
		if err != nil {
			t.Fatal(err)
		}
		for i := range p {
			difference := math.Abs(float64(p[i].Logit - q[i].Logit))
			if dtype == tensor.Float32 && difference != 0 || difference > 0.01*(1+math.Abs(float64(p[i].Logit))) {
				t.Errorf("%s: logit %v, before %v", dtype, q[i].Logit, p[i].Logit)
			}
		}
		if !model.IsModel(to) || model.IsModel(example) {
			t.Error("IsModel")
		}
	}
	if _, err := model.Store(example, filepath.Join(t.TempDir(), "x"), tensor.Float32); err == nil {
		t.Error("a picture was stored as a model")
	}
}

func TestSoftmax(t *testing.T) {
	for _, c := range []struct {
		logits []float32
		want   []float64
	}{
		{[]float32{0, 0}, []float64{0.5, 0.5}},
		{[]float32{0, float32(math.Log(3))}, []float64{0.25, 0.75}},
		{[]float32{3e38, -3e38}, []float64{1, 0}}, // no overflow
		{nil, nil},
	} {
		got := model.Softmax(c.logits)
		for i := range c.want {
			if math.Abs(got[i]-c.want[i]) > 1e-7 {
				t.Errorf("the softmax of %v is %v, want %v", c.logits, got, c.want)
			}
		}
	}
}
