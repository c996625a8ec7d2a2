package nn

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"garb/tensor"
)

// TestPadsBecomeWindows checks that a window that takes over the padding before it computes the
// same, forward and backward. The network to compare with has a ReLU between them, which changes
// nothing, since no value is below zero.
//
//nolint:funlen // a table
func TestPadsBecomeWindows(t *testing.T) {
	window := func(l Layer) Layer { l.Inputs = []int{3}; return l }
	for _, c := range []struct {
		name   string
		layer  Layer
		pads   [4]int // above, below, left, right
		lowest bool
		taken  bool
	}{
		{"convolution", Layer{Op: OpConv, Units: 5, Height: 3, Width: 3, Stride: 2}, [4]int{1, 1, 1, 1}, false, true},
		{"unequal sides", Layer{Op: OpConv, Units: 5, Height: 3, Width: 5, Stride: 1}, [4]int{2, 0, 3, 1}, false,
			true},
		{"with padding of its own", Layer{Op: OpConv, Units: 5, Height: 5, Width: 5, Stride: 2, Same: true},
			[4]int{1, 2, 2, 1}, false, true},
		{"dilated", Layer{Op: OpConv, Units: 5, Height: 3, Width: 3, Stride: 1, Dilation: 2}, [4]int{2, 2, 3, 1},
			false, true},
		{"groups", Layer{Op: OpConv, Units: 4, Height: 3, Width: 3, Stride: 2, Groups: 2}, [4]int{1, 1, 1, 1}, false,
			true},
		{"a large kernel", Layer{Op: OpConv, Units: 6000, Height: 3, Width: 3, Stride: 2}, [4]int{1, 1, 1, 0}, false,
			true},
		{"depthwise", Layer{Op: OpDepthwiseConv, Height: 3, Width: 3, Stride: 2}, [4]int{1, 1, 1, 1}, false, true},
		{"depthwise with gaps", Layer{Op: OpDepthwiseConv, Height: 3, Width: 3, Stride: 1, Dilation: 2},
			[4]int{1, 4, 2, 2}, false, true},
		{"repeated channels", Layer{Op: OpConv, Units: 8, Height: 3, Width: 3, Stride: 2, Groups: 4},
			[4]int{1, 1, 1, 1}, false, true},
		{"largest", Layer{Op: OpMaxPool, Height: 3, Width: 3, Stride: 2}, [4]int{1, 1, 1, 1}, true, true},
		{"largest of zeros", Layer{Op: OpMaxPool, Height: 3, Width: 3, Stride: 2}, [4]int{1, 1, 1, 1}, false, false},
		{"largest with gaps", Layer{Op: OpMaxPool, Height: 3, Width: 3, Stride: 1, Dilation: 2}, [4]int{2, 2, 2, 2},
			true, false},
		{"largest with gaps along a row",
			Layer{Op: OpMaxPool, Height: 3, Width: 3, Stride: 1, Dilation: 1, DilationWidth: 2}, [4]int{1, 1, 2, 2},
			true, false},
		{"mean", Layer{Op: OpAveragePool, Height: 3, Width: 3, Stride: 2}, [4]int{1, 1, 1, 1}, false, false},
		{"wider than the window", Layer{Op: OpConv, Units: 5, Height: 3, Width: 3, Stride: 1}, [4]int{3, 0, 0, 0},
			false, false},
		{"nothing but border at the end", Layer{Op: OpConv, Units: 5, Height: 3, Width: 3, Stride: 1},
			[4]int{0, 0, 0, 3}, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.layer.Name = "window"
			p := Layer{Op: OpPad, Inputs: []int{2}, Above: c.pads[0], Below: c.pads[1], Left: c.pads[2],
				Right: c.pads[3], Lowest: c.lowest}
			begin := []Layer{
				{Op: OpInput, Shape: []int{7, 8, 3}},
				{Op: OpConv, Name: "first", Inputs: []int{0}, Units: 4, Height: 1, Width: 1, Stride: 1},
				{Op: OpReLU, Inputs: []int{1}}, p,
			}
			graph := func(layers ...Layer) *Graph {
				g, err := NewGraph(append(append([]Layer(nil), begin...), layers...))
				if err != nil {
					t.Fatal(err)
				}
				return g
			}
			taken := graph(window(c.layer))
			between := c.layer
			between.Inputs = []int{4}
			op := Layer{Op: OpReLU, Inputs: []int{3}}
			if c.lowest { // a ReLU would make them zeros
				op = Layer{Op: OpCrop, Inputs: []int{3}}
			}
			apart := graph(op, between)
			if got := hasBorder(t, taken); got == c.taken {
				t.Errorf("the border is a step of its own: %v", got)
			}
			if !hasBorder(t, apart) {
				t.Error("the border is no step of its own, although something is between")
			}
			w := randomWeights(taken, 1)
			random := rand.New(rand.NewPCG(2, 3))
			in := values(random, 7*8*3)
			direction := values(random, tensor.Len(taken.OutputShape()))
			got, gotBack := forthAndBack(t, taken, w, in, direction)
			want, wantBack := forthAndBack(t, apart, w, in, direction)
			same(t, "output", got, want)
			same(t, "gradient", gotBack, wantBack)
		})
	}
}

