// Package card fills MODEL_CARD.md: the figures that are measured, the tables and the
// sentences that state them.
package card

import (
	"fmt"
	"strconv"
	"strings"
)

// Figure is one measured figure.
type Figure struct {
	Key    string  `json:"key"`   // as "clothing.test.accuracy"
	Title  string  `json:"title"` // for a table's row
	Value  float64 `json:"value"`
	Target string  `json:"target,omitempty"`
	// Right of Count pictures are what the share in Value counts. Figures that are no share
	// have Right 0: their Interval is from a bootstrap.
	Right    int        `json:"right,omitempty"`
	Count    int        `json:"count"`
	Share    bool       `json:"share"`
	Interval [2]float64 `json:"interval"` // 95 %
}

// Measured is everything that was measured at a time.
type Measured struct {
	// Digests are those of the models, by the first part of keys.
	Digests map[string]string `json:"digests"`
	Command string            `json:"command"` // that measured it
	Figures []Figure          `json:"figures"`
}

// Find returns the figure with a key.
func (m Measured) Find(key string) (Figure, error) {
	for _, f := range m.Figures {
		if f.Key == key {
			return f, nil
		}
	}
	return Figure{}, fmt.Errorf("no figure %q was measured", key)
}

const (
	begin = "<!-- measured "
	close = " -->"
	end   = "<!-- end -->"
)

// Fill returns the text with what is between "<!-- measured WHAT -->" and "<!-- end -->"
// replaced by figures. WHAT is
//
//	table PREFIX…          a table of the figures whose keys begin so, each on its row
//	KEY                    the value, as .944
//	KEY counts             the value and its counts, as .944 (351 of 372, .915 to .963)
//	KEY percent            the value, as 94.4 %
//
// An error says what has no figure, or no end.
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
		filled, err := m.filled(strings.Fields(what))
		if err != nil {
			return "", err
		}
		out.WriteString(begin + what + close + filled + end)
		text = after
	}
}

// filled returns what replaces a marked part.
func (m Measured) filled(what []string) (string, error) {
	if len(what) >= 2 && what[0] == "table" {
		return m.table(what[1:])
	}
	if len(what) == 0 || len(what) > 2 {
		return "", fmt.Errorf("%q marks nothing that can be filled in", begin+strings.Join(what, " "))
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

// table returns a table of the figures whose keys begin with one of the prefixes.
func (m Measured) table(prefixes []string) (string, error) {
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
				Short(f.Interval[1]),
				count, f.Target)
		}
		if !found {
			return "", fmt.Errorf("no figure's key begins with %q", prefix)
		}
	}
	return b.String(), nil
}

// String returns the figure with its counts and interval, as .944 (351 of 372, .915 to
// .963).
func (f Figure) String() string {
	count := fmt.Sprintf("%d pictures", f.Count)
	if f.Share {
		count = fmt.Sprintf("%d of %d", f.Right, f.Count)
	}
	return fmt.Sprintf("%s (%s, %s to %s)", Short(f.Value), count, Short(f.Interval[0]), Short(f.Interval[1]))
}

// Short writes a value as .877 or −.012, with three digits.
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
