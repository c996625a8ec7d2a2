package keras

import (
	"encoding/json"

	"math"
	"os"
	"slices"

	"testing"

	"garb/nn"
	"garb/tensor"
)

// answer runs a converted model on one picture.
func answer(t testing.TB, n *nn.Network, picture []float32) []float32 {
	t.Helper()
	graph, err := nn.NewGraph(n.Layers)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := nn.Compile(graph, n.Tensors, nn.Options{})
	if err != nil {
		t.Fatal(err)
	}
	out := make([]float32, tensor.Len(graph.OutputShape()))
	if err := plan.Run(t.Context(), picture, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func largestDifference(a, b []float32) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	largest := 0.0
	for i := range a {
		largest = max(largest, math.Abs(float64(a[i])-float64(b[i])))
	}
	return largest
}

// Whole models answer as Keras does (networks.py): every kind of layer, layers and models
// that are called twice, models in models, in all four kinds of file.
func TestNetwork(t *testing.T) {
	text, err := os.ReadFile("testdata/networks.json")
	if err != nil {
		t.Fatal(err)
	}
	var answers map[string]struct {
		Side   int
		Answer []float32
	}
	if err := json.Unmarshal(text, &answers); err != nil {
		t.Fatal(err)
	}
	if len(answers) != 10 {
		t.Errorf("%d models", len(answers))
	}
	for name, want := range answers {
		for _, kind := range []string{"keras", "h5"} {
			t.Run(name+"."+kind, func(t *testing.T) {
				n, err := open(t, fixture(t, "network-"+name+"."+kind)).Network(want.Side)
				if err != nil {
					t.Fatal(err)
				}
				picture := make([]float32, tensor.Len(n.Layers[0].Shape))
				for i := range picture {
					picture[i] = float32(float64(37*i%251)/125 - 1)
				}
				got := answer(t, n, picture)
				// Sums in another order.
				if d := largestDifference(got, want.Answer); !(d <= 1e-4) {
					t.Errorf("differs by %g: %v, want %v", d, got, want.Answer)
				}
			})
		}
	}
}

func names(n *nn.Network) []string {
	var all []string
	for name := range n.Tensors {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}
