package main

import (
	"strings"
	"testing"

	"garb/dataset"
)

// TestDivisionIsSaid: a division says how near the classes came to their shares, and
// names none as farthest where each has its share.
func TestDivisionIsSaid(t *testing.T) {
	for name, c := range map[string]struct {
		share  [2]float64
		groups int
		want   []string
	}{
		"exact": {[2]float64{0.15, 0.15}, 0, []string{"all pictures divided; the share of each class should be: " +
			"validation (15.0 %) / test (15.0 %)", "each class has its share"}},
		"less than is printed": {[2]float64{0.1504, 0.15}, 0, []string{"each class has its share"}},
		"groups": {[2]float64{0.15, 0.2}, 7, []string{"all pictures divided, 7 groups kept together;",
			"farthest from its share: hat, 20.0 % instead of 15.0 % in test", "  hat  15.0/20.0 %"}},
	} {
		d := &dataset.Division{Pooled: "all pictures", Groups: c.groups, Wanted: [2]float64{0.15, 0.15},
			Classes: []dataset.ClassShare{{Class: "hat", Count: 20, Share: c.share}}}
		var b strings.Builder
		printDivision(&b, &dataset.Health{Division: d})
		for _, want := range c.want {
			if !strings.Contains(b.String(), want+"\n") && !strings.HasPrefix(b.String(), want) {
				t.Errorf("%s: %q lacks %q", name, b.String(), want)
			}
		}
	}
}

// TestCheckSaysOne: where there is one of a thing, its noun is singular.
func TestCheckSaysOne(t *testing.T) {
	var b strings.Builder
	printHealth(&b, &dataset.Health{
		Few:    []dataset.ClassCount{{Class: "hat", Count: 1}},
		Exact:  []dataset.Group{{}},
		Groups: &dataset.GroupHealth{Count: 1},
	})
	for _, want := range []string{"hat has 1 training picture;", "same bytes  1 group,", "look alike  0 groups,", "groups      1 group of"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
}
