package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"garb/dataset"
	"garb/picture"
)

// makeWornFolder makes a small segmentation data set: photos 1 and 2 of 120 × 100 pixels, with
// a red coat at (10,20)-(60,70), blue boots at (70,50)-(110,90) and skin.
func makeWornFolder(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	for _, folder := range []string{"photos", "masks"} {
		if err := os.Mkdir(filepath.Join(root, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, root, "labels.txt", []byte("null\nskin\nt-shirt\nboots\ncoat\n"))
	addWorn(t, root, "1", 120, 4)
	addWorn(t, root, "2", 120, 4)
	return root
}

// addWorn adds a photo of 120 × 100 pixels and its mask, whose width may differ. coat is the
// index of the coat.
func addWorn(t testing.TB, root, name string, maskWidth int, coat uint8) {
	t.Helper()
	photo := image.NewRGBA(image.Rect(0, 0, 120, 100))
	mask := image.NewGray(image.Rect(0, 0, maskWidth, 100))
	for y := range 100 {
		for x := range 120 {
			index, colour := uint8(0), color.RGBA{255, 255, 255, 255}
			switch at := image.Pt(x, y); {
			case at.In(image.Rect(10, 20, 60, 70)):
				index, colour = coat, color.RGBA{200, 0, 0, 255}
			case at.In(image.Rect(70, 50, 110, 90)):
				index, colour = 3, color.RGBA{0, 0, 200, 255}
			case x > 115:
				index = 1
			}
			photo.SetRGBA(x, y, colour)
			mask.SetGray(x, y, color.Gray{index}) // which ignores what is outside
		}
	}
	var p, m bytes.Buffer
	if err := jpeg.Encode(&p, photo, nil); err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(&m, mask); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "photos"), name+".jpg", p.Bytes())
	write(t, filepath.Join(root, "masks"), name+".png", m.Bytes())
}

func runCrops(t testing.TB, root string, args ...string) (code int, out, errOut string) {
	t.Helper()
	return runGarb(t, nil, append([]string{"data", "crops", "--photos", filepath.Join(root, "photos"), "--labels",
		filepath.Join(root, "masks"), "--names", filepath.Join(root, "labels.txt"), "--ignore", "null,skin"},
		args...)...)
}

