package heif

import (
	"context"

	"garb/internal/raster"
)

// overlay is a picture made of layers, which lie at offsets on a canvas of one colour.
type overlay struct {
	background    [3]uint8 // red, green, blue; libheif ignores its opacity
	width, height int
	offsets       [][2]int // left and top of each layer, from the lowest to the highest
}

// readOverlay reads an item of kind iovl (ISO/IEC 23008-12, 6.6.2.2).
func (c *container) readOverlay(data []byte, id uint32) (o overlay, err error) {
	body := c.itemBytes(data, id)
	r := &reader{data: body, end: len(body)}
	version := r.takeUint(1)
	sideBytes := 2
	if r.takeUint(1)&1 != 0 {
		sideBytes = 4
	}
	for i := range o.background {
		o.background[i] = uint8(r.takeUint(2) >> 8)
	}
	r.takeUint(2) // opacity
	o.width, o.height = int(r.takeUint(sideBytes)), int(r.takeUint(sideBytes))
	takeOffset := func() int {
		v := r.takeUint(sideBytes)
		if sideBytes == 2 {
			return int(int16(v))
		}
		return int(int32(v))
	}
	for range c.items[id].tiles {
		left := takeOffset()
		o.offsets = append(o.offsets, [2]int{left, takeOffset()})
	}
	switch {
	case r.overread:
		return o, raster.Corruptf("its description of an overlay is cut short")
	case version != 0:
		return o, raster.Unsupportedf("its overlay has version %d; save it as JPEG or PNG", version)
	case o.width == 0 || o.height == 0:
		return o, raster.Corruptf("its overlay is empty")
	}
	return o, nil
}

// checkOverlay checks an overlay, whose layers are checked. The pixels of its canvas are added to e unless
// the canvas is the picture itself.
func (c *container) checkOverlay(data []byte, id uint32, e *extent, depth int) error {
	o, err := c.readOverlay(data, id)
	if err != nil {
		return err
	}
	width, height, _, _, _, err := c.readGeometry(data, id)
	switch {
	case err != nil:
		return err
	case o.width != width || o.height != height:
		return raster.Corruptf("its overlay has %d × %d pixels and is described with %d × %d",
			o.width, o.height, width, height)
	case o.width > maxSide || o.height > maxSide:
		return errSide(o.width, o.height)
	case depth > 0:
		e.colourPixels += o.width * o.height
	}
	e.grey = false
	return nil
}

// decodeOverlay decodes a picture of layers in RGB of 8 bits. Layers may reach beyond the canvas.
func (h heicPicture[T]) decodeOverlay(ctx context.Context, id uint32) (*planes[T], error) {
	o, err := h.readOverlay(h.data, id)
	if err != nil {
		return nil, err
	}
	var canvas *planes[T]
	for i, layer := range h.items[id].tiles {
		p, err := h.decodeWithAlpha(ctx, layer)
		if err != nil {
			return nil, err
		}
		m, err := p.toRGB(true)
		if err != nil {
			return nil, err
		}
		if canvas == nil { // a layer was decoded, so the file is not just a header
			canvas = newCanvas[T](&o)
		}
		canvas.lay(m, p, o.offsets[i][0], o.offsets[i][1])
	}
	return canvas, nil
}

// newCanvas returns an overlay without layers.
func newCanvas[T sample](o *overlay) *planes[T] {
	p := newPlanes[T](o.width, o.height, chroma444, 8)
	p.colour = colour{matrix: identity, fullRange: true, rgb: true}
	for i, c := range [][]T{p.cr.pix, p.y.pix, p.cb.pix} {
		for j := range c {
			c[j] = T(o.background[i])
		}
	}
	return p
}

// lay lays a layer on the canvas, as far as it lies on it. m has the layer's colours, and layer its opacity.
func (p *planes[T]) lay(m raster.Image, layer *planes[T], left, top int) {
	x0, x1 := max(0, -left), min(m.Width, p.y.width-left)
	for y := max(0, -top); y < min(m.Height, p.y.height-top) && x0 < x1; y++ {
		row := m.Row(y)[3*x0 : 3*x1]
		var opacity []T
		if len(layer.alpha.pix) > 0 {
			opacity = layer.alpha.row(y)[x0:x1]
		}
		for i, channel := range []channel[T]{p.cr, p.y, p.cb} {
			out := channel.row(top + y)[left+x0:]
			for x := range x1 - x0 {
				v := row[3*x+i]
				if opacity != nil {
					a := uint32(opacity[x] >> (layer.alphaBits - 8))
					v = uint8((uint32(v)*a + uint32(out[x])*(255-a)) / 255)
				}
				out[x] = T(v)
			}
		}
	}
}
