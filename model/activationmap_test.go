package model

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"garb/nn"
	"garb/tensor"
)

// TestHeadGradients compares the gradients of heads with differences.
//
//nolint:gocognit,funlen // gradients by all features, of each network
func TestHeadGradients(t *testing.T) {
	const features, classes, class = 6, 4, 2
	dense := func(units int) nn.Layer { return nn.Layer{Op: nn.OpDense, Units: units, Bias: true} }
	for name, head := range map[string][]nn.Layer{
		"one layer":    {dense(classes)},
		"inner layers": {dense(8), {Op: nn.OpReLU}, dense(5), {Op: nn.OpReLU}, dense(classes)},
		"functions": {dense(8), {Op: nn.OpTanh}, dense(7), {Op: nn.OpSwish}, dense(6), {Op: nn.OpSigmoid},
			dense(5), {Op: nn.OpLeakyReLU, Slope: 0.3}, dense(5), {Op: nn.OpReLU6}, dense(classes)},
		"norms": {{Op: nn.OpBatchNorm, Epsilon: 1e-3}, {Op: nn.OpDropout, Rate: 0.5}, {Op: nn.OpScale},
			dense(classes)},
		"convolutions": {{Op: nn.OpReshape, Shape: []int{1, 1, features}},
			{Op: nn.OpConv, Units: classes, Height: 1, Width: 1, Stride: 1}, {Op: nn.OpFlatten}},
	} {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			m := newHeadMapper(t, random, features, head)
			x := make([]float32, tensor.Len(m.rest.InputShape()))
			for i := range x {
				x[i] = float32(random.NormFloat64())
			}
			got, err := m.computeGradient(t.Context(), x, class)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != 3*2*features {
				t.Fatalf("%d values", len(got))
			}
			checkGradient(t, m, x, class, got)
		})
	}
}

// newHeadMapper returns the mapper of a network that averages a feature map of 3 × 2 positions,
// the output of its only layer, for a head with random weights.
func newHeadMapper(t *testing.T, random *rand.Rand, features int, head []nn.Layer) *mapper {
	t.Helper()
	network := []nn.Layer{{Op: nn.OpInput, Shape: []int{3, 2, features}}, {Op: nn.OpReLU, Inputs: []int{0}},
		{Op: nn.OpGlobalAveragePool, Inputs: []int{1}}}
	for i, l := range head {
		l.Name, l.Inputs = fmt.Sprint("layer", i), []int{len(network) - 1}
		network = append(network, l)
	}
	g, err := nn.NewGraph(network)
	if err != nil {
		t.Fatal(err)
	}
	w := tensor.Map{}
	for _, p := range g.Params() {
		v := tensor.New(p.Shape...)
		for i := range v.Data {
			if v.Data[i] = float32(random.NormFloat64()); !p.Trainable {
				v.Data[i] = random.Float32() + 0.5
			}
		}
		w[p.Name] = v
	}
	m, err := newMapper(g, w, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// checkGradient compares the gradient of a class's logit at x with differences.
func checkGradient(t *testing.T, m *mapper, x []float32, class int, got []float32) {
	t.Helper()
	plan, err := nn.Compile(m.rest, m.weights, nn.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	logits := make([]float32, tensor.Len(m.rest.OutputShape()))
	computeLogit := func(k int, shift float32) float32 {
		shifted := slices.Clone(x)
		shifted[k] += shift
		if err := plan.Run(t.Context(), shifted, logits); err != nil {
			t.Fatal(err)
		}
		return logits[class]
	}
	const step = 1e-2
	for k := range x {
		want := float64(computeLogit(k, step)-computeLogit(k, -step)) / (2 * step)
		if math.Abs(float64(got[k])-want) > 1e-2*(1+math.Abs(want)) {
			t.Errorf("value %d: %v, and %v by differences", k, got[k], want)
		}
	}
}

func TestActivationMapErrors(t *testing.T) {
	c, err := Default(Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = c.ActivationMap(ctx, make([]float32, c.Spec().ValueCount()), 0); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	// A network without a feature map.
	g, err := nn.NewGraph([]nn.Layer{{Op: nn.OpInput, Shape: []int{2, 2, 3}}, {Op: nn.OpFlatten, Inputs: []int{0}},
		{Op: nn.OpDense, Name: "d", Inputs: []int{1}, Units: 2}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newMapper(g, nil, Options{}); !errors.Is(err, ErrNoActivationMap) {
		t.Errorf("%v", err)
	}
}

// TestActivationMapFlattened checks that if a dense layer takes all values of a feature map, the
// weight of a channel is the average of the weights at its positions.
func TestActivationMapFlattened(t *testing.T) {
	n := newNetwork(t,
		nn.Layer{Op: nn.OpInput, Shape: []int{8, 8, 3}},
		nn.Layer{Op: nn.OpConv, Name: "c", Inputs: []int{0}, Units: 2, Height: 5, Width: 5, Stride: 1},
		nn.Layer{Op: nn.OpFlatten, Inputs: []int{1}},
		nn.Layer{Op: nn.OpDense, Name: "d", Inputs: []int{2}, Units: 3})
	c := saveAndOpen(t, n, []string{"a", "b", "c"}, Options{})
	input := make([]float32, smallSpec.ValueCount())
	smallSpec.Tensor(DrawGoldenPicture(1), input)
	g, err := nn.NewGraph(n.Layers[:2])
	if err != nil {
		t.Fatal(err)
	}
	plan, err := nn.Compile(g, n.Tensors, nn.Options{})
	if err != nil {
		t.Fatal(err)
	}
	featureMap := make([]float32, 4*4*2)
	if err = plan.Run(t.Context(), input, featureMap); err != nil {
		t.Fatal(err)
	}
	const class = 2
	m, err := c.ActivationMap(t.Context(), input, class)
	if err != nil {
		t.Fatal(err)
	}
	for p := range 16 {
		want := 0.0
		for k := range 2 {
			weight := 0.0
			for q := range 16 {
				weight += float64(n.Tensors["d/kernel"].Data[(q*2+k)*3+class]) / 16
			}
			want += weight * float64(featureMap[p*2+k])
		}
		if got := float64(m.Values[p]); math.Abs(got-want) > 1e-5 {
			t.Errorf("position %d: %v, want %v", p, got, want)
		}
	}
}
