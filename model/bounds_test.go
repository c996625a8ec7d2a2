package model

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"garb/accept"
	"garb/backbone"
	"garb/conformal"
	"garb/nn"
	"garb/picture"
	"garb/tensor"
)

// TestGoldenPictures checks that the golden pictures, whose numbers are in model files, are those
// that were drawn for the first models.
func TestGoldenPictures(t *testing.T) {
	for n, want := range []string{"7cc7101507219c80", "3af399985d53ee9c", "9295c50336c24a5b", "ec4c68250a3a3122"} {
		number := []int{0, 1, 2, 15}[n]
		p := DrawGoldenPicture(number)
		if have := fmt.Sprintf("%x", sha256.Sum256(p.Pix))[:16]; have != want || p.Width != 160 || p.Height != 200 {
			t.Errorf("golden picture %d, of %d × %d, has the digest %s, not %s", number, p.Width, p.Height, have, want)
		}
	}
}

// TestRank compares with a stable sort, for logits of every kind.
func TestRank(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	special := []float32{0, float32(math.Copysign(0, -1)), 1, -1, float32(math.Inf(1)), float32(math.Inf(-1)),
		math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32, -math.SmallestNonzeroFloat32,
		float32(math.NaN())}
	for range 500 {
		logits := make([]float32, r.IntN(20))
		for i := range logits {
			if logits[i] = float32(r.NormFloat64()); r.IntN(2) == 0 {
				logits[i] = special[r.IntN(len(special))]
			}
		}
		want := make([]int, len(logits))
		for i := range want {
			want[i] = i
		}
		// cmp.Compare has NaN before every number, and ±0 equal.
		slices.SortStableFunc(want, func(a, b int) int { return cmp.Compare(logits[b], logits[a]) })
		if have := Rank(logits); !slices.Equal(have, want) {
			t.Fatalf("%v: %v, want %v", logits, have, want)
		}
	}
}

func TestHeadBounds(t *testing.T) {
	for _, test := range []struct {
		inner []int
		ok    bool
	}{
		{nil, true}, {[]int{1}, true}, {[]int{1 << 16}, true}, {make([]int, 8), false}, {[]int{0}, false},
		{[]int{-1}, false}, {[]int{1<<16 + 1}, false}, {[]int{1, 2, 3, 4, 5, 6, 7, 8}, true},
		{[]int{1, 2, 3, 4, 5, 6, 7, 8, 9}, false},
	} {
		if err := (Head{test.inner}).Validate(); (err == nil) != test.ok {
			t.Errorf("%v: %v", test.inner, err)
		}
	}
}

// validDescription describes a model that validate accepts.
func validDescription() Description {
	spec := picture.Spec{Width: 12, Height: 12, Filter: picture.Bilinear, Fit: picture.Stretch,
		Std: [3]float32{1, 1, 1}}
	return Description{Format: FormatVersion, Architecture: "small-cnn", Classes: []string{"hat", "shoe"},
		Preprocessing: spec, Golden: []Golden{{0, []float32{1, 2}}}}
}

