// Package relabel applies corrections of labels to a data set on disk. It moves pictures
// between class folders, or rewrites labels in a table and keeps every other byte of it. It
// checks all corrections before it applies any, writes a log first, and can undo its changes.
package relabel

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"garb/dataset"
	"garb/internal/safefile"
)

// Correction is a new label for a picture.
type Correction struct {
	Line    int    // in the file of corrections, for messages
	Picture string // path relative to the data set with slashes, or absolute
	Label   string // the label that it has
	New     string // the label that it should have
}

// Limits for a file of corrections.
const (
	maxFileBytes   = 512 << 20
	maxCorrections = 5_000_000
)

// The columns' names in a file of corrections, in lower case, and its possible separators.
var (
	pictureNames  = []string{"picture"}
	labelNames    = []string{"label"}
	newNames      = []string{"proposed", "new", "new_label"}
	acceptedNames = []string{"accepted"}
	separators    = []byte{',', ';', '\t', '|'}
)

// The values of the column accepted, in lower case.
var (
	acceptedWords = []string{"yes", "y", "true", "1", "x"}
	refusedWords  = []string{"", "no", "n", "false", "0"}
)

// ErrColumns is wrapped by errors about a file of corrections that lacks columns.
var ErrColumns = errors.New("the file needs the columns picture, label and proposed (or new)")

// ErrTooManyRows is wrapped by errors about a file of corrections with more than 5,000,000
// rows.
var ErrTooManyRows = errors.New("the file has too many rows")

// ReadCorrections reads a table with the columns picture, label and proposed (or new, or
// new_label), in any order, separated by commas, semicolons, tabs or vertical bars. If it has
// a column accepted, ReadCorrections returns only rows where that is yes, y, true, 1 or x.
// rows is the number of all rows. Errors name the file; they are those of safefile.Read (a
// file may have 512 MB), *SyntaxError, *ProblemsError, or wrap ErrColumns or ErrTooManyRows.
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

// columns has the indices of a file's columns; accepted may be −1.
type columns struct{ picture, label, new, accepted int }

func parseCorrections(data []byte) (accepted []Correction, rows int, err error) {
	s, c, err := readHeader(data)
	if err != nil {
		return nil, 0, err
	}
	var bad []Problem
	var r record
	for {
		ok, err := s.read(&r)
		if err != nil {
			return nil, 0, err
		}
		if !ok {
			break
		}
		if rows++; rows > maxCorrections {
			return nil, 0, fmt.Errorf("%w: more than %d", ErrTooManyRows, maxCorrections)
		}
		switch correction, isAccepted, problem := c.parse(data, r); {
		case problem != nil:
			bad = append(bad, *problem)
		case isAccepted:
			accepted = append(accepted, correction)
		}
	}
	if bad != nil {
		return nil, 0, &ProblemsError{bad}
	}
	return accepted, rows, nil
}

// parse returns the correction in a record and whether it is accepted, or what is wrong.
func (c columns) parse(data []byte, r record) (correction Correction, accepted bool, problem *Problem) {
	if max(c.picture, c.label, c.new, c.accepted) >= len(r.fields) {
		return Correction{}, false, &Problem{Line: r.line,
			Message: fmt.Sprintf("the row has %d fields, fewer than the header", len(r.fields))}
	}
	get := func(column int) string { return unquote(data[r.fields[column].start:r.fields[column].end]) }
	correction = Correction{
		r.line, get(c.picture), dataset.CleanLabel(get(c.label)), dataset.CleanLabel(get(c.new)),
	}
	if c.accepted < 0 {
		return correction, true, nil
	}
	word := strings.ToLower(strings.TrimSpace(get(c.accepted)))
	if slices.Contains(acceptedWords, word) {
		return correction, true, nil
	}
	if !slices.Contains(refusedWords, word) {
		problem = &Problem{Line: r.line, Picture: correction.Picture,
			Message: fmt.Sprintf("the column accepted has %q, which is neither yes nor no", word)}
	}
	return correction, false, problem
}

// readHeader finds the separator with which the first line has all columns.
func readHeader(data []byte) (*scanner, columns, error) {
	first := ErrColumns
	for _, separator := range separators {
		s := newScanner(data, separator)
		var r record
		ok, err := s.read(&r)
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
	Line    int // in the file of corrections, or in the log
	Picture string
	Message string
	// NewClass says that the problem is a label that no picture has yet.
	NewClass bool
}

// ProblemsError lists all problems with corrections or with an undo. Nothing was changed.
type ProblemsError struct{ Problems []Problem }

// shownProblems is the number of problems in the text of a ProblemsError.
const shownProblems = 20

func (e *ProblemsError) Error() string {
	var b strings.Builder
	noun := "problems"
	if len(e.Problems) == 1 {
		noun = "problem"
	}
	fmt.Fprintf(&b, "%d %s; nothing was changed", len(e.Problems), noun)
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
