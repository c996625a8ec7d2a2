package nn

import (
	"math"
	"runtime"
	"slices"
	"testing"
	"time"

	"garb/tensor"
)

// computeGradients returns the gradients of a step on a batch, before they change any weight.
func computeGradients(t *testing.T, tr *Trainer, input, targets []float32) map[string][]float32 {
	t.Helper()
	tr.SetSteps(0) // the same is dropped
	if _, err := tr.Step(t.Context(), input, targets, make([]float32, len(targets))); err != nil {
		t.Fatal(err)
	}
	all := map[string][]float32{}
	for _, v := range tr.Variables() {
		all[v.Name] = slices.Clone(v.Gradient)
	}
	return all
}

// TestStepsForgetEarlierOnes checks that a step's gradients are the same bits whatever batch, and
// of whatever size, the step before had.
func TestStepsForgetEarlierOnes(t *testing.T) {
	for name, build := range everyLayer {
		for _, batchStatistics := range []bool{false, true} {
			g := build()
			tr, err := NewTrainer(g, randomWeights(g, 1), TrainerOptions{Loss: BinaryCrossEntropy{},
				BatchStatistics: batchStatistics, Seed: 3})
			if err != nil {
				t.Fatal(err)
			}
			input, targets := makeBatch(g, 11, 5)
			want := computeGradients(t, tr, input, targets)
			otherInput, otherTargets := makeBatch(g, 17, 6)
			computeGradients(t, tr, otherInput, otherTargets)
			for v, have := range computeGradients(t, tr, input, targets) {
				if !slices.Equal(have, want[v]) {
					t.Errorf("%s, batch statistics %v: the gradient of %s differs", name, batchStatistics, v)
				}
			}
		}
	}
}

// TestLargeMapsOfSeveralPictures checks that the gradients of a batch are the means of its
// pictures', if a part of the batch goes picture by picture through the first layers.
func TestLargeMapsOfSeveralPictures(t *testing.T) {
	b := NewBuilder(200, 200, 1)
	x := b.ReLU(b.Conv("a", b.Input(), 4, 3, 1, Same, WithBias()))
	x = b.MaxPool(b.Conv("b", x, 4, 3, 1, Same), 8, 8, Valid)
	g := b.Build(b.Dense("d", b.GlobalAveragePool(b.Conv("c", x, 3, 3, 1, Same)), 3))
	tr, err := NewTrainer(g, randomWeights(g, 1), TrainerOptions{Loss: SoftmaxCrossEntropy{}})
	if err != nil {
		t.Fatal(err)
	}
	if tr.imageStages == 0 || tr.imageStages == len(tr.stages) {
		t.Fatalf("%d of %d steps go picture by picture", tr.imageStages, len(tr.stages))
	}
	const n = 17 // more than two for some of the parts
	input, targets := makeBatch(g, n, 5)
	want := map[string][]float64{}
	for i := range n {
		picture, target := input[i*len(input)/n:][:len(input)/n], targets[i*len(targets)/n:][:len(targets)/n]
		one := computeGradients(t, tr, picture, target)
		for name, gradient := range one {
			if want[name] == nil {
				want[name] = make([]float64, len(gradient))
			}
			for j, v := range gradient {
				want[name][j] += float64(v) / n
			}
		}
	}
	for name, gradient := range computeGradients(t, tr, input, targets) {
		largest := 0.0
		for _, v := range want[name] {
			largest = max(largest, math.Abs(v))
		}
		for j, v := range gradient {
			// Sums of tens of thousands of float32 products.
			if largest == 0 || math.Abs(float64(v)-want[name][j]) > 1e-4*largest {
				t.Fatalf("gradient %d of %s is %v, want %v", j, name, v, want[name][j])
			}
		}
	}
}

