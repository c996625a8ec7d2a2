package evaluate

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"garb/dataset"
	"garb/model"
	"garb/picture"
)

// fake answers what the picture's text says: "CLASS", or "error".
type fake struct{ classes []string }

func (f fake) Classes() []string { return f.classes }

func (f fake) Classify(_ context.Context, data []byte) ([]model.Prediction, error) {
	if string(data) == "error" {
		return nil, errors.New("broken")
	}
	answer := string(data)
	predictions := []model.Prediction{{Class: answer, Probability: 0.75}}
	for _, class := range f.classes {
		if class != answer {
			predictions = append(predictions,
				model.Prediction{Class: class, Probability: 0.25 / float64(len(f.classes)-1)})
		}
	}
	return predictions, nil
}

// set makes a data set of files, named without .jpg, whose text is what the fake answers.
func set(t testing.TB, files map[string]string) *dataset.Set {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name+".jpg")
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s, err := dataset.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRun(t *testing.T) {
	s := set(t, map[string]string{
		"hat/1": "hat", "hat/2": "hat", "hat/3": "shoes", "hat/4": "error",
		"shoes/1": "shoes", "shoes/2": "dress",
	})
	done := make(chan int, 100)
	r, err := Run(context.Background(), fake{[]string{"dress", "hat", "shirt", "shoes"}}, s, picture.DefaultLimits(),
		func(n int) { done <- n })
	if err != nil {
		t.Fatal(err)
	}
	if len(done) != 6 {
		t.Errorf("progress was told of %d pictures", len(done))
	}
	if r.Count != 5 || r.Accuracy != 0.6 || len(r.Skipped) != 1 || !strings.HasSuffix(r.Skipped[0].Picture,
		filepath.Join("hat", "4.jpg")) {
		t.Errorf("%+v", r)
	}
	if !slices.Equal(r.Classes, []string{"dress", "hat", "shoes"}) {
		t.Errorf("classes %v", r.Classes)
	}
	if want := [][]int{{0, 0, 0}, {0, 2, 1}, {1, 0, 1}}; !slices.EqualFunc(r.Confusion, want, slices.Equal) {
		t.Errorf("confusion %v", r.Confusion)
	}
	if hat := r.PerClass[1]; hat.Precision != 1 || math.Abs(hat.Recall-2./3) > 1e-15 || math.Abs(hat.F1-0.8) > 1e-15 ||
		hat.Count != 3 {
		t.Errorf("%+v", hat)
	}
	if got := r.PerClass[1].RecallInterval; got != Wilson(2, 3) {
		t.Errorf("interval of the recall %v", got)
	}
	if dress := r.PerClass[0]; dress.Precision != 0 || dress.Recall != 0 || dress.F1 != 0 || dress.Count != 0 {
		t.Errorf("%+v", dress)
	}
	if want := -(3*math.Log(0.75) + 2*math.Log(0.25/3)) / 5; math.Abs(r.LogLoss-want) > 1e-12 {
		t.Errorf("log loss %v, want %v", r.LogLoss, want)
	}
}

func TestRunRefusesUnknownClasses(t *testing.T) {
	s := set(t, map[string]string{"hat/1": "hat"})
	if _, err := Run(context.Background(), fake{[]string{"shoes"}}, s, picture.DefaultLimits(), nil); err == nil ||
		!strings.Contains(err.Error(), "hat") {
		t.Errorf("%v", err)
	}
}

func TestRunStops(t *testing.T) {
	s := set(t, map[string]string{"hat/1": "hat"})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, fake{[]string{"hat"}}, s, picture.DefaultLimits(), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestWilson(t *testing.T) {
	// Newcombe 1998, "Two-sided confidence intervals for the single proportion",
	// table I, method 3, to its four digits.
	for _, test := range []struct {
		right, count int
		want         [2]float64
	}{
		{81, 263, [2]float64{0.2553, 0.3662}},
		{15, 148, [2]float64{0.0624, 0.1605}},
		{0, 20, [2]float64{0, 0.1611}},
		{1, 29, [2]float64{0.0061, 0.1718}},
	} {
		got := Wilson(test.right, test.count)
		for i := range got {
			if math.Abs(got[i]-test.want[i]) > 5e-5 {
				t.Errorf("%d of %d: %v, want %v", test.right, test.count, got, test.want)
			}
		}
	}
	if Wilson(0, 0) != [2]float64{0, 1} {
		t.Error("nothing measured says nothing")
	}
}

// TestBuiltInModel holds the figure that the project promises.
func TestBuiltInModel(t *testing.T) {
	folder := os.Getenv("GARB_DATA")
	if folder == "" {
		t.Skip("set GARB_DATA to run this test (see .ci/run)")
	}
	s, err := dataset.Open(filepath.Join(folder, "test"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := model.Open(model.Clothing, model.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(context.Background(), c, s, c.Limits(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Accuracy < 0.85 || r.Count != 372 {
		t.Errorf("accuracy %.4f of %d pictures", r.Accuracy, r.Count)
	}
}