// TestDescriptionBounds checks pairs of descriptions: the last that is valid, and the first that is
// not.
func TestDescriptionBounds(t *testing.T) { //nolint:funlen // a table
	layers := func(n int) []nn.Layer { return make([]nn.Layer, n) }
	own := func(m *Description) { m.Architecture, m.Network, m.FeaturesAt = "", layers(4), 2 }
	acceptance := func(m *Description) {
		m.Acceptance = &Acceptance{Method: accept.Energy, Calibration: accept.Calibration{Slope: 1}, Threshold: 0.5,
			Refusal: "x", Preprocessing: m.Preprocessing}
	}
	accepts := func(change func(a *Acceptance)) func(m *Description) {
		return func(m *Description) { acceptance(m); change(m.Acceptance) }
	}
	for _, test := range []struct {
		name      string
		good, bad func(m *Description)
	}{
		{"format", func(m *Description) {}, func(m *Description) { m.Format++ }},
		{"architecture", func(m *Description) {}, func(m *Description) { m.Architecture = "none" }},
		{"a network of its own", own, func(m *Description) { own(m); m.Architecture = "small-cnn" }},
		{"its backbone", own, func(m *Description) { own(m); m.BackboneDigest = "sha256:0" }},
		{"its head", own, func(m *Description) { own(m); m.Head.Inner = []int{2} }},
		{"features at 0", func(m *Description) { own(m); m.FeaturesAt = 0 },
			func(m *Description) { m.FeaturesAt = -1 }},
		{"features at the end", own, func(m *Description) { own(m); m.FeaturesAt = 3 }},
		{"features of two layers", func(m *Description) { own(m); m.Network, m.FeaturesAt = layers(2), 0 },
			func(m *Description) { own(m); m.Network, m.FeaturesAt = layers(2), 1 }},
		{"classes", func(m *Description) {}, func(m *Description) { m.Classes, m.Golden[0].Logits = nil, nil }},
		{"class twice", func(m *Description) {}, func(m *Description) { m.Classes[1] = m.Classes[0] }},
		{"class without a name", func(m *Description) {}, func(m *Description) { m.Classes[1] = "" }},
		{"golden logits", func(m *Description) {}, func(m *Description) { m.Golden = nil }},
		{"a golden logit", func(m *Description) {}, func(m *Description) { m.Golden[0].Logits = []float32{1} }},
		{"golden picture", func(m *Description) { m.Golden[0].Picture = 15 },
			func(m *Description) { m.Golden[0].Picture = 16 }},
		{"temperature", func(m *Description) { m.Temperature = 0.1 }, func(m *Description) { m.Temperature = -0.1 }},
		{"infinite temperature", func(m *Description) {}, func(m *Description) { m.Temperature = math.Inf(1) }},
		{"NaN temperature", func(m *Description) {}, func(m *Description) { m.Temperature = math.NaN() }},
		{"head", func(m *Description) { m.Head.Inner = []int{1} }, func(m *Description) { m.Head.Inner = []int{0} }},
		{"preprocessing", func(m *Description) {}, func(m *Description) { m.Preprocessing.Width = 0 }},
		{"several labels", func(m *Description) { m.MultiLabel = true },
			func(m *Description) { acceptance(m); m.MultiLabel = true }},
		{"labels in sets", func(m *Description) {}, func(m *Description) {
			m.MultiLabel, m.Coverage = true, &Coverage{Rule: conformal.Rule{Coverage: 0.9, Threshold: 0.5}}
		}},
		{"coverage", func(m *Description) {},
			func(m *Description) { m.Coverage = &Coverage{FittedOn: make([]byte, 4)} }},
		{"acceptance", acceptance, accepts(func(a *Acceptance) { a.Method = "none" })},
		{"threshold 0", accepts(func(a *Acceptance) { a.Threshold = 0 }),
			accepts(func(a *Acceptance) { a.Threshold = -1e-9 })},
		{"threshold 1", accepts(func(a *Acceptance) { a.Threshold = 1 }),
			accepts(func(a *Acceptance) { a.Threshold = 1 + 1e-9 })},
		{"NaN threshold", acceptance, accepts(func(a *Acceptance) { a.Threshold = math.NaN() })},
		{"long refusal", accepts(func(a *Acceptance) { a.Refusal = strings.Repeat("x", 100) }),
			accepts(func(a *Acceptance) { a.Refusal = strings.Repeat("x", 101) })},
		{"no refusal", acceptance, accepts(func(a *Acceptance) { a.Refusal = "" })},
		{"space before a refusal", accepts(func(a *Acceptance) { a.Refusal = "a b" }),
			accepts(func(a *Acceptance) { a.Refusal = " a" })},
		{"two lines", acceptance, accepts(func(a *Acceptance) { a.Refusal = "a\nb" })},
		{"no text", acceptance, accepts(func(a *Acceptance) { a.Refusal = "a\xff" })},
		{"another size", acceptance, accepts(func(a *Acceptance) { a.Preprocessing.Width++ })},
		{"validation", acceptance, accepts(func(a *Acceptance) { a.Validation.Count = -1 })},
		{"others", acceptance,
			accepts(func(a *Acceptance) { a.Others = []OtherShare{{Share: accept.Share{Count: -1}}} })},
		{"calibration", acceptance, accepts(func(a *Acceptance) { a.Slope = math.NaN() })},
	} {
		good, bad := validDescription(), validDescription()
		test.good(&good)
		test.bad(&bad)
		if err := good.validate(); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if bad.validate() == nil {
			t.Errorf("%s: no error", test.name)
		}
	}
}

