package train

import (
	"os"
	"path/filepath"
	"testing"

	"garb/backbone"
	"garb/internal/kernel"
)

// TestClothing trains with the settings that a user gets, and holds the accuracy that
// the project promises of them: 0.85. The features of some 3800 pictures are most of
// the time.
func TestClothing(t *testing.T) {
	data := os.Getenv("GARB_DATA")
	switch {
	case data == "":
		t.Skip("set GARB_DATA to run this test (see .ci/run)")
	case testing.Short() || kernel.ActiveLevel() == kernel.Generic:
		t.Skip("left out with -short and with the portable kernels: it would take minutes")
	}
	t.Setenv("GARB_HOME", t.TempDir())
	c := Default()
	a, err := backbone.Lookup(c.Backbone)
	if err != nil {
		t.Fatal(err)
	}
	c.Data, c.Preprocessing, c.Out = data, a.Spec, filepath.Join(t.TempDir(), "clothing")
	result, err := Run(t.Context(), c, Progress{})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("validation %.4f in epoch %d, test %.4f of %d", result.Best.ValidationAccuracy, result.Best.Epoch,
		result.Test,
		result.TestCount)
	if result.Test < 0.85 || result.TestCount != 372 || result.Tally.Skipped() > 0 {
		t.Errorf("test accuracy %.4f of %d pictures, skipped %v", result.Test, result.TestCount, result.Tally.Skips())
	}
}