// readTree returns the content of all files below a folder, by path.
func readTree(t testing.TB, folder string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			relative, _ := filepath.Rel(folder, path)
			files[filepath.ToSlash(relative)] = string(readFile(t, path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestCrops(t *testing.T) {
	root := makeWornFolder(t)
	out := filepath.Join(root, "new", "worn")
	args := []string{"--merge", "boots=shoes", "--out", out}
	code, text, errOut := runCrops(t, root, args...)
	if code != exitDone || !strings.HasSuffix(errOut, "2 pictures used, 0 skipped\n") ||
		!strings.Contains(text, "4 crops of 2 photos in "+out) {
		t.Fatalf("%d\n%s%s", code, text, errOut)
	}
	files := readTree(t, out)
	const table = "image,label,photo,left,top,width,height,pixels\n" +
		"shoes/1-boots.jpg,shoes,1,61,41,58,58,1600\ncoat/1-coat.jpg,coat,1,0,10,70,70,2500\n" +
		"shoes/2-boots.jpg,shoes,2,61,41,58,58,1600\ncoat/2-coat.jpg,coat,2,0,10,70,70,2500\n"
	if files[cropsTable] != table || len(files) != 5 {
		t.Fatalf("%d files\n%s", len(files), files[cropsTable])
	}
	if entries, err := os.ReadDir(out); err != nil || len(entries) != 3 { // none for t-shirt
		t.Errorf("%v, %v", entries, err)
	}
	p, err := picture.Decode(t.Context(), []byte(files["coat/1-coat.jpg"]), picture.DefaultLimits())
	if err != nil || p.Width != 70 || p.Height != 70 {
		t.Fatalf("%v, %v", p, err)
	}
	checkColour(t, p, 35, 35, [3]int{200, 0, 0})
	checkColour(t, p, 3, 3, [3]int{255, 255, 255})
	checkColour(t, p, 66, 66, [3]int{255, 255, 255})

	again := filepath.Join(root, "again")
	if code, _, errOut := runCrops(t, root, "--merge", "boots=shoes", "--out", again); code != exitDone {
		t.Fatal(errOut)
	}
	for name, data := range readTree(t, again) {
		if data != files[name] {
			t.Errorf("%s differs between two runs", name)
		}
	}
}

// checkColour fails if a pixel differs from a colour by more than two JPEG encodings change.
func checkColour(t testing.TB, p *picture.RGB, x, y int, want [3]int) {
	t.Helper()
	for i, level := range p.Pix[3*(y*p.Width+x):][:3] {
		if d := int(level) - want[i]; d < -12 || d > 12 {
			t.Errorf("(%d,%d) channel %d is %d, want %d", x, y, i, level, want[i])
		}
	}
}

// TestCropsAreADataSet: other commands can read the crops, with or without their table.
func TestCropsAreADataSet(t *testing.T) {
	root := makeWornFolder(t)
	out := filepath.Join(root, "worn")
	if code, _, errOut := runCrops(t, root, "--merge", "boots=shoes", "--out", out); code != exitDone {
		t.Fatal(errOut)
	}
	for _, labels := range []string{"", filepath.Join(out, cropsTable)} {
		data, err := dataset.Read(t.Context(), out, dataset.Options{Labels: labels, GroupBy: "photo"})
		if err != nil || data.Err() != nil {
			t.Fatal(err, data.Err())
		}
		all := data.All()
		if !slices.Equal(all.Classes, []string{"coat", "shoes"}) || len(all.Samples) != 4 ||
			data.Tally.Skipped() != 0 {
			t.Errorf("%v, %+v", all.Classes, all.Samples)
		}
		for _, s := range all.Samples {
			if want, _, _ := strings.Cut(filepath.Base(s.Path), "-"); s.Group != want {
				t.Errorf("%s is in group %q", s.Path, s.Group)
			}
		}
	}
}

func TestCropsClassesMarginsAndLeastSizes(t *testing.T) {
	root := makeWornFolder(t)
	for i, c := range []struct {
		args []string
		want string // rows, by a bar
	}{
		{[]string{"--classes", "coat"},
			"coat/1-coat.jpg,coat,1,0,10,70,70,2500|coat/2-coat.jpg,coat,2,0,10,70,70,2500"},
		{[]string{"--classes", "coat", "--margin", "0", "--margin-pixels", "0"},
			"coat/1-coat.jpg,coat,1,10,20,50,50,2500|coat/2-coat.jpg,coat,2,10,20,50,50,2500"},
		{[]string{"--classes", "coat", "--margin", "0.5", "--margin-pixels", "1"},
			"coat/1-coat.jpg,coat,1,0,0,86,96,2500|coat/2-coat.jpg,coat,2,0,0,86,96,2500"},
		{[]string{"--min-pixels", "1601", "--margin", "0"},
			"coat/1-coat.jpg,coat,1,6,16,58,58,2500|coat/2-coat.jpg,coat,2,6,16,58,58,2500"},
		{[]string{"--min-side", "41", "--margin", "0"},
			"coat/1-coat.jpg,coat,1,6,16,58,58,2500|coat/2-coat.jpg,coat,2,6,16,58,58,2500"},
		{[]string{"--merge", "coat=../up:x", "--classes", "../up:x", "--margin", "0"},
			"%2E.%2Fup%3Ax/1-coat.jpg,../up:x,1,6,16,58,58,2500|%2E.%2Fup%3Ax/2-coat.jpg,../up:x,2,6,16,58,58,2500"},
	} {
		out := filepath.Join(root, fmt.Sprint(i))
		if code, _, errOut := runCrops(t, root, append(c.args, "--out", out)...); code != exitDone {
			t.Errorf("%v: %s", c.args, errOut)
			continue
		}
		_, rows, _ := strings.Cut(strings.TrimSpace(string(readFile(t, filepath.Join(out, cropsTable)))), "\n")
		if got := strings.ReplaceAll(rows, "\n", "|"); got != c.want {
			t.Errorf("%v:\n%s, want\n%s", c.args, got, c.want)
		}
	}
}

// TestCropsOfDashedNames has photo x with label a-b beside photo x-a with label b.
func TestCropsOfDashedNames(t *testing.T) {
	root := makeWornFolder(t)
	write(t, root, "labels.txt", []byte("null\nskin\nx\na-boots\nboots\n"))
	addWorn(t, root, "1-a", 120, 4)
	out := filepath.Join(root, "out")
	code, _, errOut := runCrops(t, root, "--merge", "a-boots=shoes,boots=shoes", "--out", out)
	if files := readTree(t, out); code != exitDone || len(files) != 7 {
		t.Errorf("%d %s %d files", code, errOut, len(files))
	}
}

func TestCropsCountsWhatItSkips(t *testing.T) {
	root := makeWornFolder(t)
	addWorn(t, root, "size", 119, 4)
	addWorn(t, root, "index", 120, 77)
	addWorn(t, root, "alone", 120, 4)
	addWorn(t, root, "gone", 120, 4)
	addWorn(t, root, "cut", 120, 4)
	for _, name := range []string{"masks/alone.png", "photos/gone.jpg"} {
		if err := os.Remove(filepath.Join(root, filepath.FromSlash(name))); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(root, "photos"), "cut.jpg", readFile(t, filepath.Join(root, "photos", "cut.jpg"))[:300])
	write(t, filepath.Join(root, "photos"), ".hidden", nil)
	out := filepath.Join(root, "out")
	code, text, errOut := runCrops(t, root, "--out", out)
	const summary = "2 pictures used, 5 skipped (1 missing, 1 unreadable, 1 without a label, " +
		"2 with an unusable mask), 1 ignored (1 hidden file)\n"
	if code != exitDone || !strings.HasSuffix(errOut, summary) || !strings.Contains(text, "4 crops of 2 photos") {
		t.Errorf("%d\n%s%s", code, text, errOut)
	}
	for _, word := range []string{"size.png: the mask has 119 × 100 pixels, its photo 120 × 100",
		"index.png: the mask has index 77 in 2500 of 12000 pixels, but the names end at 4",
		"alone.jpg: the photo has no mask alone.png",
		"gone.png: the photo of this mask is not in", "cut.jpg: "} {
		if !strings.Contains(errOut, word) {
			t.Errorf("%q is not in\n%s", word, errOut)
		}
	}

	strict := filepath.Join(root, "strict")
	code, text, errOut = runCrops(t, root, "--out", strict, "--strict")
	if code != exitFailed || text != "" || !strings.Contains(errOut, "5 files skipped") {
		t.Errorf("--strict: %d\n%s%s", code, text, errOut)
	}
	code, _, errOut = runCrops(t, root, "--out", filepath.Join(root, "ignored"), "--ignore", "77")
	if code != exitDone || !strings.Contains(errOut, "3 pictures used, 4 skipped") {
		t.Errorf("--ignore 77: %d\n%s", code, errOut)
	}
	checkEntries(t, root, "ignored", "labels.txt", "masks", "out", "photos")
}

// checkEntries fails if a folder has other entries than these.
func checkEntries(t testing.TB, folder string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s has %q, want %q", folder, got, want)
	}
}

// addBag adds the photo 3, which has a coat and a patch of skin.
func addBag(t testing.TB, root string) {
	t.Helper()
	bag := image.NewGray(image.Rect(0, 0, 200, 200))
	photo := image.NewRGBA(bag.Rect)
	for y := range 200 {
		for x := range 200 {
			photo.SetRGBA(x, y, color.RGBA{0, 255, 0, 255})
			switch at := image.Pt(x, y); {
			case at.In(image.Rect(0, 100, 200, 200)):
				bag.SetGray(x, y, color.Gray{4}) // coat
				photo.SetRGBA(x, y, color.RGBA{200, 0, 0, 255})
			case at.In(image.Rect(60, 20, 100, 60)):
				bag.SetGray(x, y, color.Gray{1}) // skin
			}
		}
	}
	var p, m bytes.Buffer
	if err := errors.Join(jpeg.Encode(&p, photo, nil), png.Encode(&m, bag)); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "photos"), "3.jpg", p.Bytes())
	write(t, filepath.Join(root, "masks"), "3.png", m.Bytes())
}

