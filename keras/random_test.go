package keras

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"garb/internal/peertest"
	"garb/tensor"
)

// randomModels is how many models each generation of Keras makes, from the seeds 0 on.
const randomModels = 60

// randomModel is a file that random_models.py made, and what Keras answers for it.
type randomModel struct {
	Seed   int
	File   string
	Answer []float32
	Layers []string
}

// TestRandomModels compares random models that either generation of Keras saved with Keras itself;
// those that are refused give a typed error with the reason.
func TestRandomModels(t *testing.T) {
	python := os.Getenv("GARB_KERAS_PYTHON")
	if python == "" {
		t.Skip("set GARB_KERAS_PYTHON to a Python with what keras/testdata/requirements.txt lists, and tf_keras")
	}
	for _, generation := range []string{"3", "2"} {
		t.Run("Keras "+generation, func(t *testing.T) {
			folder := t.TempDir()
			script := filepath.Join("testdata", "random_models.py")
			command := exec.CommandContext(t.Context(), python, script, generation, folder, "0",
				fmt.Sprint(randomModels))
			if output, err := command.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, output)
			}
			compareRandomModels(t, folder)
		})
	}
}

func compareRandomModels(t *testing.T, folder string) {
	text, err := os.ReadFile(filepath.Join(folder, "models.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []randomModel
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) < 2*randomModels*9/10 { // Keras itself cannot save some as .h5
		t.Errorf("%d files", len(all))
	}
	var tally peertest.Tally
	for _, m := range all {
		reason, difference := m.compare(t)
		tally.Add(reason, difference, m.Layers)
	}
	tally.Report(t)
}

// compare returns why a file is refused, or how far its answer is from Keras's.
func (m *randomModel) compare(t *testing.T) (reason string, difference float64) {
	data, err := os.ReadFile(m.File)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Base(m.File)
	n, err := read(data)
	if err != nil {
		var format *FormatError
		var unknown *UnknownLayerError
		var setting *SettingError
		switch {
		case errors.As(err, &unknown) && unknown.Owner != "":
			return "a class of somebody's own", 0
		case errors.As(err, &unknown):
			return unknown.Class, 0
		case errors.As(err, &setting):
			return setting.Class + "'s " + setting.Setting, 0
		case errors.As(err, &format):
			return "this: " + strings.TrimPrefix(err.Error(), m.File), 0
		}
		t.Errorf("%s: %T: %v", name, err, err)
		return "an error of no type", 0
	}
	picture := make([]float32, tensor.Len(n.Layers[0].Shape))
	for i := range picture {
		picture[i] = float32(float64(37*i%251)/125 - 1)
	}
	got, size := answer(t, n, picture), 1.0
	for _, v := range m.Answer {
		size = max(size, math.Abs(float64(v)))
	}
	// Sums of numbers of either sign in another order; a wrong setting moves answers by
	// more than a hundredth.
	if difference = largestDifference(got, m.Answer) / size; !(difference <= 2e-4) {
		t.Errorf("%s: differs by %.3g of %.3g: %v, want %v (%s)", name, difference, size, got, m.Answer,
			strings.Join(m.Layers, " "))
	}
	return "", difference
}
