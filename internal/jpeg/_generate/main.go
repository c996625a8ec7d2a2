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

// transform is transform8 on vectors: eight columns at once, then eight rows.
func transform() {
	c := newConstants("transformConstants", 4433, 15137, 6270, 9633, 2446, 16819, 25172, 12299, -7373, -20995, -16069,
		-3196, 1<<10, 1<<17+128<<18)
	TEXT("transformAVX2", NOSPLIT, "func(block *int16, quantization *int32, out *byte, stride int)")
	Pragma("noescape")
	Doc("transformAVX2 turns a block of coefficients into 8 × 8 samples.")
	block, quantization := parameter("block"), parameter("quantization")
	var x [8]reg.VecVirtual
	for i := range x {
		x[i] = YMM()
		VPMOVSXWD(Mem{Base: block, Disp: 16 * i}, x[i])
		VPMULLD(Mem{Base: quantization, Disp: 32 * i}, x[i], x[i])
	}
	add := func(a, b reg.VecVirtual) reg.VecVirtual { v := YMM(); VPADDD(b, a, v); return v }
	sub := func(a, b reg.VecVirtual) reg.VecVirtual { v := YMM(); VPSUBD(b, a, v); return v }
	times := func(a reg.VecVirtual, k int32) reg.VecVirtual { v := YMM(); VPMULLD(c.find(k), a, v); return v }
	butterfly := func(x [8]reg.VecVirtual) [8]reg.VecVirtual {
		// The even half first, so that its inputs are free.
		z1 := times(add(x[2], x[6]), 4433)
		t2 := sub(z1, times(x[6], 15137))
		t3 := add(z1, times(x[2], 6270))
		t0, t1 := add(x[0], x[4]), sub(x[0], x[4])
		VPSLLD(Imm(13), t0, t0)
		VPSLLD(Imm(13), t1, t1)
		even := [4]reg.VecVirtual{add(t0, t3), add(t1, t2), sub(t1, t2), sub(t0, t3)}
		z3, z4 := add(x[7], x[3]), add(x[5], x[1])
		z5 := times(add(z3, z4), 9633)
		z3 = add(times(z3, -16069), z5)
		z4 = add(times(z4, -3196), z5)
		z1 = times(add(x[7], x[1]), -7373)
		o0 := add(add(times(x[7], 2446), z1), z3)
		o3 := add(add(times(x[1], 12299), z1), z4)
		z2 := times(add(x[5], x[3]), -20995)
		o1 := add(add(times(x[5], 16819), z2), z4)
		o2 := add(add(times(x[3], 25172), z2), z3)
		odd := [4]reg.VecVirtual{o3, o2, o1, o0}
		var out [8]reg.VecVirtual
		for i := range 4 {
			out[i], out[7-i] = add(even[i], odd[i]), sub(even[i], odd[i])
		}
		return out
	}
	descale := func(x [8]reg.VecVirtual, bias int32, n uint64) {
		for _, v := range x {
			VPADDD(c.find(bias), v, v)
			VPSRAD(Imm(n), v, v)
		}
	}
	x = butterfly(x)
	descale(x, 1<<10, 11)
	x = butterfly(transpose(x))
	descale(x, 1<<17+128<<18, 18)
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

// sums is the vertical half of the triangle filter.
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

// expand is the horizontal half of the triangle filter.
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

// convert is the colour conversion.
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
