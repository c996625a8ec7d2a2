package bmp

import (
	"context"

	"garb/internal/raster"
)

// rleDecoder decodes RLE4 and RLE8 as Pillow does (BmpImagePlugin.py, BmpRleDecoder).
type rleDecoder struct {
	width, size int // pixels of a row and of the picture
	data        []byte
	at          int  // next byte of data
	half        bool // RLE4: 4 bits per pixel

	pixels []uint8
	x      int // where Pillow believes to be in the row
}

// decode decodes the picture to one byte per pixel, rows as they are stored. It allocates no more than
// what the data expand to.
func (d *rleDecoder) decode(ctx context.Context) error {
	for step := 0; len(d.pixels) < d.size; step++ {
		if step%1024 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		if d.at+2 > len(d.data) {
			return raster.ErrTruncated
		}
		count, value := int(d.data[d.at]), d.data[d.at+1]
		d.at += 2
		switch {
		case count > 0:
			d.repeat(count, value)
		case value == 0: // end of a row
			if rest := len(d.pixels) % d.width; rest > 0 {
				d.skip(d.width - rest)
			}
			d.x = 0
		case value == 1: // end of the picture
			return raster.Corruptf("RLE data end before the picture is complete")
		case value == 2: // jump
			if d.at+2 > len(d.data) {
				return raster.ErrTruncated
			}
			d.skip(int(d.data[d.at]) + int(d.data[d.at+1])*d.width)
			d.at += 2
			d.x = len(d.pixels) % d.width
		default:
			if err := d.copyPixels(int(value)); err != nil {
				return err
			}
		}
	}
	return nil
}

// repeat appends count pixels of one value or, for RLE4, of two in turn. What exceeds the row is dropped.
func (d *rleDecoder) repeat(count int, value uint8) {
	count = min(count, max(0, d.width-d.x))
	even, odd := value, value
	if d.half {
		even, odd = value>>4, value&15
	}
	for i := range count {
		if i%2 == 0 {
			d.pixels = append(d.pixels, even)
		} else {
			d.pixels = append(d.pixels, odd)
		}
	}
	d.x += count
}

// skip appends n pixels of value 0, at most up to the end of the picture.
func (d *rleDecoder) skip(n int) {
	d.pixels = append(d.pixels, make([]uint8, min(n, d.size-len(d.pixels)))...)
}

// copyPixels appends count pixels that are stored one by one and aligns the position to 16 bits.
func (d *rleDecoder) copyPixels(count int) error {
	n := min(count, d.size-len(d.pixels))
	size := n
	if d.half {
		size = (n + 1) / 2
	}
	if d.at+size > len(d.data) {
		return raster.ErrTruncated
	}
	for i := range n {
		if d.half {
			d.pixels = append(d.pixels, d.data[d.at+i/2]>>(4-4*(i%2))&15)
		} else {
			d.pixels = append(d.pixels, d.data[d.at+i])
		}
	}
	d.at += size
	d.at += d.at % 2
	d.x += count
	return nil
}
