package model

import (
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"garb/accept"
	"garb/backbone"
	"garb/picture"
	"garb/tensor"
)

// saveScaled saves a small model with regular weights that are scaled by value, and returns its
// path. change, if it is not nil, changes the description. With three outputs the model has an
// acceptance.
func saveScaled(t *testing.T, value float32, outputs int, change func(*Description)) string {
	t.Helper()
	spec := picture.Spec{Width: 16, Height: 16, Filter: picture.Bilinear, Fit: picture.Stretch,
		Std: [3]float32{255, 255, 255}}
	a, err := backbone.Lookup("small-cnn")
	if err != nil {
		t.Fatal(err)
	}
	d := &Description{Format: FormatVersion, Architecture: a.Name, Classes: []string{"dress", "hat"},
		Preprocessing: spec, Temperature: float64(1 + value),
		Training: &Training{DataDigest: "sha256:1", Epoch: 3, Pictures: [3]int{4, 2, 2}}}
	if outputs > 2 {
		d.Acceptance = &Acceptance{Method: accept.Class, Refusal: NoneOfThese, Preprocessing: spec, Threshold: 0.5,
			Calibration: accept.Calibration{Slope: 1}, Validation: accept.Share{Accepted: 1, Count: 1}}
	}
	if change != nil {
		change(d)
	}
	all := tensor.Map{}
	for _, p := range d.Head.NetworkGraph(a, 16, 16, outputs, 0).Params() {
		x := tensor.New(p.Shape...)
		for i := range x.Data {
			x.Data[i] = value * float32(math.Sin(float64(i+len(p.Name))))
		}
		all[p.Name] = x
	}
	m := &Model{*d, all}
	if err := m.SetGolden(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "model.safetensors")
	if err := m.Save(path, tensor.Float32); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAverage(t *testing.T) {
	small, large := saveScaled(t, 0.1, 2, nil), saveScaled(t, 0.4, 2, nil)
	m, err := Average(t.Context(), small, large, large)
	if err != nil {
		t.Fatal(err)
	}
	a, err := Open(small, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range a.networks.whole.Params() {
		one, err := a.weights.Tensor(p.Name)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range one.Data {
			if got := m.Tensors[p.Name].Data[i]; math.Abs(float64(got-3*v)) > 1e-6 {
				t.Fatalf("%s is %v, want three times %v", p.Name, got, v)
			}
		}
	}
	if math.Abs(m.Temperature-1.3) > 1e-6 || m.Training == nil || m.Training.Epoch != 0 ||
		len(m.Training.Averaged) != 3 {
		t.Errorf("temperature %v, training %+v", m.Temperature, m.Training)
	}
	path := filepath.Join(t.TempDir(), "mean.safetensors")
	if err := m.Save(path, tensor.Float32); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{}); err != nil {
		t.Error(err)
	}
	if m, err := Average(t.Context(), small,
		saveScaled(t, 1, 2, func(m *Description) { m.Training.DataDigest = "sha256:2" })); err != nil ||
		m.Training != nil {
		t.Errorf("the mean of models of different pictures has the record %+v, %v", m.Training, err)
	}
}

// TestAverageDropsAcceptance checks that a mean has only the outputs of the classes, even if all
// its models have one more.
func TestAverageDropsAcceptance(t *testing.T) {
	plain, judge := saveScaled(t, 0.2, 2, nil), saveScaled(t, 0.3, 3, nil)
	for _, models := range [][]string{{judge, judge}, {judge, plain}, {plain, judge}} {
		m, err := Average(t.Context(), models...)
		if err != nil {
			t.Fatal(err)
		}
		kernel := m.Tensors[backbone.ClassifierName+"/kernel"]
		if m.Acceptance != nil || kernel.Shape[1] != 2 || len(m.Golden[0].Logits) != 2 {
			t.Errorf("acceptance %+v, kernel of %v", m.Acceptance, kernel.Shape)
		}
		if !slices.Equal(models, []string{judge, judge}) {
			continue
		}
		c, err := Open(judge, Options{})
		if err != nil {
			t.Fatal(err)
		}
		whole, err := c.weights.Tensor(backbone.ClassifierName + "/kernel")
		if err != nil {
			t.Fatal(err)
		}
		for row := range whole.Shape[0] {
			if !slices.Equal(kernel.Data[2*row:2*row+2], whole.Data[3*row:3*row+2]) {
				t.Fatalf("row %d: %v of %v", row, kernel.Data[2*row:2*row+2], whole.Data[3*row:3*row+3])
			}
		}
	}
}

func TestAverageMismatches(t *testing.T) {
	plain := saveScaled(t, 0.2, 2, nil)
	for word, change := range map[string]func(*Description){
		"classes":       func(m *Description) { m.Classes = []string{"hat", "dress"} },
		"preprocessing": func(m *Description) { m.Preprocessing.Mean[1] = 7 },
		"inner":         func(m *Description) { m.Head.Inner = []int{4} },
	} {
		_, err := Average(t.Context(), plain, saveScaled(t, 0.2, 2, change))
		var e *MismatchError
		if !errors.As(err, &e) || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v", word, err)
		}
	}
	_, err := Average(t.Context(), plain, Clothing)
	if e := (*MismatchError)(nil); !errors.As(err, &e) || !strings.Contains(err.Error(), "efficientnet-lite0") {
		t.Error(err)
	}
	if _, err := Average(t.Context(), plain); err == nil {
		t.Error("one model was averaged")
	}
	if _, err := Average(t.Context(), plain, filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a model that does not exist was averaged")
	}
}

// TestAverageBackbones checks the mean of each parameter of backbones from models of different
// classes.
func TestAverageBackbones(t *testing.T) {
	small := saveScaled(t, 0.1, 2, nil)
	large := saveScaled(t, 0.4, 2, func(m *Description) { m.Classes = []string{"cat", "dog"} })
	architecture, mean, err := AverageBackbones(small, large)
	if err != nil || architecture != "small-cnn" {
		t.Fatal(architecture, err)
	}
	for name, m := range mean {
		if strings.HasPrefix(name, backbone.ClassifierName) {
			t.Errorf("it has %s of the head", name)
		}
		for i, v := range m.Data {
			if want := 0.25 * math.Sin(float64(i+len(name))); math.Abs(float64(v)-want) > 1e-6 {
				t.Fatalf("%s[%d] is %v, want %v", name, i, v, want)
			}
		}
	}
	var mismatch *MismatchError
	if _, _, err := AverageBackbones(small, ImageNet); !errors.As(err, &mismatch) {
		t.Errorf("another architecture: %v", err)
	}
	if _, _, err := AverageBackbones(small); err == nil {
		t.Error("one backbone was averaged")
	}
}
