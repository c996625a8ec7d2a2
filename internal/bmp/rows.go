package bmp

import (
	"context"

	"garb/internal/raster"
)

// Rows reads the rows of a bitmap.
type Rows struct {
	// Complete says that no row is missing.
	Complete bool

	b      *Bitmap
	data   []byte
	stride int
	bits   int // per sample of a row
	// colours has the RGBA colours of pixels of at most 8 bits.
	colours [256][4]uint8
}

// Rows returns a reader of the bitmap's rows. Missing rows are an error unless o.KeepTruncated. For RLE
// it decodes the whole bitmap, whose pixels must have been checked against the limit.
func (b *Bitmap) Rows(ctx context.Context, data []byte, o raster.Options) (*Rows, error) {
	start := min(b.Pixels, len(data))
	if b.compression == rle8 || b.compression == rle4 {
		d := rleDecoder{width: b.Width, size: b.Width * b.Height, data: data, at: start, half: b.compression == rle4}
		if err := d.decode(ctx); err != nil {
			return nil, err
		}
		r := &Rows{Complete: true, b: b, data: d.pixels, stride: b.Width, bits: 8}
		r.setColours()
		return r, nil
	}
	r := &Rows{b: b, data: data[start:], stride: b.stride, bits: b.bits}
	r.setColours()
	switch b.Mode {
	case Bilevel:
		r.bits = 1
	case Grey:
		r.bits = 8
	}
	if r.rowSize() > r.stride {
		// A palette that is a ramp of grey with fewer than 8 bits: Pillow takes the samples for 8 bits.
		return nil, raster.Corruptf("a BMP of %d bits has a palette for 8 bits", b.bits)
	}
	r.Complete = r.has(b.Height - 1)
	if !r.Complete && !o.KeepTruncated {
		return nil, raster.ErrTruncated
	}
	return r, nil
}

// rowSize returns the number of bytes of a row without its padding.
func (r *Rows) rowSize() int { return (r.b.Width*r.bits + 7) / 8 }

// has reports whether the data have row i, counted as they are stored.
func (r *Rows) has(i int) bool { return i*r.stride+r.rowSize() <= len(r.data) }

// Read writes row y, counted from the top, as RGBA. Missing pixels are 0, of alpha too, as in Pillow.
func (r *Rows) Read(y int, rgba []uint8) {
	if !r.b.topDown {
		y = r.b.Height - 1 - y
	}
	var row []byte
	if r.has(y) {
		row = r.data[y*r.stride:][:r.rowSize()]
	}
	switch {
	case r.b.Mode < RGB:
		r.readLevels(rgba, row)
	case row != nil:
		r.b.layout.unpack(rgba, row)
	case r.b.Mode == RGB:
		r.b.layout.fillBlack(rgba)
	default:
		clear(rgba)
	}
}

// readLevels writes pixels of at most 8 bits as RGBA; row is nil for pixels that are all 0.
func (r *Rows) readLevels(rgba []uint8, row []byte) {
	if r.bits == 8 && row != nil {
		for x, v := range row {
			copy(rgba[4*x:4*x+4], r.colours[v][:])
		}
		return
	}
	mask := uint8(1<<r.bits - 1)
	for x := range len(rgba) / 4 {
		var v uint8
		if row != nil {
			bit := x * r.bits
			v = row[bit/8] >> (8 - r.bits - bit%8) & mask
		}
		copy(rgba[4*x:4*x+4], r.colours[v][:])
	}
}

// setColours sets the colours of pixels of at most 8 bits.
func (r *Rows) setColours() {
	for v := range r.colours {
		level := uint8(v)
		if r.b.Mode == Bilevel {
			level = uint8(min(v, 1) * 255)
		}
		c := [3]uint8{level, level, level}
		if r.b.Mode == Indexed {
			c = r.b.palette[v]
		}
		r.colours[v] = [4]uint8{c[0], c[1], c[2], 255}
	}
}

// fillBlack writes opaque black.
func (layout) fillBlack(rgba []uint8) {
	clear(rgba)
	for i := 3; i < len(rgba); i += 4 {
		rgba[i] = 255
	}
}