// TestGoldenTolerance checks that a logit may differ from the golden one by a thousandth of one
// more than its size.
func TestGoldenTolerance(t *testing.T) {
	g := Golden{3, []float32{0, 9, -9}}
	for _, test := range []struct {
		logits []float32
		ok     bool
	}{
		{[]float32{0, 9, -9}, true},
		{[]float32{0.0009, 9.009, -8.991}, true}, {[]float32{-0.0009, 8.991, -9.009}, true},
		{[]float32{0.0011, 9, -9}, false}, {[]float32{0, 9.011, -9}, false}, {[]float32{0, 9, -9.011}, false},
		{[]float32{0, float32(math.NaN()), -9}, false}, {[]float32{float32(math.Inf(1)), 9, -9}, false},
	} {
		if err := g.compare(test.logits); (err == nil) != test.ok {
			t.Errorf("%v: %v", test.logits, err)
		}
	}
}

// TestMissingTemperature checks that a model without a temperature has that of 1.
func TestMissingTemperature(t *testing.T) {
	for stored, want := range map[float64]float64{0: 1, 0.5: 0.5, 3: 3} {
		if have := (&Classifier{description: &Description{Temperature: stored}}).temperature(); have != want {
			t.Errorf("a stored temperature of %v counts as %v, want %v", stored, have, want)
		}
	}
}

// TestUnnamedMaps checks that the outputs of an unnamed network that ends in a feature map are the
// averages over its positions.
func TestUnnamedMaps(t *testing.T) {
	n := &nn.Network{Layers: []nn.Layer{
		{Op: nn.OpInput, Shape: []int{4, 4, 3}},
		{Op: nn.OpConv, Name: "c", Inputs: []int{0}, Units: 2, Height: 1, Width: 1, Stride: 1},
	}, Tensors: tensor.Map{"c/kernel": tensor.FromSlice([]float32{1, 2, 3, 4, 5, 6}, 1, 1, 3, 2)}}
	spec := picture.Spec{Width: 4, Height: 4, Filter: picture.Nearest, Fit: picture.Stretch, Std: [3]float32{1, 1, 1}}
	m, err := FromNetwork(n, nil, spec)
	if err != nil {
		t.Fatal(err)
	}
	g, err := nn.NewGraph(m.Network)
	if err != nil {
		t.Fatal(err)
	}
	if shape := g.OutputShape(); !slices.Equal(shape, []int{2}) {
		t.Errorf("the outputs are %v", shape)
	}
	p, err := nn.Compile(g, m.Tensors, nn.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	input, outputs := make([]float32, 48), make([]float32, 2)
	for i := range input {
		input[i] = float32(i / 3) // a pixel's number in all channels, 7.5 on average
	}
	if err := p.Run(t.Context(), input, outputs); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(outputs, []float32{7.5 * 9, 7.5 * 12}) {
		t.Errorf("outputs %v", outputs)
	}
}

// TestFindLayer checks that the error about an unknown layer names the last five layers.
func TestFindLayer(t *testing.T) {
	layers := []nn.Layer{{Op: nn.OpInput}}
	for n, want := range map[int]string{1: "the last of 1 are a", 5: "the last of 5 are a, b, c, d, e",
		6: "the last of 6 are b, c, d, e, f"} {
		all := slices.Clone(layers)
		for i := range n {
			all = append(all, nn.Layer{Name: string(rune('a' + i))}, nn.Layer{Op: nn.OpReLU})
		}
		if _, err := findLayer(all, "none"); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%v, not %s", err, want)
		}
		if _, err := findLayer(all, ""); err == nil {
			t.Error("a layer without a name is found")
		}
		if at, err := findLayer(all, "a"); at != 1 || err != nil {
			t.Errorf("layer a is at %d, %v", at, err)
		}
	}
}

