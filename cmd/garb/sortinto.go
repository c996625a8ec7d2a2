package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"garb/internal/safefile"
	"garb/model"
	"garb/weights"
)

// sorter puts pictures into a folder for each class, and writes down what it does. It
// replaces no file: every step fails if the name is taken.
type sorter struct {
	action  sortAction
	into    string // as it was named
	root    string // the same, absolute and without links
	classes []string
	folders map[int]string // of the classes, by their places, and of refused
	refusal string         // the model's words for pictures that it refuses; "": it refuses none
	log     *sortLog
	run     string // begins the identifiers of this run
	begun   int
	next    map[string]int // the number to try for a name, by its place in lower case
	sorted  int
}

// refused stands for the class of pictures that the model refuses.
const refused = -1

// findRefusal returns what a model says of pictures that it refuses, "" if it does not judge.
func findRefusal(classifier *model.Classifier) string {
	if !classifier.Judges() {
		return ""
	}
	return classifier.Description().Acceptance.Refusal
}

// openSorter makes the folder if need be, and opens its log. Pictures that the model
// refuses go to a folder named after the refusal; "" means that there are none.
func openSorter(into string, action sortAction, classes []string, refusal string) (*sorter, error) {
	s := &sorter{action: action, into: into, refusal: refusal, classes: classes, folders: map[int]string{}, next: map[string]int{}}
	_, err := os.Lstat(into)
	isNew := errors.Is(err, fs.ErrNotExist)
	if err := os.MkdirAll(into, 0o777); err != nil {
		return nil, err
	}
	if s.root, err = resolvePath(into); err != nil {
		return nil, err
	}
	names := slices.Clone(classes)
	if refusal != "" {
		names = append(names, refusal) // last, so that the classes' folders are what they are without
	}
	for i, folder := range nameClassFolders(names) {
		if i == len(classes) {
			i = refused
		}
		s.folders[i] = folder
	}
	var id [6]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, err
	}
	s.run = hex.EncodeToString(id[:])
	if s.log, err = openSortLog(filepath.Join(s.root, sortLogName)); err != nil {
		return nil, err
	}
	if isNew {
		if err := s.log.append(sortRecord{Op: "folder", To: "."}, false); err != nil {
			return nil, errors.Join(err, s.log.close())
		}
	}
	return s, nil
}

// resolvePath returns a path that is absolute and has no links.
func resolvePath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

// dropSorted leaves out sources that lie in the folders of classes already: those that were
// sorted before are no input.
func (s *sorter) dropSorted(all []source) (rest []source, leftOut int) {
	own := map[string]bool{}
	for _, folder := range s.folders {
		own[foldCase(folder)] = true
	}
	resolved := map[string]string{} // folders of pictures
	for _, source := range all {
		folder := filepath.Dir(source.name)
		if _, ok := resolved[folder]; !ok {
			resolved[folder], _ = resolvePath(folder) // what cannot be resolved is not there
		}
		relative, err := filepath.Rel(s.root, resolved[folder])
		first, _, _ := strings.Cut(filepath.ToSlash(relative), "/")
		if source.err == nil && err == nil && own[foldCase(first)] {
			leftOut++
			continue
		}
		rest = append(rest, source)
	}
	return rest, leftOut
}

// errKept is why a picture in garb's own folder is not moved or linked: garb needs it
// again, and may remove it.
var errKept = errors.New("it lies in garb's own folder, as what is unpacked of an archive does, and can only be copied")

// checkSortable returns an error about the first picture that cannot be sorted so.
func checkSortable(action sortAction, all []source) error {
	if action == sortCopy {
		return nil
	}
	home, err := weights.Home()
	if err == nil {
		home, err = resolvePath(home)
	}
	if err != nil {
		return nil // there is no such folder, so no picture is in it
	}
	for _, source := range all {
		folder, err := resolvePath(filepath.Dir(source.name))
		if err != nil {
			continue
		}
		if relative, err := filepath.Rel(home, folder); err == nil && filepath.IsLocal(relative) {
			return fmt.Errorf("%s: %w", source.name, errKept)
		}
	}
	return nil
}

