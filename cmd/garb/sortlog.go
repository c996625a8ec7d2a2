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

// sortLogName is the log of classify --sort-into, in the folder that it sorted into.
// Its name is hidden: no command takes it for a picture.
const sortLogName = ".garb-sorted.jsonl"

// sortAction is how a picture gets into its class's folder.
type sortAction string

// The actions.
const (
	sortCopy sortAction = "copy"
	sortLink sortAction = "link" // symbolic
	sortMove sortAction = "move"
)

// sortRecord is a line of the log. A picture has two or three: begin is written before
// anything is done, and done, failed or undone after it. So whenever garb is stopped, the
// log has whatever may have happened.
type sortRecord struct {
	Op string `json:"op"` // folder, begin, done, failed, undone
	// ID is of a picture: its lines have it in common, and no other picture's do.
	ID     string     `json:"id,omitempty"`
	Action sortAction `json:"action,omitempty"`
	Class  string     `json:"class,omitempty"`
	From   filePath   `json:"from,omitempty"` // absolute
	To     filePath   `json:"to,omitempty"`   // a file, or a folder that was made, from the log's folder, with /
	// Link is the text of the symbolic link that To is to be; Was that of the link that
	// From was, if a link is moved.
	Link   filePath `json:"link,omitempty"`
	Was    filePath `json:"was,omitempty"`
	SHA256 string   `json:"sha256,omitempty"` // of a copy that is done
}

// filePath is a path in JSON, to the byte: a string, or, as JSON's are Unicode, an object
// with the bytes of one that is not.
type filePath string

type pathBytes struct {
	Bytes []byte `json:"bytes"` // in base64
}

// MarshalJSON writes the path.
func (p filePath) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(p)) {
		return json.Marshal(string(p))
	}
	return json.Marshal(pathBytes{[]byte(p)})
}

// UnmarshalJSON reads what MarshalJSON writes.
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

// sortLog is a log that is written to.
type sortLog struct{ file *os.File }

// sortLogError says that the log cannot be written. It ends the sorting: what was done
// further could not be undone.
type sortLogError struct{ err error }

func (e *sortLogError) Error() string {
	return fmt.Sprintf("the log of what is sorted cannot be written: %v", e.err)
}

// Unwrap returns the cause.
func (e *sortLogError) Unwrap() error { return e.err }

// openSortLog opens a log to append to it. A last line that was cut off goes: it was never
// acted on.
func openSortLog(path string) (*sortLog, error) {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return nil, &safefile.NotRegularError{Path: path, Mode: info.Mode()}
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	whole, size, err := wholeLines(f)
	if err == nil && whole < size {
		err = f.Truncate(whole)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &sortLog{f}, nil
}

// wholeLines returns how many bytes of a file are lines with an end, and its size.
func wholeLines(f *os.File) (whole, size int64, err error) {
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

// append writes a line, in one write. With sync it is on the disk afterwards.
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

// sortedPicture is a picture that the log has and that was not undone.
type sortedPicture struct {
	sortRecord      // its begin
	done       bool // false: garb was stopped before it knew
}

// sortHistory is what a log tells.
type sortHistory struct {
	pictures []sortedPicture // in the order in which they were sorted
	folders  []string        // that were made, in that order
}

// maxLogLine bounds a line: two paths and a link, in base64.
const maxLogLine = 1 << 20

// errBadLog is wrapped by errors about a log that garb did not write so.
var errBadLog = errors.New("the log is damaged")

// readSortLog reads a log. A last line that was cut off is ignored: it was never acted on.
// Any other line that cannot be understood is an error, for what it says could not be
// undone.
func readSortLog(path string) (h sortHistory, err error) {
	f, err := os.Open(path)
	if err != nil {
		return h, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return h, errors.Join(err, &safefile.NotRegularError{Path: path, Mode: info.Mode()})
	}
	whole, _, err := wholeLines(f)
	if err != nil {
		return h, err
	}
	lines := bufio.NewScanner(io.NewSectionReader(f, 0, whole))
	lines.Buffer(make([]byte, 64<<10), maxLogLine)
	place := map[string]int{} // of a picture, by its identifier
	gone := map[int]bool{}
	line := 0
	for lines.Scan() {
		line++
		var r sortRecord
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return h, fmt.Errorf("%s, line %d: %w: %w", path, line, errBadLog, err)
		}
		at, begun := place[r.ID]
		switch {
		case r.Op == "folder" && filepath.IsLocal(filepath.FromSlash(string(r.To))):
			h.folders = append(h.folders, filepath.FromSlash(string(r.To)))
		case r.Op == "begin" && !begun && r.valid():
			place[r.ID] = len(h.pictures)
			h.pictures = append(h.pictures, sortedPicture{sortRecord: r})
		case r.Op == "done" && begun:
			p := &h.pictures[at]
			p.done, p.SHA256 = true, r.SHA256
		case (r.Op == "failed" || r.Op == "undone") && begun:
			gone[at] = true
		default:
			return h, fmt.Errorf("%s, line %d: %w", path, line, errBadLog)
		}
	}
	if err := lines.Err(); err != nil {
		return h, fmt.Errorf("%s, line %d: %w: %w", path, line+1, errBadLog, err)
	}
	live := h.pictures[:0]
	for i, p := range h.pictures {
		if !gone[i] {
			live = append(live, p)
		}
	}
	h.pictures = live
	return h, nil
}

// valid reports whether a line can be the beginning of a picture's: its place is inside
// the folder, whatever somebody wrote into the log.
func (r sortRecord) valid() bool {
	known := r.Action == sortCopy || r.Action == sortLink || r.Action == sortMove
	return known && r.ID != "" && filepath.IsAbs(string(r.From)) && filepath.IsLocal(filepath.FromSlash(string(r.To)))
}

// findSortLog returns the log and the folder that --undo-sort names by either.
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
		return "", "", fmt.Errorf("%s has no %s: nothing was sorted into it, or all of it was undone", path,
			sortLogName)
	}
	return log, path, nil
}
