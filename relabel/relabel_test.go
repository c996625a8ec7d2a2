package relabel

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"garb/dataset"
	"garb/internal/safefile"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// fataler is the part of tests and property tests that the helpers need.
type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// write writes files with the given content, and others with their names as content.
func write(t fataler, root string, files map[string]string, names ...string) {
	t.Helper()
	all := map[string]string{}
	for _, n := range names {
		all[n] = n
	}
	for n, content := range files {
		all[n] = content
	}
	for n, content := range all {
		path := filepath.Join(root, filepath.FromSlash(n))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755),
			os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}

// readTree returns every file of a folder with its content, links with their targets, and
// folders.
func readTree(t fataler, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		switch {
		case e.IsDir():
			all[filepath.ToSlash(name)+"/"] = ""
		case e.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			all[filepath.ToSlash(name)] = "-> " + target
			return err
		default:
			data, err := os.ReadFile(path)
			all[filepath.ToSlash(name)] = string(data)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// compareTrees lists what changed from a to b.
func compareTrees(a, b map[string]string) string {
	var lines []string
	for n, v := range a {
		if w, ok := b[n]; !ok || w != v {
			lines = append(lines, fmt.Sprintf("%s: %q, now %q", n, v, w))
		}
	}
	for n := range b {
		if _, ok := a[n]; !ok {
			lines = append(lines, n+" is new")
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// checkSame fails the test if a folder's tree has changed.
func checkSame(t fataler, before map[string]string, root string) {
	t.Helper()
	if diff := compareTrees(before, readTree(t, root)); diff != "" {
		t.Fatalf("changes in %s:\n%s", root, diff)
	}
}

// prepare reads the data set at root and prepares corrections.
func prepare(t fataler, root string, o Options, corrections ...Correction) (*Plan, error) {
	t.Helper()
	data, err := dataset.Read(context.Background(), root, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range corrections {
		corrections[i].Line = i + 2
	}
	return Prepare(context.Background(), data, corrections, o)
}

// apply applies corrections and returns the log's path.
func apply(t fataler, root string, o Options, corrections ...Correction) string {
	t.Helper()
	p, err := prepare(t, root, o, corrections...)
	if err != nil {
		t.Fatal(err)
	}
	log, err := p.Apply(context.Background(), noon)
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func undo(t fataler, root string) *Undone {
	t.Helper()
	u, err := Undo(context.Background(), root)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// oddCharacters are characters of file names that tables quote; Windows allows fewer.
func oddCharacters() string {
	if runtime.GOOS == "windows" {
		return ", '"
	}
	return " ,\"\n'"
}

func TestMove(t *testing.T) {
	root := t.TempDir()
	odd := "train/hat/c" + oddCharacters() + ".jpg"
	write(t, root, nil, "train/hat/a.jpg", "train/hat/deep/er/b.jpg", odd, "train/shoes/x.jpg",
		"val/hat/a.jpg", "val/shoes/y.jpg", "test/hat/z.jpg", "test/hat/w.jpg")
	before := readTree(t, root)
	log := apply(t, root, Options{},
		Correction{Picture: "train/hat/a.jpg", Label: "hat", New: "shoes"},
		Correction{Picture: "train/hat/deep/er/b.jpg", Label: "hat", New: "shoes"},
		Correction{Picture: odd, Label: "hat", New: "shoes"},
		Correction{Picture: filepath.Join(root, "test", "hat", "z.jpg"), Label: "hat",
			New: "shoes"}, // there is no test/shoes
		Correction{Picture: "val/hat/a.jpg", Label: "hat", New: "hat"},
	)
	after := readTree(t, root)
	for from, to := range map[string]string{
		"train/hat/a.jpg": "train/shoes/a.jpg", "train/hat/deep/er/b.jpg": "train/shoes/deep/er/b.jpg",
		odd: strings.Replace(odd, "hat", "shoes", 1), "test/hat/z.jpg": "test/shoes/z.jpg",
	} {
		if _, ok := after[from]; ok || after[to] != from {
			t.Errorf("%s did not become %s", from, to)
		}
	}
	if after["val/hat/a.jpg"] == "" || after["train/shoes/x.jpg"] == "" {
		t.Error("another picture moved")
	}
	if !strings.HasPrefix(filepath.Base(log), ".garb-relabel-") {
		t.Errorf("log %s", log)
	}
	u := undo(t, root)
	checkSame(t, before, root)
	if u.Moved != 4 || u.Already != 0 || u.Log != log {
		t.Errorf("%+v", u)
	}
	if _, err := Undo(context.Background(), root); !errors.Is(err, ErrNoLog) {
		t.Errorf("a second undo: %v", err)
	}
}

// TestMoveInBothForms moves pictures between folders whose names have another form of Unicode than the
// labels.
func TestMoveInBothForms(t *testing.T) {
	const composed, apart = "m\u00fctze", "mu\u0308tze"
	root := t.TempDir()
	write(t, root, nil, apart+"/a.jpg", "shoes/b.jpg", "shoes/c.jpg")
	before := readTree(t, root)
	apply(t, root, Options{}, Correction{Picture: apart + "/a.jpg", Label: composed, New: "shoes"},
		Correction{Picture: "shoes/b.jpg", Label: "shoes", New: composed})
	data, err := dataset.Read(t.Context(), root, dataset.Options{})
	if err != nil || !slices.Equal(data.Classes, []string{composed, "shoes"}) {
		t.Fatal(data.Classes, err)
	}
	after := readTree(t, root)
	if after["shoes/a.jpg"] == "" || after[apart+"/b.jpg"] == "" {
		t.Errorf("%q", after)
	}
	undo(t, root)
	checkSame(t, before, root)
}

func TestMoveLinks(t *testing.T) {
	root, store := t.TempDir(), t.TempDir()
	write(t, store, nil, "1.jpg", "folder/2.jpg", "folder/3.jpg")
	write(t, root, nil, "hat/own.jpg", "shoes/x.jpg", "below/4.jpg")
	for name, target := range map[string]string{
		"hat/1.jpg": filepath.Join(store, "1.jpg"), "hat/climbs.jpg": "../below/4.jpg", "hat/beside.jpg": "own.jpg",
	} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Skip("no links here:", err)
		}
	}
	if err := os.Symlink(filepath.Join(store, "folder"), filepath.Join(root, "hat", "linked")); err != nil {
		t.Fatal(err)
	}
	before, stored := readTree(t, root), readTree(t, store)
	apply(t, root, Options{},
		Correction{Picture: "hat/1.jpg", Label: "hat", New: "shoes"},
		Correction{Picture: "hat/climbs.jpg", Label: "hat", New: "shoes"},
		Correction{Picture: "hat/linked/2.jpg", Label: "hat", New: "shoes"})
	after := readTree(t, root)
	if after["shoes/1.jpg"] != before["hat/1.jpg"] || after["shoes/climbs.jpg"] != "-> ../below/4.jpg" ||
		after["shoes/linked/2.jpg"] != "folder/2.jpg" {
		t.Errorf("%v", after)
	}
	if data, err := os.ReadFile(filepath.Join(root, "shoes", "climbs.jpg")); string(data) != "below/4.jpg" {
		t.Errorf("the link leads to %q, %v", data, err)
	}
	undo(t, root)
	if diff := compareTrees(before, readTree(t, root)) + compareTrees(stored, readTree(t, store)); diff != "" {
		t.Errorf("after undo:\n%s", diff)
	}
	_, err := prepare(t, root, Options{}, Correction{Picture: "hat/beside.jpg", Label: "hat", New: "shoes"})
	if !strings.Contains(fmt.Sprint(err), "link") {
		t.Errorf("a link that would lead nowhere: %v", err)
	}
}

// tables has the same labels in each form of table: before, after b.jpg's label is changed to
// shoes, and after it is changed to a label that has to be quoted.
var tables = map[string]struct{ file, before, after, quoted string }{
	"comma": {"images.csv", "image,label\na.jpg,hat\nb.jpg,hat\nc.jpg,shoes\n",
		"image,label\na.jpg,hat\nb.jpg,shoes\nc.jpg,shoes\n",
		"image,label\na.jpg,hat\nb.jpg,\"x, \"\"y\"\";\t|z\"\nc.jpg,shoes\n"},
	"no line end": {"images.csv", "image,label\na,hat\nc,shoes\nb,hat",
		"image,label\na,hat\nc,shoes\nb,shoes", "image,label\na,hat\nc,shoes\nb,\"x, \"\"y\"\";\t|z\""},
	"CRLF, semicolon": {"labels.csv", "label;image;n\r\nhat;a.jpg;1\r\nhat;b.jpg;2\r\nshoes;c.jpg;3\r\n",
		"label;image;n\r\nhat;a.jpg;1\r\nshoes;b.jpg;2\r\nshoes;c.jpg;3\r\n",
		"label;image;n\r\nhat;a.jpg;1\r\n\"x, \"\"y\"\";\t|z\";b.jpg;2\r\nshoes;c.jpg;3\r\n"},
	"BOM, quoted, TSV": {"images.tsv",
		"\xef\xbb\xbfimage\tlabel\tnote\n\n\"a.jpg\"\t\"hat\"\t\"two\nlines\"\n\r\n" +
			"b.jpg\t\"hat\"\t\"\"\"q\"\"\"\nc.jpg\tshoes\t",
		"\xef\xbb\xbfimage\tlabel\tnote\n\n\"a.jpg\"\t\"hat\"\t\"two\nlines\"\n\r\n" +
			"b.jpg\t\"shoes\"\t\"\"\"q\"\"\"\nc.jpg\tshoes\t",
		"\xef\xbb\xbfimage\tlabel\tnote\n\n\"a.jpg\"\t\"hat\"\t\"two\nlines\"\n\r\n" +
			"b.jpg\t\"x, \"\"y\"\";\t|z\"\t\"\"\"q\"\"\"\nc.jpg\tshoes\t"},
	"spaces": {"images.csv", "image , label\n a.jpg , hat\nb.jpg,  hat \t\nc.jpg,\" shoes\"\n",
		"image , label\n a.jpg , hat\nb.jpg,  shoes \t\nc.jpg,\" shoes\"\n",
		"image , label\n a.jpg , hat\nb.jpg,\"x, \"\"y\"\";\t|z\"\nc.jpg,\" shoes\"\n"},
	"one-hot": {"_classes.csv", "filename,hat, shoes\na.jpg,1,0\nb.jpg,1, 0\nc.jpg,0,1\n",
		"filename,hat, shoes\na.jpg,1,0\nb.jpg,0, 1\nc.jpg,0,1\n", ""},
}

func TestTables(t *testing.T) {
	for name, c := range tables {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			write(t, root, map[string]string{c.file: c.before}, "a.jpg", "b.jpg", "c.jpg")
			table := filepath.Join(root, c.file)
			if err := os.Chmod(table, 0o640); err != nil {
				t.Fatal(err)
			}
			before := readTree(t, root)
			apply(t, root, Options{}, Correction{Picture: "b.jpg", Label: "hat", New: "shoes"})
			if after := readTree(t, root); after[c.file] != c.after || after["b.jpg"] != "b.jpg" {
				t.Errorf("%q, want %q", after[c.file], c.after)
			}
			if info, err := os.Stat(table); err != nil || info.Mode().Perm() != 0o640 && runtime.GOOS != "windows" {
				t.Errorf("permissions %v, %v", info.Mode(), err)
			}
			if u := undo(t, root); u.Rows == 0 || u.Already != 0 {
				t.Errorf("%+v", u)
			}
			checkSame(t, before, root)
		})
	}
}

// TestTablesQuote gives a label that has to be quoted in all forms of table.
// TestTableInBothForms rewrites a table with labels in another form of Unicode than the corrections.
func TestTableInBothForms(t *testing.T) {
	const composed, apart = "m\u00fctze", "mu\u0308tze"
	root := t.TempDir()
	table := "image,label\na.jpg," + apart + "\nb.jpg,shoes\nc.jpg," + apart + "\n"
	write(t, root, map[string]string{"labels.csv": table}, "a.jpg", "b.jpg", "c.jpg")
	apply(t, root, Options{}, Correction{Picture: "a.jpg", Label: composed, New: "shoes"},
		Correction{Picture: "b.jpg", Label: "shoes", New: composed})
	want := "image,label\na.jpg,shoes\nb.jpg," + composed + "\nc.jpg," + apart + "\n"
	if got := readTree(t, root)["labels.csv"]; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestTablesQuote(t *testing.T) {
	const label = "x, \"y\"; |z"
	for name, c := range tables {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			write(t, root, map[string]string{c.file: c.before}, "a.jpg", "b.jpg", "c.jpg")
			before := readTree(t, root)
			p, err := prepare(t, root, Options{NewClasses: true},
				Correction{Picture: filepath.Join(root, "b.jpg"), Label: "hat", New: label})
			if c.quoted == "" { // one-hot
				if err == nil {
					t.Error("a column that the table lacks is accepted")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Apply(context.Background(), noon); err != nil {
				t.Fatal(err)
			}
			if got, want := readTree(t, root)[c.file], strings.ReplaceAll(c.quoted, ";\t|", "; |"); got != want {
				t.Errorf("%q, want %q", got, want)
			}
			undo(t, root)
			checkSame(t, before, root)
		})
	}
}

// TestSeveralTables checks that a correction changes all rows of its picture, in the table of
// its split.
func TestSeveralTables(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{
		"train.csv": "image,label\na.jpg,hat\nb.jpg,shoes\na.jpg,hat\na.jpg,shoes\n",
		"test.csv":  "image,label\nc.jpg,hat\n",
	}, "a.jpg", "b.jpg", "c.jpg")
	before := readTree(t, root)
	apply(t, root, Options{},
		Correction{Picture: "a.jpg", Label: "hat", New: "shoes"}, Correction{Picture: "c.jpg", Label: "hat",
			New: "shoes"})
	after := readTree(t, root)
	if after["train.csv"] != "image,label\na.jpg,shoes\nb.jpg,shoes\na.jpg,shoes\na.jpg,shoes\n" ||
		after["test.csv"] != "image,label\nc.jpg,shoes\n" {
		t.Errorf("%v", after)
	}
	undo(t, root)
	checkSame(t, before, root)
}

// TestPrepareRefuses checks that each kind of impossible correction is a problem, and that
// nothing changes.
func TestPrepareRefuses(t *testing.T) {
	root := t.TempDir()
	write(t, root, nil, "data/hat/a.jpg", "data/hat/b.jpg", "data/hat/.hidden.jpg", "data/shoes/a.jpg",
		"data/shoes/c.jpg", "outside.jpg", "other/x.jpg")
	data := filepath.Join(root, "data")
	before := readTree(t, root)
	for name, c := range map[string]struct {
		picture, label, to string
		newClasses         bool
		word               string // of the message
	}{
		"missing":          {"hat/z.jpg", "hat", "shoes", false, "no such picture"},
		"other label":      {"hat/b.jpg", "shoes", "hat", false, `"hat", not "shoes"`},
		"unknown class":    {"hat/b.jpg", "hat", "Shoes", false, "unknown"},
		"no class":         {"hat/b.jpg", "hat", "", false, "no new label"},
		"overwrites":       {"hat/a.jpg", "hat", "shoes", false, "overwritten"},
		"traversal":        {"../outside.jpg", "hat", "shoes", false, "no such picture"},
		"absolute":         {filepath.Join(root, "outside.jpg"), "hat", "shoes", false, "no such picture"},
		"folder":           {"hat", "hat", "shoes", false, "no such picture"},
		"hidden":           {"hat/.hidden.jpg", "hat", "shoes", false, "no such picture"},
		"empty":            {"", "hat", "shoes", false, "no such picture"},
		"zero byte":        {"hat/b\x00.jpg", "hat", "shoes", false, "no such picture"},
		"class up":         {"hat/b.jpg", "hat", "..", true, "class folder"},
		"class elsewhere":  {"hat/b.jpg", "hat", "../../other", true, "class folder"},
		"class with slash": {"hat/b.jpg", "hat", "a/b", true, "class folder"},
		"split as class":   {"hat/b.jpg", "hat", "Test", true, "split"},
		"hidden class":     {"hat/b.jpg", "hat", ".git", true, "class folder"},
		"control":          {"hat/b.jpg", "hat", "a\x1bb", true, "printed"},
		"not UTF-8":        {"hat/b.jpg", "hat", "a\xff", true, "printed"},
	} {
		_, err := prepare(t, data, Options{NewClasses: c.newClasses},
			Correction{Picture: "shoes/c.jpg", Label: "shoes", New: "hat"},
			Correction{Picture: c.picture, Label: c.label, New: c.to})
		var problems *ProblemsError
		if !errors.As(err, &problems) || len(problems.Problems) != 1 || problems.Problems[0].Line != 3 ||
			!strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: %v", name, err)
		}
	}
	checkSame(t, before, root)
}

// TestPrepareListsAllProblems checks that the problems of several corrections are all listed.
func TestPrepareListsAllProblems(t *testing.T) {
	root := t.TempDir()
	write(t, root, nil, "hat/b.jpg", "shoes/a.jpg", "shoes/c.jpg", "coat/b.jpg")
	for name, c := range map[string]struct {
		corrections []Correction
		problems    int
	}{
		"three": {[]Correction{
			{Picture: "hat/z.jpg", Label: "hat", New: "shoes"}, {Picture: "hat/b.jpg", Label: "hat", New: "scarf"},
			{Picture: "shoes/c.jpg", Label: "shoes", New: "hat"},
			{Picture: "shoes/c.jpg", Label: "shoes", New: "shoes"},
		}, 3},
		"two pictures with one new name": {[]Correction{
			{Picture: "hat/b.jpg", Label: "hat", New: "shoes"}, {Picture: "coat/b.jpg", Label: "coat", New: "shoes"},
		}, 1},
	} {
		_, err := prepare(t, root, Options{}, c.corrections...)
		var problems *ProblemsError
		if !errors.As(err, &problems) || len(problems.Problems) != c.problems {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNewClass(t *testing.T) {
	root := t.TempDir()
	write(t, root, nil, "hat/a.jpg", "hat/b.jpg", "shoes/c.jpg")
	before := readTree(t, root)
	apply(t, root, Options{NewClasses: true}, Correction{Picture: "hat/a.jpg", Label: "hat", New: "rain coat"})
	if after := readTree(t, root); after["rain coat/a.jpg"] != "hat/a.jpg" {
		t.Errorf("%v", after)
	}
	undo(t, root)
	checkSame(t, before, root)
}

func TestPrepareRefusesArchives(t *testing.T) {
	root := t.TempDir()
	write(t, root, nil, "elsewhere/hat/a.jpg", "elsewhere/shoes/b.jpg", "data.zip")
	data, err := dataset.Read(context.Background(), filepath.Join(root, "elsewhere"), dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	data.Path = filepath.Join(root, "data.zip") // as after unpacking to a cache
	if _, err := Prepare(context.Background(), data, nil, Options{}); !errors.Is(err, ErrArchive) {
		t.Errorf("%v", err)
	}
}

// TestUndoInterrupted checks that undo restores everything wherever Apply was interrupted.
func TestUndoInterrupted(t *testing.T) {
	for stop := range 4 {
		root := t.TempDir()
		write(t, root, nil, "hat/1.jpg", "hat/2.jpg", "hat/3.jpg", "shoes/4.jpg")
		before := readTree(t, root)
		p, err := prepare(t, root, Options{NewClasses: true},
			Correction{Picture: "hat/1.jpg", Label: "hat", New: "coat"},
			Correction{Picture: "hat/2.jpg", Label: "hat", New: "shoes"},
			Correction{Picture: "hat/3.jpg", Label: "hat", New: "shoes"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Apply(&endAfter{context.Background(), stop}, noon)
		var incomplete *IncompleteError
		if stop < 3 && (!errors.As(err, &incomplete) || incomplete.Done != stop ||
			!errors.Is(err, context.Canceled)) || stop == 3 && err != nil {
			t.Errorf("stopped after %d: %v", stop, err)
		}
		u := undo(t, root)
		if u.Moved != stop || u.Already != 3-stop {
			t.Errorf("stopped after %d: %+v", stop, u)
		}
		checkSame(t, before, root)
	}
	// Interrupted between the two steps of a move.
	root := t.TempDir()
	write(t, root, nil, "hat/1.jpg", "hat/2.jpg", "shoes/4.jpg")
	before := readTree(t, root)
	apply(t, root, Options{}, Correction{Picture: "hat/1.jpg", Label: "hat", New: "shoes"})
	if err := os.Link(filepath.Join(root, "shoes", "1.jpg"), filepath.Join(root, "hat", "1.jpg")); err != nil {
		t.Skip("no hard links here:", err)
	}
	undo(t, root)
	checkSame(t, before, root)
}

// endAfter is a context that ends after left calls of Err.
type endAfter struct {
	context.Context
	left int
}

func (c *endAfter) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

func TestUndoSeveral(t *testing.T) {
	root := t.TempDir()
	write(t, root, nil, "hat/1.jpg", "hat/2.jpg", "shoes/4.jpg")
	start := readTree(t, root)
	first := apply(t, root, Options{}, Correction{Picture: "hat/1.jpg", Label: "hat", New: "shoes"})
	middle := readTree(t, root)
	second := apply(t, root, Options{}, Correction{Picture: "shoes/1.jpg", Label: "shoes",
		New: "hat"}) // at the same time
	if u := undo(t, root); u.Log != second {
		t.Errorf("%s was undone before %s", u.Log, second)
	}
	checkSame(t, middle, root)
	if u := undo(t, root); u.Log != first {
		t.Errorf("%s was undone", u.Log)
	}
	checkSame(t, start, root)
}

// TestUndoKeepsLaterChanges checks that Undo does not overwrite pictures that changed since.
func TestUndoKeepsLaterChanges(t *testing.T) {
	root := t.TempDir()
	write(t, root, nil, "hat/1.jpg", "hat/2.jpg", "shoes/4.jpg")
	log := apply(t, root, Options{}, Correction{Picture: "hat/1.jpg", Label: "hat", New: "shoes"},
		Correction{Picture: "hat/2.jpg", Label: "hat", New: "shoes"})
	write(t, root, map[string]string{"hat/1.jpg": "new"})
	if err := os.Remove(filepath.Join(root, "shoes", "2.jpg")); err != nil {
		t.Fatal(err)
	}
	before := readTree(t, root)
	_, err := Undo(context.Background(), root)
	var problems *ProblemsError
	if !errors.As(err, &problems) || len(problems.Problems) != 2 || !strings.Contains(err.Error(), log) {
		t.Errorf("%v", err)
	}
	checkSame(t, before, root)
}

// TestUndoKeepsLaterEdits checks that Undo does not overwrite a table that was edited since.
func TestUndoKeepsLaterEdits(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{"images.csv": "image,label\na.jpg,hat\nb.jpg,shoes\n"}, "a.jpg", "b.jpg")
	apply(t, root, Options{}, Correction{Picture: "a.jpg", Label: "hat", New: "shoes"})
	write(t, root, map[string]string{"images.csv": "image,label\nb.jpg,coat\na.jpg,shoes\n"})
	var problems *ProblemsError
	if _, err := Undo(context.Background(), root); !errors.As(err, &problems) {
		t.Errorf("%v", err)
	}
	if got := readTree(t, root)["images.csv"]; got != "image,label\nb.jpg,coat\na.jpg,shoes\n" {
		t.Errorf("%q", got)
	}
}

// TestUndoRefusesLogs has logs that Apply never writes.
func TestUndoRefusesLogs(t *testing.T) {
	const head = "step,from,to,separator,line,column,before,after\n"
	for name, text := range map[string]string{
		"empty":          "",
		"text":           "hello\n",
		"broken":         head + "move,\"a",
		"unknown step":   head + "copy,a,b,,,,,\n",
		"move out":       head + "move,../x,hat/1.jpg,,,,,\n",
		"move in":        head + "move,hat/2.jpg,../../x,,,,,\n",
		"absolute":       head + "move,/x,hat/1.jpg,,,,,\n",
		"the folder":     head + "folder,,.,,,,,\n",
		"folder out":     head + "folder,,../x,,,,,\n",
		"table out":      head + "field,a,../t.csv,\",\",1,1,a,b\n",
		"no number":      head + "field,a,t.csv,\",\",one,1,a,b\n",
		"separator":      head + "field,a,t.csv,x,1,1,a,b\n",
		"missing table":  head + "field,a,t.csv,\",\",1,1,a,b\n",
		"unsorted":       head + "field,a,images.csv,\",\",3,0,x,b.jpg\nfield,a,images.csv,\",\",2,0,x,a.jpg\n",
		"twice":          head + "field,a,images.csv,\",\",2,0,x,a.jpg\nfield,a,images.csv,\",\",2,0,x,a.jpg\n",
		"negative place": head + "field,a,images.csv,\",\",-1,-1,x,a.jpg\n",
	} {
		root := t.TempDir()
		write(t, root, map[string]string{".garb-relabel-1.csv": text,
			"images.csv": "image,label\na.jpg,hat\nb.jpg,hat\n"}, "hat/1.jpg", "t/x")
		before := readTree(t, root)
		if u, err := Undo(context.Background(), root); err == nil {
			t.Errorf("%s: %+v", name, u)
		}
		checkSame(t, before, root)
	}
	if _, err := Undo(context.Background(), filepath.Join(t.TempDir(), "nix")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestParseCorrections(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []Correction
		rows int
		word string // of the error
	}{
		"all": {"picture,label,proposed\na,hat,shoes\nb,hat,coat\n",
			[]Correction{{2, "a", "hat", "shoes"}, {3, "b", "hat", "coat"}}, 2, ""},
		"accepted": {"rank,picture,label,proposed,accepted\n1,a,hat,shoes,yes\n2,b,hat,coat,\n3,c,hat,coat,no\n" +
			"4,d,hat,coat, X \n5,e,hat,coat,1\n6,f,hat,coat,TRUE\n",
			[]Correction{
				{2, "a", "hat", "shoes"}, {5, "d", "hat", "coat"}, {6, "e", "hat", "coat"}, {7, "f", "hat", "coat"},
			}, 6, ""},
		"semicolon": {"\xef\xbb\xbfPicture;New;Label\r\n\"a;\r\nb\";shoes;hat\r\n",
			[]Correction{{2, "a;\r\nb", "hat", "shoes"}}, 1, ""},
		"tab": {"picture\tlabel\tnew_label\n\"a,\"\"b\"\"\"\t hat \tshoes",
			[]Correction{{2, "a,\"b\"", "hat", "shoes"}}, 1, ""},
		"empty":     {"", nil, 0, "columns"},
		"no column": {"picture,label\na,b\n", nil, 0, "columns"},
		"open":      {"picture,label,new\n\"a,b,c\n", nil, 0, "not closed"},
		"bare":      {"picture,label,new\na\"b,c,d\n", nil, 0, "quote"},
		"after":     {"picture,label,new\n\"a\"b,c,d\n", nil, 0, "quote"},
		"short":     {"picture,label,new\na,b\nc,d\n", nil, 0, "2 problems"},
		"maybe":     {"picture,label,new,accepted\na,b,c,perhaps\n", nil, 0, "perhaps"},
	} {
		got, rows, err := parseCorrections([]byte(c.text))
		if !slices.Equal(got, c.want) || rows != c.rows || (err != nil) != (c.word != "") || err != nil &&
			!strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: %+v, %d, %v", name, got, rows, err)
		}
	}
	folder := t.TempDir()
	var notRegular *safefile.NotRegularError
	if _, _, err := ReadCorrections(folder); !errors.As(err, &notRegular) {
		t.Errorf("a folder: %v", err)
	}
	path := filepath.Join(folder, "f.csv")
	if err := os.WriteFile(path, []byte("picture"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadCorrections(path); !errors.Is(err, ErrColumns) || !strings.Contains(err.Error(), path) {
		t.Errorf("%v", err)
	}
}

// TestManyCorrections checks that a million rows are read, and that an error shows few problems.
func TestManyCorrections(t *testing.T) {
	root := t.TempDir()
	write(t, root, nil, "hat/1.jpg", "shoes/2.jpg")
	var b bytes.Buffer
	b.WriteString("picture,label,proposed,accepted\n")
	for i := range 1_000_000 {
		fmt.Fprintf(&b, "hat/%d.jpg,hat,shoes,yes\n", i)
	}
	corrections, rows, err := parseCorrections(b.Bytes())
	if err != nil || rows != 1_000_000 {
		t.Fatalf("%d rows, %v", rows, err)
	}
	_, err = prepare(t, root, Options{}, corrections...)
	var problems *ProblemsError
	if !errors.As(err, &problems) || len(problems.Problems) != 999_999 || len(err.Error()) > 4000 {
		t.Errorf("%d problems in %d bytes", len(problems.Problems), len(err.Error()))
	}
}

// randomTable is a table in a random form.
type randomTable struct {
	text      string
	delimiter byte
	labels    []string
	column    int
}

func drawTable(t *rapid.T) randomTable {
	d := randomTable{delimiter: rapid.SampledFrom(separators).Draw(t, "separator")}
	end := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "end")
	columns := rapid.IntRange(2, 4).Draw(t, "columns")
	d.column = rapid.IntRange(1, columns-1).Draw(t, "column")
	var b strings.Builder
	if rapid.Bool().Draw(t, "mark") {
		b.WriteString(utf8Mark)
	}
	quote := func(v string) string {
		if rapid.Bool().Draw(t, "quoted") || needsQuotes(v, d.delimiter) {
			return `"` + strings.ReplaceAll(v, `"`, `""`) + `"`
		}
		return v
	}
	n := rapid.IntRange(1, 8).Draw(t, "rows")
	for i := range n + 1 {
		for c := range columns {
			if c > 0 {
				b.WriteByte(d.delimiter)
			}
			switch {
			case c == 0 && i == 0:
				b.WriteString("image")
			case c == 0:
				fmt.Fprintf(&b, "p%d.jpg", i)
			case i == 0 && c == d.column:
				b.WriteString("label")
			case i == 0:
				fmt.Fprintf(&b, "column %d", c)
			case c == d.column:
				label := rapid.SampledFrom([]string{"hat", "rain coat", `a "b"`, "x,y", "x;y"}).Draw(t, "label")
				d.labels = append(d.labels, label)
				if pad := rapid.SampledFrom([]string{"", " "}).Draw(t, "pad"); needsQuotes(label, d.delimiter) {
					b.WriteString(quote(label + pad))
				} else {
					b.WriteString(quote(pad + label + pad))
				}
			default:
				b.WriteString(quote(rapid.StringMatching("[a-z \"\n,;|é]{0,4}").Draw(t, "other")))
			}
		}
		if i < n || rapid.Bool().Draw(t, "closed") {
			b.WriteString(end)
		}
		if rapid.IntRange(0, 4).Draw(t, "blank") == 0 {
			b.WriteString(end)
		}
	}
	d.text = b.String()
	return d
}

// TestTableRoundTrip checks that only the corrected labels change, as encoding/csv reads the
// table, and that undo restores all bytes.
func TestTableRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawTable(t)
		root, err := os.MkdirTemp("", "relabel")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(root)
		files := map[string]string{"images.csv": d.text}
		for i := range d.labels {
			files[fmt.Sprintf("p%d.jpg", i+1)] = "x"
		}
		write(t, root, files)
		before := readTree(t, root)
		var corrections []Correction
		want := slices.Clone(d.labels)
		for i, label := range d.labels {
			if rapid.Bool().Draw(t, "changes") {
				want[i] = rapid.SampledFrom([]string{"hat", "new", `q"`, "a|b", "c;d,e"}).Draw(t, "new label")
				corrections = append(corrections, Correction{Picture: fmt.Sprintf("p%d.jpg", i+1),
					Label: label, New: want[i]})
			}
		}
		log := apply(t, root, Options{NewClasses: true}, corrections...)
		rows := parseTable(t, before["images.csv"], d.delimiter)
		for i, row := range parseTable(t, readTree(t, root)["images.csv"], d.delimiter) {
			for c, v := range row {
				old := rows[i][c]
				if i > 0 && c == d.column && strings.TrimSpace(v) != want[i-1] || (i == 0 || c != d.column) &&
					v != old {
					t.Fatalf("row %d column %d is %q, was %q", i, c, v, old)
				}
			}
		}
		if log != "" {
			undo(t, root)
		}
		checkSame(t, before, root)
	})
}

func parseTable(t fataler, text string, delimiter byte) [][]string {
	t.Helper()
	r := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, utf8Mark)))
	r.Comma, r.FieldsPerRecord = rune(delimiter), -1
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestTreeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		root, err := os.MkdirTemp("", "relabel")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(root)
		classes := []string{"hat", "rain coat", "shoes"}
		prefix := ""
		if rapid.Bool().Draw(t, "splits") {
			prefix = "train/"
			write(t, root, nil, "val/hat/v.jpg", "val/shoes/w.jpg")
		}
		var corrections []Correction
		for i, class := range classes {
			write(t, root, nil, prefix+class+"/stays.jpg")
			for _, name := range rapid.SliceOfNDistinct(rapid.StringMatching("[a-zé"+oddCharacters()+"]{1,5}"), 0, 4,
				rapid.ID[string]).Draw(t, "names") {
				path := prefix + class + "/" + rapid.SampledFrom([]string{"", "in/", "in/deep/"}).Draw(t,
					"below") + fmt.Sprint(i) + name + ".jpg"
				write(t, root, nil, path)
				if rapid.Bool().Draw(t, "moves") {
					corrections = append(corrections, Correction{Picture: path, Label: class,
						New: rapid.SampledFrom(append(classes, "new")).Draw(t, "to")})
				}
			}
		}
		before := readTree(t, root)
		log := apply(t, root, Options{NewClasses: true}, corrections...)
		after := readTree(t, root)
		for _, c := range corrections {
			to := strings.Replace(c.Picture, prefix+c.Label+"/", prefix+c.New+"/", 1)
			if after[to] != c.Picture {
				t.Fatalf("%q is not at %q: %q", c.Picture, to, after[to])
			}
		}
		if log != "" {
			undo(t, root)
		}
		checkSame(t, before, root)
	})
}

// FuzzScanner checks that the scanner and encoding/csv agree about what is a table, and about
// every field.
func FuzzScanner(f *testing.F) {
	for _, c := range tables {
		f.Add(c.before)
	}
	for _, text := range []string{"a\r", "\"a\r\n\",b\r\n\r\nc", "\"", "a\"b", "\"a\"b", ",\n\n,", "\xef\xbb\xbfa"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, input string) {
		want := csv.NewReader(strings.NewReader(strings.TrimPrefix(input, utf8Mark)))
		want.FieldsPerRecord = -1
		s := newScanner([]byte(input), ',')
		for compareRecords(t, input, s, want) {
		}
	})
}

// compareRecords reads a record by both, and reports whether there may be another.
func compareRecords(t *testing.T, input string, s *scanner, r *csv.Reader) bool {
	var got record
	want, wantErr := r.Read()
	ok, err := s.read(&got)
	var syntax *csv.ParseError
	switch {
	case errors.As(wantErr, &syntax) != (err != nil):
		t.Fatalf("%v, encoding/csv says %v", err, wantErr)
	case err != nil:
		return false
	case !ok && wantErr == nil:
		t.Fatalf("encoding/csv has another record: %q", want)
	case !ok:
		return false
	case wantErr != nil:
		t.Fatalf("encoding/csv: %v", wantErr)
	}
	if line, _ := r.FieldPos(0); line != got.line || len(want) != len(got.fields) {
		t.Fatalf("line %d with %d fields, want line %d with %q", got.line, len(got.fields), line, want)
	}
	for i, f := range got.fields {
		if value := strings.ReplaceAll(unquote([]byte(input)[f.start:f.end]), "\r\n", "\n"); value != want[i] {
			t.Fatalf("field %d is %q, want %q", i, value, want[i])
		}
	}
	return true
}
