package relabel

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"
)

// span locates a field, with its quotes, in a table's bytes.
type span struct{ start, end int }

// record is a row of a table by the rules of encoding/csv. It knows where each field lies, so
// that one can be replaced while all other bytes stay.
type record struct {
	line   int // its first line, from 1
	fields []span
}

// SyntaxError says that a table is malformed.
type SyntaxError struct {
	Line    int
	Message string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Message) }

// scanner reads the records of a table in memory.
type scanner struct {
	data      []byte
	delimiter byte
	next      int // the next byte
	line      int // of the next byte, from 1
}

// utf8Mark is UTF-8's byte order mark, with which a table may begin.
const utf8Mark = "\xef\xbb\xbf"

func newScanner(data []byte, delimiter byte) *scanner {
	s := &scanner{data: data, delimiter: delimiter, line: 1}
	if bytes.HasPrefix(data, []byte(utf8Mark)) {
		s.next = len(utf8Mark)
	}
	return s
}

// read reads a record into r, whose memory it reuses, and reports whether there was one. It
// ignores empty lines, as encoding/csv does.
func (s *scanner) read(r *record) (bool, error) {
	for s.next < len(s.data) {
		if n := s.lineEnd(); n > 0 {
			s.next += n
			s.line++
			continue
		}
		r.line, r.fields = s.line, r.fields[:0]
		for {
			f, err := s.readField()
			if err != nil {
				return false, err
			}
			r.fields = append(r.fields, f)
			if s.next < len(s.data) && s.data[s.next] == s.delimiter {
				s.next++
				continue
			}
			if n := s.lineEnd(); n > 0 {
				s.next += n
				s.line++
			}
			return true, nil
		}
	}
	return false, nil
}

// lineEnd returns the length of the line end at the next byte, or 0. A carriage return at the
// end of the file is a line end.
func (s *scanner) lineEnd() int {
	rest := s.data[s.next:]
	switch {
	case len(rest) > 0 && rest[0] == '\n', len(rest) == 1 && rest[0] == '\r':
		return 1
	case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
		return 2
	}
	return 0
}

// readField reads up to the delimiter, the end of the line or the end of the file.
func (s *scanner) readField() (span, error) {
	start := s.next
	if s.next == len(s.data) || s.data[s.next] != '"' {
		for s.next < len(s.data) && s.data[s.next] != s.delimiter && s.lineEnd() == 0 {
			if s.data[s.next] == '"' {
				return span{}, &SyntaxError{s.line, "a field has a quote but does not begin with one"}
			}
			s.next++
		}
		return span{start, s.next}, nil
	}
	opened := s.line
	for s.next++; s.next < len(s.data); s.next++ {
		switch s.data[s.next] {
		case '\n':
			s.line++
		case '"':
			s.next++
			if s.next < len(s.data) && s.data[s.next] == '"' {
				continue // an escaped quote
			}
			if s.next < len(s.data) && s.data[s.next] != s.delimiter && s.lineEnd() == 0 {
				return span{}, &SyntaxError{s.line, "a field continues after its closing quote"}
			}
			return span{start, s.next}, nil
		}
	}
	return span{}, &SyntaxError{opened, "a quote is not closed"}
}

// unquote returns the value of a raw field, without its quotes.
func unquote(raw []byte) string {
	if len(raw) == 0 || raw[0] != '"' {
		return string(raw)
	}
	return strings.ReplaceAll(string(raw[1:len(raw)-1]), `""`, `"`)
}

// replaceValue returns a raw field with another value. It keeps the spaces around the value and
// the quotes, and adds quotes where the new value needs them.
func replaceValue(raw []byte, value string, delimiter byte) []byte {
	old := unquote(raw)
	quoted := len(raw) > 0 && raw[0] == '"'
	if needsQuotes(value, delimiter) && !quoted {
		old, quoted = "", true // a space before an opening quote would break the field
	}
	core := strings.TrimSpace(old)
	before, after := "", ""
	if core != "" {
		at := strings.Index(old, core)
		before, after = old[:at], old[at+len(core):]
	}
	value = before + value + after
	if quoted {
		value = `"` + strings.ReplaceAll(value, `"`, `""`) + `"`
	}
	return []byte(value)
}

func needsQuotes(value string, delimiter byte) bool {
	return strings.ContainsAny(value, "\"\r\n") || strings.IndexByte(value, delimiter) >= 0
}

// edit replaces one field of a table.
type edit struct {
	line, column int
	before       []byte // raw
	after        []byte // raw
}

// cell is the line and the column of a field.
type cell struct{ line, column int }

// locate returns the raw fields of some cells of a table. It omits cells that the table lacks.
func locate(data []byte, delimiter byte, cells map[cell]bool) (map[cell]span, error) {
	lines := map[int][]int{}
	for p := range cells {
		lines[p.line] = append(lines[p.line], p.column)
	}
	found := make(map[cell]span, len(cells))
	s := newScanner(data, delimiter)
	var r record
	for len(found) < len(cells) {
		ok, err := s.read(&r)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		for _, column := range lines[r.line] {
			if column >= 0 && column < len(r.fields) {
				found[cell{r.line, column}] = r.fields[column]
			}
		}
	}
	return found, nil
}

func (e edit) cell() cell { return cell{e.line, e.column} }

// compareCells orders cells as they occur in a table.
func compareCells(a, b cell) int {
	return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
}

// applyEdits returns a table with edits applied, or undone. The edits must be sorted by cell.
// changed is the number of fields that change; fields that already have the new value do not
// count. mismatched has the indices of the edits whose field has neither the old nor the new
// value, or that are not sorted.
func applyEdits(data []byte, delimiter byte, edits []edit, undo bool) (to []byte, changed int, mismatched []int,
	err error) {
	cells := map[cell]bool{}
	for _, e := range edits {
		cells[e.cell()] = true
	}
	found, err := locate(data, delimiter, cells)
	if err != nil {
		return nil, 0, nil, err
	}
	to = make([]byte, 0, len(data))
	at := 0
	for i, e := range edits {
		before, after := e.before, e.after
		if undo {
			before, after = after, before
		}
		f, ok := found[e.cell()]
		raw := data[f.start:f.end]
		switch {
		case !ok || f.start < at:
			mismatched = append(mismatched, i)
		case bytes.Equal(raw, before):
			to = append(append(to, data[at:f.start]...), after...)
			at = f.end
			changed++
		case !bytes.Equal(raw, after):
			mismatched = append(mismatched, i)
		}
	}
	return append(to, data[at:]...), changed, mismatched, nil
}
