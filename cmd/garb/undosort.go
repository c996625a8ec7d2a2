package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// undoSort undoes what classify --sort-into did, last change first. path is the log or its
// folder. It overwrites nothing, and removes nothing that has changed since. It reports the
// pictures that it could not undo, and keeps them in the log.
func undoSort(c *cobra.Command, path string) error {
	logPath, folder, err := findSortLog(path)
	if err != nil {
		return err
	}
	history, err := readSortLog(logPath)
	if err != nil {
		return err
	}
	log, err := openSortLog(logPath)
	if err != nil {
		return err
	}
	undone, problems := map[sortAction]int{}, 0
	err = undoPictures(c.Context(), history, folder, log, func(p sortedPicture, err error) {
		if err == nil {
			undone[p.Action]++
			return
		}
		problems++
		file := filepath.Join(folder, filepath.FromSlash(string(p.To)))
		fmt.Fprintf(c.ErrOrStderr(), "garb: %s: %v\n", escape(file), err)
	})
	if err = errors.Join(err, log.close()); err != nil {
		return err
	}
	for _, created := range slices.Backward(history.folders) {
		if created != "." {
			removeIfEmpty(filepath.Join(folder, created))
		}
	}
	if _, err := fmt.Fprintln(openTextOut(c), formatUndone(undone)); err != nil {
		return err
	}
	if problems > 0 {
		fmt.Fprintf(c.ErrOrStderr(), "garb: %s could not be undone; fix the problems and run the command again\n",
			count(problems, "picture"))
		return errReported
	}
	if err := os.Remove(logPath); err != nil {
		return err
	}
	if slices.Contains(history.folders, ".") {
		removeIfEmpty(folder)
	}
	return nil
}

// formatUndone says how many changes of each kind were undone.
func formatUndone(undone map[sortAction]int) string {
	var parts []string
	for _, kind := range []struct {
		action      sortAction
		thing, what string
	}{{sortMove, "picture", "moved back"}, {sortCopy, "copy", "removed"}, {sortLink, "link", "removed"}} {
		if n := undone[kind.action]; n > 0 {
			parts = append(parts, count(n, kind.thing)+" "+kind.what)
		}
	}
	if len(parts) == 0 {
		return "nothing was left to undo"
	}
	return strings.Join(parts, ", ")
}

// removeIfEmpty removes a folder if it is empty. It does not remove links to folders.
func removeIfEmpty(path string) {
	if info, err := os.Lstat(path); err == nil && info.IsDir() {
		os.Remove(path) // fails if it is not empty
	}
}

// undoPictures undoes each picture of a history, logs that, and reports the result of each
// picture. It returns only errors of ctx and of the log.
func undoPictures(ctx context.Context, h sortHistory, folder string, log *sortLog,
	report func(sortedPicture, error)) error {
	for _, p := range slices.Backward(h.pictures) {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := p.undo(filepath.Join(folder, filepath.FromSlash(string(p.To))))
		report(p, err)
		if err != nil {
			continue
		}
		if err := log.append(sortRecord{Op: "undone", ID: p.ID}, false); err != nil {
			return err
		}
	}
	return nil
}

// errChanged reports a copy or link that was changed, and so is not removed.
var errChanged = errors.New("it was changed since it was sorted, so it is not removed")

// errChangedMove reports a file that was changed, and so is not moved back.
var errChangedMove = errors.New("it was changed since it was sorted, so it is not moved back")

// undo undoes what was done, or only started, for the file of a picture.
func (p sortedPicture) undo(file string) error {
	info, err := os.Lstat(file)
	exists := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	switch {
	case p.Action == sortMove:
		return p.moveBack(file, exists)
	case !exists:
		return nil // somebody else removed it
	case p.Action == sortLink:
		if text, err := os.Readlink(file); err != nil || text != string(p.Link) {
			return errChanged
		}
		return os.Remove(file)
	case !info.Mode().IsRegular():
		return errChanged
	case p.done:
		if digest, err := hashFile(file); err != nil || digest != p.SHA256 {
			return errors.Join(errChanged, err)
		}
		return os.Remove(file)
	}
	return removeBeginning(file, string(p.From))
}

// moveBack moves a picture back to its old path. exists says whether its new file exists.
func (p sortedPicture) moveBack(file string, exists bool) error {
	from := string(p.From)
	fromInfo, err := os.Lstat(from)
	isBack := err == nil
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case !exists && isBack:
		return nil // it was never moved, or somebody moved it back
	case !exists:
		return fmt.Errorf("it no longer exists, neither here nor at its old path %q", from)
	case isBack:
		return p.removeSecond(file, fromInfo)
	}
	if err = os.MkdirAll(filepath.Dir(from), 0o777); err != nil {
		return err
	}
	if p.Was != "" {
		if text, linkErr := os.Readlink(file); linkErr != nil || text != string(p.Link) {
			return errChangedMove
		}
		return moveLink(string(p.Was), file, from)
	}
	info, err := os.Lstat(file)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errChangedMove
	}
	return moveFile(file, from)
}

// removeSecond removes the new file of a picture whose old path exists too, because garb was
// stopped during the move. fromInfo describes the old path.
func (p sortedPicture) removeSecond(file string, fromInfo fs.FileInfo) error {
	from := string(p.From)
	errOther := fmt.Errorf("another file is now at its old path %q", from)
	if p.Was != "" { // links cannot have two names
		oldText, _ := os.Readlink(from)
		if text, err := os.Readlink(file); err != nil || text != string(p.Link) || oldText != string(p.Was) {
			return errOther
		}
		return os.Remove(file)
	}
	info, err := os.Lstat(file)
	if err != nil {
		return err
	}
	if os.SameFile(info, fromInfo) {
		return os.Remove(file) // its second name
	}
	err = removeBeginning(file, from) // stopped while it was copied
	if errors.Is(err, errChanged) {
		return errOther
	}
	return err
}

// removeBeginning removes a file that is a copy of another, or the beginning of one that was
// cut off.
func removeBeginning(file, whole string) error {
	same, err := isBeginning(file, whole)
	if err != nil {
		return err
	}
	if !same {
		return errChanged
	}
	return os.Remove(file)
}

func isBeginning(file, whole string) (bool, error) {
	info, err := os.Stat(whole)
	if err != nil || !info.Mode().IsRegular() {
		return false, nil // the copy may be the only one left
	}
	a, err := os.Open(file)
	if err != nil {
		return false, err
	}
	defer a.Close()
	b, err := os.Open(whole)
	if err != nil {
		return false, err
	}
	defer b.Close()
	one, other := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(a, one)
		if m, _ := io.ReadFull(b, other[:n]); m < n || !bytes.Equal(one[:n], other[:n]) {
			return false, nil
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return true, nil
		case err != nil:
			return false, err
		}
	}
}
