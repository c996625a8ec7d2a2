// The generator of package jpeg's assembly for amd64: run `go generate` there.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("!purego")
	transform()
	sums()
	expand()
	convert()
	Generate()
}

func parameter(name string) reg.GPVirtual {
	return Load(Param(name), GP64()).(reg.GPVirtual)
}

// constants is a table of 32-bit values, each repeated over a vector.
type constants struct {
	table Mem
	at    map[int32]int
}

func newConstants(name string, values ...int32) constants {
	c := constants{GLOBL(name, RODATA|NOPTR), map[int32]int{}}
	for i, v := range values {
		c.at[v] = 32 * i
		for j := range 8 {
			DATA(32*i+4*j, I32(v))
		}
	}
	return c
}

func (c constants) find(v int32) Mem {
	at, ok := c.at[v]
	if !ok {
		panic("constant not in the table")
	}
	return c.table.Offset(at)
}

// transform generates transform8 on vectors: eight columns at once, then eight rows. Each value takes
// 32 bits, of which the lower 16 count where the code says words.
func transform() {
	c := newConstants("transformConstants", 1<<10, 1<<17+128<<18, -1<<15, 1<<15-1,
		words(4433, 4433-15137), words(4433+6270, 4433), words(9633-16069, 9633), words(9633, 9633-3196),
		words(2446-7373, -7373), words(16819-20995, -20995), words(-20995, 25172-20995), words(-7373, 12299-7373))
	TEXT("transformAVX2", NOSPLIT, "func(block, quantization *int16, out *byte, stride int)")
	Pragma("noescape")
	Doc("transformAVX2 turns a block of coefficients into 8 × 8 samples.")
	block, quantization := parameter("block"), parameter("quantization")
	some := XMM()
	VMOVDQU(Mem{Base: block, Disp: 16}, some)
	for i := 2; i < 8; i++ {
		VPOR(Mem{Base: block, Disp: 16 * i}, some, some)
	}
	var x [8]reg.VecVirtual
	load := func(i int) {
		x[i] = YMM()
		q := YMM()
		VPMOVZXWD(Mem{Base: block, Disp: 16 * i}, x[i])
		VPMOVZXWD(Mem{Base: quantization, Disp: 16 * i}, q)
		VPMULLW(q, x[i], x[i])
	}
	for i := range x {
		load(i)
	}
	VPTEST(some, some)
	JNZ(LabelRef("columns"))
	// Coefficients in the first row alone: libjpeg-turbo shifts words.
	VPSLLD(Imm(16+2), x[0], x[0])
	VPSRAD(Imm(16), x[0], x[0])
	for i := 1; i < 8; i++ {
		VMOVDQA(x[0], x[i])
	}
	JMP(LabelRef("rows"))
	Label("columns")
	y := butterfly(c, x)
	for i, v := range y {
		descale(c, v, 1<<10, 11)
		VPMINSD(c.find(1<<15-1), v, v)
		VPMAXSD(c.find(-1<<15), v, x[i])
	}
	Label("rows")
	x = butterfly(c, transpose(x))
	for _, v := range x {
		descale(c, v, 1<<17+128<<18, 18)
	}
	x = transpose(x)
	out, stride := parameter("out"), parameter("stride")
	// Four rows at a time become bytes: 32-bit values saturate to 16, then to 8.
	for i := 0; i < 8; i += 4 {
		a, b := YMM(), YMM()
		VPACKSSDW(x[i+1], x[i], a)
		VPACKSSDW(x[i+3], x[i+2], b)
		VPACKUSWB(b, a, a)
		// a is, in 32-bit words: rows 0 1 2 3 left halves, then right halves.
		high := XMM()
		VEXTRACTI128(Imm(1), a, high)
		low := a.AsX()
		first, second := XMM(), XMM()
		VPUNPCKLDQ(high, low, first)
		VPUNPCKHDQ(high, low, second)
		for _, v := range []reg.VecVirtual{first, second} {
			VMOVQ(v, Mem{Base: out})
			ADDQ(stride, out)
			VPEXTRQ(Imm(1), v, Mem{Base: out})
			ADDQ(stride, out)
		}
	}
	VZEROUPPER()
	RET()
}

// words packs two factors for VPMADDWD, which multiplies pairs of words and adds the products.
func words(low, high int32) int32 { return high<<16 | low&0xffff }

