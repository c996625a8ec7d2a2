package onnx_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"garb/onnx"
)

// TestFixtures reads models that other programs exported, and compares their answers with those of
// ONNX Runtime, from testdata/make.py.
func TestFixtures(t *testing.T) {
	data, err := os.ReadFile("testdata/answers.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]struct{ Pixels, Logits []float32 }
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != 9 {
		t.Fatalf("%d answers", len(all))
	}
	for file, want := range all {
		t.Run(file, func(t *testing.T) {
			limits := onnx.DefaultLimits()
			limits.Side = 9 // of old.onnx
			n, _, err := onnx.ReadFile(filepath.Join("testdata", file), limits)
			if err != nil {
				t.Fatal(err)
			}
			pixels, logits := len(want.Pixels)/2, len(want.Logits)/2
			for i := range 2 {
				got := answer(t, n, want.Pixels[i*pixels:][:pixels])
				// What rounding does in single precision, in another order.
				if d := difference(t, want.Logits[i*logits:][:logits], got); d > 2e-6 {
					t.Errorf("picture %d: the answers differ by %g", i, d)
				}
			}
		})
	}
}
