package ico

import (
	"context"
	"encoding/binary"

	"garb/internal/bmp"
	"garb/internal/raster"
)

// cursor is the picture of a cursor.
type cursor struct {
	*bmp.Bitmap // with the height of the picture and what is below it
	height      int
}

// parseCursor finds the picture of a cursor. Pillow takes the first one, or a later one that is both
// wider and higher.
func parseCursor(data []byte) (cursor, error) {
	if len(data) < directorySize {
		return cursor{}, raster.ErrTruncated
	}
	count := int(binary.LittleEndian.Uint16(data[4:]))
	if count == 0 {
		return cursor{}, raster.Corruptf("a cursor without pictures")
	}
	if len(data) < directorySize+count*entrySize {
		return cursor{}, raster.ErrTruncated
	}
	entries := data[directorySize:][:count*entrySize]
	best, behind := entries, directorySize+len(entries)
	for ; len(entries) > 0; entries = entries[entrySize:] {
		if entries[0] > best[0] && entries[1] > best[1] {
			best = entries
		}
	}
	at := int(binary.LittleEndian.Uint32(best[12:]))
	// Pillow takes the fourth byte of pixels for alpha only where the bitmap follows the only entry.
	const onlyBitmap = directorySize + entrySize
	rawAlpha := at == onlyBitmap
	if at == 0 {
		at = behind
	}
	b, err := bmp.Parse(data, at, 0, rawAlpha)
	if err != nil {
		return cursor{}, err
	}
	c := cursor{b, b.Height / 2}
	switch {
	case c.height == 0:
		return cursor{}, raster.Corruptf("a cursor of height 0")
	case c.hasMask() && b.Height%2 != 0:
		return cursor{}, raster.Corruptf("a cursor whose mask is not as high as its picture")
	}
	return c, nil
}

// hasMask reports whether the mask above the picture is heeded, which Pillow does for black and white
// and for grey.
func (c cursor) hasMask() bool { return c.Mode == bmp.Bilevel || c.Mode == bmp.Grey }

func (c cursor) header() raster.Header {
	h := c.Header()
	h.Height = c.height
	h.Alpha = h.Alpha || c.hasMask()
	return h
}

// decode decodes the picture of a cursor.
func (c cursor) decode(ctx context.Context, data []byte, o raster.Options) (raster.Image, error) {
	if !c.hasMask() {
		c.Height = c.height
	}
	if err := raster.CheckPixels(c.Width, c.Height, o.MaxPixels); err != nil {
		return raster.Image{}, err
	}
	rows, err := c.Rows(ctx, data, o)
	if err != nil {
		return raster.Image{}, err
	}
	m := raster.New(c.Width, c.height)
	if !rows.Complete {
		m.AddRepair(bmp.MissingRows)
	}
	rgba, mask := make([]uint8, 4*c.Width), make([]uint8, 4*c.Width)
	for y := range c.height {
		if err := ctx.Err(); err != nil {
			return raster.Image{}, err
		}
		if c.hasMask() {
			rows.Read(y, mask)
			rows.Read(y+c.height, rgba)
			applyMask(rgba, mask)
		} else {
			rows.Read(y, rgba)
		}
		raster.BlendRow(m.Row(y), rgba)
	}
	return m, nil
}

// applyMask makes pixels as transparent as their mask is light, and darkens them as Pillow does, which
// pastes them on transparent black.
func applyMask(rgba, mask []uint8) {
	for i := 0; i < len(rgba); i += 4 {
		alpha := 255 - mask[i]
		for c := range 3 {
			rgba[i+c] = uint8((uint32(rgba[i+c])*uint32(alpha) + 127) / 255)
		}
		rgba[i+3] = alpha
	}
}
