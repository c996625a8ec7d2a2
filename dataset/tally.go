package dataset

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Reason says why a file, a row of a table or a folder gives no picture.
type Reason string

// The reasons. Those for which Ignored is true are no loss: there was nothing to use, or the
// options exclude it.
const (
	ReasonMissing    Reason = "missing"            // the file does not exist
	ReasonUnreadable Reason = "unreadable"         // the file cannot be opened or decoded
	ReasonNotPicture Reason = "not_a_picture"      // neither its name nor its content is that of a picture
	ReasonNoLabel    Reason = "no_label"           // its label is empty, or nothing labels it
	ReasonBadMask    Reason = "bad_mask"           // its mask is unusable
	ReasonConflict   Reason = "conflicting_labels" // a table gives it several labels
	ReasonOutside    Reason = "outside_classes"    // a picture outside the folders that are read
	ReasonBadRow     Reason = "bad_row"            // a malformed row of a table
	ReasonExcluded   Reason = "excluded"           // the options exclude its class
	ReasonRepeated   Reason = "repeated"           // listed or linked before
	ReasonUnlisted   Reason = "unlisted"           // beside a table's pictures, but in no row
	ReasonOther      Reason = "other_file"         // not a picture, in a folder that is not a class
	ReasonHidden     Reason = "hidden"             // a hidden or system file or folder
	ReasonEmpty      Reason = "empty_folder"       // a folder without pictures
)

// reasonWords has the words for each reason after a number, in the order of Tally.Summary.
var reasonWords = []struct {
	reason      Reason
	one, plural string
}{
	{ReasonMissing, "missing", "missing"},
	{ReasonUnreadable, "unreadable", "unreadable"},
	{ReasonNotPicture, "not a picture", "not pictures"},
	{ReasonNoLabel, "without a label", "without a label"},
	{ReasonBadMask, "with an unusable mask", "with an unusable mask"},
	{ReasonConflict, "with conflicting labels", "with conflicting labels"},
	{ReasonOutside, "outside the class folders", "outside the class folders"},
	{ReasonBadRow, "malformed row", "malformed rows"},
	{ReasonExcluded, "of an excluded class", "of excluded classes"},
	{ReasonRepeated, "listed or linked twice", "listed or linked twice"},
	{ReasonUnlisted, "in no row of the table", "in no row of the table"},
	{ReasonOther, "other file", "other files"},
	{ReasonHidden, "hidden file", "hidden files"},
	{ReasonEmpty, "empty folder", "empty folders"},
}

// Ignored reports whether the reason is no loss: hidden and other files, empty folders, files
// listed twice or not at all, and excluded classes.
func (r Reason) Ignored() bool {
	switch r {
	case ReasonExcluded, ReasonRepeated, ReasonUnlisted, ReasonOther, ReasonHidden, ReasonEmpty:
		return true
	}
	return false
}

// Skip is a file, row or folder that gave no picture.
type Skip struct {
	Path    string `json:"path"`
	Reason  Reason `json:"reason"`
	Message string `json:"message"`
}

// String says what was skipped, and why.
func (s Skip) String() string {
	if s.Path == "" || strings.Contains(s.Message, s.Path) {
		return s.Message
	}
	return s.Path + ": " + s.Message
}

// maxListed is the number of skips of each reason that a Tally lists; it counts all.
const maxListed = 10_000

// Tally counts what gave no picture, by reason. Several goroutines may use it. The zero Tally is
// ready to use.
type Tally struct {
	mu     sync.Mutex
	counts map[Reason]int
	skips  []Skip
}

// Add counts one skip. path may be empty.
func (t *Tally) Add(reason Reason, path, message string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = map[Reason]int{}
	}
	t.counts[reason]++
	if t.counts[reason] <= maxListed {
		t.skips = append(t.skips, Skip{path, reason, message})
	}
}

// Merge adds the counts and skips of another tally.
func (t *Tally) Merge(other *Tally) {
	if other == nil {
		return
	}
	other.mu.Lock()
	counts, skips := maps.Clone(other.counts), slices.Clone(other.skips)
	other.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = map[Reason]int{}
	}
	for reason, n := range counts {
		t.counts[reason] += n
	}
	t.skips = append(t.skips, skips...)
}

// Counts returns the number of skips by reason.
func (t *Tally) Counts() map[Reason]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.counts)
}

// Count returns the number of skips of a reason.
func (t *Tally) Count(reason Reason) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts[reason]
}

// Skipped returns the number of skips that are a loss: all whose reason is not Ignored.
func (t *Tally) Skipped() int { return t.sum(false) }

// sum returns the number of skips that are ignored, or of the others.
func (t *Tally) sum(ignored bool) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for reason, count := range t.counts {
		if reason.Ignored() == ignored {
			n += count
		}
	}
	return n
}

// Skips returns the skips in the order in which they were added, at most 10,000 of each reason.
func (t *Tally) Skips() []Skip {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.skips)
}

// Summary says in one line how many pictures were used, and how many were not and why:
// "372 pictures used, 3 skipped (2 missing, 1 unreadable), 1 ignored (1 hidden file)".
func (t *Tally) Summary(used int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s used, %d skipped", used, plural(used, "picture"), t.Skipped())
	b.WriteString(t.describe(false))
	if n := t.sum(true); n > 0 {
		fmt.Fprintf(&b, ", %d ignored%s", n, t.describe(true))
	}
	return b.String()
}

// describe returns the counts of ignored reasons, or of the others, in parentheses after a space,
// or "" if there are none.
func (t *Tally) describe(ignored bool) string {
	counts := t.Counts()
	var parts []string
	for _, w := range reasonWords {
		if n := counts[w.reason]; n > 0 && w.reason.Ignored() == ignored {
			word := w.plural
			if n == 1 {
				word = w.one
			}
			parts = append(parts, fmt.Sprintf("%d %s", n, word))
		}
	}
	if parts == nil {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// plural returns the noun's form for a count: "picture" or "pictures".
func plural(count int, noun string) string {
	if count == 1 {
		return noun
	}
	if strings.HasSuffix(noun, "s") {
		return noun + "es"
	}
	return noun + "s"
}

// StrictError says that pictures were skipped although none may be.
type StrictError struct {
	Skipped int    // the number of losses
	Words   string // the number by reason: "(2 missing, 1 unreadable)"
	Skips   []Skip // the first of them
}

func (e *StrictError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s skipped %s, but none may be", e.Skipped, plural(e.Skipped, "file"), e.Words)
	for _, s := range e.Skips {
		fmt.Fprintf(&b, "\n  %s", s)
	}
	if e.Skipped > len(e.Skips) {
		fmt.Fprintf(&b, "\n  and %d more", e.Skipped-len(e.Skips))
	}
	return b.String()
}

// Strict returns a *StrictError if anything was skipped that is a loss.
func (t *Tally) Strict() error {
	const most = 10
	if t.Skipped() == 0 {
		return nil
	}
	e := &StrictError{Skipped: t.Skipped(), Words: strings.TrimSpace(t.describe(false))}
	for _, s := range t.Skips() {
		if !s.Reason.Ignored() && len(e.Skips) < most {
			e.Skips = append(e.Skips, s)
		}
	}
	return e
}
