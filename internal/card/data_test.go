package card

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"garb/dataset"
	"garb/evaluate"
	"garb/internal/kernel"
	"garb/model"
)

// TestTestSplit measures the built-in model on the test split again, and compares the figures with
// those of MODEL_CARD.md.
func TestTestSplit(t *testing.T) {
	data := os.Getenv("GARB_DATA")
	switch {
	case data == "":
		t.Skip("set GARB_DATA to run this test (see .ci/run)")
	case testing.Short() || kernel.ActiveLevel() == kernel.Generic:
		t.Skip("skipped with -short and with the portable kernels: it would take minutes")
	}
	text, err := os.ReadFile("../../docs/_make/card/measured.json")
	if err != nil {
		t.Fatal(err)
	}
	var m Measured
	if err = json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	classifier, err := model.Open(model.Clothing, model.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	set, err := dataset.Open(filepath.Join(data, "test"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := evaluate.Run(t.Context(), classifier, set, classifier.Limits(), nil)
	if err != nil {
		t.Fatal(err)
	}
	accuracy, err := m.Find("clothing.test.accuracy")
	if err != nil {
		t.Fatal(err)
	}
	ece, err := m.Find("clothing.test.ece")
	if err != nil {
		t.Fatal(err)
	}
	if r.Count != accuracy.Count || math.Abs(r.Accuracy-accuracy.Value) > 1e-9 || math.Abs(r.ECE-ece.Value) > 1e-6 {
		t.Errorf("accuracy %v and ECE %v of %d pictures; the card has %v and %v of %d", r.Accuracy, r.ECE, r.Count,
			accuracy.Value, ece.Value, accuracy.Count)
	}
}
