package dataset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// scan reads a table from memory, and returns its columns and rows.
func scan(from io.Reader) (columns []string, rows [][]string, bad []string, err error) {
	err = scanTable(context.Background(), "t.csv", from,
		func(t *Table) error { columns = t.Columns; return nil },
		func(r tableRow) error { rows = append(rows, slices.Clone(r.Fields)); return nil },
		func(_ int, message string) { bad = append(bad, message) })
	return columns, rows, bad, err
}

// endless is a reader that never ends.
type endless struct {
	first *strings.Reader
	given int
}

func (e *endless) Read(p []byte) (int, error) {
	if n, err := e.first.Read(p); err == nil {
		return n, nil
	}
	for i := range p {
		p[i] = 'x'
	}
	e.given += len(p)
	return len(p), nil
}

// TestLongLine checks that a line or a quoted field without an end is an error before it fills the
// memory.
func TestLongLine(t *testing.T) {
	for _, first := range []string{"image,label\n1,a\n", "image,label\n1,\"a\n", "", "\"image"} {
		from := &endless{first: strings.NewReader(first)}
		var broken *TableError
		if _, _, _, err := scan(from); !errors.As(err, &broken) || !strings.Contains(err.Error(), "longer than") {
			t.Errorf("%q: %v", first, err)
		}
		if from.given > 4*maxRecordBytes {
			t.Errorf("%q: %d bytes were read", first, from.given)
		}
	}
}

// TestLongTable checks that the bound on rows is not one on the table.
func TestLongTable(t *testing.T) {
	text := "image,label\n" + strings.Repeat(strings.Repeat("x", 1000)+",a\n", 3000)
	if _, rows, bad, err := scan(strings.NewReader(text)); err != nil || len(rows) != 3000 || len(bad) > 0 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
}

// TestManyRows checks that a million rows are read in bounded memory, and their missing pictures
// counted.
func TestManyRows(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a second")
	}
	const count = 1_000_000
	var b bytes.Buffer
	b.WriteString("image,sender,label\n")
	for i := range count {
		fmt.Fprintf(&b, "%d,%d,c%d\n", i, i%5000, i%7)
	}
	root := lay(t, contents{"images.csv": b.String(), "3.jpg": "", "4.png": ""})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	d, err := Read(t.Context(), root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if got := describe(d); got != ": c3 1, c4 1" || d.Tally.Count(ReasonMissing) != count-2 ||
		len(d.Tally.Skips()) != maxListed {
		t.Errorf("%s, %v", got, d.Tally.Counts())
	}
	if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > 100<<20 {
		t.Errorf("%d bytes are kept", kept)
	}
}

// TestRowsAreNotKept checks that unused columns of a table do not stay in memory.
func TestRowsAreNotKept(t *testing.T) {
	const count, wide = 80, 500_000
	var table strings.Builder
	table.WriteString("image,label,sender,text\n")
	files := contents{}
	for i := range count {
		files[fmt.Sprintf("%d.jpg", i)] = ""
		fmt.Fprintf(&table, "%d,label %d,sender %d,%s\n", i, i, i, strings.Repeat("x", wide))
	}
	files["images.csv"] = table.String()
	folder := lay(t, files)
	table.Reset()
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	d, err := Read(t.Context(), folder, Options{GroupBy: "sender"})
	if err != nil || len(d.All().Samples) != count {
		t.Fatalf("%v, %s", err, describe(d))
	}
	if after := heap(); after > before+count*wide/4 {
		t.Errorf("%d bytes are kept of a table of %d", after-before, count*wide)
	}
	runtime.KeepAlive(d)
}

// TestManyValues checks that the values that are counted are bounded, and a contributor is found
// among many columns without one.
func TestManyValues(t *testing.T) {
	table := &Table{Columns: []string{"image", "label", "who"}}
	for i := range maxTracked - 1 {
		table.Columns = append(table.Columns, fmt.Sprint("x", i))
	}
	c := newContributors(table, Columns{0, 1, -1, -1}, nil)
	fields := make([]string, len(table.Columns))
	for row := range 20_000 {
		for i := range fields {
			fields[i] = fmt.Sprint(row)
		}
		fields[2] = fmt.Sprint("user ", row/2%100)
		c.add(fields, fmt.Sprint(row%3))
	}
	values := 0
	for _, counts := range c.counts {
		values += len(counts)
	}
	if values > maxValues || values != c.values {
		t.Errorf("%d values, counted as %d", values, c.values)
	}
	if found := c.findLikely(); len(found) != 1 || found[0].Column != "who" || found[0].Groups != 100 {
		t.Errorf("%+v", found)
	}
}

