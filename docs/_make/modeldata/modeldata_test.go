package main

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func save(t *testing.T, root, name string, data []byte) {
	t.Helper()
	to := filepath.Join(root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// smallData makes a small data set of each kind. The pictures of the full set are bytes that name
// them.
func smallData(t *testing.T) string {
	root := t.TempDir()
	rows := "image,sender_id,label,kids\n"
	full := func(id string, sender int, label, folder string) {
		rows += fmt.Sprintf("%s,%d,%s,%v\n", id, sender, label, id == "t1")
		if folder != "" {
			save(t, root, folder+"/"+id+".jpg", []byte(id))
		}
	}
	full("t1", 1, "Hat", "clothing-dataset-small/test/hat")
	full("t2", 1, "Polo", "clothing-dataset-full/extra")
	full("t3", 1, "Pants", "clothing-dataset-small/train/pants")
	full("wrong", 2, "Shirt", "clothing-dataset-small/train/outwear")
	full("skip", 2, "Not sure", "clothing-dataset-full/extra")
	full("gone", 2, "Hat", "")
	for i := range 200 {
		kind := []string{"Hat", "Pants", "T-Shirt"}[i/2%3]
		full(fmt.Sprint("x", i), 3+min(i%40, 20), kind, "clothing-dataset-full/extra")
	}
	save(t, root, "clothing-dataset-full/images.csv", []byte(rows))

	// A coat below a face and beside boots.
	save(t, root, "clothing-worn/labels.txt", []byte(strings.Join(slices.Concat(wornIgnored, wornKinds, mergedLabels()),
		"\n")))
	names := slices.Concat(wornIgnored, wornKinds, mergedLabels())
	index := func(name string) uint8 { return uint8(slices.Index(names, name)) }
	for i := range 12 {
		mask := image.NewGray(image.Rect(0, 0, 200, 240))
		for y := range 240 {
			for x := range 200 {
				switch at := image.Pt(x, y); {
				case at.In(image.Rect(50, 100, 150, 180)):
					mask.SetGray(x, y, color.Gray{index("coat")})
				case at.In(image.Rect(80, 190, 130, 230)):
					mask.SetGray(x, y, color.Gray{index("boots")})
				case at.In(image.Rect(80, 30, 120, 75)):
					mask.SetGray(x, y, color.Gray{index("skin")})
				}
			}
		}
		var p, m bytes.Buffer
		if err := jpeg.Encode(&p, mask, nil); err != nil {
			t.Fatal(err)
		}
		if err := png.Encode(&m, mask); err != nil {
			t.Fatal(err)
		}
		save(t, root, fmt.Sprintf("clothing-worn/photos/%04d.jpg", i), p.Bytes())
		save(t, root, fmt.Sprintf("clothing-worn/labels/%04d.png", i), m.Bytes())
	}
	for i, name := range []string{"tench", "bonnet", "suit", "sock", "mitten", "hen", "shoe_shop",
		"vacuum", "tub", "cup"} {
		save(t, root, fmt.Sprintf("other-pictures/n%08d_%s.jpg", i, name), []byte(name))
	}
	return root
}

// mergedLabels are the labels of the worn set that are renamed to a kind.
func mergedLabels() []string {
	var labels []string
	for label := range wornMerge {
		if !slices.Contains(wornKinds, label) {
			labels = append(labels, label)
		}
	}
	slices.Sort(labels)
	return labels
}

func filesBelow(t *testing.T, folder string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		relative, _ := filepath.Rel(folder, name)
		files[filepath.ToSlash(relative)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// layOutSmall lays out a small data set, and returns its folder, the layout and its files.
func layOutSmall(t *testing.T, printed *bytes.Buffer) (data, out string, files map[string]string) {
	t.Helper()
	data, out = smallData(t), filepath.Join(t.TempDir(), "out")
	if err := run(t.Context(), data, out, printed); err != nil {
		t.Fatal(err)
	}
	return data, out, filesBelow(t, out)
}

func TestLayout(t *testing.T) {
	_, _, files := layOutSmall(t, new(bytes.Buffer))
	for _, want := range []string{
		"aside/test/hat/t1.jpg", "aside/full/hat/t1.jpg", "aside/full/polo/t2.jpg", "aside/full/pants/t3.jpg",
		"aside/worn/shoes/0000-boots.jpg", "aside/worn10/outwear/0005-coat.jpg", "aside/street/0010.jpg",
		"aside/empty/0000-1.jpg", "aside/other/n00000000_tench.jpg", "aside/other/n00000005_hen.jpg",
		"named/train/hat/n00000001_bonnet.jpg", "aside/named/n00000002_suit.jpg",
		"clothes-unnamed/n00000003_sock.jpg", "aside/named/n00000004_mitten.jpg", "people/n00000007_vacuum.jpg",
		"people/n00000008_tub.jpg",
	} {
		if _, ok := files[want]; !ok {
			t.Errorf("%s is missing", want)
		}
	}
	for name, want := range map[string]string{
		"aside/kids.csv":   "image,class,kids\nhat/t1.jpg,hat,true\npolo/t2.jpg,polo,false\npants/t3.jpg,pants,false\n",
		"aside/named.csv":  "image,class\nn00000002_suit.jpg,outwear|shirt\nn00000004_mitten.jpg,\n",
		"aside/street.csv": "photo,garments\n0000.jpg,outwear|shoes\n0005.jpg,outwear|shoes\n0010.jpg,outwear|shoes\n",
	} {
		if files[name] != want {
			t.Errorf("%s: %s", name, files[name])
		}
	}
	for _, row := range strings.Fields(files["street-validation.csv"])[1:] {
		name, garments, _ := strings.Cut(row, ",")
		other := "shoes" + strings.TrimPrefix(name, "outwear")
		const folder = "street/validation/"
		if files[folder+name] == "" || files[folder+other] == "" || garments != "outwear|shoes" {
			t.Errorf("what is worn in validation: %s", row)
		}
	}
	for name := range files {
		switch base := path.Base(name); {
		case strings.HasPrefix(base, "skip") || strings.HasPrefix(base, "gone") || strings.Contains(base, "shoe_shop"):
			t.Errorf("%s has no kind", name)
		case base == "wrong.jpg" && path.Base(path.Dir(name)) != "outwear":
			t.Errorf("%s: the small set says outwear", name)
		case strings.HasPrefix(name, "worn/train/") &&
			files["worn-masks/"+strings.TrimSuffix(base, ".jpg")+".png"] == "":
			t.Errorf("%s has no mask", name)
		}
	}
}

// TestLayoutSplits checks that no held-out picture is anywhere else, and that none is in two splits.
func TestLayoutSplits(t *testing.T) {
	_, out, files := layOutSmall(t, new(bytes.Buffer))
	rows, err := readTable(filepath.Join(out, list))
	if err != nil {
		t.Fatal(err)
	}
	splits := map[string]string{} // of each source
	for _, row := range rows[1:] {
		if _, ok := files[row[0]]; !ok {
			t.Errorf("%s is listed and missing", row[0])
		}
		split := "train"
		switch {
		case strings.HasPrefix(row[0], "aside/"):
			split = "aside"
		case strings.Contains(row[0], "/validation/"):
			split = "validation"
		}
		if before := splits[row[1]]; row[1] != "" && before != "" && before != split {
			t.Errorf("%s is in %s and %s", row[1], before, split)
		}
		splits[row[1]] = split
	}
	if len(rows) != len(files) { // with its header, and without itself
		t.Errorf("%d rows, %d files", len(rows), len(files))
	}
}

// TestLayoutAgain checks that a second run makes the same files, and replaces no others.
func TestLayoutAgain(t *testing.T) {
	var printed, again bytes.Buffer
	data, out, files := layOutSmall(t, &printed)
	if err := run(t.Context(), data, out, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(files, filesBelow(t, out)); diff != "" || again.String() != printed.String() {
		t.Error(diff)
	}
	save(t, out, "other/train/mine.jpg", nil)
	if err := run(t.Context(), data, out, &again); err == nil || !strings.Contains(err.Error(), "mine.jpg") {
		t.Error(err)
	}
	foreign := t.TempDir()
	save(t, foreign, "mine.txt", nil)
	if err := run(t.Context(), data, foreign, &again); err == nil {
		t.Error("a folder of something else was replaced")
	}
	if entries, err := os.ReadDir(filepath.Dir(out)); err != nil || len(entries) != 1 {
		t.Errorf("%v %v", entries, err)
	}
}

// TestDivide checks that the contributors with the most pictures stay in train, and that kinds
// come close to their share.
func TestDivide(t *testing.T) {
	var entries []entry
	for sender := range 100 {
		for i := range 3 + sender%5 {
			entries = append(entries, entry{sender: fmt.Sprint(sender), kind: allKinds[(sender*7+i)%5]})
		}
	}
	for i := range 4 * 50 {
		entries = append(entries, entry{sender: fmt.Sprint("giant", i%4), kind: allKinds[i%5]})
	}
	chosen := divide(entries)
	total, taken := map[string]int{}, map[string]int{}
	for _, e := range entries {
		total[e.kind]++
		if chosen[e.sender] {
			taken[e.kind]++
			if strings.HasPrefix(e.sender, "giant") {
				t.Fatalf("%s is in validation", e.sender)
			}
		}
	}
	for kind, n := range total {
		if share := float64(taken[kind]) / float64(n); share < 0.08 || share > 0.12 {
			t.Errorf("%s: %.3f", kind, share)
		}
	}
}

// TestDivideKeepsGiants has contributors of whom one giant alone would be the right share. It
// repeats this with many names, because the order depends on them.
func TestDivideKeepsGiants(t *testing.T) {
	for name := range 20 {
		var entries []entry
		for sender := range 16 {
			n, prefix := 25, "small"
			if sender < giants {
				n, prefix = 50, "giant"
			}
			for i := range n {
				entries = append(entries, entry{sender: fmt.Sprint(prefix, sender, name), kind: allKinds[i%5]})
			}
		}
		chosen := 0
		for sender, is := range divide(entries) {
			if is {
				chosen++
			}
			if is && strings.HasPrefix(sender, "giant") {
				t.Errorf("%s is in validation", sender)
			}
		}
		if chosen != 2 {
			t.Errorf("%d are in validation, want 2", chosen)
		}
	}
}

func TestKindsInLists(t *testing.T) {
	for name, kinds := range shownClothes {
		for _, kind := range strings.Split(kinds, "|") {
			if kinds != "" && !slices.Contains(allKinds, kind) {
				t.Errorf("%s may not be called %s", name, kind)
			}
		}
	}
	for label, kind := range wornMerge {
		if !slices.Contains(tenClasses, kind) || slices.Contains(wornIgnored, label) {
			t.Errorf("%s becomes %s", label, kind)
		}
	}
	for _, kind := range slices.Concat(wornKinds, tenClasses) {
		if !slices.Contains(allKinds, kind) {
			t.Errorf("%s is no kind", kind)
		}
	}
}

// TestNamesInLists checks that each picture is in one list, and exists.
func TestNamesInLists(t *testing.T) {
	seen := map[string]string{}
	add := func(list string, names []string) {
		for _, name := range names {
			if seen[name] != "" {
				t.Errorf("%s is in %s and %s", name, seen[name], list)
			}
			seen[name] = list
		}
	}
	add("shownClothes", slices.Collect(maps.Keys(shownClothes)))
	add("shownPeople", shownPeople)
	add("unclear", unclear)
	if shared := os.Getenv("GARB_SHARED"); shared != "" {
		files, err := filepath.Glob(filepath.Join(shared, "data", "other-pictures", "*.jpg"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			_, name, _ := strings.Cut(stem(file), "_")
			delete(seen, name)
		}
		for name, list := range seen {
			t.Errorf("%s of %s is no picture", name, list)
		}
	}
}
