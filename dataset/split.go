package dataset

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
)

// SplitRule says how a folder without splits is divided.
type SplitRule struct {
	Validation float64 `json:"validation"` // share of each class's pictures
	Test       float64 `json:"test"`       // share of each class's pictures; 0: there is no test split
	Seed       uint64  `json:"seed"`
}

// DefaultSplitRule takes 15 % for validation and 15 % for test.
func DefaultSplitRule() SplitRule { return SplitRule{Validation: 0.15, Test: 0.15, Seed: 1} }

// Validate reports shares that leave nothing to train on.
func (r SplitRule) Validate() error {
	if !(r.Validation > 0) || !(r.Test >= 0) || !(r.Validation+r.Test < 1) {
		return fmt.Errorf("shares of %v for validation and %v for test: the first is positive, and both together are below 1", r.Validation, r.Test)
	}
	return nil
}

// ErrTooFew is wrapped by errors about classes that cannot be divided.
var ErrTooFew = errors.New("too few pictures to divide")

// divide splits a set, each class by itself: of its pictures in an order drawn by the
// seed and each file's name, the first are the test's, the next validation's. So most
// pictures stay where they are when others are added. Every class has at least one
// picture in each split.
func (r SplitRule) divide(s *Set) (*Splits, error) {
	if err := r.Validate(); err != nil {
		return nil, fmt.Errorf("data set %s: %w", s.Folder, err)
	}
	part := func() *Set { return &Set{Folder: s.Folder, Classes: s.Classes} }
	splits := &Splits{Train: Training{part()}, Validation: part()}
	if r.Test > 0 {
		splits.Test = part()
	}
	for label, class := range s.Classes {
		var samples []Sample
		for _, sample := range s.Samples {
			if sample.Label == label {
				samples = append(samples, sample)
			}
		}
		slices.SortFunc(samples, func(a, b Sample) int { return strings.Compare(r.rank(a), r.rank(b)) })
		take := func(share float64) int { return max(1, int(math.Round(share*float64(len(samples))))) }
		test, validation := 0, take(r.Validation)
		if r.Test > 0 {
			test = take(r.Test)
		}
		if test+validation >= len(samples) {
			return nil, fmt.Errorf("data set %s: the class %s has %d pictures: %w; each split needs one at least", s.Folder, class, len(samples), ErrTooFew)
		}
		if splits.Test != nil {
			splits.Test.Samples = append(splits.Test.Samples, samples[:test]...)
		}
		splits.Validation.Samples = append(splits.Validation.Samples, samples[test:test+validation]...)
		splits.Train.Samples = append(splits.Train.Samples, samples[test+validation:]...)
	}
	for _, set := range []*Set{splits.Train.Set, splits.Validation, splits.Test} {
		if set != nil {
			set.sort()
		}
	}
	return splits, nil
}

// rank is a sample's place in the drawn order.
func (r SplitRule) rank(s Sample) string {
	return fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%d %s", r.Seed, filepath.Base(s.Path))))
}

// sort puts samples in the order that a Set has: by class, then path.
func (s *Set) sort() {
	slices.SortFunc(s.Samples, func(a, b Sample) int {
		if a.Label != b.Label {
			return a.Label - b.Label
		}
		return strings.Compare(a.Path, b.Path)
	})
}
