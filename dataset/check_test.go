package dataset

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"garb/picture"
)

// blobs draws a picture of soft spots, another for each seed, brighter by some levels.
func blobs(t *testing.T, seed uint64, brighter, width, height int) []byte {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	var spots [12][3]float64
	for i := range spots {
		spots[i] = [3]float64{r.Float64(), r.Float64(), r.Float64()}
	}
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			v := 0.0
			for _, s := range spots {
				dx, dy := float64(x)/float64(width)-s[0], float64(y)/float64(height)-s[1]
				v += s[2] * math.Exp(-(dx*dx+dy*dy)*30)
			}
			l := uint8(min(max(int(90*v)+brighter, 0), 255))
			m.Set(x, y, color.RGBA{l, l / 2, 255 - l, 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestCheck(t *testing.T) {
	root := t.TempDir()
	put := func(name string, data []byte) {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	seed := uint64(0)
	next := func() []byte { seed++; return blobs(t, seed, 20, 40, 60) }
	for _, name := range []string{"train/hat/1.png", "train/hat/2.png", "train/hat/3.png", "train/shoe/1.png",
		"train/shoe/2.png", "train/shoe/3.png", "validation/hat/1.png", "validation/shoe/1.png", "test/hat/1.png",
		"test/shoe/1.png"} {
		put(name, next())
	}
	put("test/hat/leak.png", blobs(t, 1, 20, 40, 60))        // the bytes of train/hat/1.png
	put("train/shoe/again.png", blobs(t, 4, 20, 40, 60))     // those of train/shoe/1.png
	put("validation/hat/near.png", blobs(t, 2, 23, 80, 120)) // train/hat/2, larger and a little brighter
	put("train/shoe/odd.png", blobs(t, 3, 22, 40, 60))       // train/hat/3.png under another name
	put("train/hat/broken.png", next()[:300])
	put("train/hat/text.png", []byte("no picture"))
	d, err := Read(t.Context(), root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	h, err := Check(t.Context(), d, DefaultSplitRule(), picture.DefaultLimits(), nil)
	if err != nil {
		t.Fatal(err)
	}
	names := func(g Group) string {
		var all []string
		for _, p := range g.Pictures {
			all = append(all, p.Split+"/"+p.Class+"/"+filepath.Base(p.Path))
		}
		slices.Sort(all)
		return strings.Join(all, " ")
	}
	if len(h.Corrupt) != 2 || filepath.Base(h.Corrupt[0].Path) != "broken.png" ||
		filepath.Base(h.Corrupt[1].Path) != "text.png" {
		t.Errorf("corrupt %+v", h.Corrupt)
	}
	if len(h.Exact) != 2 || names(h.Exact[0]) != "test/hat/leak.png train/hat/1.png" || !h.Exact[0].Leak ||
		h.Exact[0].Conflict || names(h.Exact[1]) != "train/shoe/1.png train/shoe/again.png" || h.Exact[1].Leak {
		t.Errorf("exact %+v", h.Exact)
	}
	if len(h.Near) != 2 || names(h.Near[0]) != "train/hat/2.png validation/hat/near.png" || !h.Near[0].Leak ||
		names(h.Near[1]) != "train/hat/3.png train/shoe/odd.png" || !h.Near[1].Conflict {
		t.Errorf("near %+v", h.Near)
	}
	if h.Leaks() != 2 || len(h.Few) != 2 || h.Splits[0].Count != 8 || !slices.Equal(h.Splits[0].Counts, []int{3, 5}) {
		t.Errorf("%+v", h)
	}
	if s := h.Sizes; s.Width != (Range{40, 40, 80}) || s.Portrait < 0.999 || s.Formats["png"] != 14 {
		t.Errorf("sizes %+v", s)
	}
	if h.Shift == nil || !(h.Shift.PValue > 0.3) || h.Shift.Freedom != 2 {
		t.Errorf("shift %+v", h.Shift)
	}
}

// TestCheckGoesOn checks that Check reports whatever is wrong with the rest, and whether training would
// refuse it.
func TestCheckGoesOn(t *testing.T) {
	p := func(seed uint64) string { return string(blobs(t, seed, 20, 40, 60)) }
	for name, c := range map[string]struct {
		files   contents
		options Options
		want    string // a problem
		used    int
		failing bool
	}{
		"clean": {contents{"train/a/1.png": p(1), "train/b/1.png": p(2), "val/a/1.png": p(3), "val/b/1.png": p(4)},
			Options{}, "", 4, false},
		"a class of one": {contents{"a/1.png": p(1), "b/1.png": p(2)}, Options{}, `the class "a" has 1 picture`, 2,
			true},
		"one class": {contents{"a/1.png": p(1), "a/2.png": p(2), "a/3.png": p(3)}, Options{},
			"all pictures are of one class", 3, true},
		"unknown column": {contents{"images.csv": "image,label\n1,a\n", "1.png": p(1)}, Options{GroupBy: "nix"},
			`no column "nix"`, 1, true},
		"nothing": {contents{"a/": ""}, Options{}, "no labelled pictures", 0, true},
		"only a warning": {contents{"train/a b/1.png": p(1), "train/a  b/1.png": p(2), "val/a b/1.png": p(3),
			"val/a  b/1.png": p(4)},
			Options{}, "differ only in case", 4, false},
		"a missing file": {contents{
			"images.csv": "image,label,split\n1,a,train\n2,b,train\n1x,a,val\n2x,b,val\n3,a,val\n", "1.png": p(1),
			"2.png": p(2), "1x.png": p(3), "2x.png": p(4),
		}, Options{}, "", 4, true},
		"one that is text": {contents{
			"train/a/1.png": p(1), "train/b/1.png": p(2), "val/a/1.png": p(3), "val/b/1.png": p(4),
			"val/b/2.png": "text",
		}, Options{}, "", 4, true},
	} {
		d, err := Read(t.Context(), lay(t, c.files), c.options)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		h, err := Check(t.Context(), d, DefaultSplitRule(), picture.DefaultLimits(), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var problems []string
		for _, p := range h.Problems {
			problems = append(problems, p.Message)
		}
		if text := strings.Join(problems, "\n"); !strings.Contains(text, c.want) || (c.want == "") != (text == "") ||
			h.Used != c.used || h.Failing() != c.failing {
			t.Errorf("%s: %d used, failing %v, problems %q", name, h.Used, h.Failing(), text)
		}
	}
}

// TestCheckGroups checks that groups are counted, and the groups that leak too.
func TestCheckGroups(t *testing.T) {
	files := contents{}
	for i, name := range []string{"train/a/x-1.png", "train/a/y-1.png", "train/b/x-2.png", "val/a/x-3.png",
		"val/b/none.png"} {
		files[name] = string(blobs(t, uint64(i+1), 20, 40, 60))
	}
	d, err := Read(t.Context(), lay(t, files), Options{GroupPattern: `^(\w)-`})
	if err != nil {
		t.Fatal(err)
	}
	h, err := Check(t.Context(), d, DefaultSplitRule(), picture.DefaultLimits(), nil)
	if err != nil || h.Groups == nil || *h.Groups != (GroupHealth{Count: 2, Sizes: Range{1, 3, 3}, Without: 1,
		Leaks: 1}) {
		t.Errorf("%+v, %v", h.Groups, err)
	}
}

// TestComputeShift compares p-values with their closed forms for one and two degrees of freedom.
func TestComputeShift(t *testing.T) {
	for classes, tail := range map[int]func(x float64) float64{
		2: func(x float64) float64 { return math.Erfc(math.Sqrt(x / 2)) },
		3: func(x float64) float64 { return math.Exp(-x / 2) },
	} {
		h := &Health{
			Classes: []string{"a", "b", "c"}[:classes],
			Splits: []SplitHealth{
				{Name: Train, Count: 100, Counts: []int{50, 50, 0}[:classes]},
				{Name: Test, Count: 100, Counts: []int{30, 70, 0}[:classes]},
			},
		}
		if classes == 3 {
			h.Splits[1].Counts = []int{30, 50, 20}
		}
		got := computeShift(h)
		if got.Freedom != classes-1 || got.ChiSquare < 8 || math.Abs(got.PValue-tail(got.ChiSquare)) > 1e-12 {
			t.Errorf("%d classes: %+v, want p = %v", classes, got, tail(got.ChiSquare))
		}
	}
}

// TestFullClothing checks the full clothing data set, whose table names 5 pictures that are
// linkInto makes links in a folder to the files of a pattern.
func linkInto(t *testing.T, folder, pattern string) {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatal(pattern, len(paths), err)
	}
	for _, path := range paths {
		if err := os.Symlink(path, filepath.Join(folder, filepath.Base(path))); err != nil {
			t.Fatal(err)
		}
	}
}

// missing and has contributors in a column.
func TestFullClothing(t *testing.T) {
	shared := os.Getenv("GARB_SHARED")
	if shared == "" {
		t.Skip("set GARB_SHARED to run this test (see .ci/run)")
	}
	if runtime.GOOS == "windows" {
		t.Skip("its links need Windows' Developer Mode")
	}
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "images"), 0o755); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(shared, "data")
	linkInto(t, filepath.Join(root, "images"), filepath.Join(data, "clothing-dataset-full", "extra", "*.jpg"))
	linkInto(t, filepath.Join(root, "images"), filepath.Join(data, "clothing-dataset-small", "*", "*", "*.jpg"))
	linkInto(t, root, filepath.Join(data, "clothing-dataset-full", "images.csv"))
	d, err := Read(t.Context(), root, Options{Exclude: []string{"not sure", "Other", "Skip"}, GroupBy: "sender_id"})
	if err != nil {
		t.Fatal(err)
	}
	const want = "4714 pictures used, 5 skipped (5 missing), 273 ignored (273 of excluded classes)"
	if got := d.Tally.Summary(len(d.All().Samples)); got != want || len(d.Classes) != 17 {
		t.Errorf("%s, %q", got, d.Classes)
	}
	splits, err := d.Split(DefaultSplitRule())
	if err != nil {
		t.Fatal(err)
	}
	groups := summarizeGroups(splits)
	if groups.Leaks != 0 || groups.Count < 300 || splits.Division.Groups != groups.Count {
		t.Errorf("%+v", groups)
	}
	for _, c := range splits.Division.Classes {
		for i, share := range c.Share {
			if math.Abs(share-0.15) > 0.05 {
				t.Errorf("%s has a share of %.3f in split %d", c.Class, share, i+1)
			}
		}
	}
	whole, err := Read(t.Context(), root, Options{})
	if err != nil || len(whole.Contributors) != 1 || whole.Contributors[0].Column != "sender_id" ||
		whole.Contributors[0].Groups != 348 || len(whole.Classes) != 20 {
		t.Errorf("%v, %+v, %q", err, whole.Contributors, whole.Classes)
	}
}

// TestCheckClothing compares the check of the small clothing data set with its page and with
// counts by other programs.
func TestCheckClothing(t *testing.T) {
	data := os.Getenv("GARB_DATA")
	if data == "" {
		t.Skip("set GARB_DATA to run this test (see .ci/run)")
	}
	d, err := Read(t.Context(), data, Options{})
	if err != nil {
		t.Fatal(err)
	}
	h, err := Check(t.Context(), d, DefaultSplitRule(), picture.DefaultLimits(), nil)
	if err != nil {
		t.Fatal(err)
	}
	counts := []int{h.Splits[0].Count, h.Splits[1].Count, h.Splits[2].Count}
	if !slices.Equal(counts, []int{3068, 341, 372}) || len(h.Corrupt) > 0 {
		t.Errorf("%v pictures, %d corrupt", counts, len(h.Corrupt))
	}
	for _, g := range h.Exact {
		if g.Leak {
			t.Errorf("the same bytes across splits: %+v", g)
		}
	}
	if s := h.Sizes; s.Shortest.Median != 400 || math.Abs(s.Portrait-0.83) > 0.01 || s.Formats["jpeg"] != 3781 {
		t.Errorf("sizes %+v", s)
	}
	if s := h.Shift; s.PValue > 1e-6 || s.Split != "test" {
		t.Errorf("shift %+v", s)
	}
	shirts := slices.Index(h.Classes, "t-shirt")
	if train, test := float64(h.Splits[0].Counts[shirts])/3068,
		float64(h.Splits[2].Counts[shirts])/372; math.Abs(train-0.259) > 5e-4 || math.Abs(test-0.140) > 5e-4 {
		t.Errorf("t-shirts: %v of train, %v of test", train, test)
	}
	digest, err := ComputeDigest(data)
	if err != nil || digest != Sources()[0].Digest {
		t.Errorf("digest %s, %v", digest, err)
	}
}

// TestShiftOfOneSplit checks that a data set with one split has no shift.
func TestShiftOfOneSplit(t *testing.T) {
	h := &Health{Classes: []string{"a", "b"}, Splits: []SplitHealth{
		{Name: Train, Counts: []int{0, 0}}, {Name: Validation, Counts: []int{0, 0}},
		{Name: Test, Count: 3, Counts: []int{1,
			2}},
	}}
	if s := computeShift(h); s != nil {
		t.Errorf("%+v", s)
	}
}