// TestFindClassifierInput checks networks with and without a classifier, named and unnamed.
func TestFindClassifierInput(t *testing.T) {
	conv := func(in, side int) nn.Layer {
		return nn.Layer{Op: nn.OpConv, Name: "c", Inputs: []int{in}, Units: 3, Height: side, Width: side, Stride: 1}
	}
	input := nn.Layer{Op: nn.OpInput, Shape: []int{4, 4, 3}}
	relu := func(in int) nn.Layer { return nn.Layer{Op: nn.OpReLU, Inputs: []int{in}} }
	pool := func(in int) nn.Layer { return nn.Layer{Op: nn.OpGlobalAveragePool, Inputs: []int{in}} }
	dense := func(in int) nn.Layer { return nn.Layer{Op: nn.OpDense, Name: "d", Inputs: []int{in}, Units: 3} }
	softmax := func(in int) nn.Layer { return nn.Layer{Op: nn.OpSoftmax, Inputs: []int{in}} }
	for name, test := range map[string]struct {
		layers         []nn.Layer
		named, unnamed int
	}{
		"dense":                   {[]nn.Layer{input, relu(0), pool(1), dense(2)}, 2, 2},
		"dense and softmax":       {[]nn.Layer{input, relu(0), pool(1), dense(2), softmax(3)}, 2, 2},
		"dense and ReLU":          {[]nn.Layer{input, relu(0), pool(1), dense(2), relu(3)}, 2, 2},
		"a convolution, and mean": {[]nn.Layer{input, conv(0, 1), pool(1)}, 0, 2},
		"a convolution of all":    {[]nn.Layer{input, relu(0), conv(1, 4), {Op: nn.OpFlatten, Inputs: []int{2}}}, 1, 3},
		"features":                {[]nn.Layer{input, relu(0), pool(1)}, 2, 2},
	} {
		g, err := nn.NewGraph(test.layers)
		if err != nil {
			t.Fatal(name, err)
		}
		for _, unnamed := range []bool{false, true} {
			want := test.named
			if unnamed {
				want = test.unnamed
			}
			if have := (&Description{Unnamed: unnamed}).findClassifierInput(g); have != want {
				t.Errorf("%s, unnamed %v: layer %d, want %d", name, unnamed, have, want)
			}
		}
		if have := (&Description{FeaturesAt: 1}).findClassifierInput(g); have != 1 {
			t.Errorf("%s: features at 1 are at %d", name, have)
		}
	}
}

// TestAcceptanceOutputsDiffer checks that networks that are not garb's cannot be averaged if one
// has an output for the acceptance.
func TestAcceptanceOutputsDiffer(t *testing.T) {
	plain := Description{Network: make([]nn.Layer, 2), Classes: []string{"a"}}
	judging := plain
	judging.Acceptance = &Acceptance{Method: accept.Head}
	for i, test := range []struct {
		a, b Description
		same bool
	}{{plain, plain, true}, {judging, plain, false}, {plain, judging, false}, {judging, judging, false}} {
		if d := describeDifference(&test.a, &test.b); (d == "") != test.same {
			t.Errorf("%d: %q", i, d)
		}
	}
}

func TestHeadNames(t *testing.T) {
	for name, want := range map[string]bool{
		"classifier": true, "inner1": true, "inner12": true, "inner01": false, "inner1x": false, "inner": false,
		"inner0": true, "outer1": false, "": false, "classifier_": false,
	} {
		if have := isHeadName(name); have != want {
			t.Errorf("%q is a name of a head's layer: %v", name, have)
		}
	}
}

