package dataset

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// whole returns a data set without splits.
func whole(s *Set) *Data {
	grouped := slices.ContainsFunc(s.Samples, func(s Sample) bool { return s.Group != "" })
	return &Data{Path: s.Folder, Classes: s.Classes, Parts: []Part{{"", s}}, Grouped: grouped}
}

// drawSet draws pictures of some classes. Each class has at least least pictures.
func drawSet(r *rapid.T, least int) *Set {
	s := &Set{Folder: "f"}
	for class := range rapid.IntRange(1, 4).Draw(r, "classes") {
		s.Classes = append(s.Classes, fmt.Sprint(class))
		for i := range rapid.IntRange(least, 60).Draw(r, "pictures") {
			s.Samples = append(s.Samples, Sample{Path: fmt.Sprintf("f/%d/%d.jpg", class, i), Label: class})
		}
	}
	s.sort()
	return s
}

// TestDivide checks that the splits of any pictures by any rule are disjoint, complete, stratified
// to a picture and the same each time, and that a new picture moves few others.
func TestDivide(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := drawSet(r, 3)
		rule := SplitRule{
			Validation: rapid.Float64Range(0.01, 0.3).Draw(r, "validation"),
			Test:       rapid.Float64Range(0, 0.3).Draw(r, "test"),
			Seed:       rapid.Uint64().Draw(r, "seed"),
		}
		splits, err := whole(s).Split(rule)
		if err != nil {
			r.Fatal(err)
		}
		if (splits.Test == nil) != (rule.Test == 0) {
			r.Fatal("a test split although the rule has none, or none although it has")
		}
		places := findPlaces(r, splits)
		if len(places) != len(s.Samples) {
			r.Fatalf("%d of %d pictures are in a split", len(places), len(s.Samples))
		}
		checkShares(r, s, splits, rule)
		again, _ := whole(s).Split(rule)
		if !slices.Equal(again.Train.Samples, splits.Train.Samples) {
			r.Fatal("another division of the same pictures")
		}
		more := &Set{Folder: "f", Classes: s.Classes,
			Samples: append(slices.Clone(s.Samples), Sample{Path: "f/0/new.jpg"})}
		more.sort()
		after, err := whole(more).Split(rule)
		if err != nil {
			r.Fatal(err)
		}
		moved := 0
		for path, split := range findPlaces(r, after) {
			if before := places[path]; before != "" && before != split {
				moved++
			}
		}
		if moved > 3 {
			r.Fatalf("a new picture moved %d others", moved)
		}
	})
}

// checkShares checks that each class has its share of each split, within two pictures.
func checkShares(r *rapid.T, s *Set, splits *Splits, rule SplitRule) {
	shares := map[string]float64{Train: 1 - rule.Validation - rule.Test, Validation: rule.Validation, Test: rule.Test}
	all := countLabels(s)
	for _, part := range splits.parts() {
		for label, n := range countLabels(part.Set) {
			if want := shares[part.Name] * float64(all[label]); n == 0 || math.Abs(float64(n)-want) > 2 {
				r.Fatalf("%d of %d pictures of class %d in %s, want %.1f", n, all[label], label, part.Name, want)
			}
		}
	}
}

// countLabels counts the pictures of each class.
func countLabels(s *Set) []int {
	counts := make([]int, len(s.Classes))
	for _, sample := range s.Samples {
		counts[sample.Label]++
	}
	return counts
}

func TestDivideRefuses(t *testing.T) {
	two := &Set{Classes: []string{"a"}, Samples: []Sample{{Path: "1"}, {Path: "2"}}}
	if _, err := whole(two).Split(DefaultSplitRule()); !errors.Is(err, ErrTooFew) {
		t.Errorf("%v", err)
	}
	for _, rule := range []SplitRule{
		{}, {Validation: 0.5, Test: 0.5}, {Validation: -1}, {Validation: 0.1, Test: -0.1},
		{Validation: 0.1, Folds: 1, Fold: 1}, {Validation: 0.1, Folds: 3}, {Validation: 0.1, Folds: 3, Fold: 4},
		{Validation: 0.1, Fold: 1},
	} {
		if _, err := whole(two).Split(rule); err == nil {
			t.Errorf("%+v is accepted", rule)
		}
	}
}

