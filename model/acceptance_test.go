package model_test

import (
	"errors"
	"maps"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"garb/accept"
	"garb/backbone"
	"garb/model"
	"garb/nn"
	"garb/picture"
	"garb/tensor"
)

// saveJudge saves a model of three classes that judges by a method with a threshold of .5, and
// returns its path.
func saveJudge(t *testing.T, method accept.Method) (path string, m model.Model) {
	t.Helper()
	_, m = saveSmall(t)
	if method.HasOutput() {
		for _, name := range []string{"classifier/kernel", "classifier/bias"} {
			m.Tensors[name] = addOutput(m.Tensors[name])
		}
	}
	if method.NeedsFeatures() {
		d := fitDetector(t, method, len(m.Tensors["classifier/kernel"].Data)/3)
		maps.Copy(m.Tensors, model.EncodeDetector(d))
	}
	m.Acceptance = &model.Acceptance{
		Method: method, Calibration: accept.Calibration{Slope: 2, Offset: -1}, Threshold: .5,
		Validation: accept.Share{Count: 20, Accepted: 19}, Refusal: "none of these",
		Preprocessing: m.Preprocessing,
		Others:        []model.OtherShare{{Name: "dogs", Share: accept.Share{Count: 10, Accepted: 1}}},
	}
	if err := m.SetGolden(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "judging.safetensors")
	if err := m.Save(path, tensor.Float32); err != nil {
		t.Fatal(err)
	}
	return path, m
}

// addOutput returns a tensor of the last layer with a fourth output.
func addOutput(old *tensor.Tensor) *tensor.Tensor {
	shape := slices.Clone(old.Shape)
	shape[len(shape)-1] = 4
	wide := tensor.New(shape...)
	for i, v := range old.Data {
		wide.Data[i/3*4+i%3] = v
	}
	for i := 3; i < len(wide.Data); i += 4 {
		wide.Data[i] = .25 + .01*float32(i%7)
	}
	return wide
}

