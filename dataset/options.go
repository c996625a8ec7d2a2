package dataset

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// Options say which pictures of a data set are read, and under which labels. The zero
// Options take all, as they lie.
type Options struct {
	// Labels is the table with the labels, for a data set that has several tables or one
	// elsewhere; "" finds it. Its path, and that of Images, may be relative to the data
	// set's folder.
	Labels string `json:"labels,omitempty"`
	// Images is the folder that the table's names are relative to; "" finds it: the
	// table's own folder, the data set's, or one in these.
	Images string `json:"images,omitempty"`
	// ImageColumn and LabelColumn are the table's columns with the pictures' names and
	// labels; "" finds them by the usual names.
	ImageColumn string `json:"image_column,omitempty"`
	LabelColumn string `json:"label_column,omitempty"`

	// Merge renames labels: each key becomes its value, so that several labels with one
	// value are merged. Each label is renamed once.
	Merge map[string]string `json:"merge,omitempty"`
	// Exclude drops the pictures of these labels, as they are before or after Merge.
	Exclude []string `json:"exclude,omitempty"`
	// Classes keeps the pictures of these labels only, as they are after Merge; nil keeps
	// all.
	Classes []string `json:"classes,omitempty"`

	// GroupBy is the table's column that says which pictures belong together, such as
	// those of one contributor: a division keeps each group in one split.
	GroupBy string `json:"group_by,omitempty"`
	// GroupPattern is a regular expression for file names that gives the group instead:
	// its first parenthesis, or the whole match. One with a slash is matched with the path
	// below the data set's folder.
	GroupPattern string `json:"group_pattern,omitempty"`

	// Cache is the folder that archives are unpacked to; "" refuses archives.
	Cache string `json:"-"`
	// MaxArchiveBytes bounds what an archive may unpack to; 0 is DefaultMaxArchiveBytes.
	MaxArchiveBytes int64 `json:"-"`
}

// OptionsError says which of several options cannot work.
type OptionsError struct {
	Option  string // its name in JSON
	Message string
}

func (e *OptionsError) Error() string { return fmt.Sprintf("data set: %s: %s", e.Option, e.Message) }

// Validate reports options that cannot work, as an *OptionsError.
func (o Options) Validate() error {
	for _, from := range slices.Sorted(maps.Keys(o.Merge)) {
		if strings.TrimSpace(from) == "" || strings.TrimSpace(o.Merge[from]) == "" {
			return &OptionsError{"merge", fmt.Sprintf("%q=%q: neither name may be empty", from, o.Merge[from])}
		}
	}
	for _, c := range o.Classes {
		if strings.TrimSpace(c) == "" {
			return &OptionsError{"classes", "a name is empty"}
		}
	}
	if o.GroupBy != "" && o.GroupPattern != "" {
		return &OptionsError{"group_by", "groups come from a column or from a pattern, not from both"}
	}
	if o.GroupPattern != "" {
		if _, err := regexp.Compile(o.GroupPattern); err != nil {
			return &OptionsError{"group_pattern", err.Error()}
		}
	}
	return nil
}

// Portable returns the options without the files and folders of one machine.
func (o Options) Portable() Options {
	o.Labels, o.Images, o.Cache, o.MaxArchiveBytes = "", "", "", 0
	return o
}

// selection says what becomes of each label.
type selection struct {
	merge            map[string]string
	exclude, classes []string
}

// likeness is a label without case, spaces and what is not seen: labels that share it are
// easily confused.
func likeness(label string) string {
	return strings.ToLower(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, label))
}

// newSelection prepares the choice among the labels of a data set. A name of the
// options that is no label is taken for the one label that differs from it in case or
// spaces only, if there is exactly one; notes says so, and names what is no label.
func newSelection(o Options, labels map[string]bool) (s *selection, notes []string) {
	s = &selection{merge: map[string]string{}}
	alike := map[string][]string{}
	for _, l := range slices.Sorted(maps.Keys(labels)) {
		alike[likeness(l)] = append(alike[likeness(l)], l)
	}
	resolve := func(option, name string, known func(string) bool) string {
		name = strings.TrimSpace(name)
		if known(name) {
			return name
		}
		if like := alike[likeness(name)]; len(like) == 1 {
			notes = append(notes, fmt.Sprintf("%s: %q is taken for the label %q", option, name, like[0]))
			return like[0]
		}
		notes = append(notes, fmt.Sprintf("%s: no picture is labelled %q", option, name))
		return name
	}
	isLabel := func(name string) bool { return labels[name] }
	renamed := map[string]bool{}
	for _, from := range slices.Sorted(maps.Keys(o.Merge)) {
		to := strings.TrimSpace(o.Merge[from])
		renamed[to] = true
		label := resolve("merge", from, isLabel)
		_, exact := o.Merge[label]
		if before, ok := s.merge[label]; label != strings.TrimSpace(from) && (exact || ok && before != to) {
			notes = append(notes, fmt.Sprintf("merge: %q is ignored, as %q is renamed otherwise", from, label))
			continue
		}
		s.merge[label] = to
	}
	isName := func(name string) bool { return labels[name] || renamed[name] }
	for _, name := range o.Exclude {
		s.exclude = append(s.exclude, resolve("exclude", name, isName))
	}
	for _, name := range o.Classes {
		s.classes = append(s.classes, resolve("classes", name, isName))
	}
	return s, notes
}

// class returns the class of a label, false if its pictures are excluded.
func (s *selection) class(label string) (string, bool) {
	to, ok := s.merge[label]
	if !ok {
		to = label
	}
	if slices.Contains(s.exclude, label) || slices.Contains(s.exclude, to) {
		return "", false
	}
	return to, s.classes == nil || slices.Contains(s.classes, to)
}
