// The generator of package inflate's assembly for amd64: run `go generate` there.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("!purego")
	adler()
	Generate()
}

// adler generates the sums of Adler-32 over vectors.
func adler() {
	weights := GLOBL("adlerWeights", RODATA|NOPTR)
	for i := range 32 {
		DATA(i, U8(32-i))
	}
	ones := GLOBL("adlerOnes", RODATA|NOPTR)
	for i := range 16 {
		DATA(2*i, U16(1))
	}
	TEXT("adlerAssembly", NOSPLIT, "func(p *byte, vectors int, sums *[3][8]uint32)")
	Pragma("noescape")
	Doc("adlerAssembly sets sums[0] to the sums of bytes, sums[1] to the sums of sums[0] before each vector,",
		"and sums[2] to the sums of bytes, of which the first in a vector counts 32 times and the last once.")
	p := Load(Param("p"), GP64()).(reg.GPVirtual)
	vectors := Load(Param("vectors"), GP64()).(reg.GPVirtual)
	sums := Load(Param("sums"), GP64()).(reg.GPVirtual)
	zero, w, one := YMM(), YMM(), YMM()
	VPXOR(zero, zero, zero)
	VMOVDQU(weights.Offset(0), w)
	VMOVDQU(ones.Offset(0), one)
	var total [3]reg.VecVirtual
	for i := range total {
		total[i] = YMM()
		VPXOR(total[i], total[i], total[i])
	}
	Label("loop")
	v, s := YMM(), YMM()
	VMOVDQU(Mem{Base: p}, v)
	VPADDD(total[0], total[1], total[1])
	VPSADBW(zero, v, s)
	VPADDD(s, total[0], total[0])
	VPMADDUBSW(w, v, v)
	VPMADDWD(one, v, v)
	VPADDD(v, total[2], total[2])
	ADDQ(Imm(32), p)
	DECQ(vectors)
	JNZ(LabelRef("loop"))
	for i := range total {
		VMOVDQU(total[i], Mem{Base: sums, Disp: 32 * i})
	}
	VZEROUPPER()
	RET()
}
