package vp8

// Rows that the cache keeps of the row of macroblocks before: the filter reads 4 of each plane, and
// output lags behind by 9 rows of luma and 5 of chroma.
const (
	keptLuma   = 10
	keptChroma = 5
)

// padding is the number of samples behind a row that vectors may read or write.
const padding = 64

// rowCache has the samples of a row of macroblocks, and some of the one before.
type rowCache struct {
	luma, u, v               []uint8
	lumaStride, chromaStride int
	lumaStart, chromaStart   int // of the first macroblock
}

func newRowCache(columns int) rowCache {
	c := rowCache{lumaStride: 16*columns + padding, chromaStride: 8*columns + padding}
	c.luma = make([]uint8, (keptLuma+16)*c.lumaStride)
	c.u = make([]uint8, (keptChroma+8)*c.chromaStride)
	c.v = make([]uint8, (keptChroma+8)*c.chromaStride)
	c.lumaStart, c.chromaStart = keptLuma*c.lumaStride, keptChroma*c.chromaStride
	return c
}

// store copies macroblock x from the workspace.
func (c *rowCache) store(w *workspace, x int) {
	at := c.lumaStart + 16*x
	for y := range 16 {
		*(*[16]uint8)(c.luma[at:]) = *(*[16]uint8)(w[lumaAt+y*workStride:])
		at += c.lumaStride
	}
	at = c.chromaStart + 8*x
	for y := range 8 {
		*(*[8]uint8)(c.u[at:]) = *(*[8]uint8)(w[uAt+y*workStride:])
		*(*[8]uint8)(c.v[at:]) = *(*[8]uint8)(w[vAt+y*workStride:])
		at += c.chromaStride
	}
}

// advance keeps the last rows for the next row of macroblocks.
func (c *rowCache) advance() {
	copy(c.luma[:c.lumaStart], c.luma[16*c.lumaStride:])
	copy(c.u[:c.chromaStart], c.u[8*c.chromaStride:])
	copy(c.v[:c.chromaStart], c.v[8*c.chromaStride:])
}

// output turns rows of samples into pixels.
type output struct {
	pix           []uint8 // of the picture, from its first pixel on
	stride        int
	width, height int
	u, v          []uint8 // a row of chroma at full width
	next          int     // row
}

func newOutput(pix []uint8, stride, width, height int) output {
	return output{
		pix: pix, stride: stride, width: width, height: height,
		u: make([]uint8, width+padding), v: make([]uint8, width+padding),
	}
}

// write writes the rows that are complete once row y of macroblocks is filtered.
func (o *output) write(c *rowCache, y int) {
	end := 16*y + 7
	if end+9 >= o.height {
		end = o.height
	}
	columns, last := (o.width+1)/2, (o.height-1)/2
	for ; o.next < end; o.next++ {
		near := o.next / 2
		far := min(max(near-1+o.next%2*2, 0), last)
		nearAt := c.chromaStart + (near-8*y)*c.chromaStride
		farAt := c.chromaStart + (far-8*y)*c.chromaStride
		upsample(o.u, c.u[nearAt:], c.u[farAt:], columns)
		upsample(o.v, c.v[nearAt:], c.v[farAt:], columns)
		luma := c.luma[c.lumaStart+(o.next-16*y)*c.lumaStride:]
		convert(o.pix[o.next*o.stride:][:3*o.width], luma, o.u, o.v)
	}
}

// upsampleGeneric doubles the width of n samples of chroma. The nearest sample has the weight 9/16,
// those beside, above or below, and diagonal 3/16, 3/16 and 1/16, rounded in libwebp's order.
func upsampleGeneric(to, near, far []uint8, n int) {
	upsampleEnds(to, near, far, n)
	for i := 1; i < n; i++ {
		a, b := uint32(near[i-1]), uint32(near[i])
		c, d := uint32(far[i-1]), uint32(far[i])
		sum := a + b + c + d + 8
		to[2*i-1] = uint8(((sum+2*(b+c))>>3 + a) >> 1)
		to[2*i] = uint8(((sum+2*(a+d))>>3 + b) >> 1)
	}
}

// upsampleEnds computes the first and the last sample.
func upsampleEnds(to, near, far []uint8, n int) {
	mix := func(i int) uint8 { return uint8((3*uint32(near[i]) + uint32(far[i]) + 2) >> 2) }
	to[0], to[2*n-1] = mix(0), mix(n-1)
}

// convertGeneric writes a row of pixels. BT.601's limited range becomes RGB with 6 bits after the
// point (libwebp, src/dsp/yuv.h).
func convertGeneric(out, luma, u, v []uint8) {
	product := func(v uint8, factor int32) int32 { return int32(v) * factor >> 8 }
	level := func(v int32) uint8 { return uint8(min(max(v>>6, 0), 255)) }
	n := len(out) / 3
	luma, u, v = luma[:n], u[:n], v[:n]
	for i := range luma {
		l, b, r := product(luma[i], 19077), u[i], v[i]
		o := out[3*i:][:3]
		o[0] = level(l + product(r, 26149) - 14234)
		o[1] = level(l - product(b, 6419) - product(r, 13320) + 8708)
		o[2] = level(l + product(b, 33050) - 17685)
	}
}
