package dataset

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// whole is a data set without splits.
func whole(s *Set) *Data {
	grouped := slices.ContainsFunc(s.Samples, func(s Sample) bool { return s.Group != "" })
	return &Data{Path: s.Folder, Classes: s.Classes, Parts: []Part{{"", s}}, Grouped: grouped}
}

// TestDivide: whatever the pictures and the rule, the splits are disjoint, complete,
// stratified to a picture, and the same each time; adding a picture moves few others.
func TestDivide(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := &Set{Folder: "f"}
		for class := range rapid.IntRange(1, 4).Draw(r, "classes") {
			s.Classes = append(s.Classes, fmt.Sprint(class))
			for i := range rapid.IntRange(3, 60).Draw(r, "pictures") {
				s.Samples = append(s.Samples, Sample{Path: fmt.Sprintf("f/%d/%d.jpg", class, i), Label: class})
			}
		}
		s.sort()
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
			r.Fatal("a test split that was not asked for, or none")
		}
		place := map[string]string{}
		for name, part := range map[string]*Set{"train": splits.Train.Set, "validation": splits.Validation,
			"test": splits.Test} {
			if part == nil {
				continue
			}
			counts := make([]int, len(s.Classes))
			for _, sample := range part.Samples {
				if place[sample.Path] != "" {
					r.Fatalf("%s is in %s and %s", sample.Path, place[sample.Path], name)
				}
				place[sample.Path] = name
				counts[sample.Label]++
			}
			for label, n := range counts {
				all := 0
				for _, sample := range s.Samples {
					if sample.Label == label {
						all++
					}
				}
				share := map[string]float64{"train": 1 - rule.Validation - rule.Test, "validation": rule.Validation,
					"test": rule.Test}[name]
				if n == 0 || float64(n) > share*float64(all)+2 || float64(n) < share*float64(all)-2 {
					r.Fatalf("%d of %d pictures of class %d in %s, a share of %v", n, all, label, name, share)
				}
			}
		}
		if len(place) != len(s.Samples) {
			r.Fatalf("%d of %d pictures are in a split", len(place), len(s.Samples))
		}
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
		for name, part := range map[string]*Set{"train": after.Train.Set, "validation": after.Validation,
			"test": after.Test} {
			if part == nil {
				continue
			}
			for _, sample := range part.Samples {
				if before := place[sample.Path]; before != "" && before != name {
					moved++
				}
			}
		}
		if moved > 3 {
			r.Fatalf("a new picture moved %d others", moved)
		}
	})
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
			t.Errorf("%+v was taken", rule)
		}
	}
}

// partOf tells in which split each picture is; a picture in two is an error.
func partOf(t interface{ Fatalf(string, ...any) }, s *Splits) map[string]string {
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

// TestFolds: every picture that is not test is validation in exactly one fold, and the
// test split is the same for all folds; classes are spread evenly.
func TestFolds(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := &Set{Folder: "f"}
		folds := rapid.IntRange(2, 6).Draw(r, "folds")
		grouped := rapid.Bool().Draw(r, "grouped")
		for class := range rapid.IntRange(1, 4).Draw(r, "classes") {
			s.Classes = append(s.Classes, fmt.Sprint(class))
			for i := range rapid.IntRange(12, 60).Draw(r, "pictures") {
				sample := Sample{Path: fmt.Sprintf("f/%d/%d.jpg", class, i), Label: class}
				if grouped {
					sample.Group = fmt.Sprint("g", rapid.IntRange(0, 30).Draw(r, "group"))
				}
				s.Samples = append(s.Samples, sample)
			}
		}
		s.sort()
		rule := SplitRule{Validation: 0.15, Test: rapid.SampledFrom([]float64{0, 0.2}).Draw(r, "test"), Seed: 3,
			Folds: folds}
		validated, tested := map[string]int{}, ""
		for fold := range folds {
			rule.Fold = fold + 1
			splits, problems := whole(s).Divide(rule)
			if !grouped && refused(problems) != nil {
				r.Fatal(problems)
			}
			in := partOf(r, splits)
			if len(in) != len(s.Samples) {
				r.Fatalf("%d of %d pictures are in a split", len(in), len(s.Samples))
			}
			test := ""
			for _, sample := range s.Samples {
				switch in[sample.Path] {
				case Validation:
					validated[sample.Path]++
				case Test:
					test += sample.Path + " "
				}
			}
			if fold > 0 && test != tested {
				r.Fatal("the test split differs between folds")
			}
			tested = test
			if d := splits.Division; d.Rule.Fold != fold+1 || (d.Groups > 0) != grouped {
				r.Fatalf("%+v", d)
			}
		}
		if grouped {
			return // a class of one group stays in train
		}
		test := strings.Count(tested, " ")
		if len(validated) != len(s.Samples)-test {
			r.Fatalf("%d pictures were validation, of %d that are not test", len(validated), len(s.Samples)-test)
		}
		for path, n := range validated {
			if n != 1 {
				r.Fatalf("%s was validation %d times", path, n)
			}
		}
	})
}

// TestFoldsOfFewGroups: the test split is the same for all folds where a class has no group
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

