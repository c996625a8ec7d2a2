package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func upsample() {
	eight := spread("wordEight", 16, 2, 8)
	TEXT("upsampleAssembly", NOSPLIT, "func(to, near, far *byte, vectors int)")
	Pragma("noescape")
	Doc("upsampleAssembly writes the two samples between each sample and the next, for vectors of 16.")
	to, near, far, vectors := parameter("to"), parameter("near"), parameter("far"), parameter("vectors")
	Label("loop")
	a, b, c, d := YMM(), YMM(), YMM(), YMM()
	VPMOVZXBW(Mem{Base: near}, a)
	VPMOVZXBW(Mem{Base: near, Disp: 1}, b)
	VPMOVZXBW(Mem{Base: far}, c)
	VPMOVZXBW(Mem{Base: far, Disp: 1}, d)
	rising, falling, sum := YMM(), YMM(), YMM()
	VPADDW(b, c, rising)
	VPADDW(a, d, falling)
	VPADDW(rising, falling, sum)
	VPADDW(eight, sum, sum)
	for _, v := range []reg.VecVirtual{rising, falling} {
		VPADDW(v, v, v)
		VPADDW(sum, v, v)
		VPSRLW(Imm(3), v, v)
	}
	VPADDW(a, rising, rising)
	VPSRLW(Imm(1), rising, rising)
	VPADDW(b, falling, falling)
	VPSRLW(Imm(1), falling, falling)
	VPSLLW(Imm(8), falling, falling)
	VPOR(rising, falling, rising)
	VMOVDQU(rising, Mem{Base: to})
	ADDQ(Imm(16), near)
	ADDQ(Imm(16), far)
	ADDQ(Imm(32), to)
	DECQ(vectors)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

func convert() {
	factor := func(name string, v uint64) Mem { return spread(name, 16, 2, v) }
	luma, redV := factor("factorLuma", 19077), factor("factorRedV", 26149)
	greenU, greenV := factor("factorGreenU", 6419), factor("factorGreenV", 13320)
	blueU := factor("factorBlueU", 33050)
	redBias, greenBias, blueBias := factor("biasRed", 14234), factor("biasGreen", 8708), factor("biasBlue", 17685)
	shuffles := GLOBL("pixelShuffles", RODATA|NOPTR)
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
	TEXT("convertAssembly", NOSPLIT, "func(out, luma, u, v *byte, vectors int)")
	Pragma("noescape")
	Doc("convertAssembly turns vectors of 16 pixels into RGB.")
	out, lumaAt, uAt, vAt := parameter("out"), parameter("luma"), parameter("u"), parameter("v")
	vectors := parameter("vectors")
	Label("loop")
	load := func(from reg.GPVirtual) reg.VecVirtual {
		v := YMM()
		VPMOVZXBW(Mem{Base: from}, v)
		VPSLLW(Imm(8), v, v)
		return v
	}
	product := func(v reg.VecVirtual, factor Mem) reg.VecVirtual {
		p := YMM()
		VPMULHUW(factor, v, p)
		return p
	}
	l, u, v := load(lumaAt), load(uAt), load(vAt)
	l = product(l, luma)
	red, green, blue := product(v, redV), product(v, greenV), product(u, blueU)
	VPSUBW(redBias, red, red)
	VPADDW(l, red, red)
	VPSRAW(Imm(6), red, red)
	VPADDW(product(u, greenU), green, green)
	VPSUBW(green, l, green)
	VPADDW(greenBias, green, green)
	VPSRAW(Imm(6), green, green)
	VPADDUSW(l, blue, blue)
	VPSUBUSW(blueBias, blue, blue)
	VPSRLW(Imm(6), blue, blue)
	colours := [3]reg.VecVirtual{red, green, blue}
	for i, c := range colours {
		high := XMM()
		VEXTRACTI128(Imm(1), c, high)
		colours[i] = XMM()
		VPACKUSWB(high, c.AsX(), colours[i])
	}
	for part := range 3 {
		var sum reg.VecVirtual
		for i, c := range colours {
			t := XMM()
			VPSHUFB(shuffles.Offset(16*(3*part+i)), c, t)
			if i == 0 {
				sum = t
			} else {
				VPOR(t, sum, sum)
			}
		}
		VMOVDQU(sum, Mem{Base: out, Disp: 16 * part})
	}
	ADDQ(Imm(16), lumaAt)
	ADDQ(Imm(16), uAt)
	ADDQ(Imm(16), vAt)
	ADDQ(Imm(48), out)
	DECQ(vectors)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
