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
// picture's centre, each a fraction of 32-bit numbers. The size must be whole.
func parseAperture(body []byte, width, height int) (left, top, w, h int, ok bool) {
	var n, d [4]int64
	for i := range 4 {
		numerator, denominator := binary.BigEndian.Uint32(body[8*i:]), binary.BigEndian.Uint32(body[8*i+4:])
		n[i], d[i] = int64(int32(numerator)), int64(int32(denominator))
		if d[i] <= 0 {
			return
		}
	}
	w, h = int(n[0]/d[0]), int(n[1]/d[1])
	if w <= 0 || h <= 0 || w > width || h > height {
		return
	}
	// left = (width-1)/2 + offset - (w-1)/2, rounded down to a whole pixel
	left = int(floorDiv(int64(width-w)*d[2]+2*n[2], 2*d[2]))
	top = int(floorDiv(int64(height-h)*d[3]+2*n[3], 2*d[3]))
	ok = left >= 0 && top >= 0 && left+w <= width && top+h <= height
	return
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// applyTransformations applies the transformations to RGB pixels.
func applyTransformations(pixels []byte, width, height int, changes []transformation) ([]byte, int, int) {
	for _, s := range changes {
		// (x, y) of the result comes from source[start + x·dx + y·dy].
		w, h := width, height
		var start, dx, dy int
		switch {
		case s.kind == 'c':
			w, h = s.w, s.h
			start, dx, dy = s.top*width+s.left, 1, width
		case s.kind == 'm' && s.vertical:
			start, dx, dy = (height-1)*width, 1, -width
		case s.kind == 'm':
			start, dx, dy = width-1, -1, width
		case s.turns == 1:
			w, h = height, width
			start, dx, dy = width-1, width, -1
		case s.turns == 2:
			start, dx, dy = width*height-1, -1, -width
		case s.turns == 3:
			w, h = height, width
			start, dx, dy = (height-1)*width, -width, 1
		}
		out := make([]byte, 3*w*h)
		o := 0
		for y := range h {
			from := 3 * (start + y*dy)
			for range w {
				out[o], out[o+1], out[o+2] = pixels[from], pixels[from+1], pixels[from+2]
				o += 3
				from += 3 * dx
			}
		}
		pixels, width, height = out, w, h
	}
	return pixels, width, height
}
