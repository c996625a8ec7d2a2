package dataset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"garb/picture"
)

// ErrLinkLoop is wrapped by errors about folders that contain themselves through
// symbolic links.
var ErrLinkLoop = errors.New("symbolic links form a loop")

// Pictures lists the pictures below a folder, at any depth, by path. Symbolic links to
// files and folders are followed. Hidden files, system files and empty folders are
// ignored, and so are files that are no pictures; tally counts them. A folder that
// links form a loop with is an error that wraps ErrLinkLoop.
func Pictures(ctx context.Context, folder string, tally *Tally) ([]string, error) {
	w, err := newWalker(ctx, folder, tally)
	if err != nil {
		return nil, err
	}
	w.other = ReasonOther // nobody said that it is a picture of something
	err = w.walk(folder, w.root)
	return w.found, err
}

// PicturesIn lists the pictures of a path, whatever their labels: those below a folder
// or in an archive, see Pictures, those that a table names, and a file of any other kind
// itself.
func PicturesIn(ctx context.Context, path string, o Options, tally *Tally) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	switch kind := archiveKind(path); {
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
	case slices.Contains(tableEndings, strings.ToLower(filepath.Ext(path))):
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

// walker lists the pictures below a folder.
type walker struct {
	ctx   context.Context
	tally *Tally
	root  string          // the folder without links
	seen  map[string]bool // folders without links that were walked
	other Reason          // of files that are no pictures
	found []string

	unreadable []error // of folders
}

func newWalker(ctx context.Context, folder string, tally *Tally) (*walker, error) {
	real, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return nil, fmt.Errorf("data set: %w", err)
	}
	return &walker{ctx: ctx, tally: tally, root: real, seen: map[string]bool{}, other: ReasonNotPicture}, nil
}

// walk adds the pictures below a folder, whose path without links is real.
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
	before := len(w.found)
	folders := 0
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		if hidden(e.Name()) {
			w.tally.Add(ReasonHidden, path, "hidden or a system's file")
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
			if err := w.enter(path, real, e); err != nil {
				return err
			}
		case !info.Mode().IsRegular():
			w.tally.Add(ReasonNotPicture, path, "neither a file nor a folder")
		case beginsLikePicture(path):
			w.found = append(w.found, path)
		default:
			w.tally.Add(w.other, path, "neither its name nor its content is a picture's")
		}
	}
	if len(w.found) == before && folders == 0 {
		w.tally.Add(ReasonEmpty, folder, "no pictures")
	}
	return nil
}

// enter walks a folder inside one whose path without links is parent. A folder that
// was walked before, through another link, is not walked again: so links cannot
// multiply the work.
func (w *walker) enter(path, parent string, e fs.DirEntry) error {
	real := filepath.Join(parent, e.Name())
	if e.Type()&fs.ModeSymlink != 0 {
		var err error
		if real, err = filepath.EvalSymlinks(path); err != nil {
			w.tally.Add(ReasonUnreadable, path, err.Error())
			return nil
		}
		if contains(real, parent) {
			return fmt.Errorf("data set: %q links to %q, in which it is: %w; remove the link", path, real, ErrLinkLoop)
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

// contains reports whether a folder is another or contains it; both are without links.
func contains(folder, other string) bool {
	relative, err := filepath.Rel(folder, other)
	return err == nil && (relative == "." || filepath.IsLocal(relative))
}

// systemNames are files and folders that operating systems and archive programs leave
// behind, in lower case.
var systemNames = []string{"__macosx", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin",
	"system volume information"}

// hidden reports whether a file or folder is hidden or a system's: it begins with a
// dot, as .DS_Store and .ipynb_checkpoints do, or is one of systemNames.
func hidden(name string) bool {
	return strings.HasPrefix(name, ".") || slices.Contains(systemNames, strings.ToLower(name))
}

// pictureEndings are the endings of names that say picture, those of formats that garb
// does not read among them: somebody would miss such a file, so that it is counted as
// unreadable when it is read.
var pictureEndings = []string{
	".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".bmp", ".avif", ".heic", ".heif",
	".tif", ".tiff", ".jp2", ".jxl", ".ppm", ".pgm", ".tga", ".dng",
}

// beginsLikePicture reports whether a file's name or, failing that, the beginning of its
// content is a picture's.
func beginsLikePicture(path string) bool {
	if slices.Contains(pictureEndings, strings.ToLower(filepath.Ext(path))) {
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
