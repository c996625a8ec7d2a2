package onnx_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"garb/nn"
	"garb/onnx"
)

// everyWindow returns convolutions and pools of every geometry that ONNX of opset 17 has.
func everyWindow() []nn.Layer {
	l := list{{Op: nn.OpInput, Shape: []int{26, 23, 3}}}
	conv := func(x int, layer nn.Layer) int {
		layer.Op, layer.Stride = nn.OpConv, max(layer.Stride, 1)
		return l.add(layer, x)
	}
	x := conv(0, nn.Layer{Name: "strides", Units: 8, Height: 3, Width: 2, Stride: 2, StrideWidth: 1, Same: true})
	x = conv(x, nn.Layer{Name: "gaps", Units: 8, Height: 3, Width: 3, Dilation: 2, DilationWidth: 3, Same: true,
		Bias: true})
	x = conv(x, nn.Layer{Name: "rows apart", Units: 12, Height: 2, Width: 3, Dilation: 2, DilationWidth: 1})
	x = l.add(nn.Layer{Op: nn.OpReLU}, x)
	a := conv(x, nn.Layer{Name: "groups", Units: 12, Height: 3, Width: 3, Groups: 4, Same: true, Bias: true})
	b := conv(x, nn.Layer{Name: "pointwise groups", Units: 12, Height: 1, Width: 1, Groups: 3})
	x = l.add(nn.Layer{Op: nn.OpAdd}, a, b)
	x = l.add(nn.Layer{Op: nn.OpBatchNorm, Name: "norm", Epsilon: 1e-3}, x)
	x = conv(x, nn.Layer{Name: "groups with gaps", Units: 6, Height: 2, Width: 3, Groups: 2, DilationWidth: 2})
	x = conv(x, nn.Layer{Name: "multiplier", Units: 12, Height: 3, Width: 3, Groups: 6, Same: true, Bias: true})
	x = l.add(nn.Layer{Op: nn.OpDepthwiseConv, Name: "depthwise", Height: 3, Width: 3, Stride: 1, StrideWidth: 2,
		Same: true, Bias: true}, x)
	x = l.add(nn.Layer{Op: nn.OpDepthwiseConv, Name: "depthwise with gaps", Height: 3, Width: 2, Stride: 1,
		Dilation: 2, Same: true}, x)
	m := l.add(nn.Layer{Op: nn.OpMaxPool, Height: 2, Width: 3, Stride: 1, StrideWidth: 2, Same: true}, x)
	v := l.add(nn.Layer{Op: nn.OpAveragePool, Height: 3, Width: 1, Stride: 1, StrideWidth: 2, Same: true}, x)
	x = l.add(nn.Layer{Op: nn.OpConcat}, m, v)
	x = l.add(nn.Layer{Op: nn.OpMaxPool, Height: 2, Width: 2, Stride: 1, Dilation: 2, DilationWidth: 3}, x)
	x = l.add(nn.Layer{Op: nn.OpAveragePool, Height: 2, Width: 1, Stride: 2, StrideWidth: 1}, x)
	l.add(nn.Layer{Op: nn.OpDense, Name: "classifier", Units: 10}, l.add(nn.Layer{Op: nn.OpFlatten}, x))
	return l
}

// TestWindowsRoundTrip checks that the settings of windows are read back as they were written.
func TestWindowsRoundTrip(t *testing.T) {
	want := fill(t, everyWindow(), 1)
	for name, o := range map[string]onnx.Options{"float32": {}, "int8": {Int8: true}} {
		data := encoded(t, want, o)
		got, _, err := onnx.Read(data, onnx.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		settings := func(n *nn.Network) (all []string) {
			for _, l := range n.Layers {
				all = append(all, l.String())
			}
			return all
		}
		a, b := settings(want), settings(got)
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] {
				t.Errorf("%s: layer %d was %s and is %s", name, i, a[i], b[i])
			}
		}
		if len(a) != len(b) {
			t.Errorf("%s: %d layers became %d", name, len(a), len(b))
		}
		limit := 1e-6
		if o.Int8 {
			limit = 0.05
		}
		input := noise(want, 3)
		if d := difference(t, answer(t, want, input), answer(t, got, input)); d > limit {
			t.Errorf("%s: the answers differ by %g", name, d)
		}
	}
}

func TestWindowsInONNXRuntime(t *testing.T) {
	n := fill(t, everyWindow(), 1)
	input := noise(n, 2)
	want := answer(t, n, input)
	got := run(t, encoded(t, n, onnx.Options{}), "float32", input, "2", "26", "23", "3")[:len(want)]
	if d := difference(t, want, got); d > 1e-4 {
		t.Errorf("the logits differ by %g", d)
	}
}

// TestWindowsThatONNXLacks checks that a dilated average pooling, which came with opset 19, is
// refused.
func TestWindowsThatONNXLacks(t *testing.T) {
	l := list{{Op: nn.OpInput, Shape: []int{6, 6, 3}}}
	x := l.add(nn.Layer{Op: nn.OpAveragePool, Height: 2, Width: 2, Stride: 1, DilationWidth: 2}, 0)
	l.add(nn.Layer{Op: nn.OpDense, Name: "d", Units: 2}, l.add(nn.Layer{Op: nn.OpFlatten}, x))
	var wrong *nn.LayerError
	if err := onnx.Write(io.Discard, fill(t, l, 1), onnx.Options{}); !errors.As(err, &wrong) || wrong.Layer != 1 {
		t.Error(err)
	}
}

// TestWindowsOfTheFixture compares windows.onnx with ONNX Runtime (windows.py), and checks that
// groups are read as groups unless their channels are in another order.
func TestWindowsOfTheFixture(t *testing.T) {
	data, err := os.ReadFile("testdata/windows.json")
	if err != nil {
		t.Fatal(err)
	}
	var want struct{ Pixels, Logits []float32 }
	if err = json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	n, _, err := onnx.ReadFile("testdata/windows.onnx", onnx.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	// Logits of up to ten, in single precision.
	if d := difference(t, want.Logits, answer(t, n, want.Pixels)); d > 2e-5 {
		t.Errorf("the answers differ by %g", d)
	}
	var convolutions []string
	for _, l := range n.Layers {
		if l.Op == nn.OpConv {
			convolutions = append(convolutions, l.String())
		}
	}
	if d := cmp.Diff([]string{"Conv 3×2 /1×2, 8", "Conv 3×3, 12 in 4 groups", "Conv 3×3 dilated 2×3, 12",
		"Conv 1×1, 12 in 3 groups",
		"Conv 3×3 dilated 2×1, 24 in 12 groups"}, convolutions); d != "" {
		t.Error(d)
	}
}
