package tiff

import (
	"math"

	"garb/internal/raster"
)

// grid is how a picture is cut into strips or tiles.
type grid struct {
	tiled         bool
	width, height int // of a strip or tile; the last ones reach beyond the picture
	offsets       []int
	byteCounts    []int // nil if there are none
}

// readGrid reads the size of strips or tiles and where they are.
func (p *picture) readGrid() (grid, error) {
	g := grid{width: p.width}
	offsets, counts := tagStripOffsets, tagStripByteCounts
	var err error
	if _, ok := p.entries[tagStripOffsets]; ok && !p.prefersTiles() {
		if g.height, err = p.int(tagRowsPerStrip, p.height); err != nil {
			return g, err
		}
	} else {
		g.tiled = true
		offsets, counts = tagTileOffsets, tagTileByteCounts
		if g.width, err = p.int(tagTileWidth, 0); err != nil {
			return g, err
		}
		if g.height, err = p.int(tagTileLength, 0); err != nil {
			return g, err
		}
	}
	g.height = min(g.height, math.MaxInt32) // writers say 2³² - 1 for a single strip
	if g.width < 1 || g.width > math.MaxInt32 || g.height < 1 {
		return g, raster.Corruptf("TIFF with strips or tiles of %d × %d pixels", g.width, g.height)
	}
	if g.offsets, err = p.ints(offsets); err != nil {
		return g, err
	}
	if len(g.offsets) == 0 {
		return g, raster.Corruptf("TIFF without offsets of strips or tiles")
	}
	g.byteCounts, err = p.ints(counts)
	return g, err
}

// prefersTiles reports whether the tags of tiles take precedence over those of strips, as they do in
// libtiff.
func (p *picture) prefersTiles() bool {
	_, ok := p.entries[tagTileWidth]
	return ok && p.compression != uncompressed
}

// across and down return the number of columns and rows of strips or tiles.
func (p *picture) across(g grid) int { return (p.width-1)/g.width + 1 }
func (p *picture) down(g grid) int   { return (p.height-1)/g.height + 1 }

// cell returns the part of the picture that strip or tile i covers.
func (p *picture) cell(g grid, i int) part {
	across := p.across(g)
	a := part{x: i % across * g.width, y: i / across * g.height}
	a.width, a.height = min(g.width, p.width-a.x), min(g.height, p.height-a.y)
	return a
}
