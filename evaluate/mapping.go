package evaluate

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"garb/dataset"
)

// Mapping says which class of a model each class of a data set is.
type Mapping struct {
	// To holds the model's name of each class of the data set, in the data set's order; ""
	// for a class that the model does not know.
	To []string `json:"-"`
	// Renamed are the classes that the model knows by another name.
	Renamed []Renaming `json:"renamed,omitempty"`
	// Ignored are the classes whose pictures Apply left out.
	Ignored []Ignored `json:"ignored,omitempty"`

	classes []string // of the data set
}

// Renaming is a class that a data set and a model name differently.
type Renaming struct {
	Class string `json:"class"` // in the data set
	To    string `json:"to"`    // in the model
}

// Ignored is a class of a data set that a model does not know.
type Ignored struct {
	Class    string `json:"class"`
	Pictures int    `json:"pictures"` // that were left out
}

// UnknownClass is a class of a data set that is none of a model's, or could be
// several.
type UnknownClass struct {
	Class string
	// Ambiguous are the model's classes that all have this name but for case and
	// punctuation; nil if there is none.
	Ambiguous []string
	// Closest are up to three of the model's classes that are spelled similarly, the
	// closest first. They are hints: nothing is mapped to them.
	Closest []string
}

// UnknownClassesError says that a data set has classes that a model does not know.
type UnknownClassesError struct {
	Unknown []UnknownClass // all of them, in the data set's order
	Known   []string       // the model's classes
}

// shownKnown is the number of the model's classes that an error lists.
const shownKnown = 20

