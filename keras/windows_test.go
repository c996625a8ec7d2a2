package keras

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"garb/nn"
	"garb/tensor"
)

// everyWindow returns a network of convolutions and pools of every geometry that Keras has.
func everyWindow(t testing.TB) *nn.Network {
	return withWeights(t, []nn.Layer{
		{Op: nn.OpInput, Shape: []int{17, 14, 3}},
		{Op: nn.OpConv, Name: "strides", Inputs: []int{0}, Units: 8, Height: 3, Width: 2, Stride: 1, StrideWidth: 2,
			Same: true},
		{Op: nn.OpConv, Name: "gaps", Inputs: []int{1}, Units: 8, Height: 3, Width: 3, Stride: 1, Dilation: 2,
			DilationWidth: 3, Same: true, Bias: true},
		{Op: nn.OpConv, Name: "groups", Inputs: []int{2}, Units: 12, Height: 3, Width: 3, Stride: 1, Groups: 4,
			Same: true},
		{Op: nn.OpReLU, Inputs: []int{3}},
		{Op: nn.OpConv, Name: "groups with gaps", Inputs: []int{4}, Units: 6, Height: 2, Width: 3, Stride: 1,
			Groups: 3, DilationWidth: 2, Bias: true},
		{Op: nn.OpConv, Name: "multiplier", Inputs: []int{5}, Units: 12, Height: 3, Width: 2, Stride: 1, Groups: 6,
			Same: true, Bias: true},
		{Op: nn.OpConv, Name: "twice", Inputs: []int{6}, Units: 12, Height: 3, Width: 3, Stride: 1, Groups: 12,
			Same: true},
		{Op: nn.OpConv, Name: "twice", Inputs: []int{7}, Units: 12, Height: 3, Width: 3, Stride: 1, Groups: 12,
			Same: true},
		{Op: nn.OpDepthwiseConv, Name: "depthwise", Inputs: []int{8}, Height: 3, Width: 3, Stride: 2, StrideWidth: 1,
			Same: true, Bias: true},
		{Op: nn.OpDepthwiseConv, Name: "depthwise with gaps", Inputs: []int{9}, Height: 3, Width: 2, Stride: 1,
			DilationWidth: 2, Same: true},
		{Op: nn.OpMaxPool, Inputs: []int{10}, Height: 2, Width: 3, Stride: 1, StrideWidth: 2, Same: true},
		{Op: nn.OpAveragePool, Inputs: []int{11}, Height: 3, Width: 1, Stride: 2, StrideWidth: 1},
		{Op: nn.OpGlobalAveragePool, Inputs: []int{12}},
		{Op: nn.OpDense, Name: "last", Inputs: []int{13}, Units: 5},
	}, 1)
}

// TestWindowsReadBack checks that the settings of windows are read back as they were written, but
// for a convolution with one group and one filter per channel, which becomes a depthwise one.
func TestWindowsReadBack(t *testing.T) {
	n := everyWindow(t)
	back, err := open(t, writeKeras(t, n, WriteOptions{})).Network(0)
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range n.Layers {
		was, is := l.String(), back.Layers[i].String()
		if was != is && (l.Name != "twice" || is != "DepthwiseConv 3×3") {
			t.Errorf("layer %d was %s and is %s", i, was, is)
		}
	}
	inputs := someInputs(n)
	if d := largestDifference(answers(t, back, inputs), answers(t, n, inputs)); d != 0 {
		t.Errorf("its answers differ by %g", d)
	}
}

// TestWindowsThatKerasLacks checks that windows that Keras does not load are refused.
func TestWindowsThatKerasLacks(t *testing.T) {
	for name, test := range map[string]struct {
		layer  nn.Layer
		reason string
	}{
		"strides and gaps": {nn.Layer{Op: nn.OpConv, Name: "c", Units: 2, Height: 2, Width: 2, Stride: 1,
			StrideWidth: 2, Dilation: 2}, "strides above 1"},
		"gaps in a pool": {nn.Layer{Op: nn.OpMaxPool, Height: 2, Width: 2, Stride: 1, DilationWidth: 2}, "dilated"},
	} {
		test.layer.Inputs = []int{0}
		n := withWeights(t, []nn.Layer{{Op: nn.OpInput, Shape: []int{8, 8, 2}}, test.layer}, 1)
		var refused *nn.LayerError
		if err := Write(io.Discard, n, WriteOptions{}); !errors.As(err, &refused) || refused.Layer != 1 ||
			!strings.Contains(refused.Reason, test.reason) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOldSettingsAreWrittenAsBefore checks that default dilations and groups are not written.
func TestOldSettingsAreWrittenAsBefore(t *testing.T) {
	m := open(t, writeKeras(t, everyOperation(t), WriteOptions{}))
	for _, l := range m.Layers {
		for _, setting := range []string{"dilation_rate", "groups", "depth_multiplier"} {
			if l.Class != "GroupNormalization" && bytes.Contains(l.Config, []byte(setting)) {
				t.Errorf("%s, a %s, says %s", l.Name, l.Class, setting)
			}
		}
	}
}

// TestMultiplierOfTheFile checks that filter j of channel c of a depthwise kernel [h w channels
// filters] is output c·filters + j.
func TestMultiplierOfTheFile(t *testing.T) {
	n := withWeights(t, []nn.Layer{
		{Op: nn.OpInput, Shape: []int{1, 1, 3}},
		{Op: nn.OpConv, Name: "d", Inputs: []int{0}, Units: 6, Height: 1, Width: 1, Stride: 1, Groups: 3},
	}, 1)
	n.Tensors["d/kernel"] = tensor.FromSlice([]float32{1, 2, 3, 4, 5, 6}, 1, 1, 1, 6)
	m := open(t, writeKeras(t, n, WriteOptions{}))
	l := m.Layers[1]
	if shape := tensor.ShapeString(l.Variables[0].Shape()); l.Class != "DepthwiseConv2D" || shape != "[1 1 3 2]" {
		t.Errorf("it is a %s with a kernel %s", l.Class, shape)
	}
	back, err := m.Network(0)
	if err != nil {
		t.Fatal(err)
	}
	got := answers(t, back, []float32{1, 10, 100})
	if d := largestDifference(got, []float32{1, 2, 30, 40, 500, 600}); d != 0 {
		t.Errorf("it answers %v", got)
	}
}

// TestWindowsOfTheFixtures compares files that both generations of Keras wrote with Keras's answers
// (testdata/windows.py).
func TestWindowsOfTheFixtures(t *testing.T) {
	text, err := os.ReadFile("testdata/windows.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string][]float32
	if err := json.Unmarshal(text, &all); err != nil || len(all) != 3 {
		t.Fatalf("%d answers, %v", len(all), err)
	}
	for file, want := range all {
		n, err := read(fixture(t, file))
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		picture := make([]float32, tensor.Len(n.Layers[0].Shape))
		for i := range picture {
			picture[i] = float32(float64(37*i%251)/125 - 1)
		}
		if d := largestDifference(answer(t, n, picture), want); !(d <= 1e-5) {
			t.Errorf("%s: the answers differ by %g", file, d)
		}
	}
}
