package relabel

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"garb/internal/safefile"
)

// A log is a CSV file in the data set's folder. Its name is hidden, so that no reader of data
// sets takes it for a table. Each line is a step, in order, with paths relative to the folder:
//
//	folder  makes the folder "to"
//	move    moves the picture "from" to "to"
//	field   changes the raw field at line and column of the table "to"
const (
	logPrefix = ".garb-relabel-"
	logSuffix = ".csv"
	logTime   = "20060102T150405.000000000" // sorts by time
)

var logHeader = []string{"step", "from", "to", "separator", "line", "column", "before", "after"}

const (
	stepFolder = "folder"
	stepMove   = "move"
	stepField  = "field"
)

// IncompleteError says that a plan was applied in part. Undo reverses what was done.
type IncompleteError struct {
	Done, Steps int
	Log         string
	Err         error
}

func (e *IncompleteError) Error() string {
	return fmt.Sprintf("only %d of %d changes were made (log %s): %v", e.Done, e.Steps, e.Log, e.Err)
}

// Unwrap returns the cause.
func (e *IncompleteError) Unwrap() error { return e.Err }

// Apply makes the changes and returns the path of the log, which Undo reads, or "" if there is
// nothing to change. It writes the log before it changes anything, and replaces a table in one
// step. If ctx ends or a change fails, the error is an *IncompleteError.
func (p *Plan) Apply(ctx context.Context, now time.Time) (log string, err error) {
	if len(p.Steps) == 0 {
		return "", nil
	}
	if log, err = p.writeLog(now); err != nil {
		return "", fmt.Errorf("writing the log: %w", err)
	}
	done, err := p.makeChanges(ctx)
	if err != nil {
		return log, &IncompleteError{done, len(p.Steps), log, err}
	}
	return log, nil
}

// makeChanges makes the folders, moves the pictures and edits the tables. done is the number of
// steps done.
func (p *Plan) makeChanges(ctx context.Context) (done int, err error) {
	for _, folder := range p.folders {
		if err := os.Mkdir(folder, 0o755); err != nil {
			return done, err
		}
	}
	for _, s := range p.Steps {
		if err := ctx.Err(); err != nil {
			return done, err
		}
		if s.From != "" {
			if err := move(s.From, s.To); err != nil {
				return done, err
			}
			done++
		}
	}
	for _, t := range p.tables {
		if err := ctx.Err(); err != nil {
			return done, err
		}
		if _, err := t.rewrite(false); err != nil {
			return done, err
		}
		for _, s := range p.Steps {
			if s.Table == t.path {
				done++
			}
		}
	}
	return done, nil
}

// move renames a file without overwriting another. If the file system has hard links, it makes
// the new name in one step, which fails if the name is taken.
func move(from, to string) error {
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if info.Mode().IsRegular() {
		switch err := os.Link(from, to); {
		case err == nil:
			if err = safefile.Remove(from); err != nil {
				return errors.Join(err, os.Remove(to))
			}
			return nil
		case errors.Is(err, fs.ErrExist):
			return err
		}
	}
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", to, fs.ErrExist)
	}
	return safefile.Rename(from, to)
}

// rewrite applies or undoes the edits of a table in one step, and keeps the file's permissions.
// It returns the number of fields that changed. If a field has neither its old nor its new
// value, it changes nothing and returns an error.
func (t tableEdits) rewrite(undo bool) (changed int, err error) {
	data, err := safefile.Read(t.path, maxTableBytes)
	if err != nil {
		return 0, err
	}
	to, changed, mismatched, err := applyEdits(data, t.delimiter, t.edits, undo)
	switch {
	case err != nil:
		return 0, fmt.Errorf("table %s: %w", t.path, err)
	case len(mismatched) > 0:
		return 0, fmt.Errorf("the table %s has just changed", t.path)
	case changed == 0:
		return 0, nil
	}
	info, err := os.Stat(t.path)
	if err != nil {
		return 0, err
	}
	err = safefile.Write(t.path, func(w io.Writer) error {
		_, writeErr := w.Write(to)
		return writeErr
	})
	if err != nil {
		return 0, err
	}
	return changed, os.Chmod(t.path, info.Mode().Perm())
}

