package keras

import (
	"encoding/json"
	"os"
	"testing"

	"garb/tensor"
)

// TestCases reads files on which garb was wrong: they answer as Keras does (cases.py), or
// are refused by name.
func TestCases(t *testing.T) {
	text, err := os.ReadFile("testdata/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var answers map[string][]float32
	if err := json.Unmarshal(text, &answers); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ file, refusal string }{
		{"linear_classifier.keras", ""},
	} {
		m, err := Open(fixture(t, "cases/"+test.file), DefaultLimits())
		if err != nil {
			t.Errorf("%s: %v", test.file, err)
			continue
		}
		n, err := m.Network(0)
		if err != nil {
			t.Errorf("%s: %v", test.file, err)
			continue
		}
		picture := make([]float32, tensor.Len(n.Layers[0].Shape))
		for i := range picture {
			picture[i] = float32(float64(37*i%251)/125 - 1)
		}
		got := answer(t, n, picture)
		// Sums in another order.
		if d := largestDifference(got, answers[test.file]); !(d <= 1e-5) {
			t.Errorf("%s differs by %g: %v, want %v", test.file, d, got, answers[test.file])
		}
	}
}