// hasBorder reports whether a graph is computed with a step that puts numbers around a map.
func hasBorder(t *testing.T, g *Graph) bool {
	t.Helper()
	l, err := lower(g, purpose{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range l.stages {
		if _, ok := s.computation.(*border); ok {
			return true
		}
	}
	return false
}

func forthAndBack(t *testing.T, g *Graph, w Weights, in, direction []float32) (output, gradient []float32) {
	t.Helper()
	d, err := NewDifferentiator(g, w)
	if err != nil {
		t.Fatal(err)
	}
	output, gradient = make([]float32, len(direction)), make([]float32, len(in))
	if err := d.Gradient(t.Context(), in, direction, output, gradient); err != nil {
		t.Fatal(err)
	}
	return output, gradient
}

func values(random *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(random.NormFloat64())
	}
	return v
}

func same(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Abs(float64(got[i]-want[i])) > 1e-5*(1+math.Abs(float64(want[i]))) {
			t.Fatalf("%s %d is %v, want %v", what, i, got[i], want[i])
		}
	}
}

// TestGatheredConvolution checks that a convolution with a large kernel has the bits of the same
// one computed row by row, with all layers fused into it, on any number of threads.
func TestGatheredConvolution(t *testing.T) {
	for _, c := range []struct{ height, width, channels, filters, kernelHeight, kernelWidth, stride, dilation int }{
		{7, 7, 36, 210, 5, 4, 1, 1},
		{15, 13, 40, 376, 3, 3, 2, 1},
		{9, 27, 65, 290, 1, 7, 1, 1},
		{12, 5, 65, 290, 7, 1, 1, 1},
		{9, 11, 48, 310, 3, 3, 1, 2}, // of rows only
		{3, 3, 120, 1030, 2, 3, 1, 1},
	} {
		b := NewBuilder(c.height, c.width, c.channels)
		options := []ConvOption{WithDilation(c.dilation, 1)}
		x := b.ConvRect("c", b.Input(), c.filters, c.kernelHeight, c.kernelWidth, c.stride, Same, options...)
		y := b.Conv("side", b.Input(), c.filters, 1, c.stride, Same)
		g := b.Build(b.ReLU(b.Add(b.BatchNorm("bn", x, 1e-3), y)))
		w := randomWeights(g, 4)
		in := values(rand.New(rand.NewPCG(5, 6)), 2*c.height*c.width*c.channels)
		var want []float32
		for _, threads := range []int{1, 2, 3} {
			for _, gathered := range []bool{false, true} {
				plan := compile(t, g, w, threads)
				if !gathered {
					for i := range plan.stages {
						ungather(&plan.stages[i])
						plan.stages[i].tasks = plan.stages[i].divide(1, threads)
					}
				} else if !slices.ContainsFunc(plan.stages, isGathered) {
					t.Fatalf("%+v: the convolution is not gathered", c)
				}
				out := run1(t, plan, in)
				if want == nil {
					want = out
				}
				if !slices.Equal(out, want) {
					t.Fatalf("%+v: other values with %d threads, gathered %v", c, threads, gathered)
				}
			}
		}
	}
}

func isGathered(s stage) bool {
	_, ok := s.computation.(*gatheredConvolution)
	return ok
}

// ungather replaces a stage's gathered convolution by the plain one.
func ungather(s *stage) {
	if g, ok := s.computation.(*gatheredConvolution); ok {
		s.computation = &g.convolution
	}
}

