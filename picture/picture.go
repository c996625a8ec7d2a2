// Package picture turns encoded pictures into the input of a network: it checks
// limits, decodes, turns upright, resizes and scales.
//
// The pixels of JPEGs are exactly those of libjpeg-turbo, and resized pixels those
// of Pillow, with which the networks were trained.
package picture

import (
	"context"
	"fmt"
)

// RGB is an upright picture of 8 bits per channel: 3 bytes per pixel, rows from top
// to bottom, without padding.
type RGB struct {
	Width, Height int
	Pix           []uint8
}

func newRGB(width, height int) *RGB {
	return &RGB{width, height, make([]uint8, 3*width*height)}
}

// row returns row y.
func (p *RGB) row(y int) []uint8 { return p.Pix[3*y*p.Width:][: 3*p.Width : 3*p.Width] }

// Decode decodes a picture at full scale and turns it upright. Transparent pictures
// are blended with white; of several frames only the first is decoded. Its errors
// are *Error or the context's.
//
// It allocates at most 12 bytes per pixel, for JPEGs of several scans 9, beside
// the size of the data. The limits apply to both.
func Decode(ctx context.Context, data []byte, l Limits) (*RGB, error) {
	ctx, cancel := l.withDeadline(ctx)
	defer cancel()
	info, err := l.identify(data)
	if err != nil {
		return nil, err
	}
	return decode(ctx, data, info, 1, l.MaxPixels)
}

// Load turns a picture's data into a network's input: it decodes the picture, at
// reduced scale if it is a JPEG much larger than needed, and writes Tensor's values
// to dst, Height × Width × Channels of them. It panics if dst has another length.
//
// A reduced scale (see Reduction) loses detail that is finer than what remains
// after the resize. Values then differ from those of Decode and Tensor by a few
// levels at most edges; bench/README.md says how that affects answers.
func (s Spec) Load(ctx context.Context, data []byte, l Limits, dst []float32) (Info, error) {
	p, info, err := s.Decode(ctx, data, l)
	if err != nil {
		return info, err
	}
	s.Tensor(p, dst)
	return info, nil
}

// Decode is the first half of Load: it decodes a picture at the scale that
// Reduction returns, upright. Its errors are those of the function Decode.
func (s Spec) Decode(ctx context.Context, data []byte, l Limits) (*RGB, Info, error) {
	ctx, cancel := l.withDeadline(ctx)
	defer cancel()
	info, err := l.identify(data)
	if err != nil {
		return nil, info, err
	}
	p, err := decode(ctx, data, info, s.Reduction(info), l.MaxPixels)
	return p, info, err
}

// Reduction returns the highest of 1, 2, 4 and 8 by which a JPEG's sides can be
// divided and still be 1.5 times as long as needed. For other formats it returns 1,
// and for Nearest, which picks single pixels: networks that were trained so with
// Keras give the same answers as there.
func (s Spec) Reduction(info Info) int {
	if info.Format != JPEG || s.Filter == Nearest {
		return 1
	}
	const margin = 1.5
	width, height := info.Upright()
	neededWidth, neededHeight := s.scaledSize(width, height)
	for reduction := 8; reduction > 1; reduction /= 2 {
		if float64(width/reduction) >= margin*neededWidth && float64(height/reduction) >= margin*neededHeight {
			return reduction
		}
	}
	return 1
}

// decode decodes data, of which info is known, at 1/reduction of its size.
func decode(ctx context.Context, data []byte, info Info, reduction, maxPixels int) (p *RGB, err error) {
	// A panic of a decoder on invalid data must not end the process.
	defer func() {
		if r := recover(); r != nil {
			p, err = nil, &Error{Corrupt, fmt.Sprintf("the %s data cannot be decoded", info.Format),
				fmt.Errorf("%v", r)}
		}
	}()
	if err = ctx.Err(); err != nil {
		return nil, err
	}
	p, err = decoders[info.Format](ctx, data, reduction, maxPixels)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	if info.Format != HEIC && info.Format != AVIF { // their decoder turns these
		p = p.turnUpright(info.Orientation)
	}
	return p, ctx.Err()
}
