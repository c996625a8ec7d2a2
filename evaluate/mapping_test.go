package evaluate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"garb/dataset"
	"garb/picture"
)

func TestMapClasses(t *testing.T) {
	model := []string{"dress", "long sleeve", "Polo", "polo", "t-shirt", "été", "x-1", "x1", "!!!", "---"}
	for _, c := range []struct {
		class, to string
		ambiguous []string
	}{
		{class: "t-shirt", to: "t-shirt"},
		{class: "T-Shirt", to: "t-shirt"},
		{class: "T Shirt", to: "t-shirt"},
		{class: "t_shirt", to: "t-shirt"},
		{class: "tshirt", to: "t-shirt"},
		{class: " t-shirt\t", to: "t-shirt"},
		{class: "LongSleeve", to: "long sleeve"},
		{class: "polo", to: "polo"}, // exactly, though another differs in case alone
		{class: "Polo", to: "Polo"},
		{class: "POLO", ambiguous: []string{"Polo", "polo"}},
		{class: "X-1", to: "x-1"}, // by case, though punctuation would allow another
		{class: "X1", to: "x1"},
		{class: "x_1", ambiguous: []string{"x-1", "x1"}},
		{class: "ÉTÉ", to: "été"},
		{class: "e\u0301te\u0301", to: "été"}, // another form of Unicode
		{class: "t-shirts"},
		{class: "!!!", to: "!!!"},
		{class: "???"}, // names without letters are only themselves
		{class: ""},
		{class: "\xff"},
	} {
		m, err := MapClasses([]string{c.class}, model)
		var e *UnknownClassesError
		if unknown := errors.As(err, &e); m.To[0] != c.to || unknown != (c.to == "") {
			t.Errorf("%q is %q, %v; want %q", c.class, m.To[0], err, c.to)
		} else if unknown && (e.Unknown[0].Class != c.class || !slices.Equal(e.Unknown[0].Ambiguous, c.ambiguous)) {
			t.Errorf("%q: %+v, want ambiguous %q", c.class, e.Unknown[0], c.ambiguous)
		}
		if renamed := c.to != "" && c.to != c.class; len(m.Renamed) > 0 != renamed {
			t.Errorf("%q: renamed %v", c.class, m.Renamed)
		}
	}
}

// All unknown classes are in one error, with those hints that help.
func TestUnknownClasses(t *testing.T) {
	model := []string{"dress", "hat", "longsleeve", "t-shirt"}
	data := []string{"Hats", "Not sure", "dress", "longsleve", "\x1b[2J"}
	m, err := MapClasses(data, model)
	var e *UnknownClassesError
	if !errors.As(err, &e) || len(e.Unknown) != 4 {
		t.Fatalf("%v", err)
	}
	for i, want := range [][]string{{"hat"}, nil, {"longsleeve"}, nil} {
		if !slices.Equal(e.Unknown[i].Closest, want) {
			t.Errorf("%q: closest %q, want %q", e.Unknown[i].Class, e.Unknown[i].Closest, want)
		}
	}
	for _, want := range []string{`"Hats" (close to "hat")`, `"Not sure"`, `"longsleve" (close to "longsleeve")`,
		`"\x1b[2J"`, `it knows "dress", "hat"`, "4 classes"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %s", err, want)
		}
	}
	if strings.Contains(err.Error(), "--") {
		t.Errorf("a library's error names a flag: %v", err)
	}
	if m.To[2] != "dress" {
		t.Errorf("the mapping of the others: %q", m.To)
	}
	if _, err := MapClasses([]string{"crane"}, []string{"crane", "crane"}); err != nil {
		t.Errorf("a name that the model has twice: %v", err)
	}
}

// However many and long the names are, hints take bounded work.
func TestUnknownClassesOfAMess(t *testing.T) {
	var data, model []string
	for i := range 5000 {
		data = append(data, fmt.Sprint("sender", i))
		model = append(model, fmt.Sprint("class", i))
	}
	data = append(data, strings.Repeat("x", 1<<20))
	_, err := MapClasses(data, model)
	var e *UnknownClassesError
	if !errors.As(err, &e) || len(e.Unknown) != len(data) || !strings.Contains(err.Error(), "and 4980 more") {
		t.Errorf("%T", err)
	}
}

