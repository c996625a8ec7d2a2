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
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"garb/dataset"
	"garb/internal/safefile"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// fataler is what tests and property tests share.
type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// write makes files with their names as content, but those with content given.
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

// tree returns every file of a folder with its content, links with their targets, and
// folders.
func tree(t fataler, root string) map[string]string {
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

func same(a, b map[string]string) string {
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

// do applies corrections, and returns the log's path.
func do(t fataler, root string, o Options, corrections ...Correction) string {
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

func undoAll(t fataler, root string) *Undone {
	t.Helper()
	u, err := Undo(context.Background(), root)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestMoves(t *testing.T) {
	root := t.TempDir()
	write(t, root, nil, "train/hat/a.jpg", "train/hat/deep/er/b.jpg", "train/hat/c,\"d\"\n.jpg", "train/shoes/x.jpg",
		"val/hat/a.jpg", "val/shoes/y.jpg", "test/hat/z.jpg", "test/hat/w.jpg")
	before := tree(t, root)
	log := do(t, root, Options{},
		Correction{Picture: "train/hat/a.jpg", Label: "hat", New: "shoes"},
		Correction{Picture: "train/hat/deep/er/b.jpg", Label: "hat", New: "shoes"},
		Correction{Picture: "train/hat/c,\"d\"\n.jpg", Label: "hat", New: "shoes"},
		Correction{Picture: filepath.Join(root, "test", "hat", "z.jpg"), Label: "hat",
			New: "shoes"}, // there is no test/shoes
		Correction{Picture: "val/hat/a.jpg", Label: "hat", New: "hat"},
	)
	after := tree(t, root)
	for from, to := range map[string]string{
		"train/hat/a.jpg": "train/shoes/a.jpg", "train/hat/deep/er/b.jpg": "train/shoes/deep/er/b.jpg",
		"train/hat/c,\"d\"\n.jpg": "train/shoes/c,\"d\"\n.jpg", "test/hat/z.jpg": "test/shoes/z.jpg",
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
	u := undoAll(t, root)
	if diff := same(before, tree(t, root)); diff != "" {
		t.Errorf("after undo:\n%s", diff)
	}
	if u.Moved != 4 || u.Already != 0 || u.Log != log {
		t.Errorf("%+v", u)
	}
	if _, err := Undo(context.Background(), root); !errors.Is(err, ErrNoLog) {
		t.Errorf("a second undo: %v", err)
	}
}

func TestMovesOfLinks(t *testing.T) {
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
	before, stored := tree(t, root), tree(t, store)
	do(t, root, Options{},
		Correction{Picture: "hat/1.jpg", Label: "hat", New: "shoes"},
		Correction{Picture: "hat/climbs.jpg", Label: "hat", New: "shoes"},
		Correction{Picture: "hat/linked/2.jpg", Label: "hat", New: "shoes"})
	after := tree(t, root)
	if after["shoes/1.jpg"] != before["hat/1.jpg"] || after["shoes/climbs.jpg"] != "-> ../below/4.jpg" ||
		after["shoes/linked/2.jpg"] != "folder/2.jpg" {
		t.Errorf("%v", after)
	}
	if data, err := os.ReadFile(filepath.Join(root, "shoes", "climbs.jpg")); string(data) != "below/4.jpg" {
		t.Errorf("the link leads to %q, %v", data, err)
	}
	undoAll(t, root)
	if diff := same(before, tree(t, root)) + same(stored, tree(t, store)); diff != "" {
		t.Errorf("after undo:\n%s", diff)
	}
	_, err := prepare(t, root, Options{}, Correction{Picture: "hat/beside.jpg", Label: "hat", New: "shoes"})
	if !strings.Contains(fmt.Sprint(err), "link") {
		t.Errorf("a link that would lead nowhere: %v", err)
	}
}

// tables are one set of labels in each form of table; with the label of b.jpg changed
// to shoes, or to a name that has to be quoted.
var tables = map[string]struct{ file, before, after, odd string }{
	"comma": {"images.csv", "image,label\na.jpg,hat\nb.jpg,hat\nc.jpg,shoes\n",
		"image,label\na.jpg,hat\nb.jpg,shoes\nc.jpg,shoes\n",
		"image,label\na.jpg,hat\nb.jpg,\"x, \"\"y\"\";\t|z\"\nc.jpg,shoes\n"},
	"no line end": {"images.csv", "image,label\na,hat\nc,shoes\nb,hat",
		"image,label\na,hat\nc,shoes\nb,shoes", "image,label\na,hat\nc,shoes\nb,\"x, \"\"y\"\";\t|z\""},
	"CRLF, semicolon": {"labels.csv", "label;image;n\r\nhat;a.jpg;1\r\nhat;b.jpg;2\r\nshoes;c.jpg;3\r\n",
		"label;image;n\r\nhat;a.jpg;1\r\nshoes;b.jpg;2\r\nshoes;c.jpg;3\r\n",
		"label;image;n\r\nhat;a.jpg;1\r\n\"x, \"\"y\"\";\t|z\";b.jpg;2\r\nshoes;c.jpg;3\r\n"},
	"BOM, quoted, TSV": {"images.tsv",
		"\xef\xbb\xbfimage\tlabel\tnote\n\n\"a.jpg\"\t\"hat\"\t\"two\nlines\"\n\r\nb.jpg\t\"hat\"\t\"\"\"q\"\"\"\nc.jpg\tshoes\t", "\xef\xbb\xbfimage\tlabel\tnote\n\n\"a.jpg\"\t\"hat\"\t\"two\nlines\"\n\r\nb.jpg\t\"shoes\"\t\"\"\"q\"\"\"\nc.jpg\tshoes\t", "\xef\xbb\xbfimage\tlabel\tnote\n\n\"a.jpg\"\t\"hat\"\t\"two\nlines\"\n\r\nb.jpg\t\"x, \"\"y\"\";\t|z\"\t\"\"\"q\"\"\"\nc.jpg\tshoes\t"},
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
			before := tree(t, root)
			do(t, root, Options{}, Correction{Picture: "b.jpg", Label: "hat", New: "shoes"})
			if after := tree(t, root); after[c.file] != c.after || after["b.jpg"] != "b.jpg" {
				t.Errorf("%q, want %q", after[c.file], c.after)
			}
			if info, err := os.Stat(table); err != nil || info.Mode().Perm() != 0o640 {
				t.Errorf("permissions %v, %v", info.Mode(), err)
			}
			if u := undoAll(t, root); u.Rows == 0 || u.Already != 0 {
				t.Errorf("%+v", u)
			}
			if diff := same(before, tree(t, root)); diff != "" {
				t.Errorf("after undo:\n%s", diff)
			}
			const odd = "x, \"y\";\t|z"
			p, err := prepare(t, root, Options{NewClasses: true},
				Correction{Picture: filepath.Join(root, "b.jpg"), Label: "hat",
					New: strings.ReplaceAll(odd, "\t", " ")})
			if c.odd == "" {
				if err == nil {
					t.Error("a column that the table lacks")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Apply(context.Background(), noon); err != nil {
				t.Fatal(err)
			}
			if got, want := tree(t, root)[c.file], strings.ReplaceAll(c.odd, ";\t|", "; |"); got != want {
				t.Errorf("%q, want %q", got, want)
			}
			undoAll(t, root)
			if diff := same(before, tree(t, root)); diff != "" {
				t.Errorf("after undo:\n%s", diff)
			}
		})
	}
}

// Each split's table has its own rows, and a picture that is listed twice is changed twice.
func TestSeveralTables(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{
		"train.csv": "image,label\na.jpg,hat\nb.jpg,shoes\na.jpg,hat\na.jpg,shoes\n",
		"test.csv":  "image,label\nc.jpg,hat\n",
	}, "a.jpg", "b.jpg", "c.jpg")
	before := tree(t, root)
	do(t, root, Options{},
		Correction{Picture: "a.jpg", Label: "hat", New: "shoes"}, Correction{Picture: "c.jpg", Label: "hat",
			New: "shoes"})
	after := tree(t, root)
	if after["train.csv"] != "image,label\na.jpg,shoes\nb.jpg,shoes\na.jpg,shoes\na.jpg,shoes\n" ||
		after["test.csv"] != "image,label\nc.jpg,shoes\n" {
		t.Errorf("%v", after)
	}
	undoAll(t, root)
	if diff := same(before, tree(t, root)); diff != "" {
		t.Errorf("after undo:\n%s", diff)
	}
}

// What cannot be applied is listed whole, and nothing changes.
func TestPrepareRefuses(t *testing.T) {
	root := t.TempDir()
	write(t, root, nil, "data/hat/a.jpg", "data/hat/b.jpg", "data/hat/.hidden.jpg", "data/shoes/a.jpg",
		"data/shoes/c.jpg", "outside.jpg", "other/x.jpg")
	data := filepath.Join(root, "data")
	before := tree(t, root)
	for name, c := range map[string]struct {
		c    Correction
		o    Options
		word string
	}{
		"gone": {Correction{Picture: "hat/z.jpg", Label: "hat", New: "shoes"}, Options{},
			"no such picture"},
		"other label": {Correction{Picture: "hat/b.jpg", Label: "shoes", New: "hat"}, Options{},
			`"hat", not "shoes"`},
		"unknown class": {Correction{Picture: "hat/b.jpg", Label: "hat", New: "Shoes"}, Options{}, "unknown"},
		"no class":      {Correction{Picture: "hat/b.jpg", Label: "hat", New: ""}, Options{}, "no new label"},
		"overwrites":    {Correction{Picture: "hat/a.jpg", Label: "hat", New: "shoes"}, Options{}, "overwritten"},
		"traversal": {Correction{Picture: "../outside.jpg", Label: "hat", New: "shoes"}, Options{},
			"no such picture"},
		"absolute": {Correction{Picture: filepath.Join(root, "outside.jpg"), Label: "hat",
			New: "shoes"}, Options{}, "no such picture"},
		"folder": {Correction{Picture: "hat", Label: "hat", New: "shoes"}, Options{}, "no such picture"},
		"hidden": {Correction{Picture: "hat/.hidden.jpg", Label: "hat", New: "shoes"}, Options{},
			"no such picture"},
		"empty": {Correction{Picture: "", Label: "hat", New: "shoes"}, Options{}, "no such picture"},
		"zero byte": {Correction{Picture: "hat/b\x00.jpg", Label: "hat", New: "shoes"}, Options{},
			"no such picture"},
		"class up": {Correction{Picture: "hat/b.jpg", Label: "hat", New: ".."},
			Options{NewClasses: true}, "class folder"},
		"class elsewhere": {Correction{Picture: "hat/b.jpg", Label: "hat", New: "../../other"},
			Options{NewClasses: true}, "class folder"},
		"class with slash": {Correction{Picture: "hat/b.jpg", Label: "hat", New: "a/b"},
			Options{NewClasses: true}, "class folder"},
		"split as class": {Correction{Picture: "hat/b.jpg", Label: "hat", New: "Test"}, Options{NewClasses: true},
			"split"},
		"hidden class": {Correction{Picture: "hat/b.jpg", Label: "hat", New: ".git"},
			Options{NewClasses: true}, "class folder"},
		"control": {Correction{Picture: "hat/b.jpg", Label: "hat", New: "a\x1bb"},
			Options{NewClasses: true}, "printed"},
		"not UTF-8": {Correction{Picture: "hat/b.jpg", Label: "hat", New: "a\xff"},
			Options{NewClasses: true}, "printed"},
	} {
		good := Correction{Picture: "shoes/c.jpg", Label: "shoes", New: "hat"}
		_, err := prepare(t, data, c.o, good, c.c)
		var problems *ProblemsError
		if !errors.As(err, &problems) || len(problems.Problems) != 1 || problems.Problems[0].Line != 3 ||
			!strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := prepare(t, data, Options{},
		Correction{Picture: "hat/z.jpg", Label: "hat", New: "shoes"}, Correction{Picture: "hat/b.jpg",
			Label: "hat", New: "coat"},
		Correction{Picture: "shoes/c.jpg", Label: "shoes", New: "hat"}, Correction{Picture: "shoes/c.jpg",
			Label: "shoes", New: "shoes"})
	var problems *ProblemsError
	if !errors.As(err, &problems) || len(problems.Problems) != 3 {
		t.Errorf("all problems: %v", err)
	}
	if diff := same(before, tree(t, root)); diff != "" {
		t.Errorf("something changed:\n%s", diff)
	}
	// Two pictures that would get one name.
	write(t, data, nil, "coat/b.jpg")
	_, err = prepare(t, data, Options{}, Correction{Picture: "hat/b.jpg", Label: "hat", New: "shoes"},
		Correction{Picture: "coat/b.jpg", Label: "coat", New: "shoes"})
	if !errors.As(err, &problems) || len(problems.Problems) != 1 {
		t.Errorf("two of one name: %v", err)
	}
}

func TestNewClass(t *testing.T) {
	root := t.TempDir()
	write(t, root, nil, "hat/a.jpg", "hat/b.jpg", "shoes/c.jpg")
	before := tree(t, root)
	do(t, root, Options{NewClasses: true}, Correction{Picture: "hat/a.jpg", Label: "hat", New: "rain coat"})
	if after := tree(t, root); after["rain coat/a.jpg"] != "hat/a.jpg" {
		t.Errorf("%v", after)
	}
	undoAll(t, root)
	if diff := same(before, tree(t, root)); diff != "" {
		t.Errorf("after undo:\n%s", diff)
	}
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

// However far an application came, undo restores all.
func TestUndoOfWhatWasInterrupted(t *testing.T) {
	for stop := range 4 {
		root := t.TempDir()
		write(t, root, nil, "hat/1.jpg", "hat/2.jpg", "hat/3.jpg", "shoes/4.jpg")
		before := tree(t, root)
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
		u := undoAll(t, root)
		if u.Moved != stop || u.Already != 3-stop {
			t.Errorf("stopped after %d: %+v", stop, u)
		}
		if diff := same(before, tree(t, root)); diff != "" {
			t.Errorf("stopped after %d:\n%s", stop, diff)
		}
	}
	// Between the two names of one move.
	root := t.TempDir()
	write(t, root, nil, "hat/1.jpg", "hat/2.jpg", "shoes/4.jpg")
	before := tree(t, root)
	do(t, root, Options{}, Correction{Picture: "hat/1.jpg", Label: "hat", New: "shoes"})
	if err := os.Link(filepath.Join(root, "shoes", "1.jpg"), filepath.Join(root, "hat", "1.jpg")); err != nil {
		t.Skip("no hard links here:", err)
	}
	undoAll(t, root)
	if diff := same(before, tree(t, root)); diff != "" {
		t.Errorf("with two names:\n%s", diff)
	}
}

// endAfter is a context that ends after it was asked some times.
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

func TestUndoOfSeveral(t *testing.T) {
	root := t.TempDir()
	write(t, root, nil, "hat/1.jpg", "hat/2.jpg", "shoes/4.jpg")
	start := tree(t, root)
	first := do(t, root, Options{}, Correction{Picture: "hat/1.jpg", Label: "hat", New: "shoes"})
	middle := tree(t, root)
	second := do(t, root, Options{}, Correction{Picture: "shoes/1.jpg", Label: "shoes",
		New: "hat"}) // at the same time
	if u := undoAll(t, root); u.Log != second {
		t.Errorf("%s was undone before %s", u.Log, second)
	}
	if diff := same(middle, tree(t, root)); diff != "" {
		t.Error(diff)
	}
	if u := undoAll(t, root); u.Log != first {
		t.Errorf("%s was undone", u.Log)
	}
	if diff := same(start, tree(t, root)); diff != "" {
		t.Error(diff)
	}
}

func TestUndoRefuses(t *testing.T) {
	// What happened since is not overwritten.
	root := t.TempDir()
	write(t, root, nil, "hat/1.jpg", "hat/2.jpg", "shoes/4.jpg")
	log := do(t, root, Options{}, Correction{Picture: "hat/1.jpg", Label: "hat", New: "shoes"},
		Correction{Picture: "hat/2.jpg", Label: "hat", New: "shoes"})
	write(t, root, map[string]string{"hat/1.jpg": "new"})
	if err := os.Remove(filepath.Join(root, "shoes", "2.jpg")); err != nil {
		t.Fatal(err)
	}
	before := tree(t, root)
	_, err := Undo(context.Background(), root)
	var problems *ProblemsError
	if !errors.As(err, &problems) || len(problems.Problems) != 2 || !strings.Contains(err.Error(), log) {
		t.Errorf("%v", err)
	}
	if diff := same(before, tree(t, root)); diff != "" {
		t.Errorf("something changed:\n%s", diff)
	}

	// A table that was edited since.
	root = t.TempDir()
	write(t, root, map[string]string{"images.csv": "image,label\na.jpg,hat\nb.jpg,shoes\n"}, "a.jpg", "b.jpg")
	do(t, root, Options{}, Correction{Picture: "a.jpg", Label: "hat", New: "shoes"})
	write(t, root, map[string]string{"images.csv": "image,label\nb.jpg,coat\na.jpg,shoes\n"})
	if _, err := Undo(context.Background(), root); !errors.As(err, &problems) {
		t.Errorf("%v", err)
	}
	if got := tree(t, root)["images.csv"]; got != "image,label\nb.jpg,coat\na.jpg,shoes\n" {
		t.Errorf("%q", got)
	}

	// Logs that somebody else wrote.
	const head = "step,from,to,separator,line,column,before,after\n"
	for name, text := range map[string]string{
		"empty": "", "text": "hello\n", "broken": head + "move,\"a", "unknown step": head + "copy,a,b,,,,,\n",
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
		before := tree(t, root)
		if u, err := Undo(context.Background(), root); err == nil {
			t.Errorf("%s: %+v", name, u)
		}
		if diff := same(before, tree(t, root)); diff != "" {
			t.Errorf("%s: something changed:\n%s", name, diff)
		}
	}
	if _, err := Undo(context.Background(), filepath.Join(root, "nix")); !errors.Is(err, fs.ErrNotExist) {
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
		"accepted": {"rank,picture,label,proposed,accepted\n1,a,hat,shoes,yes\n2,b,hat,coat,\n3,c,hat,coat,no\n4,d,hat,coat, X \n5,e,hat,coat,1\n6,f,hat,coat,TRUE\n", []Correction{{2, "a", "hat", "shoes"}, {5, "d", "hat", "coat"}, {6, "e", "hat", "coat"}, {7, "f", "hat", "coat"}}, 6, ""},
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

// A file of a million rows is read whole, and its problems are shown in a few lines.
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

// drawnTable is a table in any form, with its separator.
type drawnTable struct {
	text      string
	delimiter byte
	labels    []string
	column    int
}

func drawTable(t *rapid.T) drawnTable {
	d := drawnTable{delimiter: rapid.SampledFrom(separators).Draw(t, "separator")}
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

// Rows whose labels change, and no others, differ for encoding/csv, and undo gives the
// same bytes.
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
		before := tree(t, root)
		var corrections []Correction
		want := slices.Clone(d.labels)
		for i, label := range d.labels {
			if rapid.Bool().Draw(t, "changes") {
				want[i] = rapid.SampledFrom([]string{"hat", "new", `q"`, "a|b", "c;d,e"}).Draw(t, "new label")
				corrections = append(corrections, Correction{Picture: fmt.Sprintf("p%d.jpg", i+1),
					Label: label, New: want[i]})
			}
		}
		log := do(t, root, Options{NewClasses: true}, corrections...)
		rows := parsed(t, before["images.csv"], d.delimiter)
		for i, row := range parsed(t, tree(t, root)["images.csv"], d.delimiter) {
			for c, v := range row {
				old := rows[i][c]
				if i > 0 && c == d.column && strings.TrimSpace(v) != want[i-1] || (i == 0 || c != d.column) &&
					v != old {
					t.Fatalf("row %d column %d is %q, was %q", i, c, v, old)
				}
			}
		}
		if log != "" {
			undoAll(t, root)
		}
		if diff := same(before, tree(t, root)); diff != "" {
			t.Fatalf("after undo:\n%s", diff)
		}
	})
}

func parsed(t fataler, text string, delimiter byte) [][]string {
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
			for _, name := range rapid.SliceOfNDistinct(rapid.StringMatching("[a-z ,\"\n'é]{1,5}"), 0, 4,
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
		before := tree(t, root)
		log := do(t, root, Options{NewClasses: true}, corrections...)
		after := tree(t, root)
		for _, c := range corrections {
			to := strings.Replace(c.Picture, prefix+c.Label+"/", prefix+c.New+"/", 1)
			if after[to] != c.Picture {
				t.Fatalf("%q is not at %q: %q", c.Picture, to, after[to])
			}
		}
		if log != "" {
			undoAll(t, root)
		}
		if diff := same(before, tree(t, root)); diff != "" {
			t.Fatalf("after undo:\n%s", diff)
		}
	})
}

// The scanner and encoding/csv agree about what is a table, and about every field.
func FuzzScanner(f *testing.F) {
	for _, c := range tables {
		f.Add(c.before)
	}
	for _, text := range []string{"a\r", "\"a\r\n\",b\r\n\r\nc", "\"", "a\"b", "\"a\"b", ",\n\n,", "\xef\xbb\xbfa"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, input string) {
		r := csv.NewReader(strings.NewReader(strings.TrimPrefix(input, utf8Mark)))
		r.FieldsPerRecord = -1
		s := newScanner([]byte(input), ',')
		var rec record
		for {
			want, wantErr := r.Read()
			ok, err := s.next(&rec)
			var syntax *csv.ParseError
			if errors.As(wantErr, &syntax) != (err != nil) {
				t.Fatalf("%v, encoding/csv says %v", err, wantErr)
			}
			if err != nil || !ok {
				if err == nil && wantErr == nil {
					t.Fatalf("encoding/csv has another record: %q", want)
				}
				return
			}
			if wantErr != nil {
				t.Fatalf("encoding/csv: %v", wantErr)
			}
			if line, _ := r.FieldPos(0); line != rec.line || len(want) != len(rec.fields) {
				t.Fatalf("line %d with %d fields, want line %d with %q", rec.line, len(rec.fields), line, want)
			}
			for i, f := range rec.fields {
				if got := strings.ReplaceAll(unquote([]byte(input)[f.start:f.end]), "\r\n", "\n"); got != want[i] {
					t.Fatalf("field %d is %q, want %q", i, got, want[i])
				}
			}
		}
	})
}
