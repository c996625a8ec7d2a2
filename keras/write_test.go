package keras

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"garb/backbone"
	"garb/nn"
	"garb/tensor"
)

// withWeights gives a graph weights at random, of a size that keeps values near 1.
func withWeights(t testing.TB, layers []nn.Layer, seed uint64) *nn.Network {
	t.Helper()
	graph, err := nn.NewGraph(layers)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(seed, 6))
	n := &nn.Network{Layers: graph.Layers(), Tensors: tensor.Map{}}
	for _, p := range graph.Params() {
		v := tensor.New(p.Shape...)
		fanIn := 1
		for _, d := range p.Shape[:len(p.Shape)-1] {
			fanIn *= d
		}
		for i := range v.Data {
			switch {
			case strings.HasSuffix(p.Name, "kernel"):
				v.Data[i] = float32(r.NormFloat64() / math.Sqrt(float64(fanIn)))
			case strings.HasSuffix(p.Name, "variance"), strings.HasSuffix(p.Name, "gamma"),
				strings.HasSuffix(p.Name, "scale"):
				v.Data[i] = 0.5 + r.Float32()
			default:
				v.Data[i] = r.Float32() - 0.5
			}
		}
		n.Tensors[p.Name] = v
	}
	return n
}

// everyOperation is a network of all of them: a layer that is called twice, padding that is
// not the same on all sides, kernels that are not square, values for channels in both ways.
func everyOperation(t testing.TB) *nn.Network {
	return withWeights(t, []nn.Layer{
		{Op: nn.OpInput, Shape: []int{13, 11, 3}},
		{Op: nn.OpScale, Name: "normalize", Inputs: []int{0}},
		{Op: nn.OpPad, Inputs: []int{1}, Above: 1, Below: 2, Right: 1},
		{Op: nn.OpConv, Name: "stem/conv", Inputs: []int{2}, Units: 8, Height: 3, Width: 2, Stride: 2, Bias: true},
		{Op: nn.OpBatchNorm, Name: "stem/bn", Inputs: []int{3}, Epsilon: 1e-3, Momentum: 0.75},
		{Op: nn.OpLeakyReLU, Inputs: []int{4}, Slope: 0.125},
		{Op: nn.OpDepthwiseConv, Name: "stem_conv", Inputs: []int{5}, Height: 3, Width: 3, Stride: 1, Same: true,
			Bias: true},
		{Op: nn.OpSwish, Inputs: []int{6}},
		{Op: nn.OpConv, Name: "größe", Inputs: []int{5}, Units: 8, Height: 1, Width: 1, Stride: 1}, // called twice
		{Op: nn.OpConv, Name: "größe", Inputs: []int{8}, Units: 8, Height: 1, Width: 1, Stride: 1},
		{Op: nn.OpAdd, Inputs: []int{7, 9}},
		{Op: nn.OpReLU, Inputs: []int{10}},
		{Op: nn.OpPad, Inputs: []int{11}, Above: 1, Below: 1, Left: 1, Right: 1, Lowest: true},
		{Op: nn.OpMaxPool, Inputs: []int{12}, Height: 3, Width: 3, Stride: 2},
		{Op: nn.OpReLU6, Inputs: []int{10}},
		{Op: nn.OpAveragePool, Inputs: []int{14}, Height: 3, Width: 3, Stride: 2, Same: true},
		{Op: nn.OpConcat, Inputs: []int{15, 13}},
		{Op: nn.OpGlobalAveragePool, Inputs: []int{16}},
		{Op: nn.OpReshape, Inputs: []int{17}, Shape: []int{1, 1, 16}},
		{Op: nn.OpConv, Name: "excite", Inputs: []int{18}, Units: 16, Height: 1, Width: 1, Stride: 1, Bias: true},
		{Op: nn.OpSigmoid, Inputs: []int{19}},
		{Op: nn.OpMultiply, Inputs: []int{16, 20}},
		{Op: nn.OpGlobalMaxPool, Inputs: []int{21}},
		{Op: nn.OpMultiply, Inputs: []int{22, 21}},
		{Op: nn.OpFlatten, Inputs: []int{23}},
		{Op: nn.OpDense, Name: "inner", Inputs: []int{24}, Units: 12, Bias: true},
		{Op: nn.OpTanh, Inputs: []int{25}},
		{Op: nn.OpBatchNorm, Name: "inner/bn", Inputs: []int{26}, Epsilon: 1e-5},
		{Op: nn.OpScale, Name: "inner/scale", Inputs: []int{27}},
		{Op: nn.OpSoftmax, Inputs: []int{28}},
		{Op: nn.OpAdd, Inputs: []int{28, 29}},
		{Op: nn.OpDropout, Inputs: []int{30}, Rate: 0.25},
		{Op: nn.OpPReLU, Name: "slopes", Inputs: []int{31}},
		{Op: nn.OpELU, Inputs: []int{32}, Slope: 0.7},
		{Op: nn.OpSELU, Inputs: []int{33}},
		{Op: nn.OpGELU, Inputs: []int{34}},
		{Op: nn.OpSoftplus, Inputs: []int{35}},
		{Op: nn.OpMish, Inputs: []int{36}},
		{Op: nn.OpHardSigmoid, Inputs: []int{37}},
		{Op: nn.OpHardSwish, Inputs: []int{38}},
		{Op: nn.OpReshape, Inputs: []int{39}, Shape: []int{2, 2, 3}},
		{Op: nn.OpUpsample, Inputs: []int{40}, Rows: 2, Columns: 3, Linear: true},
		{Op: nn.OpLayerNorm, Name: "layer", Inputs: []int{41}, Epsilon: 1e-6},
		{Op: nn.OpCrop, Inputs: []int{42}, Above: 1, Left: 2, Right: 1},
		{Op: nn.OpGroupNorm, Name: "group", Inputs: []int{43}, Groups: 3, Epsilon: 0.25},
		{Op: nn.OpConv, Name: "gate", Inputs: []int{44}, Units: 1, Height: 1, Width: 1, Stride: 1},
		{Op: nn.OpAdd, Inputs: []int{44, 45}},
		{Op: nn.OpGlobalAveragePool, Inputs: []int{44}},
		{Op: nn.OpMaximum, Inputs: []int{46, 47}},
		{Op: nn.OpMinimum, Inputs: []int{48, 46}},
		{Op: nn.OpUpsample, Inputs: []int{49}, Rows: 1, Columns: 2},
		{Op: nn.OpResize, Inputs: []int{50}, Rows: 4, Columns: 3, Linear: true},
		{Op: nn.OpResize, Inputs: []int{51}, Rows: 2, Columns: 5},
		{Op: nn.OpCrop, Inputs: []int{52}, Before: 1},
		{Op: nn.OpFlatten, Inputs: []int{53}},
		{Op: nn.OpSelect, Inputs: []int{54}, Channels: []int{4, 0, 4, 1}},
		{Op: nn.OpCrop, Inputs: []int{55}, After: 1},
		{Op: nn.OpDense, Name: "last", Inputs: []int{56}, Units: 5},
	}, 1)
}

