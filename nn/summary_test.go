package nn

import (
	"context"
	"errors"
	"testing"

	"garb/tensor"
)

func TestSummary(t *testing.T) {
	b := NewBuilder(32, 32, 3)
	x := b.ReLU(b.BatchNorm("n", b.Conv("c", b.Input(), 8, 3, 2, Same), 1e-3)) // [16 16 8], 3 pixels
	x = b.DepthwiseConv("d", x, 5, 1, Same, WithBias())                        // 3 + 4·2 = 11
	y := b.MaxPool(x, 2, 2, Valid)                                             // 11 + 1·2 = 13
	y = b.Add(y, b.Conv("p", x, 8, 1, 2, Same))
	g := b.Build(b.Dense("e", b.GlobalAveragePool(y), 5, WithBias()))
	want := []struct{ params, multiplyAdds, field int }{
		{0, 0, 1}, {216, 16 * 16 * 8 * 27, 3}, {32, 0, 3}, {0, 0, 3}, {208, 16 * 16 * 8 * 25, 11},
		{0, 0, 13}, {64, 8 * 8 * 8 * 8, 11}, {0, 0, 13}, {0, 0, 0}, {45, 40, 0},
	}
	all := g.Summary()
	if len(all) != len(want) {
		t.Fatalf("%d layers", len(all))
	}
	total := 0
	for i, s := range all {
		if s.Params != want[i].params || s.MultiplyAdds != want[i].multiplyAdds || s.ReceptiveField != want[i].field {
			t.Errorf("layer %d, %s: %d parameters, %d multiply-adds, %d pixels; want %v", i, s.Layer.Op, s.Params,
				s.MultiplyAdds, s.ReceptiveField, want[i])
		}
		total += s.Params
	}
	if total != g.ParamCount() {
		t.Errorf("%d parameters, want %d", total, g.ParamCount())
	}
}

// TestSummaryOfWindows checks that dilations, groups and strides are counted separately for height
// and width.
func TestSummaryOfWindows(t *testing.T) {
	g, err := NewGraph([]Layer{
		{Op: OpInput, Shape: []int{32, 32, 4}},
		{Op: OpConv, Name: "a", Inputs: []int{0}, Units: 8, Height: 3, Width: 2, Stride: 1, StrideWidth: 2, Groups: 2,
			Same: true},
		{Op: OpDepthwiseConv, Name: "b", Inputs: []int{1}, Height: 3, Width: 3, Stride: 1, DilationWidth: 4,
			Same: true},
		{Op: OpConv, Name: "c", Inputs: []int{2}, Units: 16, Height: 3, Width: 1, Stride: 1, Dilation: 2, Groups: 8,
			Same: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []struct{ params, multiplyAdds, field int }{
		{0, 0, 1}, {96, 32 * 16 * 8 * 12, 3}, // of 3 rows and 2 columns
		{72, 32 * 16 * 8 * 9, 18},  // 2 + 8·2 columns
		{48, 32 * 16 * 16 * 3, 18}, // 5 + 4 rows
	}
	for i, s := range g.Summary() {
		got := struct{ params, multiplyAdds, field int }{s.Params, s.MultiplyAdds, s.ReceptiveField}
		if got != want[i] {
			t.Errorf("layer %d, %s: %v, want %v", i, s.Layer, got, want[i])
		}
	}
}

// TestSummaryOfSizes checks the receptive field behind layers that enlarge or shrink a map.
func TestSummaryOfSizes(t *testing.T) {
	b := NewBuilder(32, 32, 1)
	x := b.Conv("a", b.Input(), 1, 3, 2, Same) // fields of 3, 2 apart
	x = b.Resize(x, 8, 8, true)                // of 3 + 2, 4 apart
	x = b.Conv("b", x, 1, 3, 1, Same)          // of 5 + 2·4
	x = b.Resize(x, 32, 32, false)             // 1 apart
	x = b.Conv("c", x, 1, 3, 1, Same)
	x = b.Resize(x, 32, 32, true) // changes nothing
	x = b.Upsample(x, 2, 2, true)
	want := []int{1, 3, 5, 13, 13, 15, 15, 16}
	for i, s := range b.Build(x).Summary() {
		if s.ReceptiveField != want[i] {
			t.Errorf("layer %d, %s: %d pixels, want %d", i, s.Layer, s.ReceptiveField, want[i])
		}
	}
}

// TestProfile checks that each layer that computes something takes time, and fused layers none.
func TestProfile(t *testing.T) {
	for name, network := range networks {
		g := network()
		p := compile(t, g, randomWeights(g, 1), 2)
		input := randomValues(tensor.Len(g.InputShape()), 2)
		times, err := p.Profile(t.Context(), input, 3)
		if err != nil || len(times) != len(g.nodes) || times[0] != 0 {
			t.Fatalf("%s: %v, %v", name, times, err)
		}
		for i, n := range g.nodes {
			switch n.Op {
			case OpConv, OpDepthwiseConv, OpDense, OpMaxPool, OpAveragePool, OpGlobalAveragePool, OpMultiply, OpConcat:
				if times[i] <= 0 {
					t.Errorf("%s: layer %d, %s takes no time", name, i, n.Op)
				}
			}
		}
		run1(t, p, input) // and the memory is used again
	}
	g := networks["classifier"]()
	p := compile(t, g, randomWeights(g, 1), 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Profile(ctx, make([]float32, 300), 1); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
