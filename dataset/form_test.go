package dataset

import (
	"os"
	"path/filepath"
	"testing"
)

// Names in both forms of Unicode: with letters and their marks in one character (NFC), as people type
// them, and apart (NFD), as macOS has them on HFS+, and so in archives made there.
const (
	composedHat, apartHat     = "M\u00fctze", "Mu\u0308tze"
	composedShoe, apartShoe   = "Stra\u00dfenschuhe \u00e0 la mode", "Stra\u00dfenschuhe a\u0300 la mode"
	composedPhoto, apartPhoto = "\u00e9t\u00e9", "e\u0301te\u0301"
)

// TestFormsOfLabels: class folders and labels whose names differ only in their form are one class.
func TestFormsOfLabels(t *testing.T) {
	folders := with(pictures(2, "train/"+composedHat, "train/"+apartShoe),
		pictures(1, "validation/"+apartHat, "validation/"+composedShoe))
	const want = "train: " + composedHat + " 2, " + composedShoe + " 2; validation: " + composedHat + " 1, " +
		composedShoe + " 1"
	d, err := Read(t.Context(), lay(t, folders), Options{})
	if err != nil || describe(d) != want || len(d.Problems) > 0 {
		t.Errorf("%v, %q, %v", err, describe(d), d.Problems)
	}
	table := lay(t, with(pictures(3, "images"), contents{"labels.csv": "image,label\nimages-0," + composedHat +
		"\nimages-1," + apartHat + "\nimages-2," + composedShoe + "\n"}))
	d, err = Read(t.Context(), table, Options{Merge: map[string]string{apartShoe: apartHat}})
	if err != nil || describe(d) != ": "+composedHat+" 3" || len(d.Problems) > 0 {
		t.Errorf("%v, %q, %v", err, describe(d), d.Problems)
	}
	d, err = Read(t.Context(), lay(t, folders), Options{Exclude: []string{apartShoe}})
	if err != nil || describe(d) != "train: "+composedHat+" 2; validation: "+composedHat+" 1" {
		t.Errorf("%v, %q", err, describe(d))
	}
}

// TestFormsOfColumns: names of columns are the same in both forms.
func TestFormsOfColumns(t *testing.T) {
	root := lay(t, with(pictures(2, "images"), contents{"labels.csv": "image," + apartHat + "," + composedShoe +
		"\nimages-0,1,0\nimages-1,0,1\n"}))
	d, err := Read(t.Context(), root, Options{})
	if want := ": " + composedHat + " 1, " + composedShoe + " 1"; err != nil || describe(d) != want {
		t.Errorf("%v, %q", err, describe(d))
	}
	root = lay(t, with(pictures(2, "images"),
		contents{"labels.csv": "image," + apartHat + "\nimages-0,a\nimages-1,b\n"}))
	for _, column := range []string{composedHat, apartHat} {
		d, err = Read(t.Context(), root, Options{LabelColumn: column})
		if err != nil || describe(d) != ": a 1, b 1" {
			t.Errorf("%v, %q", err, describe(d))
		}
	}
}

// TestFormsOfFiles: a table names a picture also in the form that its file and folder do not have, with and
// without the extension, and no other file.
func TestFormsOfFiles(t *testing.T) {
	for _, form := range []struct{ onDisk, photo, inTable, name string }{
		{apartHat, apartPhoto, composedHat, composedPhoto},
		{composedHat, composedPhoto, apartHat, apartPhoto},
		{apartHat, composedPhoto, composedHat, apartPhoto},
		{apartHat, apartPhoto, apartHat, apartPhoto},
	} {
		root := lay(t, contents{
			form.onDisk + "/" + form.photo + ".jpg": "", form.onDisk + "/" + form.photo + "-2.jpg": "",
			form.onDisk + "/plain.jpg": "",
			"labels.csv": "image,label\n" + form.inTable + "/" + form.name + ".jpg,a\n" + form.inTable + "/" +
				form.name + "-2,b\n" + form.inTable + "/plain.jpg,b\n" + form.inTable + "/" + form.name + "-3.jpg,a\n",
		})
		d, err := Read(t.Context(), root, Options{})
		if err != nil || describe(d) != ": a 1, b 2" || d.Tally.Count(ReasonUnlisted) != 0 ||
			d.Tally.Count(ReasonMissing) != 1 {
			t.Errorf("%+q: %v, %q, %v", form, err, describe(d), d.Tally.Counts())
			continue
		}
		for _, s := range d.All().Samples {
			if _, err := os.Stat(s.Path); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestFormsOfTwoFiles: where the file system has names in both forms, each row names the file of its form.
func TestFormsOfTwoFiles(t *testing.T) {
	root := lay(t, contents{composedPhoto + ".jpg": "", apartPhoto + ".jpg": ""})
	if entries, err := os.ReadDir(root); err != nil || len(entries) != 2 {
		t.Skip("both forms are one file here: ", err)
	}
	f := newFiles(root, false)
	for _, name := range []string{composedPhoto, apartPhoto} {
		if path, _, _ := f.find(name + ".jpg"); path != filepath.Join(root, name+".jpg") {
			t.Errorf("%+q: %+q", name, path)
		}
		if path, reason, _ := f.find(name); path != "" || reason != ReasonBadRow {
			t.Errorf("%+q without its extension: %+q, %s", name, path, reason)
		}
	}
}

// TestArchiveOfMacOS reads an archive as macOS makes it: names in the other form, a folder of
// AppleDouble files beside the pictures, and .DS_Store in the folders; and the same files on a disk of
// another system, where macOS keeps AppleDouble files beside the pictures. These are skipped and
// counted.
func TestArchiveOfMacOS(t *testing.T) {
	const appleDouble = "\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        "
	photos := contents{"set/.DS_Store": "", "set/" + apartHat + "/" + apartPhoto + ".jpg": "", "set/shoes/1.jpg": "",
		"set/labels.csv": "image,label\n" + composedHat + "/" + composedPhoto + ".jpg,hat\nshoes/1,shoes\n"}
	archive := filepath.Join(t.TempDir(), "set.zip")
	data := packZip(t, with(photos, contents{"__MACOSX/set/._.DS_Store": appleDouble,
		"__MACOSX/set/shoes/._1.jpg": appleDouble, "__MACOSX/._set": appleDouble}))
	if err := os.WriteFile(archive, data, 0o644); err != nil {
		t.Fatal(err)
	}
	disk := lay(t, with(photos, contents{"._set": appleDouble, "set/._labels.csv": appleDouble,
		"set/shoes/._1.jpg": appleDouble}))
	for _, path := range []string{archive, disk} {
		d, err := Read(t.Context(), path, Options{Cache: t.TempDir()})
		if err != nil || describe(d) != ": hat 1, shoes 1" || len(d.Problems) > 0 {
			t.Fatalf("%s: %v, %q, %v", path, err, describe(d), d.Problems)
		}
		if d.Tally.Count(ReasonHidden) == 0 || d.Tally.Count(ReasonUnlisted) != 0 || d.Tally.Count(ReasonMissing) != 0 {
			t.Errorf("%s: skipped %v", path, d.Tally.Counts())
		}
	}
}