// TestEveryOperationIsWritten checks that everyOperation contains all operations that Keras has as
// layers.
func TestEveryOperationIsWritten(t *testing.T) {
	shown := map[nn.Op]bool{nn.OpErf: true, nn.OpGELUTanh: true} // which are functions of Keras's, and no layers
	for _, l := range everyOperation(t).Layers {
		shown[l.Op] = true
	}
	for _, op := range nn.Operations() {
		if !shown[op] {
			t.Errorf("nothing shows that %s is written and read", op)
		}
	}
}

// branches is a network of many layers of a few classes and one shape, joined at random:
// were their weights confused, the file would be no less valid.
func branches(t testing.TB, seed uint64) *nn.Network {
	r := rand.New(rand.NewPCG(seed, 7))
	layers := []nn.Layer{{Op: nn.OpInput, Shape: []int{3, 3, 2}}}
	earlier := func() int { return max(r.IntN(len(layers)), r.IntN(len(layers))) }
	for i := range 40 {
		l := nn.Layer{Op: nn.OpTanh, Inputs: []int{len(layers)}} // of a sum, which it keeps small
		sum := nn.Layer{Op: nn.OpAdd, Inputs: []int{earlier(), earlier()}}
		switch r.IntN(4) {
		case 0, 1:
			l = nn.Layer{Op: nn.OpConv, Name: fmt.Sprint("conv", r.IntN(20)), Inputs: sum.Inputs[:1], Units: 2,
				Height: 1, Width: 1, Stride: 1, Bias: true}
		case 2:
			l = nn.Layer{Op: nn.OpBatchNorm, Name: fmt.Sprint("bn", i), Inputs: sum.Inputs[:1], Epsilon: 1e-3}
		default:
			layers = append(layers, sum)
		}
		layers = append(layers, l)
	}
	used := make([]bool, len(layers)) // what nothing takes is added up
	for _, l := range layers {
		for _, in := range l.Inputs {
			used[in] = true
		}
	}
	last := len(layers) - 1
	for i := range last {
		if !used[i] {
			layers = append(layers, nn.Layer{Op: nn.OpAdd, Inputs: []int{last, i}})
			last = len(layers) - 1
		}
	}
	return withWeights(t, layers, seed)
}

