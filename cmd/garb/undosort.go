package main

import (
	"bytes"
	"context"
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

	"github.com/spf13/cobra"
)

// undoSort undoes what classify --sort-into did, by the log in path or of that name, the
// last first. It replaces nothing and removes nothing that has changed since; what it
// leaves for that reason it names, and keeps in the log.
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
	for _, made := range slices.Backward(history.folders) {
		if made != "." {
			removeIfEmpty(filepath.Join(folder, made))
		}
	}
	var done []string
	for _, kind := range []struct {
		action      sortAction
		thing, what string
	}{{sortMove, "picture", "moved back"}, {sortCopy, "copy", "removed"}, {sortLink, "link", "removed"}} {
		if n := undone[kind.action]; n > 0 {
			done = append(done, count(n, kind.thing)+" "+kind.what)
		}
	}
	if len(done) == 0 {
		done = []string{"nothing was left to undo"}
	}
	if _, err := fmt.Fprintln(openTextOut(c), strings.Join(done, ", ")); err != nil {
		return err
	}
	if problems > 0 {
		fmt.Fprintf(c.ErrOrStderr(), "garb: %s could not be undone; once what is in the way is gone, "+
			"run the same command again\n", count(problems, "picture"))
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

// removeIfEmpty removes a folder, not a link to one, unless something is in it.
func removeIfEmpty(path string) {
	if info, err := os.Lstat(path); err == nil && info.IsDir() {
		os.Remove(path) // which fails if something is in it, and that is meant
	}
}

// undoPictures undoes each picture of a history and writes that to the log. Its error is
// ctx's or the log's; what became of a picture it tells.
func undoPictures(ctx context.Context, h sortHistory, folder string, log *sortLog,
	tell func(sortedPicture, error)) error {
	for _, p := range slices.Backward(h.pictures) {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := p.undo(filepath.Join(folder, filepath.FromSlash(string(p.To))))
		tell(p, err)
		if err != nil {
			continue
		}
		if err := log.append(sortRecord{Op: "undone", ID: p.ID}, false); err != nil {
			return err
		}
	}
	return nil
}

// errChanged is why a copy or link is not removed.
var errChanged = errors.New("it has been changed since it was sorted, so it is not removed")

// undo undoes what was done, or begun, to make a file of the picture.
func (p sortedPicture) undo(file string) error {
	info, err := os.Lstat(file)
	there := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	switch {
	case p.Action == sortMove:
		return p.moveBack(file, there)
	case !there:
		return nil // removed by somebody else
	case p.Action == sortLink:
		if text, err := os.Readlink(file); err != nil || text != string(p.Link) {
			return errChanged
		}
		return os.Remove(file)
	case !info.Mode().IsRegular():
		return errChanged
	case p.done:
		if digest, err := digestOfFile(file); err != nil || digest != p.SHA256 {
			return errors.Join(errChanged, err)
		}
		return os.Remove(file)
	}
	return removeBeginning(file, string(p.From))
}

// moveBack moves a picture to where it was. there says whether it is where it was moved
// to.
func (p sortedPicture) moveBack(file string, there bool) error {
	from := string(p.From)
	fromInfo, err := os.Lstat(from)
	isBack := err == nil
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case !there && isBack:
		return nil // it never went, or somebody moved it back
	case !there:
		return fmt.Errorf("it is no longer there, nor at %q, where it came from", from)
	case isBack && p.Was != "": // a link, which has no name of its own to move
		text, _ := os.Readlink(from)
		if now, err := os.Readlink(file); err != nil || now != string(p.Link) || text != string(p.Was) {
			return fmt.Errorf("there is another file at %q now, where it came from", from)
		}
		return os.Remove(file)
	case isBack:
		info, err := os.Lstat(file)
		if err != nil {
			return err
		}
		if os.SameFile(info, fromInfo) {
			return os.Remove(file) // its second name
		}
		err = removeBeginning(file, from) // stopped while it was copied
		if errors.Is(err, errChanged) {
			return fmt.Errorf("there is another file at %q now, where it came from", from)
		}
		return err
	}
	if err := os.MkdirAll(filepath.Dir(from), 0o777); err != nil {
		return err
	}
	if p.Was != "" {
		if now, err := os.Readlink(file); err != nil || now != string(p.Link) {
			return errors.New("it has been changed since it was sorted, so it is not moved back")
		}
		return moveLink(string(p.Was), file, from)
	}
	info, err := os.Lstat(file)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it has been changed since it was sorted, so it is not moved back")
	}
	return moveFile(file, from)
}

// removeBeginning removes a file that is the beginning of another, or all of it: a copy
// that may have been cut off.
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
		return false, nil // then the copy may be all that is left
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

func digestOfFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
