package nn

import (
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"garb/tensor"
)

// TestSchedulesByHand compares rates in the middle and at both sides of each change with ones
// computed by hand.
func TestSchedulesByHand(t *testing.T) {
	const rise, start, final = 29.0, 1.0 / 25, 1 / 25e4 // of 100 steps
	for _, test := range []struct {
		name        string
		schedule    Schedule
		step, steps int
		want        float64
	}{
		{"step decay, before", StepDecay(2, 0.5, 3), 2, 9, 2},
		{"step decay, after", StepDecay(2, 0.5, 3), 3, 9, 1},
		{"step decay, at every step", StepDecay(2, 0.5, 0), 3, 9, 0.25},
		{"cosine, last of the warm-up", Cosine(4, 0, 8), 7, 108, 3.5},
		{"cosine, after the warm-up", Cosine(4, 0, 8), 9, 108, 4 * (1 + math.Cos(math.Pi/100)) / 2},
		{"cosine, a quarter", Cosine(4, 0.5, 8), 33, 108, 4 * (0.5 + 0.5*(1+math.Sqrt2/2)/2)},
		{"cosine, a warm-up of all steps", Cosine(4, 0.5, 8), 8, 8, 4},
		{"cosine, beyond a warm-up of all steps", Cosine(4, 0.5, 8), 9, 8, 2},
		{"one cycle, rising", OneCycle(3), 10, 100, 3 * (1 + (start-1)*(1+math.Cos(math.Pi*10/rise))/2)},
		{"one cycle, highest", OneCycle(3), 29, 100, 3},
		{"one cycle, falling", OneCycle(3), 64, 100, 3 * (final + (1-final)/2)},
		{"one cycle, after the peak", OneCycle(3), 30, 100, 3 * (final + (1-final)*(1+math.Cos(math.Pi/70))/2)},
		{"one cycle, last", OneCycle(3), 99, 100, 3 * final},
		{"one cycle, beyond the last", OneCycle(3), 105, 100, 3 * final},
		{"one cycle, one step", OneCycle(3), 0, 1, 3 * (final + (1-final)*(1+math.Cos(math.Pi*0.7/1.7))/2)},
	} {
		if have := test.schedule(test.step, test.steps); math.Abs(have-test.want) > 1e-12 {
			t.Errorf("%s: %v, want %v", test.name, have, test.want)
		}
	}
}

// TestCountsAreExact checks that a number of steps of any size is restored exactly.
func TestCountsAreExact(t *testing.T) {
	for _, n := range []uint64{0, 1, 1<<24 - 1, 1 << 24, 1<<24 + 1, 1<<25 - 1, 123<<24 + 456, 1<<48 - 1} {
		have, err := fetchCount(tensor.Map{"step": countTensor(n)}, "step")
		if have != n || err != nil {
			t.Errorf("%d becomes %d, %v", n, have, err)
		}
	}
	if _, err := fetchCount(tensor.Map{}, "step"); err == nil {
		t.Error("no error for a count that is not there")
	}
	if _, err := fetchCount(tensor.Map{"step": tensor.New(3)}, "step"); err == nil {
		t.Error("no error for a count of another shape")
	}
}

// TestRestoreNeedsEverything checks that a state without one of its parts is refused.
func TestRestoreNeedsEverything(t *testing.T) {
	v := variable(1, 2)
	vs := []*Variable{v}
	average := &Average{Decay: 0.5}
	average.Update(vs)
	for name, test := range map[string]struct {
		state   tensor.Map
		restore func(w Weights) error
	}{
		"SGD":     {(&SGD{}).State(vs), func(w Weights) error { return (&SGD{}).Restore(vs, w) }},
		"Adam":    {(&Adam{}).State(vs), func(w Weights) error { return (&Adam{}).Restore(vs, w) }},
		"Average": {average.State(vs), func(w Weights) error { return (&Average{}).Restore(vs, w) }},
	} {
		if err := test.restore(test.state); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for part, x := range test.state {
			delete(test.state, part)
			if test.restore(test.state) == nil {
				t.Errorf("%s: no error without %s", name, part)
			}
			test.state[part] = x
		}
	}
}

// TestSplitWork checks that each place is in exactly one piece.
func TestSplitWork(t *testing.T) {
	for _, n := range []int{0, 1, 1 << 17, 1<<17 + 1, 1<<18 + 5} {
		var lock sync.Mutex
		var pieces [][2]int
		splitWork(n, func(low, high int) {
			lock.Lock()
			defer lock.Unlock()
			pieces = append(pieces, [2]int{low, high})
		})
		slices.SortFunc(pieces, func(a, b [2]int) int { return a[0] - b[0] })
		end := 0
		for _, p := range pieces {
			if p[0] != end || p[1] < p[0] {
				t.Errorf("%d values: pieces %v", n, pieces)
			}
			end = p[1]
		}
		if end != n || n <= 1<<17 && len(pieces) != 1 {
			t.Errorf("%d values: pieces %v", n, pieces)
		}
	}
}

func TestClipGlobalNormRefusesLimits(t *testing.T) {
	for _, limit := range []float64{0, -1, math.NaN()} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("no panic for a norm of %v", limit)
				}
			}()
			ClipGlobalNorm(nil, limit)
		}()
	}
}

