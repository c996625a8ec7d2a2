// Package crops finds the garments of a segmentation data set: photos with masks that give the
// label of each pixel. The part of a photo around one label's pixels becomes a picture of that
// label's class.
package crops

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxNames is the largest number of labels in a mask with 8 bits per pixel.
const maxNames = 256

// maxMargin is the largest Rule.Margin; at 10 a crop is 21 times as wide as its label.
const maxMargin = 10

// Rule says which labels of a mask become crops, and how large a crop is.
type Rule struct {
	// Merge maps labels to classes; other labels are classes themselves. Labels of one class
	// still have a box each.
	Merge map[string]string
	// Ignore lists the labels that are not garments, such as skin and hair: by name, or by
	// index, such as 255, if they have none. Their pixels never count.
	Ignore []string
	// Classes are the classes, after Merge, that become crops; nil means all. Pixels of other
	// labels count as garments that may hide one.
	Classes []string

	Margin       float64 // added on each side, as a share of the box's width or height; 0 to 10
	MarginPixels int     // added on each side in addition to Margin
	MinPixels    int     // smallest number of pixels of a label
	MinSide      int     // smallest width and height of the label's box without margin, in pixels

	// Whole, in (0, 1], makes crops of whole photos, unless it is 0: one for each class that
	// has at least Whole times the pixels of the photo's largest class. The labels of a class
	// count together, also for MinPixels and MinSide. Margins have no effect then.
	Whole float64
}

// DefaultRule returns a rule that keeps all labels with at least 600 pixels in a box of at
// least 32 × 32, with a margin of 12 % plus 4 pixels. The built-in classifier was measured on
// worn garments with these values.
func DefaultRule() Rule {
	return Rule{Margin: 0.12, MarginPixels: 4, MinPixels: 600, MinSide: 32}
}

// Validate returns a *RuleError if a value is out of its bounds.
func (r Rule) Validate() error {
	switch {
	case !(r.Margin >= 0 && r.Margin <= maxMargin):
		return &RuleError{Field: "margin", Message: fmt.Sprintf("%v is not between 0 and %d", r.Margin, maxMargin)}
	case r.MarginPixels < 0 || r.MarginPixels > math.MaxInt16:
		return &RuleError{Field: "margin_pixels",
			Message: fmt.Sprintf("%d is not between 0 and %d", r.MarginPixels, math.MaxInt16)}
	case r.MinPixels < 1:
		return &RuleError{Field: "min_pixels", Message: fmt.Sprintf("%d is less than 1", r.MinPixels)}
	case r.MinSide < 1:
		return &RuleError{Field: "min_side", Message: fmt.Sprintf("%d is less than 1", r.MinSide)}
	case !(r.Whole >= 0 && r.Whole <= 1):
		return &RuleError{Field: "whole", Message: fmt.Sprintf("%v is not between 0 and 1", r.Whole)}
	}
	return nil
}

// RuleError says which field of a Rule or of Negatives is invalid.
type RuleError struct {
	Field   string // in lower case, with underscores: "min_pixels"
	Message string
	Name    string   // the unknown name, or "" for another error
	Known   []string // the names that exist
}

func (e *RuleError) Error() string {
	return fmt.Sprintf("crops: %s: %s", strings.ReplaceAll(e.Field, "_", " "), e.Message)
}

// NamesError says what is wrong with a list of label names.
type NamesError struct {
	Line    int // from 1; 0 for the whole list
	Message string
}

func (e *NamesError) Error() string {
	if e.Line == 0 {
		return "names of labels: " + e.Message
	}
	return fmt.Sprintf("names of labels: line %d: %s", e.Line, e.Message)
}

