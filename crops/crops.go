// Package crops finds the garments of a segmentation data set: photos with masks that
// say which label each pixel has. The part of a photo around one label's pixels becomes
// a picture of that label's class.
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
)

// maxNames is the number of labels that a mask of 8 bits a pixel can tell apart.
const maxNames = 256

// maxMargin bounds Rule.Margin; at 10 a crop is 21 times as wide as its label already.
const maxMargin = 10

// Rule says which labels of a mask become crops, and how large a crop is.
type Rule struct {
	// Merge renames labels: each key becomes its value, the class. Labels that become one
	// class still have a box each.
	Merge map[string]string
	// Ignore lists what is no garment, such as skin and hair: labels by name, or indices
	// without a name in decimal, such as 255. Their pixels never count.
	Ignore []string
	// Classes are the classes that become crops, as they are after Merge; nil keeps all.
	// The pixels of other labels count as garments that may hide one.
	Classes []string

	Margin       float64 // added on each side, as a share of the box's width or height; 0 to 10
	MarginPixels int     // added on each side beside Margin
	MinPixels    int     // least number of pixels of a label
	MinSide      int     // least width and height of the label's box without margin, in pixels

	// Whole, if it is not 0, makes crops of whole photos: one for each class that has at
	// least Whole times the pixels of the photo's largest class, in (0, 1]. Labels of one
	// class count together, in MinPixels and MinSide too. Margins do nothing then.
	Whole float64
}

// DefaultRule returns a rule that keeps all labels of at least 600 pixels in a box of at
// least 32 × 32, with a margin of 12 % and 4 pixels: the figures with which the
// built-in classifier was measured on worn garments.
func DefaultRule() Rule {
	return Rule{Margin: 0.12, MarginPixels: 4, MinPixels: 600, MinSide: 32}
}

// Validate reports figures that cannot work, as a *RuleError.
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
		return &RuleError{Field: "whole", Message: fmt.Sprintf("%v is not above 0 and at most 1", r.Whole)}
	}
	return nil
}

// RuleError says which part of a Rule cannot work.
type RuleError struct {
	Field   string // in lower case, with underscores: "min_pixels"
	Message string
	Name    string   // the name that is unknown; "" if the error is another
	Known   []string // the names that could be meant by Name
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

// ParseNames reads the names of labels, one a line, that of index 0 first. Lines may end
// in CRLF, and a byte order mark and blank lines at the end are ignored. A blank line
// before the end could be an index without a name or a mistake, so it is an error, as are
// names that differ in letter case only, more than 256, and text that is not UTF-8. All
// errors are *NamesError.
func ParseNames(text []byte) ([]string, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if !utf8.Valid(text) {
		return nil, &NamesError{0, "the text is not UTF-8"}
	}
	body := strings.TrimRight(string(text), " \t\r\n")
	if body == "" {
		return nil, &NamesError{0, "there are none"}
	}
	var names []string
	lines := map[string]int{}
	for i, line := range strings.Split(body, "\n") {
		name := strings.TrimSpace(line)
		switch before := lines[caseless(name)]; {
		case name == "":
			return nil, &NamesError{i + 1, "it is blank, so that the indices after it are unsure"}
		case before > 0:
			return nil, &NamesError{i + 1, fmt.Sprintf("%q is the name in line %d already", name, before)}
		case i == maxNames:
			return nil, &NamesError{i + 1, fmt.Sprintf("a mask has at most %d labels", maxNames)}
		}
		lines[caseless(name)] = i + 1
		names = append(names, name)
	}
	return names, nil
}

// caseless returns what names have in common that differ in letter case only.
func caseless(name string) string { return strings.ToLower(strings.ToUpper(name)) }

// Cutter cuts crops out of photos by a rule. Its methods may be called by several
// goroutines.
type Cutter struct {
	rule  Rule
	names []string
	class [maxNames]string // of each index that may become a crop
	kind  [maxNames]kind
}

// kind is what a pixel of an index means.
type kind uint8

const (
	unknown kind = iota // the index has no name
	ignored             // no garment
	other               // a garment that is not wanted
	wanted              // a garment that may become a crop
)

// NewCutter prepares a rule for masks whose indices have these names. A rule that names a
// label which is not among them is a *RuleError.
func NewCutter(names []string, rule Rule) (*Cutter, error) {
	if err := rule.Validate(); err != nil {
		return nil, err
	}
	if len(names) == 0 || len(names) > maxNames {
		return nil, &NamesError{0, fmt.Sprintf("there are %d, where a mask has 1 to %d", len(names), maxNames)}
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
			return nil, unknownName("merge", from, names)
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
		return nil, &RuleError{Field: "ignore", Message: "no label is left"}
	}
	if rule.Classes == nil {
		return c, nil
	}
	keep := map[string]bool{}
	for _, class := range rule.Classes {
		class = strings.TrimSpace(class)
		if !slices.Contains(all, class) {
			return nil, unknownName("classes", class, all)
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

// ignore marks a label, or an index without a name, as no garment.
func (c *Cutter) ignore(name string) error {
	i := slices.Index(c.names, name)
	if i < 0 {
		index, err := strconv.Atoi(name)
		if err != nil || index < len(c.names) || index >= maxNames {
			return unknownName("ignore", name, c.names)
		}
		i = index
	}
	c.kind[i] = ignored
	return nil
}

func unknownName(field, name string, known []string) error {
	return &RuleError{Field: field, Message: fmt.Sprintf("there is no label %q", name), Name: name, Known: known}
}

// Classes lists the classes that may become crops, by name.
func (c *Cutter) Classes() []string {
	seen := map[string]bool{}
	for i := range c.names {
		if c.kind[i] == wanted {
			seen[c.class[i]] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}
