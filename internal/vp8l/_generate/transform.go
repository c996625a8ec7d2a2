package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// constant makes 32 bytes of copies of a 32-bit value.
func constant(name string, v uint32) Mem {
	m := GLOBL(name, RODATA|NOPTR)
	for i := range 8 {
		DATA(4*i, U32(v))
	}
	return m
}

// pixels gives the prediction's inputs: the pixels to the left, above and to the left, above, and above
// and to the right.
type pixels struct {
	left  reg.VecVirtual
	above func(i int) reg.VecVirtual
}

func (p pixels) corner() reg.VecVirtual { return p.above(0) }
func (p pixels) top() reg.VecVirtual    { return p.above(1) }
func (p pixels) right() reg.VecVirtual  { return p.above(2) }

// predictor generates the addition of predictions to n pixels.
type predictor struct {
	name, doc string
	serial    bool // predictions depend on the pixel to the left
	predict   func(p pixels) reg.VecVirtual
}

var ones Mem

func predictors() {
	ones = constant("ones", 0x01010101)
	for _, p := range []predictor{
		{"Left", "the pixel to the left", true, func(p pixels) reg.VecVirtual { return p.left }},
		{"Above", "the pixel above", false, pixels.top},
		{"AboveRight", "the pixel above and to the right", false, pixels.right},
		{"AboveLeft", "the pixel above and to the left", false, pixels.corner},
		{"5", "mode 5", true, func(p pixels) reg.VecVirtual { return average(average(p.left, p.right()), p.top()) }},
		{"6", "mode 6", true, func(p pixels) reg.VecVirtual { return average(p.left, p.corner()) }},
		{"7", "mode 7", true, func(p pixels) reg.VecVirtual { return average(p.left, p.top()) }},
		{"8", "mode 8", false, func(p pixels) reg.VecVirtual { return average(p.corner(), p.top()) }},
		{"9", "mode 9", false, func(p pixels) reg.VecVirtual { return average(p.top(), p.right()) }},
		{"10", "mode 10", true, func(p pixels) reg.VecVirtual {
			return average(average(p.top(), p.right()), average(p.left, p.corner()))
		}},
		{"11", "mode 11", true, choose},
		{"12", "mode 12", true, clampedSum},
		{"13", "mode 13", true, clampedHalf},
	} {
		p.generate()
	}
}

func (p predictor) generate() {
	name := "predict" + p.name + "Assembly"
	TEXT(name, NOSPLIT, "func(out, in, above *uint32, n int)")
	Pragma("noescape")
	Doc(name+" adds predictions to n pixels: "+p.doc+". out begins with the pixel before the first; above is",
		"the address of the pixel above that.")
	out, in, above, n := parameter("out"), parameter("in"), parameter("above"), parameter("n")
	advance := func(pixels int) {
		for _, r := range []reg.GPVirtual{out, in, above} {
			ADDQ(Imm(uint64(4*pixels)), r)
		}
	}
	if p.serial {
		left := XMM()
		VMOVD(Mem{Base: out}, left)
		Label("pixel")
		v := p.predict(pixels{left, single(above)})
		residual := single(in)(1)
		VPADDB(residual, v, left)
		VMOVD(left, Mem{Base: out, Disp: 4})
		advance(1)
		DECQ(n)
		JNZ(LabelRef("pixel"))
		RET()
		return
	}
	Label("vector")
	CMPQ(n, Imm(8))
	JLT(LabelRef("tail"))
	v := p.predict(pixels{nil, func(i int) reg.VecVirtual {
		v := YMM()
		VMOVDQU(Mem{Base: above, Disp: 4 * i}, v)
		return v
	}})
	VPADDB(Mem{Base: in, Disp: 4}, v, v)
	VMOVDQU(v, Mem{Base: out, Disp: 4})
	advance(8)
	SUBQ(Imm(8), n)
	JMP(LabelRef("vector"))
	Label("tail")
	TESTQ(n, n)
	JEQ(LabelRef("done"))
	v = p.predict(pixels{nil, single(above)})
	residual := single(in)(1)
	VPADDB(residual, v, v)
	VMOVD(v, Mem{Base: out, Disp: 4})
	advance(1)
	DECQ(n)
	JMP(LabelRef("tail"))
	Label("done")
	VZEROUPPER()
	RET()
}

// single returns a function that loads one pixel.
func single(from reg.GPVirtual) func(i int) reg.VecVirtual {
	return func(i int) reg.VecVirtual {
		v := XMM()
		VMOVD(Mem{Base: from, Disp: 4 * i}, v)
		return v
	}
}

// like returns a register of the size of v.
func like(v reg.VecVirtual) reg.VecVirtual {
	if v.Size() == 32 {
		return YMM()
	}
	return XMM()
}

// average averages bytes, rounding down.
func average(a, b reg.VecVirtual) reg.VecVirtual {
	v, odd := like(a), like(a)
	VPXOR(a, b, odd)
	VPAND(ones, odd, odd)
	VPAVGB(a, b, v)
	VPSUBB(odd, v, v)
	return v
}

