package onnx_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"garb/backbone"
	"garb/nn"
	"garb/onnx"
	"garb/tensor"
	"garb/weights"
)

// peer checks the model in a file and runs it in ONNX Runtime: it reads the input from standard
// input and prints the answers. Its arguments are the model's file, the type of the input's values,
// and the input's shape.
const peer = `
import sys
import numpy, onnx, onnxruntime
path, kind, *shape = sys.argv[1:]
model = onnx.load(path)
onnx.checker.check_model(model, full_check=True)
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(path, options)
pictures = numpy.frombuffer(sys.stdin.buffer.read(), dtype=kind).reshape([int(n) for n in shape])
for value in session.run(["logits", "probabilities"], {session.get_inputs()[0].name: pictures}):
    sys.stdout.buffer.write(value.tobytes())
`

func run(t *testing.T, model []byte, kind string, input any, shape ...string) []float32 {
	t.Helper()
	python := os.Getenv("GARB_PYTHON")
	if python == "" {
		t.Skip("set GARB_PYTHON to run this test (see .ci/run)")
	}
	path := filepath.Join(t.TempDir(), "model.onnx")
	if err := os.WriteFile(path, model, 0o600); err != nil {
		t.Fatal(err)
	}
	var in bytes.Buffer
	if err := binary.Write(&in, binary.LittleEndian, input); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(python, append([]string{"-c", peer, path, kind}, shape...)...)
	c.Stdin, c.Stderr = &in, os.Stderr
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	values := make([]float32, len(out)/4)
	if err := binary.Read(bytes.NewReader(out), binary.LittleEndian, values); err != nil {
		t.Fatal(err)
	}
	return values
}

// TestEveryLayerInONNXRuntime compares a network of every layer, alone and in a batch.
func TestEveryLayerInONNXRuntime(t *testing.T) {
	n := fill(t, everyLayer(24, 31), 1)
	model := encoded(t, n, onnx.Options{Metadata: map[string]string{"classes": "a,b"}})
	for _, batch := range []string{"1", "3"} {
		input := noise(n, int(batch[0]-'0'))
		want := answer(t, n, input)
		got := run(t, model, "float32", input, batch, "24", "31", "3")[:len(want)]
		d := difference(t, want, got)
		t.Logf("batch of %s: the largest difference of logits is %.2g", batch, d)
		if d > 1e-4 {
			t.Errorf("batch of %s: the logits differ by %g", batch, d)
		}
	}
}

// TestPreprocessingInONNXRuntime checks a model that takes bytes and returns probabilities at a
// temperature.
func TestPreprocessingInONNXRuntime(t *testing.T) {
	n := fill(t, everyLayer(16, 16), 2)
	o := onnx.Options{Temperature: 1.7, Preprocessing: &onnx.Preprocessing{
		Mean: []float32{123.7, 116.8, 103.9}, Std: []float32{58.4, 57.1, 57.4}}}
	model := encoded(t, n, o)
	pictures := make([]byte, 2*16*16*3)
	input := make([]float32, len(pictures))
	for i := range pictures {
		pictures[i] = byte(i * 37 % 256)
		input[i] = (float32(pictures[i]) - o.Preprocessing.Mean[i%3]) / o.Preprocessing.Std[i%3]
	}
	want := answer(t, n, input)
	// Read back, the preprocessing is a part of the network.
	back, info, err := onnx.Read(model, onnx.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]float32, len(pictures))
	for i, v := range pictures {
		raw[i] = float32(v)
	}
	if d := difference(t, want, answer(t, back, raw)); d > 1e-4 || !info.Input.Picture {
		t.Errorf("read back, the logits differ by %g, and its input is %+v", d, info.Input)
	}
	got := run(t, model, "uint8", pictures, "2", "16", "16", "3")
	if d := difference(t, want, got[:len(want)]); d > 1e-4 {
		t.Errorf("the logits differ by %g", d)
	}
	for i := range 2 {
		sum := 0.0
		for _, v := range want[i*10:][:10] {
			sum += math.Exp(float64(v) / o.Temperature)
		}
		for j, v := range want[i*10:][:10] {
			if p := math.Exp(float64(v)/o.Temperature) / sum; math.Abs(p-float64(got[len(want)+i*10+j])) > 1e-5 {
				t.Errorf("picture %d has probability %v of class %d, and not %v", i, got[len(want)+i*10+j], j, p)
			}
		}
	}
}

// TestBackboneInONNXRuntime compares the built-in network with its ImageNet top.
func TestBackboneInONNXRuntime(t *testing.T) {
	if os.Getenv("GARB_PYTHON") == "" {
		t.Skip("set GARB_PYTHON to run this test (see .ci/run)")
	}
	a, err := backbone.Lookup("efficientnet-lite0")
	if err != nil {
		t.Fatal(err)
	}
	w, err := weights.Open("efficientnet-lite0")
	if err != nil {
		t.Fatal(err)
	}
	g := a.Features(a.Spec.Height, a.Spec.Width)
	n := &nn.Network{Layers: g.Layers(), Tensors: tensor.Map{}}
	for _, p := range g.Params() {
		if n.Tensors[p.Name], err = w.Tensor(p.Name); err != nil {
			t.Fatal(err)
		}
	}
	model := encoded(t, n, onnx.Options{})
	back, _, err := onnx.Read(model, onnx.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	input := noise(n, 3)
	want := answer(t, n, input)
	if d := difference(t, want, answer(t, back, input)); d > 1e-5 {
		t.Errorf("read back, the features differ by %g", d)
	}
	got := run(t, model, "float32", input, "3", "224", "224", "3")[:len(want)]
	d := difference(t, want, got)
	t.Logf("the largest difference of features is %.2g", d)
	if d > 1e-4 {
		t.Errorf("the features differ by %g", d)
	}
}
