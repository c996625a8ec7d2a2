package answers

import (
	"cmp"
	"container/list"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"garb/internal/safefile"
)

// The names in a folder of answers.
const (
	filePrefix     = "answers-"
	fileSuffix     = ".jsonl"
	fileTime       = "20060102T150405.000000Z" // in UTC; names in this form sort by time
	feedbackName   = "feedback.jsonl"
	picturesFolder = "pictures"
	lockName       = ".lock"
)

// The modes of what a Writer creates: answers and pictures are private.
const (
	fileMode   = 0o600
	folderMode = 0o700
)

// LockedError says that another process writes the folder.
type LockedError struct{ Folder string }

func (e *LockedError) Error() string { return "another process stores answers in " + e.Folder }

// output is an open file that lines are appended to.
type output interface {
	io.Writer
	Truncate(size int64) error
	Sync() error
	Close() error
}

// appender appends lines to a file. A line is there as a whole or not at all, unless the process
// is killed within the write.
type appender struct {
	name string
	file output
	size int64
}

// write appends a line. After an error it cuts the file to the lines before; if that fails, too,
// broken is true and the file must not be written any more.
func (a *appender) write(line []byte) (broken bool, err error) {
	if _, err = a.file.Write(line); err != nil {
		return a.file.Truncate(a.size) != nil, err
	}
	a.size += int64(len(line))
	return false, nil
}

// isGone reports whether somebody removed or renamed the file, so that nobody would find what is written to it.
func (a *appender) isGone(folder string) bool {
	_, err := os.Lstat(filepath.Join(folder, a.name))
	return errors.Is(err, fs.ErrNotExist)
}

// close syncs and closes the file.
func (a *appender) close() error { return errors.Join(a.file.Sync(), a.file.Close()) }

// storedFile is a file of answers that is complete, or a picture.
type storedFile struct {
	name string // path below the folder
	size int64
	last time.Time // when it was last written or, for a picture, last used
}

// folder is the folder of a Writer. One goroutine uses it.
type folder struct {
	config  Config
	unlock  func()
	create  func(path string) (output, error) // opens a new or existing file to append
	removed func(bytes int64)

	current  *appender // nil before the first answer, and after a failure
	opened   time.Time // with the monotonic clock, so that no change of the clock matters
	lastName string    // the greatest name of a file of answers so far
	feedback *appender // nil before the first feedback

	files    []storedFile // complete ones, the oldest first
	pictures *list.List   // elements are storedFile, the oldest first
	byName   map[string]*list.Element
	total    int64 // bytes of all of them, the current file and the feedback
}

// openFolder locks a folder, which it creates if it does not exist, and lists what is there.
func openFolder(c Config, removed func(bytes int64)) (*folder, error) {
	if err := os.MkdirAll(c.Folder, folderMode); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(c.Folder, lockName), flock.SetPermissions(fileMode))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", c.Folder, err)
	}
	if !ok {
		return nil, &LockedError{c.Folder}
	}
	f := &folder{
		config: c, unlock: func() { _ = lock.Unlock() }, create: createFile, removed: removed,
		pictures: list.New(), byName: map[string]*list.Element{},
	}
	if err = f.list(); err != nil {
		f.unlock()
		return nil, err
	}
	return f, nil
}

func createFile(path string) (output, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, fileMode)
}

// list finds the files and pictures of earlier writers.
func (f *folder) list() error {
	names, err := listFiles(f.config.Folder)
	if err != nil {
		return err
	}
	for _, name := range names {
		info, infoErr := os.Lstat(filepath.Join(f.config.Folder, name))
		if infoErr != nil {
			return infoErr
		}
		f.files = append(f.files, storedFile{name, info.Size(), info.ModTime()})
		f.total += info.Size()
		f.lastName = name
	}
	if info, statErr := os.Lstat(filepath.Join(f.config.Folder, feedbackName)); statErr == nil {
		f.total += info.Size()
	}
	return f.listPictures()
}

