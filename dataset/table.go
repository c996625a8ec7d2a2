package dataset

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of a table.
const (
	maxRecordBytes = 1 << 20    // of one row
	maxRows        = 20_000_000 // a table of 1e6 rows takes about 450 MB
	maxColumns     = 10_000
)

// TableError says why a table cannot be used.
type TableError struct {
	File    string
	Line    int // 0 where the error is of no line
	Message string
	Err     error // the cause, or nil
}

func (e *TableError) Error() string {
	place := e.File
	if e.Line > 0 {
		place = fmt.Sprintf("%s, line %d", e.File, e.Line)
	}
	if e.Err != nil {
		return fmt.Sprintf("table %s: %s: %v", place, e.Message, e.Err)
	}
	return fmt.Sprintf("table %s: %s", place, e.Message)
}

// Unwrap returns the cause.
func (e *TableError) Unwrap() error { return e.Err }

// Table is a table of pictures: a header, then a row for each picture. Its columns are
// separated by commas, semicolons, tabs or vertical bars, whichever the header has most
// of; fields may be quoted as RFC 4180 says, and a byte order mark is ignored.
type Table struct {
	File      string
	Columns   []string // names, trimmed
	Delimiter rune
}

// separators are the delimiters of columns, the most usual first.
var separators = []rune{',', ';', '\t', '|'}

// delimiterHint is a first line with the delimiter, as Excel writes and reads it.
var delimiterHint = regexp.MustCompile("^\"?sep=([,;\t|])\"?\r?\n")

// tableRow is a row of a table. Fields are valid until the next row is read.
type tableRow struct {
	Line   int // where it begins, from 1
	Fields []string
}

