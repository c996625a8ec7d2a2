package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"unicode/utf8"

	"garb/internal/safefile"
)

// sortLogName is the name of the log of classify --sort-into, in the folder that it sorts into.
// The file is hidden, so no command takes it for a picture.
const sortLogName = ".garb-sorted.jsonl"

// sortAction says how a picture gets into its class's folder.
type sortAction string

// The actions.
const (
	sortCopy sortAction = "copy"
	sortLink sortAction = "link" // symbolic
	sortMove sortAction = "move"
)

// sortRecord is a line of the log. Each picture has two or three lines: begin is written before
// anything is done, and done, failed or undone afterwards. So whenever garb is stopped, the
// log lists everything that may have happened.
type sortRecord struct {
	Op string `json:"op"` // folder, begin, done, failed, undone
	// ID identifies a picture: all of its lines have the same ID.
	ID     string     `json:"id,omitempty"`
	Action sortAction `json:"action,omitempty"`
	Class  string     `json:"class,omitempty"`
	From   filePath   `json:"from,omitempty"` // absolute
	To     filePath   `json:"to,omitempty"`   // new file or folder, relative to the log's folder, with slashes
	// Link is the text of the symbolic link at To. Was is the text of the link at From, if a link
	// is moved.
	Link   filePath `json:"link,omitempty"`
	Was    filePath `json:"was,omitempty"`
	SHA256 string   `json:"sha256,omitempty"` // of a finished copy
}

// filePath is a path that JSON preserves byte for byte: as a string if it is valid UTF-8, and
// otherwise as an object with its bytes.
type filePath string

type pathBytes struct {
	Bytes []byte `json:"bytes"` // in base64
}

// MarshalJSON implements json.Marshaler.
func (p filePath) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(p)) {
		return json.Marshal(string(p))
	}
	return json.Marshal(pathBytes{[]byte(p)})
}

// UnmarshalJSON implements json.Unmarshaler.
func (p *filePath) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte("{")) {
		var b pathBytes
		err := json.Unmarshal(text, &b)
		*p = filePath(b.Bytes)
		return err
	}
	var s string
	err := json.Unmarshal(text, &s)
	*p = filePath(s)
	return err
}

// sortLog is a log that is open for writing.
type sortLog struct{ file *os.File }

// sortLogError reports that the log cannot be written. Sorting must stop, because further
// changes could not be undone.
type sortLogError struct{ err error }

func (e *sortLogError) Error() string {
	return fmt.Sprintf("cannot write the log of sorted pictures: %v", e.err)
}

// Unwrap returns the cause.
func (e *sortLogError) Unwrap() error { return e.err }

// openSortLog opens a log for appending. It removes an incomplete last line, for which nothing
// was done.
func openSortLog(path string) (*sortLog, error) {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return nil, &safefile.NotRegularError{Path: path, Mode: info.Mode()}
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	whole, size, err := findLineEnd(f)
	if err == nil && whole < size {
		err = f.Truncate(whole)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &sortLog{f}, nil
}

// findLineEnd returns the size of the complete lines of a file, and of the whole file.
func findLineEnd(f *os.File) (whole, size int64, err error) {
	size, err = f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, 0, err
	}
	buffer := make([]byte, 4096)
	for end := size; end > 0; {
		n := min(end, int64(len(buffer)))
		if _, err := f.ReadAt(buffer[:n], end-n); err != nil {
			return 0, size, err
		}
		if i := bytes.LastIndexByte(buffer[:n], '\n'); i >= 0 {
			return end - n + int64(i) + 1, size, nil
		}
		end -= n
	}
	return 0, size, nil
}

// append writes a line in one write. With sync, the line is on the disk when it returns.
func (l *sortLog) append(r sortRecord, sync bool) error {
	line, err := json.Marshal(r)
	if err == nil {
		_, err = l.file.Write(append(line, '\n'))
	}
	if err == nil && sync {
		err = l.file.Sync()
	}
	if err != nil {
		return &sortLogError{err}
	}
	return nil
}

func (l *sortLog) close() error { return l.file.Close() }

