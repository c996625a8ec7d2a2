package keras

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"garb/nn"
	"garb/tensor"
)

// preprocessings are of one number for all channels, which Keras does by Rescaling, and of
// one for each, which it does by Normalization.
var preprocessings = map[string]struct {
	class string
	Preprocessing
}{
	"plain": {"Rescaling", Preprocessing{Mean: make([]float32, 3), Std: []float32{1, 1, 1}}},
	"lite":  {"Rescaling", Preprocessing{Mean: []float32{127, 127, 127}, Std: []float32{128, 128, 128}}},
	"torch": {"Normalization",
		Preprocessing{Mean: []float32{123.7, 116.3, 103.5}, Std: []float32{58.4, 57.1, 57.4}}},
	"one mean":  {"Normalization", Preprocessing{Mean: []float32{127, 127, 127}, Std: []float32{58, 57, 57}}},
	"one scale": {"Normalization", Preprocessing{Mean: []float32{124, 117, 104}, Std: []float32{1, 1, 1}}},
}

// samples returns pictures for a network, and the same prepared.
func samples(n *nn.Network, p Preprocessing) (raw, prepared []float32) {
	for i := range 2 * tensor.Len(n.Layers[0].Shape) {
		v := float32(byte(i * 37))
		raw, prepared = append(raw, v), append(prepared, (v-p.Mean[i%3])/p.Std[i%3])
	}
	return raw, prepared
}

// TestWritePreprocessing checks that a file that takes pictures gives for samples the answers that
// the network gives for the prepared ones.
func TestWritePreprocessing(t *testing.T) {
	n := everyOperation(t)
	for name, p := range preprocessings {
		m := open(t, writeKeras(t, n, WriteOptions{Preprocessing: &p.Preprocessing}))
		if class := m.Layers[1].Class; class != p.class {
			t.Errorf("%s: pictures are prepared by %s", name, class)
		}
		back, err := m.Network(0)
		if err != nil {
			t.Fatal(err)
		}
		raw, prepared := samples(n, p.Preprocessing)
		if d := largestDifference(answers(t, back, raw), answers(t, n, prepared)); !(d < 1e-5) {
			t.Errorf("%s: the answers differ by %g", name, d)
		}
	}
}

// TestKerasPreparesPictures checks that Keras loads such files without garb's code and gives the
// same answers.
func TestKerasPreparesPictures(t *testing.T) {
	python := os.Getenv("GARB_KERAS_PYTHON")
	if python == "" {
		t.Skip("set GARB_KERAS_PYTHON to a Python with Keras 3 and TensorFlow to run this test (see .ci/run)")
	}
	folder, n := t.TempDir(), everyOperation(t)
	for name, p := range preprocessings {
		raw, _ := samples(n, p.Preprocessing)
		inputs, err := binary.Append(nil, binary.LittleEndian, raw)
		if err != nil {
			t.Fatal(err)
		}
		model := writeKeras(t, n, WriteOptions{Name: name, Preprocessing: &p.Preprocessing})
		for ending, content := range map[string][]byte{".keras": model, ".input": inputs} {
			if err := os.WriteFile(filepath.Join(folder, name+ending), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	text, err := exec.CommandContext(t.Context(), python, "testdata/load.py", folder).Output()
	if err != nil {
		var exit *exec.ExitError
		errors.As(err, &exit)
		t.Fatalf("%v\n%s", err, exit.Stderr)
	}
	var report struct {
		Keras  string
		Models map[string]struct{ Classes []string }
	}
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	for name, p := range preprocessings {
		data, err := os.ReadFile(filepath.Join(folder, name+".output"))
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float32, len(data)/4)
		if _, err := binary.Decode(data, binary.LittleEndian, got); err != nil {
			t.Fatal(err)
		}
		_, prepared := samples(n, p.Preprocessing)
		d := largestDifference(got, answers(t, n, prepared))
		t.Logf("Keras %s, %s by %s: answers differ by %.2g", report.Keras, name, p.class, d)
		classes := strings.Join(report.Models[name].Classes, " ")
		if !(d < 1e-4) || !strings.HasPrefix(classes, "InputLayer "+p.class) {
			t.Errorf("%s: answers differ by %g, layers %s", name, d, classes)
		}
	}
}
