package picture

import (
	"context"
	"fmt"
	"image"
	"image/color"

	"garb/internal/raster"
)

// FromImage returns the pixels of a decoded image, over white where it is transparent. Its
// errors are *Error, of kind TooLarge or, for an image without pixels, Corrupt, or the
// context's. An image whose methods panic, such as a paletted one with an index beyond its
// palette, is Corrupt, too. FromImage calls m's methods from one goroutine and does not keep m.
func FromImage(ctx context.Context, m image.Image, l Limits) (p *RGB, err error) {
	defer func() {
		if r := recover(); r != nil {
			p, err = nil, &Error{Corrupt, "the image cannot be read", fmt.Errorf("its methods panic: %v", r)}
		}
	}()
	ctx, cancel := l.withDeadline(ctx)
	defer cancel()
	bounds := m.Bounds()
	if bounds.Empty() {
		return nil, &Error{Corrupt, "an image without pixels", nil}
	}
	if bounds.Dx() <= 0 || bounds.Dy() <= 0 { // beyond the range of int
		return nil, &Error{TooLarge, "an image of more than 2⁶³ rows or columns", nil}
	}
	if err := l.checkSize(bounds.Dx(), bounds.Dy()); err != nil {
		return nil, err
	}
	p = newRGB(bounds.Dx(), bounds.Dy())
	convert := newRowConverter(m)
	for y := range p.Height {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		convert(bounds.Min.Y+y, p.row(y))
	}
	return p, nil
}

// rowConverter writes row y of an image to out, 3 bytes per pixel, over white.
type rowConverter func(y int, out []uint8)

// newRowConverter returns the converter for an image: a fast one for some types, and for others one
// that calls the image's methods.
func newRowConverter(m image.Image) rowConverter {
	b := m.Bounds()
	switch m := m.(type) {
	case *image.Gray:
		return func(y int, out []uint8) {
			for i, v := range m.Pix[m.PixOffset(b.Min.X, y):][:b.Dx()] {
				out[3*i], out[3*i+1], out[3*i+2] = v, v, v
			}
		}
	case *image.NRGBA:
		return func(y int, out []uint8) { raster.BlendRow(out, m.Pix[m.PixOffset(b.Min.X, y):][:4*b.Dx()]) }
	case *image.RGBA: // premultiplied
		return func(y int, out []uint8) {
			in := m.Pix[m.PixOffset(b.Min.X, y):][:4*b.Dx()]
			for ; len(in) >= 4; in, out = in[4:], out[3:] {
				rest := 255 - in[3]
				out[0], out[1], out[2] = in[0]+rest, in[1]+rest, in[2]+rest
			}
		}
	}
	return func(y int, out []uint8) {
		for x := b.Min.X; x < b.Max.X; x, out = x+1, out[3:] {
			c := colourAt(m, x, y)
			rest := 0xffff - c.A
			out[0], out[1], out[2] = uint8((c.R+rest)>>8), uint8((c.G+rest)>>8), uint8((c.B+rest)>>8)
		}
	}
}

// colourAt returns the premultiplied colour of a pixel.
func colourAt(m image.Image, x, y int) color.RGBA64 {
	if m, ok := m.(image.RGBA64Image); ok {
		return m.RGBA64At(x, y)
	}
	return color.RGBA64Model.Convert(m.At(x, y)).(color.RGBA64)
}
