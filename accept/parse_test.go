package accept

import (
	"errors"
	"testing"
)

func TestParseThreshold(t *testing.T) {
	for text, want := range map[string]float64{"all": 0, "0": 0, "0.3": 0.3, "1": 1, "1e-3": 1e-3, ".5": 0.5} {
		if got, err := ParseThreshold(text); got != want || err != nil {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "most", "All", "NaN", "Inf", "-Inf", "-0.1", "1.0001", "1e400", "0,5", "50%",
		" 0.5"} {
		if got, err := ParseThreshold(text); !errors.Is(err, ErrThreshold) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}
