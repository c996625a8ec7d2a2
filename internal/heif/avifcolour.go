package heif

import (
	"context"

	"garb/internal/raster"
)

// yuvPicture is what libavif decodes: planes of Y', Cb, Cr and opacity. The formulas by which it
// becomes RGB are those of Pillow 13's libavif 1.4.2 (src/reformat.c, src/reformat_libyuv.c,
// src/alpha.c) with libyuv 1924 (source/row_common.cc, source/scale_common.cc), to the same values.
type yuvPicture struct {
	width, height     int
	depth             int  // bits per sample: 8, 10, 12 or 16
	subX, subY        int  // log2 of the chroma's subsampling
	grey              bool // there is no chroma
	fullRange         bool
	matrix, primaries int // MatrixCoefficients and ColourPrimaries of ITU-T H.273
	premultiplied     bool
	y, cb, cr         avifPlane
	alpha             avifPlane // without samples for opaque pictures
}

// avifPlane has samples of one byte, or of two (little-endian) for more than 8 bits.
type avifPlane struct {
	samples []byte
	stride  int // distance between rows in bytes
}

// loadRow sets row to the samples of row y, shifted right.
func (p *yuvPicture) loadRow(row []uint16, from avifPlane, y, shift int) {
	data := from.samples[y*from.stride:]
	if p.depth == 8 {
		data = data[:len(row)]
		for x, v := range data {
			row[x] = uint16(v)
		}
		return
	}
	data = data[:2*len(row)]
	limit := uint16(1)<<p.depth - 1
	for x := range row {
		row[x] = min(uint16(data[2*x])|uint16(data[2*x+1])<<8, limit) >> shift
	}
}

// conversion converts a picture's rows to 3 bytes per pixel.
type conversion struct {
	// convertRow converts row y. alpha is its opacity as stored, or empty.
	convertRow func(out []uint8, alpha []uint16, y int)
	cutAlpha   bool // opacity of more than 8 bits is cut to 8, not rounded
	divided    bool // convertRow divides premultiplied colours by their opacity
}

// toRGB converts the picture to RGB over white.
func (p *yuvPicture) toRGB(ctx context.Context) (raster.Image, error) {
	c, err := p.newConversion()
	if err != nil {
		return raster.Image{}, err
	}
	m := raster.New(p.width, p.height)
	var alpha []uint16
	if p.hasAlpha() {
		alpha = make([]uint16, p.width)
	}
	for y := range p.height {
		if y%64 == 0 && ctx.Err() != nil {
			return raster.Image{}, ctx.Err()
		}
		if alpha != nil {
			p.loadRow(alpha, p.alpha, y, 0)
		}
		row := m.Row(y)
		c.convertRow(row, alpha, y)
		p.blendRow(row, alpha, c)
	}
	return m, nil
}

func (p *yuvPicture) hasAlpha() bool { return len(p.alpha.samples) > 0 }

// newConversion returns what libavif uses for the picture: libyuv's integer formulas for the usual
// matrices, otherwise its own in float32.
func (p *yuvPicture) newConversion() (conversion, error) {
	if c, ok := p.findConstants(); ok && p.depth < 16 && (p.hasAlpha() || !p.grey) {
		i := p.newIntegerConverter(c)
		return conversion{convertRow: i.convertRow, cutAlpha: !p.grey && !i.nearest}, nil
	}
	f, err := p.newFloatConverter()
	if err != nil {
		return conversion{}, err
	}
	return conversion{convertRow: f.convertRow, divided: f.divides}, nil
}

// blendRow lays a row over white.
func (p *yuvPicture) blendRow(row []uint8, alpha []uint16, c conversion) {
	limit := float32(uint16(1)<<p.depth - 1)
	for x, v := range alpha {
		a := uint8(v >> (p.depth - 8))
		if p.depth > 8 && !c.cutAlpha {
			a = uint8(0.5 + float32(float32(v)/limit*255))
		}
		if a == 255 {
			continue
		}
		pixel := row[3*x:][:3]
		for i, level := range pixel {
			if p.premultiplied && !c.divided {
				level = unattenuate(level, a)
			}
			pixel[i] = raster.OverWhite(level, a)
		}
	}
}

// unattenuate divides a level by its opacity as libyuv does on amd64 (ARGBUnattenuateRow_AVX2).
func unattenuate(level, alpha uint8) uint8 {
	switch {
	case alpha == 0, alpha == 1 && level >= 128: // the latter overflows there
		return 0
	case alpha == 1:
		return uint8(min(uint32(level)*257*0xffff>>16, 255))
	}
	return uint8(min(uint32(level)*257*(0x10000/uint32(alpha))>>16, 255))
}

// integerConstants are libyuv's YuvConstants: Y' counts 64 × 256 × 256/257 per level, Cb and Cr 64.
type integerConstants struct {
	luma, offset        int32
	cbToBlue, cbToGreen int32
	crToGreen, crToRed  int32
}

