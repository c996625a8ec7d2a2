// Package picture turns encoded pictures into the input of a network: it checks
// limits, decodes, turns upright, resizes and scales.
//
// The pixels are those of Pillow 13, and resized pixels, too: networks are trained with them.
// docs/pictures.md says which formats are read, and how exactly.
package picture

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"garb/internal/raster"
)

// RGB is a picture of 8 bits per channel: 3 bytes per pixel, rows from top to bottom, without
// padding.
type RGB struct {
	Width, Height int
	Pix           []uint8
}

func newRGB(width, height int) *RGB {
	return &RGB{width, height, make([]uint8, 3*width*height)}
}

// newRGBIn returns a picture with any pixels. It lies in pix if that is large enough.
func newRGBIn(pix []uint8, width, height int) *RGB {
	return &RGB{width, height, raster.NewIn(pix, width, height).Pix}
}

// row returns row y.
func (p *RGB) row(y int) []uint8 { return p.Pix[3*y*p.Width:][: 3*p.Width : 3*p.Width] }

// Decode decodes a picture at full scale and turns it upright. Transparent pictures
// are blended with white; of several frames only the first is decoded. Its errors
// are *Error or the context's.
//
// Beside the data, it allocates at most 16 bytes per pixel that is decoded, and 40 MiB; for TIFF of 16
// bits 28 bytes; for HEIC and AVIF 48 bytes and 64 MiB. The limits apply to what is decoded.
func Decode(ctx context.Context, data []byte, l Limits) (*RGB, error) {
	p, _, err := Inspect(ctx, data, l)
	return p, err
}

// Inspect decodes a picture as Decode does, and returns what is known about it, too.
func Inspect(ctx context.Context, data []byte, l Limits) (*RGB, Info, error) {
	return decode(ctx, data, l, func(Info) int { return 1 }, true, nil)
}

// Load turns a picture's data into a network's input: it decodes the picture, at
// reduced scale if it is a JPEG much larger than needed, and writes Tensor's values
// to dst. It panics unless dst has Height × Width × Channels values. Load keeps up to 8 MiB of memory
// for pixels and uses it for the next picture.
//
// A reduced scale (see Reduction) loses detail that is finer than what remains
// after the resize. Values then differ from those of Decode and Tensor by a few
// levels at most edges; bench/README.md says how that affects answers.
func (s Spec) Load(ctx context.Context, data []byte, l Limits, dst []float32) (Info, error) {
	memory := decodedPix.take()
	defer decodedPix.put(memory)
	p, info, err := decode(ctx, data, l, s.Reduction, s.Orientation != IgnoreOrientation, *memory)
	if err != nil {
		return info, err
	}
	*memory = p.Pix
	s.Tensor(p, dst)
	return info, nil
}

// Memory for pictures that only Load and Tensor see.
var decodedPix, resizedPix pixPool

// pixPool keeps memory for pictures.
type pixPool struct{ sync.Pool }

func (p *pixPool) take() *[]uint8 {
	if memory, ok := p.Get().(*[]uint8); ok {
		return memory
	}
	return new([]uint8)
}

// put keeps memory for the next picture, unless it is larger than pictures that are decoded at reduced
// scale usually are.
func (p *pixPool) put(memory *[]uint8) {
	const most = 8 << 20
	if len(*memory) <= most {
		p.Put(memory)
	}
}

// Decode is the first half of Load: it decodes a picture at the scale that
// Reduction returns and turns it upright, unless the Spec ignores EXIF's orientation. Its errors
// are those of the function Decode.
func (s Spec) Decode(ctx context.Context, data []byte, l Limits) (*RGB, Info, error) {
	return decode(ctx, data, l, s.Reduction, s.Orientation != IgnoreOrientation, nil)
}

// DecodeWhole decodes as Decode does, but at full scale. Tensor then gives the network's input.
func (s Spec) DecodeWhole(ctx context.Context, data []byte, l Limits) (*RGB, Info, error) {
	return decode(ctx, data, l, func(Info) int { return 1 }, s.Orientation != IgnoreOrientation, nil)
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
	if s.Orientation == IgnoreOrientation {
		width, height = info.Width, info.Height
	}
	neededWidth, neededHeight := s.scaledSize(width, height)
	for reduction := 8; reduction > 1; reduction /= 2 {
		if float64(width/reduction) >= margin*neededWidth && float64(height/reduction) >= margin*neededHeight {
			return reduction
		}
	}
	return 1
}

// decode decodes a picture at the scale that reduce returns for it. The picture may lie in pix.
func decode(ctx context.Context, data []byte, l Limits, reduce func(Info) int, upright bool, pix []uint8,
) (*RGB, Info, error) {
	ctx, cancel := l.withDeadline(ctx)
	defer cancel()
	if int64(len(data)) > l.MaxBytes {
		return nil, Info{}, l.errTooManyBytes()
	}
	info, err := Identify(data)
	if err != nil {
		return nil, info, err
	}
	reduction := reduce(info)
	if err = l.checkDecoded(info, reduction); err != nil { // first, since its limit is the lower one
		return nil, info, err
	}
	if err = l.checkSize(info.Width, info.Height); err != nil {
		return nil, info, err
	}
	if err = ctx.Err(); err != nil {
		return nil, info, err
	}
	m, err := info.Format.decode(ctx, data, raster.Options{
		Scale: reduction, MaxPixels: l.decodedPixels(), KeepTruncated: l.KeepTruncated, Pix: pix,
	})
	switch {
	case ctx.Err() != nil:
		return nil, info, ctx.Err()
	case err != nil:
		return nil, info, err
	}
	info.Repairs = m.Repairs
	if upright {
		m = m.Turn(info.Orientation)
	}
	return &RGB{m.Width, m.Height, m.Pix}, info, ctx.Err()
}

// decode decodes data of the format.
func (f Format) decode(ctx context.Context, data []byte, o raster.Options) (m raster.Image, err error) {
	// A panic of a decoder on invalid data must not end the process.
	defer func() {
		if r := recover(); r != nil {
			m, err = raster.Image{}, &Error{Corrupt, fmt.Sprintf("the %s data cannot be decoded", f),
				fmt.Errorf("%v", r)}
		}
	}()
	m, err = codecs[f].decode(ctx, data, o)
	if errors.Is(err, raster.ErrTruncated) && !o.KeepTruncated && f.keepsTruncated() {
		err = fmt.Errorf("%w: %w", ErrTruncated, err)
	}
	if err != nil {
		return raster.Image{}, classify(err)
	}
	return m, nil
}
