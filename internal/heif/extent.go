package heif

import "garb/internal/raster"

// extent counts what an item is made of, before it is decoded.
type extent struct {
	items        int // that are coded
	colourPixels int
	alphaPixels  int
	grey         bool
	bits         int // of a sample, the most of all items
}

// Limits of what one picture is made of.
const (
	// maxTiles limits the coded items: 4,096 of 128 × 128 pixels are 67 megapixels.
	maxTiles = 4096
	// maxDepth limits how deep items that are made of others are nested, as a grid in an overlay is.
	maxDepth = 4
)

// checkItem checks an item, its alpha plane and all items that they are made of, and adds them to e.
// alpha reports whether the item or the items that it is made of have alpha planes.
func (c *container) checkItem(data []byte, id uint32, e *extent, depth int) (alpha bool, err error) {
	inherited, err := c.checkColours(data, id, e, depth)
	if err != nil {
		return false, err
	}
	plane := c.alphas[id]
	if plane == 0 {
		return inherited, nil
	}
	if inherited {
		return false, raster.Corruptf("both its picture and the tiles of it have alpha planes")
	}
	of := extent{items: e.items}
	if _, err = c.checkColours(data, plane, &of, depth); err != nil {
		return false, err
	}
	e.items = of.items
	e.alphaPixels += of.colourPixels
	e.bits = max(e.bits, of.bits)
	return true, nil
}

// checkColours checks an item without its alpha plane.
func (c *container) checkColours(data []byte, id uint32, e *extent, depth int) (alpha bool, err error) {
	if err = c.checkPresent(id); err != nil {
		return false, err
	}
	it := c.items[id]
	switch it.kind {
	case "grid", "iden", "iovl":
	default:
		return false, c.checkCoded(data, id, e)
	}
	if len(it.tiles) == 0 {
		return false, raster.Corruptf("its picture is made of other pictures, but names none")
	}
	if depth == maxDepth {
		return false, raster.Unsupportedf("its pictures are nested more than %d deep; save it as JPEG or PNG", maxDepth)
	}
	with := 0
	for _, tile := range it.tiles {
		has, err := c.checkItem(data, tile, e, depth+1)
		if err != nil {
			return false, err
		}
		if has {
			with++
		}
	}
	if it.kind == "iovl" {
		return false, c.checkOverlay(data, id, e, depth)
	}
	if with != 0 && with != len(it.tiles) {
		return false, raster.Corruptf("only some of its tiles have alpha planes")
	}
	return with != 0, nil
}

// checkCoded checks a coded item.
func (c *container) checkCoded(data []byte, id uint32, e *extent) error {
	if kind := c.items[id].kind; kind != "hvc1" {
		return raster.Unsupportedf("its picture is coded as %q; save it as JPEG or PNG", kind)
	}
	if e.items++; e.items > maxTiles {
		return raster.Unsupportedf("its picture is made of more than %d others; save it as JPEG or PNG", maxTiles)
	}
	s, _, err := c.readHEVC(data, id)
	if err != nil {
		return err
	}
	e.grey = s.chroma == chromaNone
	e.bits = max(e.bits, s.bits)
	e.colourPixels += s.width * s.height
	return nil
}
