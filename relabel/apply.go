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

// A log is a CSV file in the data set's folder, hidden so that no reader of data sets takes
// it for a table. Each line is a step, in order, with paths relative to that folder:
//
//	folder  the folder "to" is made
//	move    the picture "from" becomes "to"
//	field   in the table "to", the raw field at line and column is changed
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

// IncompleteError says that a plan was applied in part. Undo puts back what was done.
type IncompleteError struct {
	Done, Steps int
	Log         string
	Err         error
}

func (e *IncompleteError) Error() string {
	return fmt.Sprintf("%d of %d changes were made (log %s): %v", e.Done, e.Steps, e.Log, e.Err)
}

// Unwrap returns the cause.
func (e *IncompleteError) Unwrap() error { return e.Err }

// Apply makes the changes, and returns the path of the log that Undo reads, "" if there was
// nothing to change. The log is written before anything changes. A table is replaced in one
// step. If ctx ends, or a picture cannot be moved, the error is an *IncompleteError.
func (p *Plan) Apply(ctx context.Context, now time.Time) (log string, err error) {
	if len(p.Steps) == 0 {
		return "", nil
	}
	if log, err = p.writeLog(now); err != nil {
		return "", fmt.Errorf("the log: %w", err)
	}
	done := 0
	stop := func(err error) (string, error) { return log, &IncompleteError{done, len(p.Steps), log, err} }
	for _, folder := range p.folders {
		if err := os.Mkdir(folder, 0o755); err != nil {
			return stop(err)
		}
	}
	for _, s := range p.Steps {
		if err := ctx.Err(); err != nil {
			return stop(err)
		}
		if s.From != "" {
			if err := move(s.From, s.To); err != nil {
				return stop(err)
			}
			done++
		}
	}
	for _, t := range p.tables {
		if err := ctx.Err(); err != nil {
			return stop(err)
		}
		_, odd, err := rewrite(t.path, t.delimiter, t.edits, false)
		if err == nil && len(odd) > 0 {
			err = fmt.Errorf("table %s changed just now", t.path)
		}
		if err != nil {
			return stop(err)
		}
		for _, s := range p.Steps {
			if s.Table == t.path {
				done++
			}
		}
	}
	return log, nil
}

// move renames a file, and never overwrites: where the file system has hard links, the new
// name is made in one step that fails if it is taken.
func move(from, to string) error {
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if info.Mode().IsRegular() {
		switch err := os.Link(from, to); {
		case err == nil:
			return os.Remove(from)
		case errors.Is(err, fs.ErrExist):
			return err
		}
	}
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", to, fs.ErrExist)
	}
	return os.Rename(from, to)
}

