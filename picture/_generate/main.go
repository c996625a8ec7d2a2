// The generator of package picture's assembly for amd64: run `go generate` there.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// precisionBits is the constant of this name in resize.go.
const precisionBits = 22

func main() {
	ConstraintExpr("!purego")
	scalePixel()
	mixRows()
	Generate()
}

func parameter(name string) reg.GPVirtual {
	return Load(Param(name), GP64()).(reg.GPVirtual)
}

// half returns a vector of ½ in fixed point: sums start from it.
func half() reg.VecVirtual {
	r, x, v := GP32(), XMM(), YMM()
	MOVL(U32(1<<(precisionBits-1)), r)
	VMOVD(r, x)
	VPBROADCASTD(x, v)
	return v
}

// scalePixel computes the pixels of two rows, one in each half of a vector.
func scalePixel() {
	TEXT("scaleRowsAVX2", NOSPLIT,
		"func(dst0, dst1, src0, src1 *byte, first, count *int, values *int32, size, pixels int)")
	Pragma("noescape")
	Doc("scaleRowsAVX2 scales two rows across. It reads 4 bytes for each pixel of src and",
		"writes 4 for each of dst.")
	dst0, dst1, src0, src1 := parameter("dst0"), parameter("dst1"), parameter("src0"), parameter("src1")
	first, count, values, size := parameter("first"), parameter("count"), parameter("values"), parameter("size")
	pixels := parameter("pixels")
	start := half()
	Label("pixel")
	at, n := GP64(), GP64()
	MOVQ(Mem{Base: first}, at)
	LEAQ(Mem{Base: at, Index: at, Scale: 2}, at)
	MOVQ(Mem{Base: count}, n)
	sum, even := YMM(), YMM()
	VMOVDQA(start, sum)
	VPXOR(even, even, even)
	k := GP64()
	MOVQ(values, k)
	tap := func(to reg.VecVirtual, bytes int, value int) {
		both, v, weight := XMM(), YMM(), YMM()
		VMOVD(Mem{Base: src0, Index: at, Scale: 1, Disp: bytes}, both)
		VPINSRD(Imm(1), Mem{Base: src1, Index: at, Scale: 1, Disp: bytes}, both, both)
		VPMOVZXBD(both, v)
		VPBROADCASTD(Mem{Base: k, Disp: value}, weight)
		VPMULLD(weight, v, v)
		VPADDD(v, to, to)
	}
	SUBQ(Imm(2), n)
	JLT(LabelRef("rest"))
	Label("two")
	tap(sum, 0, 0)
	tap(even, 3, 4)
	ADDQ(Imm(6), at)
	ADDQ(Imm(8), k)
	SUBQ(Imm(2), n)
	JGE(LabelRef("two"))
	Label("rest")
	ADDQ(Imm(2), n)
	JZ(LabelRef("done"))
	tap(sum, 0, 0)
	Label("done")
	VPADDD(even, sum, sum)
	VPSRAD(Imm(precisionBits), sum, sum)
	VPACKSSDW(sum, sum, sum)
	VPACKUSWB(sum, sum, sum)
	high := XMM()
	VEXTRACTI128(Imm(1), sum, high)
	VMOVD(sum.AsX(), Mem{Base: dst0})
	VMOVD(high, Mem{Base: dst1})
	ADDQ(Imm(3), dst0)
	ADDQ(Imm(3), dst1)
	ADDQ(Imm(8), first)
	ADDQ(Imm(8), count)
	LEAQ(Mem{Base: values, Index: size, Scale: 4}, values)
	DECQ(pixels)
	JNZ(LabelRef("pixel"))
	VZEROUPPER()
	RET()
}

// mixRows computes 32 bytes of a row at a time.
func mixRows() {
	TEXT("mixRowsAVX2", NOSPLIT, "func(dst, rows *byte, stride int, k *int32, count, vectors int)")
	Pragma("noescape")
	Doc("mixRowsAVX2 sets dst to the weighted sum of count rows, for vectors of 32 bytes.")
	dst, rows, stride := parameter("dst"), parameter("rows"), parameter("stride")
	values, count, vectors := parameter("k"), parameter("count"), parameter("vectors")
	start := half()
	Label("vector")
	var sums [4]reg.VecVirtual
	for i := range sums {
		sums[i] = YMM()
		VMOVDQA(start, sums[i])
	}
	row, k, n := GP64(), GP64(), GP64()
	MOVQ(rows, row)
	MOVQ(values, k)
	MOVQ(count, n)
	Label("row")
	weight := YMM()
	VPBROADCASTD(Mem{Base: k}, weight)
	for i := range sums {
		v := YMM()
		VPMOVZXBD(Mem{Base: row, Disp: 8 * i}, v)
		VPMULLD(weight, v, v)
		VPADDD(v, sums[i], sums[i])
	}
	ADDQ(stride, row)
	ADDQ(Imm(4), k)
	DECQ(n)
	JNZ(LabelRef("row"))
	for i := range sums {
		VPSRAD(Imm(precisionBits), sums[i], sums[i])
	}
	VPACKSSDW(sums[1], sums[0], sums[0])
	VPACKSSDW(sums[3], sums[2], sums[2])
	VPERMQ(Imm(0xd8), sums[0], sums[0])
	VPERMQ(Imm(0xd8), sums[2], sums[2])
	VPACKUSWB(sums[2], sums[0], sums[0])
	VPERMQ(Imm(0xd8), sums[0], sums[0])
	VMOVDQU(sums[0], Mem{Base: dst})
	ADDQ(Imm(32), rows)
	ADDQ(Imm(32), dst)
	DECQ(vectors)
	JNZ(LabelRef("vector"))
	VZEROUPPER()
	RET()
}