// TestCropsMasksAndNegatives makes all three folders, twice.
func TestCropsMasksAndNegatives(t *testing.T) {
	root := makeWornFolder(t)
	addBag(t, root)
	out, masks, none := filepath.Join(root, "out"), filepath.Join(root, "m"), filepath.Join(root, "n")
	args := []string{"--merge", "boots=shoes", "--out", out, "--masks", masks, "--negatives", none, "--seed", "7",
		"--negatives-per-photo", "1"}
	code, text, errOut := runCrops(t, root, args...)
	if code != exitDone || !strings.Contains(text, "5 masks in "+masks) ||
		!strings.Contains(text, "1 picture without a garment in "+none) {
		t.Fatalf("%d\n%s%s", code, text, errOut)
	}
	files, negatives := readTree(t, masks), readTree(t, none)
	const table = "image,label,photo,left,top,width,height,pixels\n"
	if want := table + "1-boots.png,shoes,1,61,41,58,58,1600\n1-coat.png,coat,1,0,10,70,70,2500\n" +
		"2-boots.png,shoes,2,61,41,58,58,1600\n2-coat.png,coat,2,0,10,70,70,2500\n" +
		"3-coat.png,coat,3,0,84,200,116,20000\n"; files[cropsTable] != want || len(files) != 6 {
		t.Errorf("%d files\n%s", len(files), files[cropsTable])
	}
	// The skin's box of 40 × 40 has a margin of 9 pixels and grows to 64.
	if want := table + "3-1.jpg,skin,3,48,8,64,64,0\n"; negatives[cropsTable] != want || len(negatives) != 2 {
		t.Errorf("%d files\n%s", len(negatives), negatives[cropsTable])
	}
	green, err := picture.Decode(t.Context(), []byte(negatives["3-1.jpg"]), picture.DefaultLimits())
	if err != nil || green.Width != 64 || green.Pix[1] < 240 || green.Pix[0] > 15 {
		t.Errorf("%v %v", green, err)
	}
	mask, err := png.Decode(strings.NewReader(files["1-coat.png"]))
	if err != nil {
		t.Fatal(err)
	}
	grey, ok := mask.(*image.Gray)
	if !ok || grey.Rect != image.Rect(0, 0, 70, 70) || grey.GrayAt(9, 10).Y != 0 || grey.GrayAt(10, 10).Y != 255 ||
		grey.GrayAt(59, 59).Y != 255 || grey.GrayAt(60, 59).Y != 0 {
		t.Errorf("%T %v", mask, mask.Bounds())
	}
	// Each folder is replaced as a whole, with only its own files in it.
	if code, _, errOut := runCrops(t, root, append(args, "--force", "--classes", "coat")...); code != exitDone {
		t.Fatal(errOut)
	}
	if again := readTree(t, none); again["3-1.jpg"] != negatives["3-1.jpg"] || len(readTree(t, masks)) != 4 {
		t.Errorf("%d", len(again))
	}
	write(t, masks, "mine.png", nil)
	if code, _, errOut := runCrops(t, root, append(args, "--force")...); code != exitFailed ||
		!strings.Contains(errOut, "did not write mine.png") {
		t.Errorf("%d %s", code, errOut)
	}
	checkEntries(t, root, "labels.txt", "m", "masks", "n", "out", "photos")
}