// rewrite makes or unmakes edits of a table in one step, and keeps the file's permissions.
// If some fields are odd, as apply says, nothing is changed.
func rewrite(path string, delimiter byte, edits []edit, undo bool) (changed int, odd []int, err error) {
	data, err := safefile.Read(path, maxTableBytes)
	if err != nil {
		return 0, nil, err
	}
	to, changed, odd, err := apply(data, delimiter, edits, undo)
	if err != nil {
		return 0, nil, fmt.Errorf("table %s: %w", path, err)
	}
	if len(odd) > 0 || changed == 0 {
		return 0, odd, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0, nil, err
	}
	err = safefile.Write(path, func(w io.Writer) error {
		_, err := w.Write(to)
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	return changed, nil, os.Chmod(path, info.Mode().Perm())
}

// writeLog writes the log of what is about to be done.
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
	for { // a name that no log has
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

// Undone is what Undo did.
type Undone struct {
	Log     string // its path, which is gone
	Moved   int    // pictures moved back
	Rows    int    // fields of tables restored
	Already int    // steps that had not been done, or were undone before
}

// ErrNoLog is wrapped by the error of an Undo that finds nothing to undo.
var ErrNoLog = errors.New("nothing to undo: there is no log")

// Undo puts back what the last Apply in a folder did, whether it was complete or not, and
// removes its log. If something has changed since then so that a step cannot be undone, the
// error is a *ProblemsError, and nothing is changed; the log stays. A log whose paths lead
// out of the folder is refused. An Undo that is interrupted can be repeated.
func Undo(ctx context.Context, folder string) (*Undone, error) {
	log, err := lastLog(folder)
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
		os.Remove(folder) // fails if somebody put something else into it: then it stays
	}
	for _, t := range u.tables {
		changed, odd, err := rewrite(t.path, t.delimiter, t.edits, true)
		if err == nil && len(odd) > 0 {
			err = fmt.Errorf("table %s changed just now", t.path)
		}
		if err != nil {
			return done, err
		}
		done.Rows += changed
		done.Already += len(t.edits) - changed
	}
	return done, os.Remove(log)
}

// lastLog returns the path of the newest log in a folder.
func lastLog(folder string) (string, error) {
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

// undoLog is a log that was read.
type undoLog struct {
	folders []string
	moves   []moved
	tables  []tableEdits
	lines   [][]int // of the log, for each edit of each table
}

// moved is a picture that was moved.
type moved struct {
	line     int // of the log
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
		ok, err := s.next(&r)
		if err != nil {
			return nil, err
		}
		if !ok {
			if first {
				return nil, &SyntaxError{1, "it is no log of relabel"}
			}
			return u, nil
		}
		var row []string
		for _, f := range r.fields {
			row = append(row, unquote(data[f.start:f.end]))
		}
		if len(row) != len(logHeader) || first && !slices.Equal(row, logHeader) {
			return nil, &SyntaxError{r.line, "it is no log of relabel"}
		}
		if first {
			continue
		}
		if err := u.add(folder, r.line, row); err != nil {
			return nil, &SyntaxError{r.line, err.Error()}
		}
	}
}

// add adds a line of a log.
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
		u.moves = append(u.moves, moved{line, from, path})
	case stepField:
		if len(row[3]) != 1 || !strings.ContainsAny(row[3], string(separators)) {
			return fmt.Errorf("%q is no separator", row[3])
		}
		at, err1 := strconv.Atoi(row[4])
		column, err2 := strconv.Atoi(row[5])
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		if n := len(u.tables); n == 0 || u.tables[n-1].path != path {
			u.tables, u.lines = append(u.tables, tableEdits{path: path, delimiter: row[3][0]}), append(u.lines, nil)
		}
		n := len(u.tables) - 1
		t := &u.tables[n]
		t.edits = append(t.edits, edit{at, column, []byte(row[6]), []byte(row[7])})
		t.pictures = append(t.pictures, row[1])
		u.lines[n] = append(u.lines[n], line)
	default:
		return fmt.Errorf("%q is no step", row[0])
	}
	return nil
}

// inspect finds out whether a move was done: then only its new place is taken, or both by
// one file.
func (m moved) inspect() (done bool, message string) {
	to, err := os.Lstat(m.to)
	atTo := err == nil
	from, err := os.Lstat(m.from)
	atFrom := err == nil
	switch {
	case atTo && atFrom && os.SameFile(to, from): // interrupted between two steps of move
		return true, ""
	case atTo && atFrom:
		return false, fmt.Sprintf("%s would be overwritten by %s", m.from, m.to)
	case !atTo && !atFrom:
		return false, fmt.Sprintf("neither %s nor %s is there", m.to, m.from)
	}
	return atTo, ""
}

// undo undoes a move; false says that it had not been done.
func (m moved) undo() (bool, error) {
	done, message := m.inspect()
	switch {
	case message != "":
		return false, errors.New(message)
	case !done:
		return false, nil
	}
	if _, err := os.Lstat(m.from); err == nil {
		return true, os.Remove(m.to) // both names are of one file
	}
	if err := os.MkdirAll(filepath.Dir(m.from), 0o755); err != nil {
		return false, err
	}
	return true, move(m.to, m.from)
}

// check finds all that stands against undoing.
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
		_, _, odd, err := apply(data, t.delimiter, t.edits, true)
		if err != nil {
			problems = append(problems, Problem{Line: u.lines[n][0],
				Message: fmt.Sprintf("table %s: %v", t.path, err)})
		}
		for _, i := range odd {
			problems = append(problems, Problem{
				Line: u.lines[n][i], Picture: t.pictures[i],
				Message: fmt.Sprintf("%s, line %d, was changed since", t.path, t.edits[i].line),
			})
		}
	}
	if problems != nil {
		return &ProblemsError{problems}
	}
	return nil
}