// butterfly generates the one-dimensional transform of words, times 2¹³.
func butterfly(c constants, x [8]reg.VecVirtual) [8]reg.VecVirtual {
	add := func(a, b reg.VecVirtual) reg.VecVirtual { v := YMM(); VPADDD(b, a, v); return v }
	sub := func(a, b reg.VecVirtual) reg.VecVirtual { v := YMM(); VPSUBD(b, a, v); return v }
	pair := func(a, b reg.VecVirtual) reg.VecVirtual {
		v := YMM()
		VPSLLD(Imm(16), b, v)
		VPBLENDW(Imm(0x55), a, v, v)
		return v
	}
	times := func(pair reg.VecVirtual, low, high int32) reg.VecVirtual {
		v := YMM()
		VPMADDWD(c.find(words(low, high)), pair, v)
		return v
	}
	scale := func(v reg.VecVirtual) { // a word times 2¹³
		VPSLLD(Imm(16), v, v)
		VPSRAD(Imm(16-13), v, v)
	}
	// The even half first, so that its inputs are free.
	t0, t1 := add(x[0], x[4]), sub(x[0], x[4])
	scale(t0)
	scale(t1)
	p := pair(x[2], x[6])
	t2, t3 := times(p, 4433, 4433-15137), times(p, 4433+6270, 4433)
	even := [4]reg.VecVirtual{add(t0, t3), add(t1, t2), sub(t1, t2), sub(t0, t3)}
	p = pair(add(x[7], x[3]), add(x[5], x[1]))
	z3, z4 := times(p, 9633-16069, 9633), times(p, 9633, 9633-3196)
	p = pair(x[7], x[1])
	o0, o3 := add(times(p, 2446-7373, -7373), z3), add(times(p, -7373, 12299-7373), z4)
	p = pair(x[5], x[3])
	o1, o2 := add(times(p, 16819-20995, -20995), z4), add(times(p, -20995, 25172-20995), z3)
	odd := [4]reg.VecVirtual{o3, o2, o1, o0}
	var out [8]reg.VecVirtual
	for i := range 4 {
		out[i], out[7-i] = add(even[i], odd[i]), sub(even[i], odd[i])
	}
	return out
}

// descale generates the division by 2ⁿ, with a bias.
func descale(c constants, v reg.VecVirtual, bias int32, n uint64) {
	VPADDD(c.find(bias), v, v)
	VPSRAD(Imm(n), v, v)
}

// transpose exchanges rows and columns of 8 × 8 values of 32 bits.
func transpose(x [8]reg.VecVirtual) [8]reg.VecVirtual {
	var a, b, out [8]reg.VecVirtual
	for i := 0; i < 8; i += 2 {
		a[i], a[i+1] = YMM(), YMM()
		VPUNPCKLDQ(x[i+1], x[i], a[i])
		VPUNPCKHDQ(x[i+1], x[i], a[i+1])
	}
	for i := 0; i < 8; i += 4 {
		for j := range 2 {
			b[i+2*j], b[i+2*j+1] = YMM(), YMM()
			VPUNPCKLQDQ(a[i+2+j], a[i+j], b[i+2*j])
			VPUNPCKHQDQ(a[i+2+j], a[i+j], b[i+2*j+1])
		}
	}
	for i := range 4 {
		out[i], out[i+4] = YMM(), YMM()
		VPERM2I128(Imm(0x20), b[i+4], b[i], out[i])
		VPERM2I128(Imm(0x31), b[i+4], b[i], out[i+4])
	}
	return out
}

