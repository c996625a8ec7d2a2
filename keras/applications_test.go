package keras

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"garb/nn"
	"garb/tensor"
)

// Networks of keras.applications, made by the real Keras of both generations, and
// the model that people have made, answer here as they do there.
func TestApplications(t *testing.T) {
	python := os.Getenv("GARB_KERAS_PYTHON")
	if python == "" {
		t.Skip("set GARB_KERAS_PYTHON to a Python with what keras/testdata/requirements.txt lists, and tf_keras")
	}
	table := []string{fmt.Sprintf("%-8s %-18s %-6s %10s %12s %12s", "keras", "model", "file", "parameters",
		"logits up to", "difference")}
	for _, generation := range []string{"3", "2"} {
		t.Run("Keras "+generation, func(t *testing.T) {
			for _, m := range makeApplications(t, python, generation) {
				largest, difference := m.compare(t)
				table = append(table, fmt.Sprintf("%-8s %-18s %-6s %10d %12.3g %12.2g",
					m.Keras, strings.TrimSuffix(m.Name, ".keras"), filepath.Ext(m.File), m.Parameters, largest,
					difference))
			}
		})
	}
	t.Log("\n" + strings.Join(table, "\n"))
}

// kerasApplication is a model that applications.py made, and what it answers.
type kerasApplication struct {
	Name, Keras, File, Pictures string
	Count, Parameters           int
	Answers, Logits             []float32
}

func makeApplications(t *testing.T, python, generation string) []kerasApplication {
	folder := t.TempDir()
	arguments := []string{filepath.Join("testdata", "applications.py"), generation, folder}
	if path := os.Getenv("GARB_KERAS_FILE"); path != "" && generation == "3" {
		arguments = append(arguments, path)
	}
	command := exec.CommandContext(t.Context(), python, arguments...)
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	text, err := os.ReadFile(filepath.Join(folder, "models.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []kerasApplication
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Errorf("%d models", len(all))
	}
	return all
}

// compare returns the largest logit and the largest difference from Keras's.
func (m *kerasApplication) compare(t *testing.T) (largest, difference float64) {
	opened, err := OpenFile(m.File, DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	network, err := opened.Network(0)
	if err != nil {
		t.Fatalf("%s: %v", m.File, err)
	}
	parameters := 0
	for _, x := range network.Tensors {
		parameters += tensor.Len(x.Shape)
	}
	if parameters < m.Parameters {
		t.Errorf("%s: %d parameters, want %d", m.File, parameters, m.Parameters)
	}
	pictures, err := os.ReadFile(m.Pictures)
	if err != nil {
		t.Fatal(err)
	}
	size := tensor.Len(network.Layers[0].Shape)
	if len(pictures) != 4*m.Count*size {
		t.Fatalf("%s: %d bytes of pictures", m.File, len(pictures))
	}
	var answers, logits []float32
	withoutEnd := *network
	if last := len(network.Layers) - 1; network.Layers[last].Op == nn.OpSoftmax {
		withoutEnd.Layers = network.Layers[:last]
	}
	for i := range m.Count {
		picture := make([]float32, size)
		for j := range picture {
			picture[j] = math.Float32frombits(binary.LittleEndian.Uint32(pictures[4*(i*size+j):]))
		}
		answers = append(answers, answer(t, network, picture)...)
		logits = append(logits, answer(t, &withoutEnd, picture)...)
	}
	// The logits are sums of numbers of either sign, in another order than Keras's:
	// ResNet50's in Keras are themselves 2e-4 from what float64 gives. Those of InceptionV3
	// are the largest, 28.
	difference = largestDifference(logits, m.Logits)
	for _, v := range m.Logits {
		largest = max(largest, math.Abs(float64(v)))
	}
	if d := max(difference, largestDifference(answers, m.Answers)); !(d <= 1e-4*max(10, largest)) {
		t.Errorf("%s of Keras %s, %s: differs by %g", m.Name, m.Keras, filepath.Ext(m.File), d)
	}
	return largest, difference
}
