package drawn

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"testing"

	"garb/picture"
)

// TestDrawOther checks that pictures do not depend on the machine, that they have the promised sizes,
// that neighbours differ, and that every kind is drawn.
func TestDrawOther(t *testing.T) {
	all, seen, distinct := sha256.New(), map[string]bool{}, map[string]bool{}
	colours := 0
	for n := range 2 * len(kinds) {
		p, kind := DrawOther(3, n)
		if p.Width < 1 || p.Height < 1 || p.Width > 640 || p.Height > 640 || len(p.Pix) != 3*p.Width*p.Height {
			t.Errorf("picture %d, %s: %d × %d with %d values", n, kind, p.Width, p.Height, len(p.Pix))
		}
		again, _ := DrawOther(3, n)
		if !bytes.Equal(p.Pix, again.Pix) {
			t.Errorf("picture %d, %s, is another when drawn again", n, kind)
		}
		digest := computeDigest(p)
		fmt.Fprintln(all, digest, p.Width, p.Height)
		seen[kind], distinct[digest] = true, true
		if kind == "colour" || kind == "tiny" {
			colours++
		} else if isFlat(p) {
			t.Errorf("picture %d, %s, has one colour", n, kind)
		}
	}
	for _, kind := range Kinds() {
		if !seen[kind] {
			t.Errorf("no %s was drawn", kind)
		}
	}
	if want := 2*len(kinds) - colours; len(distinct) < want {
		t.Errorf("%d different pictures, want at least %d", len(distinct), want)
	}
	// The digest, as this test computed it, of the drawings on which models were measured.
	const want = "40302e87b286a20f"
	if got := hex.EncodeToString(all.Sum(nil))[:16]; got != want {
		t.Errorf("the drawings have the digest %q, want %q", got, want)
	}
	first, _ := DrawOther(1, 0)
	if second, _ := DrawOther(2, 0); bytes.Equal(first.Pix, second.Pix) {
		t.Error("two seeds draw the same picture")
	}
}

func computeDigest(p *picture.RGB) string { return fmt.Sprintf("%x", sha256.Sum256(p.Pix)) }

// isFlat says whether all pixels are the same.
func isFlat(p *picture.RGB) bool {
	for i := 3; i < len(p.Pix); i++ {
		if p.Pix[i] != p.Pix[i-3] {
			return false
		}
	}
	return true
}

func TestDrawGarment(t *testing.T) {
	all := sha256.New()
	for _, class := range Garments() {
		p, err := DrawGarment(class, 5)
		if err != nil {
			t.Fatal(err)
		}
		if p.Width != 400 || p.Height != 533 || len(p.Pix) != 3*400*533 || isFlat(p) {
			t.Errorf("%s: %d × %d", class, p.Width, p.Height)
		}
		fmt.Fprintln(all, computeDigest(p))
	}
	const want = "248d1d4eb20c4d53"
	if got := hex.EncodeToString(all.Sum(nil))[:16]; got != want {
		t.Errorf("the drawings have the digest %q, want %q", got, want)
	}
	if _, err := DrawGarment("crown", 1); err == nil {
		t.Error("a garment that cannot be drawn gives no error")
	}
}

// TestFill compares areas of polygons with the sums of the pixels' values.
func TestFill(t *testing.T) {
	white := colour{255, 255, 255, 255}
	for _, c := range []struct {
		name     string
		polygons [][]point
		want     float64 // pixels
	}{
		{"square on pixels", [][]point{box(2*px, 2*px, 6*px, 5*px)}, 12},
		{"square between pixels", [][]point{box(2*px+8, 2*px+8, 4*px+8, 4*px+8)}, 4},
		{"anticlockwise", [][]point{{{2 * px, 2 * px}, {2 * px, 5 * px}, {6 * px, 5 * px}, {6 * px, 2 * px}}},
			12},
		{"two that overlap, in both directions", [][]point{box(2*px, 2*px, 6*px, 5*px),
			{{4 * px, 2 * px}, {4 * px, 5 * px}, {8 * px, 5 * px}, {8 * px, 2 * px}}}, 18},
		{"triangle", [][]point{{{0, 0}, {16 * px, 0}, {0, 16 * px}}}, 128},
		{"partly outside", [][]point{box(-5*px, -5*px, 2*px, 2*px)}, 4},
		{"outside", [][]point{box(40*px, 40*px, 50*px, 50*px)}, 0},
		{"circle", [][]point{ellipse(point{10 * px, 10 * px}, 8*px, 8*px)}, 201},
		{"nothing", nil, 0},
	} {
		k := newCanvas(20, 20, black)
		k.fill(solid(white), c.polygons...)
		sum := 0
		for _, v := range k.Pix {
			sum += int(v)
		}
		if got := float64(sum) / (3 * 255); math.Abs(got-c.want) > 0.012*c.want+0.01 {
			t.Errorf("%s: %.2f pixels, want %.0f", c.name, got, c.want)
		}
	}
}

func TestArithmetic(t *testing.T) {
	for degrees, want := range map[int]int{0: 0, 30: 8192, 90: 16384, 180: 0, 270: -16384, -90: -16384, 390: 8192,
		45: 11585} {
		if got := sine(degrees); got < want-30 || got > want+30 {
			t.Errorf("sine(%d) is %d, want %d", degrees, got, want)
		}
	}
	for v, want := range map[int64]int{0: 0, 1: 1, 3: 1, 4: 2, 99: 9, 100: 10, 1 << 40: 1 << 20} {
		if got := sqrt(v); got != want {
			t.Errorf("sqrt(%d) is %d, want %d", v, got, want)
		}
	}
	for _, c := range []struct {
		h, s, v int
		want    colour
	}{
		{0, 255, 255, colour{255, 0, 0, 255}}, {120, 255, 255, colour{0, 255, 0, 255}},
		{240, 255, 255, colour{0, 0, 255, 255}},
		{60, 255, 200, colour{200, 200, 0, 255}}, {300, 255, 255, colour{255, 0, 255, 255}},
		{77, 0, 90, colour{90, 90, 90, 255}},
	} {
		if got := hsv(c.h, c.s, c.v); got != c.want {
			t.Errorf("hsv(%d, %d, %d) is %v, want %v", c.h, c.s, c.v, got, c.want)
		}
	}
	r, sum, square := newSource(1, 1), 0, 0
	const count, deviation = 4000, 100
	for range count {
		v := r.normal(deviation)
		sum, square = sum+v, square+v*v
	}
	if mean, got := sum/count, sqrt(int64(square/count)); mean < -6 || mean > 6 || got < 95 || got > 105 {
		t.Errorf("normal numbers have mean %d and deviation %d, want 0 and %d", mean, got, deviation)
	}
}

// TestFont checks that the font has every letter of words and numbers.
func TestFont(t *testing.T) {
	r := newSource(1, 2)
	for range 2000 {
		for _, letter := range r.makeLine(20) {
			if _, ok := font[letter]; !ok && letter != ' ' {
				t.Fatalf("the font has no %q", letter)
			}
		}
	}
	shapes := map[[7]uint8]rune{}
	for letter, shape := range font {
		if other, ok := shapes[shape]; ok {
			t.Errorf("%q looks like %q", letter, other)
		}
		shapes[shape] = letter
		if slices.Max(shape[:]) > 0x1f || slices.Max(shape[:]) == 0 {
			t.Errorf("%q is wider than five pixels, or empty", letter)
		}
	}
}