// TestLayersWithOneParameter checks the gradient of a single value.
func TestLayersWithOneParameter(t *testing.T) {
	b := NewBuilder(3, 3, 1)
	x := b.PReLU("p", b.Conv("c", b.Input(), 1, 1, 1, Same))
	g := b.Build(b.Dense("d", b.GlobalAveragePool(x), 3))
	w := randomWeights(g, 1)
	tr, err := NewTrainer(g, w, TrainerOptions{Loss: SoftmaxCrossEntropy{}})
	if err != nil {
		t.Fatal(err)
	}
	input, targets := makeBatch(g, 5, 5)
	gradients := computeGradients(t, tr, input, targets)
	for _, v := range tr.Variables() {
		direction := make([]float32, len(v.Value))
		direction[0] = 1
		want := slope(t, tr, v, 1e-3, direction, input, targets)
		if have := float64(gradients[v.Name][0]); math.Abs(have-want) > 1e-3*(1+math.Abs(want)) || have == 0 {
			t.Errorf("%s: gradient %v, %v by differences", v.Name, have, want)
		}
	}
}

// TestTooManyTasks checks that a team refuses more tasks than it can count.
func TestTooManyTasks(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	newTeam(2).runTasks(nil, taskMask+1)
}

// TestHelpersAreGivenBack checks that no helper counts as busy after runs that asked for more
// helpers than there are cores.
func TestHelpersAreGivenBack(t *testing.T) {
	g := everyLayer["residual"]()
	p := compile(t, g, randomWeights(g, 1), 4*runtime.GOMAXPROCS(0))
	input := randomValues(tensor.Len(g.InputShape()), 1)
	for range 20 {
		run1(t, p, input)
	}
	// A helper that was never scheduled ends after the run.
	for deadline := time.Now().Add(2 * time.Minute); busy.Load() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d helpers are busy", busy.Load())
		}
	}
}

// TestSplitIsLate checks that the part before the first trained layer ends right before that layer,
// or at the last single value before it.
func TestSplitIsLate(t *testing.T) {
	b := NewBuilder(4, 4, 3)
	x := b.ReLU(b.Conv("a", b.Input(), 3, 1, 1, Same))
	y := b.Conv("b", x, 3, 1, 1, Same)
	g := b.Build(b.Dense("d", b.GlobalAveragePool(b.Add(x, y)), 2))
	for first, want := range map[string]int{"a": 0, "b": 3, "d": 6} {
		trained := map[string]bool{"a": first == "a", "b": first <= "b", "d": true}
		before, after := g.split(func(p Param) bool { return trained[p.Name[:1]] })
		switch {
		case want == 0 && (before != nil || after != g):
			t.Errorf("from %s on: something is before", first)
		case want > 0 && (before == nil || len(before.nodes) != want || len(after.nodes) != len(g.nodes)-want+1):
			t.Errorf("from %s on: %v, want %d layers before", first, before, want)
		}
	}
}

// TestRowsOfTiles checks that a block has at least one row of tiles, however wide that is.
func TestRowsOfTiles(t *testing.T) {
	for _, test := range []struct{ width, block, gradient int }{{8, 7, 24}, {56, 1, 3}, {60, 1, 3}, {400, 1, 1}} {
		w := &winogradPass{channels: 160, columns: 160, outWidth: test.width}
		if block, gradient := w.blockRows(), w.gradientRows(); block != test.block || gradient != test.gradient {
			t.Errorf("width %d: %d rows, %d for a gradient", test.width, block, gradient)
		}
	}
}

// TestBatchNormsAreFolded checks that a batch-norm after a convolution has no stage of its own.
func TestBatchNormsAreFolded(t *testing.T) {
	steps := func(norm bool) int {
		b := NewBuilder(6, 6, 3)
		x := b.Conv("c", b.Input(), 4, 3, 1, Same)
		if norm {
			x = b.BatchNorm("n", x, 1e-3)
		}
		g := b.Build(b.GlobalAveragePool(b.ReLU(x)))
		return len(compile(t, g, randomWeights(g, 1), 1).stages)
	}
	if with, without := steps(true), steps(false); with != without {
		t.Errorf("%d steps with a batch-norm, %d without", with, without)
	}
}
