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

	"golang.org/x/text/unicode/norm"
)

// Limits of a table.
const (
	maxRecordBytes = 1 << 20    // in one row
	maxRows        = 20_000_000 // a table of 1e6 rows takes about 450 MB
	maxColumns     = 10_000
)

// TableError says why a table cannot be used.
type TableError struct {
	File    string
	Line    int // 0 if the error is about no line
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

// Table is a table of pictures: a header, then a row for each picture. Its columns are separated by
// commas, semicolons, tabs or vertical bars: by what the header has most of. Fields may be quoted as
// in RFC 4180. A byte order mark is ignored.
type Table struct {
	File      string
	Columns   []string // names, as CleanLabel returns them
	Delimiter rune
}

// separators are the possible delimiters, the most usual first.
var separators = []rune{',', ';', '\t', '|'}

// delimiterHint matches a first line that gives the delimiter, as Excel writes it.
var delimiterHint = regexp.MustCompile("^\"?sep=([,;\t|])\"?\r?\n")

// tableRow is a row of a table. Fields are valid until the next row is read.
type tableRow struct {
	Line   int // its first line, from 1
	Fields []string
}

// readTable reads a table. It calls header once and row for each row below it, and returns the
// first error of either. It ignores rows whose fields are all blank, and calls bad for a row that is
// not UTF-8 or has another number of fields than the header.
func readTable(ctx context.Context, path string, header func(*Table) error, row func(tableRow) error,
	bad func(line int, message string)) error {
	f, err := os.Open(path)
	if err != nil {
		return &TableError{path, 0, "it cannot be read", err}
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() {
		return &TableError{path, 0, "it is not a file", nil}
	}
	return scanTable(ctx, path, f, header, row, bad)
}

// scanTable reads a table as readTable does, from a reader.
func scanTable(ctx context.Context, path string, from io.Reader, header func(*Table) error, row func(tableRow) error,
	bad func(line int, message string)) error {
	buffered := bufio.NewReaderSize(from, 64<<10)
	delimiter, message := detectFormat(buffered)
	if message != "" {
		return &TableError{path, 0, message, nil}
	}
	limited := &recordLimit{from: buffered}
	rows := csv.NewReader(limited)
	rows.Comma = delimiter
	rows.FieldsPerRecord = -1
	rows.ReuseRecord = true
	rows.TrimLeadingSpace = delimiter != '\t' // a tab would be trimmed as space
	table := &Table{File: path, Delimiter: delimiter}
	line := 0
	for count := 0; ; count++ {
		if count%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		limited.read = 0
		fields, err := rows.Read()
		if errors.Is(err, io.EOF) && count > 0 {
			return nil
		}
		if err != nil {
			return newReadError(path, line+1, err)
		}
		line, _ = rows.FieldPos(0)
		switch {
		case count == 0:
			err = table.setColumns(line, fields)
			if err == nil {
				err = header(table)
			}
		case count > maxRows:
			err = &TableError{path, line, fmt.Sprintf("it has more than %d rows", maxRows), nil}
		case isBlank(fields): // as spreadsheets write empty lines
		default:
			if wrong := table.checkRow(line, fields); wrong != "" {
				bad(line, wrong)
				continue
			}
			err = row(tableRow{line, fields})
		}
		if err != nil {
			return err
		}
	}
}

const emptyTable = "it is empty; it needs a line with the names of its columns"

// detectFormat reads a byte order mark and the delimiter's hint, and returns the delimiter. message
// says why the table cannot be read, if it cannot.
func detectFormat(r *bufio.Reader) (delimiter rune, message string) {
	head, _ := r.Peek(r.Size())
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		r.Discard(3)
		head = head[3:]
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		return 0, "it is in UTF-16; save it as UTF-8"
	}
	if hint := delimiterHint.FindSubmatch(head); hint != nil {
		delimiter, _ = utf8.DecodeRune(hint[1])
		r.Discard(len(hint[0]))
		head = head[len(hint[0]):]
	}
	switch {
	case bytes.IndexByte(head, '\n') < 0 && bytes.IndexByte(bytes.TrimSpace(head), '\r') >= 0:
		return 0, "its lines end in carriage returns, as on old Macs; save it with ordinary line ends"
	case bytes.IndexByte(head, 0) >= 0:
		return 0, "it has zero bytes, so it is not text"
	case len(bytes.TrimSpace(head)) == 0:
		return 0, emptyTable
	case delimiter == 0:
		delimiter = findDelimiter(head)
	}
	return delimiter, ""
}

// newReadError returns the *TableError for an error of reading the row that begins in a line.
func newReadError(path string, line int, err error) error {
	var syntax *csv.ParseError
	switch {
	case errors.Is(err, io.EOF):
		return &TableError{path, 0, emptyTable, nil}
	case errors.Is(err, errLongRecord):
		return &TableError{path, line, fmt.Sprintf("a row is longer than %d bytes", maxRecordBytes), nil}
	case errors.As(err, &syntax):
		return &TableError{path, syntax.StartLine, "it is malformed; is a quote not closed?", syntax.Err}
	}
	return &TableError{path, 0, "it cannot be read", err}
}

// setColumns sets the names of the columns.
func (t *Table) setColumns(line int, fields []string) error {
	if len(fields) > maxColumns {
		return &TableError{t.File, line, fmt.Sprintf("it has more than %d columns", maxColumns), nil}
	}
	for _, name := range fields {
		if !utf8.ValidString(name) {
			return &TableError{t.File, line, "it is not UTF-8; save it as UTF-8", nil}
		}
		t.Columns = append(t.Columns, CleanLabel(name))
	}
	return nil
}

// checkRow returns what is wrong with a row, or "".
func (t *Table) checkRow(line int, fields []string) string {
	switch {
	case len(fields) != len(t.Columns) && !hasBlankTail(fields, len(t.Columns)):
		return fmt.Sprintf("line %d has %d %s, but the header has %d", line, len(fields), plural(len(fields), "field"),
			len(t.Columns))
	case slices.ContainsFunc(fields, func(s string) bool { return !utf8.ValidString(s) }):
		return fmt.Sprintf("line %d is not UTF-8", line)
	}
	return ""
}

// isBlank reports whether all fields are empty or spaces.
func isBlank(fields []string) bool {
	return !slices.ContainsFunc(fields, func(field string) bool { return strings.TrimSpace(field) != "" })
}

// hasBlankTail reports whether a row has more fields than the header, and those are blank.
// Spreadsheets write such rows.
func hasBlankTail(fields []string, columns int) bool {
	return len(fields) > columns && isBlank(fields[columns:])
}

// findDelimiter returns the separator that the first line has most of, outside quotes.
func findDelimiter(head []byte) rune {
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

// recordLimit is a reader that fails with errLongRecord after too many bytes of one row, so that an
// endless line does not fill the memory.
type recordLimit struct {
	from io.Reader
	read int // bytes since the row began
}

func (l *recordLimit) Read(p []byte) (int, error) {
	if l.read > maxRecordBytes {
		return 0, errLongRecord
	}
	n, err := l.from.Read(p)
	l.read += n
	return n, err
}

// The usual names of columns, simplified by simplifyName, the likeliest first.
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

// simplifyName returns a column's name in lower case, without spaces, dashes, underscores and dots.
func simplifyName(name string) string {
	return strings.ToLower(strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r == ' ' || r == '.' {
			return -1
		}
		return r
	}, name))
}

