//go:build !small

package convert

import (
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"garb/accept"
	"garb/backbone"
	"garb/model"
	"garb/nn"
	"garb/tensor"
)

// openJudge saves and opens a model of three classes, with a small network, that judges by a
// method.
func openJudge(t *testing.T, method accept.Method) *model.Classifier {
	t.Helper()
	a, err := backbone.Lookup("small-cnn")
	if err != nil {
		t.Fatal(err)
	}
	spec := a.Spec
	spec.Width, spec.Height = 12, 12
	outputs := 3
	if method.HasOutput() {
		outputs = 4
	}
	r := rand.New(rand.NewPCG(5, 6))
	tensors := tensor.Map{}
	for _, p := range append(a.Features(12, 12).Params(),
		model.Head{}.Graph(a.FeatureCount, outputs, 0).Params()...) {
		v := tensor.New(p.Shape...)
		for i := range v.Data {
			v.Data[i] = float32(r.NormFloat64()) * .1
		}
		tensors[p.Name] = v
	}
	if method.NeedsFeatures() {
		maps.Copy(tensors, model.EncodeDetector(fitDetector(t, r, method, a.FeatureCount)))
	}
	calibration := accept.Calibration{Slope: .7, Offset: -.4}
	if method == accept.Distance {
		calibration.Slope = .02 // these distances are large
	}
	m := &model.Model{Description: model.Description{Format: model.FormatVersion, Architecture: a.Name,
		Classes: []string{"a", "b", "c"}, Preprocessing: spec,
		Acceptance: &model.Acceptance{Method: method, Calibration: calibration, Threshold: .5,
			Refusal: model.NoneOfThese, Preprocessing: spec}}, Tensors: tensors}
	if err = m.SetGolden(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return saveAndOpen(t, m)
}

// fitDetector fits a detector to random feature vectors of three classes.
func fitDetector(t *testing.T, r *rand.Rand, method accept.Method, featureCount int) *accept.Detector {
	t.Helper()
	var features [][]float32
	var labels []int
	for i := range 12 {
		x := make([]float32, featureCount)
		for j := range x {
			x[j] = r.Float32() * .3
		}
		features, labels = append(features, x), append(labels, i%3)
	}
	d, err := accept.FitDetector(method, features, labels, 3)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestAcceptanceIsNotReadBack checks that Read turns the file of a model that judges into a model
// that does not, with the same logits, and says so.
func TestAcceptanceIsNotReadBack(t *testing.T) {
	for _, method := range accept.Methods() {
		for _, name := range []string{"m.onnx", "m.keras"} {
			c := openJudge(t, method)
			path := filepath.Join(t.TempDir(), name)
			export, err := Write(path, c, WriteOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if want := name == "m.onnx" && method != accept.Neighbours; export.Acceptance != want ||
				export.Acceptance == (export.DropReason != "") {
				t.Errorf("%s, %s: %+v", name, method, export)
			}
			in, err := Read(t.Context(), path, Options{})
			if err != nil {
				t.Fatal(err)
			}
			back := saveAndOpen(t, in.Model)
			if !in.Judged || back.Judges() || len(back.Classes()) != 3 {
				t.Errorf("%s, %s: Judged %v, judges %v", name, method, in.Judged, back.Judges())
			}
			checkClose(t, computeLogits(t, back), computeLogits(t, c), 1e-5)
		}
	}
	path := filepath.Join(t.TempDir(), "m.onnx")
	if export, err := Write(path, openGreyModel(t), WriteOptions{}); err != nil || export != (Export{}) {
		t.Errorf("%+v, %v", export, err)
	}
	if in, err := Read(t.Context(), path, Options{}); err != nil || in.Judged {
		t.Errorf("a model that does not judge: %v, %v", in.Judged, err)
	}
}

// TestSplitLastUnit checks the network without its last output, and the weights of that output.
func TestSplitLastUnit(t *testing.T) {
	b := nn.NewBuilder(1, 1, 2)
	graph := b.Build(b.Dense("top", b.Flatten(b.Input()), 3, nn.WithBias()))
	n := &nn.Network{Layers: graph.Layers(), Tensors: tensor.Map{
		"top/kernel": tensor.FromSlice([]float32{1, 2, 3, 4, 5, 6}, 2, 3),
		"top/bias":   tensor.FromSlice([]float32{7, 8, 9}, 3),
	}}
	got, removed, err := splitLastUnit(n, 2)
	if err != nil {
		t.Fatal(err)
	}
	if k, bias := got.Tensors["top/kernel"], got.Tensors["top/bias"]; !slices.Equal(k.Data, []float32{1, 2, 4, 5}) ||
		!slices.Equal(k.Shape, []int{2, 2}) || !slices.Equal(bias.Data, []float32{7, 8}) ||
		got.Layers[len(got.Layers)-1].Units != 2 {
		t.Errorf("the rest is %v, %v", k, bias)
	}
	if !slices.Equal(removed.kernel, []float32{3, 6}) || removed.bias != 9 {
		t.Errorf("the unit is %+v", removed)
	}
	if n.Layers[len(n.Layers)-1].Units != 3 || len(n.Tensors["top/bias"].Data) != 3 {
		t.Error("the network itself was changed")
	}
	if _, _, err := splitLastUnit(n, 3); err == nil {
		t.Error("a network without an additional unit is accepted")
	}
}

// acceptanceScript runs a model in ONNX Runtime on a batch of two pictures.
const acceptanceScript = `
import sys
import numpy, onnx, onnxruntime
onnx.checker.check_model(onnx.load(sys.argv[1]), full_check=True)
session = onnxruntime.InferenceSession(sys.argv[1])
x = numpy.array([float(v) for v in sys.stdin.read().split()], dtype="float32").reshape(2, 12, 12, 3)
got, logits = session.run(["acceptance", "logits"], {"input": x})
assert got.shape == (2, 1) and logits.shape == (2, 3), (got.shape, logits.shape)
print(got[0, 0], got[1, 0], *logits[0])
`

// TestAcceptanceInONNXRuntime checks that the output of the acceptance is what garb computes.
func TestAcceptanceInONNXRuntime(t *testing.T) {
	python := os.Getenv("GARB_PYTHON")
	if python == "" {
		t.Skip("set GARB_PYTHON to a Python with what bench/requirements.txt lists")
	}
	for _, method := range accept.Methods() {
		if method == accept.Neighbours {
			continue
		}
		c := openJudge(t, method)
		path := filepath.Join(t.TempDir(), "m.onnx")
		if _, err := Write(path, c, WriteOptions{}); err != nil {
			t.Fatal(err)
		}
		n := c.Spec().ValueCount()
		inputs, rows := make([]float32, 2*n), make([]float32, 2*c.OutputCount())
		for i := range 2 {
			c.Spec().Tensor(model.DrawGoldenPicture(i), inputs[i*n:][:n])
		}
		if err := c.Outputs(t.Context(), inputs, rows); err != nil {
			t.Fatal(err)
		}
		text := make([]string, len(inputs))
		for i, v := range inputs {
			text[i] = strconv.FormatFloat(float64(v), 'g', -1, 32)
		}
		command := exec.Command(python, "-c", acceptanceScript, path)
		command.Stdin, command.Stderr = strings.NewReader(strings.Join(text, " ")), os.Stderr
		out, err := command.Output()
		if err != nil {
			t.Fatal(err)
		}
		var got []float32
		for _, word := range strings.Fields(string(out)) {
			v, err := strconv.ParseFloat(word, 32)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, float32(v))
		}
		want := []float32{float32(accept.Logistic(float64(rows[3]))), float32(accept.Logistic(float64(rows[7])))}
		t.Logf("%s: acceptance %v, in ONNX Runtime %v", method, want, got[:2])
		if !(want[0] > .05 && want[0] < .95) {
			t.Errorf("%s: an acceptance of %v would hide a mistake", method, want[0])
		}
		checkClose(t, got, append(want, rows[:3]...), 1e-4)
	}
}
