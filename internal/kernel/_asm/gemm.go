package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Offsets into gemmTile (gemm_amd64.go), in bytes.
const (
	tileDst = 8 * iota
	tileA
	tileB
	tileBias
	tileResidual
	tileDstStride
	tileAStride
	tileSegments
	tileSegmentLen
	tileSegmentStep
	tileResidualStride
	tileMask // 0: the last vector is full
	tileLow
	tileHigh = tileLow + 4
)

// gemmUnroll is the number of products in a turn of the inner loop.
const gemmUnroll = 4

// gemm computes a tile of rows × vectors: it stays in registers over the whole
// sum, so each product costs one load of A for all columns of the tile.
func gemm(s isa, rows, vectors int) {
	a := begin(fmt.Sprintf("gemm%dx%d%s", rows, vectors, s.name),
		fmt.Sprintf("gemm%dx%d%s computes a gemmTile of %d rows and %d vectors.", rows, vectors, s.name, rows, vectors))
	stride := a.load(tileAStride)
	var stride3 reg.GPVirtual
	if rows > 3 {
		stride3 = triple(stride)
	}
	left := newLines(a.load(tileA), rows, stride, stride3)
	b := a.load(tileB)
	sums := make([][]reg.VecVirtual, rows)
	for i := range sums {
		for range vectors {
			v := s.vector()
			s.zeros(v)
			sums[i] = append(sums[i], v)
		}
	}
	right := make([]reg.VecVirtual, vectors)
	for v := range right {
		right[v] = s.vector()
	}
	value := s.vector()

	step := func(u int) {
		for v := range right {
			VMOVUPS(Mem{Base: b, Disp: (u*vectors + v) * s.bytes}, right[v])
		}
		for i := range sums {
			if vectors == 1 && s.wide {
				VFMADD231PS_BCST(left.at(i, 4*u), right[0], sums[i][0])
				continue
			}
			VBROADCASTSS(left.at(i, 4*u), value)
			for v := range right {
				VFMADD231PS(right[v], value, sums[i][v])
			}
		}
	}
	segments := a.load(tileSegments)
	Label("segment")
	k := a.load(tileSegmentLen)
	SUBQ(Imm(gemmUnroll), k)
	JLT(LabelRef("rest"))
	Label("unrolled")
	for u := range gemmUnroll {
		step(u)
	}
	left.move(Imm(4 * gemmUnroll))
	ADDQ(U32(gemmUnroll*vectors*s.bytes), b)
	SUBQ(Imm(gemmUnroll), k)
	JGE(LabelRef("unrolled"))
	Label("rest")
	ADDQ(Imm(gemmUnroll), k)
	JZ(LabelRef("next"))
	Label("single")
	step(0)
	left.move(Imm(4))
	ADDQ(U32(vectors*s.bytes), b)
	DECQ(k)
	JNZ(LabelRef("single"))
	Label("next")
	DECQ(segments)
	JZ(LabelRef("epilogue"))
	left.move(a.load(tileSegmentStep))
	JMP(LabelRef("segment"))

	epilogue := func(label string, part *mask) {
		of := func(v int) *mask {
			if v == vectors-1 {
				return part
			}
			return nil
		}
		bias := a.load(tileBias)
		TESTQ(bias, bias)
		JZ(LabelRef(label + "NoBias"))
		for v := range right {
			s.read(Mem{Base: bias, Disp: v * s.bytes}, right[v], of(v))
			for i := range sums {
				VADDPS(right[v], sums[i][v], sums[i][v])
			}
		}
		Label(label + "NoBias")
		residual := a.load(tileResidual)
		TESTQ(residual, residual)
		JZ(LabelRef(label + "NoResidual"))
		residualStride := a.load(tileResidualStride)
		for i := range sums {
			for v := range right {
				s.read(Mem{Base: residual, Disp: v * s.bytes}, value, of(v))
				VADDPS(value, sums[i][v], sums[i][v])
			}
			ADDQ(residualStride, residual)
		}
		Label(label + "NoResidual")
		dst, dstStride := a.load(tileDst), a.load(tileDstStride)
		low, high := right[0], value
		VBROADCASTSS(a.at(tileLow), low)
		VBROADCASTSS(a.at(tileHigh), high)
		for i := range sums {
			for v := range right {
				clamp(sums[i][v], low, high)
				s.write(sums[i][v], Mem{Base: dst, Disp: v * s.bytes}, of(v))
			}
			ADDQ(dstStride, dst)
		}
		VZEROUPPER()
		RET()
	}
	Label("epilogue")
	CMPQ(a.at(tileMask), Imm(0))
	JNE(LabelRef("partial"))
	epilogue("full", nil)
	Label("partial")
	part := s.loadMask(a.at(tileMask))
	epilogue("part", &part)
}