func choose(p pixels) reg.VecVirtual {
	l, tl, t := p.left, p.corner(), p.top()
	horizontal, vertical, v := XMM(), XMM(), XMM()
	VPSADBW(tl, l, horizontal)
	VPSADBW(tl, t, vertical)
	VPCMPGTD(vertical, horizontal, horizontal)
	VPBLENDVB(horizontal, l, t, v)
	return v
}

func words(v reg.VecVirtual) reg.VecVirtual {
	w := XMM()
	VPMOVZXBW(v, w)
	return w
}

func clampedSum(p pixels) reg.VecVirtual {
	v := words(p.top())
	VPSUBW(words(p.corner()), v, v)
	VPADDW(words(p.left), v, v)
	VPACKUSWB(v, v, v)
	return v
}

func clampedHalf(p pixels) reg.VecVirtual {
	a := words(average(p.left, p.top()))
	d, sign := XMM(), XMM()
	VPSUBW(words(p.corner()), a, d)
	VPSRLW(Imm(15), d, sign)
	VPADDW(sign, d, d)
	VPSRAW(Imm(1), d, d)
	VPADDW(d, a, a)
	VPACKUSWB(a, a, a)
	return a
}

// addColour generates the colour transform.
func addColour() {
	odd := constant("oddBytes", 0xff00ff00)
	TEXT("addColourAssembly", NOSPLIT, "func(out, in *uint32, vectors int, green, red uint32)")
	Pragma("noescape")
	Doc("addColourAssembly is addColourGeneric for vectors of 8 pixels. The factors are 8 times as large, those of",
		"green in words for blue and for red, that of red in the upper word.")
	out, in, vectors := parameter("out"), parameter("in"), parameter("vectors")
	broadcast := func(name string) reg.VecVirtual {
		v := YMM()
		VMOVD(Load(Param(name), GP32()), v.AsX())
		VPBROADCASTD(v.AsX(), v)
		return v
	}
	greenFactors, redFactor := broadcast("green"), broadcast("red")
	Label("loop")
	pixels, fixed, v := YMM(), YMM(), YMM()
	VMOVDQU(Mem{Base: in}, pixels)
	VPAND(odd, pixels, fixed)
	// Green, times 256, in both words.
	VPSHUFLW(Imm(0b10100000), fixed, v)
	VPSHUFHW(Imm(0b10100000), v, v)
	VPMULHW(greenFactors, v, v)
	VPADDB(pixels, v, v)
	VPSLLW(Imm(8), v, v)
	product := YMM()
	VPMULHW(redFactor, v, product)
	VPSRLD(Imm(8), product, product)
	VPADDB(product, v, v)
	VPSRLW(Imm(8), v, v)
	VPOR(fixed, v, v)
	VMOVDQU(v, Mem{Base: out})
	ADDQ(Imm(32), in)
	ADDQ(Imm(32), out)
	DECQ(vectors)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// shuffle makes a table of indexes of bytes, for each half of a vector.
func shuffle(name string, indexes [16]uint8) Mem {
	m := GLOBL(name, RODATA|NOPTR)
	for i := range 32 {
		DATA(i, U8(indexes[i%16]))
	}
	return m
}

func addGreen() {
	const none = 0x80
	toBoth := shuffle("greenToBoth", [16]uint8{1, none, 1, none, 5, none, 5, none, 9, none, 9, none, 13, none, 13, none})
	TEXT("addGreenAssembly", NOSPLIT, "func(out, in *uint32, vectors int)")
	Pragma("noescape")
	Doc("addGreenAssembly is addGreenGeneric for vectors of 8 pixels.")
	out, in, vectors := parameter("out"), parameter("in"), parameter("vectors")
	Label("loop")
	pixels, v := YMM(), YMM()
	VMOVDQU(Mem{Base: in}, pixels)
	VPSHUFB(toBoth, pixels, v)
	VPADDB(pixels, v, v)
	VMOVDQU(v, Mem{Base: out})
	ADDQ(Imm(32), in)
	ADDQ(Imm(32), out)
	DECQ(vectors)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

func pack() {
	const none = 0x80
	order := shuffle("packOrder", [16]uint8{2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, none, none, none, none})
	TEXT("packAssembly", NOSPLIT, "func(out *byte, in *uint32, vectors int)")
	Pragma("noescape")
	Doc("packAssembly is packGeneric for vectors of 4 pixels. It writes 4 bytes more.")
	out, in, vectors := parameter("out"), parameter("in"), parameter("vectors")
	Label("loop")
	v := XMM()
	VMOVDQU(Mem{Base: in}, v)
	VPSHUFB(order, v, v)
	VMOVDQU(v, Mem{Base: out})
	ADDQ(Imm(16), in)
	ADDQ(Imm(12), out)
	DECQ(vectors)
	JNZ(LabelRef("loop"))
	RET()
}
