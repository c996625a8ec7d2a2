package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// elementwise generates the functions on two slices, for whole vectors of 8 values.
// They are bound by memory, so AVX2 serves both levels.
func elementwise() {
	const bytes = 32
	for _, f := range []struct {
		name, doc string
		clamped   bool
		operate   func(dst Mem, v reg.VecVirtual) // v holds the values of src
	}{
		{"max", "dst = max(dst, src)", false, func(dst Mem, v reg.VecVirtual) {
			// The instruction returns dst if either is NaN: a NaN in src is put back.
			larger, nan := YMM(), YMM()
			VMAXPS(dst, v, larger)
			VCMPPS(Imm(3), v, v, nan) // 3: unordered
			VBLENDVPS(nan, v, larger, v)
		}},
		{"add", "dst = clamp(dst + src, low, high)", true, func(dst Mem, v reg.VecVirtual) { VADDPS(dst, v, v) }},
		{"activate", "dst = clamp(src, low, high)", true, func(Mem, reg.VecVirtual) {}},
	} {
		parameters := "dst, src *float32, vectors int"
		if f.clamped {
			parameters += ", low, high float32"
		}
		TEXT(f.name+"Eights", NOSPLIT, "func("+parameters+")")
		Pragma("noescape")
		Doc(fmt.Sprintf("%sEights sets %s for vectors of 8 values.", f.name, f.doc))
		dst, src := parameter("dst"), parameter("src")
		low, high := YMM(), YMM()
		if f.clamped {
			lowAt, _ := Param("low").Resolve()
			highAt, _ := Param("high").Resolve()
			VBROADCASTSS(lowAt.Addr, low)
			VBROADCASTSS(highAt.Addr, high)
		}
		byTwo(parameter("vectors"), func(n int) {
			for i := range n {
				v := YMM()
				VMOVUPS(Mem{Base: src, Disp: i * bytes}, v)
				f.operate(Mem{Base: dst, Disp: i * bytes}, v)
				if f.clamped {
					clamp(v, low, high)
				}
				VMOVUPS(v, Mem{Base: dst, Disp: i * bytes})
			}
			ADDQ(Imm(uint64(n*bytes)), src)
			ADDQ(Imm(uint64(n*bytes)), dst)
		})
	}
}

func parameter(name string) reg.GPVirtual {
	return Load(Param(name), GP64()).(reg.GPVirtual)
}

// byTwo runs body(2) while two vectors are left, then body(1), and returns.
func byTwo(vectors reg.GPVirtual, body func(n int)) {
	SUBQ(Imm(2), vectors)
	JLT(LabelRef("rest"))
	Label("two")
	body(2)
	SUBQ(Imm(2), vectors)
	JGE(LabelRef("two"))
	Label("rest")
	ADDQ(Imm(2), vectors)
	JZ(LabelRef("end"))
	body(1)
	Label("end")
	VZEROUPPER()
	RET()
}

// zeroOutside generates the gradient of an activation.
func zeroOutside() {
	TEXT("zeroOutsideEights", NOSPLIT, "func(dst, src *float32, vectors int, low, high float32)")
	Pragma("noescape")
	Doc("zeroOutsideEights sets dst to 0 where src is not between low and high, for vectors of 8 values.")
	dst, src := parameter("dst"), parameter("src")
	low, high := YMM(), YMM()
	lowAt, _ := Param("low").Resolve()
	highAt, _ := Param("high").Resolve()
	VBROADCASTSS(lowAt.Addr, low)
	VBROADCASTSS(highAt.Addr, high)
	byTwo(parameter("vectors"), func(n int) {
		for i := range n {
			v, above := YMM(), YMM()
			VMOVUPS(Mem{Base: src, Disp: i * 32}, v)
			VCMPPS(Imm(0x1e), low, v, above) // 0x1e: v > low; false for NaN
			VCMPPS(Imm(0x11), high, v, v)    // 0x11: v < high
			VANDPS(above, v, v)
			VANDPS(Mem{Base: dst, Disp: i * 32}, v, v)
			VMOVUPS(v, Mem{Base: dst, Disp: i * 32})
		}
		ADDQ(Imm(uint64(n*32)), src)
		ADDQ(Imm(uint64(n*32)), dst)
	})
}

// fromHalf widens half-precision values.
func fromHalf() {
	TEXT("fromHalfEights", NOSPLIT, "func(dst *float32, src *byte, vectors int)")
	Pragma("noescape")
	Doc("fromHalfEights converts vectors of 8 half-precision values.")
	dst, src := parameter("dst"), parameter("src")
	byTwo(parameter("vectors"), func(n int) {
		for i := range n {
			v := YMM()
			VCVTPH2PS(Mem{Base: src, Disp: i * 16}, v)
			VMOVUPS(v, Mem{Base: dst, Disp: i * 32})
		}
		ADDQ(Imm(uint64(n*16)), src)
		ADDQ(Imm(uint64(n*32)), dst)
	})
}

// pause tells the core that the thread waits in a loop.
func pause() {
	TEXT("pause", NOSPLIT, "func(turns int)")
	Doc("pause executes PAUSE turns times, at least once.")
	turns := parameter("turns")
	Label("again")
	PAUSE()
	DECQ(turns)
	JG(LabelRef("again"))
	RET()
}