func architecture(t testing.TB, name string) backbone.Architecture {
	t.Helper()
	a, err := backbone.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// builtIn is EfficientNet-Lite0 with the weights that the binary holds, which package
// weights would give, were it not below this one.
func builtIn(t testing.TB) *nn.Network {
	t.Helper()
	packed, err := os.Open("../weights/efficientnet-lite0-imagenet.safetensors.packed")
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	r, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	parted, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	data, half := slices.Clone(parted), len(parted)/2 // weights/_generate/main.go parts it
	for i := range half {
		data[2*i+1], data[2*i] = parted[i], parted[half+i]
	}
	f, err := tensor.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	graph := architecture(t, "efficientnet-lite0").WithTop(224, 224)
	n := &nn.Network{Layers: graph.Layers(), Tensors: tensor.Map{}}
	for _, p := range graph.Params() {
		if n.Tensors[p.Name], err = f.Tensor(p.Name); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func writeKeras(t testing.TB, n *nn.Network, o WriteOptions) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, n, o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// answers are what a network gives for inputs that follow one another.
func answers(t testing.TB, n *nn.Network, inputs []float32) []float32 {
	t.Helper()
	var all []float32
	for input := range slices.Chunk(inputs, tensor.Len(n.Layers[0].Shape)) {
		all = append(all, answer(t, n, input)...)
	}
	return all
}

// someInputs are two inputs of a network.
func someInputs(n *nn.Network) []float32 {
	r := rand.New(rand.NewPCG(3, 8))
	values := make([]float32, 2*tensor.Len(n.Layers[0].Shape))
	for i := range values {
		values[i] = 2*r.Float32() - 1
	}
	return values
}

// What is written, read back, has the same variables and answers.
func TestWriteReadBack(t *testing.T) {
	for name, n := range map[string]*nn.Network{
		"every operation": everyOperation(t),
		"small-cnn":       withWeights(t, architecture(t, "small-cnn").WithTop(20, 20).Layers(), 2),
		"branches":        branches(t, 1),
	} {
		t.Run(name, func(t *testing.T) {
			m := open(t, writeKeras(t, n, WriteOptions{Name: "my model"}))
			if m.Name != "my_model" || m.Class != "Functional" || m.KerasVersion != writtenVersion {
				t.Errorf("it is %q, a %s of Keras %s", m.Name, m.Class, m.KerasVersion)
			}
			checkVariables(t, m, n)
			back, err := m.Network(0)
			if err != nil {
				t.Fatal(err)
			}
			inputs := someInputs(n)
			if d := largestDifference(answers(t, back, inputs), answers(t, n, inputs)); !(d < 1e-5) {
				t.Errorf("its answers differ by %g", d)
			}
		})
	}
}

// checkVariables checks that a model has the tensors of a network, each once, but those of
// Scale, which are settings.
func checkVariables(t *testing.T, m *Model, n *nn.Network) {
	t.Helper()
	found := map[string][]float32{}
	for _, l := range m.Layers {
		for _, v := range l.Variables {
			got, err := v.Tensor()
			if err != nil {
				t.Fatal(err)
			}
			found[l.Name+"/"+strings.TrimPrefix(v.Name, "depthwise_")] = got.Data
		}
	}
	want := map[string][]float32{}
	for name, v := range n.Tensors {
		at := strings.LastIndexByte(name, '/')
		if layer, what := name[:at], name[at+1:]; what == "slope" {
			want[layerName(layer)+"/alpha"] = v.Data
		} else if what != "scale" && what != "offset" {
			want[layerName(layer)+"/"+what] = v.Data
			if layer == "stem_conv" { // taken: stem/conv was named so
				delete(want, "stem_conv/"+what)
				want["stem_conv_1/"+what] = v.Data
			}
		}
	}
	if v, ok := n.Tensors["stem/conv/kernel"]; ok {
		want["stem_conv/kernel"], want["stem_conv/bias"] = v.Data, n.Tensors["stem/conv/bias"].Data
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Error(diff)
	}
}

func TestWriteIsDeterministic(t *testing.T) {
	o := WriteOptions{Probabilities: true, Temperature: 1.5,
		Metadata: map[string]string{"classes": "[]", "a": "b", "c": "d"}}
	first := writeKeras(t, everyOperation(t), o)
	for range 5 {
		if !bytes.Equal(first, writeKeras(t, everyOperation(t), o)) {
			t.Fatal("the same network gives other bytes")
		}
	}
}

func TestWriteBranchesReadBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := branches(t, rapid.Uint64().Draw(rt, "seed"))
		back, err := open(t, writeKeras(t, n, WriteOptions{})).Network(0)
		if err != nil {
			rt.Fatal(err)
		}
		inputs := someInputs(n)
		if d := largestDifference(answers(t, back, inputs), answers(t, n, inputs)); !(d < 1e-4) {
			rt.Errorf("its answers differ by %g", d)
		}
	})
}