// TestConcatsShareWhatTheyJoin checks that a chain of concatenations copies no value twice, and
// that the gradients of shared values sum over all readers.
func TestConcatsShareWhatTheyJoin(t *testing.T) {
	build := func(shared bool) *Graph {
		b := NewBuilder(5, 4, 3)
		all := []Value{b.Input()}
		for i := range 3 {
			joined := all
			if !shared && i > 0 { // the same values in other names, so that nothing is shared
				joined = nil
				for _, v := range all {
					joined = append(joined, b.Crop(v, 0, 0, 0, 0))
				}
			}
			x := joined[0]
			if i > 0 {
				x = b.Concat(joined...)
			}
			all = append(all, b.Conv(string(rune('a'+i)), x, 2, 3, 1, Same))
		}
		return b.Build(b.Concat(all...))
	}
	countConcatenations := func(g *Graph) (n int) {
		l, err := lower(g, purpose{})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range l.stages {
			if _, ok := s.computation.(*concatenation); ok {
				n++
			}
		}
		return n
	}
	shared, apart := build(true), build(false)
	if got := countConcatenations(shared); got != 3 {
		t.Errorf("%d concatenations of 4 values, want 3", got)
	}
	w := randomWeights(shared, 1)
	random := rand.New(rand.NewPCG(2, 3))
	in, direction := values(random, 5*4*3), values(random, tensor.Len(shared.OutputShape()))
	got, gotBack := forthAndBack(t, shared, w, in, direction)
	want, wantBack := forthAndBack(t, apart, w, in, direction)
	same(t, "output", got, want)
	same(t, "gradient", gotBack, wantBack)
}

// TestGathers checks that windows are gathered only if many fit into memory and the kernel and map
// are large enough.
func TestGathers(t *testing.T) {
	for _, c := range []struct {
		side, channels, filters, kernel int
		want                            bool
	}{
		{28, 128, 128, 4, true}, {29, 128, 128, 4, false}, {28, 32, 128, 4, false},
		{10, 4096, 1, 8, true}, {10, 4096, 1, 9, false},
	} {
		b := NewBuilder(c.side, c.side, c.channels)
		l, err := lower(b.Build(b.Conv("c", b.Input(), c.filters, c.kernel, 1, Same)), purpose{})
		if err != nil {
			t.Fatal(err)
		}
		if _, got := l.stages[0].computation.(*gatheredConvolution); got != c.want {
			t.Errorf("%+v: gathered is %v", c, got)
		}
	}
}

// TestGatheredGradients checks that the gradients of a convolution with a large kernel are those of
// the same one computed row by row, for several images at once.
func TestGatheredGradients(t *testing.T) {
	for _, c := range []struct{ side, channels, filters, kernel, stride, dilation int }{
		{7, 36, 210, 5, 1, 1}, {17, 36, 210, 5, 1, 1}, {13, 40, 376, 3, 2, 1}, {9, 48, 310, 3, 1, 2},
		{4, 120, 516, 2, 1, 1},
	} {
		b := NewBuilder(c.side, c.side, 3)
		x := b.Conv("first", b.Input(), c.channels, 1, 1, Same)
		y := b.Conv("c", x, c.filters, c.kernel, c.stride, Same, WithDilation(c.dilation, 1))
		y = b.Add(b.BatchNorm("bn", y, 1e-3), b.Conv("side", x, c.filters, 1, c.stride, Same))
		g := b.Build(b.Dense("classifier", b.GlobalAveragePool(b.ReLU(y)), 5, WithBias()))
		w := randomWeights(g, 4)
		input, targets := makeBatch(g, 9, 5)
		gradients := func(gathered bool) map[string][]float32 {
			tr, err := NewTrainer(g, w, TrainerOptions{Loss: SoftmaxCrossEntropy{}, Threads: 2})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(tr.stages, func(s trainStage) bool { return isGathered(s.stage) }) {
				t.Fatalf("%+v: the convolution is not gathered", c)
			}
			if !gathered {
				for i := range tr.stages {
					ungather(&tr.stages[i].stage)
				}
			}
			if _, err := tr.Step(t.Context(), input, targets, make([]float32, len(targets))); err != nil {
				t.Fatal(err)
			}
			return cloneGradients(tr)
		}
		got, want := gradients(true), gradients(false)
		for name, v := range want {
			same(t, name, got[name], v)
		}
	}
}