// put puts a picture into a class's folder, and returns its new path. A *sortLogError is
// the end of it; with any other error the picture is where it was, and nowhere else.
func (s *sorter) put(from string, class int) (string, error) {
	from, err := filepath.Abs(from)
	if err != nil {
		return "", err
	}
	info, err := os.Lstat(from)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("it is no longer there (%w)", fs.ErrNotExist)
	}
	if err != nil {
		return "", err
	}
	isLink := info.Mode()&fs.ModeSymlink != 0
	if !isLink && !info.Mode().IsRegular() {
		return "", &safefile.NotRegularError{Path: from, Mode: info.Mode()}
	}
	folder, ok := s.folders[class]
	if !ok {
		panic(fmt.Sprintf("sort: the model has no class %d", class))
	}
	if err := s.makeFolder(folder); err != nil {
		return "", err
	}
	record := sortRecord{Action: s.action, Class: s.refusal, From: filePath(from)}
	if class != refused {
		record.Class = s.classes[class]
	}
	switch {
	case s.action == sortLink:
		record.Link = filePath(s.linkText(folder, from))
	case s.action == sortMove && isLink:
		was, err := os.Readlink(from)
		if err != nil {
			return "", err
		}
		record.Was = filePath(was)
		if !filepath.IsAbs(was) {
			was = s.linkText(folder, filepath.Join(filepath.Dir(from), was))
		}
		record.Link = filePath(was)
	}
	const tries = 1000 // of names that somebody else takes at the same time
	for range tries {
		to := filepath.Join(s.root, folder, s.freeName(folder, filepath.Base(from)))
		err := s.attempt(record, to)
		if err == nil {
			s.sorted++
			return filepath.Join(s.into, folder, filepath.Base(to)), nil
		}
		var unlogged *sortLogError
		if !errors.Is(err, fs.ErrExist) || errors.As(err, &unlogged) {
			return "", err
		}
	}
	return "", fmt.Errorf("each of %d names was taken", tries)
}

// makeFolder makes a class's folder, and writes down first that it does.
func (s *sorter) makeFolder(name string) error {
	path := filepath.Join(s.root, name)
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.IsDir():
		return fmt.Errorf("%s is a file; the pictures of a class need a folder of that name", path)
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := s.log.append(sortRecord{Op: "folder", To: filePath(name)}, false); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o777); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil // somebody else has just made it
}

// linkText returns what a link in a class's folder says to lead to a file: where that lies
// from there, if it lies beside the sorted folder and so will be moved with it; otherwise
// its path.
func (s *sorter) linkText(folder, file string) string {
	parent, err := resolvePath(filepath.Dir(file))
	if err != nil {
		return file
	}
	file = filepath.Join(parent, filepath.Base(file))
	link, err := resolvePath(filepath.Join(s.root, folder)) // may be a link itself
	if err != nil {
		return file
	}
	above := filepath.Dir(s.root)
	inside := func(path string) bool {
		relative, err := filepath.Rel(above, path)
		return err == nil && filepath.IsLocal(relative)
	}
	if above == filepath.Dir(above) || !inside(file) || !inside(link) {
		return file
	}
	relative, err := filepath.Rel(link, file)
	if err != nil {
		return file
	}
	return relative
}

// maxNameBytes is the longest name that file systems take.
const maxNameBytes = 255

// freeName returns a name that nothing in a class's folder has: the picture's own, or
// with -2, -3 and so on before its ending. Names that differ in letter case alone count as
// one, so that the folder can be copied to where they are.
func (s *sorter) freeName(folder, name string) string {
	extension := filepath.Ext(name)
	stem := strings.TrimSuffix(name, extension)
	if stem == "" { // a hidden file without an ending
		stem, extension = name, ""
	}
	key := filepath.Join(folder, foldCase(name))
	for n := s.next[key] + 1; ; n++ {
		candidate := name
		if n > 1 {
			suffix := fmt.Sprintf("-%d%s", n, extension)
			cut := stem[:min(len(stem), max(0, maxNameBytes-len(suffix)))]
			for len(cut) < len(stem) && len(cut) > 0 && !utf8.RuneStart(stem[len(cut)]) {
				cut = cut[:len(cut)-1]
			}
			candidate = cut + suffix
		}
		if _, err := os.Lstat(filepath.Join(s.root, folder, candidate)); err == nil {
			continue
		}
		s.next[key] = n
		return candidate
	}
}