// findPlaces returns the split of each picture. A picture in two splits fails the test.
func findPlaces(t interface{ Fatalf(string, ...any) }, s *Splits) map[string]string {
	in := map[string]string{}
	for _, part := range s.parts() {
		for _, sample := range part.Set.Samples {
			if in[sample.Path] != "" {
				t.Fatalf("%s is in %s and %s", sample.Path, in[sample.Path], part.Name)
			}
			in[sample.Path] = part.Name
		}
	}
	return in
}

// TestFolds checks that every picture that is not in test is in validation in exactly one fold, and
// that the test split is the same for all folds.
func TestFolds(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := drawSet(r, 12)
		folds := rapid.IntRange(2, 6).Draw(r, "folds")
		grouped := rapid.Bool().Draw(r, "grouped")
		if grouped {
			drawGroups(r, s)
		}
		rule := SplitRule{
			Validation: 0.15, Test: rapid.SampledFrom([]float64{0, 0.2}).Draw(r, "test"), Seed: 3, Folds: folds,
		}
		validated, tested := map[string]int{}, []string(nil)
		for fold := range folds {
			rule.Fold = fold + 1
			splits, problems := whole(s).Divide(rule)
			if !grouped && joinRefused(problems) != nil {
				r.Fatal(problems)
			}
			if d := splits.Division; d.Rule.Fold != fold+1 || (d.Groups > 0) != grouped {
				r.Fatalf("%+v", d)
			}
			test := addFold(r, s, splits, validated)
			if fold > 0 && !slices.Equal(test, tested) {
				r.Fatal("the test split differs between folds")
			}
			tested = test
		}
		if grouped {
			return // a class with one group stays in train
		}
		if len(validated) != len(s.Samples)-len(tested) {
			r.Fatalf("%d pictures were in validation, of %d not in test", len(validated), len(s.Samples)-len(tested))
		}
		for path, n := range validated {
			if n != 1 {
				r.Fatalf("%s was in validation %d times", path, n)
			}
		}
	})
}

// drawGroups draws the group of each picture.
func drawGroups(r *rapid.T, s *Set) {
	for i := range s.Samples {
		s.Samples[i].Group = fmt.Sprint("g", rapid.IntRange(0, 30).Draw(r, "group"))
	}
}

// addFold counts the pictures in validation, and returns those in test.
func addFold(r *rapid.T, s *Set, splits *Splits, validated map[string]int) (test []string) {
	places := findPlaces(r, splits)
	if len(places) != len(s.Samples) {
		r.Fatalf("%d of %d pictures are in a split", len(places), len(s.Samples))
	}
	for _, sample := range s.Samples {
		switch places[sample.Path] {
		case Validation:
			validated[sample.Path]++
		case Test:
			test = append(test, sample.Path)
		}
	}
	return test
}

// TestFoldsOfFewGroups checks that the test split is the same for all folds if a class has no group
// left for train in one of them.
func TestFoldsOfFewGroups(t *testing.T) {
	s := &Set{Folder: "f", Classes: []string{"a", "b", "c"}}
	for group, counts := range [][]int{{5, 5, 0}, {0, 4, 5}, {2, 0, 4}, {2, 0, 0}} { // of each class
		for label, n := range counts {
			for range n {
				s.Samples = append(s.Samples, Sample{Path: fmt.Sprintf("f/%d.jpg", len(s.Samples)), Label: label,
					Group: fmt.Sprint(group)})
			}
		}
	}
	s.sort()
	var tests []string
	for fold := range 2 {
		splits, _ := whole(s).Divide(SplitRule{Validation: 0.15, Test: 0.2, Seed: 1, Folds: 2, Fold: fold + 1})
		tests = append(tests, fmt.Sprint(splits.Test.Samples))
		for label, class := range s.Classes {
			if !slices.ContainsFunc(splits.Train.Samples, func(s Sample) bool { return s.Label == label }) {
				t.Errorf("fold %d: train lacks %s", fold+1, class)
			}
		}
	}
	if tests[0] != tests[1] {
		t.Errorf("tests differ:\n%s\n%s", tests[0], tests[1])
	}
}

