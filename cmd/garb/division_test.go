package main

import (
	"strings"
	"testing"

	"garb/dataset"
	"garb/model"
)

// TestDivisionIsSaid: data check prints the class that is farthest from its target share, and
// none if every class has its share.
func TestDivisionIsSaid(t *testing.T) {
	for name, c := range map[string]struct {
		share  [2]float64
		groups int
		want   []string
	}{
		"exact": {[2]float64{0.15, 0.15}, 0, []string{"all pictures split; the target share of each class is " +
			"validation (15.0 %) / test (15.0 %)", "every class has its target share"}},
		"less than is printed": {[2]float64{0.1504, 0.15}, 0, []string{"every class has its target share"}},
		"groups": {[2]float64{0.15, 0.2}, 7, []string{"all pictures split, 7 groups kept together;",
			"farthest from its target share: hat, with 20.0 % instead of 15.0 % in test", "  hat  15.0/20.0 %"}},
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

// TestCheckSaysOne: a count of one has a singular noun.
func TestCheckSaysOne(t *testing.T) {
	var b strings.Builder
	printHealth(&b, &dataset.Health{
		Shift:  &dataset.Shift{},
		Few:    []dataset.ClassCount{{Class: "hat", Count: 1}},
		Exact:  []dataset.Group{{}},
		Groups: &dataset.GroupHealth{Count: 1},
	})
	if text := b.String(); strings.Contains(text, "sizes") || strings.Contains(text, "shift") {
		t.Errorf("it has sizes or a shift of no pictures:\n%s", text)
	}
	for _, want := range []string{"hat has only 1 training picture;", "same bytes  1 group,", "look alike  0 groups,",
		"groups      1 group of"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
}

// TestCheckIsPrintable: names from a data set cannot send escape sequences to a terminal.
func TestCheckIsPrintable(t *testing.T) {
	const name = "a\x1b[31m"
	place := dataset.Place{Path: name + ".jpg", Split: "train", Class: name}
	var b strings.Builder
	printHealth(&b, &dataset.Health{
		Classes:  []string{name},
		Notes:    []string{"the data set is in " + name},
		Problems: []dataset.Problem{{Message: "table " + name}},
		Splits:   []dataset.SplitHealth{{Name: "train", Count: 1, Counts: []int{1}}},
		Few:      []dataset.ClassCount{{Class: name, Count: 1}},
		Exact:    []dataset.Group{{Pictures: []dataset.Place{place, place}}},
		Shift:    &dataset.Shift{Largest: name, Freedom: 1, PValue: 1},
		Division: &dataset.Division{Groups: 1, Classes: []dataset.ClassShare{{Class: name}}},
	})
	if text := b.String(); strings.Contains(text, "\x1b") || strings.Count(text, `a\x1b[31m`) < 8 {
		t.Errorf("%q", text)
	}
}

// TestShowLabelChoices: models show prints how the training merged and chose labels.
func TestShowLabelChoices(t *testing.T) {
	for settings, want := range map[string]string{
		`{"data_options":{"merge":{"polo":"t-shirt","a":"b"},"exclude":["Skip","Not sure"],` +
			`"classes":["b"],"group_by":"sender"}}`: "merged a=b, polo=t-shirt; " +
			"excluded Skip, Not sure; chosen b; grouped by sender",
		`{"data_options":{"group_pattern":"^(.)"}}`: "grouped by ^(.)",
		`{}`: "", ``: "", `[]`: "",
	} {
		var got []string
		for _, choice := range listLabelChoices(&model.Training{Settings: []byte(settings)}) {
			got = append(got, choice[0]+" "+choice[1])
		}
		if text := strings.Join(got, "; "); text != want {
			t.Errorf("%s: %q, want %q", settings, text, want)
		}
	}
}
