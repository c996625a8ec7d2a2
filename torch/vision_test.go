package torch

import (
	"encoding/json"
	"errors"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"garb/backbone"
	"garb/nn"
	"garb/tensor"
)

// visionAnswers is the output of vision.py.
type visionAnswers struct {
	Height, Width int
	Networks      []visionNetwork
}

type visionNetwork struct {
	Name             string
	Shapes           map[string][]int
	Features, Logits []float32
}

func readVision(t *testing.T, path string) visionAnswers {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var v visionAnswers
	if err := json.Unmarshal(text, &v); err != nil || len(v.Networks) != len(visions) {
		t.Fatalf("%d networks, %v", len(v.Networks), err)
	}
	return v
}

// noise returns the values that vision.py gives a tensor.
func noise(name string, shape []int) *tensor.Tensor {
	seed := uint64(0xcbf29ce484222325)
	for _, b := range []byte(name) {
		seed = (seed ^ uint64(b)) * 0x100000001b3
	}
	t := tensor.New(shape...)
	for i := range t.Data {
		z := seed + uint64(i+1)*0x9e3779b97f4a7c15
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		z ^= z >> 31
		t.Data[i] = float32(z>>40)/(1<<23) - 1
	}
	return t
}

// stateDict returns the state dict that vision.py gives a network.
func (n visionNetwork) stateDict() *StateDict {
	s := &StateDict{Tensors: tensor.Map{}}
	for name, shape := range n.Shapes {
		if strings.HasSuffix(name, "num_batches_tracked") {
			s.Integers = append(s.Integers, name)
			continue
		}
		t := noise(name, shape)
		scale, shift := float32(0.25), float32(0)
		switch {
		case len(shape) > 1:
			scale = float32(math.Sqrt(6 / float64(tensor.Len(shape[1:]))))
		case strings.HasSuffix(name, "running_var"):
			scale, shift = 0.5, 1
		case strings.HasSuffix(name, "weight"):
			shift = 0.75
		}
		for i := range t.Data {
			t.Data[i] = shift + t.Data[i]*scale
		}
		s.Tensors[name] = t
	}
	return s
}