// TestLossesOfExtremeLogits checks that the loss of a certain answer is 0 if it is right and large
// if it is wrong, and never NaN.
func TestLossesOfExtremeLogits(t *testing.T) {
	infinite := float32(math.Inf(-1))
	gradient := make([]float32, 2)
	loss := SoftmaxCrossEntropy{}.Gradient(gradient, []float32{3, infinite}, []float32{1, 0})
	if loss != 0 || !slices.Equal(gradient, []float32{0, 0}) {
		t.Errorf("softmax: loss %v, gradient %v", loss, gradient)
	}
	for _, test := range []struct {
		logit, target float32
		loss          float64
		gradient      float32
	}{{1000, 1, 0, 0}, {1000, 0, 1000, 1}, {-1000, 0, 0, 0}, {-1000, 1, 1000, -1}} {
		loss := BinaryCrossEntropy{}.Gradient(gradient[:1], []float32{test.logit}, []float32{test.target})
		if loss != test.loss || gradient[0] != test.gradient {
			t.Errorf("sigmoid of %v for %v: loss %v, gradient %v", test.logit, test.target, loss, gradient[0])
		}
	}
	// Of two outputs each has half the gradient.
	BinaryCrossEntropy{}.Gradient(gradient, []float32{0, 0}, []float32{1, 0})
	if !slices.Equal(gradient, []float32{-0.25, 0.25}) {
		t.Errorf("two outputs: gradient %v", gradient)
	}
}

// TestTargetsThatSumToLess checks that the gradient is the loss's derivative for targets of any
// sum, such as those of mixtures with pictures of no class.
func TestTargetsThatSumToLess(t *testing.T) {
	l := SoftmaxCrossEntropy{LabelSmoothing: 0.2, ClassWeights: []float64{2, 1, 3}}
	logits, targets := []float32{0.5, -1, 2}, []float32{0.3, 0.1, 0.2}
	gradient, ignored := make([]float32, 3), make([]float32, 3)
	l.Gradient(gradient, logits, targets)
	const h = 1e-2
	for c := range logits {
		at := func(step float32) float64 {
			moved := slices.Clone(logits)
			moved[c] += step
			return l.Gradient(ignored, moved, targets)
		}
		if want := (at(h) - at(-h)) / (2 * h); math.Abs(float64(gradient[c])-want) > 1e-4 {
			t.Errorf("derivative %d is %v, %v by differences", c, gradient[c], want)
		}
	}
}

// TestInputShapes checks that a network's input has height, width and channels, and not more values
// than are allowed.
func TestInputShapes(t *testing.T) {
	for _, test := range []struct {
		shape []int
		ok    bool
	}{
		{[]int{1, 1, 1}, true}, {[]int{0, 1, 1}, false}, {[]int{1, -1, 1}, false}, {[]int{1, 1, 0}, false},
		{[]int{4, 4}, false}, {[]int{1, 1, 1, 1}, false}, {[]int{maxValues, 1, 1}, true},
		{[]int{maxValues, 2, 1}, false}, {[]int{maxValues + 1, 1, 1}, false},
	} {
		// A pool over everything leaves one value.
		_, err := NewGraph([]Layer{{Op: OpInput, Shape: test.shape}, {Op: OpGlobalAveragePool, Inputs: []int{0}}})
		var wrong *LayerError
		if (err == nil) != test.ok || err != nil && (!errors.As(err, &wrong) || wrong.Layer != 0) {
			t.Errorf("%v: %v", test.shape, err)
		}
	}
	for _, layers := range [][]Layer{nil, make([]Layer, maxLayers+1)} {
		if _, err := NewGraph(layers); err == nil || !strings.Contains(err.Error(), "layers") {
			t.Errorf("%d layers: %v", len(layers), err)
		}
	}
}

// TestEqualValuesChooseTheFirst checks that of two equal values the first gets the gradient, as in
// TensorFlow.
func TestEqualValuesChooseTheFirst(t *testing.T) {
	for name, op := range map[string]pairwise{"maximum": maximum, "minimum": minimum} {
		dx, dy := []float32{1, 1, 1}, []float32{1, 1, 1}
		op.addGradients(dx, dy, []float32{5, 6, 7}, []float32{2, 1, 3}, []float32{2, 3, 1})
		wantX, wantY := []float32{6, 1, 8}, []float32{1, 7, 1}
		if name == "minimum" {
			wantX, wantY = []float32{6, 7, 1}, []float32{1, 1, 8}
		}
		if !slices.Equal(dx, wantX) || !slices.Equal(dy, wantY) {
			t.Errorf("%s: gradients %v and %v, want %v and %v", name, dx, dy, wantX, wantY)
		}
	}
}

// TestRepeatedChannelsAreBounded checks that the error names the size of the map.
func TestRepeatedChannelsAreBounded(t *testing.T) {
	conv := Layer{Op: OpConv, Name: "c", Inputs: []int{0}, Height: 1, Width: 1, Stride: 1}
	for units, ok := range map[int]bool{1: true, 2: false} {
		conv.Units = units
		_, err := NewGraph([]Layer{{Op: OpInput, Shape: []int{20000, 10000, 1}}, conv,
			{Op: OpGlobalAveragePool, Inputs: []int{1}}})
		if (err == nil) != ok || !ok && !strings.Contains(err.Error(), "20000") {
			t.Errorf("%d filters: %v", units, err)
		}
	}
}
