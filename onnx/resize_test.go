package onnx

import (
	"slices"
	"testing"

	"garb/nn"
)

// TestFindScale checks that the written factor of an axis gives the wanted size, and garb's nearest
// pixels: there is such a factor for nearly all sizes, and for all with interpolation.
func TestFindScale(t *testing.T) {
	missing, total := 0, 0
	for from := 1; from <= 120; from++ {
		for to := 1; to <= 120; to++ {
			total++
			if s, ok := findScale(from, to, true); !ok || scaleLength(from, s) != to {
				t.Errorf("no factor makes %d of %d", to, from)
			}
			s, ok := findScale(from, to, false)
			if !ok {
				missing++
				continue
			}
			places := resampling{s, from, to}.nearest("half_pixel", "round_prefer_ceil")
			if scaleLength(from, s) != to || !slices.Equal(places, nn.Nearest(from, to)) {
				t.Errorf("the factor %v makes %v of %d", s, places, from)
			}
		}
	}
	t.Logf("no factor for %d of %d pairs of sizes", missing, total)
	if missing > total/30 { // of the others, ONNX rounds the centres between two pixels in another way
		t.Errorf("no factor for %d of %d pairs of sizes", missing, total)
	}
}