// sortedPicture is a picture in the log that was not undone.
type sortedPicture struct {
	sortRecord      // the line with begin
	done       bool // false if garb was stopped before it logged the end
}

// sortHistory is the content of a log.
type sortHistory struct {
	pictures []sortedPicture // in the order of sorting
	folders  []string        // folders that were created, in that order
}

// maxLogLine is the maximum length of a line: two paths and a link, in base64.
const maxLogLine = 1 << 20

// errBadLog is wrapped by errors about a log that garb cannot have written.
var errBadLog = errors.New("the log is damaged")

// logReader collects the history from the lines of a log.
type logReader struct {
	history sortHistory
	index   map[string]int // of a picture in history.pictures, by ID
	undone  map[int]bool   // by that index; also for failed pictures
}

// add adds a line. It reports whether the line is valid.
func (l *logReader) add(r sortRecord) bool {
	at, started := l.index[r.ID]
	switch {
	case r.Op == "folder" && filepath.IsLocal(filepath.FromSlash(string(r.To))):
		l.history.folders = append(l.history.folders, filepath.FromSlash(string(r.To)))
	case r.Op == "begin" && !started && r.isValid():
		l.index[r.ID] = len(l.history.pictures)
		l.history.pictures = append(l.history.pictures, sortedPicture{sortRecord: r})
	case r.Op == "done" && started:
		p := &l.history.pictures[at]
		p.done, p.SHA256 = true, r.SHA256
	case (r.Op == "failed" || r.Op == "undone") && started:
		l.undone[at] = true
	default:
		return false
	}
	return true
}

// readSortLog reads a log. It ignores an incomplete last line, for which nothing was done. Any
// other invalid line is an error, because its change could not be undone.
func readSortLog(path string) (sortHistory, error) {
	f, err := os.Open(path)
	if err != nil {
		return sortHistory{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return sortHistory{}, err
	}
	if !info.Mode().IsRegular() {
		return sortHistory{}, &safefile.NotRegularError{Path: path, Mode: info.Mode()}
	}
	whole, _, err := findLineEnd(f)
	if err != nil {
		return sortHistory{}, err
	}
	lines := bufio.NewScanner(io.NewSectionReader(f, 0, whole))
	lines.Buffer(make([]byte, 64<<10), maxLogLine)
	l := logReader{index: map[string]int{}, undone: map[int]bool{}}
	line := 0
	for lines.Scan() {
		line++
		var r sortRecord
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return l.history, fmt.Errorf("%s, line %d: %w: %w", path, line, errBadLog, err)
		}
		if !l.add(r) {
			return l.history, fmt.Errorf("%s, line %d: %w", path, line, errBadLog)
		}
	}
	if err := lines.Err(); err != nil {
		return l.history, fmt.Errorf("%s, line %d: %w: %w", path, line+1, errBadLog, err)
	}
	kept := l.history.pictures[:0]
	for i, p := range l.history.pictures {
		if !l.undone[i] {
			kept = append(kept, p)
		}
	}
	l.history.pictures = kept
	return l.history, nil
}

// isValid reports whether a line can start a picture. Its new path must be inside the folder,
// whatever somebody has written into the log.
func (r sortRecord) isValid() bool {
	known := r.Action == sortCopy || r.Action == sortLink || r.Action == sortMove
	return known && r.ID != "" && filepath.IsAbs(string(r.From)) && filepath.IsLocal(filepath.FromSlash(string(r.To)))
}

// findSortLog returns the log and its folder, either of which may be the value of --undo-sort.
func findSortLog(path string) (log, folder string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", "", fmt.Errorf("%s: %s", path, explainError(err))
	}
	if !info.IsDir() {
		return path, filepath.Dir(path), nil
	}
	log = filepath.Join(path, sortLogName)
	if _, err := os.Lstat(log); errors.Is(err, fs.ErrNotExist) {
		return "", "", fmt.Errorf("%s has no %s: nothing was sorted into it, or everything was undone", path,
			sortLogName)
	}
	return log, path, nil
}
