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
	scalePixel()
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

// scalePixel computes the pixels of two rows, four weights at a time. A weight is split into words,
// which are multiplied separately.
func scalePixel() {
	shuffle := GLOBL("scaleShuffle", RODATA|NOPTR)
	// Four pixels become pairs of words: two pixels' red, the others' red, green, green; blue, blue.
	for i := range 32 {
		pixel, colour := i/2%4, i/8
		from := uint8(3*pixel + colour)
		if i%2 == 1 || colour == 3 {
			from = 0x80 // nothing
		}
		DATA(i, U8(from))
	}
	TEXT("scaleRowsAVX2", NOSPLIT,
		"func(dst0, dst1, src0, src1 *byte, first, count *int, halves *int16, size, pixels int)")
	Pragma("noescape")
	Doc("scaleRowsAVX2 scales two rows across. It reads 16 bytes for each four weights of a pixel and",
		"writes 4 for each pixel. Each pixel has size bytes of halves.")
	dst0, dst1, src0, src1 := parameter("dst0"), parameter("dst1"), parameter("src0"), parameter("src1")
	first, count, halves, size := parameter("first"), parameter("count"), parameter("halves"), parameter("size")
	pixels := parameter("pixels")
	order := YMM()
	VMOVDQU(shuffle, order)
	start := half()
	VPSRLQ(Imm(32), start, start) // each colour has the sum of two values
	VPSLLDQ(Imm(4), start, start)
	Label("pixel")
	at, n := GP64(), GP64()
	MOVQ(Mem{Base: first}, at)
	LEAQ(Mem{Base: at, Index: at, Scale: 2}, at)
	MOVQ(Mem{Base: count}, n)
	rows := [2]reg.GPVirtual{src0, src1}
	var low, high [2]reg.VecVirtual
	for i := range rows {
		low[i], high[i] = YMM(), YMM()
		VMOVDQA(start, low[i])
		VPXOR(high[i], high[i], high[i])
	}
	k := GP64()
	MOVQ(halves, k)
	Label("four")
	lowWeights, highWeights := YMM(), YMM()
	VPBROADCASTQ(Mem{Base: k}, lowWeights)
	VPBROADCASTQ(Mem{Base: k, Disp: 8}, highWeights)
	for i, src := range rows {
		v, product := YMM(), YMM()
		VBROADCASTI128(Mem{Base: src, Index: at, Scale: 1}, v)
		VPSHUFB(order, v, v)
		VPMADDWD(lowWeights, v, product)
		VPADDD(product, low[i], low[i])
		VPMADDWD(highWeights, v, v)
		VPADDD(v, high[i], high[i])
	}
	ADDQ(Imm(12), at)
	ADDQ(Imm(16), k)
	SUBQ(Imm(4), n)
	JG(LabelRef("four"))
	for i := range rows {
		VPSLLD(Imm(halfBits), high[i], high[i])
		VPADDD(high[i], low[i], low[i])
	}
	sum := low[0]
	VPHADDD(low[1], sum, sum)
	VPSRAD(Imm(precisionBits), sum, sum)
	VPACKSSDW(sum, sum, sum)
	VPACKUSWB(sum, sum, sum)
	blue := XMM()
	VEXTRACTI128(Imm(1), sum, blue)
	VPUNPCKLWD(blue, sum.AsX(), blue)
	VMOVD(blue, Mem{Base: dst0})
	VPEXTRD(Imm(1), blue, Mem{Base: dst1})
	ADDQ(Imm(3), dst0)
	ADDQ(Imm(3), dst1)
	ADDQ(Imm(8), first)
	ADDQ(Imm(8), count)
	ADDQ(size, halves)
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

// normalize computes 8 pixels at a time, of which each vector has 8 values.
func normalize() {
	TEXT("normalizeAVX2", NOSPLIT, "func(dst *float32, src *byte, mean, std *[24]float32, groups int)")
	Pragma("noescape")
	Doc("normalizeAVX2 sets dst[i] = (src[i] − mean[i mod 24]) / std[i mod 24] for groups of 24 values.")
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
