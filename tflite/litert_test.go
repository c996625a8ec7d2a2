package tflite

import (
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"garb/internal/peertest"
	"garb/keras"
	"garb/nn"
	"garb/onnx"
	"garb/tensor"
)

// litertCase is a model that LiteRT runs, and what garb answers.
type litertCase struct {
	name    string
	network *nn.Network
	options Options
	input   []float32 // of the network
	samples []byte    // what it is made of, with Options.Pictures
}

// report is what testdata/litert.py prints.
type report struct {
	Version string
	Models  map[string]struct {
		Parts         int
		Single, Batch map[string][]float64
		Labels        []string
	}
}

// pictures is the number of pictures that each model is given, alone and in a batch.
const pictures = 3

// run lets LiteRT answer for all cases.
func run(t *testing.T, cases []litertCase) report {
	t.Helper()
	python := os.Getenv("GARB_LITERT_PYTHON")
	if python == "" {
		t.Skip("set GARB_LITERT_PYTHON to a Python with what tflite/testdata/requirements.txt lists")
	}
	folder := t.TempDir()
	for _, c := range cases {
		input := c.samples
		if input == nil {
			var err error
			if input, err = binary.Append(nil, binary.LittleEndian, c.input); err != nil {
				t.Fatal(err)
			}
		}
		for ending, data := range map[string][]byte{".tflite": encoded(t, c.network, c.options), ".input": input} {
			if err := os.WriteFile(filepath.Join(folder, c.name+ending), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	out, err := exec.CommandContext(t.Context(), python, "testdata/litert.py", folder).Output()
	if err != nil {
		var exit *exec.ExitError
		errors.As(err, &exit)
		t.Fatalf("%v\n%s", err, exit.Stderr)
	}
	var r report
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// answers runs a network.
func answers(t *testing.T, n *nn.Network, input []float32) []float32 {
	t.Helper()
	g, err := nn.NewGraph(n.Layers)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := nn.Compile(g, n.Tensors, nn.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	output := make([]float32, len(input)/tensor.Len(g.InputShape())*tensor.Len(g.OutputShape()))
	if err := plan.Run(t.Context(), input, output); err != nil {
		t.Fatal(err)
	}
	return output
}

// largest returns how far the farthest of values is from what is wanted, as a part of the largest
// of these, or of 1.
func largest(t *testing.T, got []float64, want []float32) float64 {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d values, want %d", len(got), len(want))
	}
	size, difference := 1.0, 0.0
	for i := range got {
		size = max(size, math.Abs(float64(want[i])))
		d := math.Abs(got[i] - float64(want[i]))
		if d != d {
			return math.Inf(1)
		}
		difference = max(difference, d)
	}
	return difference / size
}

// softmax returns the softmax of each row.
func softmax(logits []float32, row int, temperature float64) []float32 {
	var all []float32
	for z := range slices.Chunk(logits, row) {
		top, sum := slices.Max(z), 0.0
		for _, v := range z {
			sum += math.Exp(float64(v-top) / temperature)
		}
		for _, v := range z {
			all = append(all, float32(math.Exp(float64(v-top)/temperature)/sum))
		}
	}
	return all
}

// compare returns the largest relative difference of LiteRT's answers from garb's, and fails
// if it is more than rounding.
func compare(t *testing.T, c litertCase, r report) float64 {
	t.Helper()
	last := len(c.network.Layers) - 1
	n := c.network
	if last > 1 && n.Layers[last].Op == nn.OpSoftmax {
		g, err := nn.NewGraph(n.Layers[:n.Layers[last].Inputs[0]+1])
		if err != nil {
			t.Fatal(err)
		}
		n = &nn.Network{Layers: g.Layers(), Tensors: n.Tensors}
	}
	g, err := nn.NewGraph(n.Layers)
	if err != nil {
		t.Fatal(err)
	}
	logits := answers(t, n, c.input)
	shape := g.OutputShape()
	temperature := c.options.Temperature
	if temperature == 0 {
		temperature = 1
	}
	probabilities := softmax(logits, shape[len(shape)-1], temperature)
	m, each := r.Models[c.name], len(logits)/pictures
	worst := max(largest(t, m.Batch[logitsName], logits), largest(t, m.Single[logitsName], logits[:each]),
		largest(t, m.Batch[probabilitiesName], probabilities),
		largest(t, m.Single[probabilitiesName], probabilities[:each]))
	// Sums of numbers of either sign in another order.
	if !(worst <= 1e-4) {
		t.Errorf("%s differs by %.3g: %v", c.name, worst, operations(c.network))
	}
	if !slices.Equal(m.Labels, c.options.Labels) {
		t.Errorf("%s has the labels %q, want %q", c.name, m.Labels, c.options.Labels)
	}
	return worst
}

// operations returns those of a network, each once.
func operations(n *nn.Network) []string {
	var all []string
	for _, l := range n.Layers[1:] {
		all = append(all, string(l.Op))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// noise returns random pictures for a network.
func noise(n *nn.Network, seed uint64) []float32 {
	random := rand.New(rand.NewPCG(seed, 7))
	v := make([]float32, pictures*tensor.Len(n.Layers[0].Shape))
	for i := range v {
		v[i] = float32(random.NormFloat64())
	}
	return v
}

// TestEveryLayerInLiteRT compares a network of every operation with LiteRT, and checks that XNNPACK
// computes all operators that it has.
func TestEveryLayerInLiteRT(t *testing.T) {
	var cases []litertCase
	for seed, size := range [][2]int{{24, 31}, {17, 16}} {
		n := filled(t, everyLayer(size[0], size[1]), uint64(seed))
		cases = append(cases, litertCase{name: fmt.Sprint("every", seed), network: n, input: noise(n, 1),
			options: Options{Labels: strings.Split("a b c d e f g h i größe", " "), Temperature: 1.7}})
	}
	windows := filled(t, everyWindow(), 3)
	l := list{{Op: nn.OpInput, Shape: []int{6, 5, 4}}}
	x := 0
	for _, layer := range []nn.Layer{
		{Op: nn.OpELU, Slope: 0.3}, {Op: nn.OpGELU}, {Op: nn.OpSELU}, {Op: nn.OpMish}, {Op: nn.OpGELUTanh},
		{Op: nn.OpSoftplus},
	} { // each of what a convolution makes of both signs
		x = l.add(nn.Layer{Op: nn.OpConv, Name: string(layer.Op), Units: 4, Height: 3, Width: 3, Stride: 1,
			Same: true}, x)
		x = l.add(layer, x)
	}
	l.add(nn.Layer{Op: nn.OpDense, Name: "last", Units: 3}, l.add(nn.Layer{Op: nn.OpGlobalAveragePool}, x))
	curves := filled(t, l, 4)
	cases = append(cases, litertCase{name: "curves", network: curves, input: noise(curves, 1)}, prepared(t),
		litertCase{name: "windows", network: windows, input: noise(windows, 1)})
	r := run(t, cases)
	for _, c := range cases {
		t.Logf("LiteRT %s: %s differs by %.2g, in %d parts by XNNPACK", r.Version, c.name, compare(t, c, r),
			r.Models[c.name].Parts)
		if r.Models[c.name].Parts == 0 {
			t.Errorf("%s: XNNPACK computes nothing", c.name)
		}
	}
}

// prepared returns a model that takes pictures.
func prepared(t *testing.T) litertCase {
	n := filled(t, everyLayer(16, 20), 5)
	c := litertCase{name: "pictures", network: n, options: Options{Pictures: true,
		Preprocessing: &Preprocessing{Mean: []float32{123.7, 116.8, 103.9}, Std: []float32{58.4, 57.1, 57.4}}}}
	for i := range pictures * tensor.Len(n.Layers[0].Shape) {
		c.samples = append(c.samples, byte(i*37))
		c.input = append(c.input,
			(float32(byte(i*37))-c.options.Preprocessing.Mean[i%3])/c.options.Preprocessing.Std[i%3])
	}
	return c
}

// randomNetworks is how many networks are drawn, from the seeds 0 on.
const randomNetworks = 200

// randomNetwork draws layers of any operation and settings that fit together. A seed always draws
// the same network, so that a failure can be reproduced.
func randomNetwork(seed uint64) []nn.Layer {
	random := rand.New(rand.NewPCG(seed, 17))
	pick := func(n int) int { return random.IntN(n) }
	ops := slices.Sorted(maps.Keys(writers))
	l := list{{Op: nn.OpInput, Shape: []int{3 + pick(12), 3 + pick(12), 1 + pick(4)}}}
	wanted := 3 + pick(14)
	for range 40 * wanted {
		if len(l) > wanted {
			break
		}
		layer := randomLayer(pick, ops[pick(len(ops))], len(l))
		beyond := func(at int) int { // of a map with the lowest number, what makes others of it
			if l[at].Op == nn.OpPad && l[at].Lowest {
				at++
			}
			return at
		}
		take := func() int { return beyond(max(0, len(l)-1-pick(3)*pick(2))) } // the last, most often
		layer.Inputs = []int{take()}
		switch layer.Op {
		case nn.OpAdd, nn.OpMultiply, nn.OpMaximum, nn.OpMinimum:
			layer.Inputs = append(layer.Inputs, beyond(pick(len(l))))
		case nn.OpConcat:
			layer.Inputs = append(layer.Inputs, take(), take())
		case nn.OpReshape:
			g, err := nn.NewGraph(append(slices.Clone(l), nn.Layer{Op: nn.OpReLU, Inputs: layer.Inputs}))
			if err != nil {
				continue
			}
			s := g.OutputShape()
			n := tensor.Len(s)
			layer.Shape = [][]int{{n}, {1, 1, n}, {s[0], 1, n / s[0]}}[pick(3)]
		}
		if layer.Lowest && layer.Op == nn.OpPad { // such numbers would drown the others
			padded := append(slices.Clone(l), layer,
				nn.Layer{Op: nn.OpMaxPool, Height: 4, Width: 4, Stride: 2, Inputs: []int{len(l)}})
			if _, err := nn.NewGraph(padded); err == nil { // each window reaches beyond the padding
				l = padded
			}
			continue
		}
		g, err := nn.NewGraph(append(slices.Clone(l), layer, nn.Layer{Op: nn.OpReLU, Inputs: []int{len(l)}}))
		if err != nil || tensor.Len(g.OutputShape()) > 1<<13 || !sharesWhole(g) {
			continue
		}
		l = append(l, layer)
	}
	x := l.add(nn.Layer{Op: nn.OpTanh}, len(l)-1) // of values that products may have made large
	x = l.add(nn.Layer{Op: nn.OpFlatten}, x)
	x = l.add(nn.Layer{Op: nn.OpDense, Name: "classifier", Units: 1 + pick(9), Bias: true}, x)
	if pick(4) == 0 {
		l.add(nn.Layer{Op: nn.OpSoftmax}, x)
	}
	return l
}

// randomLayer draws the settings of a layer. at is its index in the network.
func randomLayer(pick func(int) int, op nn.Op, at int) nn.Layer {
	layer := nn.Layer{
		Op: op, Units: 1 + pick(8), Height: 1 + pick(4), Stride: 1 + pick(3),
		Same: pick(2) == 0, Bias: pick(2) == 0, Epsilon: 1e-3, Slope: float64(pick(5)-2) / 4, Rate: 0.5,
		Above: pick(3), Below: pick(3), Left: pick(3), Right: pick(3), Lowest: pick(4) == 0,
		Groups: 1 + pick(4), Before: pick(2), After: pick(2), Rows: 1 + pick(3), Columns: 1 + pick(3),
		Linear: pick(2) == 0, Channels: []int{pick(4), pick(4)},
	}
	if !layer.Lowest && pick(3) == 0 {
		layer.Border = nn.Reflect
	}
	switch layer.Op {
	case nn.OpConv, nn.OpDepthwiseConv, nn.OpDense, nn.OpBatchNorm, nn.OpScale, nn.OpPReLU,
		nn.OpLayerNorm, nn.OpGroupNorm:
		layer.Name = fmt.Sprint("l", at-pick(2)) // sometimes that of the layer before
	}
	if layer.Width = layer.Height; pick(3) == 0 {
		layer.Width = 1 + pick(4)
	}
	if pick(3) == 0 {
		layer.StrideWidth = 1 + pick(3)
	}
	if pick(4) == 0 && layer.Op != nn.OpMaxPool && layer.Op != nn.OpAveragePool {
		layer.SetDilations(1+pick(3), 1+pick(3))
	}
	if pick(2) == 0 {
		layer.Groups = 1 + pick(4)
		layer.Units *= layer.Groups
	}
	return layer
}

// sharesWhole reports whether layers of one name have parameters of one shape.
func sharesWhole(g *nn.Graph) bool {
	shapes := map[string][]int{}
	for i := range g.Layers() {
		for _, p := range g.LayerParams(i) {
			if shape, ok := shapes[p.Name]; ok && !slices.Equal(shape, p.Shape) {
				return false
			}
			shapes[p.Name] = p.Shape
		}
	}
	return true
}

// TestRandomNetworksInLiteRT compares random networks with LiteRT.
func TestRandomNetworksInLiteRT(t *testing.T) {
	if os.Getenv("GARB_LITERT_PYTHON") == "" {
		t.Skip("set GARB_LITERT_PYTHON to a Python with what tflite/testdata/requirements.txt lists")
	}
	var cases []litertCase
	for seed := range uint64(randomNetworks) {
		n := filled(t, randomNetwork(seed), seed)
		c := litertCase{name: fmt.Sprintf("seed%03d", seed), network: n, input: noise(n, seed)}
		if seed%3 == 0 {
			c.options.Temperature = 0.5 + float64(seed)/randomNetworks
		}
		cases = append(cases, c)
	}
	r := run(t, cases)
	var tally peertest.Tally
	used := map[string]bool{}
	delegated := 0
	for _, c := range cases {
		tally.Add("", compare(t, c, r), operations(c.network))
		for _, op := range operations(c.network) {
			used[op] = true
		}
		if r.Models[c.name].Parts > 0 {
			delegated++
		}
	}
	tally.Report(t)
	t.Logf("XNNPACK computes parts of %d networks", delegated)
	for op := range writers {
		if !used[string(op)] {
			t.Errorf("none of the networks has the operation %s", op)
		}
	}
	if delegated < randomNetworks*9/10 {
		t.Errorf("XNNPACK computes parts of %d networks only", delegated)
	}
}

// TestForeignNetworksInLiteRT writes networks that come from Keras and ONNX files.
func TestForeignNetworksInLiteRT(t *testing.T) {
	if os.Getenv("GARB_LITERT_PYTHON") == "" {
		t.Skip("set GARB_LITERT_PYTHON to a Python with what tflite/testdata/requirements.txt lists")
	}
	var cases []litertCase
	take := func(path string, n *nn.Network, err error) {
		if err != nil { // what is refused is held by the packages' own tests
			t.Logf("%s: %v", path, err)
			return
		}
		var refused *nn.LayerError
		err = Write(io.Discard, n, Options{})
		if errors.As(err, &refused) && strings.Contains(err.Error(), "it is dilated") {
			t.Logf("%s is not written: %v", path, err)
			return
		}
		name := strings.ReplaceAll(strings.TrimLeft(strings.TrimSuffix(path, ".gz"), "./"), "/", "-")
		cases = append(cases, litertCase{name: name, network: n, input: noise(n, 3)})
	}
	const side = 64 // of networks for pictures of any size
	for _, pattern := range []string{"../keras/testdata/network-*.keras.gz", "../keras/testdata/small*.keras.gz",
		"../keras/testdata/cases/*.keras.gz"} {
		for _, path := range glob(t, pattern) {
			m, err := keras.Open(unpacked(t, path), keras.DefaultLimits())
			if err != nil {
				take(path, nil, err)
				continue
			}
			n, err := m.Network(0)
			if err != nil {
				n, err = m.Network(side)
			}
			take(path, n, err)
		}
	}
	for _, path := range glob(t, "../onnx/testdata/*.onnx") {
		limits := onnx.DefaultLimits()
		n, _, err := onnx.ReadFile(path, limits)
		if err != nil {
			limits.Side = side
			n, _, err = onnx.ReadFile(path, limits)
		}
		take(path, n, err)
	}
	r := run(t, cases)
	for _, c := range cases {
		off := compare(t, c, r)
		t.Logf("%s: %d layers, differs by %.2g, in %d parts by XNNPACK", c.name, len(c.network.Layers), off,
			r.Models[c.name].Parts)
	}
	if len(cases) < 15 {
		t.Errorf("%d networks", len(cases))
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(paths), err)
	}
	return paths
}

// unpacked returns the content of a gzipped file.
func unpacked(t *testing.T, path string) []byte {
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
