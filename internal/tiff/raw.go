package tiff

import (
	"math/bits"
	"slices"

	"garb/internal/raster"
)

// rawPart is an uncompressed strip or tile.
type rawPart struct {
	part
	offset int
	stride int // of rows
	plane  int
}

// decodeRaw decodes an uncompressed picture as Pillow's own reader does, which heeds no byte counts.
// Strips that are not there leave the pixels at 0.
func (d *decoder) decodeRaw() error {
	parts, err := d.rawParts()
	if err != nil {
		return err
	}
	complete := true
	for i := range parts {
		if !d.hasRow(&parts[i], parts[i].height-1) {
			complete = false
		}
	}
	if !complete {
		if !d.options.KeepTruncated {
			return raster.ErrTruncated
		}
		d.repairs.AddRepair("the last rows are missing")
	}
	d.allocate()
	if d.photometric == whiteIsZero && d.bits <= 8 { // what is missing is black
		for i := range d.samples {
			d.samples[i] = 1<<d.bits - 1
		}
	}
	for _, p := range parts {
		for p.height > 0 && !d.hasRow(&p, p.height-1) {
			p.height--
		}
		if p.height == 0 {
			continue
		}
		rows := d.data[p.offset:]
		if d.reversed {
			size := min(len(rows), p.height*p.stride)
			rows = reverseBits(rows[:size])
		}
		if err := d.unpack(p.part, rows, p.stride, p.plane); err != nil {
			return err
		}
	}
	return nil
}

// rowSize returns the number of bytes of a row of the given width, of one plane if there are several.
func (d *decoder) rowSize(width int) int {
	if d.planar {
		return (width*d.bits + 7) / 8
	}
	return (width*d.bits*d.stored + 7) / 8
}

// hasRow reports whether the data have a row of a part.
func (d *decoder) hasRow(p *rawPart, row int) bool {
	return p.offset >= 0 && p.offset <= len(d.data) && row*p.stride+d.rowSize(p.width) <= len(d.data)-p.offset
}

// rawParts returns the strips or tiles in the order in which Pillow decodes them: by offset. Of
// consecutive ones of the same place, the last counts.
func (d *decoder) rawParts() ([]rawPart, error) {
	g, err := d.readGrid()
	if err != nil {
		return nil, err
	}
	offsets := g.offsets
	if g.width == d.width && g.height == d.height && !d.planar {
		offsets = offsets[len(offsets)-1:]
	}
	planes := 1
	if d.planar {
		planes = d.channels
	}
	cells := d.across(g) * d.down(g)
	if len(offsets) > 2*cells*planes || d.planar && len(offsets) > cells*planes {
		return nil, raster.Corruptf("TIFF with %d strips or tiles instead of %d", len(offsets), cells*planes)
	}
	if len(offsets) < cells*planes {
		d.repairs.AddRepair("strips or tiles are missing")
	}
	parts := make([]rawPart, len(offsets))
	for i, offset := range offsets {
		p := rawPart{part: d.cell(g, i%cells), offset: offset, plane: i / cells % planes}
		p.stride = d.rowSize(p.width)
		if p.width < g.width {
			if p.stride, err = d.clippedStride(p, g); err != nil {
				return nil, err
			}
		}
		parts[i] = p
	}
	slices.SortStableFunc(parts, func(a, b rawPart) int { return a.offset - b.offset })
	kept := parts[:0]
	for i, p := range parts {
		if i+1 == len(parts) || parts[i+1].part != p.part || parts[i+1].plane != p.plane {
			kept = append(kept, p)
		}
	}
	return kept, nil
}

// clippedStride returns the distance of rows of a tile that reaches beyond the right edge, as Pillow
// computes it: in whole bytes, and 0 stands for rows of the clipped width.
func (d *decoder) clippedStride(p rawPart, g grid) (int, error) {
	bits := g.width * d.bits
	if !d.planar {
		bits *= d.stored
	}
	switch stride := bits / 8; {
	case stride == 0:
		return p.stride, nil
	case stride < p.stride:
		return 0, raster.Corruptf("TIFF with tiles whose rows are not whole bytes")
	default:
		return stride, nil
	}
}

// reverseBits returns data with the bits of each byte in reverse order.
func reverseBits(data []byte) []byte {
	out := make([]byte, len(data))
	for i, b := range data {
		out[i] = bits.Reverse8(b)
	}
	return out
}
