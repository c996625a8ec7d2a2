package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// bytes are constants of 16 bytes.
type byteConstants map[uint64]Mem

func (c byteConstants) find(v uint64) Mem {
	if _, ok := c[v]; !ok {
		c[v] = spread("bytes"+string('a'+rune(len(c))), 16, 1, v)
	}
	return c[v]
}

// Kinds of filters.
const (
	simple = iota
	inner
	outer
)

func filters() {
	c := byteConstants{}
	for _, v := range []uint64{0x80, 0xfe, 3, 4, 0x40, 1} {
		c.find(v)
	}
	nine := spread("nine", 8, 2, 9<<8)
	half := spread("half", 8, 2, 63)
	for _, f := range []struct {
		name   string
		kind   int
		chroma bool
	}{
		{"Simple", simple, false}, {"LumaInner", inner, false}, {"LumaOuter", outer, false},
		{"ChromaInner", inner, true}, {"ChromaOuter", outer, true},
	} {
		for _, vertical := range []bool{false, true} {
			g := edgeFilter{constants: c, nine: nine, half: half, kind: f.kind, chroma: f.chroma, vertical: vertical}
			g.generate(f.name)
		}
	}
}

// edgeFilter generates a filter of 16 places of an edge, for chroma 8 of each plane.
type edgeFilter struct {
	constants  byteConstants
	nine, half Mem
	kind       int
	chroma     bool
	vertical   bool // the edge runs from top to bottom
	// rows are the addresses of the samples before and behind the edge, for chroma of both planes.
	rows [2][8]Mem
}

func (g *edgeFilter) generate(name string) {
	direction, what := "Horizontal", "a horizontal"
	if g.vertical {
		direction, what = "Vertical", "a vertical"
	}
	name = "filter" + direction + name + "Assembly"
	signature := "func(p *byte, stride int, limit, interior, variance uint8)"
	if g.chroma {
		signature = "func(u, v *byte, stride int, limit, interior, variance uint8)"
	}
	TEXT(name, NOSPLIT, signature)
	Pragma("noescape")
	Doc(name + " filters 16 places of " + what + " edge.")
	var planes []reg.GPVirtual
	if g.chroma {
		planes = []reg.GPVirtual{parameter("u"), parameter("v")}
	} else {
		planes = []reg.GPVirtual{parameter("p")}
	}
	stride := parameter("stride")
	if g.vertical {
		local := AllocLocal(128)
		for i := range 8 {
			g.rows[0][i] = local.Offset(16 * i)
		}
		gather(planes, stride, local)
		g.body()
		scatter(planes, stride, local)
	} else {
		thrice := GP64()
		LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, thrice)
		for i, p := range planes {
			before := GP64()
			MOVQ(stride, before)
			SHLQ(Imm(2), before)
			NEGQ(before)
			ADDQ(p, before)
			for j, base := range []reg.GPVirtual{before, p} {
				g.rows[i][4*j] = Mem{Base: base}
				g.rows[i][4*j+1] = Mem{Base: base, Index: stride, Scale: 1}
				g.rows[i][4*j+2] = Mem{Base: base, Index: stride, Scale: 2}
				g.rows[i][4*j+3] = Mem{Base: base, Index: thrice, Scale: 1}
			}
		}
		g.body()
	}
	RET()
}

// paired says that the planes of chroma are apart.
func (g *edgeFilter) paired() bool { return g.chroma && !g.vertical }

func (g *edgeFilter) load(i int) reg.VecVirtual {
	v := XMM()
	if g.paired() {
		VMOVQ(g.rows[0][i], v)
		VPINSRQ(Imm(1), g.rows[1][i], v, v)
	} else {
		VMOVDQU(g.rows[0][i], v)
	}
	return v
}

func (g *edgeFilter) store(i int, v reg.VecVirtual) {
	if g.paired() {
		VMOVQ(v, g.rows[0][i])
		VPEXTRQ(Imm(1), v, g.rows[1][i])
	} else {
		VMOVDQU(v, g.rows[0][i])
	}
}

