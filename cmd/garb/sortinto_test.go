package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"garb/results"
)

// listTree returns the entries of a folder: the content of each file, the text of each link,
// and "/" for each folder.
func listTree(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		name = filepath.ToSlash(name)
		switch {
		case e.IsDir():
			all[name] = "/"
		case e.Type()&fs.ModeSymlink != 0:
			text, err := os.Readlink(path)
			all[name] = "-> " + text
			return err
		default:
			all[name] = string(readFile(t, path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func checkTree(t *testing.T, what, root string, want map[string]string) {
	t.Helper()
	if got := listTree(t, root); !maps.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
}

// copyShirts makes a folder with pictures that are classified as t-shirts, each with a
// different content, and one that cannot be read.
func copyShirts(t *testing.T, root string) string {
	t.Helper()
	shirt := readFile(t, example)
	files := map[string][]byte{"in/bad.jpg": []byte("text")}
	for i, name := range []string{"a.jpg", "deep/a.jpg", "other/A.JPG", "deep/b.jpg"} {
		files["in/"+name] = append(bytes.Clone(shirt), byte(i)) // after the picture's end
	}
	return filepath.Join(writeClassFolders(t, root, files), "in")
}

// missingText is what the system says of a missing file.
var missingText = func() string {
	_, err := os.Stat("missing")
	return errors.Unwrap(err).Error()
}()

func requireLinks(t *testing.T) {
	t.Helper()
	if err := os.Symlink("x", filepath.Join(t.TempDir(), "link")); err != nil {
		t.Skip(err)
	}
}

// readSorted reads the answers of classify --json, except that of the bad picture.
func readSorted(t *testing.T, out string) []results.Answer {
	t.Helper()
	var all []results.Answer
	for line := range strings.Lines(out) {
		var a results.Answer
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(a.Picture, "bad.jpg") {
			all = append(all, a)
		}
	}
	return all
}

// checkSorted checks the file of a picture that was sorted.
func checkSorted(t *testing.T, a results.Answer, content, action string) {
	t.Helper()
	if string(readFile(t, a.Sorted)) != content {
		t.Errorf("%s has another content than %s", a.Sorted, a.Picture)
	}
	info, err := os.Lstat(a.Sorted)
	if isLink := err == nil && info.Mode()&fs.ModeSymlink != 0; isLink != (action == "--link") {
		t.Errorf("%s: %v, %v", a.Sorted, info.Mode(), err)
	}
	if exists(a.Picture) == (action == "--move") {
		t.Errorf("%s is there: %v", a.Picture, exists(a.Picture))
	}
}

// TestSortAndUndo: every way to sort gives each picture a unique name in its class's folder,
// and undo restores the original state.
func TestSortAndUndo(t *testing.T) {
	for _, action := range []string{"", "--copy", "--link", "--move"} {
		t.Run(action, func(t *testing.T) {
			if action == "--link" {
				requireLinks(t)
			}
			root := t.TempDir()
			in, into := copyShirts(t, root), filepath.Join(root, "out")
			before := listTree(t, root)
			args := []string{"classify", "--json", "--sort-into", into, in}
			if action != "" {
				args = append(args, action)
			}
			code, out, errOut := runGarb(t, nil, args...)
			if code != exitFailed || strings.Count(out, "\n") != 5 || !strings.Contains(errOut, "--undo-sort "+into) {
				t.Fatalf("%d\n%s%s", code, out, errOut)
			}
			names := map[string]bool{}
			for _, a := range readSorted(t, out) {
				relative, _ := filepath.Rel(root, a.Picture)
				if filepath.Dir(a.Sorted) != filepath.Join(into, "t-shirt") {
					t.Errorf("%s was sorted to %s", a.Picture, a.Sorted)
				}
				checkSorted(t, a, before[filepath.ToSlash(relative)], action)
				names[strings.ToLower(filepath.Base(a.Sorted))] = true
			}
			want := map[string]bool{"a.jpg": true, "a-2.jpg": true, "a-3.jpg": true, "b.jpg": true}
			if !maps.Equal(names, want) {
				t.Errorf("%v", names)
			}
			code, out, errOut = runGarb(t, nil, "classify", "--undo-sort", into)
			if code != exitDone || !strings.HasPrefix(out, "4 ") {
				t.Errorf("%d %s%s", code, out, errOut)
			}
			checkTree(t, "undone", root, before)
		})
	}
}

// TestSortedLinks: a relative link still leads to its picture after their common folder was
// moved; a link to a picture elsewhere is absolute. Links to folders do no harm.
func TestSortedLinks(t *testing.T) {
	requireLinks(t)
	root := t.TempDir()
	near, far := filepath.Join(root, "near"), t.TempDir()
	in := copyShirts(t, near)
	other := write(t, far, "far.jpg", readFile(t, example))
	if err := os.MkdirAll(filepath.Join(root, "elsewhere", "deep", "out"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(near, "classes"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{"link", filepath.Join("classes", "t-shirt")} {
		if err := os.Symlink(filepath.Join(root, "elsewhere", "deep", "out"), filepath.Join(near, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		into, picture string
		relative      bool
	}{
		{filepath.Join(near, "out"), filepath.Join(in, "a.jpg"), true}, {filepath.Join(near, "out"), other, false},
		{filepath.Join(near, "in", "out"), filepath.Join(in, "a.jpg"), true}, {filepath.Join(near, "link"),
			filepath.Join(in, "a.jpg"), false},
		{filepath.Join(near, "classes"), filepath.Join(in, "deep", "b.jpg"), false},
	} {
		code, _, errOut := runGarb(t, nil, "classify", "--sort-into", c.into, "--link", c.picture)
		if code != exitDone {
			t.Fatalf("%d %s", code, errOut)
		}
		link := filepath.Join(c.into, "t-shirt", filepath.Base(c.picture))
		text, err := os.Readlink(link)
		if err != nil || filepath.IsAbs(text) == c.relative ||
			string(readFile(t, link)) != string(readFile(t, c.picture)) {
			t.Errorf("%s in %s: %q, %v", c.picture, c.into, text, err)
		}
	}
	moved := filepath.Join(root, "moved")
	if err := os.Rename(near, moved); err != nil {
		t.Fatal(err)
	}
	readFile(t, filepath.Join(moved, "out", "t-shirt", "a.jpg"))
}

// TestSortReplacesNothing: whatever has the name of a picture is not overwritten.
func TestSortReplacesNothing(t *testing.T) {
	for _, action := range []string{"--copy", "--link", "--move"} {
		t.Run(action, func(t *testing.T) {
			if action == "--link" {
				requireLinks(t)
			}
			testReplacesNothing(t, action)
		})
	}
}

func testReplacesNothing(t *testing.T, action string) {
	root := t.TempDir()
	in, into := copyShirts(t, root), filepath.Join(root, "out")
	class := filepath.Join(into, "t-shirt")
	if err := os.MkdirAll(filepath.Join(class, "b.jpg"), 0o755); err != nil { // a folder
		t.Fatal(err)
	}
	write(t, class, "a.jpg", []byte("mine"))
	if err := os.Symlink("nowhere", filepath.Join(class, "a-2.jpg")); err != nil {
		write(t, class, "a-2.jpg", []byte("mine")) // this user may not make links
	}
	before := listTree(t, root)
	if code, _, errOut := runGarb(t, nil, "classify", "--sort-into", into, action, in); code != exitFailed ||
		strings.Contains(errOut, "not sorted") {
		t.Fatalf("%d %s", code, errOut)
	}
	after := listTree(t, into)
	for name, content := range before {
		relative, ok := strings.CutPrefix(name, "out/")
		if ok && after[relative] != content {
			t.Errorf("%s became %q", name, after[relative])
		}
	}
	for _, name := range []string{"a-3.jpg", "b-2.jpg"} {
		if after["t-shirt/"+name] == "" {
			t.Errorf("there is no %s in %q", name, slices.Sorted(maps.Keys(after)))
		}
	}
	if code, _, errOut := runGarb(t, nil, "classify", "--undo-sort", into); code != exitDone {
		t.Errorf("%d %s", code, errOut)
	}
	checkTree(t, "undone", root, before)
}

// TestMoveTwice: a picture that is named twice is moved once.
func TestMoveTwice(t *testing.T) {
	root := t.TempDir()
	in, into := copyShirts(t, root), filepath.Join(root, "out")
	before := listTree(t, root)
	a := filepath.Join(in, "a.jpg")
	code, _, errOut := runGarb(t, nil, "classify", "--sort-into", into, "--move", a, a,
		filepath.Join(in, "deep", "b.jpg"))
	if code != exitFailed || strings.Count(errOut, "garb: "+a) != 1 || !strings.Contains(errOut, "moved 2 pictures") {
		t.Errorf("%d %s", code, errOut)
	}
	code, out, errOut := runGarb(t, nil, "classify", "--undo-sort", filepath.Join(into, sortLogName))
	if code != exitDone || out != "2 pictures moved back\n" {
		t.Errorf("%d %s%s", code, out, errOut)
	}
	checkTree(t, "undone", root, before)
}

// TestSortInPlace: sorted pictures are ignored, even if the folder is sorted into itself.
func TestSortInPlace(t *testing.T) {
	for _, action := range []string{"--copy", "--move"} {
		root := t.TempDir()
		in := copyShirts(t, root)
		before := listTree(t, root)
		runGarb(t, nil, "classify", "--sort-into", in, action, in)
		once := listTree(t, in)
		code, _, errOut := runGarb(t, nil, "classify", "--sort-into", in, "--move", in)
		if !strings.Contains(errOut, "ignored 4 pictures already sorted into the class folders of "+in) {
			t.Errorf("%s: %d %s", action, code, errOut)
		}
		if action == "--move" { // only the bad one was left
			delete(once, sortLogName)
			after := listTree(t, in)
			delete(after, sortLogName)
			if !maps.Equal(once, after) {
				t.Errorf("sorted twice: %q", slices.Sorted(maps.Keys(after)))
			}
		}
		if code, _, errOut := runGarb(t, nil, "classify", "--undo-sort", in); code != exitDone {
			t.Errorf("%s: %d %s", action, code, errOut)
		}
		checkTree(t, action, root, before)
	}
	root := t.TempDir()
	folder := writeClassFolders(t, root, map[string][]byte{"t-shirt/a.jpg": readFile(t, example)})
	only := filepath.Join(folder, "t-shirt", "a.jpg")
	if code, _, errOut := runGarb(t, nil, "classify", "--sort-into", root, only); code != exitFailed ||
		!strings.Contains(errOut, "already") {
		t.Errorf("%d %s", code, errOut)
	}
}

// TestUndoLeavesWhatChanged: undo removes nothing that somebody has changed since. It lists
// such files, and continues once they are gone.
func TestUndoLeavesWhatChanged(t *testing.T) {
	requireLinks(t)
	root := t.TempDir()
	in, into := copyShirts(t, root), filepath.Join(root, "out")
	before := listTree(t, root)
	copied, linked, moved := filepath.Join(in, "a.jpg"), filepath.Join(in, "deep", "a.jpg"), filepath.Join(in, "deep",
		"b.jpg")
	for action, path := range map[string]string{"--copy": copied, "--link": linked, "--move": moved} {
		if code, _, errOut := runGarb(t, nil, "classify", "--sort-into", filepath.Join(into, action), action,
			path); code != exitDone {
			t.Fatalf("%d %s", code, errOut)
		}
	}
	edited := filepath.Join(into, "--copy", "t-shirt", "a.jpg")
	original := readFile(t, edited)
	same := bytes.Clone(original) // in size
	same[len(same)-1]++
	write(t, filepath.Dir(edited), "a.jpg", same)
	replaced := filepath.Join(into, "--link", "t-shirt", "a.jpg")
	text, err := os.Readlink(replaced)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(replaced); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Dir(replaced), "a.jpg", []byte("mine"))
	write(t, filepath.Dir(moved), "b.jpg", []byte("mine"))
	changed := listTree(t, root)
	for _, action := range []string{"--copy", "--link", "--move"} {
		code, out, errOut := runGarb(t, nil, "classify", "--undo-sort", filepath.Join(into, action))
		if code != exitFailed || out != "nothing was left to undo\n" ||
			!strings.Contains(errOut, "1 picture could not be undone") {
			t.Errorf("%s: %d %s%s", action, code, out, errOut)
		}
	}
	checkTree(t, "what was in the way", root, changed)
	write(t, filepath.Dir(edited), "a.jpg", original)
	if err := errors.Join(os.Remove(replaced), os.Symlink(text, replaced), os.Remove(moved)); err != nil {
		t.Fatal(err)
	}
	for _, action := range []string{"--copy", "--link", "--move"} {
		code, _, errOut := runGarb(t, nil, "classify", "--undo-sort", filepath.Join(into, action))
		if code != exitDone {
			t.Errorf("%s: %d %s", action, code, errOut)
		}
	}
	if err := os.Remove(into); err != nil { // it was made for a folder in it
		t.Fatal(err)
	}
	checkTree(t, "undone", root, before)
	if code, _, errOut := runGarb(t, nil, "classify", "--undo-sort", in); code != exitFailed ||
		!strings.Contains(errOut, "nothing was sorted into it") {
		t.Errorf("%d %s", code, errOut)
	}
}

// TestSortLeavesTheCacheAlone: files in garb's cache folder, such as those of an archive, are
// neither moved nor linked.
func TestSortLeavesTheCacheAlone(t *testing.T) {
	home, root := t.TempDir(), t.TempDir()
	t.Setenv("GARB_HOME", home)
	picture := filepath.Join(writeClassFolders(t, home, map[string][]byte{"datasets/x/a.jpg": readFile(t, example)}),
		"datasets", "x", "a.jpg")
	into := filepath.Join(root, "out")
	for _, action := range []string{"--move", "--link"} {
		code, out, errOut := runGarb(t, nil, "classify", "--sort-into", into, action, example, picture)
		if code != exitFailed || out != "" || !strings.Contains(errOut, "can only be copied") || !exists(picture) ||
			!exists(example) ||
			exists(into) {
			t.Fatalf("%s: %d %s%s", action, code, out, errOut)
		}
	}
	if code, _, errOut := runGarb(t, nil, "classify", "--sort-into", into, picture); code != exitDone ||
		!exists(picture) {
		t.Errorf("%d %s", code, errOut)
	}
	if code, _, errOut := runGarb(t, nil, "classify", "--undo-sort", into); code != exitDone || exists(into) {
		t.Errorf("%d %s", code, errOut)
	}
}

// openTestSorter opens a sorter for classes.
func openTestSorter(t *testing.T, into string, action sortAction, classes ...string) *sorter {
	t.Helper()
	s, err := openSorter(into, action, classes, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.close() })
	return s
}

// undoQuietly undoes what the log in a folder lists, and returns the errors of pictures.
func undoQuietly(t *testing.T, into string) []error {
	t.Helper()
	path := filepath.Join(into, sortLogName)
	history, err := readSortLog(path)
	if err != nil {
		t.Fatal(err)
	}
	log, err := openSortLog(path)
	if err != nil {
		t.Fatal(err)
	}
	defer log.close()
	var problems []error
	err = undoPictures(t.Context(), history, into, log, func(_ sortedPicture, err error) {
		if err != nil {
			problems = append(problems, err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return problems
}

// TestSortStrangeNames: folders of classes with any name stay inside the folder and distinct,
// and file names are kept and restored byte for byte.
func TestSortStrangeNames(t *testing.T) {
	classes := []string{"../x", "..", ".", "/etc", "a/b", "CON", "Hat", "hat", "x.", "new\nline", "\xff", "50 %"}
	for _, action := range []sortAction{sortCopy, sortMove, sortLink} {
		folder := writeStrangePictures(t)
		before := listTree(t, folder)
		root := t.TempDir()
		into := filepath.Join(root, "out")
		s := openTestSorter(t, into, action, classes...)
		folders := map[string]bool{}
		for i, name := range strangeNames {
			class := classes[i%len(classes)]
			to, err := s.put(filepath.Join(folder, name), i%len(classes))
			if err != nil {
				t.Fatalf("%q into %q: %v", name, class, err)
			}
			if filepath.Dir(filepath.Dir(to)) != into || filepath.Base(to) != name ||
				string(readFile(t, to)) != before[name] {
				t.Errorf("%q of %q is at %q", name, class, to)
			}
			folders[strings.ToLower(filepath.Dir(to))] = true
		}
		if len(folders) != len(classes) {
			t.Errorf("%d folders for %d classes", len(folders), len(classes))
		}
		if entries, err := os.ReadDir(root); err != nil || len(entries) != 1 {
			t.Errorf("beside the folder: %v, %v", entries, err)
		}
		if code, _, errOut := runGarb(t, nil, "classify", "--undo-sort", into); code != exitDone || exists(into) {
			t.Errorf("%d %s", code, errOut)
		}
		checkTree(t, string(action), folder, before)
	}
}

// TestFreeName: long names keep their extension when they get a number, and no character is
// cut in half.
func TestFreeName(t *testing.T) {
	into := t.TempDir()
	s := openTestSorter(t, into, sortCopy, "c")
	if err := os.Mkdir(filepath.Join(into, "c"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, second string }{
		{"a.jpg", "a-2.jpg"}, {"a", "a-2"}, {".jpg", ".jpg-2"}, {"a.tar.gz", "a.tar-2.gz"}, {"a.", "a-2."},
		{strings.Repeat("é", 125) + ".jpg", strings.Repeat("é", 124) + "-2.jpg"},
		{strings.Repeat("x", 251) + ".jpg", strings.Repeat("x", 249) + "-2.jpg"},
	} {
		if c.name == "a." && runtime.GOOS == "windows" {
			continue // no name ends with a dot there
		}
		if got := s.findFreeName("c", c.name); got != c.name {
			t.Errorf("%q: %q", c.name, got)
		}
		write(t, filepath.Join(into, "c"), c.name, nil)
		if got := s.findFreeName("c", c.name); got != c.second || len(got) > maxNameBytes {
			t.Errorf("%q: %q, want %q", c.name, got, c.second)
		}
	}
}

// TestNoRaceReplacesAFile: if several files are moved to one name at the same time, one gets
// it and the others stay where they were.
func TestNoRaceReplacesAFile(t *testing.T) {
	for name, do := range map[string]func(from, to string) error{
		"copy": func(from, to string) error { _, err := copyFile(from, to, false); return err },
		"link": func(from, to string) error { return linkTo(from, from, to) },
		"move": moveFile, "move by copying": moveCopy,
	} {
		t.Run(name, func(t *testing.T) {
			if name == "link" {
				requireLinks(t)
			}
			folder := t.TempDir()
			const many = 16
			to := filepath.Join(folder, "to")
			var won atomic.Int32
			var wait sync.WaitGroup
			start := make(chan bool)
			for i := range many {
				from := write(t, folder, fmt.Sprint(i), []byte(fmt.Sprint(i)))
				wait.Go(func() {
					<-start
					err := do(from, to)
					switch {
					case err == nil:
						won.Add(1)
					case !errors.Is(err, fs.ErrExist):
						t.Error(err)
					case !exists(from):
						t.Errorf("%s is gone", from)
					}
				})
			}
			close(start)
			wait.Wait()
			files, err := os.ReadDir(folder)
			want := many + 1
			if strings.HasPrefix(name, "move") {
				want = many
			}
			if won.Load() != 1 || err != nil || len(files) != want {
				t.Errorf("%d won, and there are %d files, %v", won.Load(), len(files), err)
			}
		})
	}
}

// TestSortGoesOnToTheNextName: a sorter tries the next name if another process takes one.
func TestSortGoesOnToTheNextName(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir()) // macOS has temporary files behind a link
	if err != nil {
		t.Fatal(err)
	}
	into := filepath.Join(root, "out")
	s := openTestSorter(t, into, sortCopy, "c")
	picture := write(t, root, "a.jpg", []byte("new"))
	if err = s.makeFolder("c"); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(into, "c"), "a.jpg", []byte("mine"))
	// The attempt at a name that was free a moment ago.
	err = s.attempt(sortRecord{Action: sortCopy, From: filePath(picture)}, filepath.Join(into, "c", "a.jpg"))
	if !errors.Is(err, fs.ErrExist) {
		t.Errorf("%v", err)
	}
	to, err := s.put(picture, 0)
	if err != nil || filepath.Base(to) != "a-2.jpg" ||
		string(readFile(t, filepath.Join(into, "c", "a.jpg"))) != "mine" {
		t.Errorf("%s, %v", to, err)
	}
	history, err := readSortLog(filepath.Join(into, sortLogName))
	if err != nil || len(history.pictures) != 1 || history.pictures[0].To != "c/a-2.jpg" {
		t.Errorf("%+v, %v", history, err)
	}
}

// writeTree writes files to the folders in and out/c, in the form of listTree; "= NAME" is a
// second name of a file.
func writeTree(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for _, folder := range []string{"in", "out/c"} {
		if err := os.MkdirAll(filepath.Join(root, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		path, content := filepath.Join(root, file), files[file]
		var err error
		if text, ok := strings.CutPrefix(content, "-> "); ok {
			err = os.Symlink(text, path)
		} else if other, ok := strings.CutPrefix(content, "= "); ok {
			err = os.Link(filepath.Join(root, other), path)
		} else {
			err = os.WriteFile(path, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// crash is the state of a log and of a picture after garb was stopped.
type crash struct {
	record        sortRecord
	before, after crashFiles // before and after undoing
	problems      int
}

// crashFiles are the contents of a picture at its old and at its new path, "" if it is not there.
type crashFiles struct{ old, new string }

// tree returns the files in the form of listTree.
func (f crashFiles) tree() map[string]string {
	files := map[string]string{crashOld: f.old, crashNew: f.new}
	maps.DeleteFunc(files, func(_, content string) bool { return content == "" })
	return files
}

// The paths of the picture, and the text of a link from the new one to the old one.
const (
	crashOld  = "in/a.jpg"
	crashNew  = "out/c/a.jpg"
	crashLink = "../../in/a.jpg"
)

var (
	crashedCopy     = sortRecord{Action: sortCopy}
	crashedLink     = sortRecord{Action: sortLink, Link: crashLink}
	crashedMove     = sortRecord{Action: sortMove}
	crashedLinkMove = sortRecord{Action: sortMove, Link: "../../in/x", Was: "x"}
)

var crashes = map[string]crash{
	"copy, not begun":      {crashedCopy, crashFiles{"picture", ""}, crashFiles{"picture", ""}, 0},
	"copy, cut off":        {crashedCopy, crashFiles{"picture", "pic"}, crashFiles{"picture", ""}, 0},
	"copy, whole":          {crashedCopy, crashFiles{"picture", "picture"}, crashFiles{"picture", ""}, 0},
	"copy, somebody's":     {crashedCopy, crashFiles{"picture", "other"}, crashFiles{"picture", "other"}, 1},
	"copy, longer":         {crashedCopy, crashFiles{"pic", "picture"}, crashFiles{"pic", "picture"}, 1},
	"copy, original gone":  {crashedCopy, crashFiles{"", "picture"}, crashFiles{"", "picture"}, 1},
	"link, not begun":      {crashedLink, crashFiles{"picture", ""}, crashFiles{"picture", ""}, 0},
	"link, made":           {crashedLink, crashFiles{"picture", "-> " + crashLink}, crashFiles{"picture", ""}, 0},
	"link, another":        {crashedLink, crashFiles{"picture", "-> x"}, crashFiles{"picture", "-> x"}, 1},
	"move, not begun":      {crashedMove, crashFiles{"picture", ""}, crashFiles{"picture", ""}, 0},
	"move, both names":     {crashedMove, crashFiles{"picture", "= " + crashOld}, crashFiles{"picture", ""}, 0},
	"move, cut off copy":   {crashedMove, crashFiles{"picture", "pi"}, crashFiles{"picture", ""}, 0},
	"move, done":           {crashedMove, crashFiles{"", "picture"}, crashFiles{"picture", ""}, 0},
	"move, somebody's":     {crashedMove, crashFiles{"picture", "other"}, crashFiles{"picture", "other"}, 1},
	"move, both gone":      {crashedMove, crashFiles{}, crashFiles{}, 1},
	"moved link, both":     {crashedLinkMove, crashFiles{"-> x", "-> ../../in/x"}, crashFiles{"-> x", ""}, 0},
	"moved link, done":     {crashedLinkMove, crashFiles{"", "-> ../../in/x"}, crashFiles{"-> x", ""}, 0},
	"moved link, replaced": {crashedLinkMove, crashFiles{"", "other"}, crashFiles{"", "other"}, 1},
}

// TestUndoAfterACrash: wherever garb is stopped, the log lists what may have happened, and
// undo restores the original state.
func TestUndoAfterACrash(t *testing.T) {
	for name, c := range crashes {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(name, "link") {
				requireLinks(t)
			}
			root := t.TempDir()
			writeTree(t, root, c.before.tree())
			log, err := openSortLog(filepath.Join(root, "out", sortLogName))
			if err != nil {
				t.Fatal(err)
			}
			c.record.Op, c.record.ID, c.record.To, c.record.From = "begin", "1", "c/a.jpg",
				filePath(filepath.Join(root, crashOld))
			if err = errors.Join(log.append(c.record, false), log.close()); err != nil {
				t.Fatal(err)
			}
			if problems := undoQuietly(t, filepath.Join(root, "out")); len(problems) != c.problems {
				t.Errorf("problems %v", problems)
			}
			got := listTree(t, root)
			maps.DeleteFunc(got, func(name, content string) bool {
				return content == "/" || strings.HasSuffix(name, sortLogName)
			})
			if !maps.Equal(got, c.after.tree()) {
				t.Errorf("%q, want %q", got, c.after.tree())
			}
			if again := undoQuietly(t, filepath.Join(root, "out")); len(again) != c.problems {
				t.Errorf("the second time: %v", again)
			}
		})
	}
}

// stopAfter is a writer that cancels after some lines, like Ctrl-C.
type stopAfter struct {
	lines  int
	cancel context.CancelFunc
}

func (s *stopAfter) Write(p []byte) (int, error) {
	if s.lines -= bytes.Count(p, []byte("\n")); s.lines <= 0 {
		s.cancel()
	}
	return len(p), nil
}

func TestSortInterrupted(t *testing.T) {
	root := t.TempDir()
	files := map[string][]byte{}
	for i := range 12 {
		files[fmt.Sprintf("in/%02d.jpg", i)] = append(bytes.Clone(readFile(t, example)), byte(i))
	}
	in, into := filepath.Join(writeClassFolders(t, root, files), "in"), filepath.Join(root, "out")
	before := listTree(t, root)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var errOut bytes.Buffer
	code := run(ctx, []string{"classify", "--json", "--sort-into", into, "--move", in}, strings.NewReader(""),
		&stopAfter{3, cancel}, &errOut)
	if code != exitStopped || !strings.Contains(errOut.String(), "moved ") {
		t.Fatalf("%d %s", code, errOut.String())
	}
	history, err := readSortLog(filepath.Join(into, sortLogName))
	if err != nil || len(history.pictures) < 3 || len(history.pictures) == len(files) {
		t.Errorf("%d pictures, %v", len(history.pictures), err)
	}
	if code, _, errOut := runGarb(t, nil, "classify", "--undo-sort", into); code != exitDone {
		t.Errorf("%d %s", code, errOut)
	}
	checkTree(t, "undone", root, before)
}

// TestSortWithoutALog: if the log cannot be written, sorting stops before the change that it
// would lack.
func TestSortWithoutALog(t *testing.T) {
	root := t.TempDir()
	into := filepath.Join(root, "out")
	s := openTestSorter(t, into, sortMove, "c")
	if err := s.makeFolder("c"); err != nil {
		t.Fatal(err)
	}
	picture := write(t, root, "a.jpg", []byte("x"))
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	var unlogged *sortLogError
	if _, err := s.put(picture, 0); !errors.As(err, &unlogged) || !exists(picture) {
		t.Errorf("%v", err)
	}
	if err := os.MkdirAll(filepath.Join(root, "x", sortLogName), 0o755); err != nil {
		t.Fatal(err)
	}
	if code, _, errOut := runGarb(t, nil, "classify", "--sort-into", filepath.Join(root, "x"),
		example); code != exitFailed || !strings.Contains(errOut, sortLogName) {
		t.Errorf("%d %s", code, errOut)
	}
	if code, _, errOut := runGarb(t, nil, "classify", "--sort-into", picture, example); code != exitFailed ||
		!strings.Contains(errOut, picture) {
		t.Errorf("into a file: %d %s", code, errOut)
	}
}

// TestSortWhereAClassIsAFile: a file with the name of a class's folder stops only the pictures
// of that class.
func TestSortWhereAClassIsAFile(t *testing.T) {
	root := t.TempDir()
	into := filepath.Join(root, "out")
	writeClassFolders(t, into, map[string][]byte{"x/y": nil})
	write(t, into, "t-shirt", []byte("mine"))
	code, out, errOut := runGarb(t, nil, "classify", "--json", "--sort-into", into, example)
	if code != exitFailed || !strings.Contains(errOut, "not sorted") || !strings.Contains(out, `"sort_error"`) ||
		string(readFile(t, filepath.Join(into, "t-shirt"))) != "mine" {
		t.Errorf("%d %s%s", code, out, errOut)
	}
	code, out, _ = runGarb(t, nil, "classify", "--csv", "--sort-into", into, example)
	if _, rows := parseTable(t, out); code != exitFailed || rows[0][1] != "t-shirt" ||
		!strings.HasPrefix(rows[0][15], "not sorted: ") {
		t.Errorf("%d %s", code, out)
	}
}

// TestBadLogs: a manipulated log cannot lead out of its folder, and a damaged one undoes
// nothing.
func TestBadLogs(t *testing.T) {
	root := t.TempDir()
	victim := write(t, root, "victim", []byte("x"))
	quoted, _ := json.Marshal(victim)
	good := fmt.Sprintf(`{"op":"begin","id":"1","action":"copy","from":%s,"to":"c/a.jpg"}`+"\n", quoted)
	for name, text := range map[string]string{
		"leads up": fmt.Sprintf(`{"op":"begin","id":"1","action":"move","from":%s,"to":"../victim"}`+"\n",
			quoted),
		"absolute": fmt.Sprintf(`{"op":"begin","id":"1","action":"move","from":%s,"to":%s}`+"\n", quoted,
			quoted),
		"from is relative": `{"op":"begin","id":"1","action":"move","from":"victim","to":"c/a.jpg"}` + "\n",
		"folder leads up":  `{"op":"folder","to":"../x"}` + "\n",
		"unknown action": fmt.Sprintf(`{"op":"begin","id":"1","action":"delete","from":%s,"to":"c/a.jpg"}`+"\n",
			quoted),
		"unknown operation":  `{"op":"delete"}` + "\n",
		"no identifier":      fmt.Sprintf(`{"op":"begin","action":"copy","from":%s,"to":"c/a.jpg"}`+"\n", quoted),
		"begun twice":        good + good,
		"done, never begun":  `{"op":"done","id":"2"}` + "\n",
		"no JSON":            "hello\n" + good,
		"damaged in between": good + "\x00\x00\x00\n" + `{"op":"done","id":"1"}` + "\n",
		"an endless line":    strings.Repeat("x", maxLogLine+1) + "\n",
	} {
		into := t.TempDir()
		log := write(t, into, sortLogName, []byte(text))
		code, out, errOut := runGarb(t, nil, "classify", "--undo-sort", into)
		if code != exitFailed || out != "" || !strings.Contains(errOut, "damaged") ||
			!strings.Contains(errOut, "line ") ||
			string(readFile(t, victim)) != "x" {
			t.Errorf("%s: %d %s%s", name, code, out, errOut)
		}
		if string(readFile(t, log)) != text {
			t.Errorf("%s: the log has changed", name)
		}
	}
	// A last line that was cut off is none: its step was never done.
	for _, tail := range []string{"", `{"op":"do`, strings.Repeat("x", 10_000)} {
		into := t.TempDir()
		path := write(t, into, sortLogName, []byte(good+tail))
		history, err := readSortLog(path)
		if err != nil || len(history.pictures) != 1 || history.pictures[0].done {
			t.Errorf("%.10s: %+v, %v", tail, history, err)
		}
		log, err := openSortLog(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(log.append(sortRecord{Op: "done", ID: "1"}, true), log.close()); err != nil {
			t.Fatal(err)
		}
		if history, err := readSortLog(path); err != nil || !history.pictures[0].done {
			t.Errorf("%.10s: %+v, %v", tail, history, err)
		}
	}
}

// TestMoveALink: a picture that is a link is moved as a link, which still leads to its file.
func TestMoveALink(t *testing.T) {
	requireLinks(t)
	root := t.TempDir()
	in, into := copyShirts(t, root), filepath.Join(root, "out")
	for name, text := range map[string]string{"relative.jpg": filepath.Join("deep", "b.jpg"),
		"absolute.jpg": filepath.Join(in, "deep", "b.jpg")} {
		if err := os.Symlink(text, filepath.Join(in, name)); err != nil {
			t.Fatal(err)
		}
	}
	before := listTree(t, root)
	for _, name := range []string{"relative.jpg", "absolute.jpg"} {
		if code, _, errOut := runGarb(t, nil, "classify", "--sort-into", into, "--move", filepath.Join(in,
			name)); code != exitDone {
			t.Fatalf("%d %s", code, errOut)
		}
		moved := filepath.Join(into, "t-shirt", name)
		if info, err := os.Lstat(moved); err != nil || info.Mode()&fs.ModeSymlink == 0 ||
			exists(filepath.Join(in, name)) {
			t.Errorf("%v", err)
		}
		if string(readFile(t, moved)) != before["in/deep/b.jpg"] {
			t.Errorf("%s leads to another file", moved)
		}
	}
	if code, _, errOut := runGarb(t, nil, "classify", "--undo-sort", into); code != exitDone {
		t.Errorf("%d %s", code, errOut)
	}
	checkTree(t, "undone", root, before)
}

// TestCopyFileKeepsTimes: a copy has the time and permissions of the original.
func TestCopyFileKeepsTimes(t *testing.T) {
	folder := t.TempDir()
	from := write(t, folder, "from", []byte("x"))
	info, err := os.Stat(example)
	if err != nil {
		t.Fatal(err)
	}
	if err = errors.Join(os.Chtimes(from, info.ModTime(), info.ModTime()), os.Chmod(from, 0o400)); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(folder, "to")
	digest, err := copyFile(from, to, true)
	got, statErr := os.Stat(to)
	if err != nil || statErr != nil || digest != "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881" ||
		!got.ModTime().Equal(info.ModTime()) || got.Mode().Perm()&^0o044 != 0o400 {
		t.Errorf("%s %v %v", digest, got, err)
	}
	if _, err := copyFile(folder, filepath.Join(folder, "x"), false); err == nil ||
		exists(filepath.Join(folder, "x")) {
		t.Errorf("a folder was copied: %v", err)
	}
}

// TestNoLinksOnWindows tests that the error of Windows for users who may not create symbolic links says
// what to do.
func TestNoLinksOnWindows(t *testing.T) {
	denied := &os.LinkError{Op: "symlink", Old: "a", New: "b", Err: syscall.Errno(1314)}
	if err := explainLink(denied); !errors.Is(err, errNoLinks) || !errors.Is(err, denied) {
		t.Error(err)
	}
	taken := &os.LinkError{Op: "symlink", Old: "a", New: "b", Err: fs.ErrExist}
	if err := explainLink(taken); errors.Is(err, errNoLinks) || !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
	if err := explainLink(nil); err != nil {
		t.Error(err)
	}
}
