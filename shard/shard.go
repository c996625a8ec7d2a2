// Package shard divides a list of pictures between machines, and checks that the parts that they
// write belong together, so that merging them gives what one machine would have written.
//
// A shard is a contiguous range of the list. So parts are merged by writing one after another, with
// no memory, and shards differ in size by one picture at most.
package shard

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// MaxCount bounds the number of shards.
const MaxCount = 100_000

// Shard is one of Count ranges of a list.
type Shard struct {
	Index int `json:"shard"` // from 0 to Count-1
	Count int `json:"shards"`
}

// form is I/N, or N alone.
var form = regexp.MustCompile(`^(?:(\d+)/)?(\d+)$`)

// ErrNoIndex says that neither the text of a shard nor the job has an index.
var ErrNoIndex = errors.New("it has no index: write I/N, with I from 0 to N-1, or set JOB_COMPLETION_INDEX, as " +
	"Kubernetes does in the pods of an Indexed Job")

// Parse parses I/N, or N alone: I is then jobIndex, the value of JOB_COMPLETION_INDEX.
func Parse(text, jobIndex string) (Shard, error) {
	m := form.FindStringSubmatch(text)
	if m == nil {
		return Shard{}, errors.New("it must be I/N, such as 0/10 for the first of ten shards, or N alone")
	}
	count, err := strconv.Atoi(m[2])
	if err != nil || count < 1 || count > MaxCount {
		return Shard{}, fmt.Errorf("the number of shards must be from 1 to %d, not %s", MaxCount, m[2])
	}
	from := m[1]
	if from == "" {
		if jobIndex == "" {
			return Shard{}, ErrNoIndex
		}
		from = jobIndex
	}
	index, err := strconv.Atoi(from)
	if err != nil || index < 0 || index >= count {
		return Shard{}, fmt.Errorf("the index must be from 0 to %d, not %s", count-1, from)
	}
	return Shard{index, count}, nil
}

// String returns the shard in the form I/N.
func (s Shard) String() string { return fmt.Sprintf("%d/%d", s.Index, s.Count) }

// Range returns the shard's range of a list: from the first, up to and without the last.
func (s Shard) Range(total int) (from, to int) {
	at := func(i int) int { return int(int64(i) * int64(total) / int64(s.Count)) }
	return at(s.Index), at(s.Index + 1)
}

// FileName returns the name of the shard's part of a file: FILE-00003-of-00010. All parts of a file
// sort by their index.
func (s Shard) FileName(file string) string {
	width := max(5, len(strconv.Itoa(s.Count)))
	return fmt.Sprintf("%s-%0*d-of-%0*d", file, width, s.Index, width, s.Count)
}

// DigestList computes a digest of a list of names.
func DigestList(names iter.Seq[string]) string {
	h := sha256.New()
	for name := range names {
		h.Write(binary.AppendUvarint(nil, uint64(len(name))))
		h.Write([]byte(name))
	}
	return fmt.Sprintf("sha256:%x", h.Sum(nil))
}

// Header says what a part holds.
type Header struct {
	Kind string `json:"kind"` // the command, and the format of what it writes
	Shard
	List  string `json:"list"`  // digest of the list of all pictures
	Total int    `json:"total"` // pictures in the list
	Model string `json:"model"` // digest of the model, or of what computed features
	// Settings are the flags that change what the command writes.
	Settings map[string][]string `json:"settings,omitempty"`
	// Prefix is what comes before the first part, such as the header of a table.
	Prefix []byte `json:"prefix,omitempty"`
}

// differences lists how h, which is a part of the same job as other, differs from it.
func (h Header) differences(other Header) []string {
	var all []string
	differ := func(name string, a, b any) {
		if a != b {
			all = append(all, fmt.Sprintf("%s (%v, not %v)", name, a, b))
		}
	}
	differ("the command", h.Kind, other.Kind)
	differ("the number of shards", h.Count, other.Count)
	differ("the number of pictures", h.Total, other.Total)
	differ("the list of pictures", h.List, other.List)
	differ("the model", h.Model, other.Model)
	names := maps.Clone(h.Settings)
	if names == nil {
		names = map[string][]string{}
	}
	maps.Copy(names, other.Settings)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		differ("--"+name, formatValues(h.Settings, name), formatValues(other.Settings, name))
	}
	differ("what comes before the first part", string(h.Prefix), string(other.Prefix))
	return all
}

// formatValues formats the values of a setting.
func formatValues(settings map[string][]string, name string) string {
	if v, ok := settings[name]; ok {
		return strconv.Quote(strings.Join(v, ","))
	}
	return "not given"
}

// MissingError says that parts are missing.
type MissingError struct {
	Count   int
	Indices []int // of the missing shards
}

func (e *MissingError) Error() string {
	const shown = 10
	var names []string
	for _, i := range e.Indices[:min(shown, len(e.Indices))] {
		names = append(names, Shard{i, e.Count}.String())
	}
	text := strings.Join(names, ", ")
	if more := len(e.Indices) - shown; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("%d of %d parts are missing: the shards %s", len(e.Indices), e.Count, text)
}

// DoubleError says that two parts are of the same shard.
type DoubleError struct {
	Shard         Shard
	First, Second string
}

func (e *DoubleError) Error() string {
	return fmt.Sprintf("%s and %s are both parts of the shard %v: keep one", e.First, e.Second, e.Shard)
}

// ForeignError says that a part belongs to another job than the first one.
type ForeignError struct {
	Path, First string
	Differences []string
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("%s does not belong to %s: they differ in %s", e.Path, e.First,
		strings.Join(e.Differences, "; "))
}

// Order returns the indices of headers in the order of their shards. paths are their files. The error
// is a *ForeignError, *DoubleError or *MissingError unless they are the parts of one whole.
func Order(headers []Header, paths []string) ([]int, error) {
	if len(headers) == 0 {
		return nil, errors.New("there are no parts")
	}
	first := headers[0]
	at := make([]int, first.Count)
	for i := range at {
		at[i] = -1
	}
	for i, h := range headers {
		if d := h.differences(first); len(d) > 0 {
			return nil, &ForeignError{paths[i], paths[0], d}
		}
		if before := at[h.Index]; before >= 0 {
			return nil, &DoubleError{h.Shard, paths[before], paths[i]}
		}
		at[h.Index] = i
	}
	var missing []int
	for i, part := range at {
		if part < 0 {
			missing = append(missing, i)
		}
	}
	if len(missing) > 0 {
		return nil, &MissingError{first.Count, missing}
	}
	return at, nil
}

// String returns the header as JSON, for ParseHeader.
func (h Header) String() string {
	text, err := json.Marshal(h)
	if err != nil {
		panic("shard: " + err.Error()) // plain values only
	}
	return string(text)
}

// ParseHeader parses the text of a header.
func ParseHeader(text string) (Header, error) {
	var h Header
	if err := decodeStrictly([]byte(text), &h); err != nil {
		return h, fmt.Errorf("what it says about its shard cannot be read: %w", err)
	}
	return h, h.validate()
}

// maxTotal bounds the number of pictures in a list.
const maxTotal = 1 << 40

// validate reports a header that no command writes.
func (h Header) validate() error {
	switch {
	case h.Count < 1 || h.Count > MaxCount || h.Index < 0 || h.Index >= h.Count:
		return fmt.Errorf("it is shard %d of %d", h.Index, h.Count)
	case h.Total < 0 || h.Total > maxTotal || h.Kind == "" || h.List == "":
		return errors.New("its first line is incomplete")
	}
	return nil
}
