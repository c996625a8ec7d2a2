package heif

import (
	"math"

	"garb/internal/raster"
)

// Matrices of ITU-T H.273 beside those of lumaWeights.
const (
	yCgCo         = 8
	chromaDerived = 12
	yCgCoRe       = 16
)

// floatConverter converts as libavif does without libyuv, in float32.
type floatConverter struct {
	*yuvPicture
	kr, kg, kb     float32
	lumas, chromas []float32 // value of each stored sample
	yRow           []uint16
	near, far      []uint16 // rows of chroma as stored
	cbRow, crRow   []float32
	divides        bool // premultiplied colours are divided by their opacity
}

func (p *yuvPicture) newFloatConverter() (*floatConverter, error) {
	c := &floatConverter{yuvPicture: p}
	switch {
	case p.matrix == identity && !p.grey && p.subX > 0,
		p.matrix == yCgCo && !p.fullRange,
		p.matrix == yCgCoRe && (p.depth != 10 || !p.fullRange):
		return nil, raster.Unsupportedf("matrix %d is not defined for such samples; save it as JPEG or PNG", p.matrix)
	case p.matrix == identity, p.matrix == yCgCo, p.matrix == yCgCoRe: // without weights
	default:
		if err := c.setWeights(); err != nil {
			return nil, err
		}
	}
	limit := float32(uint16(1)<<p.depth - 1)
	yOffset, yRange, cOffset, cRange := float32(0), limit, float32(uint16(1)<<(p.depth-1)), limit
	if !p.fullRange {
		yOffset, yRange = float32(uint16(16)<<(p.depth-8)), float32(uint16(219)<<(p.depth-8))
		cRange = float32(uint16(224) << (p.depth - 8))
	}
	if p.matrix == identity {
		cOffset, cRange = yOffset, yRange
	}
	c.lumas, c.chromas = make([]float32, 1<<p.depth), make([]float32, 1<<p.depth)
	for v := range c.lumas {
		c.lumas[v] = (float32(v) - yOffset) / yRange
		c.chromas[v] = (float32(v) - cOffset) / cRange
	}
	weighted := p.matrix != identity && p.matrix != yCgCo && p.matrix != yCgCoRe
	copied := p.matrix == identity && p.depth == 8 && p.fullRange
	c.divides = p.premultiplied && p.hasAlpha() && (p.subX > 0 || !weighted && !copied)
	c.yRow = make([]uint16, p.width)
	c.near, c.far = make([]uint16, p.chromaWidth()), make([]uint16, p.chromaWidth())
	c.cbRow, c.crRow = make([]float32, p.width), make([]float32, p.width)
	return c, nil
}

// setWeights sets the weights of red, green and blue in Y' (H.273, table 4). libavif takes BT.601's
// for matrices 2 and 15.
func (c *floatConverter) setWeights() error {
	switch c.matrix {
	case 1:
		c.kr, c.kb = 0.2126, 0.0722
	case 4:
		c.kr, c.kb = 0.30, 0.11
	case 2, 5, 6, 15:
		c.kr, c.kb = 0.299, 0.114
	case 7:
		c.kr, c.kb = 0.212, 0.087
	case 9:
		c.kr, c.kb = 0.2627, 0.0593
	case chromaDerived:
		c.kr, c.kb = deriveWeights(c.primaries)
	default:
		return raster.Unsupportedf("its colours use matrix %d; save it as JPEG or PNG", c.matrix)
	}
	c.kg = 1 - c.kr - c.kb
	return nil
}

// primaries of H.273, table 2: x and y of red, green, blue and white. Those that are not defined are
// BT.709's, as in libavif.
var primaries = map[int][8]float32{
	1:  {0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329},
	4:  {0.67, 0.33, 0.21, 0.71, 0.14, 0.08, 0.310, 0.316},
	5:  {0.64, 0.33, 0.29, 0.60, 0.15, 0.06, 0.3127, 0.3290},
	6:  {0.630, 0.340, 0.310, 0.595, 0.155, 0.070, 0.3127, 0.3290},
	7:  {0.630, 0.340, 0.310, 0.595, 0.155, 0.070, 0.3127, 0.3290},
	8:  {0.681, 0.319, 0.243, 0.692, 0.145, 0.049, 0.310, 0.316},
	9:  {0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290},
	10: {1, 0, 0, 1, 0, 0, 0.3333, 0.3333},
	11: {0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.314, 0.351},
	12: {0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.3127, 0.3290},
	22: {0.630, 0.340, 0.295, 0.605, 0.155, 0.077, 0.3127, 0.3290},
}

