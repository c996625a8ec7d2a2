//go:build !small

package model

import (
	"garb/backbone"
	"garb/tensor"
	"garb/weights"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
)

// TestActivationMap checks that the average of a map is the logit without its bias: the averages
// of two pictures differ as much as their logits.
func TestActivationMap(t *testing.T) {
	for _, name := range []string{Clothing, ImageNet} {
		c, err := Open(name, Options{})
		if err != nil {
			t.Fatal(err)
		}
		means, logits := [2]float64{}, [2][]float32{}
		const class = 3
		for i := range means {
			input := make([]float32, c.Spec().ValueCount())
			c.Spec().Tensor(DrawGoldenPicture(i), input)
			logits[i] = make([]float32, len(c.Classes()))
			if err := c.Logits(t.Context(), input, logits[i]); err != nil {
				t.Fatal(err)
			}
			m, err := c.ActivationMap(t.Context(), input, class)
			if err != nil {
				t.Fatal(err)
			}
			if m.Height != 7 || m.Width != 7 || len(m.Values) != 49 {
				t.Fatalf("%s: a map of %d × %d, %d values", name, m.Height, m.Width, len(m.Values))
			}
			for _, v := range m.Values {
				means[i] += float64(v) / 49
			}
		}
		got, want := means[0]-means[1], float64(logits[0][class]-logits[1][class])
		if want == 0 || math.Abs(got-want) > 1e-4*(1+math.Abs(want)) {
			t.Errorf("%s: the means of the maps differ by %v, the logits by %v", name, got, want)
		}
	}
}

// TestBackboneByDigest checks that a model whose file has only the digest of its backbone opens
// with these weights, and with no others.
func TestBackboneByDigest(t *testing.T) {
	f, ok := weights.BuiltIn(imageNetBackbone)
	if !ok {
		t.Fatal("there is no built-in backbone")
	}
	a, err := backbone.Lookup(imageNetBackbone)
	if err != nil {
		t.Fatal(err)
	}
	m := Model{Description{Format: FormatVersion, Architecture: imageNetBackbone, Classes: []string{"hat", "shoe"},
		BackboneDigest: weights.Digest(imageNetBackbone, f), Preprocessing: a.Spec}, tensor.Map{}}
	r := rand.New(rand.NewPCG(1, 1))
	for _, p := range (Head{}).Graph(a.FeatureCount, 2, 0).Params() {
		x := tensor.New(p.Shape...)
		for i := range x.Data {
			x.Data[i] = float32(r.NormFloat64())
		}
		m.Tensors[p.Name] = x
	}
	if err := m.SetGolden(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "m.safetensors")
	open := func() error {
		t.Helper()
		if err := m.Save(path, tensor.Float32); err != nil {
			t.Fatal(err)
		}
		_, err := Open(path, Options{})
		return err
	}
	if err := open(); err != nil {
		t.Error(err)
	}
	m.BackboneDigest = "sha256:0"
	if err := open(); err == nil || !strings.Contains(err.Error(), "other weights") {
		t.Errorf("other weights: %v", err)
	}
	t.Setenv("GARB_HOME", t.TempDir())
	m.Architecture = "xception" // which has not been pulled
	if err := open(); err == nil || !strings.Contains(err.Error(), "not available") {
		t.Errorf("weights that are not here: %v", err)
	}
}

func TestHasBuiltInBackbone(t *testing.T) {
	f, _ := weights.BuiltIn(imageNetBackbone)
	for digest, want := range map[string]bool{garmentsDigest: true, f.Digest(): true, "sha256:other": false} {
		if HasBuiltInBackbone(imageNetBackbone, digest) != want || HasBuiltInBackbone("xception", digest) {
			t.Errorf("%s: not %v", digest, want)
		}
	}
}
