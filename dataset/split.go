package dataset

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
)

// SplitRule says how pictures are divided into splits.
type SplitRule struct {
	Validation float64 `json:"validation"` // share of each class's pictures
	Test       float64 `json:"test"`       // share of each class's pictures; 0 means no test split
	Seed       uint64  `json:"seed"`
	// Folds is the number of folds of a cross-validation, or 0. Fold, from 1 to Folds, is the
	// fold that is the validation split; the others are the train split. Then Validation has
	// no effect, and the test split is the same for all folds.
	Folds int `json:"folds,omitempty"`
	Fold  int `json:"fold,omitempty"`
}

// DefaultSplitRule returns the rule that takes 15 % for validation and 15 % for test.
func DefaultSplitRule() SplitRule { return SplitRule{Validation: 0.15, Test: 0.15, Seed: 1} }

// maxFolds is the largest number of folds.
const maxFolds = 1000

// Validate returns an error if the shares leave nothing to train on, or the folds are invalid.
func (r SplitRule) Validate() error {
	if !(r.Validation > 0) || !(r.Test >= 0) || !(r.Validation+r.Test < 1) {
		return fmt.Errorf("the shares are %v for validation and %v for test; the first must be positive, and both "+
			"together below 1", r.Validation, r.Test)
	}
	switch {
	case r.Folds == 0 && r.Fold == 0:
		return nil
	case r.Folds == 0:
		return fmt.Errorf("fold %d needs the number of folds", r.Fold)
	case r.Folds < 2 || r.Folds > maxFolds:
		return fmt.Errorf("%d %s: a cross-validation has between 2 and %d", r.Folds, plural(r.Folds, "fold"), maxFolds)
	case r.Fold < 1 || r.Fold > r.Folds:
		if r.Fold == 0 {
			return fmt.Errorf("%d folds need the number of the fold that is validation, from 1 to %d", r.Folds, r.Folds)
		}
		return fmt.Errorf("fold %d of %d: folds are numbered from 1", r.Fold, r.Folds)
	}
	return nil
}

// ErrTooFew is wrapped by errors about classes that cannot be divided.
var ErrTooFew = errors.New("too few pictures to divide")

// Training is a set to train on. It is a type of its own so that only training pictures can be
// augmented: package augment takes a Training.
type Training struct{ *Set }

// Splits are the parts of a data set: a network is trained on the first, selected by the second and
// tested on the third. Test may be nil.
type Splits struct {
	Train            Training
	Validation, Test *Set
	// Division says how pictures were divided; nil if the data set has splits of its own.
	Division *Division
}

// Division says how pictures were divided.
type Division struct {
	Rule    SplitRule    `json:"rule"`
	Pooled  string       `json:"pooled"`  // what was divided: "all pictures", "train", "train and validation"
	Groups  int          `json:"groups"`  // 0 without groups
	Wanted  [2]float64   `json:"wanted"`  // the shares of validation and test; 0 for none
	Classes []ClassShare `json:"classes"` // how close each class came
}

// ClassShare says how the pictures of a class were divided.
type ClassShare struct {
	Class string     `json:"class"`
	Count int        `json:"count"`
	Share [2]float64 `json:"share"` // in validation and test
}

// Farthest returns the class whose share of a split differs most from the wanted one, with the
// split, its share and the wanted share.
func (d *Division) Farthest() (c ClassShare, split string, got, wanted float64) {
	largest := -1.0
	for _, s := range d.Classes {
		for i, name := range []string{Validation, Test} {
			if difference := math.Abs(s.Share[i] - d.Wanted[i]); difference > largest {
				largest = difference
				c, split, got, wanted = s, name, s.Share[i], d.Wanted[i]
			}
		}
	}
	return c, split, got, wanted
}

