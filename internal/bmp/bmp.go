// Package bmp decodes BMP pictures to the pixels of Pillow 13 (BmpImagePlugin.py): headers of Windows
// and OS/2, 1, 4, 8, 16, 24 and 32 bits, RLE4, RLE8 and the bit fields that Pillow knows. Package ico
// uses it for the bitmaps inside icons and cursors.
package bmp

import (
	"context"
	"encoding/binary"

	"garb/internal/raster"
)

// fileHeaderSize is the size of BITMAPFILEHEADER, which precedes the bitmap in a file.
const fileHeaderSize = 14

// ReadHeader reads the headers of a BMP file.
func ReadHeader(data []byte) (raster.Header, error) {
	b, err := parseFile(data)
	if err != nil {
		return raster.Header{}, err
	}
	return b.Header(), nil
}

// Decode decodes a BMP file. It allocates 3 bytes per pixel and, for RLE, 1 more.
func Decode(ctx context.Context, data []byte, o raster.Options) (raster.Image, error) {
	b, err := parseFile(data)
	if err != nil {
		return raster.Image{}, err
	}
	if err = raster.CheckPixels(b.Width, b.Height, o.MaxPixels); err != nil {
		return raster.Image{}, err
	}
	rows, err := b.Rows(ctx, data, o)
	if err != nil {
		return raster.Image{}, err
	}
	m := raster.New(b.Width, b.Height)
	if !rows.Complete {
		m.AddRepair(MissingRows)
	}
	rgba := make([]uint8, 4*b.Width)
	for y := range b.Height {
		if err := ctx.Err(); err != nil {
			return raster.Image{}, err
		}
		rows.Read(y, rgba)
		if b.Mode == RGBA {
			raster.BlendRow(m.Row(y), rgba)
			continue
		}
		for out, in := m.Row(y), rgba; len(out) > 0; out, in = out[3:], in[4:] {
			copy(out[:3], in[:3])
		}
	}
	return m, nil
}

// MissingRows is the repair of a picture whose last rows are missing.
const MissingRows = "the last rows are missing"

// parseFile parses the headers of a BMP file.
func parseFile(data []byte) (*Bitmap, error) {
	if len(data) < fileHeaderSize || data[0] != 'B' || data[1] != 'M' {
		return nil, raster.Corruptf("it does not begin with the header of a BMP file")
	}
	return Parse(data, fileHeaderSize, int(binary.LittleEndian.Uint32(data[10:])), false)
}
