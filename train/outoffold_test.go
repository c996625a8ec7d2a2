package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"garb/dataset"
)

// blobs are features of classes that lie apart, with their labels.
func blobs(perClass, classes int, apart float64) (features [][]float32, labels []int) {
	random := rand.New(rand.NewPCG(1, 2))
	for c := range classes {
		for range perClass {
			row := make([]float32, classes+2)
			for j := range row {
				row[j] = float32(random.NormFloat64())
			}
			row[c] += float32(apart)
			row[len(row)-1] = 7 // a feature that never changes
			features, labels = append(features, row), append(labels, c)
		}
	}
	return features, labels
}

// quick is one repeat of the usual settings.
func quick() OutOfFold {
	o := DefaultOutOfFold()
	o.Repeats = 1
	return o
}

func right(p [][]float64, labels []int) float64 {
	n := 0
	for i, row := range p {
		if slices.Index(row, slices.Max(row)) == labels[i] {
			n++
		}
	}
	return float64(n) / float64(len(p))
}

func TestProbabilities(t *testing.T) {
	features, labels := blobs(40, 3, 5)
	o := DefaultOutOfFold()
	var steps atomic.Int64
	p, err := o.Probabilities(context.Background(), features, labels, 3, nil, func() { steps.Add(1) })
	if err != nil {
		t.Fatal(err)
	}
	if a := right(p, labels); a < 0.95 || int(steps.Load()) != o.Steps() || o.Steps() != 25 {
		t.Errorf("accuracy %v after %d steps of %d", a, steps.Load(), o.Steps())
	}
	for i, row := range p {
		sum := 0.0
		for _, v := range row {
			sum += v
		}
		if math.Abs(sum-1) > 1e-9 || len(row) != 3 {
			t.Fatalf("picture %d has probabilities %v", i, row)
		}
	}
	o.Repeats = 2
	p, err = o.Probabilities(context.Background(), features, labels, 3, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := o.Probabilities(context.Background(), features, labels, 3, nil, nil)
	if err != nil || !slices.EqualFunc(p, again, slices.Equal[[]float64]) {
		t.Errorf("the same input gives other probabilities, %v", err)
	}
	o.Seed++
	other, err := o.Probabilities(context.Background(), features, labels, 3, nil, nil)
	if err != nil || slices.EqualFunc(p, other, slices.Equal[[]float64]) {
		t.Errorf("another seed gives the same probabilities, %v", err)
	}
}

// A picture's own label says nothing about its probabilities: with labels drawn at random,
// classifiers that had seen them would repeat more of them than chance.
func TestProbabilitiesAreOutOfFold(t *testing.T) {
	features, labels := blobs(30, 2, 0)
	for i := range features {
		extra := make([]float32, len(features)) // a feature by which each picture is known
		extra[i] = 10
		features[i] = append(features[i], extra...)
	}
	p, err := quick().Probabilities(context.Background(), features, labels, 2, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	// 60 fair coins: above 45 right in one of 10,000 cases.
	if a := right(p, labels); a > 0.75 {
		t.Errorf("accuracy %v on labels that nothing tells", a)
	}
}

// Copies of a picture in one group do not answer for each other.
func TestProbabilitiesKeepGroups(t *testing.T) {
	var features [][]float32
	var labels []int
	var groups []string
	random := rand.New(rand.NewPCG(3, 4))
	for g := range 40 {
		row := make([]float32, 100)
		for j := range row {
			row[j] = float32(random.NormFloat64())
		}
		label := random.IntN(2)
		for range 3 {
			features, labels, groups = append(features, row), append(labels, label), append(groups, fmt.Sprint(g))
		}
	}
	ctx, o := context.Background(), quick()
	apart, err := o.Probabilities(ctx, features, labels, 2, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	together, err := o.Probabilities(ctx, features, labels, 2, groups, nil)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := right(apart, labels), right(together, labels); a < 0.95 || b > 0.8 {
		t.Errorf("accuracy %v with copies in other folds, %v without: labels that nothing tells", a, b)
	}
}

func TestProbabilitiesOfFew(t *testing.T) {
	// A class with one picture, one with fewer than folds, and one without any.
	features, labels := blobs(20, 2, 6)
	features, labels = append(features, features[0], features[1], features[2]), append(labels, 2, 3, 3)
	p, err := quick().Probabilities(context.Background(), features, labels, 5, nil, nil)
	if err != nil || len(p) != 43 || len(p[0]) != 5 {
		t.Fatalf("%d, %v", len(p), err)
	}
	ctx := context.Background()
	if p, err := quick().Probabilities(ctx, features[:2], []int{0, 1}, 2, nil, nil); err != nil || len(p) != 2 {
		t.Errorf("two pictures: %v", err) // fewer than folds
	}
	for name, groups := range map[string][]string{"one group": {"a", "a"}, "nothing": {}} {
		n := len(groups)
		if _, err := quick().Probabilities(ctx, features[:n], labels[:n], 2, groups, nil); !errors.Is(err,
			ErrTooFewGroups) {
			t.Errorf("%s: %v", name, err)
		}
	}
	bad := [][]float32{{1, 2}, {3, float32(math.NaN())}, {5, 6}}
	if _, err := quick().Probabilities(ctx, bad, []int{0, 1, 0}, 2, nil, nil); !errors.Is(err, ErrNotFinite) {
		t.Errorf("NaN: %v", err)
	}
	ended, end := context.WithCancel(ctx)
	end()
	if _, err := quick().Probabilities(ended, features, labels, 5, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
	for name, o := range map[string]OutOfFold{
		"one fold":   {1, 1, 1, 1, 0, 1, 1e-3, 0},
		"no repeat":  {5, 0, 1, 1, 0, 1, 1e-3, 0},
		"no epoch":   {5, 1, 1, 0, 0, 1, 1e-3, 0},
		"less steps": {5, 1, 1, 1, -1, 1, 1e-3, 0},
		"no batch":   {5, 1, 1, 1, 0, 0, 1e-3, 0},
		"no rate":    {5, 1, 1, 1, 0, 1, 0, 0},
		"NaN rate":   {5, 1, 1, 1, 0, 1, math.NaN(), 0},
		"growth":     {5, 1, 1, 1, 0, 1, 1e-3, -1},
		"all decay":  {5, 1, 1, 1, 0, 1, 1e-1, 10},
	} {
		if _, err := o.Probabilities(ctx, features, labels, 5, nil, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Each setting has its effect.
func TestOutOfFoldSettings(t *testing.T) {
	features, labels := blobs(20, 2, 1)
	confidence := func(o OutOfFold) float64 {
		p, err := o.Probabilities(context.Background(), features, labels, 2, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for _, row := range p {
			sum += slices.Max(row) / float64(len(p))
		}
		return sum
	}
	o := quick()
	o.MinSteps = 0
	usual := confidence(o)
	more, steps, decay, fast, batch := o, o, o, o, o
	more.Epochs *= 4
	steps.MinSteps = 80
	decay.WeightDecay = 300
	fast.LearningRate *= 4
	batch.Batch = 4
	if c := confidence(more); c <= usual {
		t.Errorf("confidence %v with more epochs, %v without", c, usual)
	}
	if c := confidence(steps); c <= usual {
		t.Errorf("confidence %v with more steps, %v without", c, usual)
	}
	if c := confidence(decay); c >= usual {
		t.Errorf("confidence %v with more weight decay, %v without", c, usual)
	}
	if c := confidence(fast); c <= usual {
		t.Errorf("confidence %v with a higher rate, %v without", c, usual)
	}
	if c := confidence(batch); c <= usual { // more steps
		t.Errorf("confidence %v with small batches, %v without", c, usual)
	}
}

func TestFoldsAreStratifiedAndGrouped(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		classes, n := rapid.IntRange(2, 5).Draw(t, "classes"), rapid.IntRange(2, 60).Draw(t, "n")
		o := quick()
		o.Folds, o.Seed = rapid.IntRange(2, 6).Draw(t, "folds"), rapid.Uint64().Draw(t, "seed")
		labels := rapid.SliceOfN(rapid.IntRange(0, classes-1), n, n).Draw(t, "labels")
		var groups []string
		if rapid.Bool().Draw(t, "grouped") {
			groups = rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g", "h"}), n,
				n).Draw(t, "groups")
		}
		fold := o.divide(0, labels, classes, groups)
		folds := map[string]int{} // by group
		counts := make([][]int, classes)
		for c := range counts {
			counts[c] = make([]int, o.Folds)
		}
		for i, f := range fold {
			if f < 0 || f >= o.Folds {
				t.Fatalf("fold %d", f)
			}
			counts[labels[i]][f]++
			if groups == nil {
				continue
			}
			if before, ok := folds[groups[i]]; ok && before != f {
				t.Fatalf("group %s is in folds %d and %d", groups[i], before, f)
			}
			folds[groups[i]] = f
		}
		uneven := func(row []int) bool { return slices.Max(row)-slices.Min(row) > 1 }
		if groups == nil && slices.ContainsFunc(counts, uneven) {
			t.Fatalf("a class is spread unevenly: %v", counts)
		}
		if other := o.divide(1, labels, classes, groups); n > 40 && groups == nil && slices.Equal(fold, other) {
			t.Fatal("repeats divide alike")
		}
	})
}

func TestGroupsOfFeatures(t *testing.T) {
	f := &FeatureSet{
		Set: &dataset.Set{Samples: []dataset.Sample{{Group: "a"}, {}, {Group: "b"}, {}, {Group: "a"},
			{Group: "c"}, {}}},
		Digests: []string{"1", "1", "2", "3", "4", "4", "5"},
	}
	g := f.Groups()
	// 0, 1, 4 and 5 hang together: by group a, and by the digests 1 and 4.
	for i, want := range []int{0, 0, 2, 3, 0, 0, 6} {
		if (g[i] == g[want]) != true {
			t.Errorf("picture %d is not in the group of %d: %v", i, want, g)
		}
	}
	if g[0] == g[2] || g[2] == g[3] || g[3] == g[6] || g[0] == g[6] {
		t.Errorf("groups are not apart: %v", g)
	}
}