// Split returns the splits of the data set: its own, or those that the rule makes. It returns an
// error for everything because of which training refuses the data set.
func (d *Data) Split(rule SplitRule) (*Splits, error) {
	if err := rule.Validate(); err != nil {
		return nil, fmt.Errorf("data set %s: %w", d.Path, err)
	}
	if err := d.Err(); err != nil {
		return nil, err
	}
	s, problems := d.Divide(rule)
	if err := joinRefused(problems); err != nil {
		return nil, err
	}
	return s, nil
}

// Divide returns splits as Split does, and what is wrong with them. Classes that cannot be divided
// stay in train.
//
// Splits that the data set has stay as they are, except that folds divide train and validation
// together. If the data set has no validation split, Divide takes one from train; if it has no
// test split either, that too. Without groups, each class is divided separately: its pictures, in
// an order drawn from the seed and the files' names, go first to test, then to validation. So most
// pictures keep their split when others are added. With groups, whole groups are divided, so that
// the classes' shares come close to the wanted ones.
func (d *Data) Divide(rule SplitRule) (*Splits, []Problem) {
	part := func(name string) *Set { return d.Part(name) }
	empty := func() *Set { return &Set{Folder: d.Path, Classes: d.Classes} }
	pool, pooled := part(""), "all pictures"
	divided := &Splits{Train: Training{part(Train)}, Validation: part(Validation), Test: part(Test)}
	wantTest := rule.Test > 0 && divided.Test == nil && divided.Validation == nil
	if pool == nil {
		pool, pooled = part(Train), Train
		switch {
		case pool == nil:
			return &Splits{Train: Training{empty()}, Validation: cmp.Or(part(Validation), empty()), Test: part(Test)},
				[]Problem{{ProblemLayout, fmt.Sprintf("%s has no train split", d.Path), true, nil}}
		case rule.Folds > 0 && divided.Validation != nil:
			pooled = Train + " and " + Validation
			pool = &Set{Folder: d.Path, Classes: d.Classes, Samples: append(slices.Clone(pool.Samples),
				divided.Validation.Samples...)}
			pool.sort()
		case divided.Validation != nil:
			return divided, d.findMissingClasses(divided)
		}
	}
	v := &divider{rule: rule, classes: d.Classes, folder: d.Path, wantTest: wantTest}
	var places []int
	var problems []Problem
	groups := 0
	if d.Grouped {
		places, groups, problems = v.divideGroups(pool.Samples)
	} else {
		places, problems = v.divideClasses(pool.Samples)
	}
	sets := []*Set{inTrain: empty(), inValidation: empty(), inTest: empty()}
	for i, s := range pool.Samples {
		sets[places[i]].Samples = append(sets[places[i]].Samples, s)
	}
	for _, set := range sets {
		set.sort()
	}
	divided.Train, divided.Validation = Training{sets[inTrain]}, sets[inValidation]
	if wantTest {
		divided.Test = sets[inTest]
	}
	divided.Division = v.report(pool, places, pooled, groups)
	return divided, append(problems, d.findMissingClasses(divided)...)
}

// findMissingClasses returns the problems with classes that have no picture in a split.
func (d *Data) findMissingClasses(s *Splits) []Problem {
	var problems []Problem
	names := func(set *Set) []string {
		counts := make([]int, len(d.Classes))
		for _, sample := range set.Samples {
			counts[sample.Label]++
		}
		var missing []string
		for i, n := range counts {
			if n == 0 {
				missing = append(missing, d.Classes[i])
			}
		}
		return missing
	}
	if missing := names(s.Train.Set); len(missing) > 0 {
		message := fmt.Sprintf("train has no pictures of %s", quoteNames(missing))
		problems = append(problems, Problem{ProblemClasses, message, true, nil})
	}
	for _, part := range []struct {
		name string
		set  *Set
	}{{Validation, s.Validation}, {Test, s.Test}} {
		if part.set == nil {
			continue
		}
		if len(part.set.Samples) == 0 {
			problems = append(problems, Problem{ProblemDivision, part.name + " has no pictures", true, ErrTooFew})
		} else if missing := names(part.set); len(missing) > 0 {
			message := fmt.Sprintf("%s has no pictures of %s", part.name, quoteNames(missing))
			problems = append(problems, Problem{ProblemClasses, message, false, nil})
		}
	}
	return problems
}

