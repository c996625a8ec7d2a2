package weights_test

import (
	"testing"

	"garb/backbone"
	"garb/internal/peertest"
	"garb/nn"
	"garb/weights"
)

// TestKerasSteps compares the losses and weights of ten training steps of all layers of
// EfficientNet-Lite0 with Keras's.
func TestKerasSteps(t *testing.T) {
	all, err := peertest.ReadSteps("../internal/peertest/testdata/keras_steps.json")
	if err != nil {
		t.Fatal(err)
	}
	a, err := backbone.Lookup("efficientnet-lite0")
	if err != nil {
		t.Fatal(err)
	}
	pretrained, _ := weights.BuiltIn(a.Name)
	done := 0
	for _, s := range all {
		if s.Network != "lite0" {
			continue
		}
		done++
		t.Run(s.Name, func(t *testing.T) {
			g := a.WithHead(64, 64, func(b *nn.Builder, x nn.Value) nn.Value {
				return b.Dense(backbone.ClassifierName, x, 10, nn.WithBias())
			})
			wrong, lossOff, weightOff := peertest.Replay(t, s, g, pretrained)
			t.Logf("largest difference of a loss %.1e, of a weight %.1e", lossOff, weightOff)
			for _, w := range wrong {
				t.Error(w)
			}
		})
	}
	if done == 0 {
		t.Error("there are no steps of Lite0")
	}
}