// usualColumns returns the columns whose names are among the usual ones, the likeliest first.
func (t *Table) usualColumns(names []string) []int {
	var found []int
	for _, name := range names {
		for i, column := range t.Columns {
			if simplifyName(column) == name && !slices.Contains(found, i) {
				found = append(found, i)
			}
		}
	}
	return found
}

// column returns the index of the column with a name, or with the only name that differs from it
// just in case and punctuation.
func (t *Table) column(name string) (int, error) {
	if i := slices.Index(t.Columns, CleanLabel(name)); i >= 0 {
		return i, nil
	}
	at := -1
	for i, column := range t.Columns {
		if simplifyName(column) == simplifyName(name) {
			if at >= 0 {
				return 0, &TableError{File: t.File,
					Message: fmt.Sprintf("the columns %q and %q are both like %q", t.Columns[at], column, name)}
			}
			at = i
		}
	}
	if at < 0 {
		return 0, &TableError{File: t.File, Message: fmt.Sprintf("it has no column %q; its columns are %s", name,
			quoteNames(t.Columns))}
	}
	return at, nil
}

// quoteNames returns a list of quoted names, at most 40 of them.
func quoteNames(names []string) string {
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
	base    string // the folder to which names are relative
	inside  bool   // whether absolute names are refused
	folders map[string]*listing
}

