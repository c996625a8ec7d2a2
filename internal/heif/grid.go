package heif

import (
	"garb/internal/raster"
)

// grid is a picture made of tiles, which fill rows from the top left.
type grid struct {
	rows, columns int
	width, height int // of the picture, which may end inside the last tiles
}

// readGrid reads an item of kind grid (ISO/IEC 23008-12, 6.6.2.3).
func (c *container) readGrid(data []byte, id uint32) (g grid, err error) {
	body := c.itemBytes(data, id)
	r := &reader{data: body, end: len(body)}
	r.takeUint(1) // version
	sideBytes := 2
	if r.takeUint(1)&1 != 0 {
		sideBytes = 4
	}
	g.rows, g.columns = int(r.takeUint(1))+1, int(r.takeUint(1))+1
	g.width, g.height = int(r.takeUint(sideBytes)), int(r.takeUint(sideBytes))
	switch {
	case r.overread:
		return g, raster.Corruptf("its description of a grid is cut short")
	case g.rows*g.columns != len(c.items[id].tiles):
		return g, raster.Corruptf("its grid has %d × %d tiles and names %d", g.columns, g.rows, len(c.items[id].tiles))
	case g.width == 0 || g.height == 0:
		return g, raster.Corruptf("its grid is empty")
	}
	return g, nil
}
