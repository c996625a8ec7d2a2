// Package card measures the figures of MODEL_CARD.md, and fills them into its tables and sentences.
package card

import (
	"fmt"
	"strconv"
	"strings"
)

// Figure is one measured figure.
type Figure struct {
	Key    string  `json:"key"`   // such as "clothing.test.accuracy"
	Title  string  `json:"title"` // in a table's row
	Value  float64 `json:"value"`
	Target string  `json:"target,omitempty"`
	// If Share, Value is Right ÷ Count. Otherwise Right is 0, and Interval comes from a bootstrap.
	Right    int        `json:"right,omitempty"`
	Count    int        `json:"count"`
	Share    bool       `json:"share"`
	Interval [2]float64 `json:"interval"` // 95 %
}

// Measured has everything that one command measured.
type Measured struct {
	// Digests has the models' digests, by the first part of keys.
	Digests map[string]string `json:"digests"`
	Command string            `json:"command"` // the command
	Figures []Figure          `json:"figures"`
}

// Find returns the figure with a key.
func (m Measured) Find(key string) (Figure, error) {
	for _, f := range m.Figures {
		if f.Key == key {
			return f, nil
		}
	}
	return Figure{}, fmt.Errorf("the figure %q was not measured", key)
}

const (
	begin = "<!-- measured "
	close = " -->"
	end   = "<!-- end -->"
)

// Fill replaces what is between "<!-- measured WHAT -->" and "<!-- end -->" in text by figures. WHAT is
//
//	table PREFIX…          a table with a row for each figure whose key begins with a prefix
//	KEY                    the value, such as .944
//	KEY counts             the value and its counts, such as .944 (351 of 372, .915 to .963)
//	KEY percent            the value, such as 94.4 %
//
// It returns an error if a figure or an end is missing.
func (m Measured) Fill(text string) (string, error) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, begin)
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		what, rest, ok := strings.Cut(rest, close)
		_, after, ended := strings.Cut(rest, end)
		if !ok || !ended || strings.Contains(rest[:len(rest)-len(after)], begin) {
			return "", fmt.Errorf("%q has no %q", begin+what, end)
		}
		filled, err := m.replace(strings.Fields(what))
		if err != nil {
			return "", err
		}
		out.WriteString(begin + what + close + filled + end)
		text = after
	}
}

// replace returns what replaces a marked part.
func (m Measured) replace(what []string) (string, error) {
	if len(what) >= 2 && what[0] == "table" {
		return m.formatTable(what[1:])
	}
	if len(what) == 0 || len(what) > 2 {
		return "", fmt.Errorf("%q is not something to fill in", begin+strings.Join(what, " "))
	}
	f, err := m.Find(what[0])
	if err != nil {
		return "", err
	}
	if len(what) == 1 {
		return Short(f.Value), nil
	}
	switch what[1] {
	case "counts":
		return f.String(), nil
	case "percent":
		return strconv.FormatFloat(100*f.Value, 'f', 1, 64) + " %", nil
	}
	return "", fmt.Errorf("%q is neither \"counts\" nor \"percent\"", what[1])
}

// formatTable returns a table of the figures whose keys begin with one of the prefixes.
func (m Measured) formatTable(prefixes []string) (string, error) {
	var b strings.Builder
	b.WriteString("\n| what | measured | 95 % interval | pictures | target |\n|---|---|---|---|---|\n")
	for _, prefix := range prefixes {
		found := false
		for _, f := range m.Figures {
			if !strings.HasPrefix(f.Key, prefix) {
				continue
			}
			found = true
			count := strconv.Itoa(f.Count)
			if f.Share {
				count = fmt.Sprintf("%d of %d", f.Right, f.Count)
			}
			fmt.Fprintf(&b, "| %s | %s | %s to %s | %s | %s |\n", f.Title, Short(f.Value), Short(f.Interval[0]),
				Short(f.Interval[1]), count, f.Target)
		}
		if !found {
			return "", fmt.Errorf("no figure's key begins with %q", prefix)
		}
	}
	return b.String(), nil
}

// String returns the figure with its counts and interval: .944 (351 of 372, .915 to .963).
func (f Figure) String() string {
	count := fmt.Sprintf("%d pictures", f.Count)
	if f.Share {
		count = fmt.Sprintf("%d of %d", f.Right, f.Count)
	}
	return fmt.Sprintf("%s (%s, %s to %s)", Short(f.Value), count, Short(f.Interval[0]), Short(f.Interval[1]))
}

// Short formats a value with three digits: .877 or −.012.
func Short(v float64) string {
	s := strconv.FormatFloat(v, 'f', 3, 64)
	if s == "-0.000" {
		s = "0.000"
	}
	sign, digits := "", s
	if strings.HasPrefix(s, "-") {
		sign, digits = "−", s[1:]
	}
	return sign + strings.TrimPrefix(digits, "0")
}