// sums generates the vertical half of the triangle filter.
func sums() {
	TEXT("sumsAVX2", NOSPLIT, "func(dst *int16, near, far *byte, vectors int)")
	Pragma("noescape")
	Doc("sumsAVX2 sets dst = 3·near + far for vectors of 16 samples.")
	dst, near, far, vectors := parameter("dst"), parameter("near"), parameter("far"), parameter("vectors")
	Label("loop")
	a, twice, b := YMM(), YMM(), YMM()
	VPMOVZXBW(Mem{Base: near}, a)
	VPMOVZXBW(Mem{Base: far}, b)
	VPADDW(a, a, twice)
	VPADDW(a, twice, a)
	VPADDW(b, a, a)
	VMOVDQU(a, Mem{Base: dst})
	ADDQ(Imm(16), near)
	ADDQ(Imm(16), far)
	ADDQ(Imm(32), dst)
	DECQ(vectors)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// expand generates the horizontal half of the triangle filter.
func expand() {
	TEXT("expandAVX2", NOSPLIT, "func(dst *byte, sums *int16, vectors int, evenBias, oddBias uint16, shift uint64)")
	Pragma("noescape")
	Doc("expandAVX2 sets dst[2i] = (3·sums[i] + sums[i−1] + evenBias) >> shift and",
		"dst[2i+1] = (3·sums[i] + sums[i+1] + oddBias) >> shift for vectors of 16 sums.")
	dst, sums, vectors := parameter("dst"), parameter("sums"), parameter("vectors")
	broadcast := func(name string) reg.VecVirtual {
		at, _ := Param(name).Resolve()
		v := YMM()
		VPBROADCASTW(at.Addr, v)
		return v
	}
	evenBias, oddBias := broadcast("evenBias"), broadcast("oddBias")
	shiftAt, _ := Param("shift").Resolve()
	shift := XMM()
	VMOVQ(shiftAt.Addr, shift)
	Label("loop")
	a, twice, even, odd := YMM(), YMM(), YMM(), YMM()
	VMOVDQU(Mem{Base: sums}, a)
	VPADDW(a, a, twice)
	VPADDW(a, twice, a)
	VPADDW(Mem{Base: sums, Disp: -2}, a, even)
	VPADDW(Mem{Base: sums, Disp: 2}, a, odd)
	VPADDW(evenBias, even, even)
	VPADDW(oddBias, odd, odd)
	VPSRLW(shift, even, even)
	VPSRLW(shift, odd, odd)
	// Both fit into a byte: even in the lower half of each word, odd in the upper.
	VPSLLW(Imm(8), odd, odd)
	VPOR(odd, even, even)
	VMOVDQU(even, Mem{Base: dst})
	ADDQ(Imm(32), sums)
	ADDQ(Imm(32), dst)
	DECQ(vectors)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// convert generates the colour conversion.
func convert() {
	c := newConstants("convertConstants", 91881, 116130, -22554, -46802, 1<<15, 128)
	shuffles := GLOBL("convertShuffles", RODATA|NOPTR)
	// For each 16 bytes of the result and each colour: the pixel that byte i takes.
	for part := range 3 {
		for colour := range 3 {
			for i := range 16 {
				at := 16*part + i
				pixel := uint8(0x80) // nothing
				if at%3 == colour {
					pixel = uint8(at / 3)
				}
				DATA(16*(3*part+colour)+i, U8(pixel))
			}
		}
	}
	TEXT("convertAVX2", NOSPLIT, "func(dst, y, cb, cr *byte, vectors int)")
	Pragma("noescape")
	Doc("convertAVX2 turns vectors of 16 pixels from YCbCr into RGB.")
	dst, y, cb, cr := parameter("dst"), parameter("y"), parameter("cb"), parameter("cr")
	vectors := parameter("vectors")
	Label("loop")
	var halves [2][3]reg.VecVirtual
	for h := range halves {
		load := func(from reg.GPVirtual) reg.VecVirtual {
			v := YMM()
			VPMOVZXBD(Mem{Base: from, Disp: 8 * h}, v)
			return v
		}
		l, b, r := load(y), load(cb), load(cr)
		VPSUBD(c.find(128), b, b)
		VPSUBD(c.find(128), r, r)
		product := func(v reg.VecVirtual, k int32) reg.VecVirtual {
			p := YMM()
			VPMULLD(c.find(k), v, p)
			return p
		}
		finish := func(p reg.VecVirtual) reg.VecVirtual {
			VPADDD(c.find(1<<15), p, p)
			VPSRAD(Imm(16), p, p)
			VPADDD(l, p, p)
			return p
		}
		green := product(b, -22554)
		VPADDD(product(r, -46802), green, green)
		halves[h] = [3]reg.VecVirtual{finish(product(r, 91881)), finish(green), finish(product(b, 116130))}
	}
	var colours [3]reg.VecVirtual
	for i := range colours {
		v := YMM()
		VPACKSSDW(halves[1][i], halves[0][i], v)
		VPERMQ(Imm(0xd8), v, v) // the halves' lanes in order
		high := XMM()
		VEXTRACTI128(Imm(1), v, high)
		colours[i] = XMM()
		VPACKUSWB(high, v.AsX(), colours[i])
	}
	for part := range 3 {
		sum := XMM()
		for i, v := range colours {
			shuffled := XMM()
			VPSHUFB(shuffles.Offset(16*(3*part+i)), v, shuffled)
			if i == 0 {
				sum = shuffled
			} else {
				VPOR(shuffled, sum, sum)
			}
		}
		VMOVDQU(sum, Mem{Base: dst, Disp: 16 * part})
	}
	ADDQ(Imm(16), y)
	ADDQ(Imm(16), cb)
	ADDQ(Imm(16), cr)
	ADDQ(Imm(48), dst)
	DECQ(vectors)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
