// Package ico decodes Windows icons (ICO) and cursors (CUR): of their pictures the one that Pillow 13
// shows, to Pillow's pixels (IcoImagePlugin.py, CurImagePlugin.py).
package ico

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"

	"garb/internal/bmp"
	"garb/internal/png"
	"garb/internal/raster"
)

const (
	directorySize = 6
	entrySize     = 16
)

// entry describes a picture of an icon.
type entry struct {
	width, height int
	depth         int // bits per pixel, told by the number of colours if the entry does not say it
	bitsPerPixel  int // as the entry says
	offset, size  int
}

// ReadHeader reads the header of the picture that Decode decodes.
func ReadHeader(data []byte) (raster.Header, error) {
	if isCursor(data) {
		c, err := parseCursor(data)
		if err != nil {
			return raster.Header{}, err
		}
		return c.header(), nil
	}
	e, err := chooseEntry(data)
	if err != nil {
		return raster.Header{}, err
	}
	if inside := data[e.offset:]; isPNG(inside) {
		var h raster.Header
		h, err = png.ReadHeader(dropTransparency(inside))
		h.EXIF, h.XMP, h.ICC, h.Orientation, h.Animated = nil, nil, nil, 0, false // those are not the icon's
		return h, err
	}
	b, err := parseIcon(data, e)
	if err != nil {
		return raster.Header{}, err
	}
	h := b.Header()
	h.Alpha = true
	return h, nil
}

// Decode decodes the largest picture of an icon, of several of that size the first with the fewest
// bits, or of a cursor the largest. It allocates 3 bytes per pixel and what package bmp or png
// allocates.
func Decode(ctx context.Context, data []byte, o raster.Options) (raster.Image, error) {
	if isCursor(data) {
		c, err := parseCursor(data)
		if err != nil {
			return raster.Image{}, err
		}
		return c.decode(ctx, data, o)
	}
	e, err := chooseEntry(data)
	if err != nil {
		return raster.Image{}, err
	}
	if inside := data[e.offset:]; isPNG(inside) {
		return png.Decode(ctx, dropTransparency(inside), o)
	}
	return decodeIcon(ctx, data, e, o)
}

// isCursor reports whether data begin as a cursor does.
func isCursor(data []byte) bool { return bytes.HasPrefix(data, []byte{0, 0, 2, 0}) }

// chooseEntry returns the entry of the picture to decode.
func chooseEntry(data []byte) (entry, error) {
	if !bytes.HasPrefix(data, []byte{0, 0, 1, 0}) {
		return entry{}, raster.Corruptf("it does not begin with the header of an icon")
	}
	if len(data) < directorySize {
		return entry{}, raster.ErrTruncated
	}
	le := binary.LittleEndian
	count := int(le.Uint16(data[4:]))
	if count == 0 {
		return entry{}, raster.Corruptf("an icon without pictures")
	}
	if len(data) < directorySize+count*entrySize {
		return entry{}, raster.ErrTruncated
	}
	entries := make([]entry, count)
	for i := range entries {
		d := data[directorySize+i*entrySize:]
		entries[i] = entry{
			width: sideOf(d[0]), height: sideOf(d[1]), bitsPerPixel: int(le.Uint16(d[6:])),
			size: int(le.Uint32(d[8:])), offset: int(le.Uint32(d[12:])),
		}
		entries[i].depth = cmp.Or(entries[i].bitsPerPixel, bits.Len(max(uint(d[2]), 1)-1), 256)
	}
	e := slices.MinFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(b.width*b.height, a.width*a.height), cmp.Compare(a.depth, b.depth))
	})
	if e.offset > len(data) {
		return entry{}, raster.ErrTruncated
	}
	return e, nil
}

// sideOf returns the side that an entry says, where 0 means 256.
func sideOf(b byte) int { return cmp.Or(int(b), 256) }