func TestCropsOfWholePhotos(t *testing.T) {
	root := makeWornFolder(t)
	for i, c := range []struct {
		share string
		want  int // crops: boots have 1600 pixels, coats 2500
	}{{"0.65", 2}, {"0.64", 4}} {
		out, masks := filepath.Join(root, fmt.Sprint("out", i)), filepath.Join(root, fmt.Sprint("masks", i))
		code, text, errOut := runCrops(t, root, "--merge", "boots=rubber-boots", "--whole", c.share, "--out", out,
			"--masks", masks)
		if code != exitDone || !strings.Contains(text, fmt.Sprintf("%d below %s of the largest", 4-c.want, c.share)) {
			t.Fatalf("%d\n%s%s", code, text, errOut)
		}
		files := readTree(t, out)
		if len(files) != c.want+1 ||
			!strings.Contains(files[cropsTable], "coat/1-whole-coat.jpg,coat,1,0,0,120,100,2500\n") {
			t.Errorf("%s", files[cropsTable])
		}
		if name := "rubber-boots/2-whole-rubber_boots.jpg"; (files[name] != "") != (c.want == 4) {
			t.Errorf("%s: %s", c.share, files[cropsTable])
		}
		if files := readTree(t, masks); len(files) != c.want+1 || files["2-whole-coat.png"] == "" {
			t.Errorf("%d masks", len(files))
		}
	}
}