// findConstants returns libyuv's constants for the picture's matrix, if it has some.
func (p *yuvPicture) findConstants() (c integerConstants, ok bool) {
	matrix := p.matrix
	if matrix == chromaDerived {
		switch p.primaries {
		case 1, 2:
			matrix = 1
		case 5, 6:
			matrix = 6
		case 9:
			matrix = 9
		}
	}
	if matrix == identity && p.grey {
		matrix = unspecified
	}
	switch matrix {
	case 1: // BT.709
		c = integerConstants{18997, -1160, 128, 14, 34, 115}
		if p.fullRange {
			c = integerConstants{16320, 32, 119, 12, 30, 101}
		}
	case unspecified, 5, 6: // BT.601
		c = integerConstants{18997, -1160, 128, 25, 52, 102}
		if p.fullRange {
			c = integerConstants{16320, 32, 113, 22, 46, 90}
		}
	case 9: // BT.2020
		c = integerConstants{19003, -1160, 128, 12, 42, 107}
		if p.fullRange {
			c = integerConstants{16320, 32, 120, 11, 37, 94}
		}
	default:
		return c, false
	}
	return c, true
}

// integerConverter converts as libyuv does.
type integerConverter struct {
	*yuvPicture
	integerConstants
	shift        int // from stored samples to those that the formulas take
	chromaShift  int // from the latter to 8 bits
	nearest      bool
	lumas        []int32
	near, far    []uint16 // rows of chroma as stored
	yRow         []uint16
	cbRow, crRow []uint16 // upsampled
}

// newIntegerConverter chooses among libyuv's functions as libavif's table does: more than 8 bits are
// cut to 8, but with alpha there are functions for 10 bits, and for 12 bits one for 4:2:0, which
// does not interpolate.
func (p *yuvPicture) newIntegerConverter(constants integerConstants) *integerConverter {
	c := &integerConverter{yuvPicture: p, integerConstants: constants, shift: p.depth - 8}
	if p.hasAlpha() && !p.grey && (p.depth == 10 || p.depth == 12 && p.subY == 1) {
		c.shift, c.chromaShift, c.nearest = 0, p.depth-8, p.depth == 12
	}
	depth := p.depth - c.shift
	c.lumas = make([]int32, 1<<depth)
	for v := range c.lumas {
		wide := uint32(v<<(16-depth) | v>>(2*depth-16))
		c.lumas[v] = int32(wide*uint32(c.luma)>>16) + c.offset
	}
	c.near, c.far = make([]uint16, p.chromaWidth()), make([]uint16, p.chromaWidth())
	c.yRow, c.cbRow, c.crRow = make([]uint16, p.width), make([]uint16, p.width), make([]uint16, p.width)
	return c
}

func (p *yuvPicture) chromaWidth() int  { return (p.width + p.subX) >> p.subX }
func (p *yuvPicture) chromaHeight() int { return (p.height + p.subY) >> p.subY }

func (c *integerConverter) convertRow(out []uint8, _ []uint16, y int) {
	c.loadRow(c.yRow, c.y, y, c.shift)
	if c.grey {
		for x, v := range c.yRow {
			g := clamp64(c.lumas[v])
			out[3*x], out[3*x+1], out[3*x+2] = g, g, g
		}
		return
	}
	c.loadChroma(c.cbRow, c.cb, y)
	c.loadChroma(c.crRow, c.cr, y)
	cbRow, crRow := c.cbRow[:len(c.yRow)], c.crRow[:len(c.yRow)]
	for x, v := range c.yRow {
		luma := c.lumas[v]
		cb, cr := int32(cbRow[x]>>c.chromaShift)-128, int32(crRow[x]>>c.chromaShift)-128
		pixel := out[3*x:][:3]
		pixel[0] = clamp64(luma + cr*c.crToRed)
		pixel[1] = clamp64(luma - cb*c.cbToGreen - cr*c.crToGreen)
		pixel[2] = clamp64(luma + cb*c.cbToBlue)
	}
}

// clamp64 rounds down a level that counts 64 and limits it to 8 bits.
func clamp64(v int32) uint8 { return uint8(max(0, min(v>>6, 255))) }

// loadChroma sets row to the chroma of row y at full width.
func (c *integerConverter) loadChroma(row []uint16, from avifPlane, y int) {
	if c.subX == 0 {
		c.loadRow(row, from, y, c.shift)
		return
	}
	c.loadRow(c.near, from, y>>c.subY, c.shift)
	if c.nearest {
		for x := range row {
			row[x] = c.near[x>>1]
		}
		return
	}
	// A row of the picture lies between two of chroma: 3/4 of the nearer one.
	far := y >> c.subY
	if c.subY == 1 {
		if y&1 == 0 {
			far--
		} else {
			far++
		}
	}
	if far != y>>c.subY && far >= 0 && far < c.chromaHeight() {
		c.loadRow(c.far, from, far, c.shift)
		for x, v := range c.far {
			c.near[x] = 3*c.near[x] + v
		}
	} else {
		for x := range c.near {
			c.near[x] *= 4
		}
	}
	widen(row, c.near)
}

// widen interpolates a row that counts 4 to twice its width. The first and the last pixel take the
// nearest sample (libyuv, ScaleRowUp2_Bilinear_Any).
func widen(row, chroma []uint16) {
	last := len(row) - 1
	row[0] = (chroma[0] + 2) >> 2
	for x := 1; x+1 < last; x += 2 {
		a, b := chroma[x>>1], chroma[x>>1+1]
		row[x] = (3*a + b + 8) >> 4
		row[x+1] = (a + 3*b + 8) >> 4
	}
	if last > 1 && last&1 == 0 { // one pixel is left before the last
		a, b := chroma[(last-1)>>1], chroma[(last-1)>>1+1]
		row[last-1] = (3*a + b + 8) >> 4
	}
	if last > 0 {
		row[last] = (chroma[last>>1] + 2) >> 2
	}
}