// TestGroups checks that no group is in two splits, and that the same division comes out each time.
func TestGroups(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := &Set{Folder: "f", Classes: []string{"a", "b", "c"}}
		n := rapid.IntRange(60, 400).Draw(r, "pictures")
		groups := rapid.IntRange(2, 60).Draw(r, "groups")
		for i := range n {
			group := fmt.Sprint(rapid.IntRange(0, groups-1).Draw(r, "group"))
			s.Samples = append(s.Samples, Sample{
				Path: fmt.Sprintf("f/%d.jpg", i), Label: rapid.IntRange(0, 2).Draw(r, "class"),
				Group: rapid.SampledFrom([]string{"", group}).Draw(r, "grouped"),
			})
		}
		s.sort()
		d := whole(s)
		d.Grouped = true
		rule := DefaultSplitRule()
		splits, _ := d.Divide(rule)
		places := findPlaces(r, splits)
		if len(places) != n {
			r.Fatalf("%d of %d pictures are in a split", len(places), n)
		}
		splitOf := map[string]string{} // by group
		for _, sample := range s.Samples {
			if sample.Group == "" {
				continue
			}
			if before := splitOf[sample.Group]; before != "" && before != places[sample.Path] {
				r.Fatalf("group %s is in %s and %s", sample.Group, before, places[sample.Path])
			}
			splitOf[sample.Group] = places[sample.Path]
		}
		again, _ := d.Divide(rule)
		if !slices.Equal(again.Validation.Samples, splits.Validation.Samples) ||
			!slices.Equal(again.Train.Samples, splits.Train.Samples) {
			r.Fatal("another division of the same pictures")
		}
	})
}

// TestSmallGroups checks that each class is close to its share where groups are small, and that
// seeds give different divisions.
func TestSmallGroups(t *testing.T) {
	s := &Set{Folder: "f", Classes: []string{"a", "b", "rare"}}
	labels := []int{0, 0, 0, 1, 1, 0, 1, 0, 0, 2}
	for i := range 2000 {
		s.Samples = append(s.Samples, Sample{
			Path: fmt.Sprintf("f/%04d.jpg", i), Label: labels[i%10], Group: fmt.Sprint("g", i*i%397),
		})
	}
	s.sort()
	rule := SplitRule{Validation: 0.2, Test: 0.1, Seed: 1}
	splits, err := whole(s).Split(rule)
	if err != nil {
		t.Fatal(err)
	}
	for _, class := range splits.Division.Classes {
		for i, wanted := range []float64{0.2, 0.1} {
			if math.Abs(class.Share[i]-wanted) > 0.02 {
				t.Errorf("class %s: shares %v", class.Class, class.Share)
			}
		}
	}
	class, split, got, wanted := splits.Division.Farthest()
	if class.Class == "" || split == "" || got == 0 || wanted == 0 {
		t.Errorf("farthest %v %s %v %v", class, split, got, wanted)
	}
	rule.Seed = 2
	other, err := whole(s).Split(rule)
	if err != nil {
		t.Fatal(err)
	}
	if slices.Equal(other.Validation.Samples, splits.Validation.Samples) {
		t.Error("the seed does not matter")
	}
}

// distance returns how far the counts of an assignment are from the shares.
func (a *assignment) distance() float64 {
	sum := 0.0
	for part, counts := range a.counts {
		for class, n := range counts {
			d := n - a.shares[part]*a.totals[class]
			sum += d * d / a.totals[class]
		}
	}
	return sum
}

// TestGroupsImprove checks that after the greedy start no group can move, and no two can swap, with
// gain.
func TestGroupsImprove(t *testing.T) {
	s := &Set{Folder: "f", Classes: []string{"a", "b", "c"}}
	for i := range 600 {
		s.Samples = append(s.Samples, Sample{
			Path: fmt.Sprintf("f/%04d.jpg", i), Label: i % 7 % 3, Group: fmt.Sprint("g", i*i%61),
		})
	}
	p := &divider{rule: SplitRule{Validation: 0.2, Test: 0.1, Seed: 4}, classes: s.Classes, wantTest: true}
	a := newAssignment(3, []float64{0.7, 0.2, 0.1}, p.collectGroups(s.Samples))
	a.fill()
	greedy := a.distance()
	a.improve()
	if after := a.distance(); after > 0.9*greedy {
		t.Errorf("from %v to %v", greedy, after)
	}
	places, _, _ := p.divideGroups(s.Samples)
	for g, group := range a.groups {
		for _, i := range group.members {
			if places[i] != a.part[g] {
				t.Fatalf("the division has picture %d in %d, not %d", i, places[i], a.part[g])
			}
		}
	}
	for g := range a.groups {
		checkOptimal(t, a, g)
	}
}

