// The generator of package vp8's assembly for amd64: run `go generate` there.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// workStride is the distance of rows in the workspace.
const workStride = 32

func main() {
	ConstraintExpr("!purego")
	tokens()
	residual("addOneAssembly", 1)
	residual("addTwoAssembly", 2)
	trueMotion16()
	trueMotion8()
	filters()
	upsample()
	convert()
	Generate()
}

func parameter(name string) reg.GPVirtual {
	return Load(Param(name), GP64()).(reg.GPVirtual)
}

// spread makes a constant of n copies of a value of the given size in bytes.
func spread(name string, n, size int, value uint64) Mem {
	m := GLOBL(name, RODATA|NOPTR)
	for i := range n {
		switch size {
		case 1:
			DATA(i, U8(value))
		default:
			DATA(2*i, U16(value))
		}
	}
	return m
}

// residual generates the inverse cosine transform of one block or two blocks side by side.
func residual(name string, blocks int) {
	cosine := spread(name+"Cosine", 8, 2, 20091)
	sine := spread(name+"Sine", 8, 2, 35468)
	four := spread(name+"Four", 8, 2, 4)
	TEXT(name, NOSPLIT, "func(block *int16, w *byte)")
	Pragma("noescape")
	Doc(name + " adds the inverse cosine transform of blocks to 4 rows of samples of the workspace.")
	block, w := parameter("block"), parameter("w")
	var v [4]reg.VecVirtual
	for i := range v {
		v[i] = XMM()
		VMOVQ(Mem{Base: block, Disp: 8 * i}, v[i])
		if blocks == 2 {
			VPINSRQ(Imm(1), Mem{Base: block, Disp: 32 + 8*i}, v[i], v[i])
		}
	}
	v = transpose(butterfly(v, cosine, sine))
	VPADDW(four, v[0], v[0])
	v = butterfly(v, cosine, sine)
	for i := range v {
		VPSRAW(Imm(3), v[i], v[i])
	}
	for y, r := range transpose(v) {
		row := XMM()
		at := Mem{Base: w, Disp: y * workStride}
		if blocks == 1 {
			VMOVD(at, row)
			VPMOVZXBW(row, row)
		} else {
			VPMOVZXBW(at, row)
		}
		VPADDW(r, row, row)
		VPACKUSWB(row, row, row)
		if blocks == 1 {
			VMOVD(row, at)
		} else {
			VMOVQ(row, at)
		}
	}
	RET()
}

func butterfly(v [4]reg.VecVirtual, cosine, sine Mem) (out [4]reg.VecVirtual) {
	for i := range out {
		out[i] = XMM()
	}
	a, b, c, d := XMM(), XMM(), XMM(), XMM()
	VPADDW(v[2], v[0], a)
	VPSUBW(v[2], v[0], b)
	s, t := XMM(), XMM()
	VPMULHW(sine, v[1], s)
	VPMULHW(cosine, v[3], t)
	VPSUBW(t, s, s)
	VPSUBW(v[3], v[1], c)
	VPADDW(s, c, c)
	VPMULHW(cosine, v[1], s)
	VPMULHW(sine, v[3], t)
	VPADDW(t, s, s)
	VPADDW(v[3], v[1], d)
	VPADDW(s, d, d)
	VPADDW(d, a, out[0])
	VPADDW(c, b, out[1])
	VPSUBW(c, b, out[2])
	VPSUBW(d, a, out[3])
	return out
}

// transpose exchanges rows and columns of two 4 × 4 matrices of words.
func transpose(v [4]reg.VecVirtual) (out [4]reg.VecVirtual) {
	var t, u [4]reg.VecVirtual
	for i := range out {
		t[i], u[i], out[i] = XMM(), XMM(), XMM()
	}
	VPUNPCKLWD(v[1], v[0], t[0])
	VPUNPCKLWD(v[3], v[2], t[1])
	VPUNPCKHWD(v[1], v[0], t[2])
	VPUNPCKHWD(v[3], v[2], t[3])
	VPUNPCKLDQ(t[1], t[0], u[0])
	VPUNPCKLDQ(t[3], t[2], u[1])
	VPUNPCKHDQ(t[1], t[0], u[2])
	VPUNPCKHDQ(t[3], t[2], u[3])
	VPUNPCKLQDQ(u[1], u[0], out[0])
	VPUNPCKHQDQ(u[1], u[0], out[1])
	VPUNPCKLQDQ(u[3], u[2], out[2])
	VPUNPCKHQDQ(u[3], u[2], out[3])
	return out
}

// gradient broadcasts the sample to the left of row y less the corner.
func gradient(w, corner reg.GPVirtual, y int, out reg.VecVirtual) {
	left := GP32()
	MOVBLZX(Mem{Base: w, Disp: y*workStride - 1}, left)
	SUBL(corner.As32(), left)
	VMOVD(left, out.AsX())
	VPBROADCASTW(out.AsX(), out)
}

func trueMotion16() {
	TEXT("trueMotion16Assembly", NOSPLIT, "func(w *byte)")
	Pragma("noescape")
	Doc("trueMotion16Assembly predicts 16 × 16 samples of the workspace.")
	w := parameter("w")
	corner := GP64()
	MOVBLZX(Mem{Base: w, Disp: -workStride - 1}, corner.As32())
	above, row, high := YMM(), YMM(), XMM()
	VPMOVZXBW(Mem{Base: w, Disp: -workStride}, above)
	for y := range 16 {
		gradient(w, corner, y, row)
		VPADDW(above, row, row)
		VEXTRACTI128(Imm(1), row, high)
		VPACKUSWB(high, row.AsX(), high)
		VMOVDQU(high, Mem{Base: w, Disp: y * workStride})
	}
	VZEROUPPER()
	RET()
}

func trueMotion8() {
	TEXT("trueMotion8Assembly", NOSPLIT, "func(w *byte)")
	Pragma("noescape")
	Doc("trueMotion8Assembly predicts 8 × 8 samples of the workspace.")
	w := parameter("w")
	corner := GP64()
	MOVBLZX(Mem{Base: w, Disp: -workStride - 1}, corner.As32())
	above, row := XMM(), XMM()
	VPMOVZXBW(Mem{Base: w, Disp: -workStride}, above)
	for y := range 8 {
		gradient(w, corner, y, row)
		VPADDW(above, row, row)
		VPACKUSWB(row, row, row)
		VMOVQ(row, Mem{Base: w, Disp: y * workStride})
	}
	RET()
}
