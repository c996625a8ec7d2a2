package dataset

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"garb/picture"
)

// Options say which pictures of a data set to read, and with which labels. The zero Options read
// all pictures as they are.
type Options struct {
	// Labels is the table with the labels; "" searches for it. It is needed if a data set has
	// several tables, or one elsewhere. Its path, and that of Images, may be relative to the
	// data set's folder.
	Labels string `json:"labels,omitempty"`
	// Images is the folder to which the table's names are relative; "" searches the table's
	// folder, the data set's folder and the folders in these.
	Images string `json:"images,omitempty"`
	// ImageColumn and LabelColumn are the table's columns with the pictures' names and labels;
	// "" finds them by the usual names.
	ImageColumn string `json:"image_column,omitempty"`
	LabelColumn string `json:"label_column,omitempty"`

	// Merge renames labels: each key becomes its value. Labels with the same value are merged.
	// Each label is renamed once.
	Merge map[string]string `json:"merge,omitempty"`
	// Exclude drops the pictures with these labels, before or after Merge.
	Exclude []string `json:"exclude,omitempty"`
	// Classes keeps only pictures with these labels, after Merge; nil keeps all.
	Classes []string `json:"classes,omitempty"`

	// GroupBy is the table's column with the pictures' groups, such as their contributors. A
	// division into splits keeps each group in one split.
	GroupBy string `json:"group_by,omitempty"`
	// GroupPattern, instead of GroupBy, is a regular expression for file names. The group is the
	// first parenthesis, or the whole match. A pattern with a slash is matched with the path
	// below the data set's folder.
	GroupPattern string `json:"group_pattern,omitempty"`

	// MaxPixels is the maximum of width × height of a picture; 0 means picture.DefaultLimits.
	MaxPixels int `json:"max_pixels,omitempty"`
	// KeepTruncated uses pictures that are cut short, as far as they go; see picture.Limits.
	KeepTruncated bool `json:"keep_truncated,omitempty"`

	// Cache is the folder to which archives are unpacked; "" refuses archives.
	Cache string `json:"-"`
	// MaxArchiveBytes is the maximum for an archive's files; 0 is DefaultMaxArchiveBytes.
	MaxArchiveBytes int64 `json:"-"`
}

// Limits returns the limits of each picture.
func (o Options) Limits() picture.Limits {
	l := picture.DefaultLimits().WithMaxPixels(o.MaxPixels)
	l.KeepTruncated = o.KeepTruncated
	return l
}

// OptionsError says which option is invalid.
type OptionsError struct {
	Option  string // its name in JSON
	Message string
}

func (e *OptionsError) Error() string { return fmt.Sprintf("data set: %s: %s", e.Option, e.Message) }

// Validate returns an *OptionsError if an option is invalid.
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
	if o.MaxPixels < 0 {
		return &OptionsError{"max_pixels", fmt.Sprintf("%d: it must be positive, or 0 for the default", o.MaxPixels)}
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

// Portable returns the options without the files and folders of this machine.
func (o Options) Portable() Options {
	o.Labels, o.Images, o.Cache, o.MaxArchiveBytes = "", "", "", 0
	return o
}

// selection determines the class of each label.
type selection struct {
	merge            map[string]string
	exclude, classes []string
}

// CleanLabel returns a label without surrounding spaces, in Unicode's composed form (NFC). File systems
// of macOS and archives made there have names such as é in another form than people type.
func CleanLabel(label string) string { return norm.NFC.String(strings.TrimSpace(label)) }

// foldLabel returns a label without case, spaces and invisible characters. Labels for which it
// returns the same are easily confused.
func foldLabel(label string) string {
	return strings.ToLower(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, norm.NFC.String(label)))
}

// newSelection prepares a selection among the labels of a data set. If a name in the options is
// not a label, but exactly one label differs from it only in case or spaces, the name means that
// label. notes says so, and which names are not labels.
func newSelection(o Options, labels map[string]bool) (s *selection, notes []string) {
	s = &selection{merge: map[string]string{}}
	alike := map[string][]string{}
	for _, l := range slices.Sorted(maps.Keys(labels)) {
		alike[foldLabel(l)] = append(alike[foldLabel(l)], l)
	}
	resolve := func(option, name string, known func(string) bool) string {
		name = CleanLabel(name)
		if known(name) {
			return name
		}
		if like := alike[foldLabel(name)]; len(like) == 1 {
			notes = append(notes, fmt.Sprintf("%s: %q is read as the label %q", option, name, like[0]))
			return like[0]
		}
		notes = append(notes, fmt.Sprintf("%s: no picture is labelled %q", option, name))
		return name
	}
	isLabel := func(name string) bool { return labels[name] }
	renamed := map[string]bool{}
	for _, from := range slices.Sorted(maps.Keys(o.Merge)) {
		to := CleanLabel(o.Merge[from])
		renamed[to] = true
		label := resolve("merge", from, isLabel)
		_, exact := o.Merge[label]
		if before, ok := s.merge[label]; label != CleanLabel(from) && (exact || ok && before != to) {
			notes = append(notes, fmt.Sprintf("merge: %q is ignored, because %q is renamed otherwise", from, label))
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

// class returns the class of a label, or false if its pictures are excluded.
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