// deriveWeights returns the weights of red and blue in Y' by H.273, formulas 32 to 37.
func deriveWeights(number int) (kr, kb float32) {
	v, ok := primaries[number]
	if !ok {
		v = primaries[1]
	}
	rx, ry, gx, gy, bx, by, wx, wy := v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]
	rz, gz, bz, wz := 1-(rx+ry), 1-(gx+gy), 1-(bx+by), 1-(wx+wy)
	// minor returns a·d − b·c, and sum the sum of products, each product rounded.
	minor := func(a, b, c, d float32) float32 { return float32(a*d) - float32(b*c) }
	sum := func(a, x, b, y, c, z float32) float32 { return float32(a*x) + float32(b*y) + float32(c*z) }
	divisor := wy * sum(rx, minor(gy, by, gz, bz), gx, minor(by, ry, bz, rz), bx, minor(ry, gy, rz, gz))
	kr = ry * sum(wx, minor(gy, by, gz, bz), wy, minor(bx, gx, bz, gz), wz, minor(gx, bx, gy, by)) / divisor
	kb = by * sum(wx, minor(ry, gy, rz, gz), wy, minor(gx, rx, gz, rz), wz, minor(rx, gx, ry, gy)) / divisor
	return kr, kb
}

func (c *floatConverter) convertRow(out []uint8, alpha []uint16, y int) {
	c.loadRow(c.yRow, c.y, y, 0)
	if !c.grey {
		c.loadChroma(c.cbRow, c.cb, y)
		c.loadChroma(c.crRow, c.cr, y)
	}
	for x, v := range c.yRow {
		r, g, b := c.convert(c.lumas[v], c.cbRow[x], c.crRow[x], v)
		r, g, b = limitUnit(r), limitUnit(g), limitUnit(b)
		if c.divides {
			r, g, b = c.divide(r, alpha[x]), c.divide(g, alpha[x]), c.divide(b, alpha[x])
		}
		out[3*x], out[3*x+1], out[3*x+2] = toByte(r), toByte(g), toByte(b)
	}
}

// convert returns a pixel's red, green and blue from 0 to 1. Each product is rounded to float32,
// without fused operations.
func (c *floatConverter) convert(y, cb, cr float32, stored uint16) (r, g, b float32) {
	switch {
	case c.grey:
		return y, y, y
	case c.matrix == identity:
		return cr, y, cb
	case c.matrix == yCgCo:
		t := y - cb
		return t + cr, y + cb, t - cr
	case c.matrix == yCgCoRe:
		return c.convertReversible(int(stored), cb, cr)
	}
	r = y + float32((2*(1-c.kr))*cr)
	b = y + float32((2*(1-c.kb))*cb)
	g = y - float32(2*(float32(c.kr*(1-c.kr)*cr)+float32(c.kb*(1-c.kb)*cb)))/c.kg
	return r, g, b
}

// convertReversible converts by H.273, formulas 62 to 65.
func (c *floatConverter) convertReversible(y int, cb, cr float32) (r, g, b float32) {
	limit := float32(uint16(1)<<c.depth - 1)
	round := func(v float32) int { return int(math.Floor(float64(float32(v*limit) + 0.5))) }
	cg, co := round(cb), round(cr)
	t := y - cg>>1
	green := max(0, min(t+cg, 255))
	blue := max(0, min(t-co>>1, 255))
	red := max(0, min(blue+co, 255))
	return float32(red) / 255, float32(green) / 255, float32(blue) / 255
}

// divide divides a premultiplied level by its opacity.
func (c *floatConverter) divide(level float32, alpha uint16) float32 {
	limit := uint16(1)<<c.depth - 1
	switch alpha {
	case 0:
		return 0
	case limit:
		return level
	}
	return min(level/(float32(alpha)/float32(limit)), 1)
}

func limitUnit(v float32) float32 { return max(0, min(v, 1)) }

// toByte scales v from 0 to 1 to 0 to 255.
func toByte(v float32) uint8 { return uint8(0.5 + float32(v*255)) }

// loadChroma sets row to the chroma of row y at full width, interpolated.
func (c *floatConverter) loadChroma(row []float32, from avifPlane, y int) {
	chromaY := y >> c.subY
	c.loadRow(c.near, from, chromaY, 0)
	if c.subX == 0 {
		for x, v := range c.near {
			row[x] = c.chromas[v]
		}
		return
	}
	far := chromaY
	if c.subY == 1 && y > 0 && (y&1 == 0 || y < c.height-1) {
		far += 2*(y&1) - 1
	}
	c.loadRow(c.far, from, far, 0)
	for x := range row {
		i := x >> 1
		j := i
		if x > 0 && (x&1 == 0 || x < c.width-1) {
			j += 2*(x&1) - 1
		}
		row[x] = float32(c.chromas[c.near[i]]*(9.0/16)) + float32(c.chromas[c.near[j]]*(3.0/16)) +
			float32(c.chromas[c.far[i]]*(3.0/16)) + float32(c.chromas[c.far[j]]*(1.0/16))
	}
}
