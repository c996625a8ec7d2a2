package garb

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"garb/backbone"
	"garb/picture"
	"garb/tensor"
)

// TestActivationMap: the mean of a map is the logit without its bias, so that of two
// pictures the means differ as the logits do.
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
			c.Spec().Tensor(GoldenPicture(i), input)
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

// TestActivationMapOfInnerLayers compares the gradient with differences of the head.
func TestActivationMapOfInnerLayers(t *testing.T) {
	const features, classes, class, positions = 6, 4, 2, 3
	h := HeadSpec{Inner: []int{8, 5}}
	random := rand.New(rand.NewPCG(1, 2))
	w := tensor.Map{}
	for _, p := range h.Graph(features, classes, 0).Params() {
		v := tensor.New(p.Shape...)
		for i := range v.Data {
			v.Data[i] = float32(random.NormFloat64())
		}
		w[p.Name] = v
	}
	head, err := NewHead(w, features, classes, h)
	if err != nil {
		t.Fatal(err)
	}
	featureMap, mean := make([]float32, positions*features), make([]float32, features)
	for i := range featureMap {
		featureMap[i] = float32(random.NormFloat64())
		mean[i%features] += featureMap[i] / positions
	}
	got, err := newMapper(backbone.Architecture{}, picture.Spec{}, nil, w, h, Options{}).gradient(featureMap, positions, class)
	if err != nil {
		t.Fatal(err)
	}
	for k := range mean {
		const step = 1e-3
		at := func(shift float32) float32 {
			x := append([]float32(nil), mean...)
			x[k] += shift
			logits, err := head.Logits(t.Context(), x)
			if err != nil {
				t.Fatal(err)
			}
			return logits[class]
		}
		want := float64(at(step)-at(-step)) / (2 * step)
		if math.Abs(float64(got[k])-want) > 1e-2*(1+math.Abs(want)) {
			t.Errorf("feature %d: %v, and %v by differences", k, got[k], want)
		}
	}
}

func TestActivationMapEnds(t *testing.T) {
	c, err := Default(Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.ActivationMap(ctx, make([]float32, c.Spec().ValueCount()), 0); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	flat, err := backbone.Lookup("small-cnn")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newMapper(flat, flat.Spec, nil, nil, HeadSpec{}, Options{}).compile(); !errors.Is(err, ErrNoActivationMap) {
		t.Errorf("%v", err)
	}
}
