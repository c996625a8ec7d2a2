package train

import (
	"maps"
	"math"
	"slices"
	"testing"

	"garb/backbone"
)

// TestRateFactors: in every network the last layer with a kernel has the decay itself, each
// one before it has its next one's times the decay, and a batch-norm has that of its layer.
func TestRateFactors(t *testing.T) {
	for _, a := range backbone.All() {
		features := a.Features(a.Spec.Height, a.Spec.Width)
		factors := Config{LayerDecay: 0.9}.rateFactors(features)
		params := features.Params()
		if len(factors) != len(params) {
			t.Errorf("%s: %d factors for %d parameters", a.Name, len(factors), len(params))
		}
		steps := slices.Sorted(maps.Values(factors))
		steps = slices.Compact(steps)
		for i, got := range steps {
			if want := math.Pow(0.9, float64(len(steps)-i)); math.Abs(got-want) > 1e-9 {
				t.Fatalf("%s: rate %d from the first layer is %v, want %v", a.Name, i, got, want)
			}
		}
		for i, p := range params {
			if i > 0 && factors[p.Name] < factors[params[i-1].Name] {
				t.Errorf("%s: %s is slower than %s before it", a.Name, p.Name, params[i-1].Name)
			}
			if i > 0 && len(p.Shape) == 1 && factors[p.Name] != factors[params[i-1].Name] {
				t.Errorf("%s: %s has another rate than its layer", a.Name, p.Name)
			}
		}
		if first := factors[params[0].Name]; first != steps[0] {
			t.Errorf("%s: the first layer has %v", a.Name, first)
		}
	}
	// EfficientNet-Lite0: stem, 3 of each of 16 blocks (the first has 2), and the last.
	lite, err := backbone.Lookup("efficientnet-lite0")
	if err != nil {
		t.Fatal(err)
	}
	factors := Config{LayerDecay: 0.5}.rateFactors(lite.Features(224, 224))
	if got := -math.Log2(slices.Min(slices.Collect(maps.Values(factors)))); got != 49 {
		t.Errorf("EfficientNet-Lite0 has %v layers with kernels", got)
	}
}