// ParseNames reads the names of labels, one per line, starting with index 0. Lines may end in
// CRLF. ParseNames ignores a byte order mark and blank lines at the end. A blank line before
// the end is an error, since it could be an index without a name or a mistake. So are names
// that differ only in letter case, more than 256 names, and text that is not UTF-8. All errors
// are *NamesError.
func ParseNames(text []byte) ([]string, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if !utf8.Valid(text) {
		return nil, &NamesError{0, "the text is not UTF-8"}
	}
	body := strings.TrimRight(string(text), " \t\r\n")
	if body == "" {
		return nil, &NamesError{0, "the list is empty"}
	}
	var names []string
	lines := map[string]int{}
	for i, line := range strings.Split(body, "\n") {
		name := strings.TrimSpace(line)
		switch before := lines[foldCase(name)]; {
		case name == "":
			return nil, &NamesError{i + 1, "the line is blank, so the following indices are unclear"}
		case before > 0:
			return nil, &NamesError{i + 1, fmt.Sprintf("line %[2]d has the name %[1]q already", name, before)}
		case i == maxNames:
			return nil, &NamesError{i + 1, fmt.Sprintf("a mask has at most %d labels", maxNames)}
		}
		lines[foldCase(name)] = i + 1
		names = append(names, name)
	}
	return names, nil
}

// foldCase returns the same text for names that macOS or Windows treats as equal.
func foldCase(name string) string { return norm.NFC.String(strings.ToLower(strings.ToUpper(name))) }

// Cutter cuts crops out of photos by a rule. Several goroutines may use it.
type Cutter struct {
	rule  Rule
	names []string
	class [maxNames]string // the class of each index that may become a crop
	kind  [maxNames]kind
}

// kind is the meaning of an index.
type kind uint8

const (
	unknown kind = iota // the index has no name
	ignored             // not a garment
	other               // a garment that does not become a crop
	wanted              // a garment that may become a crop
)

// NewCutter prepares a rule for masks whose indices have these names. If the rule has an
// unknown name, the error is a *RuleError.
func NewCutter(names []string, rule Rule) (*Cutter, error) {
	if err := rule.Validate(); err != nil {
		return nil, err
	}
	if len(names) == 0 || len(names) > maxNames {
		return nil, &NamesError{0, fmt.Sprintf("there are %d names; a mask has 1 to %d labels", len(names), maxNames)}
	}
	c := &Cutter{rule: rule, names: slices.Clone(names)}
	for i, name := range names {
		c.kind[i], c.class[i] = wanted, name
	}
	for _, name := range rule.Ignore {
		if err := c.ignore(strings.TrimSpace(name)); err != nil {
			return nil, err
		}
	}
	for _, from := range slices.Sorted(maps.Keys(rule.Merge)) {
		i := slices.Index(names, strings.TrimSpace(from))
		switch to := strings.TrimSpace(rule.Merge[from]); {
		case i < 0:
			return nil, newUnknownName("merge", from, names)
		case c.kind[i] == ignored:
			return nil, &RuleError{Field: "merge",
				Message: fmt.Sprintf("%q is ignored, so it cannot become %q", from, to)}
		case to == "":
			return nil, &RuleError{Field: "merge", Message: fmt.Sprintf("%q would have an empty name", from)}
		default:
			c.class[i] = to
		}
	}
	all := c.Classes()
	if len(all) == 0 {
		return nil, &RuleError{Field: "ignore", Message: "no label remains"}
	}
	if rule.Classes == nil {
		return c, nil
	}
	keep := map[string]bool{}
	for _, class := range rule.Classes {
		class = strings.TrimSpace(class)
		if !slices.Contains(all, class) {
			return nil, newUnknownName("classes", class, all)
		}
		keep[class] = true
	}
	for i := range names {
		if c.kind[i] == wanted && !keep[c.class[i]] {
			c.kind[i] = other
		}
	}
	return c, nil
}

// ignore marks a label, or an index without a name, as ignored.
func (c *Cutter) ignore(name string) error {
	i := slices.Index(c.names, name)
	if i < 0 {
		index, err := strconv.Atoi(name)
		if err != nil || index < len(c.names) || index >= maxNames {
			return newUnknownName("ignore", name, c.names)
		}
		i = index
	}
	c.kind[i] = ignored
	return nil
}

// newUnknownName returns the error for an unknown name in a field.
func newUnknownName(field, name string, known []string) error {
	return &RuleError{Field: field, Message: fmt.Sprintf("there is no label %q", name), Name: name, Known: known}
}

// Classes returns the classes that may become crops, sorted.
func (c *Cutter) Classes() []string {
	seen := map[string]bool{}
	for i := range c.names {
		if c.kind[i] == wanted {
			seen[c.class[i]] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}
