package model_test

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"garb/backbone"
	"garb/model"
	"garb/picture"
	"garb/tensor"
)

const example = "../examples/t-shirt.jpg"

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestClothing(t *testing.T) {
	c, err := model.Default(model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	predictions, err := c.Classify(context.Background(), read(t, example))
	if err != nil {
		t.Fatal(err)
	}
	if len(predictions) != 10 || predictions[0].Class != "t-shirt" || predictions[0].Probability < 0.5 {
		t.Errorf("the drawn T-shirt is %+v", predictions)
	}
	sum := 0.0
	for i, p := range predictions {
		sum += p.Probability
		if i > 0 && p.Probability > predictions[i-1].Probability {
			t.Error("predictions are not in order")
		}
		if c.WNID(p.Index) != "" {
			t.Errorf("%s has an ImageNet identifier", p.Class)
		}
	}
	if math.Abs(sum-1) > 1e-9 {
		t.Errorf("probabilities sum to %v", sum)
	}
	if !strings.HasPrefix(c.Digest(), "sha256:") || c.Name() != model.Clothing || len(c.Classes()) != 10 {
		t.Errorf("%s %s %v", c.Name(), c.Digest(), c.Classes())
	}
	if m := c.Description(); len(m.Golden) == 0 || m.Training == nil || m.Temperature == 0 {
		t.Errorf("the built-in model lacks a part of its description: %+v", m)
	}
}

func TestEmbed(t *testing.T) {
	c, err := model.Default(model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	v, err := c.Embed(context.Background(), read(t, example))
	if err != nil || len(v) != 1280 {
		t.Fatalf("%d values, %v", len(v), err)
	}
	if _, err := c.Embed(context.Background(), []byte("text")); !errors.Is(err, picture.ErrNotPicture) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.Classify(ctx, read(t, example)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestClassifierInGoroutines(t *testing.T) {
	c, err := model.Default(model.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	data := read(t, example)
	want, err := c.Classify(context.Background(), data)
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 3 {
				if got, err := c.Classify(context.Background(), data); err != nil || got[0] != want[0] {
					t.Errorf("%+v, %v", got, err)
				}
			}
		})
	}
	wait.Wait()
}

// saveSmall saves a model whose file has its backbone: small-cnn for pictures of 12 × 12 with random
// weights.
func saveSmall(t *testing.T) (path string, m model.Model) {
	t.Helper()
	a, err := backbone.Lookup("small-cnn")
	if err != nil {
		t.Fatal(err)
	}
	spec := a.Spec
	spec.Width, spec.Height = 12, 12
	random := rand.New(rand.NewPCG(1, 1))
	tensors := tensor.Map{}
	for _, p := range append(a.Features(12, 12).Params(), model.Head{}.Graph(a.FeatureCount, 3, 0).Params()...) {
		v := tensor.New(p.Shape...)
		for i := range v.Data {
			v.Data[i] = float32(random.NormFloat64()) * 0.1
		}
		tensors[p.Name] = v
	}
	m = model.Model{Description: model.Description{
		Format: model.FormatVersion, Architecture: a.Name, Classes: []string{"hat", "shoe", "sock"},
		Preprocessing: spec,
	}, Tensors: tensors}
	if err := m.SetGolden(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "small.safetensors")
	if err := m.Save(path, tensor.Float32); err != nil {
		t.Fatal(err)
	}
	return path, m
}

func TestModelWithBackbone(t *testing.T) {
	path, _ := saveSmall(t)
	c, err := model.Open(path, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	predictions, err := c.Classify(context.Background(), read(t, example))
	if err != nil || len(predictions) != 3 || c.Name() != "small" {
		t.Errorf("%s: %+v, %v", c.Name(), predictions, err)
	}
}

//
//nolint:funlen // it is a table
func TestBadModels(t *testing.T) {
	_, good := saveSmall(t)
	for name, spoil := range map[string]func(m *model.Model){
		"golden logits": func(m *model.Model) { m.Golden[0].Logits[1] += 0.01 },
		"preprocessing": func(m *model.Model) { m.Preprocessing.Std[0] = 100 },
		"class order": func(m *model.Model) {
			logits := m.Golden[0].Logits
			logits[0], logits[2] = logits[2], logits[0]
		},
		"NaN":            func(m *model.Model) { m.Tensors["conv1/kernel"].Data[3] = float32(math.NaN()) },
		"missing tensor": func(m *model.Model) { delete(m.Tensors, "dense1/bias") },
		"another shape":  func(m *model.Model) { m.Tensors["classifier/bias"] = tensor.New(4) },
		"other backbone": func(m *model.Model) { m.Architecture = "xception" },
		"unknown digest": func(m *model.Model) {
			m.Architecture, m.BackboneDigest = "efficientnet-lite0", "sha256:0"
		},
		"input too small": func(m *model.Model) { m.Preprocessing.Width = 1 },
	} {
		m := cloneModel(good)
		spoil(&m)
		bad := filepath.Join(t.TempDir(), "bad.safetensors")
		if err := m.Save(bad, tensor.Float32); err != nil {
			t.Fatal(name, err)
		}
		_, err := model.Open(bad, model.Options{})
		var modelError *model.Error
		if !errors.As(err, &modelError) || modelError.Model != bad {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// cloneModel returns a copy of a model with its own golden logits and tensors.
func cloneModel(m model.Model) model.Model {
	m.Golden = slices.Clone(m.Golden)
	for i, g := range m.Golden {
		m.Golden[i].Logits = slices.Clone(g.Logits)
	}
	m.Tensors = maps.Clone(m.Tensors)
	for name, t := range m.Tensors {
		m.Tensors[name] = &tensor.Tensor{Shape: t.Shape, Data: slices.Clone(t.Data)}
	}
	return m
}

func TestSaveRefusesBadDescriptions(t *testing.T) {
	_, good := saveSmall(t)
	for name, spoil := range map[string]func(m *model.Model){
		"no classes":     func(m *model.Model) { m.Classes = nil },
		"class twice":    func(m *model.Model) { m.Classes = []string{"hat", "hat", "sock"} },
		"future format":  func(m *model.Model) { m.Format++ },
		"filter":         func(m *model.Model) { m.Preprocessing.Filter = "x" },
		"unknown name":   func(m *model.Model) { m.Architecture = "resnet" },
		"golden classes": func(m *model.Model) { m.Golden = []model.Golden{{Logits: []float32{1}}} },
	} {
		m := good
		spoil(&m)
		if err := m.Save(filepath.Join(t.TempDir(), "bad.safetensors"), tensor.Float32); err == nil {
			t.Errorf("%s: saved", name)
		}
	}
}

// TestFlippedBits checks that a model does not open if a bit of a weight is flipped.
func TestFlippedBits(t *testing.T) {
	path, m := saveSmall(t)
	data := read(t, path)
	random := rand.New(rand.NewPCG(2, 2))
	bad := filepath.Join(t.TempDir(), "bad.safetensors")
	for range 200 {
		flipped := slices.Clone(data)
		at := len(data) - 1 - random.IntN(tensorBytes(m.Tensors))
		flipped[at] ^= 1 << random.IntN(8)
		if err := os.WriteFile(bad, flipped, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := model.Open(bad, model.Options{}); err == nil {
			t.Errorf("a model opens with a flipped bit in byte %d", at)
		}
	}
}

func tensorBytes(m tensor.Map) int {
	n := 0
	for _, v := range m {
		n += 4 * len(v.Data)
	}
	return n
}

func TestModelCutAtEveryByte(t *testing.T) {
	path, _ := saveSmall(t)
	data := read(t, path)
	cut := filepath.Join(t.TempDir(), "cut.safetensors")
	// Every cut of the header, and then in steps.
	for n := 0; n < len(data); n++ {
		if n > 4096 {
			n += 211
		}
		if n >= len(data) {
			break
		}
		if err := os.WriteFile(cut, data[:n], 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := model.Open(cut, model.Options{})
		var modelError *model.Error
		if !errors.As(err, &modelError) {
			t.Fatalf("cut to %d of %d bytes: %v", n, len(data), err)
		}
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	if _, err := model.Open("no/such/model", model.Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if _, err := model.Open(t.TempDir(), model.Options{}); !errors.Is(err, model.ErrNotModel) {
		t.Errorf("%v", err)
	}
	alone := filepath.Join(t.TempDir(), "weights.safetensors")
	if err := tensor.WriteFile(alone, nil, tensor.Map{"a": tensor.New(1)}, tensor.Float32); err != nil {
		t.Fatal(err)
	}
	if _, err := model.Open(alone, model.Options{}); !errors.Is(err, model.ErrNoClasses) ||
		!errors.Is(err, model.ErrNotModel) {
		t.Errorf("%v", err)
	}
	if _, err := model.Open(example, model.Options{}); err == nil {
		t.Error("a picture opens as a model")
	}
}

func TestBestCheckpointIsTheLatest(t *testing.T) {
	run := t.TempDir()
	folder := filepath.Join(run, "checkpoints")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a_b_02_0.900.safetensors", "a_b_10_0.910.safetensors", "a_b_09_0.905.safetensors",
		"notes.safetensors"} {
		if err := os.WriteFile(filepath.Join(folder, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := model.BestCheckpoint(run); err != nil || filepath.Base(got) != "a_b_10_0.910.safetensors" {
		t.Errorf("%s, %v", got, err)
	}
}

func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		if _, err := model.Default(model.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkClassify(b *testing.B) {
	c, err := model.Default(model.Options{})
	if err != nil {
		b.Fatal(err)
	}
	data := read(b, example)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Classify(context.Background(), data); err != nil {
			b.Fatal(err)
		}
	}
}