// difference computes |a − b|.
func difference(a, b reg.VecVirtual) reg.VecVirtual {
	x, y := XMM(), XMM()
	VPSUBUSB(b, a, x)
	VPSUBUSB(a, b, y)
	VPOR(x, y, x)
	return x
}

func broadcast(name string) reg.VecVirtual {
	at, _ := Param(name).Resolve()
	v := XMM()
	VPBROADCASTB(at.Addr, v)
	return v
}

// body filters. Samples 0 to 3 are before the edge, 4 to 7 behind it.
func (g *edgeFilter) body() {
	var s [8]reg.VecVirtual
	for i := 2; i < 6; i++ {
		s[i] = g.load(i)
	}
	// mask has the places that are filtered: first it has the excess over the limits.
	mask, t := difference(s[3], s[4]), difference(s[2], s[5])
	VPAND(g.constants.find(0xfe), t, t)
	VPSRLW(Imm(1), t, t)
	VPADDUSB(mask, mask, mask)
	VPADDUSB(t, mask, mask)
	VPSUBUSB(broadcast("limit"), mask, mask)
	zero := XMM()
	even := XMM() // places without high variance
	if g.kind != simple {
		steep := difference(s[2], s[3])
		VPMAXUB(difference(s[5], s[4]), steep, steep)
		VPSUBUSB(broadcast("variance"), steep, even)
		s[1], s[6] = g.load(1), g.load(6)
		for _, i := range []int{1, 5} {
			VPMAXUB(difference(s[i], s[i+1]), steep, steep)
		}
		VPMAXUB(difference(g.load(0), s[1]), steep, steep)
		VPMAXUB(difference(s[6], g.load(7)), steep, steep)
		VPSUBUSB(broadcast("interior"), steep, steep)
		VPOR(steep, mask, mask)
		VPXOR(zero, zero, zero)
		VPCMPEQB(zero, even, even)
	} else {
		VPXOR(zero, zero, zero)
	}
	VPCMPEQB(zero, mask, mask)
	// Samples become signed.
	for _, v := range s {
		if v != nil {
			VPXOR(g.constants.find(0x80), v, v)
		}
	}
	beside := XMM()
	VPSUBSB(s[5], s[2], beside)
	if g.kind == inner {
		VPANDN(beside, even, beside)
	}
	across := XMM()
	VPSUBSB(s[3], s[4], across)
	for range 3 {
		VPADDSB(across, beside, beside)
	}
	VPAND(mask, beside, beside)
	g.adjust(&s, beside, even, zero)
	for i, v := range s {
		if v != nil {
			VPXOR(g.constants.find(0x80), v, v)
			g.store(i, v)
		}
	}
}

// adjust changes the samples by amounts that follow from delta.
func (g *edgeFilter) adjust(s *[8]reg.VecVirtual, delta, even, zero reg.VecVirtual) {
	steep := delta
	if g.kind == outer {
		steep = XMM()
		VPANDN(delta, even, steep)
	}
	before, behind := XMM(), XMM()
	VPADDSB(g.constants.find(3), steep, before)
	VPADDSB(g.constants.find(4), steep, behind)
	eighth(before, zero)
	eighth(behind, zero)
	VPADDSB(before, s[3], s[3])
	VPSUBSB(behind, s[4], s[4])
	switch g.kind {
	case inner:
		// (behind + 1) / 2 where variance is low, by an average of unsigned values.
		VPADDB(g.constants.find(0x80), behind, behind)
		VPAVGB(zero, behind, behind)
		VPSUBB(g.constants.find(0x40), behind, behind)
		VPAND(even, behind, behind)
		VPADDSB(behind, s[2], s[2])
		VPSUBSB(behind, s[5], s[5])
	case outer:
		VPAND(even, delta, delta)
		low, high := XMM(), XMM()
		VPUNPCKLBW(delta, zero, low)
		VPUNPCKHBW(delta, zero, high)
		var step, sum [2]reg.VecVirtual
		for i, v := range []reg.VecVirtual{low, high} {
			step[i], sum[i] = v, XMM()
			VPMULHW(g.nine, v, v)
			VPADDW(g.half, v, sum[i])
		}
		for i := 1; i <= 3; i++ { // the outermost first
			a, b := XMM(), XMM()
			VPSRAW(Imm(7), sum[0], a)
			VPSRAW(Imm(7), sum[1], b)
			VPACKSSWB(b, a, a)
			VPADDSB(a, s[i], s[i])
			VPSUBSB(a, s[7-i], s[7-i])
			for j := range sum {
				VPADDW(step[j], sum[j], sum[j])
			}
		}
	}
}