// Whatever the names, a class goes to one that is the same but for case and punctuation,
// or is in the error; never to two.
func TestMapClassesProperty(t *testing.T) {
	letters := func(s string) string {
		return strings.Map(func(r rune) rune {
			if unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r) {
				return r
			}
			return -1
		}, strings.ToLower(s))
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[aAbB_\- ]{0,4}`)
		data, model := rapid.SliceOf(name).Draw(t, "data"),
			rapid.SliceOf(rapid.StringMatching(`[aAbB_\- ]{1,4}`)).Draw(t,
				"model")
		m, err := MapClasses(data, model)
		var e *UnknownClassesError
		if !errors.As(err, &e) {
			e = &UnknownClassesError{}
		}
		unknown := 0
		for i, class := range data {
			exact := slices.Contains(model, class)
			switch to := m.To[i]; {
			case to == "" && !exact:
				unknown++
			case exact && to != class:
				t.Fatalf("%q is known exactly, and became %q", class, to)
			case !slices.Contains(model, to) || letters(to) != letters(class):
				t.Fatalf("%q became %q", class, to)
			}
		}
		if unknown != len(e.Unknown) {
			t.Fatalf("%d classes are unknown, and the error has %d", unknown, len(e.Unknown))
		}
	})
}

func TestApply(t *testing.T) {
	s := &dataset.Set{Folder: "f", Classes: []string{"Hat", "Not sure", "hat", "shoes"}, Samples: []dataset.Sample{
		{Path: "1", Label: 0}, {Path: "2", Label: 1}, {Path: "3", Label: 2}, {Path: "4", Label: 1},
		{Path: "5", Label: 3},
	}}
	m, err := MapClasses(s.Classes, []string{"dress", "hat", "shoes"})
	if err == nil {
		t.Fatal("no error")
	}
	got := m.Apply(s)
	want := []dataset.Sample{{Path: "1", Label: 0}, {Path: "3", Label: 0}, {Path: "5", Label: 1}}
	if !slices.Equal(got.Classes, []string{"hat", "shoes"}) || !slices.Equal(got.Samples, want) || got.Folder != "f" {
		t.Errorf("%+v", got)
	}
	if !slices.Equal(m.Ignored, []Ignored{{"Not sure", 2}}) || !slices.Equal(m.Renamed, []Renaming{{"Hat", "hat"}}) {
		t.Errorf("%+v", m)
	}
	if got, want := m.LeftOut(),
		`2 pictures of classes that the model does not know are left out: "Not sure" (2)`; got != want {
		t.Error(got)
	}
	if notes := m.Notes(); len(notes) != 1 || notes[0] != `the data set's "Hat" and "hat" are the model's "hat"` {
		t.Errorf("%q", notes)
	}
	if len(s.Classes) != 4 || len(s.Samples) != 5 || s.Samples[2].Label != 2 {
		t.Error("the set itself has changed")
	}
	m.Ignore("Hat", "hat")
	if got := m.Apply(s); !slices.Equal(got.Classes, []string{"shoes"}) || len(got.Samples) != 1 ||
		len(m.Ignored) != 3 || len(m.Renamed) != 0 {
		t.Errorf("%+v, %+v", got, m)
	}
	same, err := MapClasses(s.Classes, s.Classes)
	if err != nil || same.Apply(s) != s || same.LeftOut() != "" || len(same.Notes()) > 0 {
		t.Errorf("the same names: %v, %+v", err, same)
	}
	defer func() {
		if recover() == nil {
			t.Error("a mapping of other classes was applied")
		}
	}()
	same.Apply(&dataset.Set{Classes: []string{"a"}})
}

// Two classifiers that spell a class differently are compared; other labels are not.
func TestCompareOtherSpelling(t *testing.T) {
	s := set(t, map[string]string{"T-Shirt/1": "t-shirt", "T-Shirt/2": "hat", "hat/1": "hat"})
	other := set(t, map[string]string{"T-Shirt/1": "T-Shirt", "T-Shirt/2": "hat", "hat/1": "hat"})
	run := func(s *dataset.Set, classes ...string) *Report {
		m, err := MapClasses(s.Classes, classes)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Run(t.Context(), fake{classes}, m.Apply(s), picture.DefaultLimits(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	a := run(s, "hat", "t-shirt")
	b := run(s, "T-Shirt", "hat")
	c, err := Compare(a, b)
	if err != nil || c.Count != 3 || c.OnlyA != 1 || c.Both != 1 {
		t.Errorf("%v, %+v", err, c)
	}
	if _, err := Compare(a, run(other, "hat", "t-shirt")); err == nil {
		t.Error("other pictures were compared")
	}
	relabelled := *s
	relabelled.Classes = []string{"dress", "hat"}
	if _, err := Compare(a, run(&relabelled, "dress", "hat", "t-shirt")); err == nil {
		t.Error("other labels were compared")
	}
}

func TestWrong(t *testing.T) {
	s := set(t, map[string]string{"hat/1": "hat", "hat/2": "shoes", "shoes/1": "error", "shoes/2": "hat"})
	r, err := Run(t.Context(), fake{[]string{"hat", "shoes", "dress"}}, s, picture.DefaultLimits(), nil)
	if err != nil || len(r.Wrong) != 2 {
		t.Fatalf("%v, %+v", err, r.Wrong)
	}
	want := []Wrong{{s.Samples[1].Path, "hat", "shoes", 0.75, 0.125}, {s.Samples[3].Path, "shoes", "hat", 0.75, 0.125}}
	if !slices.Equal(r.Wrong, want) {
		t.Errorf("%+v", r.Wrong)
	}
}
