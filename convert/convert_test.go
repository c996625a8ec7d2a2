//go:build !small

package convert

import (
	"cmp"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"garb/internal/safefile"
	"garb/keras"
	"garb/model"
	"garb/nn"
	"garb/picture"
	"garb/tensor"
)

// computeLogits returns a model's logits for a golden picture.
func computeLogits(t testing.TB, c *model.Classifier) []float32 {
	t.Helper()
	input, logits := make([]float32, c.Spec().ValueCount()), make([]float32, len(c.Classes()))
	c.Spec().Tensor(model.DrawGoldenPicture(1), input)
	if err := c.Logits(t.Context(), input, logits); err != nil {
		t.Fatal(err)
	}
	return logits
}

func openBuiltIn(t testing.TB) *model.Classifier {
	t.Helper()
	c, err := model.Open(model.Clothing, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// saveAndOpen saves a model, and opens it.
func saveAndOpen(t testing.TB, m *model.Model) *model.Classifier {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.safetensors")
	if err := m.Save(path, tensor.Float32); err != nil {
		t.Fatal(err)
	}
	c, err := model.Open(path, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func checkClose(t testing.TB, got, want []float32, tolerance float64) {
	t.Helper()
	for i := range want {
		if d := math.Abs(float64(got[i] - want[i])); !(d <= tolerance) {
			t.Errorf("logit %d is %v, want %v", i, got[i], want[i])
		}
	}
}

// TestRoundTrip checks that a model that is written for another program and read again gives the
// same answers. Another order of sums in the folded batch norms changes logits by about 1e-6.
func TestRoundTrip(t *testing.T) {
	c := openBuiltIn(t)
	want := computeLogits(t, c)
	folder := t.TempDir()
	for name, o := range map[string]struct {
		write        WriteOptions
		read         Options
		architecture string
		reason       string
	}{
		"plain.onnx":    {WriteOptions{}, Options{}, "efficientnet-lite0", "the file says"},
		"prepared.onnx": {WriteOptions{Preprocessing: true}, Options{}, "", "prepares its pictures itself"},
		"model.keras":   {WriteOptions{}, Options{}, "", "the file says"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(folder, name)
			if _, err := Write(path, c, o.write); err != nil {
				t.Fatal(err)
			}
			in, err := Read(t.Context(), path, o.read)
			if err != nil {
				t.Fatal(err)
			}
			if in.Model.Architecture != o.architecture || !strings.Contains(in.Reason, o.reason) {
				t.Errorf("network %q, preprocessing as %q", in.Model.Architecture, in.Reason)
			}
			again := saveAndOpen(t, in.Model)
			if !slices.Equal(again.Classes(), c.Classes()) {
				t.Errorf("classes %v", again.Classes())
			}
			got := computeLogits(t, again)
			if o.architecture == "" && name == "model.keras" { // its temperature is a layer of the network
				for i := range got {
					got[i] *= float32(cmp.Or(c.Description().Temperature, 1))
				}
			}
			checkClose(t, got, want, 1e-4)
		})
	}
}

// TestReadBackbone checks that a run can train on what is read as a backbone with a head.
func TestReadBackbone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.onnx")
	if _, err := Write(path, openBuiltIn(t), WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	in, err := Read(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	native := filepath.Join(t.TempDir(), "c.safetensors")
	if err := in.Model.Save(native, tensor.Float32); err != nil {
		t.Fatal(err)
	}
	if base, err := model.FindBackbone(native, ""); err != nil || base.Name != "efficientnet-lite0" ||
		base.Weights != native {
		t.Errorf("%q in %q, %v", base.Name, base.Weights, err)
	}
}

func TestRecognize(t *testing.T) {
	for name, want := range map[string]string{
		"xception": "xception", "mobilenet_1.00_224": "mobilenet", "mobilenetv2_1.00_224": "mobilenet",
		"MobileNetV3Small": "none", "resnet50": "resnet50", "densenet121": "densenet", "efficientnetb0": "none",
		"vgg16": "resnet50", "functional_3": "", "": "",
	} {
		p, network, ok := recognize([]string{"model", name})
		if p.name != want || ok != (want != "") || ok && network != name {
			t.Errorf("%s: %q because of %q, want %q", name, p.name, network, want)
		}
	}
	for name, want := range map[string]string{"mobilenetv2": "mobilenet", "torch": "densenet", "none": "none"} {
		if p, err := lookupPreprocessing(name); err != nil || p.name != want {
			t.Errorf("%s: %q, %v", name, p.name, err)
		}
	}
	if _, err := lookupPreprocessing("alexnet"); err == nil || !strings.Contains(err.Error(), "densenet") {
		t.Errorf("%v", err)
	}
}

// TestNetworkPrepares checks that garb does not prepare the pictures of a network that does so
// itself, whatever the network's name.
func TestNetworkPrepares(t *testing.T) {
	text, err := os.ReadFile("../keras/testdata/preparing.json")
	if err != nil {
		t.Fatal(err)
	}
	var answers map[string][]float32
	if err := json.Unmarshal(text, &answers); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"caffe3.keras", "tf2.keras", "torch3.keras", "hand2.h5"} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, unpack(t, "../keras/testdata/preparing/"+name+".gz"), 0o600); err != nil {
			t.Fatal(err)
		}
		in, err := Read(t.Context(), path, Options{Classes: []string{"a", "b", "c"}})
		if err != nil {
			t.Error(err)
			continue
		}
		if in.Preprocess != "none" || !strings.Contains(in.Reason, "itself") {
			t.Errorf("%s: %s as %s", name, in.Preprocess, in.Reason)
		}
		c := saveAndOpen(t, in.Model)
		rgb := &picture.RGB{Width: 7, Height: 8, Pix: make([]uint8, 8*7*3)}
		for i := range rgb.Pix {
			rgb.Pix[i] = uint8(37 * i)
		}
		input, logits := make([]float32, c.Spec().ValueCount()), make([]float32, 3)
		c.Spec().Tensor(rgb, input)
		if err := c.Logits(t.Context(), input, logits); err != nil {
			t.Fatal(err)
		}
		checkClose(t, logits, answers[name], 2e-5)
	}
}

// TestBlueFirst checks that the first layer and the Spec compute Keras's "caffe" mode.
func TestBlueFirst(t *testing.T) {
	p, err := lookupPreprocessing("resnet50")
	if err != nil {
		t.Fatal(err)
	}
	n := &nn.Network{Tensors: tensor.Map{}, Layers: []nn.Layer{
		{Op: nn.OpInput, Shape: []int{2, 2, 3}}, {Op: nn.OpReLU, Inputs: []int{0}},
		{Op: nn.OpAdd, Inputs: []int{0, 1}},
	}}
	spec := p.applyTo(n, picture.Nearest)
	g, err := nn.NewGraph(n.Layers[:2]) // only the first layer
	if err != nil {
		t.Fatal(err)
	}
	plan, err := nn.Compile(g, n.Tensors, nn.Options{})
	if err != nil {
		t.Fatal(err)
	}
	rgb := &picture.RGB{Width: 2, Height: 2, Pix: []uint8{10, 20, 30, 0, 0, 0, 255, 1, 2, 7, 8, 9}}
	input, output := make([]float32, 12), make([]float32, 12)
	spec.Tensor(rgb, input)
	if err := plan.Run(t.Context(), input, output); err != nil {
		t.Fatal(err)
	}
	mean := [3]float32{103.939, 116.779, 123.68} // of blue, green, red
	for i, v := range output {
		if want := float32(rgb.Pix[i/3*3+2-i%3]) - mean[i%3]; math.Abs(float64(v-want)) > 1e-5 {
			t.Errorf("value %d is %v, want %v", i, v, want)
		}
	}
	if !reflect.DeepEqual(n.Layers[3].Inputs, []int{1, 2}) {
		t.Errorf("%v", n.Layers)
	}
}

func TestReadClasses(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"train/shoes", "train/hat", "train/.cache", "validation/other"} {
		if err := os.MkdirAll(filepath.Join(folder, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, from := range []string{folder, filepath.Join(folder, "train")} {
		if classes, err := ReadClasses(from); err != nil || !slices.Equal(classes, []string{"hat", "shoes"}) {
			t.Errorf("%v, %v", classes, err)
		}
	}
	for _, from := range []string{filepath.Join(folder, "none"), filepath.Join(folder, "train", "hat")} {
		if _, err := ReadClasses(from); err == nil {
			t.Errorf("%s has classes", from)
		}
	}
}

func TestReadErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.keras")
	c := openBuiltIn(t)
	n := buildClassNetwork(t, c)
	write := func(w io.Writer) error { return keras.Write(w, n, keras.WriteOptions{}) } // without metadata
	if err := safefile.Write(path, write); err != nil {
		t.Fatal(err)
	}
	var classes *ClassesError
	if _, err := Read(t.Context(), path, Options{}); !errors.As(err, &classes) || classes.Outputs != 10 {
		t.Errorf("%v", err)
	}
	var preprocess *PreprocessError
	if _, err := Read(t.Context(), path, Options{Classes: c.Classes()}); !errors.As(err, &preprocess) {
		t.Errorf("%v", err)
	}
	_, err := Read(t.Context(), path, Options{Classes: []string{"a", "b"}, Preprocess: "none"})
	if !errors.Is(err, model.ErrNotClassifier) {
		t.Errorf("%v", err)
	}
	o := Options{Classes: c.Classes(), Preprocess: "none", Filter: "lanczos"}
	if _, err = Read(t.Context(), path, o); err == nil {
		t.Error("an unknown filter is accepted")
	}
	in, err := Read(t.Context(), path,
		Options{Classes: c.Classes(), Preprocess: "efficientnet-lite", Filter: picture.Bicubic})
	if err != nil {
		t.Fatal(err)
	}
	checkClose(t, computeLogits(t, saveAndOpen(t, in.Model)), computeLogits(t, c), 1e-4)
	if got := in.Model.Preprocessing.Orientation; got != picture.IgnoreOrientation {
		t.Errorf("orientation %q, but Keras turns no picture", got)
	}
	var format *FormatError
	if _, err = Write(filepath.Join(t.TempDir(), "m.pb"), c, WriteOptions{}); !errors.As(err, &format) {
		t.Errorf("%v", err)
	}
	text := filepath.Join(t.TempDir(), "text.onnx")
	if err = os.WriteFile(text, []byte("no model"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{text, filepath.Join(t.TempDir(), "none.keras")} {
		if _, err = Read(t.Context(), path, Options{}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%v", err)
		}
	}
}

// buildClassNetwork returns a model's network without the output of the acceptance.
func buildClassNetwork(t testing.TB, c *model.Classifier) *nn.Network {
	t.Helper()
	n, err := c.Network()
	if err != nil {
		t.Fatal(err)
	}
	if n, _, _, err = splitAcceptance(n, c); err != nil {
		t.Fatal(err)
	}
	return n
}

// computeInt8Logits returns the logits of a model whose weights are rounded to int8.
func computeInt8Logits(t testing.TB, c *model.Classifier) []float32 {
	t.Helper()
	n := buildClassNetwork(t, c)
	g, err := nn.NewGraph(n.Layers)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := nn.Compile(g, n.Tensors.As(tensor.Int8), nn.Options{})
	if err != nil {
		t.Fatal(err)
	}
	input, logits := make([]float32, c.Spec().ValueCount()), make([]float32, len(c.Classes()))
	c.Spec().Tensor(model.DrawGoldenPicture(1), input)
	if err := plan.Run(t.Context(), input, logits); err != nil {
		t.Fatal(err)
	}
	return logits
}

// TestInt8 checks that an ONNX file with int8 weights takes less than a third of the space, and that
// what is read from it answers as garb's own int8 file does.
func TestInt8(t *testing.T) {
	c, folder := openBuiltIn(t), t.TempDir()
	small, large, native := filepath.Join(folder, "c.onnx"), filepath.Join(folder, "large.onnx"),
		filepath.Join(folder, "c.safetensors")
	for path, o := range map[string]WriteOptions{small: {Int8: true}, large: {}} {
		if _, err := Write(path, c, o); err != nil {
			t.Fatal(err)
		}
	}
	var sizes []int64
	for _, path := range []string{small, large} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, info.Size())
	}
	t.Logf("%d bytes, and %d in float32", sizes[0], sizes[1])
	// It is more than a quarter, because depthwise kernels and batch norms stay float32.
	if 3*sizes[0] > sizes[1] {
		t.Errorf("it has %d bytes, and in float32 %d", sizes[0], sizes[1])
	}
	in, err := Read(t.Context(), small, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if in.Model.Architecture != "efficientnet-lite0" {
		t.Errorf("its network is %q", in.Model.Architecture)
	}
	got := computeLogits(t, saveAndOpen(t, in.Model))
	checkClose(t, got, computeInt8Logits(t, c), 1e-6)
	if _, err = model.Store(model.Clothing, native, tensor.Int8); err != nil {
		t.Fatal(err)
	}
	own, err := model.Open(native, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	checkClose(t, got, computeLogits(t, own), 1e-6)
	if _, err = Write(filepath.Join(folder, "c.keras"), c, WriteOptions{Int8: true}); err == nil {
		t.Error("a .keras archive with int8 weights was written")
	}
}

// TestONNXRuntime checks that all files of the built-in models pass onnx.checker and answer in ONNX
// Runtime as garb does, for one picture or three. Files with int8 weights answer as garb does with
// such weights.
func TestONNXRuntime(t *testing.T) {
	python := os.Getenv("GARB_PYTHON")
	if python == "" {
		t.Skip("set GARB_PYTHON to a Python with what bench/requirements.txt lists")
	}
	for _, name := range []string{model.Clothing, model.ImageNet} {
		c, err := model.Open(name, model.Options{})
		if err != nil {
			t.Fatal(err)
		}
		exact, rounded := computeLogits(t, c), computeInt8Logits(t, c)
		for _, o := range []WriteOptions{{}, {Preprocessing: true}, {Int8: true}} {
			want := exact
			if o.Int8 {
				want = rounded
			}
			t.Run(fmt.Sprintf("%s %+v", name, o), func(t *testing.T) { checkInONNXRuntime(t, python, c, o, want) })
		}
	}
}

// checkInONNXRuntime writes a model, and compares its answers in ONNX Runtime to a golden picture
// with the logits that are wanted.
func checkInONNXRuntime(t *testing.T, python string, c *model.Classifier, o WriteOptions, want []float32) {
	t.Helper()
	path, input := filepath.Join(t.TempDir(), "m.onnx"), filepath.Join(t.TempDir(), "input")
	if _, err := Write(path, c, o); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(input, encodeInput(t, c, model.DrawGoldenPicture(1), o.Preprocessing), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), python, "testdata/run.py", path, input).Output()
	if err != nil {
		var exit *exec.ExitError
		errors.As(err, &exit)
		t.Fatalf("%v\n%s", err, exit.Stderr)
	}
	var got struct {
		Logits        [][]float32
		Probabilities [][]float64
		Metadata      map[string]string
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	largest := 0.0
	for _, logits := range got.Logits {
		checkClose(t, logits, want, 1e-4)
		for i := range logits {
			largest = max(largest, math.Abs(float64(logits[i]-want[i])))
		}
	}
	t.Logf("%d answers, largest difference of logits %.1e", len(got.Logits), largest)
	p := c.Predictions(want)
	if best := slices.Max(got.Probabilities[0]); math.Abs(best-p[0].Probability) > 1e-5 {
		t.Errorf("probability %v, want %v", best, p[0].Probability)
	}
	if !strings.Contains(got.Metadata["classes"], p[0].Class) || got.Metadata["garb"] == "" {
		t.Errorf("metadata %.200v", got.Metadata)
	}
}

// encodeInput returns the bytes of a file's input for a picture: its levels, if the file prepares
// pictures itself, or else the prepared values in float32.
func encodeInput(t *testing.T, c *model.Classifier, p *picture.RGB, levels bool) []byte {
	t.Helper()
	spec := c.Spec()
	if levels {
		spec.Mean, spec.Std = [3]float32{}, [3]float32{1, 1, 1}
	}
	values := make([]float32, spec.ValueCount())
	spec.Tensor(p, values)
	if !levels {
		data, err := binary.Append(nil, binary.LittleEndian, values)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	data := make([]byte, len(values))
	for i, v := range values {
		data[i] = byte(v)
	}
	return data
}

// TestLinearModels reads the first model of every tutorial: a dense layer that takes the picture.
func TestLinearModels(t *testing.T) {
	folder := t.TempDir()
	keras := filepath.Join(folder, "linear.keras")
	data := unpack(t, "../keras/testdata/cases/linear_classifier.keras.gz")
	if err := os.WriteFile(keras, data, 0o644); err != nil {
		t.Fatal(err)
	}
	for path, classes := range map[string]int{keras: 10, "../onnx/testdata/linear_flatten_gemm.onnx": 4} {
		in, err := Read(t.Context(), path,
			Options{Classes: strings.Split("abcdefghij", "")[:classes], Preprocess: "rescale"})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range computeLogits(t, saveAndOpen(t, in.Model)) {
			if v == 0 || math.IsNaN(float64(v)) {
				t.Errorf("%s: a logit of %v", path, v)
			}
		}
	}
}

// unpack returns the content of a gzip file.
func unpack(t testing.TB, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