// isPNG reports whether data begin as a PNG file does.
func isPNG(data []byte) bool { return bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")) }

// dropTransparency returns a PNG file without its tRNS chunk, which Pillow does not heed inside icons.
func dropTransparency(data []byte) []byte {
	const signature, overhead = 8, 12 // of a chunk: length, type, checksum
	for at := signature; at+overhead <= len(data); {
		size := int(binary.BigEndian.Uint32(data[at:])) + overhead
		switch string(data[at+4 : at+8]) {
		case "tRNS":
			return slices.Concat(data[:at], data[min(at+size, len(data)):])
		case "IDAT":
			return data
		}
		at += size
	}
	return data
}

// parseIcon parses the header of the bitmap of an entry. The header's height is that of the picture and
// the mask below it.
func parseIcon(data []byte, e entry) (*bmp.Bitmap, error) {
	b, err := bmp.Parse(data, e.offset, 0, false)
	if err != nil {
		return nil, err
	}
	if b.Height /= 2; b.Height == 0 {
		return nil, raster.Corruptf("an icon of height 0")
	}
	return b, nil
}

// decodeIcon decodes the bitmap of an entry.
func decodeIcon(ctx context.Context, data []byte, e entry, o raster.Options) (raster.Image, error) {
	b, err := parseIcon(data, e)
	if err != nil {
		return raster.Image{}, err
	}
	if err = raster.CheckPixels(b.Width, b.Height, o.MaxPixels); err != nil {
		return raster.Image{}, err
	}
	alpha, err := newAlphaRows(data, e, b)
	if err != nil && (!o.KeepTruncated || !errors.Is(err, raster.ErrTruncated)) {
		return raster.Image{}, err
	}
	rows, err := b.Rows(ctx, data, o)
	if err != nil {
		return raster.Image{}, err
	}
	m := raster.New(b.Width, b.Height)
	if !rows.Complete {
		m.AddRepair(bmp.MissingRows)
	}
	if alpha == nil {
		m.AddRepair("the mask is missing")
	}
	rgba := make([]uint8, 4*b.Width)
	for y := range b.Height {
		if err := ctx.Err(); err != nil {
			return raster.Image{}, err
		}
		rows.Read(y, rgba)
		if alpha != nil {
			alpha.read(y, rgba)
		}
		raster.BlendRow(m.Row(y), rgba)
	}
	return m, nil
}

// alphaRows reads the opacity of an icon's pixels, whose rows are stored from the bottom to the top.
type alphaRows struct {
	data          []byte
	width, height int
	stride        int
	// mask says that a row is a mask of 1 bit per pixel, where 1 is transparent, and not pixels of 4
	// bytes with alpha as the last.
	mask bool
}

// newAlphaRows finds the opacity: in the pixels if the entry says 32 bits, otherwise in the mask that
// ends the entry's data.
func newAlphaRows(data []byte, e entry, b *bmp.Bitmap) (*alphaRows, error) {
	a := &alphaRows{width: b.Width, height: b.Height, stride: 4 * b.Width}
	start, last := b.Pixels, a.stride
	if e.bitsPerPixel != 32 {
		a.mask = true
		a.stride = (b.Width + 31) / 32 * 4
		start, last = e.offset+e.size-a.stride*b.Height, (b.Width+7)/8
	}
	if start < 0 {
		return nil, raster.Corruptf("an icon whose mask begins before the file")
	}
	if start > len(data) || (a.height-1)*a.stride+last > len(data)-start {
		return nil, raster.ErrTruncated
	}
	a.data = data[start:]
	return a, nil
}

// read sets the opacity of row y, counted from the top.
func (a *alphaRows) read(y int, rgba []uint8) {
	row := a.data[(a.height-1-y)*a.stride:]
	for x := range a.width {
		alpha := &rgba[4*x+3]
		switch {
		case !a.mask:
			*alpha = row[4*x+3]
		case row[x/8]>>(7-x%8)&1 != 0:
			*alpha = 0
		default:
			*alpha = 255
		}
	}
}
