package onnx_test

import (
	"errors"
	"math"
	"slices"
	"testing"

	"garb/nn"
	"garb/onnx"
	"garb/tensor"
)

// int8Network returns a network with kernels that are large enough for int8, one of them shared by
// two layers, and others that stay as they are.
func int8Network(t *testing.T) *nn.Network {
	l := list{{Op: nn.OpInput, Shape: []int{12, 12, 3}}}
	// 864 values
	x := l.add(nn.Layer{Op: nn.OpConv, Name: "stem", Units: 32, Height: 3, Width: 3, Stride: 2, Same: true}, 0)
	x = l.add(nn.Layer{Op: nn.OpBatchNorm, Name: "norm", Epsilon: 1e-3}, x)
	for range 2 {
		x = l.add(nn.Layer{Op: nn.OpConv, Name: "twice", Units: 32, Height: 3, Width: 2, Stride: 1, Same: true,
			Bias: true}, x)
		x = l.add(nn.Layer{Op: nn.OpTanh}, x)
	}
	x = l.add(nn.Layer{Op: nn.OpConv, Name: "wide", Units: 480, Height: 1, Width: 1, Stride: 1}, x)
	// 4320 values
	x = l.add(nn.Layer{Op: nn.OpDepthwiseConv, Name: "depthwise", Height: 3, Width: 3, Stride: 1, Bias: true}, x)
	x = l.add(nn.Layer{Op: nn.OpGlobalAveragePool}, x)
	x = l.add(nn.Layer{Op: nn.OpDense, Name: "dense", Units: 100, Bias: true}, x)
	x = l.add(nn.Layer{Op: nn.OpReLU}, x)
	l.add(nn.Layer{Op: nn.OpDense, Name: "classifier", Units: 60, Bias: true}, x)
	return fill(t, l, 5)
}

// TestInt8 checks that an int8 model is read back with exactly the weights of garb's int8 files,
// and that the other weights are float32.
func TestInt8(t *testing.T) {
	n := int8Network(t)
	n.Tensors["norm/moving_variance"].Data[3] = 1e6 // beyond float16
	data := encoded(t, n, onnx.Options{Int8: true})
	if !slices.Equal(data, encoded(t, n, onnx.Options{Int8: true})) {
		t.Error("other bytes the second time")
	}
	got, _, err := onnx.Read(data, onnx.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	want := &nn.Network{Layers: n.Layers, Tensors: n.Tensors.As(tensor.Int8)}
	want.Tensors["norm/moving_variance"].Data = n.Tensors["norm/moving_variance"].Data
	values, size := 0, 4096 // of nodes and names
	for name, w := range want.Tensors {
		if g := got.Tensors[name]; g == nil || !slices.Equal(g.Shape, w.Shape) || !slices.Equal(g.Data, w.Data) {
			t.Errorf("%s is not what an int8 file holds", name)
		}
		bytes := 4
		if integers, _, _ := tensor.Quantize(n.Tensors[name]); integers != nil {
			bytes = 1
			size += 4 * w.Shape[len(w.Shape)-1]
		}
		values += len(w.Data)
		size += bytes * len(w.Data)
	}
	if len(data) > size || len(got.Tensors) != len(want.Tensors) {
		t.Errorf("%d bytes for %d values, more than %d; %d tensors for %d", len(data), values, size, len(got.Tensors),
			len(want.Tensors))
	}
	input := noise(n, 3)
	if d := difference(t, answer(t, want, input), answer(t, got, input)); d > 1e-6 {
		t.Errorf("the answers differ by %g", d)
	}
	n.Tensors["wide/kernel"].Data[9] = float32(math.NaN())
	var weight *nn.WeightError
	if err := onnx.Write(nil, n, onnx.Options{Int8: true}); !errors.As(err, &weight) || weight.Name != "wide/kernel" {
		t.Errorf("a weight is no number: error %v", err)
	}
}

// TestInt8InONNXRuntime compares ONNX Runtime's answers with those of garb's network of rounded
// weights.
func TestInt8InONNXRuntime(t *testing.T) {
	n := int8Network(t)
	input := noise(n, 3)
	want := answer(t, &nn.Network{Layers: n.Layers, Tensors: n.Tensors.As(tensor.Int8)}, input)
	got := run(t, encoded(t, n, onnx.Options{Int8: true}), "float32", input, "3", "12", "12", "3")[:len(want)]
	d := difference(t, want, got)
	t.Logf("the largest difference of logits is %.2g", d)
	if d > 1e-4 {
		t.Errorf("the logits differ by %g", d)
	}
}
