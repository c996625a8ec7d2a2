package heif

import (
	"context"

	"garb/internal/raster"
)

// overlay is a picture made of layers, which lie at offsets on a canvas of one colour.
type overlay struct {
	background    [3]uint16 // red, green, blue; libheif ignores its opacity
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
		o.background[i] = uint16(r.takeUint(2))
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

// decodeOverlay decodes a picture of layers in RGB. Its samples have the bits of the lowest layer. Layers may
// reach beyond the canvas.
func (h heicPicture[T]) decodeOverlay(ctx context.Context, id uint32) (*planes[T], error) {
	o, err := h.readOverlay(h.data, id)
	if err != nil {
		return nil, err
	}
	var canvas *planes[T]
	for i, item := range h.items[id].tiles {
		layer, err := h.decodeWithAlpha(ctx, item)
		if err != nil {
			return nil, err
		}
		if canvas == nil { // a layer was decoded, so the file is not just a header
			canvas = newCanvas[T](&o, layer.bits)
		}
		if layer.bits != canvas.bits && layer.bits != 8 || layer.bits > canvas.bits { // as libheif
			return nil, raster.Unsupportedf("its layers have %d and %d bits; save it as JPEG or PNG",
				canvas.bits, layer.bits)
		}
		if err = canvas.lay(layer, o.offsets[i][0], o.offsets[i][1]); err != nil {
			return nil, err
		}
	}
	return canvas, nil
}

// newCanvas returns an overlay without layers.
func newCanvas[T sample](o *overlay, bits int) *planes[T] {
	p := newPlanes[T](o.width, o.height, chroma444, bits)
	p.colour = colour{matrix: identity, fullRange: true, rgb: true}
	for i, channel := range [][]T{p.cr.pix, p.y.pix, p.cb.pix} {
		for j := range channel {
			channel[j] = T(o.background[i] >> (16 - bits))
		}
	}
	return p
}

// lay lays a layer on the canvas, as far as it lies on it.
func (p *planes[T]) lay(layer *planes[T], left, top int) error {
	convert, err := newConverter[T, T](layer, 0)
	if err != nil {
		return err
	}
	width := layer.y.width
	x0, x1 := max(0, -left), min(width, p.y.width-left)
	rgb := make([]T, 3*width)
	for y := max(0, -top); y < min(layer.y.height, p.y.height-top) && x0 < x1; y++ {
		convert(rgb, layer.y.row(y), layer.cb.row(y>>layer.subY), layer.cr.row(y>>layer.subY))
		var opacity []T
		if len(layer.alpha.pix) > 0 {
			opacity = layer.alpha.row(y)[x0:x1]
		}
		for i, channel := range []channel[T]{p.cr, p.y, p.cb} {
			out := channel.row(top + y)[left+x0:][:x1-x0]
			for x := range out {
				v := toDepth(rgb[3*(x0+x)+i], layer.bits, p.bits)
				if opacity != nil {
					a, opaque := toDepth(opacity[x], layer.alphaBits, p.bits), uint64(1)<<p.bits-1
					v = (v*a + uint64(out[x])*(opaque-a)) / opaque
				}
				out[x] = T(v)
			}
		}
	}
	return nil
}

// toDepth converts a sample of 8 to 16 bits to another number of bits, as libheif does (hdr_sdr.cc).
func toDepth[T sample](v T, from, to int) uint64 {
	if from >= to {
		return uint64(v) >> (from - to)
	}
	return uint64(v)<<(to-from) | uint64(v)>>(2*from-to)
}
