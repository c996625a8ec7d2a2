package nn

import (
	"math/rand/v2"
	"slices"
	"testing"

	"garb/tensor"
)

// winogradNetwork is a 3×3 convolution with all that becomes a part of it, of a map that others
// read too.
func winogradNetwork(height, width, channels, filters int, border [4]int, padding Padding) *Graph {
	b := NewBuilder(height, width, 3)
	x := b.ReLU(b.Conv("first", b.Input(), channels, 1, 1, Same))
	y := b.Conv("c", b.Pad(x, border[0], border[1], border[2], border[3], false), filters, 3, 1, padding, WithBias())
	y = b.BatchNorm("bn", y, 1e-3)
	side := b.Conv("side", x, filters, 1, 1, Same)
	if padding == Same && border == [4]int{} {
		y = b.Add(y, side)
	}
	y = b.ReLU6(y)
	return b.Build(b.Dense("classifier", b.Concat(b.GlobalAveragePool(y), b.GlobalAveragePool(side)), 5, WithBias()))
}

// withoutWinograd puts the plain convolution in the place of one that is computed in tiles.
func withoutWinograd(t *testing.T, steps []*stage, w Weights) {
	t.Helper()
	found := false
	for _, s := range steps {
		if c, ok := s.computation.(*winogradConvolution); ok {
			plain := c.convolution
			if w != nil {
				if err := plain.load(w); err != nil {
					t.Fatal(err)
				}
			}
			s.computation, found = &plain, true
			if w != nil {
				s.tasks = s.divide(1, 1)
			}
		}
	}
	if !found {
		t.Fatal("no convolution is computed in tiles")
	}
}

var winogradCases = []struct {
	height, width, channels, filters int
	border                           [4]int // above, below, left, right
	padding                          Padding
}{
	{8, 8, 32, 40, [4]int{}, Same},
	{9, 7, 37, 33, [4]int{}, Same},
	{7, 12, 32, 32, [4]int{}, Valid},
	{11, 9, 48, 32, [4]int{1, 1, 1, 1}, Valid},
	{6, 7, 33, 47, [4]int{2, 2, 2, 2}, Valid}, // the first window lies outside but for its corner
	{8, 9, 32, 32, [4]int{0, 0, 1, 0}, Valid}, // the last windows end with the map
	{9, 8, 32, 32, [4]int{1, 0, 0, 2}, Valid},
	{7, 7, 180, 200, [4]int{}, Same}, // threads share the kernel
	{30, 30, 64, 64, [4]int{}, Same}, // several blocks
	{29, 31, 32, 64, [4]int{}, Same},
}

