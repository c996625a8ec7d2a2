package peertest_test

import (
	"testing"

	"garb/internal/peertest"
	"garb/nn"
)

// buildSmall and buildBinary build the networks small and binary of testdata/keras_steps.py.
func buildSmall() *nn.Graph {
	b := nn.NewBuilder(16, 16, 3)
	norm := func(name string, x nn.Value) nn.Value { return b.BatchNorm(name, x, 1e-3) }
	x := b.ReLU(norm("bn1", b.Conv("conv1", b.Input(), 8, 3, 1, nn.Same)))
	y := b.ReLU6(norm("bn2", b.DepthwiseConv("depthwise", x, 3, 2, nn.Same)))
	y = norm("bn3", b.Conv("conv2", y, 12, 1, 1, nn.Same))
	x = norm("bn4", b.Conv("shortcut", x, 12, 1, 2, nn.Same))
	x = b.MaxPool(b.ReLU(b.Add(y, x)), 2, 2, nn.Valid)
	x = b.ReLU(b.Dense("inner1", b.GlobalAveragePool(x), 16, nn.WithBias()))
	return b.Build(b.Dense("classifier", x, 5, nn.WithBias()))
}

func buildBinary() *nn.Graph {
	b := nn.NewBuilder(16, 16, 3)
	x := b.ReLU(b.BatchNorm("bn1", b.Conv("conv1", b.Input(), 8, 3, 1, nn.Same), 1e-3))
	x = b.Flatten(b.AveragePool(x, 4, 4, nn.Valid))
	return b.Build(b.Sigmoid(b.Dense("classifier", x, 1, nn.WithBias())))
}

// TestKerasSteps checks that ten steps with the same weights and batches give Keras's losses
// and weights, for each loss, optimizer and kind of batch-norm.
func TestKerasSteps(t *testing.T) {
	all, err := peertest.ReadSteps("testdata/keras_steps.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		graph := map[string]func() *nn.Graph{"small": buildSmall, "binary": buildBinary}[s.Network]
		if graph == nil {
			continue // package weights tests Lite0, whose weights it has
		}
		t.Run(s.Name, func(t *testing.T) {
			mismatches, lossOff, weightOff := peertest.Replay(t, s, graph(), nil)
			t.Logf("largest difference of a loss %.1e, of a weight %.1e", lossOff, weightOff)
			for _, m := range mismatches {
				t.Error(m)
			}
		})
	}
}