func run(t *testing.T, g *nn.Graph, w nn.Weights, input []float32) []float32 {
	t.Helper()
	plan, err := nn.Compile(g, w, nn.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	output := make([]float32, tensor.Len(g.OutputShape()))
	if err := plan.Run(t.Context(), input, output); err != nil {
		t.Fatal(err)
	}
	return output
}

// difference returns the largest difference between two networks' answers, divided by the largest
// answer.
func difference(t *testing.T, want, got []float32) float64 {
	t.Helper()
	if len(want) != len(got) || len(want) == 0 {
		t.Fatalf("%d values, want %d", len(got), len(want))
	}
	size, largest := 0.0, 0.0
	for i, v := range want {
		size = max(size, math.Abs(float64(v)))
		largest = max(largest, math.Abs(float64(v)-float64(got[i])))
	}
	return largest / size
}

// compare compares a network's features and logits with torchvision's.
func (n visionNetwork) compare(t *testing.T, v visionAnswers, s *StateDict) {
	t.Helper()
	b, err := s.Backbone()
	if err != nil {
		t.Fatal(err)
	}
	if b.Architecture != n.Name || !b.WithTop {
		t.Errorf("%s is taken for %s, with top %v", n.Name, b.Architecture, b.WithTop)
	}
	a, err := backbone.Lookup(b.Architecture)
	if err != nil {
		t.Fatal(err)
	}
	picture := noise("picture", []int{v.Height, v.Width, 3}).Data
	features := difference(t, n.Features, run(t, a.Features(v.Height, v.Width), b.Tensors, picture))
	logits := difference(t, n.Logits, run(t, a.WithTop(v.Height, v.Width), b.Tensors, picture))
	t.Logf("%s: features differ by %.2g, logits by %.2g", n.Name, features, logits)
	if !(features <= 2e-5 && logits <= 2e-5) { // float32 sums in another order
		t.Errorf("%s: features differ by %g, logits by %g", n.Name, features, logits)
	}
}

// TestVision compares garb's networks with torchvision's recorded answers, with the same weights.
func TestVision(t *testing.T) {
	v := readVision(t, filepath.Join("testdata", "vision.json"))
	for _, n := range v.Networks {
		n.compare(t, v, n.stateDict())
	}
}

// TestTorchvision does the same with torchvision on this machine and the files that torch.save
// writes.
func TestTorchvision(t *testing.T) {
	python := os.Getenv("GARB_TORCH_PYTHON")
	if python == "" {
		t.Skip("set GARB_TORCH_PYTHON to run this test (see .ci/run)")
	}
	folder := t.TempDir()
	command := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "vision.py"), folder, "--files")
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	v := readVision(t, filepath.Join(folder, "vision.json"))
	for _, n := range v.Networks {
		data, err := os.ReadFile(filepath.Join(folder, n.Name+".pth"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		n.compare(t, v, s)
	}
}

// TestOtherNetworks checks that the error about what is nearly one of the networks names a tensor.
func TestOtherNetworks(t *testing.T) {
	resNet18 := resNet18(t)
	for name, test := range map[string]struct {
		change func(s *StateDict)
		want   string
	}{
		"a tensor is missing": {func(s *StateDict) { delete(s.Tensors, "layer2.0.downsample.1.running_var") },
			`"layer2.0.downsample.1.running_var"`},
		"ResNet34": {func(s *StateDict) { s.Tensors["layer1.2.conv1.weight"] = tensor.New(64, 64, 3, 3) },
			`"layer1.2.conv1.weight"`},
		"wider": {func(s *StateDict) { s.Tensors["layer1.0.conv1.weight"] = tensor.New(128, 64, 3, 3) },
			`"layer1.0.conv1.weight" has the shape [128 64 3 3]`},
		"grouped": {func(s *StateDict) { s.Tensors["layer1.0.conv1.weight"] = tensor.New(64, 1, 3, 3) },
			`"layer1.0.conv1.weight" has the shape [64 1 3 3]`},
		"other kernels": {func(s *StateDict) { s.Tensors["conv1.weight"] = tensor.New(64, 3, 3, 3) },
			`"conv1.weight" has the shape`},
		"other integers": {func(s *StateDict) { s.Integers = append(s.Integers, "index") }, `"index"`},
		"a bias":         {func(s *StateDict) { s.Tensors["conv1.bias"] = tensor.New(64) }, `"conv1.bias"`},
		"nothing known": {func(s *StateDict) { s.Tensors = tensor.Map{"weight": tensor.New(1)} },
			"none of its names"},
	} {
		s := &StateDict{Tensors: maps.Clone(resNet18.Tensors), Integers: slices.Clone(resNet18.Integers)}
		test.change(s)
		_, err := s.Backbone()
		var none *NotABackboneError
		if !errors.As(err, &none) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

// resNet18 returns the state dict that vision.py gives ResNet18.
func resNet18(t *testing.T) *StateDict {
	t.Helper()
	v := readVision(t, filepath.Join("testdata", "vision.json"))
	i := slices.IndexFunc(v.Networks, func(n visionNetwork) bool { return n.Name == "resnet18" })
	return v.Networks[i].stateDict()
}

// TestOtherTops checks that a top for other classes than ImageNet's is left out.
func TestOtherTops(t *testing.T) {
	resNet18 := resNet18(t)
	counters := "num_batches_tracked of 20 batch-norms"
	for name, test := range map[string]struct {
		top     tensor.Map
		leftOut []string
		withTop bool
	}{
		"ImageNet's": {tensor.Map{"fc.weight": tensor.New(1000, 512), "fc.bias": tensor.New(1000)},
			[]string{counters}, true},
		"ten classes": {tensor.Map{"fc.weight": tensor.New(10, 512), "fc.bias": tensor.New(10)},
			[]string{"fc.bias", "fc.weight", counters}, false},
		"without bias": {tensor.Map{"fc.weight": tensor.New(1000, 512)}, []string{"fc.weight", counters}, false},
		"none":         {tensor.Map{}, []string{counters}, false},
		"several layers": {tensor.Map{"fc.0.weight": tensor.New(9, 512), "fc.2.weight": tensor.New(1000, 9)},
			[]string{"fc.0.weight", "fc.2.weight", counters}, false},
		"one more beside": {tensor.Map{"fc.weight": tensor.New(1000, 512), "fc.bias": tensor.New(1000),
			"fc.2.weight": tensor.New(1)}, []string{"fc.2.weight", counters}, true},
	} {
		s := &StateDict{Tensors: maps.Clone(resNet18.Tensors), Integers: resNet18.Integers}
		delete(s.Tensors, "fc.weight")
		delete(s.Tensors, "fc.bias")
		maps.Copy(s.Tensors, test.top)
		b, err := s.Backbone()
		if err != nil || b.WithTop != test.withTop || !slices.Equal(b.LeftOut, test.leftOut) {
			t.Errorf("a top with %s: %+v, %v", name, b, err)
			continue
		}
		if want := len(s.Tensors) - len(test.leftOut) + 1; len(b.Tensors) != want {
			t.Errorf("a top with %s: %d tensors, want %d", name, len(b.Tensors), want)
		}
	}
}
