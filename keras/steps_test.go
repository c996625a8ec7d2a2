package keras

import (
	"encoding/json"
	"hash/crc32"
	"math"
	"os"
	"strings"
	"testing"

	"garb/internal/kernel"
	"garb/internal/peertest"
	"garb/nn"
	"garb/tensor"
)

// TestApplicationSteps compares the losses and weights of ten training steps of all layers of
// networks of keras.applications with Keras's (steps.py), with stored and with batch statistics.
func TestApplicationSteps(t *testing.T) {
	path := "testdata/steps.json.gz"
	if fresh := os.Getenv("GARB_KERAS_APPLICATION_STEPS"); fresh != "" {
		path = fresh
	}
	var all []peertest.Steps
	if err := json.Unmarshal(unpacked(t, path), &all); err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		t.Run(s.Name, func(t *testing.T) {
			large := s.Network == "ResNet50" || s.Network == "DenseNet121"
			if large && (testing.Short() || kernel.ActiveLevel() == kernel.Generic) {
				t.Skip("minutes without assembly; go test without -short and -tags purego runs it")
			}
			g, w := openForSteps(t, s)
			wrong, lossOff, weightOff := peertest.ReplayFrom(t, s, g, w)
			t.Logf("losses %.3f to %.3f differ by %.1e, in Keras's float32 by %.1e; weights by %.1e, in Keras's "+
				"float32 by %.1e",
				s.Losses[0], s.Losses[len(s.Losses)-1], lossOff, s.Off, weightOff, s.WeightsOff)
			for i, w := range wrong {
				if i == 10 {
					t.Errorf("and %d more", len(wrong)-i)
					break
				}
				t.Error(w)
			}
		})
	}
}

// openForSteps returns the graph of the described network and its weights before the steps.
func openForSteps(t *testing.T, s peertest.Steps) (*nn.Graph, tensor.Map) {
	t.Helper()
	m, err := parseModel(fixture(t, "steps/"+s.Network+".json"), "", 0, false)
	if err != nil {
		t.Fatal(err)
	}
	m.KerasVersion = "3.15.1"
	c, g, err := m.graph(0)
	if err != nil {
		t.Fatal(err)
	}
	w := tensor.Map{}
	for _, p := range g.Params() {
		if computed := c.parameters[p.Name].values; computed != nil {
			w[p.Name] = tensor.FromSlice(computed, p.Shape...)
			continue
		}
		w[p.Name] = firstValues(p)
		if _, ok := s.Parameters[p.Name]; !ok {
			t.Errorf("Keras has no %s", p.Name)
		}
	}
	if len(g.Params()) < len(s.Parameters) {
		t.Errorf("%d parameters, Keras has %d", len(g.Params()), len(s.Parameters))
	}
	return g, w
}

// firstValues returns a parameter's values at the start, as the script's parameter() does.
func firstValues(p nn.Param) *tensor.Tensor {
	t, inputs := tensor.New(p.Shape...), 1
	for _, n := range p.Shape[:len(p.Shape)-1] {
		inputs *= n
	}
	if len(p.Shape) == 4 && p.Shape[3] == 1 {
		inputs = p.Shape[0] * p.Shape[1]
	}
	for i, v := range peertest.Generate(len(t.Data), int(crc32.ChecksumIEEE([]byte(p.Name)))) {
		switch v = 2*v - 1; {
		case len(p.Shape) > 1:
			v *= math.Sqrt(2 / float64(inputs))
		case strings.HasSuffix(p.Name, "gamma") || strings.HasSuffix(p.Name, "moving_variance"):
			v = 1 + 0.5*v
		default:
			v *= 0.25
		}
		t.Data[i] = float32(v)
	}
	return t
}
