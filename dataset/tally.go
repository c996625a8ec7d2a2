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

// The reasons. Those for which Ignored is true are no loss: there was nothing to use,
// or somebody chose not to use it.
const (
	ReasonMissing    Reason = "missing"            // the file does not exist
	ReasonUnreadable Reason = "unreadable"         // the file cannot be opened or decoded
	ReasonNotPicture Reason = "not_a_picture"      // neither name nor content is a picture's
	ReasonNoLabel    Reason = "no_label"           // its label is empty, or nothing labels it
	ReasonBadMask    Reason = "bad_mask"           // its mask says nothing that can be trusted
	ReasonConflict   Reason = "conflicting_labels" // a table gives it several labels
	ReasonOutside    Reason = "outside_classes"    // a picture outside the folders that are read
	ReasonBadRow     Reason = "bad_row"            // a row of a table that makes no sense
	ReasonExcluded   Reason = "excluded"           // its class was not asked for
	ReasonRepeated   Reason = "repeated"           // listed or linked before
	ReasonUnlisted   Reason = "unlisted"           // beside a table's pictures, and in no row
	ReasonOther      Reason = "other_file"         // no picture, in a folder that is no class's
	ReasonHidden     Reason = "hidden"             // a hidden file or folder, or one of a system's
	ReasonEmpty      Reason = "empty_folder"       // a folder without pictures
)

// reasonWords has the words for each reason, after a number: for one, and for several.
// The order is that of Tally.String.
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

// Ignored reports whether the reason is no loss: hidden files, empty folders, what is
// listed twice or not at all, and classes that were excluded.
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

// String names what was skipped, and why.
func (s Skip) String() string {
	if s.Path == "" || strings.Contains(s.Message, s.Path) {
		return s.Message
	}
	return s.Path + ": " + s.Message
}

// maxListed bounds the skips of each reason that a Tally lists; it counts all.
const maxListed = 10_000

// Tally counts what gave no picture, by reason. Its methods may be called by several
// goroutines. The zero Tally is ready to use.
type Tally struct {
	mu     sync.Mutex
	counts map[Reason]int
	skips  []Skip
}

// Add counts one skip. An empty path stands for what has none.
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

// Merge adds all that another tally has counted.
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
func (t *Tally) Skipped() int { return t.total(false) }

func (t *Tally) total(ignored bool) int {
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

// Skips lists the skips in the order in which they were added, at most 10,000 of each
// reason.
func (t *Tally) Skips() []Skip {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.skips)
}

// Summary says in one line how many pictures were used, and how many were not, by
// reason: "372 pictures used, 3 skipped (2 missing, 1 unreadable), 1 ignored (1 hidden
// file)".
func (t *Tally) Summary(used int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s used, %d skipped", used, plural(used, "picture"), t.Skipped())
	b.WriteString(t.words(false))
	if n := t.total(true); n > 0 {
		fmt.Fprintf(&b, ", %d ignored%s", n, t.words(true))
	}
	return b.String()
}

// words lists the counts of the reasons that are losses, or of those that are not, in
// parentheses after a space; "" if there are none.
func (t *Tally) words(ignored bool) string {
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

// plural returns a noun for a count: "picture", "pictures".
func plural(count int, noun string) string {
	if count == 1 {
		return noun
	}
	if strings.HasSuffix(noun, "s") {
		return noun + "es"
	}
	return noun + "s"
}

// StrictError says that pictures were skipped where none may be.
type StrictError struct {
	Skipped int    // losses in all
	Words   string // their number by reason: "(2 missing, 1 unreadable)"
	Skips   []Skip // the first of them
}

func (e *StrictError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s skipped %s, where none may be", e.Skipped, plural(e.Skipped, "file"), e.Words)
	for _, s := range e.Skips {
		fmt.Fprintf(&b, "\n  %s", s)
	}
	if e.Skipped > len(e.Skips) {
		fmt.Fprintf(&b, "\n  and %d more", e.Skipped-len(e.Skips))
	}
	return b.String()
}

// Strict returns a *StrictError if anything was skipped that is a loss, else nil.
func (t *Tally) Strict() error {
	const most = 10
	if t.Skipped() == 0 {
		return nil
	}
	e := &StrictError{Skipped: t.Skipped(), Words: strings.TrimSpace(t.words(false))}
	for _, s := range t.Skips() {
		if !s.Reason.Ignored() && len(e.Skips) < most {
			e.Skips = append(e.Skips, s)
		}
	}
	return e
}
