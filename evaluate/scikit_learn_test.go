package evaluate

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"sort"
	"strconv"
	"testing"

	"garb/dataset"
	"garb/model"
)

// scikitCase is one case of testdata/scikit_learn.json, which scikit_learn.py makes.
type scikitCase struct {
	Name              string
	Classes           int
	Labels            []int
	Parts             [][]float64 // probabilities times 2²⁰
	Occurring         []int       // as label or as prediction
	Accuracy          float64
	MacroF1           float64 `json:"macro_f1"`
	Precision, Recall []float64
	F1, Count         []float64
	Confusion         [][]int            // of the classes that occur
	TopK              map[string]float64 `json:"top_k"`
	LogLoss           float64            `json:"log_loss"`
}

// TestScikitLearn compares every figure that scikit-learn has too, once with a data set
// that lists only the classes that it has pictures of, and once with one that lists all
// that the classifier knows.
func TestScikitLearn(t *testing.T) {
	text, err := os.ReadFile("testdata/scikit_learn.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []scikitCase
	if err := json.Unmarshal(text, &cases); err != nil || len(cases) < 6 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	unlabelled := 0 // classes that occur as prediction only
	for _, c := range cases {
		var known, withPictures []string
		for i := range c.Classes {
			known = append(known, fmt.Sprint("class", i))
			if slices.Contains(c.Labels, i) {
				withPictures = append(withPictures, known[i])
			}
		}
		unlabelled += len(c.Occurring) - len(withPictures)
		for kind, listed := range map[string][]string{"own classes": withPictures, "all classes": known} {
			t.Run(c.Name+"/"+kind, func(t *testing.T) { compareWithScikit(t, c, known, listed) })
		}
	}
	if unlabelled == 0 {
		t.Error("no case has a class that was predicted without having pictures")
	}
}

func compareWithScikit(t *testing.T, c scikitCase, known, listed []string) {
	set := &dataset.Set{Classes: listed}
	var predictions [][]model.Prediction
	for i, label := range c.Labels {
		set.Samples = append(set.Samples, dataset.Sample{Label: slices.Index(listed, known[label])})
		var row []model.Prediction
		for class, part := range c.Parts[i] {
			row = append(row, model.Prediction{Class: known[class], Probability: part / (1 << 20)})
		}
		sort.SliceStable(row, func(a, b int) bool { return row[a].Probability > row[b].Probability })
		predictions = append(predictions, row)
	}
	r := Summarize(known, set, make([]string, len(set.Samples)), predictions)
	same := func(name string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-12 { // sums in another order
			t.Errorf("%s %v, want %v", name, got, want)
		}
	}
	same("accuracy", r.Accuracy, c.Accuracy)
	same("macro F1", r.MacroF1, c.MacroF1)
	same("log loss", r.LogLoss, c.LogLoss)
	if r.Count != len(c.Labels) {
		t.Errorf("%d pictures, want %d", r.Count, len(c.Labels))
	}
	if len(r.TopK) != len(c.TopK) {
		t.Errorf("top k %v, want %v", r.TopK, c.TopK)
	}
	for k, want := range c.TopK {
		n, err := strconv.Atoi(k)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.TopK[n]; got != want { // both divide a whole number once
			t.Errorf("top %d %v, want %v", n, got, want)
		}
	}
	for i, class := range r.PerClass {
		if class.Class != r.Classes[i] {
			t.Errorf("class %d is %s, and its figures are of %s", i, r.Classes[i], class.Class)
		}
		at := slices.Index(known, class.Class)
		same("precision of "+class.Class, class.Precision, c.Precision[at])
		same("recall of "+class.Class, class.Recall, c.Recall[at])
		same("F1 of "+class.Class, class.F1, c.F1[at])
		same("pictures of "+class.Class, float64(class.Count), c.Count[at])
		if want := Wilson(int(math.Round(c.Recall[at]*c.Count[at])), class.Count); class.RecallInterval != want {
			t.Errorf("interval of the recall of %s %v, want %v", class.Class, class.RecallInterval, want)
		}
	}
	place := func(class int) int { return slices.Index(r.Classes, known[class]) }
	for i, a := range c.Occurring {
		for j, b := range c.Occurring {
			if got, want := r.Confusion[place(a)][place(b)], c.Confusion[i][j]; got != want {
				t.Errorf("%d pictures of %s were taken for %s, want %d", got, known[a], known[b], want)
			}
		}
	}
}
