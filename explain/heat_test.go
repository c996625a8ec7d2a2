package explain

import (
	"image"
	"testing"

	"garb/model"
	"garb/picture"
)

// hottest returns the pixel of the largest opacity.
func hottest(m *image.NRGBA) (best image.Point) {
	for y := range m.Rect.Dy() {
		for x := range m.Rect.Dx() {
			if m.NRGBAAt(x, y).A > m.NRGBAAt(best.X, best.Y).A {
				best = image.Pt(x, y)
			}
		}
	}
	return best
}

// TestDrawHeat checks that the hottest position of a map shows at its place in the picture, for
// each way to fit the picture into the input.
func TestDrawHeat(t *testing.T) {
	// 4 × 4 positions; one in the second row and third column speaks for the class.
	m := &model.ActivationMap{Height: 4, Width: 4, Values: make([]float32, 16)}
	m.Values[0] = -5
	m.Values[1*4+2] = 2
	for fit, want := range map[picture.Fit]image.Point{
		picture.Stretch:   {5 * 200 / 8, 3 * 100 / 8},
		picture.Crop:      {50 + 5*100/8, 3 * 100 / 8},
		picture.Letterbox: {5 * 200 / 8, 3*200/8 - 50},
	} {
		spec := picture.Spec{Width: 40, Height: 40, Fit: fit}
		heat := DrawHeat(m, spec, 200, 100)
		if heat.Rect.Dx() != 200 || heat.Rect.Dy() != 100 {
			t.Fatalf("%s: %v", fit, heat.Rect)
		}
		got := hottest(heat)
		if d := got.Sub(want); d.X < -2 || d.X > 2 || d.Y < -2 || d.Y > 2 {
			t.Errorf("%s: hottest at %v, want %v", fit, got, want)
		}
		if c := heat.NRGBAAt(got.X, got.Y); c.R != 255 || c.G > 10 || c.A < 190 {
			t.Errorf("%s: the hottest is %v", fit, c)
		}
		if c := heat.NRGBAAt(100, 99); fit != picture.Crop && c.A != 0 {
			t.Errorf("%s: nothing speaks for the class below, and it is %v", fit, c)
		}
	}
	large := DrawHeat(m, picture.Spec{Width: 40, Height: 40, Fit: picture.Stretch}, 4000, 3000)
	if large.Rect.Dx() != 256 || large.Rect.Dy() != 192 {
		t.Errorf("a large picture's map is %v", large.Rect)
	}
	cold := DrawHeat(&model.ActivationMap{Height: 1, Width: 1, Values: []float32{-1}},
		picture.Spec{Width: 4, Height: 4, Fit: picture.Stretch}, 3, 2)
	if c := cold.NRGBAAt(1, 1); c.A != 0 {
		t.Errorf("where all speaks against the class: %v", c)
	}
}
