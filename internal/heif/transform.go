package heif

import (
	"encoding/binary"

	"garb/internal/raster"
)

// transformation is one change to the picture after decoding.
type transformation struct {
	kind      byte // 'c' crop, 'r' rotate, 'm' mirror
	turns     int  // 'r': quarter turns anticlockwise
	vertical  bool // 'm': swaps top and bottom; otherwise left and right
	left, top int  // 'c'
	w, h      int  // 'c'
}

// maxTransformations limits the transformations of one picture. Real files have at most one of each
// kind.
const maxTransformations = 8

// readGeometry reads an item's properties: the coded size (ispe), the transformations in their
// order, and the size after them.
func (c *container) readGeometry(data []byte, id uint32) (
	codedWidth, codedHeight int, changes []transformation, width, height int, err error,
) {
	c.eachProperty(data, id, func(kind string, body []byte) {
		if kind == "ispe" && len(body) >= 12 && codedWidth == 0 {
			codedWidth, codedHeight = int(binary.BigEndian.Uint32(body[4:])), int(binary.BigEndian.Uint32(body[8:]))
		}
	})
	if codedWidth == 0 || codedHeight == 0 {
		return 0, 0, nil, 0, 0, raster.Corruptf("picture item %d has no size", id)
	}
	width, height = codedWidth, codedHeight
	c.eachProperty(data, id, func(kind string, body []byte) {
		switch {
		case kind == "irot" && len(body) > 0:
			turns := int(body[0] & 3)
			if turns&1 != 0 {
				width, height = height, width
			}
			if turns != 0 {
				changes = append(changes, transformation{kind: 'r', turns: turns})
			}
		case kind == "imir" && len(body) > 0:
			changes = append(changes, transformation{kind: 'm', vertical: body[0]&1 == 0})
		case kind == "clap" && len(body) >= 32:
			left, top, w, h, ok := parseAperture(body, width, height)
			if !ok {
				err = raster.Corruptf("picture item %d is cropped to nothing", id)
				return
			}
			if w != width || h != height {
				changes = append(changes, transformation{kind: 'c', left: left, top: top, w: w, h: h})
			}
			width, height = w, h
		}
	})
	if len(changes) > maxTransformations && err == nil {
		err = raster.Corruptf("picture item %d is turned, mirrored and cropped %d times", id, len(changes))
	}
	return codedWidth, codedHeight, changes, width, height, err
}

// parseAperture reads a clean-aperture property: the size and the offset of its centre from the
// picture's centre, each a fraction of 32-bit numbers. Fractions of pixels are rounded as libheif does
// (box.cc): down at the left and to the nearest elsewhere. What is outside the picture is dropped.
func parseAperture(body []byte, width, height int) (left, top, w, h int, ok bool) {
	var n, d [4]int64
	for i := range 4 {
		numerator, denominator := binary.BigEndian.Uint32(body[8*i:]), binary.BigEndian.Uint32(body[8*i+4:])
		n[i], d[i] = int64(int32(numerator)), int64(int32(denominator))
		if d[i] <= 0 {
			return
		}
	}
	// A side begins at (side-1)/2 + offset - (aperture-1)/2, times 2·d[size]·d[offset] here.
	start := func(side, size, offset int) (numerator, denominator int64) {
		return (int64(side)*d[size]-n[size])*d[offset] + 2*n[offset]*d[size], 2 * d[size] * d[offset]
	}
	numerator, denominator := start(width, 0, 2)
	x := numerator / denominator
	numerator, denominator = start(height, 1, 3)
	y := (numerator + denominator/2) / denominator
	right := min(x+(n[0]+d[0]/2)/d[0], int64(width))
	bottom := min(y+(n[1]+d[1]/2)/d[1], int64(height))
	x, y = max(x, 0), max(y, 0)
	return int(x), int(y), int(right - x), int(bottom - y), x < right && y < bottom
}

// transform changes the picture. Where the chroma's subsampling does not allow it, the chroma gets the
// size of luma first, as in libheif (pixelimage.cc).
func (p *planes[T]) transform(t transformation) {
	oddWidth, oddHeight := p.y.width&p.subX != 0, p.y.height&p.subY != 0
	switch t.kind {
	case 'c':
		if t.left&p.subX != 0 || t.top&p.subY != 0 {
			p.upsample()
		}
		luma := p.y.crop(t.left, t.top, t.w, t.h)
		crop := func(c channel[T]) channel[T] {
			return c.crop(t.left>>p.subX, t.top>>p.subY, (t.w+p.subX)>>p.subX, (t.h+p.subY)>>p.subY)
		}
		if !p.isGrey() {
			p.cb, p.cr = crop(p.cb), crop(p.cr)
		}
		p.y = luma
		if len(p.alpha.pix) > 0 {
			p.alpha = p.alpha.crop(t.left, t.top, t.w, t.h)
		}
	case 'm':
		// Of 4:2:2, libheif looks at the side that is mirrored; of 4:2:0, at both.
		if oddWidth && (p.subY != 0 || !t.vertical) || oddHeight {
			p.upsample()
		}
		p.change(func(c channel[T]) channel[T] { return c.mirror(t.vertical) })
	case 'r':
		turned := t.turns != 2
		if p.subX != p.subY && (turned || p.y.height%2 != 0) || p.subY != 0 && (oddWidth && t.turns != 3 ||
			oddHeight && t.turns != 1) {
			p.upsample()
		}
		p.change(func(c channel[T]) channel[T] { return c.rotate(t.turns) })
	}
}
