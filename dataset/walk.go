package dataset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"garb/picture"
)

// ErrLinkLoop is wrapped by errors about folders that contain themselves through symbolic links.
var ErrLinkLoop = errors.New("symbolic links form a loop")

// Pictures returns the paths of the pictures below a folder, at any depth, sorted. It follows
// symbolic links to files and folders. It ignores hidden files, system files, empty folders and
// files that are not pictures, and adds them to tally. If links form a loop, the error wraps
// ErrLinkLoop.
func Pictures(ctx context.Context, folder string, tally *Tally) ([]string, error) {
	var found []string
	err := EachPicture(ctx, folder, tally, func(path string, _ fs.FileInfo) error {
		found = append(found, path)
		return nil
	})
	return found, err
}

// EachPicture calls use for each picture that Pictures lists, in the same order, without keeping
// the paths. It stops at the first error that use returns, and returns it too.
func EachPicture(ctx context.Context, folder string, tally *Tally,
	use func(path string, info fs.FileInfo) error) error {
	w, err := newWalker(ctx, folder, tally, use)
	if err != nil {
		return err
	}
	w.other = ReasonOther // nothing says that all files here are pictures
	return w.walk(folder, w.root)
}

// PicturesIn returns the paths of the pictures at a path, whatever their labels: those below a
// folder or in an archive (see Pictures), those that a table names, and any other file itself.
func PicturesIn(ctx context.Context, path string, o Options, tally *Tally) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	switch kind := detectArchive(path); {
	case info.IsDir():
		return Pictures(ctx, path, tally)
	case !info.Mode().IsRegular(): // such as a pipe
		return []string{path}, nil
	case kind != "":
		folder, err := unpackToCache(ctx, path, kind, o, tally)
		if err != nil {
			return nil, err
		}
		return Pictures(ctx, folder, tally)
	case slices.Contains(tableExtensions, strings.ToLower(filepath.Ext(path))):
		d, err := read(ctx, path, o, true)
		if err == nil {
			err = d.Err()
		}
		if err != nil {
			return nil, err
		}
		tally.Merge(&d.Tally)
		var paths []string
		for _, s := range d.All().Samples {
			paths = append(paths, s.Path)
		}
		return paths, nil
	}
	return []string{path}, nil
}

// walker finds the pictures below a folder.
type walker struct {
	ctx   context.Context
	tally *Tally
	root  string          // the folder, with links resolved
	seen  map[string]bool // folders walked, with links resolved
	other Reason          // for files that are not pictures
	use   func(path string, info fs.FileInfo) error
	found int

	unreadable []error // about folders
}

func newWalker(ctx context.Context, folder string, tally *Tally, use func(string, fs.FileInfo) error) (*walker, error) {
	real, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return nil, fmt.Errorf("data set: %w", err)
	}
	return &walker{ctx: ctx, tally: tally, root: real, seen: map[string]bool{}, other: ReasonNotPicture, use: use}, nil
}

// walk adds the pictures below a folder. real is its path with links resolved.
func (w *walker) walk(folder, real string) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	w.seen[real] = true
	entries, err := os.ReadDir(folder)
	if err != nil {
		w.tally.Add(ReasonUnreadable, folder, err.Error())
		w.unreadable = append(w.unreadable, err)
		return nil
	}
	before := w.found
	folders := 0
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		if isHidden(e.Name()) {
			w.tally.Add(ReasonHidden, path, "a hidden or system file")
			continue
		}
		info, err := os.Stat(path) // which follows links
		switch {
		case errors.Is(err, fs.ErrNotExist):
			w.tally.Add(ReasonMissing, path, "the link leads nowhere")
		case err != nil && isLinkCycle(path):
			return fmt.Errorf("data set: %q: %w; remove one of them", path, ErrLinkLoop)
		case err != nil:
			w.tally.Add(ReasonUnreadable, path, err.Error())
		case info.IsDir():
			folders++
			if err := w.walkInner(path, real, e); err != nil {
				return err
			}
		case !info.Mode().IsRegular():
			w.tally.Add(ReasonNotPicture, path, "neither a file nor a folder")
		case looksLikePicture(path):
			w.found++
			if err := w.use(path, info); err != nil {
				return err
			}
		default:
			w.tally.Add(w.other, path, "neither its name nor its content is that of a picture")
		}
	}
	if w.found == before && folders == 0 {
		w.tally.Add(ReasonEmpty, folder, "no pictures")
	}
	return nil
}

// walkInner walks a folder inside parent, whose links are resolved. It does not walk a folder
// twice if several links lead to it, so links cannot multiply the work.
func (w *walker) walkInner(path, parent string, e fs.DirEntry) error {
	real := filepath.Join(parent, e.Name())
	if e.Type()&fs.ModeSymlink != 0 {
		var err error
		if real, err = filepath.EvalSymlinks(path); err != nil {
			w.tally.Add(ReasonUnreadable, path, err.Error())
			return nil
		}
		if contains(real, parent) {
			return fmt.Errorf("data set: %q links to %q, which contains it: %w; remove the link", path, real,
				ErrLinkLoop)
		}
	}
	if w.seen[real] {
		w.tally.Add(ReasonRepeated, path, "the folder was read before, through another link")
		return nil
	}
	return w.walk(path, real)
}

// isLinkCycle reports whether a path is a symbolic link that leads back to itself.
func isLinkCycle(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return false
	}
	_, err = filepath.EvalSymlinks(path)
	return err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission)
}

// contains reports whether a folder is or contains another; both have their links resolved.
func contains(folder, other string) bool {
	relative, err := filepath.Rel(folder, other)
	return err == nil && (relative == "." || filepath.IsLocal(relative))
}

// systemNames are names, in lower case, of files and folders that operating systems and archive
// programs create.
var systemNames = []string{"__macosx", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin",
	"system volume information"}

// isHidden reports whether a name begins with a dot, such as .DS_Store and .ipynb_checkpoints, or
// is one of systemNames.
func isHidden(name string) bool {
	return strings.HasPrefix(name, ".") || slices.Contains(systemNames, strings.ToLower(name))
}

// JudgeKey returns why an object of an object store is skipped, by the part of its key below the
// folder that is listed, or "" if it may be a picture. The rules are those of Pictures, but the
// content is not read: a name without an extension may be a picture's, and one with an extension
// that no picture has is not.
func JudgeKey(key string) Reason {
	if strings.HasSuffix(key, "/") {
		return ReasonEmpty // some programs store folders as empty objects
	}
	for name := range strings.SplitSeq(key, "/") {
		if isHidden(name) {
			return ReasonHidden
		}
	}
	if extension := strings.ToLower(path.Ext(key)); extension != "" && !slices.Contains(pictureExtensions, extension) {
		return ReasonOther
	}
	return ""
}

// pictureExtensions are the extensions of pictures, including formats that garb cannot read, so
// that such files are counted as unreadable instead of being ignored.
var pictureExtensions = append([]string{".jp2", ".jxl", ".ppm", ".pgm", ".tga", ".dng"}, listReadExtensions()...)

// listReadExtensions lists the extensions of the formats that garb reads.
func listReadExtensions() (all []string) {
	for _, f := range picture.Formats() {
		all = append(all, f.Extensions()...)
	}
	return all
}

// looksLikePicture reports whether a file has a picture's extension or begins like a picture.
func looksLikePicture(path string) bool {
	if slices.Contains(pictureExtensions, strings.ToLower(filepath.Ext(path))) {
		return true
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 64)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false
	}
	_, err = picture.Identify(head[:n])
	return !errors.Is(err, picture.ErrNotPicture)
}
