package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Offsets into gemmTile (gemm_vector.go), in bytes.
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
	tileNext
	tileMask // 0: the last vector is full
	tileLow
	tileHigh = tileLow + 4
)

const (
	// gemmUnroll is the number of products in a turn of the inner loop.
	gemmUnroll = 4
	// gemmFetchRows is the least number of a tile's rows for which what comes after is
	// fetched: with fewer, the sums wait for B in any case, which is read front to back.
	gemmFetchRows = 4
	cacheLine     = 64
)

func gemmName(s isa, rows, eights int) string {
	return fmt.Sprintf("gemm%dx%d%s", rows, 8*eights, s.name)
}

// gemm computes a tile of rows × eights·8 columns: it stays in registers over the
// whole sum, so each product costs one load of A for all columns of the tile.
func gemm(s isa, rows, eights int) {
	name := gemmName(s, rows, eights)
	a := begin(name, fmt.Sprintf("%s computes a gemmTile of %d rows and up to %d columns.", name, rows, 8*eights))
	stride := a.load(tileAStride)
	var stride3 reg.GPVirtual
	if rows > 3 {
		stride3 = triple(stride)
	}
	left := newLines(a.load(tileA), rows, stride, stride3)
	b := a.load(tileB)
	fetches := rows >= gemmFetchRows
	var next reg.GPVirtual
	if fetches {
		next = a.load(tileNext)
	}
	kinds := s.split(eights)
	vectors := len(kinds)
	newRow := func() []reg.VecVirtual {
		row := make([]reg.VecVirtual, vectors)
		for v := range row {
			row[v] = kinds[v].vector()
		}
		return row
	}
	sums := make([][]reg.VecVirtual, rows)
	for i := range sums {
		sums[i] = newRow()
	}
	right := newRow()
	value := s.vector() // of A in every lane; a row of the residual
	values := make([]reg.VecVirtual, vectors)
	for v := range values {
		values[v] = kinds[v].resize(value)
	}

	// The sums start from the bias.
	bias := a.load(tileBias)
	TESTQ(bias, bias)
	JZ(LabelRef("noBias"))
	begun := func(part *mask) {
		for v := range vectors {
			at := Mem{Base: bias, Disp: v * s.bytes}
			if v == vectors-1 {
				kinds[v].read(at, sums[0][v], part)
			} else {
				VMOVUPS(at, sums[0][v])
			}
		}
		for i := 1; i < rows; i++ {
			for v := range vectors {
				VMOVAPS(sums[0][v], sums[i][v])
			}
		}
	}
	CMPQ(a.at(tileMask), Imm(0))
	JNE(LabelRef("partBias"))
	begun(nil)
	JMP(LabelRef("begun"))
	Label("partBias")
	part := s.loadMask(a.at(tileMask))
	begun(&part)
	JMP(LabelRef("begun"))
	Label("noBias")
	for i := range sums {
		for v := range vectors {
			kinds[v].zeros(sums[i][v])
		}
	}
	Label("begun")

	// step is one product; of B, it fetches ahead the lines that begin in its row.
	step := func(u int) {
		length := 8 * eights * 4
		for at := (u*length + cacheLine - 1) / cacheLine * cacheLine; fetches && at < (u+1)*length; at += cacheLine {
			PREFETCHT1(Mem{Base: b, Index: next, Scale: 1, Disp: at})
		}
		for v := range right {
			VMOVUPS(Mem{Base: b, Disp: u*8*eights*4 + v*s.bytes}, right[v])
		}
		for i := range sums {
			if vectors == 1 && s.wide {
				VFMADD231PS_BCST(left.at(i, 4*u), right[0], sums[i][0])
				continue
			}
			VBROADCASTSS(left.at(i, 4*u), value)
			for v := range right {
				VFMADD231PS(right[v], values[v], sums[i][v])
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
	ADDQ(U32(gemmUnroll*8*eights*4), b)
	SUBQ(Imm(gemmUnroll), k)
	JGE(LabelRef("unrolled"))
	Label("rest")
	ADDQ(Imm(gemmUnroll), k)
	JZ(LabelRef("next"))
	Label("single")
	step(0)
	left.move(Imm(4))
	ADDQ(U32(8*eights*4), b)
	DECQ(k)
	JNZ(LabelRef("single"))
	Label("next")
	DECQ(segments)
	JZ(LabelRef("epilogue"))
	left.move(a.load(tileSegmentStep))
	JMP(LabelRef("segment"))

	epilogue := func(label string, part *mask) {
		pickMask := func(v int) *mask {
			if v == vectors-1 {
				return part
			}
			return nil
		}
		residual := a.load(tileResidual)
		TESTQ(residual, residual)
		JZ(LabelRef(label + "NoResidual"))
		residualStride := a.load(tileResidualStride)
		for i := range sums {
			for v := range right {
				kinds[v].read(Mem{Base: residual, Disp: v * s.bytes}, values[v], pickMask(v))
				VADDPS(values[v], sums[i][v], sums[i][v])
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
				clamp(sums[i][v], kinds[v].resize(low), kinds[v].resize(high))
				kinds[v].write(sums[i][v], Mem{Base: dst, Disp: v * s.bytes}, pickMask(v))
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
	part = s.loadMask(a.at(tileMask))
	epilogue("part", &part)
}
