package vp8

// strength is how strongly the edges of a macroblock are filtered (RFC 6386, section 15.2).
type strength struct {
	limit    uint8 // of the difference across an edge inside of the macroblock; 0: no filter
	interior uint8 // limit of the differences beside the edge
	variance uint8 // threshold of high edge variance
	inner    bool  // edges inside of the macroblock are filtered
}

// outer returns the limit at the edges of the macroblock.
func (s strength) outer() uint8 { return s.limit + 4 }

// newStrength returns the strength of a level from 0 to 63.
func newStrength(level, sharpness int) strength {
	if level == 0 {
		return strength{}
	}
	interior := level
	if sharpness > 0 {
		interior >>= 1
		if sharpness > 4 {
			interior >>= 1
		}
		interior = min(interior, 9-sharpness)
	}
	interior = max(interior, 1)
	s := strength{limit: uint8(2*level + interior), interior: uint8(interior)}
	switch {
	case level >= 40:
		s.variance = 2
	case level >= 15:
		s.variance = 1
	}
	return s
}

// filterRow filters a row of macroblocks.
func (d *decoder) filterRow(y int) {
	c := &d.cache
	for x, s := range d.strengths {
		if s.limit == 0 {
			continue
		}
		luma := c.lumaStart + 16*x
		if d.simpleFilter {
			filterSimple(c.luma, luma, c.lumaStride, s, x > 0, y > 0)
			continue
		}
		filterNormal(c, luma, c.chromaStart+8*x, s, x > 0, y > 0)
	}
}

// filterNormalGeneric filters the left and upper edges, unless they are those of the picture, and the
// inner edges of a macroblock with the normal filter.
func filterNormalGeneric(c *rowCache, luma, chroma int, s strength, left, above bool) {
	type plane struct {
		p                []uint8
		at, stride, size int
	}
	for _, p := range [3]plane{
		{c.luma, luma, c.lumaStride, 16}, {c.u, chroma, c.chromaStride, 8}, {c.v, chroma, c.chromaStride, 8},
	} {
		if left {
			filterOuterEdge(p.p, p.at, 1, p.stride, p.size, s)
		}
		if s.inner {
			for i := 4; i < p.size; i += 4 {
				filterInnerEdge(p.p, p.at+i, 1, p.stride, p.size, s)
			}
		}
		if above {
			filterOuterEdge(p.p, p.at, p.stride, 1, p.size, s)
		}
		if s.inner {
			for i := 4; i < p.size; i += 4 {
				filterInnerEdge(p.p, p.at+i*p.stride, p.stride, 1, p.size, s)
			}
		}
	}
}

// filterSimpleGeneric does the same with the simple filter, of luma only.
func filterSimpleGeneric(p []uint8, at, stride int, s strength, left, above bool) {
	if left {
		filterSimpleEdge(p, at, 1, stride, s.outer())
	}
	if s.inner {
		for i := 4; i < 16; i += 4 {
			filterSimpleEdge(p, at+i, 1, stride, s.limit)
		}
	}
	if above {
		filterSimpleEdge(p, at, stride, 1, s.outer())
	}
	if s.inner {
		for i := 4; i < 16; i += 4 {
			filterSimpleEdge(p, at+i*stride, stride, 1, s.limit)
		}
	}
}

// filterSimpleEdge filters 16 places of an edge. The samples across it are step apart, the first
// behind it is p[at]; the places are along apart.
func filterSimpleEdge(p []uint8, at, step, along int, limit uint8) {
	for range 16 {
		if isSmooth(p, at, step, limit) {
			adjustTwo(p, at, step)
		}
		at += along
	}
}

// filterInnerEdge filters size places of an edge inside of a macroblock.
func filterInnerEdge(p []uint8, at, step, along, size int, s strength) {
	for range size {
		if isSmooth(p, at, step, s.limit) && isFlat(p, at, step, s.interior) {
			if hasVariance(p, at, step, s.variance) {
				adjustTwo(p, at, step)
			} else {
				adjustFour(p, at, step)
			}
		}
		at += along
	}
}

// filterOuterEdge filters size places of an edge of a macroblock.
func filterOuterEdge(p []uint8, at, step, along, size int, s strength) {
	for range size {
		if isSmooth(p, at, step, s.outer()) && isFlat(p, at, step, s.interior) {
			if hasVariance(p, at, step, s.variance) {
				adjustTwo(p, at, step)
			} else {
				adjustSix(p, at, step)
			}
		}
		at += along
	}
}

func difference(a, b uint8) int32 { return max(int32(a)-int32(b), int32(b)-int32(a)) }

func isSmooth(p []uint8, at, step int, limit uint8) bool {
	return 4*difference(p[at-step], p[at])+difference(p[at-2*step], p[at+step]) <= 2*int32(limit)+1
}

func isFlat(p []uint8, at, step int, limit uint8) bool {
	for _, i := range [6]int{-4, -3, -2, 0, 1, 2} {
		if difference(p[at+i*step], p[at+(i+1)*step]) > int32(limit) {
			return false
		}
	}
	return true
}

func hasVariance(p []uint8, at, step int, threshold uint8) bool {
	return difference(p[at-2*step], p[at-step]) > int32(threshold) || difference(p[at+step], p[at]) > int32(threshold)
}

func clampSigned(v int32) int32 { return min(max(v, -128), 127) }

// adjust moves the sample i before the edge and its mirror image behind it towards each other.
func adjust(p []uint8, at, step, i int, before, behind int32) {
	a, b := &p[at-i*step], &p[at+(i-1)*step]
	*a, *b = clamp(int32(*a)+before), clamp(int32(*b)-behind)
}

// delta is three times the difference across the edge, with that of the samples beside it if outer.
func delta(p []uint8, at, step int, outer bool) int32 {
	v := 3 * (int32(p[at]) - int32(p[at-step]))
	if outer {
		v += clampSigned(int32(p[at-2*step]) - int32(p[at+step]))
	}
	return clampSigned(v)
}

func adjustTwo(p []uint8, at, step int) {
	a := delta(p, at, step, true)
	adjust(p, at, step, 1, clampSigned(a+3)>>3, clampSigned(a+4)>>3)
}

func adjustFour(p []uint8, at, step int) {
	a := delta(p, at, step, false)
	behind := clampSigned(a+4) >> 3
	adjust(p, at, step, 1, clampSigned(a+3)>>3, behind)
	beside := (behind + 1) >> 1
	adjust(p, at, step, 2, beside, beside)
}

func adjustSix(p []uint8, at, step int) {
	a := delta(p, at, step, true)
	for i := 1; i <= 3; i++ {
		v := (int32(4-i)*9*a + 63) >> 7
		adjust(p, at, step, i, v, v)
	}
}
