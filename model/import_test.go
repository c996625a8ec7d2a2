package model

import (
	"errors"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"garb/backbone"
	"garb/nn"
	"garb/picture"
	"garb/tensor"
)

// newNetwork returns a network of the given layers with random weights.
func newNetwork(t testing.TB, layers ...nn.Layer) *nn.Network {
	t.Helper()
	g, err := nn.NewGraph(layers)
	if err != nil {
		t.Fatal(err)
	}
	n := &nn.Network{Layers: layers, Tensors: tensor.Map{}}
	random := rand.New(rand.NewPCG(3, 4))
	for _, p := range g.Params() {
		v := tensor.New(p.Shape...)
		for i := range v.Data {
			v.Data[i] = float32(random.NormFloat64()) / 4
		}
		n.Tensors[p.Name] = v
	}
	return n
}

// buildConvolutional returns the layers of a small network, with the given ones at its end.
func buildConvolutional(last ...nn.Layer) []nn.Layer {
	return append([]nn.Layer{
		{Op: nn.OpInput, Shape: []int{8, 8, 3}},
		{Op: nn.OpConv, Name: "c", Inputs: []int{0}, Units: 6, Height: 3, Width: 3, Stride: 1, Bias: true},
		{Op: nn.OpSwish, Inputs: []int{1}},
		{Op: nn.OpGlobalAveragePool, Inputs: []int{2}},
	}, last...)
}

var smallSpec = picture.Spec{Width: 8, Height: 8, Filter: picture.Nearest, Fit: picture.Stretch,
	Mean: [3]float32{127, 127, 127}, Std: [3]float32{128, 128, 128}}

// saveNetwork saves a model of a network, and returns its path.
func saveNetwork(t testing.TB, n *nn.Network, classes []string) (path string) {
	t.Helper()
	m, err := FromNetwork(n, classes, smallSpec)
	if err != nil {
		t.Fatal(err)
	}
	if err = m.SetGolden(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "m.safetensors")
	if err := m.Save(path, tensor.Float32); err != nil {
		t.Fatal(err)
	}
	return path
}

// saveAndOpen saves a model of a network, and opens it.
func saveAndOpen(t testing.TB, n *nn.Network, classes []string, o Options) *Classifier {
	t.Helper()
	c, err := Open(saveNetwork(t, n, classes), o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestImportedNetworks checks that a model of any network answers as the network does.
func TestImportedNetworks(t *testing.T) {
	dense := func(units int) nn.Layer {
		return nn.Layer{Op: nn.OpDense, Name: "d", Inputs: []int{3}, Units: units, Bias: true}
	}
	for name, c := range map[string]struct {
		layers   []nn.Layer
		features int
	}{
		"softmax": {buildConvolutional(dense(3), nn.Layer{Op: nn.OpSoftmax, Inputs: []int{4}}), 6},
		"logits":  {buildConvolutional(dense(3)), 6},
		"softmax, reshaped": {buildConvolutional(dense(3), nn.Layer{Op: nn.OpSoftmax, Inputs: []int{4}},
			nn.Layer{Op: nn.OpReshape, Inputs: []int{5}, Shape: []int{3}}), 6},
		"one place": {buildConvolutional(nn.Layer{Op: nn.OpReshape, Inputs: []int{3}, Shape: []int{1, 1, 6}},
			nn.Layer{Op: nn.OpConv, Name: "d", Inputs: []int{4}, Units: 3, Height: 1, Width: 1, Stride: 1},
			nn.Layer{Op: nn.OpSoftmax, Inputs: []int{5}}), 6},
		"pooled by a window": {append(buildConvolutional()[:3],
			nn.Layer{Op: nn.OpAveragePool, Inputs: []int{2}, Height: 6, Width: 6, Stride: 1},
			nn.Layer{Op: nn.OpFlatten, Inputs: []int{3}},
			nn.Layer{Op: nn.OpDense, Name: "d", Inputs: []int{4}, Units: 3}), 6},
		"without a head": {append(buildConvolutional()[:3],
			nn.Layer{Op: nn.OpConv, Name: "d", Inputs: []int{2}, Units: 3, Height: 1, Width: 1, Stride: 1},
			nn.Layer{Op: nn.OpGlobalAveragePool, Inputs: []int{3}}), 3},
		"without a head, reshaped": {append(buildConvolutional()[:3],
			nn.Layer{Op: nn.OpConv, Name: "d", Inputs: []int{2}, Units: 3, Height: 1, Width: 1, Stride: 1},
			nn.Layer{Op: nn.OpGlobalAveragePool, Inputs: []int{3}},
			nn.Layer{Op: nn.OpReshape, Inputs: []int{4}, Shape: []int{1, 1, 3}},
			nn.Layer{Op: nn.OpFlatten, Inputs: []int{5}}), 3},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t, c.layers...)
			model := saveAndOpen(t, n, []string{"a", "b", "c"}, Options{})
			input := make([]float32, smallSpec.ValueCount())
			smallSpec.Tensor(DrawGoldenPicture(1), input)
			want, logits := runNetwork(t, n, input), make([]float32, 3)
			if err := model.Logits(t.Context(), input, logits); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(name, "softmax") || name == "one place" {
				checkSoftmax(t, logits, want)
			} else if !slices.Equal(logits, want) {
				t.Errorf("%v, want %v", logits, want)
			}
			if model.FeatureCount() != c.features {
				t.Errorf("%d features, want %d", model.FeatureCount(), c.features)
			}
			m, err := model.ActivationMap(t.Context(), input, 1)
			if err != nil || m.Height != 6 || m.Width != 6 {
				t.Errorf("%v, %v", m, err)
			}
			again, err := model.Network()
			if err != nil || len(again.Tensors) != len(n.Tensors) {
				t.Errorf("%v tensors, %v", again, err)
			}
		})
	}
}

