package backbone

import (
	"fmt"
	"testing"

	"garb/nn"
	"garb/tensor"
)

// BenchmarkFineTune measures a training step of all layers with 32 pictures.
func BenchmarkFineTune(b *testing.B) {
	for _, name := range []string{"efficientnet-lite0", "xception", "small-cnn"} {
		a, err := Lookup(name)
		if err != nil {
			b.Fatal(err)
		}
		side := 224
		if name != "efficientnet-lite0" {
			side = 150
		}
		for _, statistics := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/batchStatistics=%v", name, statistics), func(b *testing.B) {
				trainSteps(b, a.WithTop(side, side), statistics)
			})
		}
	}
}

func trainSteps(b *testing.B, g *nn.Graph, statistics bool) {
	t, err := nn.NewTrainer(g, noise{g},
		nn.TrainerOptions{Loss: nn.SoftmaxCrossEntropy{}, BatchStatistics: statistics})
	if err != nil {
		b.Fatal(err)
	}
	const batch = 32
	input := makeInput(batch * tensor.Len(g.InputShape()))
	out := g.OutputShape()[0]
	targets, logits := make([]float32, batch*out), make([]float32, batch*out)
	for i := range batch {
		targets[i*out+i%out] = 1
	}
	o := &nn.Adam{WeightDecay: 0.01}
	for b.Loop() {
		if _, err := t.Step(b.Context(), input, targets, logits); err != nil {
			b.Fatal(err)
		}
		o.Update(t.Variables(), 1e-4)
	}
}