// fitDetector fits a detector to regular feature vectors of three classes.
func fitDetector(t *testing.T, m accept.Method, features int) *accept.Detector {
	t.Helper()
	var vectors [][]float32
	var labels []int
	for i := range 12 {
		v := make([]float32, features)
		for j := range v {
			v[j] = float32((i*7+j*3)%11) / 10
		}
		vectors, labels = append(vectors, v), append(labels, i%3)
	}
	d, err := accept.FitDetector(m, vectors, labels, 3)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func open(t *testing.T, path string, o model.Options) *model.Classifier {
	t.Helper()
	c, err := model.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestJudge checks that with every method the acceptance is that of the score of the network's
// outputs or features, and that the predictions are those of the same model without acceptance.
func TestJudge(t *testing.T) {
	data := read(t, example)
	plainPath, _ := saveSmall(t)
	plain := open(t, plainPath, model.Options{})
	want, err := plain.Judge(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	if want.Judged || !want.Accepted || want.Acceptance != 1 || plain.Judges() || plain.OutputCount() != 3 ||
		plain.AcceptanceThreshold() != 0 {
		t.Errorf("a model without acceptance judges: %+v", want)
	}
	for _, m := range accept.Methods() {
		path, saved := saveJudge(t, m)
		c := open(t, path, model.Options{})
		a, err := c.Judge(t.Context(), data)
		if err != nil {
			t.Fatal(err)
		}
		classified, err := c.Classify(t.Context(), data)
		if err != nil || !slices.Equal(classified, a.Predictions) || !slices.Equal(want.Predictions, a.Predictions) {
			t.Errorf("%s: %+v, %+v, want %+v: %v", m, classified, a.Predictions, want.Predictions, err)
		}
		features, err := c.Embed(t.Context(), data)
		if err != nil {
			t.Fatal(err)
		}
		logits := make([]float32, 3)
		if err := c.HeadLogits(t.Context(), features, logits); err != nil {
			t.Fatal(err)
		}
		score := 0.0
		switch {
		case m.NeedsFeatures():
			score = fitDetector(t, m, len(features)).Score(features)
		case m.HasOutput():
			last := float64(saved.Tensors["classifier/bias"].Data[3])
			for i, v := range features {
				last += float64(v * saved.Tensors["classifier/kernel"].Data[4*i+3])
			}
			score = accept.Score(m, append(slices.Clone(logits), float32(last)), 3)
		default:
			score = accept.Score(m, logits, 3)
		}
		if got := 1 / (1 + math.Exp(-(2*score - 1))); math.Abs(got-a.Acceptance) > 1e-5 {
			t.Errorf("%s: acceptance %v, want %v", m, a.Acceptance, got)
		}
		if !a.Judged || a.Accepted != (a.Acceptance >= .5) || a.Refusal != "none of these" || c.OutputCount() != 4 {
			t.Errorf("%s: %+v", m, a)
		}
	}
}

// TestOutputs checks that the rows of several inputs are those of each alone.
func TestOutputs(t *testing.T) {
	for _, m := range []accept.Method{accept.Class, accept.Energy, accept.Distance} {
		path, _ := saveJudge(t, m)
		c := open(t, path, model.Options{})
		n, width := c.Spec().ValueCount(), c.OutputCount()
		inputs := make([]float32, 3*n)
		for i := range 3 {
			c.Spec().Tensor(model.DrawGoldenPicture(i), inputs[i*n:][:n])
		}
		rows, logits := make([]float32, 3*width), make([]float32, 3*3)
		if err := errors.Join(c.Outputs(t.Context(), inputs, rows), c.Logits(t.Context(), inputs, logits)); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			one := make([]float32, width)
			if err := c.Outputs(t.Context(), inputs[i*n:][:n], one); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(one, rows[i*width:][:width]) || !slices.Equal(one[:3], logits[i*3:][:3]) {
				t.Errorf("%s: %v, in a batch %v, logits %v", m, one, rows[i*width:][:width], logits[i*3:][:3])
			}
		}
	}
}

// TestAcceptanceAtAnotherSize checks that a model does not judge pictures of another size than
// its own, and that the output of its acceptance does not become a class.
func TestAcceptanceAtAnotherSize(t *testing.T) {
	for _, m := range []accept.Method{accept.Head, accept.Energy} {
		spec := picture.Spec{Width: 12, Height: 12, Filter: picture.Nearest, Fit: "stretch", Std: [3]float32{1, 1, 1}}
		outputs := 2
		if m.HasOutput() {
			outputs = 3
		}
		b := nn.NewBuilder(12, 12, 3)
		x := b.Dense("top", b.GlobalAveragePool(b.Input()), outputs, nn.WithBias())
		kernel := tensor.New(3, outputs)
		for i := range kernel.Data {
			kernel.Data[i] = float32(i) / 1000
		}
		tensors := tensor.Map{"top/kernel": kernel, "top/bias": tensor.New(outputs)}
		saved := model.Model{Description: model.Description{
			Format: model.FormatVersion, Network: b.Build(x).Layers(), Classes: []string{"day", "night"},
			Preprocessing: spec,
			Acceptance:    &model.Acceptance{Method: m, Threshold: .5, Refusal: "neither", Preprocessing: spec},
		}, Tensors: tensors}
		if err := saved.SetGolden(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "m.safetensors")
		if err := saved.Save(path, tensor.Float32); err != nil {
			t.Fatal(err)
		}
		half, all := .5, 0.0
		if _, err := model.Open(path, model.Options{Size: 16, Accept: &half}); !errors.Is(err, model.ErrNoAcceptance) {
			t.Error(err)
		}
		if c := open(t, path, model.Options{Size: 12}); !c.Judges() {
			t.Error("at its own size the model does not judge")
		}
		for _, o := range []model.Options{{Size: 16}, {Size: 16, Accept: &all}} {
			c := open(t, path, o)
			a, err := c.Judge(t.Context(), read(t, example))
			if err != nil || a.Judged || !a.Accepted || len(a.Predictions) != 2 || c.OutputCount() != 2 {
				t.Errorf("%s at another size: %+v, %v", m, a, err)
			}
		}
	}
}

// TestStoreKeepsAcceptance checks that a model with rounded weights keeps its acceptance.
func TestStoreKeepsAcceptance(t *testing.T) {
	data := read(t, example)
	for _, m := range accept.Methods() {
		path, saved := saveJudge(t, m)
		want, err := open(t, path, model.Options{}).Judge(t.Context(), data)
		if err != nil {
			t.Fatal(err)
		}
		for _, dtype := range []tensor.DType{tensor.Float32, tensor.Float16, tensor.Int8} {
			to := filepath.Join(t.TempDir(), "stored.safetensors")
			if _, err := model.Store(path, to, dtype); err != nil {
				t.Fatalf("%s as %s: %v", m, dtype, err)
			}
			c := open(t, to, model.Options{})
			got, err := c.Judge(t.Context(), data)
			if err != nil || math.Abs(got.Acceptance-want.Acceptance) > .02 || !got.Judged {
				t.Errorf("%s as %s: acceptance %v, before %v: %v", m, dtype, got.Acceptance, want.Acceptance, err)
			}
			if a := c.Description().Acceptance; !reflect.DeepEqual(a, saved.Acceptance) {
				t.Errorf("%s as %s: %+v, want %+v", m, dtype, a, saved.Acceptance)
			}
		}
	}
}

// TestWrongAcceptances checks that a model is not saved with an invalid acceptance, or with one
// that does not belong to it.
func TestWrongAcceptances(t *testing.T) {
	_, good := saveJudge(t, accept.Energy)
	for says, change := range map[string]func(*model.Acceptance){
		"unknown acceptance method": func(a *model.Acceptance) { a.Method = "magic" },
		"golden logits":             func(a *model.Acceptance) { a.Method = accept.Class }, // needs one more output
		"threshold":                 func(a *model.Acceptance) { a.Threshold = 1.5 },
		"threshold is NaN":          func(a *model.Acceptance) { a.Threshold = math.NaN() },
		"slope -1":                  func(a *model.Acceptance) { a.Slope = -1 },
		"offset +Inf":               func(a *model.Acceptance) { a.Offset = math.Inf(1) },
		"on validation":             func(a *model.Acceptance) { a.Validation.Accepted = 21 },
		`on "dogs"`: func(a *model.Acceptance) {
			a.Others = []model.OtherShare{{Name: "dogs", Share: accept.Share{Count: 1, Accepted: 2}}}
		},
		`refusal, "",`:          func(a *model.Acceptance) { a.Refusal = "" },
		`refusal, " a"`:         func(a *model.Acceptance) { a.Refusal = " a" },
		`refusal, "a\nb"`:       func(a *model.Acceptance) { a.Refusal = "a\nb" },
		`refusal, "\xff"`:       func(a *model.Acceptance) { a.Refusal = "\xff" },
		"another preprocessing": func(a *model.Acceptance) { a.Preprocessing.Width++ },
	} {
		a, m := *good.Acceptance, good
		change(&a)
		m.Acceptance = &a
		err := m.Save(filepath.Join(t.TempDir(), "wrong.safetensors"), tensor.Float32)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v; want an error that says %q", err, says)
		}
	}
}

// TestWrongDetectorTensors checks that a model with an invalid detector does not open.
func TestWrongDetectorTensors(t *testing.T) {
	for name, change := range map[string]func(tensor.Map){
		"missing":      func(m tensor.Map) { delete(m, "acceptance/means") },
		"narrow":       func(m tensor.Map) { m["acceptance/means"] = tensor.New(3, 2) },
		"flat":         func(m tensor.Map) { m["acceptance/scale"] = tensor.New(5) },
		"no number":    func(m tensor.Map) { m["acceptance/means"].Data[0] = float32(math.NaN()) },
		"two of scale": func(m tensor.Map) { m["acceptance/scale"] = tensor.New(2, m["acceptance/scale"].Shape[1]) },
	} {
		_, m := saveJudge(t, accept.Distance)
		change(m.Tensors)
		path := filepath.Join(t.TempDir(), "wrong.safetensors")
		if err := m.Save(path, tensor.Float32); err != nil {
			t.Fatal(err)
		}
		var wrong *model.Error
		if _, err := model.Open(path, model.Options{}); !errors.As(err, &wrong) ||
			!strings.Contains(err.Error(), "acceptance") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFitAcceptance(t *testing.T) {
	a, err := backbone.Lookup("small-cnn")
	if err != nil {
		t.Fatal(err)
	}
	got, err := model.FitAcceptance(accept.Head, a.Spec, model.NotClothing, []float64{5, 6, 7, 8},
		model.OtherScores{Name: "dogs", Scores: []float64{0, 1}},
		model.OtherScores{Name: "cats", Scores: []float64{2, 9}})
	if err != nil {
		t.Fatal(err)
	}
	if !got.Measured() || got.Validation != (accept.Share{Count: 4, Accepted: 4}) || len(got.Others) != 2 ||
		got.Others[1] != (model.OtherShare{Name: "cats", Share: accept.Share{Count: 2, Accepted: 1}}) ||
		got.Preprocessing != a.Spec || got.Refusal != model.NotClothing || got.Method != accept.Head {
		t.Errorf("%+v", got)
	}
	alone, err := model.FitAcceptance(accept.Energy, a.Spec, model.NoneOfThese, []float64{5, 6, 7, 8})
	if err != nil || alone.Measured() {
		t.Errorf("%+v, %v", alone, err)
	}
	if _, err = model.FitAcceptance(accept.Energy, a.Spec, model.NoneOfThese, nil); err == nil {
		t.Error("an acceptance without validation pictures")
	}
	_, err = model.FitAcceptance("magic", a.Spec, model.NoneOfThese, []float64{1})
	if !errors.Is(err, accept.ErrMethod) {
		t.Error(err)
	}
}
