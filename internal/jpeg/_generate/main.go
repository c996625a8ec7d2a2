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

// transform generates transform8 on vectors: eight columns at once, then eight rows.
func transform() {
	c := newConstants("transformConstants", 1<<10, 1<<17+128<<18, words(1<<13, 1<<13), words(-1<<14, -1<<14),
		words(4433, 4433-15137), words(4433+6270, 4433), words(9633-16069, 9633), words(9633, 9633-3196),
		words(2446-7373, -7373), words(16819-20995, -20995), words(-20995, 25172-20995), words(-7373, 12299-7373))
	columns := GLOBL("transformColumns", RODATA|NOPTR)
	for i := range 32 {
		DATA(i, U8(i%4*4+i/4%4))
	}
	TEXT("transformAssembly", NOSPLIT, "func(block, quantization *int16, out *byte, stride int)")
	Pragma("noescape")
	Doc("transformAssembly turns a block of coefficients into 8 × 8 samples.")
	block, quantization := parameter("block"), parameter("quantization")
	var x [4]reg.VecVirtual // two rows each
	for i := range x {
		x[i] = YMM()
		VMOVDQU(Mem{Base: block, Disp: 32 * i}, x[i])
		VPMULLW(Mem{Base: quantization, Disp: 32 * i}, x[i], x[i])
	}
	// Of coefficients in the first row alone libjpeg-turbo shifts words. That differs only from 1<<13 on.
	large := XMM()
	VPADDW(c.find(words(1<<13, 1<<13)), x[0].AsX(), large)
	VPTEST(c.find(words(-1<<14, -1<<14)), large)
	JNZ(LabelRef("large"))
	Label("columns")
	for i := range x {
		VPERMQ(Imm(0xd8), x[i], x[i])
	}
	y := butterfly(c, x, 1<<10, 11)
	for i := range x {
		VPACKSSDW(y[2*i+1], y[2*i], x[i])
	}
	Label("transpose")
	transpose(x)
	y = butterfly(c, x, 1<<17+128<<18, 18)
	for i := range x {
		VPACKSSDW(y[2*i+1], y[2*i], x[i])
	}
	left, right := x[0], x[2] // halves of the rows
	for i, half := range []reg.VecVirtual{left, right} {
		VPACKUSWB(x[2*i+1], half, half)
		VPSHUFB(columns, half, half)
	}
	first, second := YMM(), YMM()
	VPUNPCKLDQ(right, left, first)
	VPUNPCKHDQ(right, left, second)
	out, stride := parameter("out"), parameter("stride")
	for range 2 {
		for _, v := range []reg.VecVirtual{first, second} {
			VMOVQ(v.AsX(), Mem{Base: out})
			VMOVHPS(v.AsX(), Mem{Base: out, Index: stride, Scale: 1})
			LEAQ(Mem{Base: out, Index: stride, Scale: 2}, out)
			VEXTRACTI128(Imm(1), v, v.AsX())
		}
	}
	VZEROUPPER()
	RET()

	Label("large")
	some := YMM()
	VMOVDQU(Mem{Base: block, Disp: 16}, some.AsX())
	for i := 1; i < 4; i++ {
		VPOR(Mem{Base: block, Disp: 32 * i}, some, some)
	}
	VPTEST(some, some)
	JNZ(LabelRef("columns"))
	VPSLLW(Imm(2), x[0], x[0])
	VPERMQ(Imm(0x50), x[0], x[0])
	for i := range x {
		if i > 0 {
			VMOVDQA(x[0], x[i])
		}
	}
	JMP(LabelRef("transpose"))
}

// words packs two factors for VPMADDWD, which multiplies pairs of words and adds the products.
func words(low, high int32) int32 { return high<<16 | low&0xffff }

