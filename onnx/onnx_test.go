package onnx_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"garb/nn"
	"garb/onnx"
	"garb/tensor"
)

// fill sets a graph's parameters to random values, variances above zero.
func fill(t *testing.T, layers []nn.Layer, seed uint64) *nn.Network {
	t.Helper()
	g, err := nn.NewGraph(layers)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(seed, 1))
	n := &nn.Network{Layers: g.Layers(), Tensors: tensor.Map{}}
	for _, p := range g.Params() {
		values := tensor.New(p.Shape...)
		spread := 1 / math.Sqrt(float64(tensor.Len(p.Shape)/p.Shape[len(p.Shape)-1]))
		for i := range values.Data {
			values.Data[i] = float32(random.NormFloat64() * spread)
			if strings.HasSuffix(p.Name, "variance") {
				values.Data[i] = 0.5 + random.Float32()
			}
		}
		n.Tensors[p.Name] = values
	}
	return n
}

// noise returns random pictures for a network.
func noise(n *nn.Network, pictures int) []float32 {
	random := rand.New(rand.NewPCG(7, 7))
	values := make([]float32, pictures*tensor.Len(n.Layers[0].Shape))
	for i := range values {
		values[i] = float32(random.NormFloat64())
	}
	return values
}

// answer runs a network.
func answer(t *testing.T, n *nn.Network, input []float32) []float32 {
	t.Helper()
	g, err := nn.NewGraph(n.Layers)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := nn.Compile(g, n.Tensors, nn.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	output := make([]float32, len(input)/tensor.Len(g.InputShape())*tensor.Len(g.OutputShape()))
	if err := plan.Run(t.Context(), input, output); err != nil {
		t.Fatal(err)
	}
	return output
}

// difference returns the largest difference between two networks' answers.
func difference(t *testing.T, a, b []float32) float64 {
	t.Helper()
	if len(a) != len(b) {
		t.Fatalf("%d and %d values", len(a), len(b))
	}
	largest := 0.0
	for i := range a {
		d := math.Abs(float64(a[i]) - float64(b[i]))
		if math.IsNaN(d) {
			t.Fatal("not a number")
		}
		largest = max(largest, d)
	}
	return largest
}

func encoded(t *testing.T, n *nn.Network, o onnx.Options) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := onnx.Write(&b, n, o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// list builds a description layer by layer.
type list []nn.Layer

func (l *list) add(layer nn.Layer, inputs ...int) int {
	layer.Inputs = inputs
	*l = append(*l, layer)
	return len(*l) - 1
}

// everyLayer returns a graph with each operation that a network may have, shared parameters and
// values that several layers read included.
//
//nolint:funlen // one line for each layer
func everyLayer(h, w int) []nn.Layer {
	l := list{{Op: nn.OpInput, Shape: []int{h, w, 3}}}
	x := l.add(nn.Layer{Op: nn.OpSelect, Channels: []int{2, 1, 0, 1}}, 0)
	x = l.add(nn.Layer{Op: nn.OpScale, Name: "rescale"}, x)
	x = l.add(nn.Layer{Op: nn.OpConv, Name: "stem/conv", Units: 8, Height: 3, Width: 3, Stride: 2, Same: true}, x)
	x = l.add(nn.Layer{Op: nn.OpBatchNorm, Name: "stem/norm", Epsilon: 1e-3}, x)
	x = l.add(nn.Layer{Op: nn.OpReLU6}, x)
	a := l.add(nn.Layer{Op: nn.OpConv, Name: "twice", Units: 8, Height: 3, Width: 1, Stride: 1, Same: true,
		Bias: true}, x)
	b := l.add(nn.Layer{Op: nn.OpConv, Name: "twice", Units: 8, Height: 3, Width: 1, Stride: 1, Same: true,
		Bias: true}, a)
	x = l.add(nn.Layer{Op: nn.OpAdd}, a, b)
	x = l.add(nn.Layer{Op: nn.OpReLU}, x)
	x = l.add(nn.Layer{Op: nn.OpDepthwiseConv, Name: "depthwise", Height: 3, Width: 3, Stride: 1, Bias: true}, x)
	x = l.add(nn.Layer{Op: nn.OpSwish}, x)
	m := l.add(nn.Layer{Op: nn.OpMaxPool, Height: 3, Width: 3, Stride: 2, Same: true}, x)
	v := l.add(nn.Layer{Op: nn.OpAveragePool, Height: 3, Width: 3, Stride: 2, Same: true}, x)
	x = l.add(nn.Layer{Op: nn.OpConcat}, m, v, m)
	x = l.add(nn.Layer{Op: nn.OpLeakyReLU, Slope: 0.1}, x)
	x = l.add(nn.Layer{Op: nn.OpScale, Name: "scale"}, x)
	x = l.add(nn.Layer{Op: nn.OpPReLU, Name: "slopes"}, x)
	for _, op := range []nn.Op{nn.OpELU, nn.OpSELU, nn.OpErf, nn.OpSoftplus, nn.OpHardSigmoid, nn.OpHardSwish} {
		layer := nn.Layer{Op: op}
		if op == nn.OpELU {
			layer.Slope = 0.7
		}
		x = l.add(layer, x)
		// keeps the values apart
		x = l.add(nn.Layer{Op: nn.OpBatchNorm, Name: "after " + string(op), Epsilon: 1e-3}, x)
	}
	// Squeeze and excite, both ways of it.
	s := l.add(nn.Layer{Op: nn.OpGlobalAveragePool}, x)
	r := l.add(nn.Layer{Op: nn.OpReshape, Shape: []int{1, 1, 24}}, s)
	r = l.add(nn.Layer{Op: nn.OpConv, Name: "squeeze", Units: 4, Height: 1, Width: 1, Stride: 1, Bias: true}, r)
	r = l.add(nn.Layer{Op: nn.OpTanh}, r)
	r = l.add(nn.Layer{Op: nn.OpConv, Name: "excite", Units: 24, Height: 1, Width: 1, Stride: 1, Bias: true}, r)
	r = l.add(nn.Layer{Op: nn.OpSigmoid}, r)
	x = l.add(nn.Layer{Op: nn.OpMultiply}, x, r)
	g := l.add(nn.Layer{Op: nn.OpSigmoid}, s)
	x = l.add(nn.Layer{Op: nn.OpMultiply}, g, x)
	x = l.add(nn.Layer{Op: nn.OpLayerNorm, Name: "layer", Epsilon: 1e-5}, x)
	x = l.add(nn.Layer{Op: nn.OpUpsample, Rows: 2, Columns: 1, Linear: true}, x)
	x = l.add(nn.Layer{Op: nn.OpUpsample, Rows: 1, Columns: 3}, x)
	x = l.add(nn.Layer{Op: nn.OpResize, Rows: 7, Columns: 10, Linear: true}, x)
	x = l.add(nn.Layer{Op: nn.OpResize, Rows: 9, Columns: 13}, x)
	x = l.add(nn.Layer{Op: nn.OpCrop, Above: 2, Right: 4, Before: 3, After: 1}, x)
	x = l.add(nn.Layer{Op: nn.OpGroupNorm, Name: "groups", Groups: 5, Epsilon: 1e-5}, x)
	r = l.add(nn.Layer{Op: nn.OpConv, Name: "where", Units: 1, Height: 1, Width: 1, Stride: 1}, x)
	g = l.add(nn.Layer{Op: nn.OpGlobalMaxPool}, x)
	x = l.add(nn.Layer{Op: nn.OpMaximum}, x, r)
	x = l.add(nn.Layer{Op: nn.OpMinimum}, g, x)
	x = l.add(nn.Layer{Op: nn.OpAdd}, x, r)
	x = l.add(nn.Layer{Op: nn.OpAdd}, x, g)
	x = l.add(nn.Layer{Op: nn.OpCrop, Above: 1, Below: 1, Left: 1}, x)
	x = l.add(nn.Layer{Op: nn.OpSoftmax}, x)
	x = l.add(nn.Layer{Op: nn.OpPad, Above: 1, Right: 2}, x)
	x = l.add(nn.Layer{Op: nn.OpPad, Above: 2, Right: 1, Border: nn.Reflect}, x)
	x = l.add(nn.Layer{Op: nn.OpPad, Below: 2, Left: 1, Border: nn.Edge}, x)
	x = l.add(nn.Layer{Op: nn.OpPad, Left: 1, Below: 1, Lowest: true}, x)
	x = l.add(nn.Layer{Op: nn.OpMaxPool, Height: 2, Width: 2, Stride: 1}, x)
	top := l.add(nn.Layer{Op: nn.OpGlobalMaxPool}, x)
	x = l.add(nn.Layer{Op: nn.OpReLU}, x)
	x = l.add(nn.Layer{Op: nn.OpFlatten}, x)
	x = l.add(nn.Layer{Op: nn.OpDense, Name: "dense", Units: 36, Bias: true}, x)
	x = l.add(nn.Layer{Op: nn.OpBatchNorm, Name: "norm", Epsilon: 1e-5}, x)
	x = l.add(nn.Layer{Op: nn.OpDropout, Rate: 0.25}, x)
	x = l.add(nn.Layer{Op: nn.OpReshape, Shape: []int{3, 2, 6}}, x)
	x = l.add(nn.Layer{Op: nn.OpAveragePool, Height: 2, Width: 2, Stride: 1}, x)
	x = l.add(nn.Layer{Op: nn.OpReshape, Shape: []int{1, 3, 4}}, x)
	x = l.add(nn.Layer{Op: nn.OpFlatten}, x)
	x = l.add(nn.Layer{Op: nn.OpConcat}, x, top)
	x = l.add(nn.Layer{Op: nn.OpSelect, Channels: []int{3, 11, 0, 5, 5, 1, 2, 4, 6, 7, 8, 9, 10, 11, 0, 2}}, x)
	x = l.add(nn.Layer{Op: nn.OpScale, Name: "flat scale"}, x)
	x = l.add(nn.Layer{Op: nn.OpPReLU, Name: "flat slopes"}, x)
	x = l.add(nn.Layer{Op: nn.OpGroupNorm, Name: "flat groups", Groups: 8, Epsilon: 0.1}, x)
	x = l.add(nn.Layer{Op: nn.OpLayerNorm, Name: "flat layer", Epsilon: 1e-6}, x)
	x = l.add(nn.Layer{Op: nn.OpCrop, Before: 5, After: 1}, x)
	l.add(nn.Layer{Op: nn.OpDense, Name: "classifier", Units: 10}, x)
	return l
}

// TestRoundTrip checks that a written file is read as a network with the same answers and the same
// names of weights.
func TestRoundTrip(t *testing.T) {
	for _, size := range [][2]int{{24, 31}, {17, 16}} {
		want := fill(t, everyLayer(size[0], size[1]), 1)
		data := encoded(t, want, onnx.Options{Metadata: map[string]string{"b": "2", "a": "1"}, ProducerVersion: "1.0",
			Doc: "for people"})
		if !bytes.Equal(data, encoded(t, want,
			onnx.Options{Metadata: map[string]string{"a": "1", "b": "2"}, ProducerVersion: "1.0",
				Doc: "for people"})) {
			t.Error("other bytes the second time")
		}
		got, info, err := onnx.Read(data, onnx.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		if info.Producer != "garb" || info.Opset != 17 || info.Metadata["b"] != "2" || info.Output != "logits" ||
			info.Input.Layout != onnx.NHWC || info.Doc != "for people" {
			t.Errorf("it says %+v", info)
		}
		for name := range want.Tensors {
			if got.Tensors[name] == nil {
				t.Errorf("%s was lost", name)
			}
		}
		if len(got.Tensors) != len(want.Tensors) {
			t.Errorf("%d weights became %d", len(want.Tensors), len(got.Tensors))
		}
		input := noise(want, 3)
		// A rounding may move: what was one layer may be two.
		if d := difference(t, answer(t, want, input), answer(t, got, input)); d > 1e-6 {
			t.Errorf("the answers differ by %g", d)
		}
	}
}

// TestComposed checks that operations that opset 17 lacks are written as several nodes that compute
// the same.
func TestComposed(t *testing.T) {
	written := map[nn.Op]bool{}
	for _, l := range everyLayer(24, 31) {
		written[l.Op] = true
	}
	for _, op := range []nn.Op{nn.OpGELU, nn.OpGELUTanh, nn.OpMish} {
		written[op] = true
		l := list{{Op: nn.OpInput, Shape: []int{6, 6, 3}}}
		x := l.add(nn.Layer{Op: op}, 0)
		l.add(nn.Layer{Op: nn.OpDense, Name: "classifier", Units: 4}, l.add(nn.Layer{Op: nn.OpGlobalAveragePool}, x))
		want := fill(t, l, 1)
		got, _, err := onnx.Read(encoded(t, want, onnx.Options{}), onnx.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		input := noise(want, 3)
		if d := difference(t, answer(t, want, input), answer(t, got, input)); d > 1e-6 {
			t.Errorf("%s: the answers differ by %g", op, d)
		}
	}
	for _, op := range nn.Operations() {
		if !written[op] {
			t.Errorf("nothing shows that %s is written and read", op)
		}
	}
}

// TestSoftmaxAtTheEnd checks that a network's own softmax is the output of probabilities.
func TestSoftmaxAtTheEnd(t *testing.T) {
	l := list{{Op: nn.OpInput, Shape: []int{6, 6, 3}}}
	x := l.add(nn.Layer{Op: nn.OpGlobalAveragePool}, 0)
	x = l.add(nn.Layer{Op: nn.OpDense, Name: "classifier", Units: 4}, x)
	l.add(nn.Layer{Op: nn.OpSoftmax}, x)
	n := fill(t, l, 3)
	got, _, err := onnx.Read(encoded(t, n, onnx.Options{Temperature: 2}), onnx.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Layers) != 3 || got.Layers[2].Op != nn.OpDense {
		t.Errorf("its logits are read as %v", got.Layers)
	}
}

// TestFeatureMaps checks that an output that is a feature map has garb's order of axes.
func TestFeatureMaps(t *testing.T) {
	l := list{{Op: nn.OpInput, Shape: []int{6, 5, 3}}}
	l.add(nn.Layer{Op: nn.OpConv, Name: "conv", Units: 4, Height: 3, Width: 3, Stride: 1}, 0)
	n := fill(t, l, 4)
	got, _, err := onnx.Read(encoded(t, n, onnx.Options{}), onnx.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if input := noise(n, 2); difference(t, answer(t, n, input), answer(t, got, input)) != 0 {
		t.Error("the map differs")
	}
}

// TestWriteErrors checks the errors about what cannot be written.
func TestWriteErrors(t *testing.T) {
	l := list{{Op: nn.OpInput, Shape: []int{1, 1, 1 << 13}}}
	x := l.add(nn.Layer{Op: nn.OpFlatten}, 0)
	large := &nn.Network{Tensors: tensor.Map{}}
	square := tensor.New(1<<13, 1<<13) // one for all: nothing is written
	for _, name := range strings.Split("abcdefgh", "") {
		x = l.add(nn.Layer{Op: nn.OpDense, Name: name, Units: 1 << 13}, x)
		large.Tensors[name+"/kernel"] = square
	}
	large.Layers = l
	var tooLarge *onnx.TooLargeError
	if err := onnx.Write(io.Discard, large, onnx.Options{}); !errors.As(err, &tooLarge) || tooLarge.Bytes < 1<<31 {
		t.Errorf("8 layers of 2^26 weights: error %v", err)
	}
	var weight *nn.WeightError
	delete(large.Tensors, "c/kernel")
	if err := onnx.Write(io.Discard, large, onnx.Options{}); !errors.As(err, &weight) {
		t.Errorf("a weight is missing: error %v", err)
	}
	large.Tensors["c/kernel"] = tensor.New(3, 3)
	if err := onnx.Write(io.Discard, large, onnx.Options{}); !errors.As(err, &weight) {
		t.Errorf("a weight has another shape: error %v", err)
	}
	var layer *nn.LayerError
	noInput := &nn.Network{Layers: []nn.Layer{{Op: nn.OpConv}}}
	if err := onnx.Write(io.Discard, noInput, onnx.Options{}); !errors.As(err, &layer) {
		t.Errorf("no network: error %v", err)
	}
}