// readTable reads a table, and calls header once and row for each row below it. It
// returns the first error of either. A row with another number of fields than the
// header, or one that is not UTF-8, is handed to bad instead, which counts it. A row
// whose fields are all blank is none.
func readTable(ctx context.Context, path string, header func(*Table) error, row func(tableRow) error,
	bad func(line int, message string)) error {
	fail := func(line int, message string, err error) error { return &TableError{path, line, message, err} }
	f, err := os.Open(path)
	if err != nil {
		return fail(0, "it cannot be read", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() {
		return fail(0, "it is not a file", nil)
	}
	return scanTable(ctx, path, f, header, row, bad)
}

// scanTable is readTable from a reader.
func scanTable(ctx context.Context, path string, from io.Reader, header func(*Table) error, row func(tableRow) error,
	bad func(line int, message string)) error {
	fail := func(line int, message string, err error) error { return &TableError{path, line, message, err} }
	buffered := bufio.NewReaderSize(from, 64<<10)
	head, _ := buffered.Peek(64 << 10)
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		buffered.Discard(3)
		head = head[3:]
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		return fail(0, "it is in UTF-16: save it as UTF-8", nil)
	}
	delimiter := rune(0)
	if hint := delimiterHint.FindSubmatch(head); hint != nil {
		delimiter, _ = utf8.DecodeRune(hint[1])
		buffered.Discard(len(hint[0]))
		head = head[len(hint[0]):]
	}
	if bytes.IndexByte(head, '\n') < 0 && bytes.IndexByte(bytes.TrimSpace(head), '\r') >= 0 {
		return fail(0, "its lines end as on old Macs: save it with ordinary line ends", nil)
	}
	if bytes.IndexByte(head, 0) >= 0 {
		return fail(0, "it has zero bytes: it is no text", nil)
	}
	if len(bytes.TrimSpace(head)) == 0 {
		return fail(0, "it is empty; it needs a line with the names of its columns", nil)
	}
	bounded := &recordLimit{from: buffered}
	rows := csv.NewReader(bounded)
	if rows.Comma = delimiter; delimiter == 0 {
		rows.Comma = delimiterOf(head)
	}
	rows.FieldsPerRecord = -1
	rows.ReuseRecord = true
	rows.TrimLeadingSpace = rows.Comma != '\t' // which would be taken for space
	table := &Table{File: path, Delimiter: rows.Comma}
	line := 0 // of the row before
	for count := 0; ; count++ {
		if count%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		bounded.handed = 0
		fields, err := rows.Read()
		if errors.Is(err, io.EOF) {
			if count == 0 {
				return fail(0, "it is empty; it needs a line with the names of its columns", nil)
			}
			return nil
		}
		var syntax *csv.ParseError
		switch {
		case errors.Is(err, errLongRecord):
			return fail(line+1, fmt.Sprintf("a row is longer than %d bytes", maxRecordBytes), nil)
		case errors.As(err, &syntax):
			return fail(syntax.StartLine, "it is malformed; a quote that is not closed?", syntax.Err)
		case err != nil:
			return fail(0, "it cannot be read", err)
		}
		line, _ = rows.FieldPos(0)
		switch {
		case count == 0:
			if len(fields) > maxColumns {
				return fail(line, fmt.Sprintf("it has more than %d columns", maxColumns), nil)
			}
			for _, name := range fields {
				if !utf8.ValidString(name) {
					return fail(line, "it is not UTF-8: save it as UTF-8", nil)
				}
				table.Columns = append(table.Columns, strings.TrimSpace(name))
			}
			if err := header(table); err != nil {
				return err
			}
		case count > maxRows:
			return fail(line, fmt.Sprintf("it has more than %d rows", maxRows), nil)
		case isBlank(fields): // as a spreadsheet writes an empty line
		case len(fields) != len(table.Columns) && !blankTail(fields, len(table.Columns)):
			bad(line, fmt.Sprintf("line %d has %d %s, where the header has %d", line, len(fields),
				plural(len(fields), "field"),
				len(table.Columns)))
		case slices.ContainsFunc(fields, func(s string) bool { return !utf8.ValidString(s) }):
			bad(line, fmt.Sprintf("line %d is not UTF-8", line))
		default:
			if err := row(tableRow{line, fields}); err != nil {
				return err
			}
		}
	}
}

// isBlank reports whether all fields are empty or spaces.
func isBlank(fields []string) bool {
	return !slices.ContainsFunc(fields, func(field string) bool { return strings.TrimSpace(field) != "" })
}

// blankTail reports whether a row has more fields than the header, all of them blank:
// spreadsheets write such rows.
func blankTail(fields []string, columns int) bool {
	return len(fields) > columns && isBlank(fields[columns:])
}

// delimiterOf returns the separator that the first line has most of, outside quotes.
func delimiterOf(head []byte) rune {
	counts := map[rune]int{}
	quoted := false
	for _, b := range head {
		if b == '"' {
			quoted = !quoted
		}
		if (b == '\n' || b == '\r') && !quoted && len(counts) > 0 {
			break
		}
		if !quoted && slices.Contains(separators, rune(b)) {
			counts[rune(b)]++
		}
	}
	best := separators[0]
	for _, s := range separators {
		if counts[s] > counts[best] {
			best = s
		}
	}
	return best
}

var errLongRecord = errors.New("row too long")

// recordLimit ends a read with errLongRecord once too many bytes were handed out for one
// row, so that a line without end does not fill the memory.
type recordLimit struct {
	from   io.Reader
	handed int // since the row began
}

func (l *recordLimit) Read(p []byte) (int, error) {
	if l.handed > maxRecordBytes {
		return 0, errLongRecord
	}
	n, err := l.from.Read(p)
	l.handed += n
	return n, err
}

// The usual names of columns, the surest first, as simplified makes them.
var (
	imageColumns = []string{
		"image", "filename", "file", "path", "filepath", "imagepath", "imagefile", "imagefilename", "imagename", "img",
		"imgpath", "imgname", "picture", "photo", "name", "imageid", "imgid", "id",
	}
	labelColumns = []string{
		"label", "class", "category", "target", "labels", "classname", "labelname", "categoryname", "classlabel",
		"articletype", "breed", "species", "tag", "tags",
	}
	splitColumns = []string{"split", "subset", "partition", "set", "dataset"}
)

// simplified is a column's name without case, spaces, dashes and underscores.
func simplified(name string) string {
	return strings.ToLower(strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r == ' ' || r == '.' {
			return -1
		}
		return r
	}, name))
}

// usual lists the columns whose names are among the usual ones, the surest first.
func (t *Table) usual(names []string) []int {
	var found []int
	for _, name := range names {
		for i, column := range t.Columns {
			if simplified(column) == name && !slices.Contains(found, i) {
				found = append(found, i)
			}
		}
	}
	return found
}