// butterfly generates the one-dimensional transform of words, times 2¹³, and divides the results by 2ⁿ
// after it has added a bias. x has two inputs in each vector: 4 words of the first, of the second, of
// the first, and of the second.
func butterfly(c constants, x [4]reg.VecVirtual, bias int32, n uint64) [8]reg.VecVirtual {
	operate := func(f func(ops ...Op), a, b reg.VecVirtual) reg.VecVirtual { v := YMM(); f(b, a, v); return v }
	add := func(a, b reg.VecVirtual) reg.VecVirtual { return operate(VPADDD, a, b) }
	sub := func(a, b reg.VecVirtual) reg.VecVirtual { return operate(VPSUBD, a, b) }
	times := func(pair reg.VecVirtual, low, high int32) reg.VecVirtual {
		v := YMM()
		VPMADDWD(c.find(words(low, high)), pair, v)
		return v
	}
	zero := YMM()
	VPXOR(zero, zero, zero)
	scale := func(sum reg.VecVirtual) reg.VecVirtual { // the first of a sum's inputs times 2¹³, and the bias
		v := operate(VPUNPCKLWD, zero, sum)
		VPSRAD(Imm(16-13), v, v)
		VPADDD(c.find(bias), v, v)
		return v
	}
	sum := operate(VPADDW, x[0], x[2])
	t0, t1 := scale(sum), scale(operate(VPSUBW, x[0], x[2]))
	p := operate(VPUNPCKLWD, x[1], x[3])
	t2, t3 := times(p, 4433, 4433-15137), times(p, 4433+6270, 4433)
	even := [4]reg.VecVirtual{add(t0, t3), add(t1, t2), sub(t1, t2), sub(t0, t3)}
	p = operate(VPUNPCKHWD, operate(VPADDW, x[3], x[1]), sum)
	z3, z4 := times(p, 9633-16069, 9633), times(p, 9633, 9633-3196)
	p = operate(VPUNPCKHWD, x[3], x[0])
	o0, o3 := add(times(p, 2446-7373, -7373), z3), add(times(p, -7373, 12299-7373), z4)
	p = operate(VPUNPCKHWD, x[2], x[1])
	o1, o2 := add(times(p, 16819-20995, -20995), z4), add(times(p, -20995, 25172-20995), z3)
	odd := [4]reg.VecVirtual{o3, o2, o1, o0}
	var out [8]reg.VecVirtual
	for i := range 4 {
		out[i], out[7-i] = add(even[i], odd[i]), sub(even[i], odd[i])
	}
	for _, v := range out {
		VPSRAD(Imm(n), v, v)
	}
	return out
}

// transpose exchanges rows and columns. x has two rows in each vector, as butterfly wants its inputs and
// as VPACKSSDW leaves its results.
func transpose(x [4]reg.VecVirtual) {
	var half [2][2]reg.VecVirtual // upper and lower rows of columns 0, 1, 4 and 5, and of 2, 3, 6 and 7
	for i := range half {
		low, high := YMM(), YMM()
		VPUNPCKLWD(x[2*i+1], x[2*i], low)
		VPUNPCKHWD(x[2*i+1], x[2*i], high)
		half[i] = [2]reg.VecVirtual{YMM(), YMM()}
		VPUNPCKLWD(high, low, half[i][0])
		VPUNPCKHWD(high, low, half[i][1])
	}
	for i := range 2 {
		VPERM2I128(Imm(0x20), half[1][i], half[0][i], x[i])
		VPERM2I128(Imm(0x31), half[1][i], half[0][i], x[2+i])
	}
}