// attempt puts a picture to a place, between two lines of the log. An fs.ErrExist says
// that the place was taken.
func (s *sorter) attempt(record sortRecord, to string) error {
	s.begun++
	record.Op, record.ID = "begin", fmt.Sprintf("%s-%d", s.run, s.begun)
	relative, err := filepath.Rel(s.root, to)
	if err != nil {
		return err
	}
	record.To = filePath(filepath.ToSlash(relative))
	if err := s.log.append(record, record.Action == sortMove); err != nil {
		return err
	}
	after := sortRecord{Op: "done", ID: record.ID}
	from := string(record.From)
	switch {
	case record.Action == sortCopy:
		after.SHA256, err = copyFile(from, to, false)
	case record.Action == sortLink:
		err = linkTo(string(record.Link), from, to)
	case record.Was != "":
		err = moveLink(string(record.Link), from, to)
	default:
		err = moveFile(from, to)
	}
	if err != nil {
		after = sortRecord{Op: "failed", ID: record.ID}
	}
	return errors.Join(err, s.log.append(after, false))
}

func (s *sorter) close() error { return s.log.close() }

// copyFile copies a file, with its times and permissions, to a name that must be free,
// and returns the SHA-256 of what it copied, in hexadecimal. If it fails, there is no copy.
func copyFile(from, to string, sync bool) (digest string, err error) {
	info, err := os.Stat(from) // before it is opened: to open a pipe can take forever
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", &safefile.NotRegularError{Path: from, Mode: info.Mode()}
	}
	in, err := os.Open(from)
	if err != nil {
		return "", err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			os.Remove(to)
		}
	}()
	hash := sha256.New()
	_, err = io.Copy(io.MultiWriter(out, hash), in)
	if err == nil && sync {
		err = out.Sync()
	}
	err = errors.Join(err, out.Close())
	if err == nil {
		err = os.Chtimes(to, info.ModTime(), info.ModTime())
	}
	return hex.EncodeToString(hash.Sum(nil)), err
}

// linkTo makes a symbolic link with this text, which must lead to a file.
func linkTo(text, file, to string) error {
	if err := os.Symlink(text, to); err != nil {
		return err
	}
	want, err := os.Stat(file)
	if err == nil {
		var got fs.FileInfo
		if got, err = os.Stat(to); err == nil && !os.SameFile(want, got) {
			err = errors.New("the link leads to another file")
		}
	}
	if err != nil {
		return errors.Join(err, os.Remove(to))
	}
	return nil
}

// moveFile gives a file another name, which must be free. A rename would replace what has
// that name; a second name does not, and then the first is removed.
func moveFile(from, to string) error {
	err := os.Link(from, to)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil { // another device, or a file system where a file has one name
		return moveCopy(from, to)
	}
	if err := os.Remove(from); err != nil {
		return errors.Join(err, os.Remove(to))
	}
	return nil
}

// moveCopy copies a file to a name that must be free, and removes it.
func moveCopy(from, to string) error {
	before, err := os.Stat(from)
	if err != nil {
		return err
	}
	if _, err := copyFile(from, to, true); err != nil {
		return err
	}
	after, err := os.Stat(from)
	if err == nil && (after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime())) {
		err = errors.New("it changed while it was moved")
	}
	if err == nil {
		err = os.Remove(from)
	}
	if err != nil {
		return errors.Join(err, os.Remove(to))
	}
	return nil
}

// moveLink moves a symbolic link to a name that must be free, where it has this text.
func moveLink(text, from, to string) error {
	if err := os.Symlink(text, to); err != nil {
		return err
	}
	if err := os.Remove(from); err != nil {
		return errors.Join(err, os.Remove(to))
	}
	return nil
}
