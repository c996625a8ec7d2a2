package relabel

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"
)

// span is the place of a field in a table's bytes, with its quotes.
type span struct{ start, end int }

// record is a row of a table. It follows the rules of encoding/csv, but knows where each
// field lies, so that one can be replaced and all other bytes stay.
type record struct {
	line   int // where it begins, from 1
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
	at        int // next byte
	line      int // of that byte, from 1
}

// utf8Mark is the byte order mark of UTF-8, which a table may begin with.
const utf8Mark = "\xef\xbb\xbf"

func newScanner(data []byte, delimiter byte) *scanner {
	s := &scanner{data: data, delimiter: delimiter, line: 1}
	if bytes.HasPrefix(data, []byte(utf8Mark)) {
		s.at = len(utf8Mark)
	}
	return s
}

// next reads a record into r, whose memory it uses again, and reports whether there was
// one. Empty lines are ignored, as encoding/csv does.
func (s *scanner) next(r *record) (bool, error) {
	for s.at < len(s.data) {
		if n := s.lineEnd(); n > 0 {
			s.at += n
			s.line++
			continue
		}
		r.line, r.fields = s.line, r.fields[:0]
		for {
			f, err := s.field()
			if err != nil {
				return false, err
			}
			r.fields = append(r.fields, f)
			if s.at < len(s.data) && s.data[s.at] == s.delimiter {
				s.at++
				continue
			}
			if n := s.lineEnd(); n > 0 {
				s.at += n
				s.line++
			}
			return true, nil
		}
	}
	return false, nil
}

// lineEnd returns the length of the line end at the next byte, 0 if there is none. A
// carriage return at the end of the file counts as one.
func (s *scanner) lineEnd() int {
	rest := s.data[s.at:]
	switch {
	case len(rest) > 0 && rest[0] == '\n', len(rest) == 1 && rest[0] == '\r':
		return 1
	case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
		return 2
	}
	return 0
}

// field reads up to the delimiter, the end of the line or that of the file.
func (s *scanner) field() (span, error) {
	start := s.at
	if s.at == len(s.data) || s.data[s.at] != '"' {
		for s.at < len(s.data) && s.data[s.at] != s.delimiter && s.lineEnd() == 0 {
			if s.data[s.at] == '"' {
				return span{}, &SyntaxError{s.line, "a quote inside a field that does not begin with one"}
			}
			s.at++
		}
		return span{start, s.at}, nil
	}
	opened := s.line
	for s.at++; s.at < len(s.data); s.at++ {
		switch s.data[s.at] {
		case '\n':
			s.line++
		case '"':
			s.at++
			if s.at < len(s.data) && s.data[s.at] == '"' {
				continue // an escaped quote
			}
			if s.at < len(s.data) && s.data[s.at] != s.delimiter && s.lineEnd() == 0 {
				return span{}, &SyntaxError{s.line, "a quoted field goes on after its closing quote"}
			}
			return span{start, s.at}, nil
		}
	}
	return span{}, &SyntaxError{opened, "a quote is not closed"}
}

// unquote returns the value of a raw field: without its quotes.
func unquote(raw []byte) string {
	if len(raw) == 0 || raw[0] != '"' {
		return string(raw)
	}
	return strings.ReplaceAll(string(raw[1:len(raw)-1]), `""`, `"`)
}

// replaceValue returns a raw field with another value. Spaces around the value stay, and so do
// quotes; quotes are added where the value needs them.
func replaceValue(raw []byte, value string, delimiter byte) []byte {
	old := unquote(raw)
	quoted := len(raw) > 0 && raw[0] == '"'
	if needsQuotes(value, delimiter) && !quoted {
		old, quoted = "", true // spaces before a quote would be part of the value, and break it
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

// place is the row and column of a field.
type place struct{ line, column int }

// locate returns the raw fields at some places of a table. Places that the table lacks
// are absent.
func locate(data []byte, delimiter byte, places map[place]bool) (map[place]span, error) {
	lines := map[int][]int{}
	for p := range places {
		lines[p.line] = append(lines[p.line], p.column)
	}
	found := make(map[place]span, len(places))
	s := newScanner(data, delimiter)
	var r record
	for len(found) < len(places) {
		ok, err := s.next(&r)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		for _, column := range lines[r.line] {
			if column >= 0 && column < len(r.fields) {
				found[place{r.line, column}] = r.fields[column]
			}
		}
	}
	return found, nil
}

func (e edit) place() place { return place{e.line, e.column} }

// compare orders places as they come in a table.
func compare(a, b place) int {
	return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
}

// apply returns a table with edits made that are sorted by place; with undo, unmade.
// changed counts the fields that change; those that need no change are none. odd has the
// indices of the edits whose field is neither as it was before nor after, or that are not
// sorted.
func apply(data []byte, delimiter byte, edits []edit, undo bool) (to []byte, changed int, odd []int, err error) {
	places := map[place]bool{}
	for _, e := range edits {
		places[e.place()] = true
	}
	found, err := locate(data, delimiter, places)
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
		f, ok := found[e.place()]
		raw := data[f.start:f.end]
		switch {
		case !ok || f.start < at:
			odd = append(odd, i)
		case bytes.Equal(raw, before):
			to = append(append(to, data[at:f.start]...), after...)
			at = f.end
			changed++
		case !bytes.Equal(raw, after):
			odd = append(odd, i)
		}
	}
	return append(to, data[at:]...), changed, odd, nil
}