// The splits that a picture may be assigned to.
const (
	inTrain = iota
	inValidation
	inTest
)

// divider divides pictures into splits.
type divider struct {
	rule     SplitRule
	classes  []string
	folder   string
	wantTest bool
}

// testShare returns the share of the test split, or 0 if there is none.
func (p *divider) testShare() float64 {
	if p.wantTest {
		return p.rule.Test
	}
	return 0
}

// divideClasses divides each class separately, and returns the split of each sample.
func (p *divider) divideClasses(samples []Sample) (places []int, problems []Problem) {
	places = make([]int, len(samples))
	byLabel := make([][]int, len(p.classes))
	for i, s := range samples {
		byLabel[s.Label] = append(byLabel[s.Label], i)
	}
	for label, members := range byLabel {
		if len(members) == 0 {
			continue
		}
		order := p.drawOrder(samples, members)
		n := len(order)
		take := func(share float64) int { return max(1, int(math.Round(share*float64(n)))) }
		test := 0
		if p.wantTest {
			test = take(p.rule.Test)
		}
		low := test // the validation pictures are order[low:high]
		high := test + take(p.rule.Validation)
		needed := high + 1
		if k := p.rule.Folds; k > 0 {
			// Each class gives the surplus pictures to other folds.
			needed = test + 2
			left, fold := n-test, (p.rule.Fold-1+label)%k
			low, high = test+fold*left/k, test+(fold+1)*left/k
		}
		if n < needed {
			problems = append(problems, Problem{ProblemDivision,
				fmt.Sprintf("the class %q has %d %s: %v; each split needs at least one",
					p.classes[label], n, plural(n, "picture"), ErrTooFew), true, ErrTooFew})
			continue
		}
		for i, at := range order {
			switch {
			case i < test:
				places[at] = inTest
			case i >= low && i < high:
				places[at] = inValidation
			}
		}
	}
	return places, problems
}

// drawOrder returns members in an order drawn from the seed and the files' names.
func (p *divider) drawOrder(samples []Sample, members []int) []int {
	keys := make(map[int]string, len(members))
	for _, i := range members {
		keys[i] = p.rule.rank(filepath.Base(samples[i].Path))
	}
	order := slices.Clone(members)
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(strings.Compare(keys[a], keys[b]), strings.Compare(samples[a].Path, samples[b].Path))
	})
	return order
}

// rank returns a key by which names are in random order.
func (r SplitRule) rank(name string) string {
	return fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%d %s", r.Seed, name)))
}

// report says how close each class came to its shares.
func (p *divider) report(pool *Set, places []int, pooled string, groups int) *Division {
	d := &Division{Rule: p.rule, Pooled: pooled, Groups: groups}
	d.Wanted[1] = p.testShare()
	d.Wanted[0] = p.rule.Validation
	if k := p.rule.Folds; k > 0 {
		d.Wanted[0] = (1 - d.Wanted[1]) / float64(k)
	}
	counts := make([][3]int, len(p.classes))
	for i, s := range pool.Samples {
		counts[s.Label][places[i]]++
	}
	for label, c := range counts {
		n := c[inTrain] + c[inValidation] + c[inTest]
		if n == 0 {
			continue
		}
		d.Classes = append(d.Classes, ClassShare{p.classes[label], n,
			[2]float64{float64(c[inValidation]) / float64(n), float64(c[inTest]) / float64(n)}})
	}
	return d
}

// sort sorts the samples by class, then path.
func (s *Set) sort() {
	slices.SortFunc(s.Samples, func(a, b Sample) int {
		return cmp.Or(a.Label-b.Label, strings.Compare(a.Path, b.Path))
	})
}
