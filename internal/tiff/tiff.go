// Package tiff decodes the first picture of TIFF files to the pixels of Pillow 13 (TiffImagePlugin.py
// and libtiff 4.7), turned upright: 1, 2, 4, 8 and 16 bits, grey, palette, RGB, CMYK and YCbCr in JPEG,
// with alpha; grey of 32 bits, signed and in floating point, limited to 0 to 255; strips and tiles,
// interleaved and in planes; uncompressed, LZW, Deflate, PackBits, CCITT modified Huffman, T.4 and T.6,
// JPEG.
package tiff

import (
	"context"
	"math"

	"garb/internal/inflate"
	"garb/internal/raster"
)

// parse parses the first directory.
func parse(data []byte) (*picture, error) {
	d, err := parseDirectory(data)
	if err != nil {
		return nil, err
	}
	return newPicture(d)
}

// ReadHeader reads the first directory. Size and pixels are those of the picture as it is turned, so
// that there is no orientation left to heed.
func ReadHeader(data []byte) (raster.Header, error) {
	p, err := parse(data)
	if err != nil {
		return raster.Header{}, err
	}
	h := raster.Header{
		Width: p.width, Height: p.height, BitsPerSample: p.bits,
		Grey:     p.photometric == whiteIsZero || p.photometric == blackIsZero,
		Alpha:    p.alpha != unspecified,
		CMYK:     p.photometric == separated,
		Animated: p.more,
		ICC:      p.entries[tagICCProfile].data,
	}
	if p.orientation >= 5 && p.orientation <= 8 {
		h.Width, h.Height = h.Height, h.Width
	}
	return h, nil
}

// Decode decodes the first picture. It allocates up to 4 bytes per pixel for samples, 3 for the result,
// 3 more if the picture must be turned, and the bytes of one strip or tile.
func Decode(ctx context.Context, data []byte, o raster.Options) (raster.Image, error) {
	p, err := parse(data)
	if err != nil {
		return raster.Image{}, err
	}
	if err = raster.CheckPixels(p.width, p.height, o.MaxPixels); err != nil {
		return raster.Image{}, err
	}
	c := newConverter(p)
	if c == nil {
		return raster.Image{}, raster.Corruptf("TIFF with a palette that is missing or too long")
	}
	d := decoder{picture: p, ctx: ctx, data: data, options: o}
	if p.compression == uncompressed {
		err = d.decodeRaw()
	} else {
		err = d.decodeCompressed()
	}
	if err != nil {
		return raster.Image{}, err
	}
	m := raster.Image{Width: p.width, Height: p.height, Repairs: d.repairs.Repairs}
	if c.isRGB {
		m.Pix = d.samples
	} else {
		m.Pix = make([]uint8, 3*p.width*p.height)
		for y := range p.height {
			if err := ctx.Err(); err != nil {
				return raster.Image{}, err
			}
			c.convert(m.Row(y), d.samples[y*p.width*p.channels:][:p.width*p.channels])
		}
	}
	return m.Turn(p.orientation), nil
}

// decoder decodes the samples of a picture.
type decoder struct {
	*picture
	ctx     context.Context
	data    []byte
	options raster.Options

	decompressor inflate.Decompressor
	lzw          *lzwDecoder // nil until it is needed

	// faxWithoutLineEnds says that data in T.4 have turned out to lack the codes of the ends of lines.
	faxWithoutLineEnds bool

	samples []uint8      // channels per pixel, 8 bits each
	repairs raster.Image // only its repairs are used
}

// allocate allocates the samples.
func (d *decoder) allocate() { d.samples = make([]uint8, d.width*d.height*d.channels) }

// part is a rectangle of the picture.
type part struct{ x, y, width, height int }

// unpack writes the rows of a part to the samples. rows has them stride bytes apart. plane is the plane
// of planar pictures.
func (d *decoder) unpack(area part, rows []byte, stride, plane int) error {
	stored, channels := d.stored, d.channels
	if d.planar {
		stored, channels = 1, 1
	}
	for y := range area.height {
		if err := d.ctx.Err(); err != nil {
			return err
		}
		out := d.samples[((area.y+y)*d.width+area.x)*d.channels:]
		if d.planar {
			out = out[plane:]
		}
		row := rows[y*stride:]
		switch {
		case d.format != unsigned, d.bits == 32:
			d.unpackNumbers(out[:area.width], row)
		case d.bits == 8:
			unpackBytes(out, row, area.width, d.channels, channels, stored, 1)
		case d.bits == 16:
			if !d.isBigEndian() {
				row = row[1:] // the most significant byte
			}
			unpackBytes(out, row, area.width, d.channels, channels, stored, 2)
		default:
			unpackBits(out, row, area.width, d.bits)
		}
	}
	return nil
}

// unpackBytes writes the first channels of each of n pixels to out, where pixels are step bytes apart. A
// pixel has stored samples of size bytes, of which the first byte is taken.
func unpackBytes(out, row []byte, n, step, channels, stored, size int) {
	if size == 1 && step == stored && channels == stored {
		copy(out[:n*step], row)
		return
	}
	for i := range n {
		for c := range channels {
			out[i*step+c] = row[(i*stored+c)*size]
		}
	}
}

// unpackBits writes n samples of fewer than 8 bits, one to a byte.
func unpackBits(out, row []byte, n, bits int) {
	mask := uint8(1<<bits - 1)
	for i := range n {
		bit := i * bits
		out[i] = row[bit/8] >> (8 - bits - bit%8) & mask
	}
}

// unpackNumbers writes grey numbers, limited to 0 to 255 as Pillow limits them (Convert.c, i2rgb, f2l).
// Unsigned ones are taken as signed.
func (d *decoder) unpackNumbers(out, row []byte) {
	for i := range out {
		switch {
		case d.bits == 16:
			out[i] = limit(int16(d.order.Uint16(row[2*i:])))
		case d.format == float:
			out[i] = limit(math.Float32frombits(d.order.Uint32(row[4*i:])))
		default:
			out[i] = limit(int32(d.order.Uint32(row[4*i:])))
		}
	}
}

// limit returns the integer part of v, limited to 0 to 255, and 0 for what is not a number.
func limit[T int16 | int32 | float32](v T) uint8 {
	switch {
	case v >= 255:
		return 255
	case v > 0:
		return uint8(v)
	}
	return 0
}
