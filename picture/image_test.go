package picture

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"math"
	"testing"
)

// ownImage is an image of a type that the package does not know.
type ownImage struct{ image.Image }

// TestFromImage compares the pixels of decoded images with their colours over white.
func TestFromImage(t *testing.T) {
	bounds := image.Rect(-2, 3, 4, 6)
	rgba, nrgba, gray := image.NewRGBA(bounds), image.NewNRGBA(bounds), image.NewGray(bounds)
	deep, ycc := image.NewNRGBA64(bounds), image.NewYCbCr(bounds, image.YCbCrSubsampleRatio420)
	colours := make(color.Palette, 300)
	for i := range colours {
		colours[i] = color.NRGBA{uint8(i), uint8(3 * i), uint8(255 - i), uint8(i)}
	}
	paletted := image.NewPaletted(bounds, colours)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			c := color.NRGBA{uint8(40 * (x + 2)), uint8(70 * (y - 3)), 200, uint8(255 - 37*(x+2))}
			rgba.Set(x, y, c)
			nrgba.Set(x, y, c)
			gray.Set(x, y, c)
			deep.Set(x, y, c)
			ycc.Y[ycc.YOffset(x, y)], ycc.Cb[ycc.COffset(x, y)] = c.R, c.G
			paletted.SetColorIndex(x, y, uint8(9*(x+2)+y))
		}
	}
	for name, m := range map[string]image.Image{
		"RGBA": rgba, "NRGBA": nrgba, "gray": gray, "16 bits": deep, "YCbCr": ycc, "paletted": paletted,
		"own type": ownImage{nrgba}, "part": nrgba.SubImage(image.Rect(0, 4, 3, 6)),
	} {
		got, err := FromImage(t.Context(), m, DefaultLimits())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		b := m.Bounds()
		if got.Width != b.Dx() || got.Height != b.Dy() {
			t.Fatalf("%s: %d × %d", name, got.Width, got.Height)
		}
		var want []uint8
		for y := b.Min.Y; y < b.Max.Y; y++ {
			for x := b.Min.X; x < b.Max.X; x++ {
				red, green, blue, alpha := m.At(x, y).RGBA()
				for _, v := range []uint32{red, green, blue} {
					want = append(want, uint8((v+0xffff-alpha)>>8))
				}
			}
		}
		for i, v := range got.Pix {
			if d := int(v) - int(want[i]); d < -1 || d > 1 { // blended in 8 or in 16 bits
				t.Fatalf("%s: level %d is %d, not %d", name, i, v, want[i])
			}
		}
	}
}

func TestFromImageErrors(t *testing.T) {
	limits := DefaultLimits()
	limits.MaxSide, limits.MaxPixels = 100, 1000
	for _, size := range [][2]int{{101, 1}, {1, 101}, {40, 26}} {
		m := image.NewGray(image.Rect(0, 0, size[0], size[1]))
		if _, err := FromImage(t.Context(), m, limits); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%v: %v", size, err)
		}
	}
	if _, err := FromImage(t.Context(), image.NewGray(image.Rect(0, 0, 100, 10)), limits); err != nil {
		t.Errorf("at the limits: %v", err)
	}
	if _, err := FromImage(t.Context(), image.NewGray(image.Rect(5, 5, 5, 9)), limits); !errors.Is(err, ErrCorrupt) {
		t.Errorf("no pixels: %v", err)
	}
	for name, m := range map[string]image.Image{
		"index beyond the palette": &image.Paletted{Pix: []uint8{7}, Stride: 1, Rect: image.Rect(0, 0, 1, 1),
			Palette: color.Palette{color.White}},
		"too few pixels": &image.RGBA{Stride: 4, Rect: image.Rect(0, 0, 2, 2)},
		"nil":            (*image.RGBA)(nil),
	} {
		if _, err := FromImage(t.Context(), m, DefaultLimits()); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, bounds := range []image.Rectangle{
		{image.Pt(math.MinInt, 0), image.Pt(math.MaxInt, 10)}, {image.Pt(0, math.MinInt), image.Pt(10, math.MaxInt)},
	} {
		if _, err := FromImage(t.Context(), &image.Gray{Rect: bounds}, DefaultLimits()); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%v: %v", bounds, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := FromImage(ended, image.NewGray(image.Rect(0, 0, 9, 9)), limits); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
}

// TestFromImageKeepsNothing changes an image after it was read.
func TestFromImageKeepsNothing(t *testing.T) {
	m := image.NewNRGBA(image.Rect(0, 0, 4, 4))
	p, err := FromImage(t.Context(), m, DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	before := bytes.Clone(p.Pix)
	for i := range m.Pix {
		m.Pix[i] = 77
	}
	if !bytes.Equal(p.Pix, before) {
		t.Error("the pixels changed with the image")
	}
}
