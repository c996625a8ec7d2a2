//go:build !small

package convert

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"garb/model"
	"garb/nn"
)

// openMultiLabelModel returns a model of four sigmoids.
func openMultiLabelModel(t testing.TB) *model.Classifier {
	t.Helper()
	n := newGreyNetwork(t)
	n.Layers[len(n.Layers)-1].Op = nn.OpSigmoid
	p, err := lookupPreprocessing("rescale")
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.FromNetwork(n, []string{"a", "b", "c", "d"}, p.applyTo(n, "bilinear"))
	if err != nil {
		t.Fatal(err)
	}
	m.Temperature = 2
	if err := m.SetGolden(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return saveAndOpen(t, m)
}

// TestMultiLabel checks that a multi-label model remains one in every file that garb reads back.
func TestMultiLabel(t *testing.T) {
	c := openMultiLabelModel(t)
	want := c.Predictions(computeLogits(t, c))
	for _, name := range []string{"m.onnx", "m.keras"} {
		path := filepath.Join(t.TempDir(), name)
		if _, err := Write(path, c, WriteOptions{}); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(data, []byte("igmoid")) || bytes.Contains(bytes.ToLower(data), []byte("softmax")) {
			t.Errorf("%s does not end in sigmoids", name)
		}
		in, err := Read(t.Context(), path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		again := saveAndOpen(t, in.Model)
		if !again.Description().MultiLabel {
			t.Errorf("%s chooses one class", name)
		}
		for i, p := range again.Predictions(computeLogits(t, again)) {
			if d := p.Probability - want[i].Probability; p.Class != want[i].Class || d > 1e-6 || d < -1e-6 {
				t.Errorf("%s: %v, want %v", name, p, want[i])
			}
		}
	}
}
