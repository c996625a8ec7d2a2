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
	"syscall"
	"unicode/utf8"

	"garb/internal/safefile"
	"garb/model"
	"garb/weights"
)

// sorter sorts pictures into a folder for each class, and logs what it does. It never
// overwrites a file: every step fails if the name is taken.
type sorter struct {
	action  sortAction
	into    string // the folder as given by the user
	root    string // the same folder, absolute and without links
	classes []string
	folders map[int]string // names of the class folders by class index, and by refused
	refusal string         // the model's label for refused pictures, "" if it never refuses
	log     *sortLog
	id      string         // prefix of the picture IDs of this command
	started int            // number of pictures started
	next    map[string]int // the next number to try for a name, by folder and lower-case name
	sorted  int
}

// refused is the class index of refused pictures.
const refused = -1

// findRefusal returns a model's label for refused pictures, "" if it never refuses.
func findRefusal(classifier *model.Classifier) string {
	if !classifier.Judges() {
		return ""
	}
	return classifier.Description().Acceptance.Refusal
}

// openSorter creates the folder if it does not exist, and opens its log. Refused pictures go to
// a folder named after the refusal; an empty refusal means that there are none.
func openSorter(into string, action sortAction, classes []string, refusal string) (*sorter, error) {
	s := &sorter{
		action: action, into: into, refusal: refusal, classes: classes,
		folders: map[int]string{}, next: map[string]int{},
	}
	_, err := os.Lstat(into)
	isNew := errors.Is(err, fs.ErrNotExist)
	if err = os.MkdirAll(into, 0o777); err != nil {
		return nil, err
	}
	if s.root, err = resolvePath(into); err != nil {
		return nil, err
	}
	names := slices.Clone(classes)
	if refusal != "" {
		names = append(names, refusal) // last, so that it does not change the names of the class folders
	}
	for i, folder := range nameClassFolders(names) {
		if i == len(classes) {
			i = refused
		}
		s.folders[i] = folder
	}
	var id [6]byte
	if _, err = rand.Read(id[:]); err != nil {
		return nil, err
	}
	s.id = hex.EncodeToString(id[:])
	if s.log, err = openSortLog(filepath.Join(s.root, sortLogName)); err != nil {
		return nil, err
	}
	if isNew {
		if err = s.log.append(sortRecord{Op: "folder", To: "."}, false); err != nil {
			return nil, errors.Join(err, s.log.close())
		}
	}
	return s, nil
}

// resolvePath returns the absolute path without links.
func resolvePath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

// dropSorted drops the sources that are in class folders already, because they were sorted
// before.
func (s *sorter) dropSorted(all []source) (rest []source, dropped int) {
	own := map[string]bool{}
	for _, folder := range s.folders {
		own[foldCase(folder)] = true
	}
	resolved := map[string]string{} // by folder
	for _, source := range all {
		folder := filepath.Dir(source.name)
		if _, ok := resolved[folder]; !ok {
			resolved[folder], _ = resolvePath(folder) // a folder that cannot be resolved does not exist
		}
		relative, err := filepath.Rel(s.root, resolved[folder])
		first, _, _ := strings.Cut(filepath.ToSlash(relative), "/")
		if source.err == nil && err == nil && own[foldCase(first)] {
			dropped++
			continue
		}
		rest = append(rest, source)
	}
	return rest, dropped
}

// errCached reports a picture in garb's cache folder that was to be moved or linked. garb needs
// it again, or may remove it.
var errCached = errors.New("it is in garb's cache folder, where archives are unpacked, and can only be copied")

// checkSortable returns an error for the first picture that the action cannot sort.
func checkSortable(action sortAction, all []source) error {
	if action == sortCopy {
		return nil
	}
	home, err := weights.Home()
	if err == nil {
		home, err = resolvePath(home)
	}
	if err != nil {
		return nil // no cache folder, so no picture is in it
	}
	for _, source := range all {
		folder, err := resolvePath(filepath.Dir(source.name))
		if err != nil {
			continue
		}
		if isInside(home, folder) {
			return fmt.Errorf("%s: %w", source.name, errCached)
		}
	}
	return nil
}