// TestWinograd checks that a convolution in tiles gives the values of the plain one, and the same
// bits however images and rows are divided.
func TestWinograd(t *testing.T) {
	for _, c := range winogradCases {
		g := winogradNetwork(c.height, c.width, c.channels, c.filters, c.border, c.padding)
		w := randomWeights(g, 4)
		const n = 5
		in := values(rand.New(rand.NewPCG(5, 6)), n*c.height*c.width*3)
		outLen := tensor.Len(g.OutputShape())
		run := func(p *Plan, images int) []float32 {
			t.Helper()
			out := make([]float32, n*outLen)
			for low := 0; low < n; low += images {
				high := min(low+images, n)
				part := in[low*len(in)/n : high*len(in)/n]
				if err := p.Run(t.Context(), part, out[low*outLen:high*outLen]); err != nil {
					t.Fatal(err)
				}
			}
			return out
		}
		compile := func(threads int) *Plan {
			t.Helper()
			p, err := Compile(g, w, Options{Threads: threads})
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		plain := compile(1)
		var steps []*stage
		for i := range plain.stages {
			steps = append(steps, &plain.stages[i])
		}
		withoutWinograd(t, steps, w)
		for i := range plain.stages {
			plain.scratchLen = max(plain.scratchLen, plain.stages[i].scratchLen())
		}
		want := run(compile(1), n)
		same(t, "value", want, run(plain, n))
		for _, threads := range []int{1, 2, 3} {
			for _, images := range []int{1, 2, n} {
				if got := run(compile(threads), images); !slices.Equal(got, want) {
					t.Errorf("%+v: other bits with %d threads, %d images at a time", c, threads, images)
				}
			}
		}
	}
}

// TestWinogradGradients checks that the gradients of a convolution in tiles are those of the plain
// one, with the same bits on any number of threads.
func TestWinogradGradients(t *testing.T) {
	for _, c := range winogradCases {
		g := winogradNetwork(c.height, c.width, c.channels, c.filters, c.border, c.padding)
		w := randomWeights(g, 4)
		input, targets := makeBatch(g, 9, 5)
		gradients := func(threads int, winograd bool) map[string][]float32 {
			tr, err := NewTrainer(g, w, TrainerOptions{Loss: SoftmaxCrossEntropy{}, Threads: threads})
			if err != nil {
				t.Fatal(err)
			}
			if !winograd {
				trainWithoutWinograd(t, tr)
			}
			for range 2 { // the second with other weights
				if _, err := tr.Step(t.Context(), input, targets, make([]float32, len(targets))); err != nil {
					t.Fatal(err)
				}
				(&SGD{}).Update(tr.Variables(), 0.01)
			}
			return cloneGradients(tr)
		}
		got, want := gradients(2, true), gradients(1, false)
		for name, v := range want {
			same(t, name, got[name], v)
		}
		for name, v := range gradients(1, true) {
			if !slices.Equal(v, got[name]) {
				t.Errorf("%+v: %s has other bits with one thread", c, name)
			}
		}
	}
}

// trainWithoutWinograd replaces a trainer's convolutions in tiles by plain ones.
func trainWithoutWinograd(t *testing.T, tr *Trainer) {
	t.Helper()
	var stages []*stage
	for i := range tr.stages {
		stages = append(stages, &tr.stages[i].stage)
	}
	withoutWinograd(t, stages, nil)
	for i := range tr.stages {
		if c, ok := tr.stages[i].computation.(*convolution); ok && c.kernelHeight == 3 {
			tr.stages[i].gradientLen = c.kernelLen + c.columns
		}
		tr.scratchLen = max(tr.scratchLen, tr.stages[i].scratchLen(), tr.stages[i].backScratchLen())
	}
}

// TestWinogradFits checks which convolutions are computed in tiles.
func TestWinogradFits(t *testing.T) {
	wide := NewBuilder(4, 40000, 32)
	l, err := lower(wide.Build(wide.Conv("c", wide.Input(), 32, 3, 1, Same)), purpose{})
	if err != nil {
		t.Fatal(err)
	}
	if _, got := l.stages[0].computation.(*winogradConvolution); got {
		t.Error("rows of 20,000 tiles are computed at once")
	}
	for _, c := range []struct {
		side, channels, filters, kernel, stride, dilation, groups int
		want                                                      bool
	}{
		{side: 8, channels: 32, filters: 32, kernel: 3, stride: 1, dilation: 1, want: true},
		{side: 5, channels: 32, filters: 32, kernel: 3, stride: 1, dilation: 1, want: true},
		{side: 3, channels: 32, filters: 32, kernel: 3, stride: 1, dilation: 1}, // 4 tiles for 9 outputs
		{side: 8, channels: 31, filters: 32, kernel: 3, stride: 1, dilation: 1},
		{side: 8, channels: 32, filters: 31, kernel: 3, stride: 1, dilation: 1},
		{side: 8, channels: 32, filters: 32, kernel: 5, stride: 1, dilation: 1},
		{side: 8, channels: 32, filters: 32, kernel: 3, stride: 2, dilation: 1},
		{side: 8, channels: 32, filters: 32, kernel: 3, stride: 1, dilation: 2},
		{side: 8, channels: 64, filters: 64, kernel: 3, stride: 1, dilation: 1, groups: 2},
	} {
		b := NewBuilder(c.side, c.side, c.channels)
		options := []ConvOption{WithDilation(c.dilation, c.dilation), WithGroups(c.groups)}
		x := b.Conv("c", b.Input(), c.filters, c.kernel, c.stride, Same, options...)
		l, err := lower(b.Build(x), purpose{})
		if err != nil {
			t.Fatal(err)
		}
		if _, got := l.stages[0].computation.(*winogradConvolution); got != c.want {
			t.Errorf("%+v: in tiles is %v", c, got)
		}
	}
}
