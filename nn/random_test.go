package nn

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"garb/tensor"
)

// TestRandomDescriptions checks that building, compiling, running and training any description of a
// network ends in a result or a typed error.
func TestRandomDescriptions(t *testing.T) {
	ops := Operations()
	ops = slices.DeleteFunc(ops, func(o Op) bool { return o == OpInput })
	built, trained := 0, 0
	for seed := range uint64(4000) {
		g, err := NewGraph(drawLayers(t, ops, seed))
		if err != nil {
			continue
		}
		built++
		w := randomWeights(g, seed)
		for i := range g.nodes {
			runDrawn(t, g.Upto(i), w, seed)
		}
		trainer, err := NewTrainer(g, w, TrainerOptions{Threads: 1, Loss: SoftmaxCrossEntropy{}})
		if err != nil {
			checkTyped(t, seed, err)
			continue
		}
		trained++
		targets := make([]float32, trainer.outputLen)
		if _, err := trainer.Step(t.Context(), randomValues(tensor.Len(g.InputShape()), seed), targets,
			make([]float32, trainer.outputLen)); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d networks, of which %d can be trained", built, trained)
	if built < 2000 || trained < 200 {
		t.Error("too few")
	}
}

// drawLayers draws up to seven layers. Invalid ones are dropped.
func drawLayers(t *testing.T, ops []Op, seed uint64) []Layer {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 17))
	pick := func(n int) int { return random.IntN(n) }
	layers := []Layer{{Op: OpInput, Shape: []int{1 + pick(9), 1 + pick(9), 1 + pick(4)}}}
	for range 1 + pick(7) {
		l := Layer{
			Op: ops[pick(len(ops))], Name: fmt.Sprint("l", pick(20)), Units: pick(9), Height: pick(5),
			Stride: pick(4), Same: pick(2) == 0, Bias: pick(2) == 0, Epsilon: 1e-3,
			Slope: float64(pick(3)) - 1, Rate: float64(pick(5)) / 4,
			Above: pick(3), Below: pick(3), Left: pick(3), Right: pick(3), Lowest: pick(2) == 0,
			StrideWidth: pick(3) * pick(2), Dilation: pick(3), DilationWidth: pick(3),
			Groups: pick(5) * pick(2), Before: pick(2), After: pick(2), Rows: pick(4), Columns: pick(4),
			Linear: pick(2) == 0,
		}
		if l.Width = l.Height; pick(3) == 0 {
			l.Width = pick(5)
		}
		if l.Op == OpReshape {
			l.Shape = [][]int{{1, 1, 1 + pick(8)}, {1 + pick(20)}, {2, 2}}[pick(3)]
		}
		for range max(operations[l.Op].arity(), -2*operations[l.Op].arity()) {
			l.Inputs = append(l.Inputs, max(0, len(layers)-1-pick(3)))
		}
		end := Layer{Op: OpReLU, Inputs: []int{len(layers)}}
		if _, err := NewGraph(append(slices.Clone(layers), l, end)); err != nil {
			var wrong *LayerError
			if !errors.As(err, &wrong) {
				t.Fatalf("seed %d: %T %v", seed, err, err)
			}
			continue
		}
		layers = append(layers, l)
	}
	return layers
}

// runDrawn compiles and runs a graph.
func runDrawn(t *testing.T, g *Graph, w Weights, seed uint64) {
	t.Helper()
	plan, err := Compile(g, w, Options{Threads: 1 + int(seed)%2})
	if err != nil {
		checkTyped(t, seed, err)
		return
	}
	input, output := randomValues(tensor.Len(g.InputShape()), seed), make([]float32, tensor.Len(g.OutputShape()))
	if err := plan.Run(t.Context(), input, output); err != nil {
		t.Fatal(err)
	}
}

func checkTyped(t *testing.T, seed uint64, err error) {
	t.Helper()
	var layer *LayerError
	var weight *WeightError
	if !errors.As(err, &layer) && !errors.As(err, &weight) {
		t.Fatalf("seed %d: %T %v", seed, err, err)
	}
}