// TestGroups: no group is in two splits, the same division comes out each time, other
// seeds give others, and where groups are small each class is near its share.
func TestGroups(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := &Set{Folder: "f", Classes: []string{"a", "b", "c"}}
		n := rapid.IntRange(60, 400).Draw(r, "pictures")
		groups := rapid.IntRange(2, 60).Draw(r, "groups")
		for i := range n {
			s.Samples = append(s.Samples, Sample{
				Path: fmt.Sprintf("f/%d.jpg", i), Label: rapid.IntRange(0, 2).Draw(r, "class"),
				Group: rapid.SampledFrom([]string{"",
					fmt.Sprint(rapid.IntRange(0, groups-1).Draw(r, "group"))}).Draw(r,
					"grouped"),
			})
		}
		s.sort()
		d := whole(s)
		d.Grouped = true
		rule := DefaultSplitRule()
		splits, _ := d.Divide(rule)
		in := partOf(r, splits)
		of := map[string]string{}
		for _, sample := range s.Samples {
			if sample.Group == "" {
				continue
			}
			if before := of[sample.Group]; before != "" && before != in[sample.Path] {
				r.Fatalf("group %s is in %s and %s", sample.Group, before, in[sample.Path])
			}
			of[sample.Group] = in[sample.Path]
		}
		again, _ := d.Divide(rule)
		if !slices.Equal(again.Validation.Samples, splits.Validation.Samples) || !slices.Equal(again.Train.Samples,
			splits.Train.Samples) {
			r.Fatal("another division of the same pictures")
		}
		if len(in) != n {
			r.Fatalf("%d of %d pictures are in a split", len(in), n)
		}
	})
	s := &Set{Folder: "f", Classes: []string{"a", "b", "rare"}}
	for i := range 2000 {
		s.Samples = append(s.Samples,
			Sample{Path: fmt.Sprintf("f/%04d.jpg", i), Label: []int{0, 0, 0, 1, 1, 0, 1, 0, 0,
				2}[i%10], Group: fmt.Sprint("g", i*i%397)})
	}
	s.sort()
	rule := SplitRule{Validation: 0.2, Test: 0.1, Seed: 1}
	splits, err := whole(s).Split(rule)
	if err != nil {
		t.Fatal(err)
	}
	for _, class := range splits.Division.Classes {
		for i, wanted := range []float64{0.2, 0.1} {
			if difference := class.Share[i] - wanted; difference < -0.02 || difference > 0.02 {
				t.Errorf("class %s: shares %v", class.Class, class.Share)
			}
		}
	}
	if class, split, got, wanted := splits.Division.Farthest(); class.Class == "" || split == "" || got == 0 ||
		wanted == 0 {
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

// TestGroupsImprove: after the greedy start, no group can move, and no two can swap, with
// gain.
func TestGroupsImprove(t *testing.T) {
	s := &Set{Folder: "f", Classes: []string{"a", "b", "c"}}
	for i := range 600 {
		s.Samples = append(s.Samples,
			Sample{Path: fmt.Sprintf("f/%04d.jpg", i), Label: i % 7 % 3, Group: fmt.Sprint("g",
				i*i%61)})
	}
	p := &division{rule: SplitRule{Validation: 0.2, Test: 0.1, Seed: 4}, classes: s.Classes, wantTest: true}
	a := newAssignment(3, []float64{0.7, 0.2, 0.1}, p.groups(s.Samples))
	a.fill()
	distance := func() float64 {
		sum := 0.0
		for part, counts := range a.counts {
			for class, n := range counts {
				d := n - a.shares[part]*a.totals[class]
				sum += d * d / a.totals[class]
			}
		}
		return sum
	}
	greedy := distance()
	a.improve()
	if after := distance(); after > 0.9*greedy {
		t.Errorf("from %v to %v", greedy, after)
	}
	places, _, _ := p.byGroup(s.Samples)
	for g, group := range a.groups {
		for _, i := range group.members {
			if places[i] != a.part[g] {
				t.Fatalf("the division has picture %d in %d, not %d", i, places[i], a.part[g])
			}
		}
	}
	for g := range a.groups {
		for to := range a.shares {
			if to != a.part[g] && a.change(g, a.part[g], -1)+a.change(g, to, 1) < -leastGain {
				t.Errorf("group %d should move to %d", g, to)
			}
		}
		for h := range g {
			before := distance()
			if a.swap(g, h) {
				t.Errorf("groups %d and %d should swap: from %v to %v", g, h, before, distance())
			}
			if after := distance(); after > before+1e-9 || after < before-1e-9 {
				t.Fatalf("a swap that was not done changed the distance from %v to %v", before, after)
			}
		}
	}
}

// TestGroupsKeepClassesInTrain: a class of one group is in train, whatever the shares.
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

// TestGroupsThatCannotBeDivided: one group for all, and a class of one group.
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
	if err := refused(problems); err != nil {
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

// TestFoldErrors: what is wrong with folds is said by what is missing or too large.
func TestFoldErrors(t *testing.T) {
	for _, c := range []struct {
		folds, fold int
		want        string
	}{
		{5, 0, "5 folds: give the number of the one"}, {0, 2, "fold 2: give the number of folds"},
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
