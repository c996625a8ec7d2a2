package dataset

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// contents are files by their path; those without content hold their own path.
type contents map[string]string

// lay writes files to a new folder, and returns its path.
func lay(t testing.TB, files contents) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(path, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if text == "" {
			text = name
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// pictures returns count pictures in each of some folders.
func pictures(count int, folders ...string) contents {
	files := contents{}
	for _, folder := range folders {
		for i := range count {
			files[fmt.Sprintf("%s/%s-%d.jpg", folder, strings.ReplaceAll(folder, "/", "_"), i)] = ""
		}
	}
	return files
}

func with(all ...contents) contents {
	files := contents{}
	for _, c := range all {
		maps.Copy(files, c)
	}
	return files
}

// describe returns what was read in one line: the number of pictures of each class in each part.
func describe(d *Data) string {
	var parts []string
	for _, p := range d.Parts {
		counts := make([]int, len(d.Classes))
		for _, s := range p.Set.Samples {
			counts[s.Label]++
		}
		var classes []string
		for i, n := range counts {
			if n > 0 {
				classes = append(classes, fmt.Sprintf("%s %d", d.Classes[i], n))
			}
		}
		parts = append(parts, p.Name+": "+strings.Join(classes, ", "))
	}
	return strings.Join(parts, "; ")
}

// rows returns the lines of a table for count pictures of each class.
func rows(count int, format string, classes ...string) string {
	var b strings.Builder
	for c, class := range classes {
		for i := range count {
			fmt.Fprintf(&b, format+"\n", fmt.Sprintf("p%d-%d", c, i), class)
		}
	}
	return b.String()
}

// flat returns the pictures of rows, in a folder, with an extension.
func flat(count, classes int, folder, ending string) contents {
	files := contents{}
	for c := range classes {
		for i := range count {
			files[fmt.Sprintf("%sp%d-%d%s", folder, c, i, ending)] = ""
		}
	}
	return files
}

// layoutCase is a data set as tools and people write them, and what is read of it.
type layoutCase struct {
	files   contents
	options Options
	at      string // the path below the folder
	layout  Layout
	want    string
	skipped string
}

var layoutCases = map[string]layoutCase{
	"the course: train, validation, test": {
		files: pictures(2, "train/hat", "train/shoes", "validation/hat", "validation/shoes", "test/hat",
			"test/shoes"),
		want: "train: hat 2, shoes 2; validation: hat 2, shoes 2; test: hat 2, shoes 2", layout: LayoutSplits,
	},
	"Ultralytics: train and val, in any letter case": {
		files: with(pictures(2, "Train/hat", "Train/shoes", "VAL/hat", "VAL/shoes"),
			contents{"data.yaml": "x", "README.md": "x"}),
		want: "train: hat 2, shoes 2; validation: hat 2, shoes 2", layout: LayoutSplits,
	},
	"fastai: train and valid beside labels.csv": {
		files: with(pictures(2, "train/3", "train/7", "valid/3", "valid/7"),
			contents{"labels.csv": "name,label\ntrain/3/train_3-0.jpg,3\n"}),
		want: "train: 3 2, 7 2; validation: 3 2, 7 2", layout: LayoutSplits,
	},
	"torchvision: a folder for each class": {
		files: pictures(3, "hat", "shoes"), want: ": hat 3, shoes 3", layout: LayoutClasses,
	},
	"Roboflow folders: train, valid, test and read-me files": {
		files: with(pictures(1, "train/a", "train/b", "valid/a", "valid/b", "test/a", "test/b"),
			contents{"README.roboflow.txt": "x", "README.dataset.txt": "x"}),
		want: "train: a 1, b 1; validation: a 1, b 1; test: a 1, b 1", layout: LayoutSplits,
	},
	"Roboflow table: a column for each class, in the folder of each split": {
		files: contents{
			"train/_classes.csv": "filename, hat, shoes\n1.jpg, 1, 0\n2.jpg, 0, 1\n3.jpg, 1, 1\n4.jpg, 0, 0\n",
			"train/1.jpg":        "", "train/2.jpg": "", "train/3.jpg": "", "train/4.jpg": "",
			"valid/_classes.csv": "filename, hat, shoes\n5.jpg, 1, 0\n", "valid/5.jpg": "",
		},
		want: "train: hat 1, shoes 1; validation: hat 1", layout: LayoutTable,
		skipped: "conflicting_labels 1, no_label 1",
	},
	"Keras: flow_from_dataframe with filename and class": {
		files: with(flat(2, 2, "photos/", ".png"),
			contents{"frame.csv": "filename,class\n" + rows(2, "%s.png,%s", "hat", "shoes")}),
		want: ": hat 2, shoes 2", layout: LayoutTable,
	},
	"Kaggle: labels.csv with id and breed, pictures in train, no labels for test": {
		files: with(flat(2, 2, "train/", ".jpg"), pictures(2, "test"),
			contents{
				"labels.csv":            "id,breed\n" + rows(2, "%s,%s", "pug", "boxer"),
				"sample_submission.csv": "id,label\nx,0\n",
			}),
		want: ": boxer 2, pug 2", layout: LayoutTable, skipped: "unlisted 2",
	},
	"Kaggle: train.csv beside test.csv without labels": {
		files: with(flat(2, 2, "train_images/", ".jpg"),
			contents{
				"train.csv": "image_id,label\n" + rows(2, "%s.jpg,%s", "0", "1"),
				"test.csv":  "image_id\nx.jpg\n", "sample_submission.csv": "image_id,label\nx.jpg,0\n",
			}),
		want: ": 0 2, 1 2", layout: LayoutTable,
	},
	"the full clothing set: images.csv and two sizes of pictures": {
		files: with(flat(2, 2, "images_compressed/", ".jpg"), flat(2, 2, "images_original/", ".jpg"),
			contents{"images.csv": "image,sender_id,label,kids\n" +
				rows(2, "%s,7,%s,False", "Not sure", "T-Shirt")}),
		want: ": Not sure 2, T-Shirt 2", layout: LayoutTable, skipped: "unlisted 4",
	},
	"Hugging Face: metadata.csv in train": {
		files: with(flat(1, 2, "train/", ".jpg"),
			contents{"train/metadata.csv": "file_name,label\n" + rows(1, "%s.jpg,%s", "a", "b")}),
		want: "train: a 1, b 1", layout: LayoutTable,
	},
	"a table that says the split": {
		files: with(flat(3, 1, "", ".jpg"),
			contents{"labels.csv": "path,label,split\np0-0.jpg,a,train\np0-1.jpg,a,Val\np0-2.jpg,a,test\n"}),
		want: "train: a 1; validation: a 1; test: a 1", layout: LayoutTable,
	},
	"HAM10000: one table, pictures in two folders": {
		files: with(pictures(2, "part_1", "part_2"),
			contents{"HAM_metadata.csv": "image_id,lesion,category\n" +
				"part_1-0,1,nv\npart_1-1,1,mel\npart_2-0,2,nv\npart_2-1,2,mel\n"}),
		want: ": mel 2, nv 2", layout: LayoutTable,
	},
	"train and test alone": {
		files:  pictures(4, "train/a", "train/b", "Testing/a", "Testing/b"),
		want:   "train: a 4, b 4; test: a 4, b 4",
		layout: LayoutSplits,
	},
	"train alone": {
		files: pictures(4, "train/a", "train/b"), want: "train: a 4, b 4", layout: LayoutSplits,
	},
	"all in one folder, as an archive unpacks": {
		files: pictures(2, "imagewoof2/train/a", "imagewoof2/train/b", "imagewoof2/val/a", "imagewoof2/val/b"),
		want:  "train: a 2, b 2; validation: a 2, b 2", layout: LayoutSplits,
	},
	"a class that is called train": {
		files: pictures(2, "train", "plane", "car"), want: ": car 2, plane 2, train 2", layout: LayoutClasses,
	},
	"pictures below class folders": {
		files: pictures(2, "hat/red/2020", "hat/blue", "hat", "shoes"), want: ": hat 6, shoes 2",
		layout: LayoutClasses,
	},
	"hidden files, system folders, empty folders, other files": {
		files: with(pictures(2, "hat", "shoes", "hat/.ipynb_checkpoints", "__MACOSX/hat"), contents{
			"hat/.DS_Store": "", "hat/Thumbs.db": "", "empty/": "", "hat/empty/": "", "hat/notes.txt": "",
			"loose.jpg": "", "LICENSE": "",
		}),
		want: ": hat 2, shoes 2", layout: LayoutClasses,
		skipped: "empty_folder 2, hidden 4, not_a_picture 1, outside_classes 1",
	},
	"pictures beside the splits": {
		files: pictures(2, "train/a", "train/b", "val/a", "val/b", "unsup", "test"),
		want:  "train: a 2, b 2; validation: a 2, b 2", layout: LayoutSplits,
		skipped: "no_label 2, outside_classes 2",
	},
	"semicolons, a byte order mark, quotes, CRLF, spaces": {
		files: with(flat(2, 2, "images/", ".JPG"),
			contents{"images.csv": "\xef\xbb\xbf\"Image\"; \"Label\";note\r\n" +
				"p0-0.JPG; hat ;\"a;b\"\r\n\"p0-1\";hat;\"two\r\nlines\"\r\np1-0;\"shoes\";\r\n p1-1 ;shoes;x\r\n"}),
		want: ": hat 2, shoes 2", layout: LayoutTable,
	},
	"the delimiter in a line of its own": {
		files: with(flat(1, 2, "", ".jpg"), contents{
			"labels.csv": "sep=;\r\nfile;label\r\n" + rows(1, "%s.jpg;%s", "a, b, c", "d, e, f"),
		}),
		want: ": a, b, c 1, d, e, f 1", layout: LayoutTable,
	},
	"tabs": {
		files: with(flat(1, 2, "", ".jpg"),
			contents{"labels.tsv": "file\tcategory\n" + rows(1, "%s.jpg\t%s", "a, b", "c")}),
		want: ": a, b 1, c 1", layout: LayoutTable,
	},
	"named columns, table and folder": {
		files: with(flat(1, 2, "deep/er/", ".jpg"),
			contents{"my/table.txt": "what,kind,label\n" + rows(1, "%s,%s,x", "a", "b")}),
		options: Options{Labels: "my/table.txt", Images: "deep/er", ImageColumn: "What", LabelColumn: "kind"},
		want:    ": a 1, b 1", layout: LayoutTable,
	},
	"named columns find the table": {
		files: with(flat(1, 2, "Fotos/", ".jpg"), contents{
			"Liste.csv": "\xef\xbb\xbfDatei;Kategorie\n" + rows(1, "%s.jpg;%s ", "a", "b"),
			"other.csv": "x,y\n1,2\n",
		}),
		options: Options{ImageColumn: "Datei", LabelColumn: "Kategorie"}, want: ": a 1, b 1", layout: LayoutTable,
	},
	"the table itself": {
		files: with(flat(1, 2, "images/", ".jpg"),
			contents{
				"x.csv": "image,label\n" + rows(1, "images/%s.jpg,%s", "a", "b"), "y.csv": "image,label\nno,no\n",
			}),
		at: "x.csv", want: ": a 1, b 1", layout: LayoutTable,
	},
	"Windows' paths": {
		files: with(flat(1, 2, "images/", ".jpg"),
			contents{"x.csv": "path,label\n" + rows(1, `images\%s.jpg,%s`, "a", "b")}),
		want: ": a 1, b 1", layout: LayoutTable,
	},
	"missing files, rows without a label, broken rows, repeats and conflicts": {
		files: with(flat(4, 1, "", ".jpg"), contents{"dir.jpg/x": "",
			"images.csv": "image,label\np0-0,a\ngone,a\np0-1,\np0-2,a\np0-2,a\np0-3,a\np0-3,b\n" +
				"../../etc/passwd,a\n,a\np0-0.jpg,a,b\ndir.jpg,a\nnot utf\xff8,a\n"}),
		want: ": a 2", layout: LayoutTable,
		skipped: "bad_row 4, conflicting_labels 1, missing 1, no_label 1, repeated 1, unreadable 1",
	},
	"a spreadsheet's empty lines, which are no rows": {
		files: with(flat(1, 2, "", ".jpg"),
			contents{"images.csv": "image;label\r\np0-0;a\r\n;\r\np1-0;b\r\n ; \r\n"}),
		want: ": a 1, b 1", layout: LayoutTable,
	},
	"labels merged, excluded and chosen": {
		files: with(flat(1, 5, "", ".jpg"),
			contents{"images.csv": "image,label\n" + rows(1, "%s,%s", "Polo", "T-Shirt", "Skip", "Not sure", "Hat")}),
		options: Options{
			Merge:   map[string]string{"polo": "t-shirt", "T-Shirt": "t-shirt"},
			Exclude: []string{"skip", "Not sure"}, Classes: []string{"t-shirt"},
		},
		want: ": t-shirt 2", layout: LayoutTable, skipped: "excluded 3",
	},
	"labels excluded as they are before and after they are merged": {
		files: with(flat(1, 4, "", ".jpg"),
			contents{"images.csv": "image,label\n" + rows(1, "%s,%s", "polo", "top", "cap", "hat")}),
		options: Options{Merge: map[string]string{"polo": "t-shirt", "cap": "hats"},
			Exclude: []string{"polo", "hats"}},
		want: ": hat 1, top 1", layout: LayoutTable, skipped: "excluded 2",
	},
	"an excluded label that could be two": {
		files: with(flat(1, 3, "", ".jpg"), contents{
			"images.csv": "image,label\n" + rows(1, "%s,%s", "T-Shirt", "t-shirt", "hat"),
		}),
		options: Options{Exclude: []string{"T-SHIRT"}}, want: ": T-Shirt 1, hat 1, t-shirt 1", layout: LayoutTable,
	},
	"class folders with spaces round their names": {
		files: pictures(1, "hat ", " shoes"), want: ": hat 1, shoes 1", layout: LayoutClasses,
	},
	"a missing picture is not taken from another folder": {
		files: with(flat(4, 1, "test/", ".jpg"), contents{
			"train/p0-0.jpg": "", "train/p0-1.jpg": "", "train/p0-3.jpg": "",
			"train.csv": "id,label\n" + rows(4, "%s,%s", "a"),
		}),
		want: ": a 4", layout: LayoutTable, skipped: "unlisted 3", // all are in test
	},
	"a missing picture of one that two folders have is missing": {
		files: with(flat(4, 1, "test/", ".jpg"), flat(6, 1, "train/", ".jpg"), contents{
			"train/p0-9.jpg": "", "test/p0-7.jpg": "",
			"train.csv": "id,label\n" + rows(6, "%s,%s", "a") + "p0-9,a\np0-7,a\n",
		}),
		want: ": a 7", layout: LayoutTable, skipped: "missing 1, unlisted 5",
	},
	"pictures that no row names": {
		files: with(flat(3, 1, "images/", ".jpg"), contents{
			"images/other.jpg": "", "images/.hidden.jpg": "", "images/x.txt": "", "elsewhere/z.jpg": "",
			"labels.csv": "image,label\np0-0,a\np0-1,a\np0-2,\n",
		}),
		want: ": a 2", layout: LayoutTable, skipped: "no_label 1, unlisted 2",
	},
	"pictures of two tables in one folder": {
		files: with(flat(1, 3, "images/", ".jpg"), contents{"train.csv": "image,label\np0-0,a\n",
			"test.csv": "image,label\np1-0,a\n"}),
		want: "train: a 1; test: a 1", layout: LayoutTable, skipped: "unlisted 1",
	},
	"rows of one file that agree once labels are merged": {
		files: with(flat(1, 1, "", ".jpg"),
			contents{"images.csv": "image,label\np0-0,polo\np0-0,t-shirt\np0-0,Skip\n"}),
		options: Options{Merge: map[string]string{"polo": "t-shirt"}, Exclude: []string{"Skip"}},
		want:    ": t-shirt 1", layout: LayoutTable, skipped: "excluded 1, repeated 1",
	},
}

// skipUnnamable skips a test on Windows, if it has a folder that cannot be there.
func skipUnnamable(t *testing.T, files contents) {
	t.Helper()
	if runtime.GOOS != "windows" {
		return
	}
	for name := range files {
		if folder, _, _ := strings.Cut(name, "/"); strings.HasSuffix(folder, " ") || strings.Contains(folder, "\x1b") {
			t.Skipf("Windows has no folder %q", folder)
		}
	}
}

func TestLayouts(t *testing.T) {
	for name, c := range layoutCases {
		t.Run(name, func(t *testing.T) {
			skipUnnamable(t, c.files)
			root := lay(t, c.files)
			for _, path := range []*string{&c.options.Labels, &c.options.Images} {
				if *path != "" {
					*path = filepath.Join(root, *path)
				}
			}
			d, err := Read(t.Context(), filepath.Join(root, c.at), c.options)
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Err(); err != nil {
				t.Fatal(err)
			}
			if got := describe(d); got != c.want || d.Layout != c.layout {
				t.Errorf("%s %q\nwant %s %q\nnotes %q", d.Layout, got, c.layout, c.want, d.Notes)
			}
			if got := describeTally(&d.Tally); got != c.skipped {
				t.Errorf("skipped %q, want %q: %+v", got, c.skipped, d.Tally.Skips())
			}
			if c.at == "" && c.options.Labels == "" {
				c.checkArchives(t)
			}
		})
	}
}

// describeTally returns the counts of a tally in one line.
func describeTally(tally *Tally) string {
	counts := tally.Counts()
	var words []string
	for _, reason := range slices.Sorted(maps.Keys(counts)) {
		words = append(words, fmt.Sprintf("%s %d", reason, counts[reason]))
	}
	return strings.Join(words, ", ")
}

// checkArchives checks that archives of the files are read as the folder is.
func (c layoutCase) checkArchives(t *testing.T) {
	for kind, archive := range map[string][]byte{
		"zip": packZip(t, c.files), "tar": packTar(t, c.files, false), "tar.gz": packTar(t, c.files, true),
	} {
		path := filepath.Join(t.TempDir(), "archive")
		if err := os.WriteFile(path, archive, 0o644); err != nil {
			t.Fatal(err)
		}
		options := c.options
		options.Cache = filepath.Join(t.TempDir(), "cache")
		for range 2 { // the second time from the cache
			d, err := Read(t.Context(), path, options)
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			if got := describe(d); got != c.want {
				t.Errorf("%s: %q, want %q", kind, got, c.want)
			}
		}
	}
}

func packZip(t testing.TB, files contents) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(name, "/") {
			fmt.Fprint(f, orName(files[name], name))
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func orName(text, name string) string {
	if text == "" {
		return name
	}
	return text
}

func packTar(t testing.TB, files contents, packed bool) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h := &tar.Header{Name: "./" + name, Mode: 0o644, Typeflag: tar.TypeReg,
			Size: int64(len(orName(files[name], name)))}
		if strings.HasSuffix(name, "/") {
			h.Typeflag, h.Size = tar.TypeDir, 0
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			fmt.Fprint(w, orName(files[name], name))
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if !packed {
		return b.Bytes()
	}
	var z bytes.Buffer
	g := gzip.NewWriter(&z)
	g.Write(b.Bytes())
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	return z.Bytes()
}

// TestPictureFolders checks that, of several folders with all pictures, the table's own is preferred,
// and then one that is named for pictures.
func TestPictureFolders(t *testing.T) {
	table := contents{"images.csv": "image,label\n" + rows(1, "%s,%s", "a", "b")}
	for want, files := range map[string]contents{
		".": with(table, flat(1, 2, "", ".jpg"), flat(1, 2, "images/", ".jpg")),
		"images": with(table, flat(1, 2, "a/", ".jpg"), flat(1, 2, "images/", ".jpg"), flat(1, 2, "images_large/",
			".jpg")),
		"images_compressed": with(table, flat(1, 2, "backup/", ".jpg"), flat(1, 2, "images_compressed/", ".jpg"),
			flat(1, 2, "images_original/", ".jpg")),
		"photos": with(table, flat(1, 2, "old/", ".jpg"), flat(1, 2, "photos/", ".jpg")),
	} {
		root := lay(t, files)
		d, err := Read(t.Context(), root, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range d.All().Samples {
			if filepath.Dir(s.Path) != filepath.Join(root, want) {
				t.Errorf("%s: %s", want, s.Path)
			}
		}
	}
}

// TestTablesElsewhere checks that a table may lie outside the pictures' folder, and that its path may
// be relative to the data set.
func TestTablesElsewhere(t *testing.T) {
	photos := lay(t, flat(1, 2, "all/", ".jpg"))
	table := filepath.Join(lay(t, contents{"list.csv": "image,label\n" + rows(1, "%s,%s", "a", "b")}), "list.csv")
	both := lay(t, with(flat(1, 2, "photos/", ".jpg"), contents{
		"one.csv": "image,label\n" + rows(1, "%s,%s", "a", "b"),
		"two.csv": "image,label\n" + rows(1, "%s,%s", "c", "d"),
	}))
	for _, c := range []struct {
		path    string
		options Options
		want    string
	}{
		{photos, Options{Labels: table}, ": a 1, b 1"},
		{filepath.Join(photos, "all"), Options{Labels: table}, ": a 1, b 1"},
		{both, Options{Labels: "two.csv"}, ": c 1, d 1"},
		{both, Options{Labels: "two.csv", Images: "photos"}, ": c 1, d 1"},
	} {
		d, err := Read(t.Context(), c.path, c.options)
		if err != nil || d.Err() != nil || describe(d) != c.want {
			t.Errorf("%+v: %v, %v, %s", c.options, err, d.Err(), describe(d))
		}
	}
}

// TestDivisionsOfLayouts checks the splits of each layout.
func TestDivisionsOfLayouts(t *testing.T) {
	rule := SplitRule{Validation: 0.25, Test: 0.25, Seed: 1}
	folds := SplitRule{Validation: 0.25, Test: 0.25, Seed: 1, Folds: 4, Fold: 2}
	for name, c := range map[string]struct {
		files                   contents
		rule                    SplitRule
		train, validation, test int
		pooled                  string
	}{
		"as it lies":           {pictures(8, "train/a", "train/b", "val/a", "val/b"), rule, 16, 16, 0, ""},
		"validation off train": {pictures(8, "train/a", "train/b", "test/a", "test/b"), rule, 12, 4, 16, Train},
		"all off train":        {pictures(8, "train/a", "train/b"), rule, 8, 4, 4, Train},
		"all":                  {pictures(8, "a", "b"), rule, 8, 4, 4, "all pictures"},
		"folds":                {pictures(8, "a", "b"), folds, 9, 3, 4, "all pictures"},
		"folds of both": {pictures(8, "train/a", "train/b", "val/a", "val/b", "test/a"), folds, 24, 8, 8,
			"train and validation"},
		"folds of train": {pictures(8, "train/a", "train/b", "test/a", "test/b"), folds, 12, 4, 16, Train},
		"no test is divided off": {pictures(8, "a", "b"), SplitRule{Validation: 0.5, Seed: 1}, 8, 8, 0,
			"all pictures"},
		"another share for train": {pictures(10, "a", "b"), SplitRule{Validation: 0.1, Test: 0.3, Seed: 1}, 12, 2, 6,
			"all pictures"},
	} {
		s, err := OpenSplits(lay(t, c.files), c.rule)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		test := 0
		if s.Test != nil {
			test = len(s.Test.Samples)
		}
		pooled := ""
		if s.Division != nil {
			pooled = s.Division.Pooled
		}
		if len(s.Train.Samples) != c.train || len(s.Validation.Samples) != c.validation || test != c.test ||
			pooled != c.pooled {
			t.Errorf("%s: %d, %d, %d of %q, want %d, %d, %d of %q", name, len(s.Train.Samples),
				len(s.Validation.Samples), test, pooled, c.train, c.validation, c.test, c.pooled)
		}
	}
}

// TestRefused checks that everything for which training refuses a data set is a problem that says
// what to do, and that the rest is read.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		files   contents
		options Options
		want    string
		rest    string // what is read
	}{
		"nothing":            {contents{"readme.txt": ""}, Options{}, "no labelled pictures", ""},
		"only hidden":        {pictures(1, ".a", ".b"), Options{}, "no labelled pictures", ""},
		"only empty folders": {contents{"a/": "", "b/": ""}, Options{}, "2 empty folders", ""},
		"loose pictures":     {contents{"1.jpg": "", "2.jpg": ""}, Options{}, "folder for each class", ""},
		"splits without class folders": {pictures(1, "train", "test"), Options{},
			`"test", "train" have no class folders`, ""},
		"two for validation": {pictures(1, "train/a", "val/a", "valid/a"), Options{}, `"val", "valid"`,
			"train: a 1; validation: a 2"},
		"no columns": {contents{"images.csv": "a,b\n1,2\n"}, Options{}, `none of its columns "a", "b"`, ""},
		"no label column": {contents{"images.csv": "image,b\n1,2\n", "1.jpg": ""}, Options{},
			"known to have labels", ""},
		"unknown columns": {contents{"images.csv": "image,label\n1,2\n", "1.jpg": ""},
			Options{LabelColumn: "kind", GroupBy: "sender"}, `no column "kind"`, ""},
		"unknown group": {contents{"images.csv": "image,label\n1,2\n", "1.jpg": ""},
			Options{GroupBy: "sender"}, `no column "sender"`, ": 2 1"},
		"empty table": {contents{"images.csv": "\n"}, Options{}, "empty", ""},
		"no rows":     {contents{"images.csv": "image,label\n"}, Options{}, "no labelled pictures", ""},
		"a table of unknown columns beside one folder": {with(flat(1, 2, "Fotos/", ".jpg"), contents{
			"Liste.csv": "Datei;Kategorie\np0-0;a\n",
		}), Options{}, `none of its columns "Datei", "Kategorie"`, ""},
		"UTF-16":              {contents{"images.csv": "\xff\xfei\x00"}, Options{}, "UTF-16", ""},
		"old Macs' line ends": {contents{"images.csv": "image,label\r1,a\r", "1.jpg": ""}, Options{}, "old Macs", ""},
		"zero bytes":          {contents{"images.csv": "image,label\n\x00"}, Options{}, "zero bytes", ""},
		"broken quote": {contents{"images.csv": "image,label\n1,a\n\"2,b\n", "1.jpg": "", "2.jpg": ""},
			Options{}, "line 3", ": a 1"},
		"several tables": {contents{"x.csv": "image,label\n1,a\n", "y.csv": "image,label\n1,a\n", "1.jpg": ""},
			Options{}, `"x.csv", "y.csv"`, ""},
		"no folder of images": {contents{"images.csv": "image,label\n1,a\n", "1.jpg": ""}, Options{Images: "nix"},
			"not a folder", ""},
		"a class without pictures": {pictures(1, "a", "b"), Options{Classes: []string{"a", "c"}},
			`the requested class "c"`, ": a 1"},
		"a blank class":      {pictures(1, "a", " "), Options{}, "a blank name", ":  1, a 1"},
		"control characters": {pictures(1, "a", "b\x1b[2J"), Options{}, `"b\x1b[2J"`, ": a 1, b\x1b[2J 1"},
	} {
		t.Run(name, func(t *testing.T) {
			skipUnnamable(t, c.files)
			d, err := Read(t.Context(), lay(t, c.files), c.options)
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Err(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if got := describe(d); got != c.rest {
				t.Errorf("read %q, want %q", got, c.rest)
			}
			if _, err := d.Split(DefaultSplitRule()); err == nil {
				t.Error("it was divided")
			}
		})
	}
}

// TestReadErrors has options and paths for which Read fails.
func TestReadErrors(t *testing.T) {
	for name, o := range map[string]Options{
		"group twice": {GroupBy: "a", GroupPattern: "b"}, "pattern": {GroupPattern: "("}, "no table": {GroupBy: "a"},
		"no match":         {GroupPattern: "zzz"},
		"merge to nothing": {Merge: map[string]string{"a": " "}},
		"merge of nothing": {Merge: map[string]string{"": "a"}},
		"class":            {Classes: []string{" "}},
	} {
		var option *OptionsError
		if _, err := Read(t.Context(), lay(t, pictures(3, "a", "b")), o); !errors.As(err, &option) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Read(t.Context(), filepath.Join(t.TempDir(), "nix"), Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if _, err := OpenSplits(lay(t, pictures(4, "train/a", "val/a", "val/b")), DefaultSplitRule()); err == nil ||
		!strings.Contains(err.Error(), `train has no pictures of "b"`) {
		t.Errorf("a class without training pictures: %v", err)
	}
	if _, err := OpenSplits(lay(t, pictures(4, "val/a", "test/b")), DefaultSplitRule()); err == nil ||
		!strings.Contains(err.Error(), "no train split") {
		t.Errorf("no train: %v", err)
	}
}

// TestWarnings checks the warnings and notes about data sets that are not refused.
func TestWarnings(t *testing.T) {
	d, err := Read(t.Context(), lay(t, with(flat(3, 3, "", ".jpg"), contents{
		"images.csv": "image,label\n" + rows(3, "%s,%s", "T-Shirt", "t-shirt", "Hat"),
	})), Options{Exclude: []string{"Socks"},
		Merge: map[string]string{"hat": "cap"}})
	if err != nil || d.Err() != nil {
		t.Fatal(err, d.Err())
	}
	if len(d.Problems) != 1 || d.Problems[0].Kind != ProblemAlike || !strings.Contains(d.Problems[0].Message,
		`"T-Shirt", "t-shirt"`) {
		t.Errorf("%+v", d.Problems)
	}
	invisible, err := Read(t.Context(), lay(t, pictures(1, "hat", "hat\u200b")), Options{})
	if err != nil || invisible.Err() != nil || len(invisible.Problems) == 0 ||
		!strings.Contains(invisible.Problems[0].Message, `"hat", "hat\u200b"`) {
		t.Errorf("%v, %+v", err, invisible.Problems)
	}
	for label, merge := range map[string]map[string]string{ // a label's own name counts, then the first
		"hat": {"Hat": "x", "hat": "y", "HAT": "z"},
		"Hat": {"HAT": "z", "Hat": "y", "hat": "x"},
		"haT": {"HAT": "y", "Hat": "x", "hat": "z"},
	} {
		merged, err := Read(t.Context(), lay(t, pictures(1, label, "b")), Options{Merge: merge})
		if err != nil || describe(merged) != ": b 1, y 1" ||
			strings.Count(strings.Join(merged.Notes, "\n"), "is renamed otherwise") != 2 {
			t.Errorf("%s: %v, %s, %q", label, err, describe(merged), merged.Notes)
		}
	}
	notes := strings.Join(d.Notes, "\n")
	if !strings.Contains(notes, `exclude: no picture is labelled "Socks"`) || !strings.Contains(notes,
		`merge: "hat" is read as the label "Hat"`) {
		t.Errorf("notes %q", notes)
	}
}

// TestClassesNamedLikeSplits checks that there is a warning about classes whose names look like
// splits, but not about a class of trains.
func TestClassesNamedLikeSplits(t *testing.T) {
	for name, c := range map[string]struct {
		files  contents
		warned bool
	}{
		"a competition's": {pictures(1, "seg_train/seg_train", "seg_test/seg_test", "seg_pred"), true},
		"with years":      {pictures(1, "train2017", "val2017"), true},
		"splits deeper": {with(pictures(1, "images/train/a", "images/val/a"), contents{"annotations/x.json": "{}"}),
			true},
		"train and test": {pictures(1, "train", "test", "hat"), true},
		"vehicles":       {pictures(1, "train", "car", "bus"), false},
		"toys":           {pictures(1, "train-station", "training", "car"), false},
	} {
		d, err := Read(t.Context(), lay(t, c.files), Options{})
		if err != nil || d.Err() != nil {
			t.Fatal(name, err, d.Err())
		}
		warned := slices.ContainsFunc(d.Problems,
			func(p Problem) bool { return p.Kind == ProblemLayout && !p.Refused })
		if warned != c.warned {
			t.Errorf("%s: %+v", name, d.Problems)
		}
	}
}

// TestNotesOfLayouts checks that notes say what was decided, and that what lies beside a nested data
// set is counted.
func TestNotesOfLayouts(t *testing.T) {
	for want, files := range map[string]contents{
		"labels.csv is ignored: the folders give": with(pictures(1, "train/a", "val/a"),
			contents{"labels.csv": "name,label\nx,a\n"}),
		"notes.csv is ignored: it has no columns": with(pictures(1, "a", "b"), contents{"notes.csv": "x,y\n"}),
		"list.csv is ignored: its pictures": with(pictures(1, "a", "b"),
			contents{"list.csv": "image,label\nnix,a\n"}),
		`"dev" is not a split`: with(flat(1, 2, "", ".jpg"),
			contents{"images.csv": "image,label,split\np0-0,a,train\np1-0,b,dev\n"}),
		"sample_submission.csv is ignored: one table": {"a.jpg": "", "b.jpg": "", "labels.csv": "id,label\na,1\nb,2\n",
			"sample_submission.csv": "id,label\nb,3\n"},
		"a column for each class":                    {"_classes.csv": "image,a,b\n1,0,1\n", "1.jpg": ""},
		`the labels are those of the column "label"`: {"labels.csv": "image,category,label\n1,0,1\n", "1.jpg": ""},
	} {
		d, err := Read(t.Context(), lay(t, files), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if notes := strings.Join(d.Notes, "\n"); !strings.Contains(notes, want) {
			t.Errorf("notes %q, want %q", notes, want)
		}
	}
	d, err := Read(t.Context(), lay(t, with(pictures(1, "set/a", "set/b", "__MACOSX/set"), contents{"loose.jpg": ""})),
		Options{})
	if err != nil || d.Tally.Count(ReasonHidden) != 1 || d.Tally.Count(ReasonOutside) != 1 ||
		describe(d) != ": a 1, b 1" {
		t.Errorf("%v, %v", err, d.Tally.Counts())
	}
}

// TestOneFileOfTwoNames checks that two rows are of one file if one names it by its path and the
// other by its name.
func TestOneFileOfTwoNames(t *testing.T) {
	root := lay(t, contents{"d/1.jpg": "", "d/2.jpg": "", "d/3.jpg": ""})
	table := fmt.Sprintf("image,label\n1,a\n2,a\n3,b\n%s,b\n%s,a\n", filepath.Join(root, "d", "1.jpg"),
		root+"//d/./2.jpg")
	if err := os.WriteFile(filepath.Join(root, "d", "images.csv"), []byte(table), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Chdir(root)
	for _, path := range []string{"d", root} {
		d, err := Read(t.Context(), path, Options{})
		if err != nil || describe(d) != ": a 1, b 1" || d.Tally.Count(ReasonConflict) != 1 ||
			d.Tally.Count(ReasonRepeated) != 1 {
			t.Errorf("%s: %v, %s, %v", path, err, describe(d), d.Tally.Counts())
		}
	}
}

// TestGroupsOfLayouts checks that groups come from a column or from names, and a group that lies
// in several splits is reported.
func TestGroupsOfLayouts(t *testing.T) {
	files := with(flat(3, 2, "", ".jpg"),
		contents{"images.csv": "image,sender,label\np0-0,7,a\np0-1,7,a\np0-2,8,a\np1-0,8,b\np1-1,,b\np1-2,9,b\n"})
	groups := func(o Options, files contents) ([]string, *Data) {
		d, err := Read(t.Context(), lay(t, files), o)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, s := range d.All().Samples {
			all = append(all, s.Group)
		}
		return all, d
	}
	got, d := groups(Options{GroupBy: "sender"}, files)
	if !slices.Equal(got, []string{"7", "7", "8", "8", "", "9"}) || !strings.Contains(strings.Join(d.Notes, ""),
		"1 picture without a group") {
		t.Errorf("%q, %q", got, d.Notes)
	}
	if got, _ = groups(Options{GroupPattern: `^p(\d)-`}, files); !slices.Equal(got, []string{"0", "0", "0", "1", "1",
		"1"}) {
		t.Errorf("by parenthesis %q", got)
	}
	if got, _ = groups(Options{GroupPattern: `^p\d`}, files); !slices.Equal(got, []string{"p0", "p0", "p0", "p1", "p1",
		"p1"}) {
		t.Errorf("by match %q", got)
	}
	if got, _ = groups(Options{GroupPattern: `/(\w+)/`}, pictures(1, "hat/anna", "shoes/berta")); !slices.Equal(got,
		[]string{"anna", "berta"}) {
		t.Errorf("by folder %q", got)
	}
	_, d = groups(Options{GroupPattern: `(\d)\.jpg`}, pictures(2, "train/a", "train/b", "val/a", "val/b"))
	if len(d.Problems) != 1 || d.Problems[0].Kind != ProblemGroupLeak || d.Problems[0].Refused {
		t.Errorf("%+v", d.Problems)
	}
}

// TestContributors checks that columns which seem to name contributors are found, and others are
// not.
func TestContributors(t *testing.T) {
	files := contents{}
	var b strings.Builder
	b.WriteString("image,sender_id,label,kids,width,brand,category_id,uuid,weather,sku\n")
	for i := range 600 {
		fmt.Fprintf(&b, "i%d,%d,%d,%v,%d,b%d,c%d,u%d,w%d,s%d\n", i, i*i%41, i%5, i%9 == 0, 400+i%53, i*7%61, i%5, i,
			i%3,
			i%50)
		files[fmt.Sprintf("i%d.jpg", i)] = ""
	}
	files["images.csv"] = b.String()
	d, err := Read(t.Context(), lay(t, files), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range d.Contributors {
		names = append(names, fmt.Sprintf("%s %d", c.Column, c.Groups))
	}
	if !slices.Equal(names, []string{"brand 61", "sender_id 21"}) {
		t.Errorf("%q", names)
	}
}

// TestLinks checks that links to files and folders are followed, that loops are an error, and that
// links cannot multiply the work.
func TestLinks(t *testing.T) {
	elsewhere := lay(t, pictures(2, "more"))
	link := func(to, root, name string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(root, filepath.FromSlash(name))); err != nil {
			t.Skip("no links here:", err)
		}
	}
	root := lay(t, pictures(1, "hat", "shoes"))
	link(filepath.Join(elsewhere, "more"), root, "bag")
	link(filepath.Join(elsewhere, "more", "more-0.jpg"), root, "hat/linked.jpg")
	link(filepath.Join(elsewhere, "more"), root, "shoes/deeper")
	link(filepath.Join(elsewhere, "more"), root, "shoes/again")
	link("nowhere", root, "hat/broken.jpg")
	d, err := Read(t.Context(), root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := describe(d); got != ": bag 2, hat 2, shoes 3" || d.Tally.Count(ReasonMissing) != 1 ||
		d.Tally.Count(ReasonRepeated) != 1 {
		t.Errorf("%s, %v", got, d.Tally.Counts())
	}
	for name, to := range map[string]string{"hat/up": "..", "hat/self": "../hat", "hat/round": "round"} {
		root = lay(t, pictures(1, "hat", "shoes"))
		link(to, root, name)
		if _, err := Read(t.Context(), root, Options{}); !errors.Is(err, ErrLinkLoop) ||
			!strings.Contains(err.Error(), name[4:]) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := Pictures(t.Context(), root, &Tally{}); !errors.Is(err, ErrLinkLoop) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Each folder has two links to the next: 2^40 ways to the last.
	root = lay(t, pictures(1, "hat/0", "shoes"))
	for i := range 40 {
		next := filepath.Join(root, fmt.Sprint("hat/", i+1))
		if err := os.Mkdir(next, 0o755); err != nil {
			t.Fatal(err)
		}
		link("../"+fmt.Sprint(i), root, fmt.Sprintf("hat/%d/a", i+1))
		link("../"+fmt.Sprint(i), root, fmt.Sprintf("hat/%d/b", i+1))
	}
	if d, err := Read(t.Context(), root, Options{}); err != nil || describe(d) != ": hat 1, shoes 1" {
		t.Errorf("%v", err)
	}
}

// TestSpecialFiles checks that special files are counted and never opened.
func TestSpecialFiles(t *testing.T) {
	root := lay(t, pictures(2, "hat", "shoes"))
	if err := makePipe(filepath.Join(root, "hat", "pipe.jpg")); err != nil {
		t.Skip("no pipes here:", err)
	}
	d, err := Read(t.Context(), root, Options{})
	if err != nil || describe(d) != ": hat 2, shoes 2" || d.Tally.Count(ReasonNotPicture) != 1 {
		t.Errorf("%v", err)
	}
}

// TestPicturesIn checks which pictures a folder, an archive, a table and a file have, whatever
// their labels.
func TestPicturesIn(t *testing.T) {
	root := lay(t, with(pictures(1, "a/deep", "b"), contents{"a/x.txt": "", "c.jpg": "",
		"list.csv": "file\nc\na/deep/a_deep-0\nnix\n"}))
	archive := filepath.Join(t.TempDir(), "x.zip")
	if err := os.WriteFile(archive, packZip(t, pictures(2, "q")), 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]struct {
		count, skipped int
	}{root: {3, 0}, archive: {2, 0}, filepath.Join(root, "list.csv"): {2, 1}, filepath.Join(root, "c.jpg"): {1, 0},
		filepath.Join(root, "a", "x.txt"): {1, 0}} {
		var tally Tally
		paths, err := PicturesIn(t.Context(), path, Options{Cache: filepath.Join(t.TempDir(), "cache")}, &tally)
		if err != nil || len(paths) != want.count || tally.Skipped() != want.skipped {
			t.Errorf("%s: %q, %v, %v", path, paths, tally.Counts(), err)
		}
	}
}

// TestRowWithoutName checks that the error about a row without a picture's name is about the
// table, not about the folder of pictures.
func TestRowWithoutName(t *testing.T) {
	root := lay(t, with(flat(1, 2, "photos/", ".jpg"), contents{"images.csv": "image,label\np0-0,a\np1-0,b\n,a\n"}))
	d, err := Read(t.Context(), root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	skips := d.Tally.Skips()
	if len(skips) != 1 || skips[0].Path != filepath.Join(root, "images.csv") || skips[0].Reason != ReasonBadRow {
		t.Errorf("%+v", skips)
	}
}