func (e *UnknownClassesError) Error() string {
	var all []string
	for _, u := range e.Unknown {
		text := fmt.Sprintf("%q", u.Class)
		switch {
		case len(u.Ambiguous) > 0:
			text += fmt.Sprintf(" (could be %s)", quotedList(u.Ambiguous, "or"))
		case len(u.Closest) > 0:
			text += fmt.Sprintf(" (close to %s)", quotedList(u.Closest, "and"))
		}
		all = append(all, text)
	}
	noun := "classes"
	if len(all) == 1 {
		noun = "class"
	}
	text := fmt.Sprintf("the model does not know %d %s of the data set: ", len(all), noun)
	text += strings.Join(all, ", ") + "; it knows "
	for i, class := range e.Known[:min(len(e.Known), shownKnown)] {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%q", class)
	}
	if more := len(e.Known) - shownKnown; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// quotedList writes words as a sentence does: "a", "b" and "c".
func quotedList(words []string, conjunction string) string {
	text := ""
	for i, w := range words {
		switch {
		case i == 0:
		case i == len(words)-1:
			text += " " + conjunction + " "
		default:
			text += ", "
		}
		text += fmt.Sprintf("%q", w)
	}
	return text
}

// MapClasses finds the class of a model that each class of a data set is: the one of
// exactly that name; otherwise the only one that differs in letter case and spaces
// around it alone; otherwise the only one with the same letters and digits, so that
// "T-Shirt", "t shirt" and "t_shirt" are "t-shirt". Several classes of the data set may be
// one class of the model.
//
// If there are classes that the model does not know, the error is an
// *UnknownClassesError that has all of them, and the mapping is that of the others.
func MapClasses(data, model []string) (Mapping, error) {
	m := Mapping{To: make([]string, len(data)), classes: slices.Clone(data)}
	known := map[string]bool{}
	byCase, byLetters := map[string][]string{}, map[string][]string{}
	for _, class := range model {
		if known[class] {
			continue // ImageNet has two classes of one name
		}
		known[class] = true
		byCase[foldCase(class)] = append(byCase[foldCase(class)], class)
		if letters := lettersOf(class); letters != "" {
			byLetters[letters] = append(byLetters[letters], class)
		}
	}
	var unknown []UnknownClass
	for i, class := range data {
		if known[class] {
			m.To[i] = class
			continue
		}
		candidates := byCase[foldCase(class)]
		if len(candidates) == 0 {
			candidates = byLetters[lettersOf(class)]
		}
		if len(candidates) == 1 {
			m.To[i] = candidates[0]
			m.Renamed = append(m.Renamed, Renaming{class, candidates[0]})
			continue
		}
		u := UnknownClass{Class: class, Ambiguous: candidates}
		if len(candidates) == 0 && len(unknown) < hintedClasses {
			u.Closest = closest(class, model)
		}
		unknown = append(unknown, u)
	}
	if len(unknown) > 0 {
		return m, &UnknownClassesError{unknown, slices.Clone(model)}
	}
	return m, nil
}

// checkKnown returns an *UnknownClassesError of the classes that are not among the known
// ones by exactly their name, or nil.
func checkKnown(classes, known []string) error {
	exact := map[string]bool{}
	for _, class := range known {
		exact[class] = true
	}
	var unknown []UnknownClass
	for _, class := range classes {
		if exact[class] {
			continue
		}
		u := UnknownClass{Class: class}
		if len(unknown) < hintedClasses {
			u.Closest = closest(class, known)
		}
		unknown = append(unknown, u)
	}
	if len(unknown) == 0 {
		return nil
	}
	return &UnknownClassesError{unknown, slices.Clone(known)}
}

// foldCase returns a name without the differences that nobody means: letter case, and
// spaces around it.
func foldCase(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

// lettersOf returns the letters, marks and digits of a name, in lower case.
func lettersOf(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, strings.ToLower(name))
}

// sameClass reports whether two names are the same but for what MapClasses overlooks.
func sameClass(a, b string) bool {
	return a == b || foldCase(a) == foldCase(b) || lettersOf(a) != "" && lettersOf(a) == lettersOf(b)
}

// What is spent on hints: a data set that somebody mixed up can have very many classes,
// with very long names.
const (
	hintedClasses = 100
	closestCount  = 3
	maxHintRunes  = 40
)

// closest returns up to three of the known names that are spelled similarly: in which
// few letters are others, or that contain the name or are contained in it.
func closest(name string, known []string) []string {
	type candidate struct {
		name     string
		distance int
	}
	letters := []rune(lettersOf(name))
	if len(letters) == 0 || len(letters) > maxHintRunes {
		return nil
	}
	var all []candidate
	for _, k := range known {
		other := []rune(lettersOf(k))
		if len(other) == 0 || len(other) > maxHintRunes {
			continue
		}
		longer, shorter := max(len(letters), len(other)), min(len(letters), len(other))
		d := editDistance(letters, other)
		contained := shorter >= 3 && (strings.Contains(string(letters), string(other)) ||
			strings.Contains(string(other), string(letters)))
		if d <= 1+longer/5 || contained {
			all = append(all, candidate{k, d})
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return a.distance - b.distance })
	var names []string
	for _, c := range all[:min(len(all), closestCount)] {
		if !slices.Contains(names, c.name) {
			names = append(names, c.name)
		}
	}
	return names
}

// editDistance is Levenshtein's: how many letters have to be put in, taken out or
// replaced to make one word of the other.
func editDistance(a, b []rune) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j := range b {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// Ignore makes the mapping leave classes of the data set out, as if the model did not
// know them: two models are compared on the classes that both know.
func (m *Mapping) Ignore(classes ...string) {
	for i, class := range m.classes {
		if slices.Contains(classes, class) {
			m.To[i] = ""
			m.Renamed = slices.DeleteFunc(m.Renamed, func(r Renaming) bool { return r.Class == class })
		}
	}
}

// Apply returns the set as the model names its classes, without the pictures of classes
// that it does not know, which are counted in m.Ignored. The pictures keep their order;
// set itself is not changed. It panics if set is not the one that m was made for.
func (m *Mapping) Apply(set *dataset.Set) *dataset.Set {
	if !slices.Equal(set.Classes, m.classes) {
		panic("evaluate: a mapping of other classes than the set's")
	}
	m.Ignored = nil
	if slices.Equal(m.To, set.Classes) {
		return set
	}
	mapped := *set
	mapped.Classes, mapped.Samples = nil, make([]dataset.Sample, 0, len(set.Samples))
	place := map[string]int{}
	for _, to := range m.To {
		if _, ok := place[to]; !ok && to != "" {
			place[to] = len(mapped.Classes)
			mapped.Classes = append(mapped.Classes, to)
		}
	}
	leftOut := make([]int, len(set.Classes))
	for _, s := range set.Samples {
		to := m.To[s.Label]
		if to == "" {
			leftOut[s.Label]++
			continue
		}
		s.Label = place[to]
		mapped.Samples = append(mapped.Samples, s)
	}
	for i, to := range m.To {
		if to == "" {
			m.Ignored = append(m.Ignored, Ignored{set.Classes[i], leftOut[i]})
		}
	}
	return &mapped
}

// Notes says in a line each what the mapping does beyond exact names: which names of
// the data set are the model's under another, and which of them become one.
func (m *Mapping) Notes() []string {
	var order []string
	from := map[string][]string{}
	for i, to := range m.To {
		if to == "" {
			continue
		}
		if from[to] == nil {
			order = append(order, to)
		}
		from[to] = append(from[to], m.classes[i])
	}
	var notes []string
	for _, to := range order {
		switch names := from[to]; {
		case len(names) > 1:
			notes = append(notes, fmt.Sprintf("the data set's %s are the model's %q", quotedList(names, "and"), to))
		case names[0] != to:
			notes = append(notes, fmt.Sprintf("the data set's %q is the model's %q", names[0], to))
		}
	}
	return notes
}

// LeftOut says how many pictures Apply left out, by class, in one sentence; "" if none.
func (m *Mapping) LeftOut() string {
	if len(m.Ignored) == 0 {
		return ""
	}
	total := 0
	var each []string
	for _, c := range m.Ignored {
		total += c.Pictures
		each = append(each, fmt.Sprintf("%q (%d)", c.Class, c.Pictures))
	}
	pictures := fmt.Sprintf("%d pictures of classes that the model does not know are", total)
	if total == 1 {
		pictures = "1 picture of a class that the model does not know is"
	}
	return fmt.Sprintf("%s left out: %s", pictures, strings.Join(each, ", "))
}