// runNetwork returns the outputs of a network.
func runNetwork(t *testing.T, n *nn.Network, input []float32) []float32 {
	t.Helper()
	g, err := nn.NewGraph(n.Layers)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := nn.Compile(g, n.Tensors, nn.Options{})
	if err != nil {
		t.Fatal(err)
	}
	outputs := make([]float32, tensor.Len(g.OutputShape()))
	if err := plan.Run(t.Context(), input, outputs); err != nil {
		t.Fatal(err)
	}
	return outputs
}

// checkSoftmax checks that the softmax of logits is as wanted.
func checkSoftmax(t *testing.T, logits, want []float32) {
	t.Helper()
	for i, p := range Softmax(logits) {
		if math.Abs(p-float64(want[i])) > 1e-6 {
			t.Errorf("class %d: %v, want %v", i, p, want[i])
		}
	}
}

// TestLinearNetworks checks that if the only layer takes the picture, its outputs are the features,
// and not the picture.
func TestLinearNetworks(t *testing.T) {
	first := []nn.Layer{{Op: nn.OpInput, Shape: []int{8, 8, 3}}, {Op: nn.OpFlatten, Inputs: []int{0}}}
	dense := func(from int) nn.Layer {
		return nn.Layer{Op: nn.OpDense, Name: "d", Inputs: []int{from}, Units: 3, Bias: true}
	}
	for name, layers := range map[string][]nn.Layer{
		"flat":    append(first[:2:2], dense(1)),
		"dropout": append(first[:2:2], nn.Layer{Op: nn.OpDropout, Inputs: []int{1}, Rate: 0.5}, dense(2)),
		"reshaped": {first[0], {Op: nn.OpReshape, Inputs: []int{0}, Shape: []int{192}}, dense(1),
			{Op: nn.OpSoftmax, Inputs: []int{2}}},
	} {
		n := newNetwork(t, layers...)
		model := saveAndOpen(t, n, []string{"a", "b", "c"}, Options{})
		input, logits := make([]float32, smallSpec.ValueCount()), make([]float32, 3)
		smallSpec.Tensor(DrawGoldenPicture(1), input)
		if err := model.Logits(t.Context(), input, logits); err != nil {
			t.Fatal(err)
		}
		kernel := n.Tensors["d/kernel"].Data
		for c, got := range logits {
			want := float64(n.Tensors["d/bias"].Data[c])
			for i, v := range input {
				want += float64(v) * float64(kernel[3*i+c])
			}
			if math.Abs(want-float64(got)) > 1e-4 {
				t.Errorf("%s: logit %d is %v, want %v", name, c, got, want)
			}
		}
		if model.FeatureCount() != 3 {
			t.Errorf("%s: %d features", name, model.FeatureCount())
		}
		if _, err := model.ActivationMap(t.Context(), input, 1); !errors.Is(err, ErrNoActivationMap) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOneSigmoid checks networks whose only output is the probability of the second of two classes,
// or its logit.
func TestOneSigmoid(t *testing.T) {
	layers := buildConvolutional(nn.Layer{Op: nn.OpDense, Name: "binary", Inputs: []int{3}, Units: 1},
		nn.Layer{Op: nn.OpSigmoid, Inputs: []int{4}})
	n := newNetwork(t, layers...)
	input, logits := make([]float32, smallSpec.ValueCount()), make([]float32, 2)
	smallSpec.Tensor(DrawGoldenPicture(2), input)
	want := runNetwork(t, n, input)
	single := *n
	single.Layers = layers[:5]
	reshaped := *n
	reshaped.Layers = append(layers[:5:5], nn.Layer{Op: nn.OpReshape, Inputs: []int{4}, Shape: []int{1, 1, 1}})
	for name, n := range map[string]*nn.Network{"sigmoid": n, "logit": &single, "logit, reshaped": &reshaped} {
		if outputs, err := CountClasses(n); outputs != 2 || err != nil {
			t.Errorf("%s: %d outputs, %v", name, outputs, err)
		}
		c := saveAndOpen(t, n, []string{"cold", "warm"}, Options{})
		if err := c.Logits(t.Context(), input, logits); err != nil {
			t.Fatal(err)
		}
		if p := Softmax(logits)[1]; math.Abs(p-float64(want[0])) > 1e-6 || want[0] == 0.5 {
			t.Errorf("%s: %v, want %v", name, p, want[0])
		}
	}
	tanh := *n
	tanh.Layers = append(layers[:5:5], nn.Layer{Op: nn.OpTanh, Inputs: []int{4}})
	if _, err := FromNetwork(&tanh, []string{"cold", "warm"}, smallSpec); !errors.Is(err, ErrNotClassifier) {
		t.Errorf("a tanh as logit: %v", err)
	}
	if outputs, err := CountClasses(&tanh); outputs != 1 || err != nil {
		t.Errorf("a tanh: %d outputs, %v", outputs, err)
	}
}

// TestSeveralSigmoids checks that a network that ends in several sigmoids is a multi-label model.
func TestSeveralSigmoids(t *testing.T) {
	n := newNetwork(t, buildConvolutional(nn.Layer{Op: nn.OpSigmoid, Inputs: []int{3}})...)
	classes := []string{"a", "b", "c", "d", "e", "f"}
	model := saveAndOpen(t, n, classes, Options{})
	if !model.Description().MultiLabel {
		t.Fatal("it is not a multi-label model")
	}
	for _, row := range [][]float32{{-1, 2, 0, 0.1, -3, 1}, {-1, -2, 0, -0.5, -3, -1}} {
		a := model.Answer(row)
		var want []string
		for _, p := range a.Predictions {
			z := float64(row[slices.Index(classes, p.Class)])
			if d := p.Probability - 1/(1+math.Exp(-z)); math.Abs(d) > 1e-12 {
				t.Errorf("%s is off by %g", p.Class, d)
			}
			if z > 0 {
				want = append(want, p.Class)
			}
		}
		if a.Labels == nil || !slices.Equal(a.Labels, want) || len(want) > 0 && want[0] != "b" {
			t.Errorf("labels %v, want %v", a.Labels, want)
		}
	}
	single := saveAndOpen(t, newNetwork(t, buildConvolutional()...), classes, Options{})
	if a := single.Answer(make([]float32, 6)); a.Labels != nil {
		t.Errorf("a model that chooses one class has the labels %v", a.Labels)
	}
	m, err := FromNetwork(n, nil, smallSpec)
	if err != nil || m.MultiLabel {
		t.Errorf("without classes: %v, multi-label %v", err, m.MultiLabel)
	}
}

// TestSizeOfNetworks checks that a network that pools also answers on pictures of another size.
func TestSizeOfNetworks(t *testing.T) {
	n := newNetwork(t, buildConvolutional(nn.Layer{Op: nn.OpDense, Name: "d", Inputs: []int{3}, Units: 2})...)
	if c := saveAndOpen(t, n, []string{"a", "b"}, Options{Size: 16}); c.Spec().Width != 16 {
		t.Errorf("%v", c.Spec())
	}
}

func TestFromNetworkRefuses(t *testing.T) {
	classes := []string{"a", "b"}
	for name, c := range map[string]struct {
		layers []nn.Layer
		says   string
	}{
		"a feature map": {buildConvolutional()[:3], "its output has the shape"},
		"other classes": {buildConvolutional(), "it has 6"},
		"two channels": {append([]nn.Layer{{Op: nn.OpInput, Shape: []int{8, 8, 2}}}, buildConvolutional()[1:]...),
			"three channels, or one"},
		"grey in colour": {append([]nn.Layer{{Op: nn.OpInput, Shape: []int{8, 8, 1}}}, buildConvolutional()[1:]...),
			"three channels, or one"},
	} {
		_, err := FromNetwork(newNetwork(t, c.layers...), classes, smallSpec)
		if !errors.Is(err, ErrNotClassifier) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	var wrong *nn.LayerError
	if _, err := FromNetwork(&nn.Network{}, classes, smallSpec); !errors.As(err, &wrong) {
		t.Errorf("no layers: %v", err)
	}
}

func TestFindBackboneOfNetwork(t *testing.T) {
	n := newNetwork(t, buildConvolutional(nn.Layer{Op: nn.OpDense, Name: "d", Inputs: []int{3}, Units: 2})...)
	path := saveNetwork(t, n, []string{"a", "b"})
	base, err := FindBackbone(path, "")
	if err != nil || base.Name != backbone.OwnName || base.Weights != path {
		t.Errorf("%+v, %v", base, err)
	}
	if _, err := Store(path, path, tensor.Float16); err != nil {
		t.Error(err)
	}
}