// writeLog writes the log of the changes to make.
func (p *Plan) writeLog(now time.Time) (string, error) {
	relative := func(path string) (string, error) {
		r, ok := relativeTo(p.folder, path)
		if !ok {
			return "", fmt.Errorf("%s is not below %s", path, p.folder)
		}
		return r, nil
	}
	rows := [][]string{logHeader}
	for _, folder := range p.folders {
		to, err := relative(folder)
		if err != nil {
			return "", err
		}
		rows = append(rows, []string{stepFolder, "", to, "", "", "", "", ""})
	}
	for _, s := range p.Steps {
		if s.From == "" {
			continue
		}
		from, err := relative(s.From)
		if err != nil {
			return "", err
		}
		to, err := relative(s.To)
		if err != nil {
			return "", err
		}
		rows = append(rows, []string{stepMove, from, to, "", "", "", "", ""})
	}
	for _, t := range p.tables {
		to, err := relative(t.path)
		if err != nil {
			return "", err
		}
		for i, e := range t.edits {
			rows = append(rows, []string{stepField, t.pictures[i], to, string(rune(t.delimiter)),
				strconv.Itoa(e.line), strconv.Itoa(e.column), string(e.before), string(e.after)})
		}
	}
	path := ""
	for { // until the name is unused
		path = filepath.Join(p.folder, logPrefix+now.UTC().Format(logTime)+logSuffix)
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			break
		}
		now = now.Add(time.Nanosecond)
	}
	return path, safefile.Write(path, func(w io.Writer) error {
		c := csv.NewWriter(w)
		return errors.Join(c.WriteAll(rows), c.Error())
	})
}

// Undone says what Undo did.
type Undone struct {
	Log     string // the path of the log, which Undo removed
	Moved   int    // pictures moved back
	Rows    int    // fields of tables restored
	Already int    // steps that had not been done, or were undone already
}

// ErrNoLog is wrapped by Undo's error if there is nothing to undo.
var ErrNoLog = errors.New("there is nothing to undo: no log was found")

// Undo reverses the last Apply in a folder, complete or not, and removes its log. If later
// changes prevent a step from being undone, the error is a *ProblemsError; nothing is changed,
// and the log stays. Undo refuses a log whose paths lead out of the folder. An interrupted Undo
// can be repeated.
func Undo(ctx context.Context, folder string) (*Undone, error) {
	log, err := findLastLog(folder)
	if err != nil {
		return nil, err
	}
	u, err := readLog(folder, log)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", log, err)
	}
	if err := u.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", log, err)
	}
	done := &Undone{Log: log}
	slices.Reverse(u.moves)
	for _, m := range u.moves {
		if err := ctx.Err(); err != nil {
			return done, err
		}
		moved, err := m.undo()
		if err != nil {
			return done, err
		}
		if moved {
			done.Moved++
		} else {
			done.Already++
		}
	}
	for _, folder := range slices.Backward(u.folders) {
		os.Remove(folder) // fails if the folder is not empty; then it stays
	}
	for _, t := range u.tables {
		changed, err := t.rewrite(true)
		if err != nil {
			return done, err
		}
		done.Rows += changed
		done.Already += len(t.edits) - changed
	}
	return done, os.Remove(log)
}

// findLastLog returns the path of the newest log in a folder.
func findLastLog(folder string) (string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return "", err
	}
	last := ""
	for _, e := range entries {
		if name := e.Name(); strings.HasPrefix(name, logPrefix) && strings.HasSuffix(name, logSuffix) &&
			e.Type().IsRegular() {
			last = max(last, name)
		}
	}
	if last == "" {
		return "", fmt.Errorf("%s: %w", folder, ErrNoLog)
	}
	return filepath.Join(folder, last), nil
}

// undoLog is the content of a log.
type undoLog struct {
	folders []string
	moves   []pictureMove
	tables  []tableEdits
	lines   [][]int // the line in the log for each edit of each table
}

// pictureMove is a move of a picture.
type pictureMove struct {
	line     int // in the log
	from, to string
}

