//go:build !small

package convert

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"garb/model"
	"garb/nn"
)

// TestSignature checks that a converted model keeps the names of the file's input and output, and
// knows what the output holds, also after it is saved and opened.
func TestSignature(t *testing.T) {
	for _, c := range []struct {
		path    string
		classes int
		want    model.Signature
	}{
		{"../keras/testdata/network-course2.h5.gz", 5,
			model.Signature{Input: "input_2", Output: "last", Values: model.Logits}},
		{"../keras/testdata/network-course2.keras.gz", 5,
			model.Signature{Input: "input_2", Output: "last", Values: model.Logits}},
		{"../keras/testdata/network-course3.h5.gz", 5,
			model.Signature{Input: "input_layer_1", Output: "last", Values: model.Logits}},
		{"../keras/testdata/network-course3.keras.gz", 5,
			model.Signature{Input: "input_layer_1", Output: "last", Values: model.Logits}},
		{"../keras/testdata/network-homework2.h5.gz", 2,
			model.Signature{Input: "input_1", Output: "dense_1", Values: model.Probability}},
		{"../keras/testdata/network-stacked3.keras.gz", 3,
			model.Signature{Input: "input_layer_2", Output: "softmax", Values: model.Probabilities}},
		{"../onnx/testdata/torch.onnx", 4,
			model.Signature{Input: "pixels", Output: "/Gemm_33_output", Values: model.Logits}},
		{"../onnx/testdata/keras.onnx", 3,
			model.Signature{Input: "pixels", Output: "/Softmax_22_output", Values: model.Probabilities}},
	} {
		t.Run(filepath.Base(c.path), func(t *testing.T) {
			path := c.path
			if name, packed := strings.CutSuffix(filepath.Base(path), ".gz"); packed {
				path = filepath.Join(t.TempDir(), name)
				if err := os.WriteFile(path, unpack(t, c.path), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			in, err := Read(t.Context(), path,
				Options{Classes: strings.Split("abcdefghij", "")[:c.classes], Preprocess: "xception"})
			if err != nil {
				t.Fatal(err)
			}
			opened := saveAndOpen(t, in.Model)
			if got := opened.Description().Signature; got == nil || *got != c.want {
				t.Fatalf("%+v, want %+v", got, c.want)
			}
			for _, format := range []string{"m.onnx", "m.keras"} {
				checkWrittenSignature(t, opened, filepath.Join(t.TempDir(), format), c.want)
			}
		})
	}
}

// checkWrittenSignature checks that a written file has the names of the signature, and that the model
// keeps its signature when the file is read.
func checkWrittenSignature(t *testing.T, c *model.Classifier, path string, want model.Signature) {
	t.Helper()
	if _, err := Write(path, c, WriteOptions{}); err != nil {
		var pad *nn.LayerError
		if errors.As(err, &pad) {
			return // the format cannot express the network
		}
		t.Fatal(err)
	}
	f, err := open(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	output := "logits"
	switch isONNX := filepath.Ext(path) == ".onnx"; {
	case want.Values == model.Logits && isONNX:
		output = want.Output
	case want.Values == model.Probabilities && !isONNX:
		output = layerNames.Replace(want.Output)
	case !isONNX:
		output = "softmax"
	}
	if f.input != want.Input || f.output != output {
		t.Errorf("%s: input %q and output %q, want %q and %q", path, f.input, f.output, want.Input, output)
	}
	in, err := Read(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	again := saveAndOpen(t, in.Model)
	if got := again.Description().Signature; got == nil || *got != want {
		t.Errorf("%s: %+v, want %+v", path, got, want)
	}
	checkClose(t, computeProbabilities(t, again), computeProbabilities(t, c), 1e-4)
}

// layerNames writes names of ONNX as those of Keras's layers.
var layerNames = strings.NewReplacer("/Softmax", "layer_Softmax")

// computeProbabilities returns the probabilities for a golden picture.
func computeProbabilities(t *testing.T, c *model.Classifier) []float32 {
	t.Helper()
	var values []float32
	d := c.Description()
	for _, p := range d.Probabilities(computeLogits(t, c)) {
		values = append(values, float32(p))
	}
	return values
}

// TestSignatureOfOwnModel checks that a model that was not converted has no signature when it is read
// from a file for another program.
func TestSignatureOfOwnModel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.onnx")
	if _, err := Write(path, openBuiltIn(t), WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	in, err := Read(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if in.Model.Signature != nil {
		t.Errorf("%+v", in.Model.Signature)
	}
}

// TestUsualNames checks that a name of another input or output is never used twice.
func TestUsualNames(t *testing.T) {
	in, err := Read(t.Context(), "../onnx/testdata/torch.onnx",
		Options{Classes: []string{"a", "b", "c", "d"}, Preprocess: "xception"})
	if err != nil {
		t.Fatal(err)
	}
	in.Model.Signature.SetNames("acceptance", "probabilities") // which hold logits
	c := saveAndOpen(t, in.Model)
	for _, format := range []string{"m.onnx", "m.keras", "m.tflite"} {
		if _, err := Write(filepath.Join(t.TempDir(), format), c, WriteOptions{}); err != nil {
			t.Errorf("%s: %v", format, err)
		}
	}
}

func TestParseDescriptionSignature(t *testing.T) {
	const text = `{"classes":["a","b","c"],"digest":"sha256:1","preprocessing":%s,"signature":{"values":%q}}`
	spec, err := json.Marshal(openBuiltIn(t).Spec())
	if err != nil {
		t.Fatal(err)
	}
	for values, valid := range map[string]bool{"logits": true, "logit": false, "scores": false} {
		if d := parseDescription(fmt.Sprintf(text, spec, values)); (d.Digest != "") != valid {
			t.Errorf("%s: %+v", values, d)
		}
	}
}

// TestSavedModel checks that models of the older Keras have the names of their SavedModels, and
// return what those return.
func TestSavedModel(t *testing.T) {
	python := os.Getenv("GARB_KERAS_PYTHON")
	if python == "" {
		t.Skip("set GARB_KERAS_PYTHON to a Python with tensorflow and tf_keras to run this test (see .ci/run)")
	}
	folder := t.TempDir()
	out, err := exec.CommandContext(t.Context(), python, "testdata/signature.py", folder).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(folder, "answers.json"))
	if err != nil {
		t.Fatal(err)
	}
	var answers map[string]struct {
		Input, Output string
		Answer        []float32
	}
	if err := json.Unmarshal(text, &answers); err != nil {
		t.Fatal(err)
	}
	for name, values := range map[string]model.OutputValues{
		"course": model.Logits, "homework": model.Probability, "classifier": model.Probabilities,
	} {
		want := answers[name]
		classes := max(len(want.Answer), 2)
		in, err := Read(t.Context(), filepath.Join(folder, name+".h5"),
			Options{Classes: strings.Split("abcdefghij", "")[:classes], Preprocess: "xception"})
		if err != nil {
			t.Fatal(err)
		}
		c := saveAndOpen(t, in.Model)
		d := c.Description()
		if s := (model.Signature{Input: want.Input, Output: want.Output, Values: values}); *d.Signature != s {
			t.Errorf("%s: %+v, want %+v", name, *d.Signature, s)
		}
		input, logits := make([]float32, c.Spec().ValueCount()), make([]float32, classes)
		for i := range input {
			input[i] = float32(float64(37*i%251)/125 - 1)
		}
		if err := c.Logits(t.Context(), input, logits); err != nil {
			t.Fatal(err)
		}
		got := d.Output(logits)
		if len(got) != len(want.Answer) {
			t.Fatalf("%s: %v, want %v", name, got, want.Answer)
		}
		checkClose(t, got, want.Answer, 1e-4)
	}
}