func TestCropsMisused(t *testing.T) {
	root := makeWornFolder(t)
	out := filepath.Join(root, "out")
	blank := write(t, root, "blank.txt", []byte("null\n\nskin\n"))
	full := t.TempDir()
	write(t, full, "mine.png", nil)
	for _, c := range []struct {
		args []string
		code int
		word string
	}{
		{[]string{}, exitMisused, "--out is missing"},
		{[]string{"--out", out, "extra"}, exitMisused, "extra"},
		{[]string{"--out", out, "--margin", "-1"}, exitMisused, "see --margin"},
		{[]string{"--out", out, "--margin", "NaN"}, exitMisused, "see --margin"},
		{[]string{"--out", out, "--margin-pixels", "-1"}, exitMisused, "see --margin-pixels"},
		{[]string{"--out", out, "--min-side", "0"}, exitMisused, "see --min-side"},
		{[]string{"--out", out, "--whole", "0"}, exitMisused, "--whole 0: it must be"},
		{[]string{"--out", out, "--whole", "1.5"}, exitMisused, "see --whole"},
		{[]string{"--out", out, "--whole", "NaN"}, exitMisused, "see --whole"},
		{[]string{"--out", out, "--whole", "0.5", "--margin", "0.2"}, exitMisused, "omit --margin"},
		{[]string{"--out", out, "--negatives-per-photo", "3"}, exitMisused, "require --negatives DIR"},
		{[]string{"--out", out, "--seed", "3"}, exitMisused, "require --negatives DIR"},
		{[]string{"--out", out, "--negatives", out + "n", "--negatives-per-photo", "0"}, exitMisused,
			"see --negatives-per-photo"},
		{[]string{"--out", out, "--masks", out}, exitFailed, "but each is replaced as a whole"},
		{[]string{"--out", out, "--masks", filepath.Join(out, "m")}, exitFailed, "--masks " + out},
		{[]string{"--out", filepath.Join(out, "o"), "--negatives", out}, exitFailed, "is inside --negatives"},
		{[]string{"--out", out, "--negatives", filepath.Join(root, "masks", "n")}, exitFailed,
			"would be taken for input"},
		{[]string{"--out", out, "--masks", full}, exitFailed, "--masks " + full + ": the folder is not empty"},
		{[]string{"--out", out, "--masks", root}, exitFailed, "is inside --masks"},
		{[]string{"--out", out, "--negatives", out + "n", "--ignore", "t-shirt"}, exitFailed, "is free of garments"},
		{[]string{"--out", out, "--merge", "boot=shoes"}, exitFailed, "did you mean boots? (--merge)"},
		{[]string{"--out", out, "--classes", "zebra"}, exitFailed, "the names are boots, coat, t-shirt (--classes)"},
		{[]string{"--out", out, "--ignore", "hair"}, exitFailed, "(--ignore)"},
		{[]string{"--out", out, "--names", blank}, exitFailed, "line 2: the line is blank"},
		{[]string{"--out", out, "--names", root}, exitFailed, "is a folder"},
		{[]string{"--out", out, "--photos", filepath.Join(root, "none")}, exitFailed, "--photos"},
		{[]string{"--out", filepath.Join(root, "photos", "out")}, exitFailed, "would be taken for input"},
		{[]string{"--out", root}, exitFailed, "the folder is not empty"},
		{[]string{"--out", root, "--force"}, exitFailed, "the folder holds no crops"},
		{[]string{"--out", blank}, exitFailed, "--out"},
		{[]string{"--out", out, "--min-pixels", "9999"}, exitFailed, "there are no crops"},
	} {
		code, text, errOut := runCrops(t, root, c.args...)
		if code != c.code || !strings.Contains(errOut, c.word) || text != "" {
			t.Errorf("%v: %d, want %d\n%s%s", c.args, code, c.code, text, errOut)
		}
	}
	checkEntries(t, root, "blank.txt", "labels.txt", "masks", "photos")
}