func readLog(folder, path string) (*undoLog, error) {
	data, err := safefile.Read(path, maxTableBytes)
	if err != nil {
		return nil, err
	}
	u := &undoLog{}
	s := newScanner(data, ',')
	var r record
	for first := true; ; first = false {
		ok, err := s.read(&r)
		if err != nil {
			return nil, err
		}
		if !ok {
			if first {
				return nil, &SyntaxError{1, "this is not a log of relabel"}
			}
			return u, nil
		}
		var row []string
		for _, f := range r.fields {
			row = append(row, unquote(data[f.start:f.end]))
		}
		if len(row) != len(logHeader) || first && !slices.Equal(row, logHeader) {
			return nil, &SyntaxError{r.line, "this is not a log of relabel"}
		}
		if first {
			continue
		}
		if err := u.add(folder, r.line, row); err != nil {
			return nil, &SyntaxError{r.line, err.Error()}
		}
	}
}

// add parses a line of a log.
func (u *undoLog) add(folder string, line int, row []string) error {
	local := func(path string) (string, error) {
		path = filepath.FromSlash(path)
		if !filepath.IsLocal(path) || path == "." {
			return "", fmt.Errorf("%q leads out of the folder", path)
		}
		return filepath.Join(folder, path), nil
	}
	path, err := local(row[2])
	if err != nil {
		return err
	}
	switch row[0] {
	case stepFolder:
		u.folders = append(u.folders, path)
	case stepMove:
		from, err := local(row[1])
		if err != nil {
			return err
		}
		u.moves = append(u.moves, pictureMove{line, from, path})
	case stepField:
		if len(row[3]) != 1 || !strings.ContainsAny(row[3], string(separators)) {
			return fmt.Errorf("%q is not a separator", row[3])
		}
		tableLine, err1 := strconv.Atoi(row[4])
		column, err2 := strconv.Atoi(row[5])
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		if n := len(u.tables); n == 0 || u.tables[n-1].path != path {
			u.tables, u.lines = append(u.tables, tableEdits{path: path, delimiter: row[3][0]}), append(u.lines, nil)
		}
		n := len(u.tables) - 1
		t := &u.tables[n]
		t.edits = append(t.edits, edit{tableLine, column, []byte(row[6]), []byte(row[7])})
		t.pictures = append(t.pictures, row[1])
		u.lines[n] = append(u.lines[n], line)
	default:
		return fmt.Errorf("%q is not a kind of step", row[0])
	}
	return nil
}

// inspect reports whether a move was done. message says why the move cannot be undone, if it
// cannot.
func (m pictureMove) inspect() (done bool, message string) {
	to, err := os.Lstat(m.to)
	atTo := err == nil
	from, err := os.Lstat(m.from)
	atFrom := err == nil
	switch {
	case atTo && atFrom && os.SameFile(to, from): // move was interrupted between its two steps
		return true, ""
	case atTo && atFrom:
		return false, fmt.Sprintf("%s would be overwritten by %s", m.from, m.to)
	case !atTo && !atFrom:
		return false, fmt.Sprintf("neither %s nor %s exists", m.to, m.from)
	}
	return atTo, ""
}

// undo undoes a move and reports whether it had been done.
func (m pictureMove) undo() (bool, error) {
	done, message := m.inspect()
	switch {
	case message != "":
		return false, errors.New(message)
	case !done:
		return false, nil
	}
	if _, err := os.Lstat(m.from); err == nil {
		return true, os.Remove(m.to) // both names are links to one file
	}
	if err := os.MkdirAll(filepath.Dir(m.from), 0o755); err != nil {
		return false, err
	}
	return true, move(m.to, m.from)
}

// check returns a *ProblemsError if the log cannot be undone.
func (u *undoLog) check() error {
	var problems []Problem
	for _, m := range u.moves {
		if _, message := m.inspect(); message != "" {
			problems = append(problems, Problem{Line: m.line, Message: message})
		}
	}
	for n, t := range u.tables {
		data, err := safefile.Read(t.path, maxTableBytes)
		if err != nil {
			problems = append(problems, Problem{Line: u.lines[n][0], Message: err.Error()})
			continue
		}
		_, _, mismatched, err := applyEdits(data, t.delimiter, t.edits, true)
		if err != nil {
			problems = append(problems, Problem{Line: u.lines[n][0],
				Message: fmt.Sprintf("table %s: %v", t.path, err)})
		}
		for _, i := range mismatched {
			problems = append(problems, Problem{
				Line: u.lines[n][i], Picture: t.pictures[i],
				Message: fmt.Sprintf("%s, line %d, has been changed since", t.path, t.edits[i].line),
			})
		}
	}
	if problems != nil {
		return &ProblemsError{problems}
	}
	return nil
}