// listPictures finds the pictures, and removes those that a killed writer left unfinished.
func (f *folder) listPictures() error {
	var all []storedFile
	root := filepath.Join(f.config.Folder, picturesFolder)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path == root {
			return fs.SkipAll
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		if strings.HasPrefix(entry.Name(), ".") {
			return os.Remove(path)
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(f.config.Folder, path)
		if err != nil {
			return err
		}
		all = append(all, storedFile{filepath.ToSlash(name), info.Size(), info.ModTime()})
		return nil
	})
	slices.SortFunc(all, func(a, b storedFile) int {
		return cmp.Or(a.last.Compare(b.last), strings.Compare(a.name, b.name))
	})
	for _, p := range all {
		f.addPicture(p)
	}
	return err
}

// listFiles returns the names of a folder's files of answers, the oldest first.
func listFiles(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, filePrefix) && strings.HasSuffix(name, fileSuffix) && entry.Type().IsRegular() {
			names = append(names, name)
		}
	}
	return names, nil // ReadDir has sorted them
}

// nextName returns the name of a new file, which is greater than all before, also if the clock was
// set back.
func (f *folder) nextName() string {
	at := time.Now().UTC().Truncate(time.Microsecond)
	text := strings.TrimSuffix(strings.TrimPrefix(f.lastName, filePrefix), fileSuffix)
	if last, err := time.Parse(fileTime, text); err == nil && !at.After(last) {
		at = last.Add(time.Microsecond)
	}
	f.lastName = filePrefix + at.Format(fileTime) + fileSuffix
	return f.lastName
}

// keepUnlessGone returns the open file, or nil after closing one that is gone.
func (f *folder) keepUnlessGone(a *appender) *appender {
	if a == nil || !a.isGone(f.config.Folder) {
		return a
	}
	f.total -= a.size
	_ = a.close() // what it has is lost anyway
	return nil
}

// append writes the line of an answer, and returns where.
func (f *folder) append(line []byte) (location, error) {
	f.current = f.keepUnlessGone(f.current)
	if f.current != nil && (f.current.size+int64(len(line)) > f.config.MaxFileBytes ||
		time.Since(f.opened) >= f.config.MaxFileAge) {
		if err := f.finishFile(); err != nil {
			return location{}, err
		}
	}
	if f.current == nil {
		name := f.nextName()
		file, err := f.create(filepath.Join(f.config.Folder, name))
		if err != nil {
			return location{}, err
		}
		f.current, f.opened = &appender{name: name, file: file}, time.Now()
	}
	at := location{f.current.name, f.current.size}
	broken, err := f.current.write(line)
	if broken {
		err = errors.Join(err, f.finishFile())
	}
	if err != nil {
		return location{}, err
	}
	f.total += int64(len(line))
	f.makeRoom()
	return at, nil
}

// finishFile closes the current file, so that the next answer starts a new one.
func (f *folder) finishFile() error {
	if f.current == nil {
		return nil
	}
	err := f.current.close()
	f.files = append(f.files, storedFile{f.current.name, f.current.size, time.Now()})
	f.current = nil
	return err
}

// appendFeedback writes a line of feedback.
func (f *folder) appendFeedback(line []byte) error {
	f.feedback = f.keepUnlessGone(f.feedback)
	if f.feedback == nil {
		a, err := f.openFeedback()
		if err != nil {
			return err
		}
		f.feedback = a
	}
	if f.feedback.size+int64(len(line)) > f.config.MaxFeedbackBytes {
		return ErrFeedbackFull
	}
	broken, err := f.feedback.write(line)
	if broken {
		err = errors.Join(err, f.feedback.close())
		f.feedback = nil
	}
	if err == nil {
		f.total += int64(len(line))
	}
	return err
}