// TestRebuildOn checks that a network that consists of a known backbone and dense layers becomes a
// model on that backbone, and that no other network does.
func TestRebuildOn(t *testing.T) {
	const name = "efficientnet-lite0"
	m, base := importBackbone(t, name, func(layers []nn.Layer, dense int) {})
	rebuilt, ok := m.RebuildOn(t.Context(), name, base)
	if !ok || rebuilt.Architecture != name || !slices.Equal(rebuilt.Head.Inner, []int{5}) || rebuilt.Network != nil {
		t.Fatalf("ok %v", ok)
	}
	for _, other := range []string{"none", "xception"} {
		if _, ok = m.RebuildOn(t.Context(), other, base); ok {
			t.Errorf("it was rebuilt on %s", other)
		}
	}
	kernel := base["stem/conv/kernel"]
	base["stem/conv/kernel"] = tensor.New(kernel.Shape...)
	if _, ok = m.RebuildOn(t.Context(), name, base); ok {
		t.Error("it was rebuilt on other weights")
	}
	base["stem/conv/kernel"] = kernel
	m.Golden = nil
	if _, ok = m.RebuildOn(t.Context(), name, base); ok {
		t.Error("a model without golden logits was rebuilt")
	}
	m, base = importBackbone(t, name, func(layers []nn.Layer, dense int) { layers[dense].Bias = false })
	if _, ok = m.RebuildOn(t.Context(), name, base); !ok {
		t.Error("a head without a bias was not rebuilt")
	}
	m, base = importBackbone(t, name, func(layers []nn.Layer, dense int) { layers[dense+1].Op = nn.OpTanh })
	if _, ok = m.RebuildOn(t.Context(), name, base); ok {
		t.Error("a head with a tanh was rebuilt")
	}
}

// importBackbone returns the model, as FromNetwork makes it, of a backbone with random weights and
// a head of two dense layers, and the weights of the backbone. change gets the layers, and the
// index of the first dense one.
func importBackbone(t *testing.T, name string, change func(layers []nn.Layer, dense int)) (*Model, tensor.Map) {
	t.Helper()
	a, err := backbone.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	spec := a.Spec
	spec.Width, spec.Height = 32, 32
	if a, err = a.Adapt(spec); err != nil {
		t.Fatal(err)
	}
	layers := Head{Inner: []int{5}}.NetworkGraph(a, 32, 32, 2, 0.1).Layers()
	change(layers, slices.IndexFunc(layers, func(l nn.Layer) bool { return l.Op == nn.OpDense }))
	g, err := nn.NewGraph(layers)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	n := &nn.Network{Layers: g.Layers(), Tensors: tensor.Map{}}
	for _, p := range g.Params() {
		x := tensor.New(p.Shape...)
		for i := range x.Data {
			if strings.HasSuffix(p.Name, "variance") || strings.HasSuffix(p.Name, "gamma") {
				x.Data[i] = 1
			} else {
				x.Data[i] = float32(r.NormFloat64()) / 5
			}
		}
		n.Tensors[p.Name] = x
	}
	m, err := FromNetwork(n, []string{"hat", "shoe"}, spec)
	if err != nil {
		t.Fatal(err)
	}
	if err = m.SetGolden(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	base := tensor.Map{}
	for _, p := range a.Features(32, 32).Params() {
		base[p.Name] = m.Tensors[p.Name]
	}
	return m, base
}

// TestOutputsAndClasses checks that a network must have an output for each class, and one more if
// the method of the acceptance needs it.
func TestOutputsAndClasses(t *testing.T) {
	layers := func(units int) []nn.Layer {
		return []nn.Layer{{Op: nn.OpInput, Shape: []int{12, 12, 3}}, {Op: nn.OpGlobalAveragePool, Inputs: []int{0}},
			{Op: nn.OpDense, Name: "d", Inputs: []int{1}, Units: units}}
	}
	for units := 1; units <= 4; units++ {
		for method, want := range map[accept.Method]int{"": 2, accept.Energy: 2, accept.Class: 3, accept.Head: 3} {
			m := validDescription()
			m.Architecture, m.Network = "", layers(units)
			if method != "" {
				m.Acceptance = &Acceptance{Method: method}
			}
			if _, err := m.buildNetworks(m.Preprocessing); (err == nil) != (units == want) {
				t.Errorf("%d outputs for 2 classes, acceptance %q: %v", units, method, err)
			}
		}
	}
}
