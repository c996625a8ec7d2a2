package augment

import (
	"bytes"
	"image"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"garb/dataset"
	"garb/picture"
)

// TestErasedRectanglesReachTheEdges checks that erased rectangles can be anywhere in the picture, and
// that they have the area and shape that were drawn.
func TestErasedRectanglesReachTheEdges(t *testing.T) {
	const width, height = 60, 40
	last := math.Nextafter(1, 0)
	for _, test := range []struct {
		rectangle               rectangle
		left, top, wide, height int
	}{
		{rectangle{area: 0.1, aspect: 0.6}, 0, 0, 20, 12},
		{rectangle{area: 0.1, aspect: 0.6, left: last, top: last}, 40, 28, 20, 12},
		{rectangle{area: 0.1, aspect: 0.6, left: 0.5, top: 0.5}, 20, 14, 20, 12},
		{rectangle{area: 0.1, aspect: 1e-9, left: last}, 0, 0, 60, 1},
		{rectangle{area: 0.1, aspect: 1e9, top: last}, 0, 0, 1, 40},
	} {
		p := &picture.RGB{Width: width, Height: height, Pix: make([]uint8, 3*width*height)}
		test.rectangle.noise = rand.New(rand.NewPCG(1, 2))
		test.rectangle.erase(p)
		inside, outside := 0, 0
		for i := range width * height {
			pixel := p.Pix[3*i:][:3]
			if pixel[0]|pixel[1]|pixel[2] == 0 {
				continue
			}
			x, y := i%width, i/width
			if x >= test.left && x < test.left+test.wide && y >= test.top && y < test.top+test.height {
				inside++
			} else {
				outside++
			}
		}
		// A pixel of noise is black once in 2²⁴ times.
		if inside < test.wide*test.height-1 || outside > 0 {
			t.Errorf("%+v: %d pixels of %d inside changed, %d outside",
				test.rectangle, inside, test.wide*test.height, outside)
		}
	}
}

// TestExchangedRectangles checks that the rectangle's sides are √(1−own) of the input's, that its
// centre can be anywhere, and that it is cut off at the edges.
func TestExchangedRectangles(t *testing.T) {
	const side = 100
	s := unitSpec(side, side)
	r := rand.New(rand.NewPCG(1, 2))
	whole, lefts, rights := 0, map[int]bool{}, map[int]bool{}
	for range 2000 {
		a, b := make([]float32, s.ValueCount()), make([]float32, s.ValueCount())
		for i := range b {
			b[i] = 1
		}
		share := exchange(a, b, s, 0.75, r) // sides of one half
		left, top, right, bottom, count := side, side, 0, 0, 0
		for i := range side * side {
			if a[3*i] != a[3*i+1] || a[3*i] != a[3*i+2] || a[3*i]+b[3*i] != 1 {
				t.Fatalf("pixel %d is %v and %v", i, a[3*i:][:3], b[3*i:][:3])
			}
			if a[3*i] == 1 {
				x, y := i%side, i/side
				left, top, right, bottom, count = min(left, x), min(top, y), max(right, x+1), max(bottom, y+1), count+1
			}
		}
		if count != (right-left)*(bottom-top) || math.Abs(share-(1-float64(count)/(side*side))) > 1e-12 {
			t.Fatalf("%d pixels from (%d, %d) to (%d, %d), and a share of %v", count, left, top, right, bottom, share)
		}
		if right-left > 50 || bottom-top > 50 || right-left < 25 || bottom-top < 25 {
			t.Fatalf("a rectangle of %d × %d", right-left, bottom-top)
		}
		if right-left == 50 && bottom-top == 50 {
			whole++
		}
		lefts[left], rights[right] = true, true
	}
	// A quarter has its centre in the middle half both ways, with four standard deviations.
	if math.Abs(float64(whole)-500) > 4*math.Sqrt(2000*3./16)+2000*0.02 {
		t.Errorf("%d of 2000 rectangles are whole", whole)
	}
	if !lefts[0] || !lefts[74] || !rights[25] || !rights[side] || lefts[75] || rights[24] {
		t.Errorf("the first columns are %v, the last %v", lefts, rights)
	}
}

// TestMasksAreBlended checks that a mask's value is the mean of a pixel and its neighbours.
func TestMasksAreBlended(t *testing.T) {
	const side = 9
	garment := writeGrey(t, side, func(_, _ int) uint8 { return 252 })
	back := writeGrey(t, side, func(_, _ int) uint8 { return 0 })
	spec := unitSpec(side, side)
	for name, masked := range map[string]func(x, y int) bool{
		"left":          func(x, _ int) bool { return x < 4 },
		"right":         func(x, _ int) bool { return x >= 4 },
		"top":           func(_, y int) bool { return y < 4 },
		"bottom":        func(_, y int) bool { return y >= 4 },
		"corner":        func(x, y int) bool { return x == 0 && y == 0 },
		"other corner":  func(x, y int) bool { return x == side-1 && y == side-1 },
		"a single spot": func(x, y int) bool { return x == 4 && y == 5 },
	} {
		mask := writeGrey(t, side, func(x, y int) uint8 {
			if masked(x, y) {
				return 255
			}
			return 0
		})
		set := &dataset.Set{Samples: []dataset.Sample{{Path: garment}}}
		v, err := New(Config{}, spec, dataset.Training{Set: set}, 1, picture.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		v.SetBackgrounds(Backgrounds{Paths: []string{back}, Masks: []string{mask}, Share: 1})
		values := load(t, v, 1, 0)
		for i, v := range values {
			x, y := i/3%side, i/3/side
			want := math.Round(252 * averageAround(masked, side, x, y))
			if have := float64(v) * 255; math.Abs(have-want) > 1e-3 {
				t.Errorf("%s: level %d at (%d, %d) is %v, want %v", name, i%3, x, y, have, want)
			}
		}
	}
}

// writeGrey writes a square picture of these levels.
func writeGrey(t *testing.T, side int, level func(x, y int) uint8) (path string) {
	t.Helper()
	m := image.NewGray(image.Rect(0, 0, side, side))
	for i := range m.Pix {
		m.Pix[i] = level(i%side, i/side)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "grey.png")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// averageAround returns which share of a pixel and its neighbours in a square picture is masked.
func averageAround(masked func(x, y int) bool, side, x, y int) float64 {
	in, all := 0, 0
	for row := max(y-1, 0); row <= min(y+1, side-1); row++ {
		for column := max(x-1, 0); column <= min(x+1, side-1); column++ {
			all++
			if masked(column, row) {
				in++
			}
		}
	}
	return float64(in) / float64(all)
}

// TestNoSceneWithoutSettings checks that a picture without settings of its scene stays near,
// upright, sharp and without noise.
func TestNoSceneWithoutSettings(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		s := Config{}.drawScene(r, 24, 20)
		if s.quarters != 0 || s.distance != 0 || s.thumbnail != 0 || s.blur != 0 || s.noise != 0 {
			t.Fatalf("%+v", s)
		}
	}
}
