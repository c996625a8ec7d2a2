// The generator of package webp's assembly for amd64: run `go generate` there.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("!purego")
	blend()
	Generate()
}

func words(name string, v uint16) Mem {
	m := GLOBL(name, RODATA|NOPTR)
	for i := range 16 {
		DATA(2*i, U16(v))
	}
	return m
}

// blend generates blending over white: (255·255 − alpha·(255 − level) + 127) / 255.
func blend() {
	white := words("white", 255)
	most := words("most", 255*255+127)
	reciprocal := words("reciprocal", 0x8081) // of 255, times 2²³
	order := GLOBL("alphaOrder", RODATA|NOPTR)
	for i := range 48 {
		DATA(i, U8(i/3))
	}
	TEXT("blendAssembly", NOSPLIT, "func(out, alpha *byte, vectors int)")
	Pragma("noescape")
	Doc("blendAssembly is blendGeneric for vectors of 16 pixels.")
	load := func(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }
	out, alpha, vectors := load("out"), load("alpha"), load("vectors")
	Label("loop")
	for part := range 3 {
		a, bytes, level, high := YMM(), XMM(), YMM(), XMM()
		VMOVDQU(Mem{Base: alpha}, bytes)
		VPSHUFB(order.Offset(16*part), bytes, bytes)
		VPMOVZXBW(bytes, a)
		VPMOVZXBW(Mem{Base: out, Disp: 16 * part}, level)
		VPXOR(white, level, level) // 255 − level
		VPMULLW(a, level, level)
		VMOVDQU(most, a)
		VPSUBW(level, a, level)
		VPMULHUW(reciprocal, level, level)
		VPSRLW(Imm(7), level, level)
		VEXTRACTI128(Imm(1), level, high)
		VPACKUSWB(high, level.AsX(), bytes)
		VMOVDQU(bytes, Mem{Base: out, Disp: 16 * part})
	}
	ADDQ(Imm(48), out)
	ADDQ(Imm(16), alpha)
	DECQ(vectors)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
