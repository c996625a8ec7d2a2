// Package relabel applies corrections of labels to a data set on disk: it moves pictures
// between class folders, or rewrites labels in a table, leaving every other byte of it as
// it was. It applies all corrections or none, writes a log first, and can undo what it did.
package relabel

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"garb/internal/safefile"
)

// Correction is a new label for a picture.
type Correction struct {
	Line    int    // of the file that it came from, for messages
	Picture string // path relative to the data set with slashes, or absolute
	Label   string // the label that it has
	New     string // the label that it should have
}

// Limits of a file of corrections.
const (
	maxFileBytes   = 512 << 20
	maxCorrections = 5_000_000
)

// The names of columns in a file of corrections, in lower case.
var (
	pictureNames  = []string{"picture"}
	labelNames    = []string{"label"}
	newNames      = []string{"proposed", "new", "new_label"}
	acceptedNames = []string{"accepted"}
	separators    = []byte{',', ';', '\t', '|'}
)

// What the column accepted may say, in lower case.
var (
	acceptedWords = []string{"yes", "y", "true", "1", "x"}
	refusedWords  = []string{"", "no", "n", "false", "0"}
)

// ErrColumns is wrapped by errors about a file of corrections that lacks columns.
var ErrColumns = errors.New("it needs the columns picture, label and proposed (or new)")

// ErrTooManyRows is wrapped by errors about a file of corrections with more than 5,000,000
// rows.
var ErrTooManyRows = errors.New("it has too many rows")

// ReadCorrections reads a table with the columns picture, label and proposed (or new, or
// new_label), in any order, separated by commas, semicolons, tabs or vertical bars. Where
// it has a column accepted, only rows count in which that says yes, y, true, 1 or x; rows
// is the number of all. Errors name the file; they are those of safefile.Read (files of
// more than 512 MB are refused), *SyntaxError, *ProblemsError, or wrap
// ErrColumns or ErrTooManyRows.
func ReadCorrections(path string) (accepted []Correction, rows int, err error) {
	data, err := safefile.Read(path, maxFileBytes)
	if err != nil {
		return nil, 0, err
	}
	if accepted, rows, err = parseCorrections(data); err != nil {
		return nil, 0, fmt.Errorf("%s: %w", path, err)
	}
	return accepted, rows, nil
}

// columns are the places of a file's columns; accepted may be −1.
type columns struct{ picture, label, new, accepted int }

func parseCorrections(data []byte) (accepted []Correction, rows int, err error) {
	s, c, err := readHeader(data)
	if err != nil {
		return nil, 0, err
	}
	var bad []Problem
	var r record
	for {
		ok, err := s.next(&r)
		if err != nil {
			return nil, 0, err
		}
		if !ok {
			break
		}
		if rows++; rows > maxCorrections {
			return nil, 0, fmt.Errorf("%w: more than %d", ErrTooManyRows, maxCorrections)
		}
		get := func(column int) string { return unquote(data[r.fields[column].start:r.fields[column].end]) }
		if most := max(c.picture, c.label, c.new, c.accepted); most >= len(r.fields) {
			bad = append(bad, Problem{Line: r.line,
				Message: fmt.Sprintf("it has %d fields, fewer than the header", len(r.fields))})
			continue
		}
		if c.accepted >= 0 {
			word := strings.ToLower(strings.TrimSpace(get(c.accepted)))
			switch {
			case slices.Contains(refusedWords, word):
				continue
			case !slices.Contains(acceptedWords, word):
				bad = append(bad, Problem{Line: r.line, Picture: get(c.picture),
					Message: fmt.Sprintf("accepted says %q, which is neither yes nor no", word)})
				continue
			}
		}
		accepted = append(accepted, Correction{r.line, get(c.picture), strings.TrimSpace(get(c.label)),
			strings.TrimSpace(get(c.new))})
	}
	if bad != nil {
		return nil, 0, &ProblemsError{bad}
	}
	return accepted, rows, nil
}

// readHeader finds the separator and the columns: it is the one with which the first line has
// them all.
func readHeader(data []byte) (*scanner, columns, error) {
	var first error = ErrColumns
	for _, separator := range separators {
		s := newScanner(data, separator)
		var r record
		ok, err := s.next(&r)
		if err != nil || !ok {
			if err != nil {
				first = err
			}
			continue
		}
		find := func(names []string) int {
			return slices.IndexFunc(r.fields, func(f span) bool {
				return slices.Contains(names, strings.ToLower(strings.TrimSpace(unquote(data[f.start:f.end]))))
			})
		}
		c := columns{find(pictureNames), find(labelNames), find(newNames), find(acceptedNames)}
		if c.picture >= 0 && c.label >= 0 && c.new >= 0 {
			return s, c, nil
		}
	}
	return nil, columns{}, first
}

// Problem says why a correction, or a step of an undo, cannot be applied.
type Problem struct {
	Line    int // of the file of corrections, or of the log
	Picture string
	Message string
	// NewClass says that it is about a label that no picture has so far.
	NewClass bool
}

// ProblemsError lists all that keeps corrections from being applied. None was.
type ProblemsError struct{ Problems []Problem }

// shownProblems bounds the text of a ProblemsError, whose Problems are all.
const shownProblems = 20

func (e *ProblemsError) Error() string {
	var b strings.Builder
	noun := "problems"
	if len(e.Problems) == 1 {
		noun = "problem"
	}
	fmt.Fprintf(&b, "%d %s, so nothing was changed", len(e.Problems), noun)
	for i, p := range e.Problems {
		if i == shownProblems {
			fmt.Fprintf(&b, "\n  … and %d more", len(e.Problems)-i)
			break
		}
		fmt.Fprintf(&b, "\n  line %d", p.Line)
		if p.Picture != "" {
			fmt.Fprintf(&b, ", %q", p.Picture)
		}
		fmt.Fprintf(&b, ": %s", p.Message)
	}
	return b.String()
}
