package backbone

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"garb/nn"
	"garb/tensor"
)

// noise gives every parameter small random values. Speed does not depend on them unless they are
// subnormal.
type noise struct{ graph *nn.Graph }

func (n noise) Tensor(name string) (*tensor.Tensor, error) {
	random := rand.New(rand.NewPCG(1, uint64(len(name))))
	for _, p := range n.graph.Params() {
		if p.Name != name {
			continue
		}
		t := tensor.New(p.Shape...)
		for i := range t.Data {
			t.Data[i] = random.Float32() - 0.5
			if !p.Trainable {
				t.Data[i] += 1
			}
		}
		return t, nil
	}
	return nil, fmt.Errorf("no parameter %s", name)
}

func BenchmarkRun(b *testing.B) {
	for _, bench := range []struct {
		name string
		size int
	}{{"efficientnet-lite0", 224}, {"xception", 299}, {"xception", 150}} {
		a, err := Lookup(bench.name)
		if err != nil {
			b.Fatal(err)
		}
		g := a.Features(bench.size, bench.size)
		for _, threads := range []int{1, 2} {
			plan, err := nn.Compile(g, noise{g}, nn.Options{Threads: threads})
			if err != nil {
				b.Fatal(err)
			}
			for _, batch := range []int{1, 8} {
				name := fmt.Sprintf("%s/%d/threads=%d/batch=%d", bench.name, bench.size, threads, batch)
				b.Run(name, func(b *testing.B) { runPlan(b, plan, batch) })
			}
		}
	}
}

// runPlan measures a plan with batches of pictures.
func runPlan(b *testing.B, plan *nn.Plan, batch int) {
	input := makeInput(batch * tensor.Len(plan.InputShape()))
	output := make([]float32, batch*tensor.Len(plan.OutputShape()))
	for b.Loop() {
		if err := plan.Run(b.Context(), input, output); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N*batch), "ms/picture")
}

// makeInput returns n values between −1 and 1.
func makeInput(n int) []float32 {
	input := make([]float32, n)
	for i := range input {
		input[i] = float32(i%255)/128 - 1
	}
	return input
}
