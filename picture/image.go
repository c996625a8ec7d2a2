package picture

import (
	"context"
	"fmt"
	"image"
	"image/color"
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
	switch m.(type) {
	case *image.Gray, *image.NRGBA, *image.RGBA:
	default:
		m = exactImage{m}
	}
	return blendOverWhite(ctx, m, bounds)
}

// exactImage returns an image's colours as its own methods compute them: blendOverWhite would
// take a *image.YCbCr for one of WebP's, whose levels have another range, and allows palettes of
// up to 256 colours.
type exactImage struct{ image.Image }

// RGBA64At returns the colour of a pixel.
func (e exactImage) RGBA64At(x, y int) color.RGBA64 {
	if m, ok := e.Image.(image.RGBA64Image); ok {
		return m.RGBA64At(x, y)
	}
	return color.RGBA64Model.Convert(e.At(x, y)).(color.RGBA64)
}
