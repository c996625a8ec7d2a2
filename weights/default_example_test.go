//go:build !small

package weights_test

import (
	"errors"
	"fmt"
	"garb/backbone"
	"garb/internal/peertest"
	"garb/nn"
	"garb/weights"
	"os"
	"testing"
)

// EfficientNet-Lite0, trained on ImageNet, is built into every program that imports the package.
func ExampleBuiltIn() {
	f, ok := weights.BuiltIn("efficientnet-lite0")
	if !ok {
		fmt.Println("not built in")
		return
	}
	fmt.Println(len(f.Names()), "tensors")
	fmt.Println(f.Shape("classifier/kernel"), f.DType("classifier/kernel"))
	// Output:
	// 247 tensors
	// [1280 1000] F16
}

// Weights that garb knows by name are pulled from their makers once; until then Open says
// where they would be.
func ExampleOpen() {
	home, err := os.MkdirTemp("", "garb")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(home)
	defer os.Setenv("GARB_HOME", os.Getenv("GARB_HOME"))
	os.Setenv("GARB_HOME", home) // an empty cache, for the example

	for _, name := range []string{"efficientnet-lite0", "resnet18"} {
		f, err := weights.Open(name)
		var missing *weights.MissingError
		if errors.As(err, &missing) {
			fmt.Println(missing.Name, "is not here yet")
			continue
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(name, "has", len(f.Names()), "tensors")
	}
	// Output:
	// efficientnet-lite0 has 247 tensors
	// resnet18 is not here yet
}

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
