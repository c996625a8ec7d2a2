// The generator of package png's assembly for amd64: run `go generate` there.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("!purego")
	up()
	for _, bpp := range []int{3, 4} {
		sub(bpp)
		average(bpp)
		paeth(bpp)
	}
	Generate()
}

func parameter(name string) reg.GPVirtual {
	return Load(Param(name), GP64()).(reg.GPVirtual)
}

func zero() reg.VecVirtual {
	v := XMM()
	VPXOR(v, v, v)
	return v
}

// up generates the filter that adds the row above.
func up() {
	TEXT("upAssembly", NOSPLIT, "func(out, data, above *byte, vectors int)")
	Pragma("noescape")
	Doc("upAssembly unfilters vectors of 32 bytes with filter Up.")
	out, data, above, vectors := parameter("out"), parameter("data"), parameter("above"), parameter("vectors")
	Label("loop")
	v := YMM()
	VMOVDQU(Mem{Base: data}, v)
	VPADDB(Mem{Base: above}, v, v)
	VMOVDQU(v, Mem{Base: out})
	for _, p := range []reg.GPVirtual{out, data, above} {
		ADDQ(Imm(32), p)
	}
	DECQ(vectors)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// name returns the name of the function for a number of bytes per pixel.
func name(filter string, bpp int) string { return filter + string(rune('0'+bpp)) + "Assembly" }

// loop generates a loop over pixels, of which each step loads and stores 4 bytes.
func loop(bpp int, pixels reg.GPVirtual, pointers []reg.GPVirtual, step func()) {
	Label("loop")
	step()
	for _, p := range pointers {
		ADDQ(Imm(uint64(bpp)), p)
	}
	DECQ(pixels)
	JNZ(LabelRef("loop"))
	RET()
}

func sub(bpp int) {
	TEXT(name("sub", bpp), NOSPLIT, "func(out, data *byte, pixels int)")
	Pragma("noescape")
	Doc(name("sub", bpp) + " unfilters pixels with filter Sub.")
	out, data, pixels := parameter("out"), parameter("data"), parameter("pixels")
	left := zero()
	loop(bpp, pixels, []reg.GPVirtual{out, data}, func() {
		v := XMM()
		VMOVD(Mem{Base: data}, v)
		VPADDB(v, left, left)
		VMOVD(left, Mem{Base: out})
	})
}

func average(bpp int) {
	TEXT(name("average", bpp), NOSPLIT, "func(out, data, above *byte, pixels int)")
	Pragma("noescape")
	Doc(name("average", bpp) + " unfilters pixels with filter Average.")
	out, data, above, pixels := parameter("out"), parameter("data"), parameter("above"), parameter("pixels")
	left, ones := zero(), XMM()
	VPCMPEQB(ones, ones, ones)
	VPSUBB(ones, left, ones) // 0 − −1
	loop(bpp, pixels, []reg.GPVirtual{out, data, above}, func() {
		// VPAVGB rounds up: take 1 away where the sum is odd.
		v, b, odd, mean := XMM(), XMM(), XMM(), XMM()
		VMOVD(Mem{Base: data}, v)
		VMOVD(Mem{Base: above}, b)
		VPXOR(left, b, odd)
		VPAVGB(left, b, mean)
		VPAND(ones, odd, odd)
		VPSUBB(odd, v, v)
		VPADDB(mean, v, left)
		VMOVD(left, Mem{Base: out})
	})
}

func paeth(bpp int) {
	TEXT(name("paeth", bpp), NOSPLIT, "func(out, data, above *byte, pixels int)")
	Pragma("noescape")
	Doc(name("paeth", bpp) + " unfilters pixels with filter Paeth.")
	out, data, above, pixels := parameter("out"), parameter("data"), parameter("above"), parameter("pixels")
	// Samples are widened to 16 bits.
	left, aboveLeft, low := zero(), zero(), XMM()
	VPCMPEQW(low, low, low)
	VPSRLW(Imm(8), low, low)
	loop(bpp, pixels, []reg.GPVirtual{out, data, above}, func() {
		v, b, a := XMM(), XMM(), XMM()
		VPMOVZXBW(Mem{Base: above}, b)
		VPMOVZXBW(Mem{Base: data}, v)
		dLeft, dAbove, dBoth := XMM(), XMM(), XMM()
		VPSUBW(aboveLeft, b, dLeft) // distance of left, with its sign
		VPSUBW(aboveLeft, left, dAbove)
		VPADDW(dLeft, dAbove, dBoth)
		VPABSW(dLeft, dLeft)
		VPABSW(dAbove, dAbove)
		VPABSW(dBoth, dBoth)
		least, other := XMM(), XMM()
		VPMINSW(dAbove, dBoth, other)
		VPMINSW(dLeft, other, least)
		VPCMPEQW(dAbove, other, other) // above rather than aboveLeft
		VPBLENDVB(other, b, aboveLeft, a)
		VPCMPEQW(dLeft, least, least)
		VPBLENDVB(least, left, a, a)
		VPADDW(v, a, a)
		VPAND(low, a, left)
		VMOVDQA(b, aboveLeft)
		packed := XMM()
		VPACKUSWB(left, left, packed)
		VMOVD(packed, Mem{Base: out})
	})
}
