package dataset

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// Rows are as the tables have them: before labels are renamed or excluded, with repeated
// and conflicting ones, without those that name no picture.
func TestRows(t *testing.T) {
	root := tree(t, "a.jpg", "b.jpg", "c.jpg")
	const table = "note;image;label\n\"two\nlines\";a.jpg; hat " +
		"\n;b.jpg;coat\n;a.jpg;hat\n;b.jpg;hat\n;gone.jpg;hat\n;c.jpg;\n;c.jpg;Skip\n"
	if err := os.WriteFile(filepath.Join(root, "images.csv"), []byte(table), 0o644); err != nil {
		t.Fatal(err)
	}
	d, err := Read(context.Background(), root, Options{Merge: map[string]string{"hat": "cap"},
		Exclude: []string{"Skip"}})
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		name, label string
		line        int
	}{{"a.jpg", "hat", 2}, {"b.jpg", "coat", 4}, {"a.jpg", "hat", 5}, {"b.jpg", "hat", 6}, {"c.jpg", "Skip", 9}}
	if len(d.Rows) != len(want) {
		t.Fatalf("%+v", d.Rows)
	}
	for i, w := range want {
		r := d.Rows[i]
		if filepath.Base(r.Path) != w.name || r.Label != w.label || r.Line != w.line ||
			r.Source.Columns.Label != 2 || r.Source.Table.Delimiter != ';' || r.Source.Classes != nil {
			t.Errorf("row %d is %+v, want %+v", i, r, w)
		}
	}
}
