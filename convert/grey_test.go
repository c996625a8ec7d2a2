//go:build !small

package convert

import (
	"math/rand/v2"
	"path/filepath"
	"testing"

	"garb/model"
	"garb/nn"
	"garb/picture"
	"garb/tensor"
)

// newGreyNetwork returns a network for grey pictures.
func newGreyNetwork(t testing.TB) *nn.Network {
	t.Helper()
	b := nn.NewBuilder(12, 10, 1)
	x := b.GlobalAveragePool(b.ReLU(b.Conv("first", b.Input(), 5, 3, 1, nn.Same, nn.WithBias())))
	g := b.Build(b.Softmax(b.Dense("last", x, 4, nn.WithBias())))
	n, random := &nn.Network{Layers: g.Layers(), Tensors: tensor.Map{}}, rand.New(rand.NewPCG(1, 2))
	for _, p := range g.Params() {
		v := tensor.New(p.Shape...)
		for i := range v.Data {
			v.Data[i] = random.Float32() - 0.5
		}
		n.Tensors[p.Name] = v
	}
	return n
}

// openGreyModel returns a model of newGreyNetwork.
func openGreyModel(t testing.TB) *model.Classifier {
	t.Helper()
	p, err := lookupPreprocessing("mobilenet")
	if err != nil {
		t.Fatal(err)
	}
	n := newGreyNetwork(t)
	m, err := model.FromNetwork(n, []string{"a", "b", "c", "d"}, p.applyTo(n, picture.Bilinear))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.SetGolden(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return saveAndOpen(t, m)
}

// TestGrey checks that a network of one channel gets grey pictures, in every format of file and
// whether or not the file prepares its pictures itself.
func TestGrey(t *testing.T) {
	c := openGreyModel(t)
	spec := c.Spec()
	if !spec.Grey || spec.Channels() != 1 || spec.ValueCount() != 120 {
		t.Fatalf("%+v", spec)
	}
	want := computeLogits(t, c)
	for _, name := range []string{"m.onnx", "m.keras"} {
		for _, prepared := range []bool{false, true} {
			path := filepath.Join(t.TempDir(), name)
			if _, err := Write(path, c, WriteOptions{Preprocessing: prepared}); err != nil {
				t.Fatal(err)
			}
			in, err := Read(t.Context(), path, Options{})
			if err != nil {
				t.Fatalf("%s, prepared %v: %v", name, prepared, err)
			}
			again := saveAndOpen(t, in.Model)
			if s := again.Spec(); !s.Grey || prepared == (s.Std == spec.Std) {
				t.Errorf("%s, prepared %v: %+v", name, prepared, s)
			}
			checkClose(t, computeLogits(t, again), want, 1e-5)
		}
	}
	p, err := lookupPreprocessing("resnet50")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.applyTo(newGreyNetwork(t), picture.Bilinear).Validate(); err == nil {
		t.Error("grey pictures are prepared as coloured ones")
	}
}
