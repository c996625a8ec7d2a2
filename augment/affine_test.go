package augment

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"garb/picture"
)

// drawPattern draws the picture of testdata/make.py, in any size.
func drawPattern(width, height int) *picture.RGB {
	p := &picture.RGB{Width: width, Height: height}
	for y := range height {
		for x := range width {
			p.Pix = append(p.Pix, uint8(x*7+y*11), uint8(255*((x/5+y/4)%2)), uint8(min(x*x/2+y, 255)))
		}
	}
	return p
}

func clone(p *picture.RGB) *picture.RGB {
	return &picture.RGB{Width: p.Width, Height: p.Height, Pix: slices.Clone(p.Pix)}
}

func TestAffineIsKeras(t *testing.T) {
	data, err := os.ReadFile("testdata/keras.json")
	if err != nil {
		t.Fatal(err)
	}
	type keras struct {
		Theta, Tx, Ty, Shear float64
		Zx, Zy               *float64 // 1 if left out
		Levels               []int
	}
	var cases []keras
	if err := json.Unmarshal(data, &cases); err != nil || len(cases) < 10 {
		t.Fatal(len(cases), err)
	}
	factor := func(v *float64) float64 {
		if v == nil {
			return 1
		}
		return *v
	}
	const side = 24
	for n, c := range cases {
		a := newAffine(c.Theta, c.Tx, c.Ty, c.Shear, factor(c.Zx), factor(c.Zy), side, side)
		got := a.resample(drawPattern(side, side))
		if len(c.Levels) != len(got.Pix) {
			t.Fatal(len(c.Levels))
		}
		different, largest := 0, 0
		for i, v := range got.Pix {
			if d := max(int(v)-c.Levels[i], c.Levels[i]-int(v)); d > 0 {
				different, largest = different+1, max(largest, d)
			}
		}
		// Weights of 11 bits move a level by up to 255/2¹¹, so that it may round to the
		// next; but seldom.
		t.Logf("case %d: %d of %d levels differ, by %d at most", n, different, len(got.Pix), largest)
		if largest > 1 || different > len(got.Pix)/20 {
			t.Errorf("case %d differs too much", n)
		}
	}
}

// TestResampleIsBilinear compares with the definition, in float64, at any shape.
func TestResampleIsBilinear(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		within := func(low, high float64, name string) float64 { return rapid.Float64Range(low, high).Draw(t, name) }
		p := drawPattern(rapid.IntRange(1, 40).Draw(t, "width"), rapid.IntRange(1, 40).Draw(t, "height"))
		a := newAffine(within(-180, 180, "degrees"), within(-50, 50, "across"), within(-50, 50, "down"),
			within(-60, 60, "shear"),
			within(0.1, 2, "zoomAcross"), within(0.1, 2, "zoomDown"), p.Width, p.Height)
		got := a.resample(p)
		at := func(x, y float64, c int) float64 {
			x, y = min(max(x, 0), float64(p.Width-1)), min(max(y, 0), float64(p.Height-1))
			u, v := int(x), int(y)
			level := func(u, v int) float64 {
				return float64(p.Pix[3*(min(v, p.Height-1)*p.Width+min(u, p.Width-1))+c])
			}
			fx, fy := x-float64(u), y-float64(v)
			return (1-fy)*((1-fx)*level(u, v)+fx*level(u+1, v)) + fy*((1-fx)*level(u, v+1)+fx*level(u+1, v+1))
		}
		for i, v := range got.Pix {
			x, y := float64(i/3%p.Width), float64(i/3/p.Width)
			want := at(a.xx*x+a.xy*y+a.x0, a.yx*x+a.yy*y+a.y0, i%3)
			// Half a level of rounding, and two weights' half last bits.
			if d := float64(v) - want; d > 0.5+255./2048 || d < -0.5-255./2048 {
				t.Fatalf("value %d is %d, want %.3f", i, v, want)
			}
		}
	})
}

func TestAffineKeepsTheCentre(t *testing.T) {
	a := newAffine(33, 0, 0, 21, 0.7, 1.2, 41, 13)
	x, y := a.xx*20+a.xy*6+a.x0, a.yx*20+a.yy*6+a.y0
	if x-20 > 1e-9 || 20-x > 1e-9 || y-6 > 1e-9 || 6-y > 1e-9 {
		t.Errorf("(20, 6) shows (%v, %v)", x, y)
	}
}

func TestWholeShiftsMovePixels(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPattern(rapid.IntRange(1, 30).Draw(t, "width"), rapid.IntRange(1, 30).Draw(t, "height"))
		across, down := rapid.IntRange(-35, 35).Draw(t, "across"), rapid.IntRange(-35, 35).Draw(t, "down")
		got := newAffine(0, float64(across), float64(down), 0, 1, 1, p.Width, p.Height).resample(p)
		for y := range p.Height {
			for x := range p.Width {
				from := 3 * (min(max(y+down, 0), p.Height-1)*p.Width + min(max(x+across, 0), p.Width-1))
				if to := 3 * (y*p.Width + x); !slices.Equal(got.Pix[to:to+3], p.Pix[from:from+3]) {
					t.Fatalf("(%d, %d) is %v, want %v", x, y, got.Pix[to:to+3], p.Pix[from:from+3])
				}
			}
		}
	})
}

func TestFlips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPattern(rapid.IntRange(1, 20).Draw(t, "width"), rapid.IntRange(1, 20).Draw(t, "height"))
		across, down := clone(p), clone(p)
		flipAcross(across)
		flipDown(down)
		for y := range p.Height {
			for x := range p.Width {
				at := func(q *picture.RGB, x, y int) []uint8 { return q.Pix[3*(y*p.Width+x):][:3] }
				if !slices.Equal(at(across, x, y), at(p, p.Width-1-x, y)) ||
					!slices.Equal(at(down, x, y), at(p, x, p.Height-1-y)) {
					t.Fatalf("(%d, %d)", x, y)
				}
			}
		}
		flipAcross(across)
		flipDown(down)
		if !slices.Equal(across.Pix, p.Pix) || !slices.Equal(down.Pix, p.Pix) {
			t.Fatal("flipped twice is another picture")
		}
	})
}

func BenchmarkResample(b *testing.B) {
	p := drawPattern(224, 224)
	for _, degrees := range []float64{0, 20} {
		b.Run(fmt.Sprintf("224x224/%v degrees", degrees), func(b *testing.B) {
			a := newAffine(degrees, 5.3, -3.1, 0, 0.95, 1.05, 224, 224)
			for b.Loop() {
				a.resample(p)
			}
		})
	}
}
