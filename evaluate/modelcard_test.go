package evaluate

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"garb"
	"garb/dataset"
	"garb/internal/kernel"
)

// TestModelCard: MODEL_CARD.md is about the model that is built in, and its figures are
// what the model does on the test split.
func TestModelCard(t *testing.T) {
	text, err := os.ReadFile("../MODEL_CARD.md")
	if err != nil {
		t.Fatal(err)
	}
	says := func(what string) {
		t.Helper()
		if !strings.Contains(string(text), what) {
			t.Errorf("MODEL_CARD.md does not say %q", what)
		}
	}
	model, err := garb.Default(garb.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	says(model.Digest())
	data := os.Getenv("GARB_DATA")
	switch {
	case data == "":
		t.Skip("set GARB_DATA to run this test (see .ci/run)")
	case testing.Short() || kernel.ActiveLevel() == kernel.Generic:
		t.Skip("left out with -short and with the portable kernels: it would take minutes")
	}
	set, err := dataset.Open(filepath.Join(data, "test"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(t.Context(), model, set, model.Limits(), nil)
	if err != nil {
		t.Fatal(err)
	}
	right := 0
	for i, row := range r.Confusion {
		right += row[i]
	}
	interval := Wilson(right, r.Count)
	says(fmt.Sprintf("accuracy %.3f (%d of %d, 95 %% interval %.3f to %.3f)", r.Accuracy, right, r.Count, interval[0],
		interval[1]))
	says(fmt.Sprintf("macro F1 %.3f", r.MacroF1))
	says(fmt.Sprintf("ECE %.3f", r.ECE))
	says(fmt.Sprintf("log loss %.3f", r.LogLoss))
}