func TestWriteMetadata(t *testing.T) {
	n := withWeights(t, architecture(t, "small-cnn").WithTop(6, 6).Layers(), 2)
	data := writeKeras(t, n, WriteOptions{Metadata: map[string]string{"classes": `["a","b"]`}})
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range archive.File {
		names = append(names, f.Name)
	}
	if !slices.Equal(names, []string{"metadata.json", "config.json", "model.weights.h5"}) {
		t.Errorf("entries %q", names)
	}
	text, err := unpack(archive, "metadata.json", 1000)
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Garb map[string]string }
	if err := json.Unmarshal(text, &got); err != nil || got.Garb["classes"] != `["a","b"]` {
		t.Errorf("%s: %v", text, err)
	}
}

func TestWriteProbabilities(t *testing.T) {
	n := everyOperation(t)
	back, err := open(t, writeKeras(t, n, WriteOptions{Probabilities: true, Temperature: 2})).Network(0)
	if err != nil {
		t.Fatal(err)
	}
	inputs := someInputs(n)
	var want []float32
	for row := range slices.Chunk(answers(t, n, inputs), 5) {
		want = append(want, softmax(row, 2)...)
	}
	if d := largestDifference(answers(t, back, inputs), want); !(d < 1e-6) {
		t.Errorf("its probabilities differ by %g", d)
	}
	n.Layers = append(n.Layers, nn.Layer{Op: nn.OpSoftmax, Inputs: []int{len(n.Layers) - 1}})
	m := open(t, writeKeras(t, n, WriteOptions{Probabilities: true}))
	if count := strings.Count(listClasses(m), "Softmax"); count != 2 {
		t.Errorf("%d layers are Softmax: the last of the network's 2 is the output", count)
	}
}

func softmax(logits []float32, temperature float64) []float32 {
	all, sum := make([]float32, len(logits)), 0.0
	for _, v := range logits {
		sum += math.Exp(float64(v) / temperature)
	}
	for i, v := range logits {
		all[i] = float32(math.Exp(float64(v)/temperature) / sum)
	}
	return all
}