// put sorts a picture into a class's folder, and returns its new path. After a *sortLogError,
// sorting must stop. After any other error the picture is where it was.
func (s *sorter) put(from string, class int) (string, error) {
	from, err := filepath.Abs(from)
	if err != nil {
		return "", err
	}
	info, err := os.Lstat(from)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("it no longer exists (%w)", fs.ErrNotExist)
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
	if err := s.addLink(&record, folder, isLink); err != nil {
		return "", err
	}
	const tries = 1000 // for names that another process takes at the same time
	for range tries {
		to := filepath.Join(s.root, folder, s.findFreeName(folder, filepath.Base(from)))
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
	return "", fmt.Errorf("all of %d names were taken", tries)
}

// addLink adds to a record the link to make in a class's folder, if the picture is to be linked,
// or if it is a link to be moved.
func (s *sorter) addLink(record *sortRecord, folder string, isLink bool) error {
	from := string(record.From)
	switch {
	case s.action == sortLink:
		record.Link = filePath(s.makeLinkText(folder, from))
	case s.action == sortMove && isLink:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		record.Was = filePath(target)
		if !filepath.IsAbs(target) {
			target = s.makeLinkText(folder, filepath.Join(filepath.Dir(from), target))
		}
		record.Link = filePath(target)
	}
	return nil
}

// makeFolder creates a class's folder, after it has logged that.
func (s *sorter) makeFolder(name string) error {
	path := filepath.Join(s.root, name)
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.IsDir():
		return fmt.Errorf("%s is a file, but garb needs a folder of that name for a class", path)
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
	return nil // another process has just created it
}

// makeLinkText returns the text of a link to a file in a class's folder. The link is relative if
// the file is below the parent of the sorted folder, because they will be moved together.
// Otherwise it is absolute.
func (s *sorter) makeLinkText(folder, file string) string {
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
	if above == filepath.Dir(above) || !isInside(above, file) || !isInside(above, link) {
		return file
	}
	relative, err := filepath.Rel(link, file)
	if err != nil {
		return file
	}
	return relative
}

// isInside reports whether a path is a folder or inside it.
func isInside(folder, path string) bool {
	relative, err := filepath.Rel(folder, path)
	return err == nil && filepath.IsLocal(relative)
}

// maxNameBytes is the maximum length of a file name.
const maxNameBytes = 255

// findFreeName returns an unused name in a class's folder: the picture's own, or one with -2, -3
// and so on before its extension. Names that differ only in letter case count as equal, so
// that the folder can be copied to a case-insensitive file system.
func (s *sorter) findFreeName(folder, name string) string {
	extension := filepath.Ext(name)
	stem := strings.TrimSuffix(name, extension)
	if stem == "" { // a hidden file without an extension
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

// attempt copies, links or moves a picture, and logs that before and after. It returns
// fs.ErrExist if the name was taken.
func (s *sorter) attempt(record sortRecord, to string) error {
	s.started++
	record.Op, record.ID = "begin", fmt.Sprintf("%s-%d", s.id, s.started)
	relative, err := filepath.Rel(s.root, to)
	if err != nil {
		return err
	}
	record.To = filePath(filepath.ToSlash(relative))
	if err = s.log.append(record, record.Action == sortMove); err != nil {
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

// copyFile copies a file, with its time and permissions, to a name that must be free. It returns
// the SHA-256 of the content, in hexadecimal. If it fails, there is no copy.
func copyFile(from, to string, sync bool) (digest string, err error) {
	info, err := os.Stat(from) // before opening it: opening a pipe may block forever
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

// errNoLinks says that this user may not create symbolic links on Windows.
var errNoLinks = errors.New("only administrators may create symbolic links on Windows; " +
	"switch on Developer Mode in its settings, or copy the pictures instead of linking them")

// makeLink creates a symbolic link.
func makeLink(text, to string) error {
	return explainLink(os.Symlink(text, to))
}

// explainLink adds to an error of os.Symlink what to do about a missing privilege.
func explainLink(err error) error {
	const privilegeNotHeld = syscall.Errno(1314) // ERROR_PRIVILEGE_NOT_HELD; other systems have no such number
	if errors.Is(err, privilegeNotHeld) {
		return fmt.Errorf("%w (%w)", errNoLinks, err)
	}
	return err
}

// linkTo creates a symbolic link with a text, which must lead to a file.
func linkTo(text, file, to string) error {
	if err := makeLink(text, to); err != nil {
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

// moveFile moves a file to a name that must be free. It does not rename, which would overwrite a
// file of that name, but makes a hard link and removes the old name.
func moveFile(from, to string) error {
	err := os.Link(from, to)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil { // another device, or a file system without hard links
		return moveCopy(from, to)
	}
	if err := safefile.Remove(from); err != nil {
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
	if _, err = copyFile(from, to, true); err != nil {
		return err
	}
	after, err := os.Stat(from)
	if err == nil && (after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime())) {
		err = errors.New("it was changed during the move")
	}
	if err == nil {
		err = safefile.Remove(from)
	}
	if err != nil {
		return errors.Join(err, os.Remove(to))
	}
	return nil
}

// moveLink moves a symbolic link to a name that must be free, and gives it a new text.
func moveLink(text, from, to string) error {
	if err := makeLink(text, to); err != nil {
		return err
	}
	if err := os.Remove(from); err != nil {
		return errors.Join(err, os.Remove(to))
	}
	return nil
}