// column returns the place of the column of a name: the exact name, else one that
// differs in case and punctuation only.
func (t *Table) column(name string) (int, error) {
	if i := slices.Index(t.Columns, strings.TrimSpace(name)); i >= 0 {
		return i, nil
	}
	at := -1
	for i, column := range t.Columns {
		if simplified(column) == simplified(name) {
			if at >= 0 {
				return 0, &TableError{File: t.File,
					Message: fmt.Sprintf("the columns %q and %q are both like %q", t.Columns[at],
						column, name)}
			}
			at = i
		}
	}
	if at < 0 {
		return 0, &TableError{File: t.File, Message: fmt.Sprintf("it has no column %q; its columns are %s", name,
			quoted(t.Columns))}
	}
	return at, nil
}

// quoted lists names, each as it would be typed, at most 40 of them.
func quoted(names []string) string {
	const most = 40
	var parts []string
	for _, n := range names[:min(len(names), most)] {
		parts = append(parts, fmt.Sprintf("%q", n))
	}
	if len(names) > most {
		parts = append(parts, fmt.Sprintf("… (%d in all)", len(names)))
	}
	return strings.Join(parts, ", ")
}

// files finds the pictures that a table names.
type files struct {
	base    string // folder that names are relative to
	inside  bool   // names must not lead out of base
	folders map[string]*listing
}

// listing is what a folder holds.
type listing struct {
	names map[string]bool     // whether a row names the file
	stems map[string][]string // the pictures of each name without ending
}

func newFiles(base string, inside bool) *files {
	return &files{base: base, inside: inside, folders: map[string]*listing{}}
}

// list returns the listing of a folder, which is empty if it cannot be read.
func (f *files) list(folder string) *listing {
	if l, ok := f.folders[folder]; ok {
		return l
	}
	l := &listing{map[string]bool{}, map[string][]string{}}
	entries, _ := os.ReadDir(folder)
	for _, e := range entries {
		name := e.Name()
		l.names[name] = false
		if ending := filepath.Ext(name); slices.Contains(pictureEndings, strings.ToLower(ending)) && !hidden(name) {
			stem := strings.TrimSuffix(name, ending)
			l.stems[stem] = append(l.stems[stem], name)
		}
	}
	f.folders[folder] = l
	return l
}

// mark notes that a row names a picture that find found.
func (f *files) mark(path string) {
	folder, file := filepath.Split(path)
	f.list(filepath.Clean(folder)).names[file] = true
}

// maxFolders bounds the folders whose listings are kept.
const maxFolders = 100_000

// find returns the path of the picture of a name, with or without its ending; or why
// there is none.
func (f *files) find(name string) (path string, reason Reason, message string) {
	name = strings.ReplaceAll(strings.TrimSpace(name), `\`, "/") // as Windows writes paths
	if name == "" || strings.ContainsRune(name, 0) {
		return "", ReasonBadRow, "it names no file"
	}
	local := filepath.FromSlash(name)
	path = local
	if !filepath.IsAbs(local) {
		path = filepath.Join(f.base, local)
		if !filepath.IsLocal(local) {
			return "", ReasonBadRow, fmt.Sprintf("%q leads out of the folder of pictures", name)
		}
	} else if f.inside {
		return "", ReasonBadRow, fmt.Sprintf("%q leads out of the archive", name)
	}
	folder, file := filepath.Split(path)
	if len(f.folders) > maxFolders {
		clear(f.folders)
	}
	l := f.list(filepath.Clean(folder))
	if _, there := l.names[file]; there {
		if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
			if alternatives := l.stems[file]; len(alternatives) == 0 {
				return "", ReasonUnreadable, fmt.Sprintf("%q is not a file", path)
			}
		} else {
			return path, "", ""
		}
	}
	switch alternatives := l.stems[file]; len(alternatives) {
	case 0:
		return "", ReasonMissing, fmt.Sprintf("there is no file %q", path)
	case 1:
		return filepath.Join(folder, alternatives[0]), "", ""
	default:
		return "", ReasonBadRow, fmt.Sprintf("%q fits several files: %s", name, quoted(alternatives))
	}
}
