package vp8

// Types of blocks, by which coefficients are coded (RFC 6386, section 13.3).
const (
	lumaWithoutDC = iota // of macroblocks that have a block of their DC coefficients
	lumaDC
	chroma
	lumaWithDC
	blockTypes
)

const (
	bands      = 8
	contexts   = 3
	tokenNodes = 11
)

// maxNarrow is a bound of coefficients below which the transforms do not overflow 16 bits.
const maxNarrow = 1023

// tokenTable has the probabilities of the nodes of the token tree, by the place of the coefficient in
// the block, with one place more, and the context. Rows are padded to 16.
type tokenTable [17][contexts][16]uint8

// bandOf has the band of each place (RFC 6386, section 13.3).
var bandOf = [17]uint8{0, 1, 2, 3, 6, 4, 5, 6, 6, 6, 6, 6, 6, 6, 6, 7, 0}

// zigzag has the position in the block of each place (RFC 6386, section 13).
var zigzag = [16]uint8{0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15}

// extraBits has the probabilities of the extra bits of categories 3 to 6 (RFC 6386, section 13.2).
var extraBits = [4][]uint8{
	{173, 148, 140},
	{176, 155, 140, 135},
	{180, 157, 141, 134, 130},
	{254, 254, 243, 230, 196, 177, 153, 140, 133, 130, 129},
}

// steps has the factors of the DC and the AC coefficients of a block.
type steps [2]int32

// readTokensGeneric reads the coefficients of a block from place first on and writes their products
// with steps to out, which is zero. It returns the place behind the last that was read.
func readTokensGeneric(r *boolReader, table *tokenTable, context, first int, q *steps, out *[16]int16) int {
	p := &table[first][context]
	for n := first; n < 16; {
		if !r.read(p[0]) {
			return n
		}
		for !r.read(p[1]) {
			n++
			if n == 16 {
				return 16
			}
			p = &table[n][0]
		}
		v := int32(1)
		next := 1
		if r.read(p[2]) {
			v = readLarge(r, p)
			next = 2
		}
		p = &table[n+1][next]
		if v *= q[min(n, 1)]; v > maxNarrow {
			r.wide = true
		}
		if r.readSign() {
			v = -v
		}
		out[zigzag[n]] = int16(v)
		n++
	}
	return 16
}

// readLarge reads a coefficient that is at least 2.
func readLarge(r *boolReader, p *[16]uint8) int32 {
	if !r.read(p[3]) {
		if !r.read(p[4]) {
			return 2
		}
		return int32(3 + r.readBit(p[5]))
	}
	if !r.read(p[6]) {
		if !r.read(p[7]) {
			return int32(5 + r.readBit(159))
		}
		high := r.readBit(165)
		return int32(7 + 2*high + r.readBit(145))
	}
	high := r.readBit(p[8])
	category := 2*high + r.readBit(p[9+high])
	v := 0
	for _, probability := range extraBits[category] {
		v = v<<1 | r.readBit(probability)
	}
	return int32(v + 3 + 8<<category)
}

// nonzero says which blocks at an edge of a macroblock have coefficients, as 0 or 1.
type nonzero struct {
	luma   [4]uint8
	chroma [2][2]uint8
	dc     uint8
}

// How the residual of a block is computed. libwebp computes them with different overflows.
const (
	noResidual    = iota
	onlyDC        // only the DC coefficient is not zero
	fewResidual   // only the first three coefficients in zigzag order can be
	wholeResidual // all can be
)

func residualKind(n int, dc int16) uint8 {
	switch {
	case n > 3:
		return wholeResidual
	case n > 1:
		return fewResidual
	case dc != 0:
		return onlyDC
	}
	return noResidual
}

// readResiduals reads the coefficients of a macroblock. It reports whether any is not zero.
func (d *decoder) readResiduals(r *boolReader, m *macroblock, above, left *nonzero) bool {
	clear(d.coefficients[:])
	r.wide = false
	q := &d.quantizers[m.segment]
	kind, first := lumaWithDC, 0
	if !m.subblocks {
		kind, first = lumaWithoutDC, 1
		var dc [16]int16
		n := readTokens(r, &d.tables[lumaDC], int(above.dc+left.dc), 0, &q.lumaDC, &dc)
		above.dc = isPositive(n)
		left.dc = above.dc
		transformDC(&dc, &d.coefficients)
	}
	any := uint8(0)
	for i := range 16 {
		a, l := &above.luma[i&3], &left.luma[i>>2]
		block := d.block(i)
		n := readTokens(r, &d.tables[kind], int(*a+*l), first, &q.luma, block)
		*a = isPositive(n - first)
		*l = *a
		d.kinds[i] = residualKind(n, block[0])
		any |= d.kinds[i]
	}
	for i := 16; i < 24; i++ {
		plane := i >> 2 & 1
		a, l := &above.chroma[plane][i&1], &left.chroma[plane][i>>1&1]
		block := d.block(i)
		n := readTokens(r, &d.tables[chroma], int(*a+*l), 0, &q.chroma, block)
		*a = isPositive(n)
		*l = *a
		d.kinds[i] = residualKind(n, block[0])
		any |= d.kinds[i]
	}
	return any != 0
}

func (d *decoder) block(i int) *[16]int16 { return (*[16]int16)(d.coefficients[16*i:]) }

func isPositive(n int) uint8 {
	if n > 0 {
		return 1
	}
	return 0
}
