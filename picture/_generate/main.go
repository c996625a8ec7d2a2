// The generator of package picture's assembly for amd64: run `go generate` there.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// precisionBits and halfBits are the constants of these names in package picture.
const (
	precisionBits = 22
	halfBits      = 11
)

func main() {
	ConstraintExpr("!purego")
	scaleRows()
	mixRows()
	normalize()
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

// scaleRows computes eight values of two rows at once, a pair of weights at a time. Each half of a vector
// has bytes from one place of a row. A weight is split into words, which are multiplied separately.
func scaleRows() {
	TEXT("scaleRowsAssembly", NOSPLIT,
		"func(dst0, dst1, src0, src1 *byte, places *int, order *byte, halves *int16, pairs, step, vectors int)")
	Pragma("noescape")
	Doc("scaleRowsAssembly scales two rows across, as the fields of lanes say. It reads 16 bytes for each pair of",
		"weights and writes 4 for each half of a vector.")
	dst0, dst1, src0, src1 := parameter("dst0"), parameter("dst1"), parameter("src0"), parameter("src1")
	places, orders, halves := parameter("places"), parameter("order"), parameter("halves")
	step, vectors := parameter("step"), parameter("vectors")
	start := half()
	Label("vector")
	first, second, n := GP64(), GP64(), GP64()
	MOVQ(Mem{Base: places}, first)
	MOVQ(Mem{Base: places, Disp: 8}, second)
	Load(Param("pairs"), n)
	order := YMM()
	VMOVDQU(Mem{Base: orders}, order)
	rows := [2]reg.GPVirtual{src0, src1}
	var low, high [2]reg.VecVirtual
	for i := range rows {
		low[i], high[i] = YMM(), YMM()
		VMOVDQA(start, low[i])
		VPXOR(high[i], high[i], high[i])
	}
	Label("pair")
	lowWeights, highWeights := YMM(), YMM()
	VMOVDQU(Mem{Base: halves}, lowWeights)
	VMOVDQU(Mem{Base: halves, Disp: 32}, highWeights)
	for i, src := range rows {
		v, product := YMM(), YMM()
		VMOVDQU(Mem{Base: src, Index: first, Scale: 1}, v.AsX())
		VINSERTI128(Imm(1), Mem{Base: src, Index: second, Scale: 1}, v, v)
		VPSHUFB(order, v, v)
		VPMADDWD(lowWeights, v, product)
		VPADDD(product, low[i], low[i])
		VPMADDWD(highWeights, v, v)
		VPADDD(v, high[i], high[i])
	}
	ADDQ(Imm(6), first)
	ADDQ(Imm(6), second)
	ADDQ(Imm(64), halves)
	DECQ(n)
	JNZ(LabelRef("pair"))
	for i := range rows {
		VPSLLD(Imm(halfBits), high[i], high[i])
		VPADDD(high[i], low[i], low[i])
		VPSRAD(Imm(precisionBits), low[i], low[i])
	}
	v, rest := low[0], XMM()
	VPACKSSDW(low[1], v, v)
	VPACKUSWB(v, v, v)
	VEXTRACTI128(Imm(1), v, rest)
	VMOVD(v.AsX(), Mem{Base: dst0})
	VPEXTRD(Imm(1), v.AsX(), Mem{Base: dst1})
	VMOVD(rest, Mem{Base: dst0, Index: step, Scale: 1})
	VPEXTRD(Imm(1), rest, Mem{Base: dst1, Index: step, Scale: 1})
	LEAQ(Mem{Base: dst0, Index: step, Scale: 2}, dst0)
	LEAQ(Mem{Base: dst1, Index: step, Scale: 2}, dst1)
	ADDQ(Imm(16), places)
	ADDQ(Imm(32), orders)
	DECQ(vectors)
	JNZ(LabelRef("vector"))
	VZEROUPPER()
	RET()
}

// mixRows computes 32 bytes of a row at a time.
func mixRows() {
	TEXT("mixRowsAssembly", NOSPLIT, "func(dst, rows *byte, stride int, k *int32, count, vectors int)")
	Pragma("noescape")
	Doc("mixRowsAssembly sets dst to the weighted sum of count rows, for vectors of 32 bytes.")
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

// normalize computes 8 pixels at a time, of which each vector has 8 values.
func normalize() {
	TEXT("normalizeAssembly", NOSPLIT, "func(dst *float32, src *byte, mean, std *[24]float32, groups int)")
	Pragma("noescape")
	Doc("normalizeAssembly sets dst[i] = (src[i] − mean[i mod 24]) / std[i mod 24] for groups of 24 values.")
	dst, src, mean, std := parameter("dst"), parameter("src"), parameter("mean"), parameter("std")
	groups := parameter("groups")
	var means, stds [3]reg.VecVirtual
	for i := range means {
		means[i], stds[i] = YMM(), YMM()
		VMOVUPS(Mem{Base: mean, Disp: 32 * i}, means[i])
		VMOVUPS(Mem{Base: std, Disp: 32 * i}, stds[i])
	}
	Label("group")
	for i := range means {
		v := YMM()
		VPMOVZXBD(Mem{Base: src, Disp: 8 * i}, v)
		VCVTDQ2PS(v, v)
		VSUBPS(means[i], v, v)
		VDIVPS(stds[i], v, v)
		VMOVUPS(v, Mem{Base: dst, Disp: 32 * i})
	}
	ADDQ(Imm(24), src)
	ADDQ(Imm(96), dst)
	DECQ(groups)
	JNZ(LabelRef("group"))
	VZEROUPPER()
	RET()
}