func listClasses(m *Model) string {
	var all []string
	for _, l := range m.Layers {
		all = append(all, l.Class)
	}
	return strings.Join(all, " ")
}

// One name with other settings is another Keras layer, with the same weights.
func TestWriteSharedWithOtherSettings(t *testing.T) {
	conv := nn.Layer{Op: nn.OpConv, Name: "conv", Units: 2, Height: 3, Width: 3, Stride: 1, Same: true}
	strided := conv
	conv.Inputs, strided.Inputs, strided.Stride = []int{0}, []int{1}, 2
	n := withWeights(t, []nn.Layer{{Op: nn.OpInput, Shape: []int{8, 8, 2}}, conv, strided}, 1)
	m := open(t, writeKeras(t, n, WriteOptions{}))
	if got := listClasses(m); got != "InputLayer Conv2D Conv2D" {
		t.Fatalf("layers %s", got)
	}
	back, err := m.Network(0)
	if err != nil {
		t.Fatal(err)
	}
	inputs := someInputs(n)
	if d := largestDifference(answers(t, back, inputs), answers(t, n, inputs)); !(d < 1e-6) {
		t.Errorf("its answers differ by %g", d)
	}
}

func TestWritePadsWithTheLowest(t *testing.T) {
	pool := nn.Layer{Op: nn.OpMaxPool, Inputs: []int{2}, Height: 3, Width: 3, Stride: 2}
	same := pool
	same.Same = true
	average := pool
	average.Op = nn.OpAveragePool
	for name, test := range map[string]struct {
		before, after nn.Layer
		pad           int
		reason        string // "" if zeros do
	}{
		"after ReLU":        {nn.Layer{Op: nn.OpReLU}, pool, 1, ""},
		"after ReLU6, same": {nn.Layer{Op: nn.OpReLU6}, same, 1, ""},
		"before the largest": {nn.Layer{Op: nn.OpSigmoid}, nn.Layer{Op: nn.OpGlobalMaxPool, Inputs: []int{2}}, 5,
			""},
		"after Tanh":    {nn.Layer{Op: nn.OpTanh}, pool, 1, "values before it may be below zero"},
		"before a mean": {nn.Layer{Op: nn.OpReLU}, average, 1, "the next layer is AveragePool"},
		"a window of padding": {nn.Layer{Op: nn.OpReLU}, pool, 3,
			"a window of the next MaxPool may be entirely in the padding"},
		"the same's own besides": {nn.Layer{Op: nn.OpReLU}, same, 2,
			"a window of the next MaxPool may be entirely in the padding"},
	} {
		t.Run(name, func(t *testing.T) {
			test.before.Inputs = []int{0}
			n := withWeights(t, []nn.Layer{
				{Op: nn.OpInput, Shape: []int{8, 8, 2}}, test.before,
				{Op: nn.OpPad, Inputs: []int{1}, Above: test.pad, Left: test.pad, Lowest: true}, test.after,
			}, 1)
			var b bytes.Buffer
			err := Write(&b, n, WriteOptions{})
			if test.reason != "" {
				var refused *nn.LayerError
				if !errors.As(err, &refused) || refused.Layer != 2 || !strings.HasSuffix(refused.Reason, test.reason) {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			back, err := open(t, b.Bytes()).Network(0)
			if err != nil {
				t.Fatal(err)
			}
			inputs := someInputs(n)
			if d := largestDifference(answers(t, back, inputs), answers(t, n, inputs)); d != 0 {
				t.Errorf("its answers differ by %g", d)
			}
		})
	}
}

func TestWriteRefuses(t *testing.T) {
	for name, change := range map[string]func(n *nn.Network){
		"a missing tensor": func(n *nn.Network) { delete(n.Tensors, "last/kernel") },
		"another shape":    func(n *nn.Network) { n.Tensors["last/kernel"] = tensor.New(5, 12) },
		"no number":        func(n *nn.Network) { n.Tensors["normalize/scale"].Data[1] = float32(math.NaN()) },
		"no graph":         func(n *nn.Network) { n.Layers[5].Inputs[0] = 7 },
		"rows and channels": func(n *nn.Network) {
			n.Layers = []nn.Layer{n.Layers[0], {Op: nn.OpCrop, Inputs: []int{0}, Above: 1, Before: 1},
				{Op: nn.OpReLU, Inputs: []int{1}}}
		},
	} {
		n := everyOperation(t)
		change(n)
		err := Write(io.Discard, n, WriteOptions{})
		var weight *nn.WeightError
		var layer *nn.LayerError
		if !errors.As(err, &weight) && !errors.As(err, &layer) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestKerasLoadsWhatIsWritten checks that Keras loads written files and gives the same answers.
func TestKerasLoadsWhatIsWritten(t *testing.T) {
	python := os.Getenv("GARB_KERAS_PYTHON")
	if python == "" {
		t.Skip("set GARB_KERAS_PYTHON to a Python with Keras 3 and TensorFlow to run this test (see .ci/run)")
	}
	networks := map[string]*nn.Network{
		"every":   everyOperation(t),
		"windows": everyWindow(t),
		"lite":    builtIn(t),
		"small":   withWeights(t, architecture(t, "small-cnn").WithTop(150, 150).Layers(), 2),
		"odds":    everyOperation(t), // as probabilities
	}
	for seed := range uint64(4) {
		networks[fmt.Sprint("branches", seed)] = branches(t, seed)
	}
	folder := t.TempDir()
	for name, n := range networks {
		data := writeKeras(t, n, WriteOptions{Name: name, Probabilities: name == "odds",
			Metadata: map[string]string{"classes": "[]"}})
		inputs, err := binary.Append(nil, binary.LittleEndian, someInputs(n))
		if err != nil {
			t.Fatal(err)
		}
		for ending, content := range map[string][]byte{".keras": data, ".input": inputs} {
			if err := os.WriteFile(filepath.Join(folder, name+ending), content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	report := runLoad(t, python, folder)
	for name, n := range networks {
		raw, err := os.ReadFile(filepath.Join(folder, name+".output"))
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float32, len(raw)/4)
		if _, err := binary.Decode(raw, binary.LittleEndian, got); err != nil {
			t.Fatal(err)
		}
		want := answers(t, n, someInputs(n))
		if name == "odds" {
			want = nil
			outputs := len(got) / 2
			for row := range slices.Chunk(answers(t, n, someInputs(n)), outputs) {
				want = append(want, softmax(row, 1)...)
			}
		}
		d := largestDifference(got, want)
		t.Logf("Keras %s, %s: %d layers, largest difference %.2g", report.Keras, name,
			len(report.Models[name].Classes), d)
		if !(d < 1e-4) {
			t.Errorf("%s: the answers of Keras differ by %g", name, d)
		}
		m := open(t, writeKeras(t, n, WriteOptions{Probabilities: name == "odds"}))
		report.Models[name].check(t, name, m)
	}
}

type loadReport struct {
	Keras  string
	Models map[string]loadedModel
}

// runLoad runs testdata/load.py on a folder of models.
func runLoad(t *testing.T, python, folder string) (report loadReport) {
	t.Helper()
	command := exec.CommandContext(t.Context(), python, "testdata/load.py", folder)
	var problems bytes.Buffer
	command.Stderr = &problems
	text, err := command.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, problems.Bytes())
	}
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	return report
}

// loadedModel is testdata/load.py's report about a model.
type loadedModel struct {
	Name    string
	Classes []string
	Arrays  map[string]any
}

// check compares a report about a model with the model.
func (l loadedModel) check(t *testing.T, name string, m *Model) {
	t.Helper()
	// Keras does not count operations that are not layers.
	layers := strings.Join(slices.DeleteFunc(strings.Fields(listClasses(m)),
		func(class string) bool { return class == "Take" }), " ")
	if got := strings.Join(l.Classes, " "); got != layers || l.Name != name {
		t.Errorf("%s: Keras has it as %q with the layers\n%s, not\n%s", name, l.Name, got, layers)
	}
	variables := 0
	for _, l := range m.Layers {
		variables += len(l.Variables)
	}
	if len(l.Arrays) != variables {
		t.Errorf("%s: h5py finds %d arrays, want %d", name, len(l.Arrays), variables)
	}
}
