// Package picture turns encoded pictures into the values a network takes: limits,
// decode, upright, resize, scale.
//
// JPEG pixels are those of libjpeg-turbo and resized pixels those of Pillow, which
// the networks were trained on, to the level.
package picture

import (
	"context"
	"fmt"
)

// RGB is an upright picture of 8 bits a channel: 3 bytes a pixel, rows from top to
// bottom, without padding.
type RGB struct {
	Width, Height int
	Pix           []uint8
}

func newRGB(width, height int) *RGB {
	return &RGB{width, height, make([]uint8, 3*width*height)}
}

// row returns row y.
func (p *RGB) row(y int) []uint8 { return p.Pix[3*y*p.Width:][: 3*p.Width : 3*p.Width] }

// Decode decodes a picture at full scale and turns it upright. Transparent
// pictures are laid over white; of several frames the first is taken. Its errors
// are *Error, or the context's.
//
// It allocates at most 12 bytes for each pixel, and for JPEGs of several scans 9,
// beside what the data hold; the limits bound both.
func Decode(ctx context.Context, data []byte, l Limits) (*RGB, error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()
	info, err := l.check(data)
	if err != nil {
		return nil, err
	}
	return decode(ctx, data, info, 1, l.MaxPixels)
}

// Load is the way from bytes to values: it decodes a picture, at reduced scale if
// it is a JPEG much larger than needed, and writes to dst what Tensor gives:
// Height × Width × 3 values. It panics if dst has another length.
//
// At reduced scale (see Reduction) the picture has lost detail finer than what
// remains after the resize, so values differ from those of Decode and Tensor by a
// few levels at most edges; bench/README.md has what that does to answers.
func (s Spec) Load(ctx context.Context, data []byte, l Limits, dst []float32) (Info, error) {
	p, info, err := s.Decode(ctx, data, l)
	if err != nil {
		return info, err
	}
	s.Tensor(p, dst)
	return info, nil
}

// Decode is the first part of Load: it decodes a picture at the scale that
// Reduction allows, upright. Its errors are those of the function Decode.
func (s Spec) Decode(ctx context.Context, data []byte, l Limits) (*RGB, Info, error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()
	info, err := l.check(data)
	if err != nil {
		return nil, info, err
	}
	p, err := decode(ctx, data, info, s.Reduction(info), l.MaxPixels)
	return p, info, err
}

// Reduction returns 1, 2, 4 or 8: the picture may be decoded at one over that of
// its size, because it is a JPEG and its sides then still are half as large again
// as needed. So the data set's pictures of 400 × 533 are never reduced for inputs
// of 150 and more. Nearest picks single pixels, which a reduced picture has not, so
// that for it none is: networks that Keras trained so answer as they do there.
func (s Spec) Reduction(info Info) int {
	if info.Format != JPEG || s.Filter == Nearest {
		return 1
	}
	const margin = 1.5
	width, height := info.Upright()
	neededWidth, neededHeight := s.needed(width, height)
	for reduction := 8; reduction > 1; reduction /= 2 {
		if float64(width/reduction) >= margin*neededWidth && float64(height/reduction) >= margin*neededHeight {
			return reduction
		}
	}
	return 1
}

// decode decodes data, of which info is known, at 1/reduction of its size.
func decode(ctx context.Context, data []byte, info Info, reduction, maxPixels int) (p *RGB, err error) {
	// The decoders are other people's code working on anybody's data: what they do
	// not expect must cost one answer, not the process.
	defer func() {
		if r := recover(); r != nil {
			p, err = nil, &Error{Corrupt, fmt.Sprintf("the %s data cannot be decoded", info.Format),
				fmt.Errorf("%v", r)}
		}
	}()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p, err = decoders[info.Format](ctx, data, reduction, maxPixels)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	if info.Format != HEIC && info.Format != AVIF { // those are turned by their decoder
		p = p.upright(info.Orientation)
	}
	return p, ctx.Err()
}