// openFeedback opens the file of feedback. It ends a line that a killed writer left unfinished.
func (f *folder) openFeedback() (*appender, error) {
	path := filepath.Join(f.config.Folder, feedbackName)
	a := &appender{name: feedbackName}
	whole := true
	if info, err := os.Lstat(path); err == nil && info.Size() > 0 {
		old, err := openRegular(path)
		if err != nil {
			return nil, err
		}
		var last [1]byte
		_, err = old.ReadAt(last[:], info.Size()-1)
		if err = errors.Join(err, old.Close()); err != nil {
			return nil, err
		}
		a.size, whole = info.Size(), last[0] == '\n'
	}
	var err error
	if a.file, err = f.create(path); err == nil && !whole {
		if _, err = a.write([]byte("\n")); err != nil {
			return nil, errors.Join(err, a.file.Close())
		}
		f.total++
	}
	return a, err
}

// openRegular opens a file to read it. It refuses pipes and devices, which can block forever.
func openRegular(path string) (*os.File, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	return safefile.Open(path)
}

// keepPicture stores the bytes of a picture, unless they are there already, and returns their path
// below the folder.
func (f *folder) keepPicture(data []byte, digest, format string) (string, error) {
	name := namePicture(digest, format)
	path := filepath.Join(f.config.Folder, filepath.FromSlash(name))
	if f.touchPicture(name) {
		return name, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), folderMode); err != nil {
		return "", err
	}
	if err := writePicture(path, data); err != nil {
		return "", err
	}
	f.addPicture(storedFile{name, int64(len(data)), time.Now()})
	f.makeRoom()
	return name, nil
}

// touchPicture makes a picture the youngest one, if it is there.
func (f *folder) touchPicture(name string) bool {
	e := f.byName[name]
	if e == nil {
		return false
	}
	now := time.Now()
	if err := os.Chtimes(filepath.Join(f.config.Folder, filepath.FromSlash(name)), now, now); err != nil {
		f.forgetPicture(e) // somebody removed it
		return false
	}
	p := e.Value.(storedFile)
	p.last = now
	e.Value = p
	f.pictures.MoveToBack(e)
	return true
}

// writePicture writes a file through a temporary one, so that no other process sees a part of it.
func writePicture(path string, data []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), ".*.tmp") // with mode 0600
	if err != nil {
		return err
	}
	_, err = temporary.Write(data)
	err = errors.Join(err, temporary.Close())
	if err == nil {
		err = safefile.Rename(temporary.Name(), path)
	}
	if err != nil {
		os.Remove(temporary.Name())
	}
	return err
}

func (f *folder) addPicture(p storedFile) {
	f.byName[p.name] = f.pictures.PushBack(p)
	f.total += p.size
}

func (f *folder) forgetPicture(e *list.Element) {
	p := f.pictures.Remove(e).(storedFile)
	delete(f.byName, p.name)
	f.total -= p.size
}

// makeRoom removes the oldest files and pictures until the folder is small enough. It never removes
// the current file.
func (f *folder) makeRoom() {
	for f.total > f.config.MaxTotalBytes {
		oldest := f.pictures.Front()
		var size int64
		switch {
		case oldest != nil && (len(f.files) == 0 || oldest.Value.(storedFile).last.Before(f.files[0].last)):
			p := oldest.Value.(storedFile)
			size = p.size
			os.Remove(filepath.Join(f.config.Folder, filepath.FromSlash(p.name)))
			f.forgetPicture(oldest)
		case len(f.files) > 0:
			size = f.files[0].size
			os.Remove(filepath.Join(f.config.Folder, f.files[0].name))
			f.files = f.files[1:]
			f.total -= size
		default:
			return
		}
		if f.removed != nil {
			f.removed(size)
		}
	}
}

// close closes the files and unlocks the folder.
func (f *folder) close() error {
	err := f.finishFile()
	if f.feedback != nil {
		err = errors.Join(err, f.feedback.close())
	}
	f.unlock()
	return err
}
