package crops

import (
	"context"
	"errors"
	"fmt"
	"image"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestWhole checks which classes become crops of whole photos.
func TestWhole(t *testing.T) {
	names := []string{"null", "coat", "boots", "heels", "tights", "hat"}
	rule := DefaultRule()
	rule.Ignore = []string{"null"}
	rule.Merge = map[string]string{"boots": "shoes", "heels": "shoes"}
	rule.Classes = []string{"coat", "shoes", "hat"}
	at := image.Rect
	type outcome struct {
		Crops              []string
		Few, Small, Hidden int
	}
	for _, c := range []struct {
		name  string
		whole float64
		areas []area
		want  outcome
	}{
		{"exactly half", 0.5, []area{{1, at(0, 0, 50, 40)}, {5, at(100, 0, 125, 40)}},
			outcome{Small: 1, Crops: []string{"coat coat 2000 [1]"}}},
		{"exactly half, wide enough", 0.5, []area{{1, at(0, 0, 50, 80)}, {5, at(100, 0, 150, 40)}},
			outcome{Crops: []string{"coat coat 4000 [1]", "hat hat 2000 [5]"}}},
		{"one pixel less", 0.5, []area{{1, at(0, 0, 50, 80)}, {5, at(100, 0, 150, 40)}, {0, at(100, 0, 101, 1)}},
			outcome{Crops: []string{"coat coat 4000 [1]"}, Hidden: 1}},
		{"labels of one class together, in pixels and box", 1,
			[]area{{1, at(0, 0, 20, 50)}, {2, at(100, 100, 120, 125)}, {3, at(150, 150, 170, 175)}},
			outcome{Crops: []string{"shoes shoes 1000 [2 3]"}, Small: 1}},
		{"the largest is not wanted", 0.5, []area{{4, at(0, 0, 100, 100)}, {1, at(100, 100, 149, 200)}},
			outcome{Hidden: 1}},
		{"few", 0.1, []area{{1, at(0, 0, 40, 15)}, {0, at(0, 0, 1, 1)}}, outcome{Few: 1}},
		{"all of them", 1, []area{{1, at(0, 0, 200, 200)}}, outcome{Crops: []string{"coat coat 40000 [1]"}}},
		{"nothing", 1, nil, outcome{}},
	} {
		rule.Whole = c.whole
		cutter, err := NewCutter(names, rule)
		if err != nil {
			t.Fatal(err)
		}
		cut, err := cutter.Cut(t.Context(), &Photo{mask: drawMask(200, 200, c.areas...)})
		if err != nil {
			t.Fatal(err)
		}
		got := outcome{nil, cut.Few, cut.Small, cut.Hidden}
		for _, crop := range cut.Crops {
			got.Crops = append(got.Crops, fmt.Sprintf("%s %s %d %d", crop.Label, crop.Class, crop.Pixels, crop.indices))
			if crop.Box != image.Rect(0, 0, 200, 200) {
				t.Errorf("%s: %v", c.name, crop.Box)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
	}
}

// TestMaskOfCrop compares masks with the definition, of boxes and of whole photos.
func TestMaskOfCrop(t *testing.T) {
	names := []string{"null", "coat", "boots", "heels"}
	rapid.Check(t, func(t *rapid.T) {
		m := &mask{width: rapid.IntRange(1, 9).Draw(t, "width"), height: rapid.IntRange(1, 9).Draw(t, "height")}
		m.indices = rapid.SliceOfN(rapid.Uint8Range(0, 3), m.width*m.height, m.width*m.height).Draw(t, "indices")
		rule := Rule{Merge: map[string]string{"boots": "shoes", "heels": "shoes"}, Ignore: []string{"null"},
			MarginPixels: 1, MinPixels: 1, MinSide: 1, Whole: rapid.SampledFrom([]float64{0, 0.01}).Draw(t, "whole")}
		cutter, err := NewCutter(names, rule)
		if err != nil {
			t.Fatal(err)
		}
		cut, err := cutter.Cut(t.Context(), &Photo{mask: m})
		if err != nil {
			t.Fatal(err)
		}
		for _, crop := range cut.Crops {
			checkMaskOfCrop(t, cut.Mask(crop), crop, func(x, y int) bool {
				name := names[m.indices[y*m.width+x]]
				if rule.Whole > 0 && rule.Merge[name] != "" {
					name = rule.Merge[name]
				}
				return name == crop.Label
			})
		}
	})
}

// checkMaskOfCrop checks that a crop's mask is white exactly where the photo shows it.
func checkMaskOfCrop(t *rapid.T, got *image.Gray, crop Crop, shows func(x, y int) bool) {
	if got.Rect.Size() != crop.Box.Size() {
		t.Fatal(got.Rect)
	}
	white := 0
	for y := crop.Box.Min.Y; y < crop.Box.Max.Y; y++ {
		for x := crop.Box.Min.X; x < crop.Box.Max.X; x++ {
			want := uint8(0)
			if shows(x, y) {
				want = 255
				white++
			}
			if level := got.GrayAt(x-crop.Box.Min.X, y-crop.Box.Min.Y).Y; level != want {
				t.Fatalf("%v: (%d,%d) is %d, want %d", crop, x, y, level, want)
			}
		}
	}
	if white != crop.Pixels {
		t.Fatalf("%d white pixels, want %d", white, crop.Pixels)
	}
}

// findNegatives finds the negatives in a photo of the given name, whose mask has the labels
// null, face and coat.
func findNegatives(t interface{ Fatal(...any) }, name string, m *mask, n Negatives) []Negative {
	rule := DefaultRule()
	rule.Ignore = []string{"null", "face", "255"}
	cutter, err := NewCutter([]string{"null", "face", "coat"}, rule)
	if err != nil {
		t.Fatal(err)
	}
	cut, err := cutter.Cut(context.Background(), &Photo{pair: Pair{Name: name}, mask: m})
	if err != nil {
		t.Fatal(err)
	}
	return cut.FindNegatives(n)
}

// TestNegatives has masks whose negatives are worked out by hand.
func TestNegatives(t *testing.T) {
	at := image.Rect
	coat := area{2, at(0, 150, 300, 400)}
	// A face above the coat: 40 × 50, so that the margin is 9 and 10 pixels.
	face := area{1, at(100, 60, 140, 110)}
	n := DefaultNegatives()

	got := findNegatives(t, "a", drawMask(300, 400, coat, face), n)
	if len(got) != 2 || got[0] != (Negative{"face", at(88, 50, 152, 120), 0}) || got[1].Label != "" {
		t.Errorf("%+v", got)
	}
	// The coat's collar is within the margin: 64 × 4 = 256 of 64 × 74 pixels are 5 %, and of
	// one row 1.4 %.
	got = findNegatives(t, "a", drawMask(300, 400, area{2, at(0, 116, 300, 400)}, face), n)
	if slices.ContainsFunc(got, func(n Negative) bool { return n.Label != "" }) {
		t.Errorf("%+v", got)
	}
	got = findNegatives(t, "a", drawMask(300, 400, area{2, at(0, 119, 300, 400)}, face), n)
	if len(got) == 0 || got[0] != (Negative{"face", at(88, 50, 152, 120), 64}) {
		t.Errorf("%+v", got)
	}
	// Two faces are two pieces; one of 17 × 17 is too small to see.
	faces := drawMask(300, 400, coat, area{1, at(0, 0, 60, 60)}, area{1, at(200, 0, 260, 60)},
		area{1, at(140, 80, 157, 97)})
	n.PerPhoto = 9
	around := 0
	for _, part := range findNegatives(t, "a", faces, n) {
		if part.Label == "face" {
			around++
		}
	}
	if around != 2 {
		t.Errorf("%d faces", around)
	}
	// An ignored index without a name.
	n.PerPhoto = 1
	if got := findNegatives(t, "a", drawMask(300, 400, coat, area{255, at(100, 60, 140, 110)}), n); len(got) != 1 ||
		got[0].Label != "255" {
		t.Errorf("%+v", got)
	}
	for _, m := range []*mask{drawMask(63, 400), drawMask(400, 63), drawMask(300, 400, area{2, at(0, 0, 300, 400)})} {
		if got := findNegatives(t, "a", m, n); got != nil {
			t.Errorf("%+v", got)
		}
	}
	if got := findNegatives(t, "a", drawMask(64, 64), n); len(got) != 1 || got[0].Box != at(0, 0, 64, 64) {
		t.Errorf("%+v", got)
	}
}

// TestNegativesProperties checks the limits on random masks, and that the result depends on the
// seed and the photo's name.
func TestNegativesProperties(t *testing.T) {
	differ := 0
	rapid.Check(t, func(t *rapid.T) {
		width, height := rapid.IntRange(1, 80).Draw(t, "width"), rapid.IntRange(1, 80).Draw(t, "height")
		var areas []area
		for range rapid.IntRange(0, 4).Draw(t, "areas") {
			x, y := rapid.IntRange(0, width-1).Draw(t, "x"), rapid.IntRange(0, height-1).Draw(t, "y")
			areas = append(areas, area{rapid.Uint8Range(0, 2).Draw(t, "index"), image.Rect(x, y,
				rapid.IntRange(x+1, width).Draw(t, "right"), rapid.IntRange(y+1, height).Draw(t, "bottom"))})
		}
		m := drawMask(width, height, areas...)
		n := Negatives{
			PerPhoto: rapid.IntRange(1, 5).Draw(t, "most"), MinSide: rapid.IntRange(1, 20).Draw(t, "side"),
			Seed: rapid.Uint64().Draw(t, "seed"),
		}
		got := findNegatives(t, "a", m, n)
		checkNegatives(t, m, n, got)
		if diff := cmp.Diff(got, findNegatives(t, "a", m, n)); diff != "" {
			t.Fatal(diff)
		}
		other := n
		other.Seed++
		if !cmp.Equal(got, findNegatives(t, "b", m, n)) && !cmp.Equal(got, findNegatives(t, "a", m, other)) {
			differ++
		}
	})
	if differ == 0 {
		t.Error("neither the seed nor the photo's name changes anything")
	}
}

// checkNegatives checks the number, the sizes, the garment pixels and the overlap of negatives.
func checkNegatives(t *rapid.T, m *mask, n Negatives, got []Negative) {
	if len(got) > n.PerPhoto {
		t.Fatalf("%d parts, want at most %d", len(got), n.PerPhoto)
	}
	for i, part := range got {
		coat, all := m.count(part.Box)[2], part.Box.Dx()*part.Box.Dy()
		share := 0.005
		if part.Label != "" {
			share = 0.03
		}
		if !part.Box.In(m.bounds()) || min(part.Box.Dx(), part.Box.Dy()) < n.MinSide || coat != part.Pixels ||
			float64(coat) > share*float64(all) {
			t.Fatalf("%+v has %d pixels of the coat", part, coat)
		}
		for _, before := range got[:i] {
			if overlap(before.Box, part.Box) > 0.3 {
				t.Fatalf("%v and %v overlap", before, part)
			}
		}
	}
}

func TestNegativesMisused(t *testing.T) {
	for _, n := range []Negatives{{0, 64, 1}, {101, 64, 1}, {1, 0, 1}} {
		var bad *RuleError
		if err := n.Validate(); !errors.As(err, &bad) {
			t.Errorf("%+v: %v", n, err)
		}
	}
	if err := DefaultNegatives().Validate(); err != nil {
		t.Error(err)
	}
}

// TestFitBox widens boxes at each border.
func TestFitBox(t *testing.T) {
	bounds := image.Rect(0, 0, 100, 80)
	for _, c := range []struct{ box, want image.Rectangle }{
		{image.Rect(40, 30, 60, 50), image.Rect(34, 24, 66, 56)},
		{image.Rect(-5, -5, 10, 10), image.Rect(0, 0, 32, 32)},
		{image.Rect(95, 75, 120, 90), image.Rect(68, 48, 100, 80)},
		{image.Rect(10, 10, 90, 70), image.Rect(10, 10, 90, 70)},
	} {
		if got := fitBox(c.box, 32, bounds); got != c.want {
			t.Errorf("%v: %v, want %v", c.box, got, c.want)
		}
	}
}