// listing is the content of a folder.
type listing struct {
	names map[string]bool     // the files, and whether a row names them
	stems map[string][]string // the pictures with each name without extension, in composed form
	forms map[string]string   // the names that are not in composed form, by that form
}

// spell returns a name as the folder spells it: macOS and archives made there often have the letters
// of names in another form of Unicode than tables. A name that is not there stays as it is.
func (l *listing) spell(name string) string {
	if _, there := l.names[name]; there {
		return name
	}
	composed := norm.NFC.String(name)
	if spelled, there := l.forms[composed]; there {
		return spelled
	}
	if _, there := l.names[composed]; there {
		return composed
	}
	return name
}

func newFiles(base string, inside bool) *files {
	return &files{base: base, inside: inside, folders: map[string]*listing{}}
}

// list returns the listing of a folder, which is empty if it cannot be read.
func (f *files) list(folder string) *listing {
	if l, ok := f.folders[folder]; ok {
		return l
	}
	l := &listing{map[string]bool{}, map[string][]string{}, map[string]string{}}
	entries, _ := os.ReadDir(folder)
	for _, e := range entries {
		name := e.Name()
		l.names[name] = false
		if !norm.NFC.IsNormalString(name) {
			l.forms[norm.NFC.String(name)] = name
		}
		extension := filepath.Ext(name)
		if slices.Contains(pictureExtensions, strings.ToLower(extension)) && !isHidden(name) {
			stem := norm.NFC.String(strings.TrimSuffix(name, extension))
			l.stems[stem] = append(l.stems[stem], name)
		}
	}
	f.folders[folder] = l
	return l
}

// spell returns a path as the file system spells it (see listing.spell). It changes only names below the
// base.
func (f *files) spell(path string) string {
	folder, name := filepath.Split(path)
	folder = filepath.Clean(folder)
	if isASCII(path) || !contains(f.base, folder) {
		return path
	}
	if folder != f.base {
		folder = f.spell(folder)
	}
	return filepath.Join(folder, f.list(folder).spell(name))
}

// isASCII reports whether a text has only characters of ASCII, which have just one form.
func isASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf })
}

// mark notes that a row names a picture that find found.
func (f *files) mark(path string) {
	folder, file := filepath.Split(path)
	f.list(filepath.Clean(folder)).names[file] = true
}

// maxFolders is the largest number of folders whose listings are kept.
const maxFolders = 100_000

// find returns the path of the picture with a name, with or without extension, or the reason why
// there is none.
func (f *files) find(name string) (path string, reason Reason, message string) {
	name = strings.ReplaceAll(strings.TrimSpace(name), `\`, "/") // as Windows writes paths
	if name == "" || strings.ContainsRune(name, 0) {
		return "", ReasonBadRow, "it has no file name"
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
	if len(f.folders) > maxFolders {
		clear(f.folders)
	}
	path = f.spell(path)
	folder, file := filepath.Split(path)
	l := f.list(filepath.Clean(folder))
	if _, there := l.names[file]; there {
		if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
			if alternatives := l.stems[norm.NFC.String(file)]; len(alternatives) == 0 {
				return "", ReasonUnreadable, fmt.Sprintf("%q is not a file", path)
			}
		} else {
			return path, "", ""
		}
	}
	switch alternatives := l.stems[norm.NFC.String(file)]; len(alternatives) {
	case 0:
		return "", ReasonMissing, fmt.Sprintf("there is no file %q", path)
	case 1:
		return filepath.Join(folder, alternatives[0]), "", ""
	default:
		return "", ReasonBadRow, fmt.Sprintf("%q fits several files: %s", name, quoteNames(alternatives))
	}
}
