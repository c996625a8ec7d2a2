// Package vp8l decodes lossless WebP pictures (RFC 9649, section 3), as libwebp does.
package vp8l

import (
	"context"
	"fmt"

	"garb/internal/raster"
)

//go:generate sh -c "cd _generate && go run . -out ../vp8l_amd64.s -stubs ../stubs_amd64.go -pkg vp8l"
//go:generate go run ../kernel/_neon vp8l

// HeaderSize is the size of the header.
const HeaderSize = 5

// Header is the header of a picture.
type Header struct {
	Width, Height int
	Alpha         bool // pixels may be transparent
}

// ReadHeader reads the header.
func ReadHeader(data []byte) (Header, error) {
	if len(data) < HeaderSize {
		return Header{}, fmt.Errorf("VP8L: %w", raster.ErrTruncated)
	}
	if data[0] != 0x2f || data[4]>>5 != 0 {
		return Header{}, raster.Corruptf("VP8L: unknown signature or version")
	}
	bits := uint32(data[1]) | uint32(data[2])<<8 | uint32(data[3])<<16 | uint32(data[4])<<24
	return Header{
		Width:  int(bits&0x3fff) + 1,
		Height: int(bits>>14&0x3fff) + 1,
		Alpha:  bits>>28&1 != 0,
	}, nil
}

// Decode decodes a picture. It calls emit with each row, from the top, of pixels 0xAARRGGBB, which are
// valid during the call.
func Decode(ctx context.Context, data []byte, emit func(y int, row []uint32)) error {
	h, err := ReadHeader(data)
	if err != nil {
		return err
	}
	d := &decoder{bits: bitReader{data: data}}
	d.bits.read(8)
	d.bits.read(16)
	d.bits.read(16)
	return d.decode(ctx, h.Width, h.Height, emit)
}

// DecodePlane decodes a picture without a header, of which green is in use, as in ALPH chunks.
func DecodePlane(ctx context.Context, data []byte, width, height int, emit func(y int, row []uint32)) error {
	d := &decoder{bits: bitReader{data: data}, plane: true}
	return d.decode(ctx, width, height, emit)
}

// decoder decodes a picture.
type decoder struct {
	bits       bitReader
	builder    builder
	transforms []transform
	plane      bool // only green is in use
	// lenient accepts that the last symbol is cut, as libwebp does for planes of indexes (see tail).
	lenient bool
}

func (d *decoder) decode(ctx context.Context, width, height int, emit func(y int, row []uint32)) error {
	stored := width
	for d.bits.readFlag() {
		var err error
		if stored, err = d.readTransform(ctx, stored, height); err != nil {
			return err
		}
	}
	e, err := d.readEntropy(ctx, stored, height, true)
	if err != nil {
		return err
	}
	d.lenient = d.plane && d.isIndexPlane(e)
	pix := make([]uint32, stored*height)
	emitted := 0
	return d.decodePixels(ctx, e, pix, stored, func(rows int) {
		for ; emitted < rows; emitted++ {
			row := pix[emitted*stored:][:stored]
			for i := len(d.transforms) - 1; i >= 0; i-- {
				row = d.transforms[i].apply(emitted, row)
			}
			emit(emitted, row)
		}
	})
}

// isIndexPlane reports whether the picture is one of indexes, all in green, without a cache.
func (d *decoder) isIndexPlane(e *entropy) bool {
	if len(d.transforms) != 1 || d.transforms[0].kind != palette || len(e.cache) > 0 {
		return false
	}
	for i := range e.groups {
		if !e.groups[i].solid {
			return false
		}
	}
	return true
}