// sums generates the vertical half of the triangle filter.
func sums() {
	TEXT("sumsAssembly", NOSPLIT, "func(dst *int16, near, far *byte, vectors int)")
	Pragma("noescape")
	Doc("sumsAssembly sets dst = 3·near + far for vectors of 16 samples.")
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
	TEXT("expandAssembly", NOSPLIT, "func(dst *byte, sums *int16, vectors int, evenBias, oddBias uint16, shift uint64)")
	Pragma("noescape")
	Doc("expandAssembly sets dst[2i] = (3·sums[i] + sums[i−1] + evenBias) >> shift and",
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

// convert generates the colour conversion in words. Products of 16 bits give the same results as those
// of 32 if the factors are less than ½, so that whole multiples are added separately:
//
//	1.402 = 1 + 0.402, 1.772 = 2 − 0.228, −0.714 = 0.286 − 1
func convert() {
	const fix0402, fix0228, fix0344, fix0286 = 91881 - 1<<16, 1<<17 - 116130, 22554, 1<<16 - 46802
	c := newConstants("convertConstants", words(128, 128), words(1, 1), words(fix0402, fix0402),
		words(-fix0228, -fix0228), words(-fix0344, fix0286), 1<<15)
	shuffles := GLOBL("convertShuffles", RODATA|NOPTR)
	// For the first 16 of 24 bytes of the result and for the others, and for the vector of red and green
	// and for that of blue: the byte of the vector that byte i takes.
	for i := range 128 {
		at := i/64*16 + i%16
		from, blue := uint8(at/3), i/32%2 == 1
		switch {
		case at >= 24 || blue != (at%3 == 2):
			from = 0x80 // nothing
		case at%3 == 1:
			from += 8
		}
		DATA(i, U8(from))
	}
	TEXT("convertAssembly", NOSPLIT, "func(dst, y, cb, cr *byte, vectors int)")
	Pragma("noescape")
	Doc("convertAssembly turns vectors of 16 pixels from YCbCr into RGB.")
	dst, y, cb, cr := parameter("dst"), parameter("y"), parameter("cb"), parameter("cr")
	vectors := parameter("vectors")
	Label("loop")
	operate := func(f func(ops ...Op), b Op, a reg.VecVirtual) reg.VecVirtual { v := YMM(); f(b, a, v); return v }
	load := func(from reg.GPVirtual) reg.VecVirtual {
		v := YMM()
		VPMOVZXBW(Mem{Base: from}, v)
		return v
	}
	l, b, r := load(y), load(cb), load(cr)
	VPSUBW(c.find(words(128, 128)), b, b)
	VPSUBW(c.find(words(128, 128)), r, r)
	// multiply returns twice·factor / 2¹⁷, rounded.
	multiply := func(twice reg.VecVirtual, factor int32) reg.VecVirtual {
		v := operate(VPMULHW, c.find(words(factor, factor)), twice)
		VPADDW(c.find(words(1, 1)), v, v)
		VPSRAW(Imm(1), v, v)
		return v
	}
	twice := operate(VPADDW, b, b)
	blue := multiply(twice, -fix0228)
	VPADDW(twice, blue, blue)
	red := multiply(operate(VPADDW, r, r), fix0402)
	VPADDW(r, red, red)
	low, high := operate(VPUNPCKLWD, r, b), operate(VPUNPCKHWD, r, b)
	for _, v := range []reg.VecVirtual{low, high} {
		VPMADDWD(c.find(words(-fix0344, fix0286)), v, v)
		VPADDD(c.find(1<<15), v, v)
		VPSRAD(Imm(16), v, v)
	}
	green := operate(VPACKSSDW, high, low)
	VPSUBW(r, green, green)
	for _, v := range []reg.VecVirtual{red, green, blue} {
		VPADDW(l, v, v)
	}
	// Each half has 8 pixels.
	VPACKUSWB(green, red, red)
	VPACKUSWB(blue, blue, blue)
	join := func(part int) reg.VecVirtual {
		v := operate(VPSHUFB, shuffles.Offset(64*part), red)
		VPOR(operate(VPSHUFB, shuffles.Offset(64*part+32), blue), v, v)
		return v
	}
	first, rest := join(0), join(1)
	VMOVDQU(first.AsX(), Mem{Base: dst})
	VMOVQ(rest.AsX(), Mem{Base: dst, Disp: 16})
	VEXTRACTI128(Imm(1), first, Mem{Base: dst, Disp: 24})
	VEXTRACTI128(Imm(1), rest, rest.AsX())
	VMOVQ(rest.AsX(), Mem{Base: dst, Disp: 40})
	ADDQ(Imm(16), y)
	ADDQ(Imm(16), cb)
	ADDQ(Imm(16), cr)
	ADDQ(Imm(48), dst)
	DECQ(vectors)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
