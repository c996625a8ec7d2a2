package tiff

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"garb/internal/inflate"
	"garb/internal/raster"
)

// maxExpansion is how many bytes a byte of the data can expand to, at most: LZW's longest strings of
// 4,096 bytes need codes of 12 bits; Deflate reaches 1,032.
const maxExpansion = 4096 * 8 / 12

// decodeCompressed decodes a compressed picture as libtiff does: every strip or tile must be complete.
func (d *decoder) decodeCompressed() error {
	g, err := d.readGrid()
	if err != nil {
		return err
	}
	if !g.tiled {
		g.height = min(g.height, d.height)
	}
	across, down, planes := d.across(g), d.down(g), 1
	if d.planar {
		planes = d.channels
	}
	if err := checkPadded(across, g.width, down, g.height, d.options.MaxPixels); err != nil {
		return err
	}
	cells := across * down
	if len(g.offsets) < cells*planes {
		return raster.Corruptf("TIFF with %d strips or tiles instead of %d", len(g.offsets), cells*planes)
	}
	if err := d.checkSharing(g, cells*planes); err != nil {
		return err
	}
	if err := d.checkExpansion(g, cells*planes); err != nil {
		return err
	}
	d.allocate()
	for i := range cells * planes {
		if err := d.ctx.Err(); err != nil {
			return err
		}
		if err := d.decodeCell(g, i, cells); err != nil {
			return err
		}
	}
	return nil
}

// checkPadded checks that the pixels of all strips or tiles, with what is beyond the picture, are within
// the limit.
func checkPadded(across, width, down, height, maxPixels int) error {
	if width > maxPixels/across || height > maxPixels/down {
		return raster.CheckPixels(width, height, 0)
	}
	return raster.CheckPixels(across*width, down*height, maxPixels)
}

// checkSharing checks that strips or tiles do not share data so often that decoding takes very long. Writers
// share the data of equal tiles.
func (d *decoder) checkSharing(g grid, cells int) error {
	limit := 64*len(d.data) + 64<<20
	total := cells * len(d.entries[tagJPEGTables].data)
	for _, n := range g.byteCounts {
		if n = max(n, 0); n > limit-total {
			return fmt.Errorf("%w: TIFF whose strips or tiles share their data too often", raster.ErrTooLarge)
		}
		total += n
	}
	return nil
}

// checkExpansion checks that the data can be as much as the picture needs, before memory is allocated.
func (d *decoder) checkExpansion(g grid, cells int) error {
	need, total := d.rowSize(d.width)*d.height/maxExpansion, 0
	if d.isFax() {
		need = d.height / 8 // a row of any width can take one bit
	}
	for i := range cells {
		strip, err := d.compressedBytes(g, i)
		if err != nil {
			return err
		}
		if total += len(strip); total >= need {
			return nil
		}
	}
	return raster.ErrTruncated
}

// compressedBytes returns the data of strip or tile i.
func (d *decoder) compressedBytes(g grid, i int) ([]byte, error) {
	offset := g.offsets[i]
	if offset < 0 || offset > len(d.data) {
		return nil, raster.ErrTruncated
	}
	strip := d.data[offset:]
	switch {
	case len(g.byteCounts) == 0 && d.across(g)*d.down(g) == 1, len(g.offsets) == 1 && g.byteCounts[0] == 0:
		return strip, nil // the only strip may lack its size
	case i >= len(g.byteCounts):
		return nil, raster.Corruptf("TIFF with %d byte counts for %d strips", len(g.byteCounts), len(g.offsets))
	}
	if n := g.byteCounts[i]; n <= 0 || n > len(strip) {
		return nil, raster.ErrTruncated
	}
	return strip[:g.byteCounts[i]], nil
}

// decodeCell decodes strip or tile i of all planes.
func (d *decoder) decodeCell(g grid, i, cells int) error {
	strip, err := d.compressedBytes(g, i)
	if err != nil {
		return err
	}
	area := d.cell(g, i%cells)
	stored := part{width: g.width, height: g.height} // with what is beyond the picture
	if !g.tiled {
		stored.height = area.height
	}
	if d.compression == jpegMethod {
		return d.decodeJPEG(strip, area, g, i/cells)
	}
	stride := d.rowSize(stored.width)
	rows, err := d.decompress(strip, stored, stride*stored.height)
	if err != nil {
		return err
	}
	if d.predictor != 1 && d.compression != packBits && !d.isFax() {
		for y := range stored.height {
			d.undoPrediction(rows[y*stride:][:stride])
		}
	}
	return d.unpack(area, rows, stride, i/cells)
}

// decompress returns size bytes of decompressed data.
func (d *decoder) decompress(strip []byte, stored part, size int) ([]byte, error) {
	if d.isFax() {
		return d.unpackFax(strip, stored)
	}
	if d.reversed {
		strip = reverseBits(strip[:min(len(strip), 2*size+1024)]) // no method expands data that much
	}
	switch d.compression {
	case packBits:
		return unpackPackBits(strip, size)
	case lzwMethod:
		return d.unpackLZW(strip, size)
	}
	return d.inflate(strip, size)
}

// inflate returns size bytes of decompressed data. As in libtiff, the checksum counts only if the data
// end with these bytes.
func (d *decoder) inflate(strip []byte, size int) ([]byte, error) {
	const part = 1 << 18
	d.decompressor.Reset(strip, inflate.Zlib)
	rows, done := make([]byte, min(size, part)), 0
	for {
		if err := d.ctx.Err(); err != nil {
			return nil, err
		}
		var err error
		done, err = d.decompressor.Decompress(rows, done)
		switch {
		case errors.Is(err, inflate.ErrCorrupt):
			return nil, raster.Corruptf("%v", err)
		case done == size:
			return rows, nil
		case err != nil:
			return nil, raster.ErrTruncated
		}
		rows = slices.Grow(rows, part)
		rows = rows[:min(size, cap(rows), done+part)]
	}
}

// unpackPackBits decodes size bytes (TIFF 6.0, section 9).
func unpackPackBits(data []byte, size int) ([]byte, error) {
	out := make([]byte, 0, min(size, 64*len(data)))
	for len(out) < size {
		if len(data) < 2 {
			return nil, raster.ErrTruncated
		}
		n := int(int8(data[0]))
		data = data[1:]
		switch {
		case n >= 0:
			n = min(n+1, size-len(out))
			if n > len(data) {
				return nil, raster.ErrTruncated
			}
			out = append(out, data[:n]...)
			data = data[n:]
		case n > -128:
			out = append(out, bytes.Repeat(data[:1], min(1-n, size-len(out)))...)
			data = data[1:]
		}
	}
	return out, nil
}