// eighth divides signed bytes by 8, rounding down.
func eighth(v, zero reg.VecVirtual) {
	high := XMM()
	VPUNPCKHBW(v, zero, high)
	VPUNPCKLBW(v, zero, v)
	VPSRAW(Imm(11), v, v)
	VPSRAW(Imm(11), high, high)
	VPACKSSWB(high, v, v)
}

// gather writes the 8 columns around a vertical edge as rows.
func gather(planes []reg.GPVirtual, stride reg.GPVirtual, local Mem) {
	var v [8]reg.VecVirtual
	rows := 16 / len(planes)
	for i, p := range planes {
		from := GP64()
		LEAQ(Mem{Base: p, Disp: -4}, from)
		for y := 0; y < rows; y += 2 {
			a, b := XMM(), XMM()
			VMOVQ(Mem{Base: from}, a)
			VMOVQ(Mem{Base: from, Index: stride, Scale: 1}, b)
			LEAQ(Mem{Base: from, Index: stride, Scale: 2}, from)
			VPUNPCKLBW(b, a, a)
			v[(i*rows+y)/2] = a
		}
	}
	v = interleave(v, VPUNPCKLWD, VPUNPCKHWD, 1)
	v = interleave(v, VPUNPCKLDQ, VPUNPCKHDQ, 2)
	v = interleave(v, VPUNPCKLQDQ, VPUNPCKHQDQ, 4)
	// Vectors came apart into even and odd columns at each step.
	for i, r := range v {
		VMOVDQU(r, local.Offset(16*(i>>2&1|i&2|i<<2&4)))
	}
}

// interleave interleaves vectors whose indexes differ by distance. The lower halves of the results
// stay in the first place.
func interleave(v [8]reg.VecVirtual, low, high func(...Op), distance int) [8]reg.VecVirtual {
	for i := range v {
		if i&distance == 0 {
			t := XMM()
			high(v[i+distance], v[i], t)
			low(v[i+distance], v[i], v[i])
			v[i+distance] = t
		}
	}
	return v
}

// scatter writes rows back as the 8 columns around a vertical edge.
func scatter(planes []reg.GPVirtual, stride reg.GPVirtual, local Mem) {
	// v[2i] has the lower rows of columns 2i and 2i+1, v[2i+1] the upper.
	var v [8]reg.VecVirtual
	for i := range 4 {
		a, b, high := XMM(), XMM(), XMM()
		VMOVDQU(local.Offset(32*i), a)
		VMOVDQU(local.Offset(32*i+16), b)
		VPUNPCKHBW(b, a, high)
		VPUNPCKLBW(b, a, a)
		v[2*i], v[2*i+1] = a, high
	}
	v = interleave(v, VPUNPCKLWD, VPUNPCKHWD, 2)
	v = interleave(v, VPUNPCKLDQ, VPUNPCKHDQ, 4)
	y := 0
	to := GP64()
	for _, i := range []int{0, 4, 2, 6, 1, 5, 3, 7} {
		if y%(16/len(planes)) == 0 {
			LEAQ(Mem{Base: planes[y*len(planes)/16], Disp: -4}, to)
		}
		VMOVQ(v[i], Mem{Base: to})
		VPEXTRQ(Imm(1), v[i], Mem{Base: to, Index: stride, Scale: 1})
		LEAQ(Mem{Base: to, Index: stride, Scale: 2}, to)
		y += 2
	}
}
