package evaluate

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"garb/dataset"
)

// Mapping maps the classes of a data set to those of a model.
type Mapping struct {
	// To has the model's name of each class of the data set, in the data set's order, or "" if the
	// model does not know the class.
	To []string `json:"-"`
	// Renamed has the classes that the model knows by another name.
	Renamed []Renaming `json:"renamed,omitempty"`
	// Ignored has the classes whose pictures Apply left out.
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
	Pictures int    `json:"pictures"` // the number left out
}

// UnknownClass is a class of a data set that the model does not know, or that could be several of its
// classes.
type UnknownClass struct {
	Class string
	// Ambiguous has the model's classes whose names differ from this one only in case and
	// punctuation, if there are several.
	Ambiguous []string
	// Closest has up to three of the model's classes with similar names, the closest first. They
	// are hints: nothing is mapped to them.
	Closest []string
}

// UnknownClassesError says that a data set has classes that a model does not know.
type UnknownClassesError struct {
	Unknown []UnknownClass // all of them, in the data set's order
	Known   []string       // the model's classes
}

// shownKnown is the largest number of the model's classes in an error's text.
const shownKnown = 20

func (e *UnknownClassesError) Error() string {
	var all []string
	for _, u := range e.Unknown {
		text := fmt.Sprintf("%q", u.Class)
		switch {
		case len(u.Ambiguous) > 0:
			text += fmt.Sprintf(" (could be %s)", joinQuoted(u.Ambiguous, "or"))
		case len(u.Closest) > 0:
			text += fmt.Sprintf(" (close to %s)", joinQuoted(u.Closest, "and"))
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

// joinQuoted joins quoted words as a sentence does: "a", "b" and "c".
func joinQuoted(words []string, conjunction string) string {
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

// MapClasses finds the model's class for each class of a data set: the class with exactly that name;
// otherwise the only class whose name differs only in case and surrounding spaces; otherwise the only
// class with the same letters and digits, so that "T-Shirt", "t shirt" and "t_shirt" all map to
// "t-shirt". Several classes of the data set may map to one class of the model.
//
// If the model does not know some classes, the error is an *UnknownClassesError with all of them, and
// the mapping has the others.
func MapClasses(data, model []string) (Mapping, error) {
	m := Mapping{To: make([]string, len(data)), classes: slices.Clone(data)}
	known := map[string]bool{}
	byCase, byLetters := map[string][]string{}, map[string][]string{}
	for _, class := range model {
		if known[class] {
			continue // ImageNet has two classes with the same name
		}
		known[class] = true
		byCase[foldCase(class)] = append(byCase[foldCase(class)], class)
		if letters := keepLetters(class); letters != "" {
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
			candidates = byLetters[keepLetters(class)]
		}
		if len(candidates) == 1 {
			m.To[i] = candidates[0]
			m.Renamed = append(m.Renamed, Renaming{class, candidates[0]})
			continue
		}
		u := UnknownClass{Class: class, Ambiguous: candidates}
		if len(candidates) == 0 && len(unknown) < hintedClasses {
			u.Closest = findClosest(class, model)
		}
		unknown = append(unknown, u)
	}
	if len(unknown) > 0 {
		return m, &UnknownClassesError{unknown, slices.Clone(model)}
	}
	return m, nil
}

// checkKnown returns an *UnknownClassesError if some classes are not among the known ones.
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
			u.Closest = findClosest(class, known)
		}
		unknown = append(unknown, u)
	}
	if len(unknown) == 0 {
		return nil
	}
	return &UnknownClassesError{unknown, slices.Clone(known)}
}

// foldCase returns a name in lower case, cleaned as labels are.
func foldCase(name string) string { return strings.ToLower(dataset.CleanLabel(name)) }

// keepLetters returns the letters, marks and digits of a name in lower case.
func keepLetters(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, strings.ToLower(name))
}

// sameClass reports whether MapClasses treats two names alike.
func sameClass(a, b string) bool {
	return a == b || foldCase(a) == foldCase(b) || keepLetters(a) != "" && keepLetters(a) == keepLetters(b)
}

// Limits of the work for hints, since a data set that was given by mistake can have very many classes
// with very long names.
const (
	hintedClasses = 100
	closestCount  = 3
	maxHintRunes  = 40
)

// findClosest returns up to three of the known names that are similar: those that differ in few
// letters, and those that contain the name or are contained in it.
func findClosest(name string, known []string) []string {
	type candidate struct {
		name     string
		distance int
	}
	letters := []rune(keepLetters(name))
	if len(letters) == 0 || len(letters) > maxHintRunes {
		return nil
	}
	var all []candidate
	for _, k := range known {
		other := []rune(keepLetters(k))
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

// editDistance returns Levenshtein's distance: the number of letters to insert, delete or replace to
// turn one word into the other.
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

// Ignore makes Apply leave out classes of the data set as if the model did not know them, so that two
// models can be compared on the classes that both know.
func (m *Mapping) Ignore(classes ...string) {
	for i, class := range m.classes {
		if slices.Contains(classes, class) {
			m.To[i] = ""
			m.Renamed = slices.DeleteFunc(m.Renamed, func(r Renaming) bool { return r.Class == class })
		}
	}
}

// Apply returns the set with the model's names of its classes, and without the pictures of classes
// that the model does not know, which it counts in m.Ignored. The pictures keep their order, and set
// stays as it is. Apply panics if m was made for other classes.
func (m *Mapping) Apply(set *dataset.Set) *dataset.Set {
	if !slices.Equal(set.Classes, m.classes) {
		panic("evaluate: the mapping is for other classes than the set's")
	}
	m.Ignored = nil
	if slices.Equal(m.To, set.Classes) {
		return set
	}
	mapped := *set
	mapped.Classes, mapped.Samples = nil, make([]dataset.Sample, 0, len(set.Samples))
	index := map[string]int{}
	for _, to := range m.To {
		if _, ok := index[to]; !ok && to != "" {
			index[to] = len(mapped.Classes)
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
		s.Label = index[to]
		mapped.Samples = append(mapped.Samples, s)
	}
	for i, to := range m.To {
		if to == "" {
			m.Ignored = append(m.Ignored, Ignored{set.Classes[i], leftOut[i]})
		}
	}
	return &mapped
}

// Notes has a line for each class whose name changes, or for which several of the data set's names
// become one.
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
			notes = append(notes, fmt.Sprintf("the data set's %s are the model's %q", joinQuoted(names, "and"), to))
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
