package backbone

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"garb/nn"
	"garb/tensor"
)

// noise gives every parameter small random values: speed does not depend on
// them as long as none is subnormal.
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
				b.Run(fmt.Sprintf("%s/%d/threads=%d/batch=%d", bench.name, bench.size, threads, batch),
					func(b *testing.B) {
						input := make([]float32, batch*tensor.Len(plan.InputShape()))
						for i := range input {
							input[i] = float32(i%255)/128 - 1
						}
						output := make([]float32, batch*tensor.Len(plan.OutputShape()))
						for b.Loop() {
							if err := plan.Run(context.Background(), input, output); err != nil {
								b.Fatal(err)
							}
						}
						b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N*batch), "ms/picture")
					})
			}
		}
	}
}