func TestDelimiters(t *testing.T) {
	for text, want := range map[string]rune{
		"a,b;c,d\n": ',', "a;b;c,d\n1,2,3,4": ';', "a\tb\n": '\t', "a|b|c\n": '|', "a\n1,2\n": ',', "\n\na;b\n": ';',
		"\"a,b,c\";d\n": ';', "a": ',',
	} {
		if got := findDelimiter([]byte(text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestColumns(t *testing.T) {
	table := &Table{File: "t.csv", Columns: []string{"ID", "File_Name", "label", "Label ", "kind"}}
	if got := table.usualColumns(imageColumns); !slices.Equal(got, []int{1, 0}) {
		t.Errorf("pictures in %v", got)
	}
	for name, want := range map[string]int{"label": 2, " kind ": 4, "KIND": 4, "file name": 1} {
		if got, err := table.column(name); err != nil || got != want {
			t.Errorf("%q: %d, %v", name, got, err)
		}
	}
	for name, want := range map[string]string{"LABEL": "both like", "nix": `no column "nix"; its columns are "ID"`} {
		if _, err := table.column(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestFind checks names with and without an extension, and names that lead outside.
func TestFind(t *testing.T) {
	elsewhere := lay(t, contents{"x.jpg": ""})
	root := lay(t, contents{"a.jpg": "", "b.JPEG": "", "c.jpg": "", "c.png": "", "v1.2.jpg": "", "deep/d.webp": "",
		"e.txt": "", "dir.jpg/x.jpg": "", "noend": ""})
	f := newFiles(root, false)
	for name, want := range map[string]string{
		"a": "a.jpg", "a.jpg": "a.jpg", " a ": "a.jpg", "./a": "a.jpg", "b": "b.JPEG", "v1.2": "v1.2.jpg",
		"deep/d":      "deep/d.webp",
		`deep\d.webp`: "deep/d.webp", "noend": "noend", "e.txt": "e.txt", "deep/../a": "a.jpg", filepath.Join(root,
			"a"): "a.jpg",
	} {
		if path, reason, _ := f.find(name); path != filepath.Join(root, want) {
			t.Errorf("%q: %q, %s", name, path, reason)
		}
	}
	for name, want := range map[string]Reason{
		"": ReasonBadRow, "  ": ReasonBadRow, "c": ReasonBadRow, "../x": ReasonBadRow, "a\x00": ReasonBadRow,
		"z": ReasonMissing, "A": ReasonMissing, "deep": ReasonUnreadable, "dir.jpg": ReasonUnreadable,
		"nix/a": ReasonMissing, "a.png": ReasonMissing,
	} {
		if path, reason, message := f.find(name); path != "" || reason != want || message == "" {
			t.Errorf("%q: %q, %s, want %s", name, path, reason, want)
		}
	}
	absolute := filepath.Join(elsewhere, "x.jpg")
	if path, _, _ := f.find(absolute); path != absolute {
		t.Errorf("an absolute path: %q", path)
	}
	if path, reason, _ := newFiles(root, true).find(absolute); path != "" || reason != ReasonBadRow {
		t.Errorf("an absolute path in an archive: %q, %s", path, reason)
	}
}

// FuzzTable checks that no table makes the reader panic or hang, and that all rows are UTF-8 and
// as wide as the header.
func FuzzTable(f *testing.F) {
	for _, text := range []string{
		"image,label\na,b\n", "\xef\xbb\xbfimage;label\r\n\"a;\"\"b\";c\r\n", "image\tlabel\n\ta\n", "a,b\n1,2,\n1\n",
		"\xff\xfea", "a\x00", "\"", "a,b\n\"\n",
		"filename, x, y\n1, 1, 0\n", "\x1f\x8b", "PK\x03\x04",
	} {
		f.Add([]byte(text))
	}
	folder := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		columns, rows, _, err := scan(bytes.NewReader(text))
		var broken *TableError
		if err != nil && !errors.As(err, &broken) {
			t.Fatal(err)
		}
		for _, row := range rows {
			if len(row) < len(columns) || slices.ContainsFunc(row, func(s string) bool {
				return strings.ToValidUTF8(s, "") != s
			}) {
				t.Fatalf("%q of %q", row, columns)
			}
		}
		path := filepath.Join(folder, "labels.csv")
		if err = os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		d, err := Read(context.Background(), path, Options{})
		if errors.Is(err, ErrArchive) {
			return // it begins as an archive does, which FuzzArchive reads
		}
		if err != nil {
			t.Fatal(err)
		}
		if d.Err() == nil && len(d.All().Samples) == 0 {
			t.Fatal("neither a picture nor a reason")
		}
	})
}