func TestCropsReplacesOnlyItsOwn(t *testing.T) {
	root := makeWornFolder(t)
	out := filepath.Join(root, "out")
	if err := os.Mkdir(out, 0o755); err != nil { // an empty folder needs no --force
		t.Fatal(err)
	}
	if code, _, errOut := runCrops(t, root, "--out", out); code != exitDone {
		t.Fatal(errOut)
	}
	first := readTree(t, out)
	if code, _, errOut := runCrops(t, root, "--out", out); code != exitFailed || !strings.Contains(errOut, "--force") {
		t.Errorf("%d %s", code, errOut)
	}
	if code, _, errOut := runCrops(t, root, "--out", out, "--force", "--classes", "coat"); code != exitDone {
		t.Fatal(errOut)
	}
	if files := readTree(t, out); len(first) != 5 || len(files) != 3 || files["boots/1-boots.jpg"] != "" {
		t.Errorf("%d and %d files", len(first), len(files))
	}
	write(t, filepath.Join(out, "coat"), "mine.jpg", []byte("mine"))
	code, _, errOut := runCrops(t, root, "--out", out, "--force")
	if code != exitFailed || !strings.Contains(errOut, "did not write "+filepath.Join("coat", "mine.jpg")) ||
		len(readTree(t, out)) != 4 {
		t.Errorf("%d %s", code, errOut)
	}
	checkEntries(t, root, "labels.txt", "masks", "out", "photos")
}

func TestCropsInterrupted(t *testing.T) {
	root := makeWornFolder(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errOut bytes.Buffer
	code := run(ctx, []string{"data", "crops", "--photos", filepath.Join(root, "photos"), "--labels",
		filepath.Join(root, "masks"), "--names", filepath.Join(root, "labels.txt"), "--out",
		filepath.Join(root, "out")},
		strings.NewReader(""), &out, &errOut)
	if code != exitStopped {
		t.Errorf("%d %s", code, errOut.String())
	}
	checkEntries(t, root, "labels.txt", "masks", "photos")
}

// TestCropsOfWornSet makes the crops that the built-in classifier was evaluated on, with the
// command in docs/data.md.
func TestCropsOfWornSet(t *testing.T) {
	shared := os.Getenv("GARB_SHARED")
	if shared == "" {
		t.Skip("set GARB_SHARED to the folder with data/clothing-worn")
	}
	worn, out := filepath.Join(shared, "data", "clothing-worn"), filepath.Join(t.TempDir(), "worn")
	var args []string
	for _, word := range strings.Fields(strings.ReplaceAll(findDocCommand(t, "garb data crops"), "\\\n", " "))[1:] {
		word = strings.Replace(word, "clothing-worn", worn, 1)
		if word == "worn" {
			word = out
		}
		args = append(args, word)
	}
	code, text, errOut := runGarb(t, nil, args...)
	if code != exitDone || !strings.HasSuffix(errOut, "753 pictures used, 0 skipped\n") {
		t.Fatalf("%d %s", code, errOut)
	}
	if !strings.Contains(text, "2005 crops of 752 photos") {
		t.Error(text)
	}
	rows, err := csv.NewReader(bytes.NewReader(readFile(t, filepath.Join(out, cropsTable)))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, row := range rows[1:] {
		counts[row[1]]++
	}
	want := map[string]int{"dress": 191, "hat": 75, "longsleeve": 116, "outwear": 235, "pants": 363, "shirt": 93,
		"shoes": 698, "shorts": 50, "skirt": 116, "t-shirt": 68}
	for class, n := range want {
		if counts[class] != n {
			t.Errorf("%s: %d crops, want %d", class, counts[class], n)
		}
	}
	if len(counts) != len(want) || len(rows) != 2006 {
		t.Errorf("%v", counts)
	}
}

// findDocCommand returns the command in docs/data.md that starts with a text, including its
// continuation lines.
func findDocCommand(t testing.TB, begins string) string {
	t.Helper()
	text := string(readFile(t, filepath.Join("..", "..", "docs", "data.md")))
	at := strings.Index(text, "    "+begins+" ")
	if at < 0 {
		t.Fatalf("docs/data.md has no %q", begins)
	}
	var command []string
	for _, line := range strings.Split(text[at:], "\n") {
		command = append(command, line)
		if !strings.HasSuffix(line, "\\") {
			break
		}
	}
	return strings.Join(command, "\n")
}
