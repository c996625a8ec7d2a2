package train

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"garb/backbone"
	"garb/dataset"
	"garb/model"
	"garb/nn"
	"garb/picture"
	"garb/tensor"
)

// useOwn lets a run begin with a network that is none of garb's, which nobody but converted
// files have: with layers that garb's backbones lack, and one that is shared.
func useOwn(t testing.TB, c *Config) {
	t.Helper()
	c.Backbone, c.Weights = backbone.OwnName, ownFile(t, 1)
	base, err := model.FindBackbone(c.Weights, c.FeaturesAt)
	if err != nil {
		t.Fatal(err)
	}
	c.Preprocessing = base.Spec
}

func ownFile(t testing.TB, seed uint64) string {
	t.Helper()
	g, err := nn.NewGraph([]nn.Layer{
		{Op: nn.OpInput, Shape: []int{24, 20, 3}},
		{Op: nn.OpScale, Name: "rescaled", Inputs: []int{0}},
		{Op: nn.OpConv, Name: "first", Inputs: []int{1}, Units: 6, Height: 3, Width: 3, Stride: 2, Same: true},
		{Op: nn.OpSwish, Inputs: []int{2}},
		{Op: nn.OpConv, Name: "second", Inputs: []int{3}, Units: 6, Height: 1, Width: 1, Stride: 1, Bias: true},
		{Op: nn.OpConv, Name: "second", Inputs: []int{4}, Units: 6, Height: 1, Width: 1, Stride: 1, Bias: true},
		{Op: nn.OpGlobalMaxPool, Inputs: []int{5}},
		{Op: nn.OpReshape, Inputs: []int{6}, Shape: []int{1, 1, 6}},
		{Op: nn.OpSigmoid, Inputs: []int{7}},
		{Op: nn.OpMultiply, Inputs: []int{3, 8}},
		{Op: nn.OpConcat, Inputs: []int{9, 3}},
		{Op: nn.OpBatchNorm, Name: "norm", Inputs: []int{10}, Epsilon: 1e-3},
		{Op: nn.OpTanh, Inputs: []int{11}},
		{Op: nn.OpGlobalAveragePool, Inputs: []int{12}},
		{Op: nn.OpDense, Name: "inner1", Inputs: []int{13}, Units: 8}, // a name that heads have
		{Op: nn.OpLeakyReLU, Inputs: []int{14}, Slope: 0.2},
		{Op: nn.OpDense, Name: "classifier", Inputs: []int{15}, Units: 7},
		{Op: nn.OpSoftmax, Inputs: []int{16}},
	})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(seed, 4))
	tensors := tensor.Map{}
	for _, p := range g.Params() {
		v := tensor.New(p.Shape...)
		for i := range v.Data {
			if v.Data[i] = float32(random.NormFloat64()) / 2; strings.HasSuffix(p.Name, "variance") {
				v.Data[i] = 0.5 + random.Float32()
			}
		}
		tensors[p.Name] = v
	}
	spec := picture.Spec{
		Width: 20, Height: 24, Filter: picture.Bilinear, Fit: picture.Stretch,
		Mean: [3]float32{127, 127, 127}, Std: [3]float32{128, 128, 128},
	}
	m, err := model.FromNetwork(&nn.Network{Layers: g.Layers(), Tensors: tensors}, nil, spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.SetGolden(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "own.safetensors")
	if err := m.Save(path, tensor.Float32); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestOwnBackbone trains on a network that is none of garb's: the model answers as the
// training said, and a further run can begin with it.
func TestOwnBackbone(t *testing.T) {
	data := drawn(t)
	for name, c := range map[string]struct {
		change   func(*Config)
		features int
		trained  []string // backbone's layers that are
	}{
		"frozen":     {func(*Config) {}, 8, nil},
		"at a layer": {func(c *Config) { c.FeaturesAt = "norm" }, 12, nil},
		"whole": {func(c *Config) { c.FineTune = FineTune{All: true} }, 8,
			[]string{"first", "inner1_", "norm", "second"}},
		"from a layer": {func(c *Config) { c.FineTune = FineTune{From: "norm"} }, 8, []string{"inner1_", "norm"}},
		"the last": {func(c *Config) { c.FineTune, c.Inner = FineTune{Last: 1}, []int{3} }, 8,
			[]string{"inner1_"}},
		"binary": {func(c *Config) { c.Binary = true }, 8, nil},
		"at, fine-tune": {func(c *Config) { c.FeaturesAt, c.FineTune = "first", FineTune{All: true} }, 6,
			[]string{"first"}},
	} {
		t.Run(name, func(t *testing.T) {
			config := config(t, data)
			useOwn(t, &config)
			config.Epochs = 2
			c.change(&config)
			result, err := Run(t.Context(), config, Progress{})
			if err != nil {
				t.Fatal(err)
			}
			classifier, err := model.Open(result.Checkpoint, model.Options{})
			if err != nil {
				t.Fatal(err)
			}
			answersAsTrained(t, classifier, config, result)
			if classifier.FeatureCount() != c.features {
				t.Errorf("%d features, want %d", classifier.FeatureCount(), c.features)
			}
			changed := changedLayers(t, classifier, config.Weights)
			for _, layer := range []string{"rescaled", "first", "second", "norm", "inner1_"} {
				if want := slices.Contains(c.trained, layer); changed[layer] != want {
					t.Errorf("layer %s is changed: %v", layer, changed[layer])
				}
			}
			again, err := model.FindBackbone(result.Checkpoint, "")
			if err != nil {
				t.Fatal(err)
			}
			if again.FeatureCount != c.features || again.Name != backbone.OwnName {
				t.Errorf("as a backbone it is %s with %d features", again.Name, again.FeatureCount)
			}
		})
	}
}

// changedLayers returns the layers of a model whose weights are not those of a file.
func changedLayers(t *testing.T, classifier *model.Classifier, file string) map[string]bool {
	t.Helper()
	n, err := classifier.Network()
	if err != nil {
		t.Fatal(err)
	}
	base, err := tensor.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := map[string]bool{}
	for name, now := range n.Tensors {
		before, err := base.Tensor(name)
		if layer, _, _ := strings.Cut(name, "/"); err == nil && !slices.Equal(before.Data, now.Data) {
			changed[layer] = true
		}
	}
	return changed
}

// TestOwnFeaturesAreKeptApart: two layers of one file have as many features, and others.
func TestOwnFeaturesAreKeptApart(t *testing.T) {
	c := config(t, drawn(t))
	useOwn(t, &c)
	set, err := dataset.Open(filepath.Join(c.Data, "validation"))
	if err != nil {
		t.Fatal(err)
	}
	var found [2][]float32
	for i, layer := range []string{"first", "second"} {
		c.FeaturesAt = layer
		features, err := Features(t.Context(), c, set, &dataset.Tally{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		found[i] = slices.Concat(features.Vectors...)
	}
	if len(found[0]) != len(found[1]) || slices.Equal(found[0], found[1]) {
		t.Error("the features of one layer are those of another")
	}
}

func TestOwnBackboneSaysWhatIsWrong(t *testing.T) {
	data := drawn(t)
	for says, change := range map[string]func(*Config){
		`no layer "nowhere"`:    func(c *Config) { c.FeaturesAt = "nowhere" },
		`fine-tune "rescued"`:   func(c *Config) { c.FineTune = FineTune{From: "rescued"} },
		"there is no such file": func(c *Config) { c.Weights = "nothing.safetensors" },
	} {
		c := config(t, data)
		useOwn(t, &c)
		change(&c)
		if _, err := Run(t.Context(), c, Progress{}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	// Another file in the place of the one that the run began with.
	c := config(t, data)
	useOwn(t, &c)
	c.Epochs = 1
	if _, err := Run(t.Context(), c, Progress{}); err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile(ownFile(t, 2))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.Weights, other, 0o644); err != nil {
		t.Fatal(err)
	}
	c.Epochs = 2
	if _, err := Resume(t.Context(), c, Progress{}); err == nil ||
		!strings.Contains(err.Error(), "own.safetensors have changed since") {
		t.Errorf("%v", err)
	}
}