// checkOptimal checks that a group cannot move, or swap with an earlier one, with gain.
func checkOptimal(t *testing.T, a *assignment, g int) {
	for to := range a.shares {
		if to != a.part[g] && a.computeChange(g, a.part[g], -1)+a.computeChange(g, to, 1) < -leastGain {
			t.Errorf("group %d should move to %d", g, to)
		}
	}
	for h := range g {
		before := a.distance()
		if a.trySwap(g, h) {
			t.Errorf("groups %d and %d should swap: from %v to %v", g, h, before, a.distance())
		}
		if after := a.distance(); math.Abs(after-before) > 1e-9 {
			t.Fatalf("a swap that was not made changed the distance from %v to %v", before, after)
		}
	}
}

// TestGroupsKeepClassesInTrain checks that a class with one group is in train, whatever the shares.
func TestGroupsKeepClassesInTrain(t *testing.T) {
	s := &Set{Folder: "f"}
	for class := range 12 {
		s.Classes = append(s.Classes, fmt.Sprintf("%02d", class))
		for i := range 5 {
			s.Samples = append(s.Samples, Sample{Path: fmt.Sprintf("f/%d/%d.jpg", class, i), Label: class,
				Group: fmt.Sprint("g", class)})
		}
	}
	s.sort()
	for _, rule := range []SplitRule{{Validation: 0.4, Test: 0.2, Seed: 1}, {Validation: 0.2, Seed: 1, Folds: 3,
		Fold: 2}} {
		splits, _ := whole(s).Divide(rule)
		if n := len(splits.Train.Samples); n != len(s.Samples) {
			t.Errorf("%d of %d pictures are in train", n, len(s.Samples))
		}
	}
}

// TestGroupsThatCannotBeDivided checks the errors for a single group, and for a class of a single
// group.
func TestGroupsThatCannotBeDivided(t *testing.T) {
	s := &Set{Folder: "f", Classes: []string{"a", "b"}}
	for i := range 40 {
		s.Samples = append(s.Samples, Sample{Path: fmt.Sprint(i), Label: i % 2, Group: "one"})
	}
	s.sort()
	if _, err := whole(s).Split(DefaultSplitRule()); !errors.Is(err, ErrTooFew) {
		t.Errorf("one group: %v", err)
	}
	for i := range s.Samples {
		s.Samples[i].Group = fmt.Sprint("g", i/2)
		if s.Samples[i].Label == 1 {
			s.Samples[i].Group = "all of b"
		}
	}
	splits, problems := whole(s).Divide(DefaultSplitRule())
	if err := joinRefused(problems); err != nil {
		t.Fatal(err)
	}
	if n := len(splits.Train.Samples); n < 20 {
		t.Errorf("%d in train", n)
	}
	for _, sample := range append(splits.Validation.Samples, splits.Test.Samples...) {
		if sample.Label == 1 {
			t.Errorf("the only group of b is not in train: %+v", sample)
		}
	}
	if len(problems) != 2 || problems[0].Refused {
		t.Errorf("%+v", problems)
	}
}

// TestFoldErrors checks that errors about folds say what is missing or too large.
func TestFoldErrors(t *testing.T) {
	for _, c := range []struct {
		folds, fold int
		want        string
	}{
		{5, 0, "5 folds need the number of the fold"}, {0, 2, "fold 2 needs the number of folds"},
		{5, 6, "fold 6 of 5"}, {5, -1, "fold -1 of 5"}, {1, 1, "1 fold"}, {5, 5, ""}, {0, 0, ""},
	} {
		r := DefaultSplitRule()
		r.Folds, r.Fold = c.folds, c.fold
		if err := r.Validate(); (err == nil) != (c.want == "") ||
			err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d of %d: %v, want %q", c.fold, c.folds, err, c.want)
		}
	}
}
