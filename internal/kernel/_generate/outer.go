package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Offsets into outerTile (outer_vector.go), in bytes.
const (
	outerDst = 8 * iota
	outerA
	outerB
	outerCount
	outerDstStride
	outerAStride
	outerMask // 0: the last vector is full
)

func outerName(s isa, rows, vectors int) string {
	return fmt.Sprintf("outer%dx%d%s", rows, vectors*s.bytes/4, s.name)
}

// outer adds count outer products to a tile of dst, which stays in registers.
func outer(s isa, rows, vectors int) {
	name := outerName(s, rows, vectors)
	a := begin(name, fmt.Sprintf("%s computes an outerTile of %d rows and up to %d columns.", name, rows,
		vectors*s.bytes/4))
	sums := make([][]reg.VecVirtual, rows)
	for i := range sums {
		for range vectors {
			sums[i] = append(sums[i], s.vector())
		}
	}
	// each calls do for every vector of dst, twice: for a full last one and a partial.
	each := func(label string, do func(sum reg.VecVirtual, at Mem, part *mask)) {
		rowsOf := func(part *mask) {
			dst, stride := a.load(outerDst), a.load(outerDstStride)
			for i := range sums {
				for v, sum := range sums[i] {
					at := Mem{Base: dst, Disp: v * s.bytes}
					if v == vectors-1 {
						do(sum, at, part)
					} else {
						do(sum, at, nil)
					}
				}
				if i < rows-1 {
					ADDQ(stride, dst)
				}
			}
		}
		CMPQ(a.at(outerMask), Imm(0))
		JNE(LabelRef(label + "Part"))
		rowsOf(nil)
		JMP(LabelRef(label))
		Label(label + "Part")
		part := s.loadMask(a.at(outerMask))
		rowsOf(&part)
		Label(label)
	}
	each("loaded", func(sum reg.VecVirtual, at Mem, part *mask) { s.read(at, sum, part) })

	left, right, count := a.load(outerA), a.load(outerB), a.load(outerCount)
	stride := a.load(outerAStride)
	value := s.vector()
	line := make([]reg.VecVirtual, vectors)
	for v := range line {
		line[v] = s.vector()
	}
	Label("next")
	for v := range line {
		VMOVUPS(Mem{Base: right, Disp: v * s.bytes}, line[v])
	}
	for i := range sums {
		if vectors == 1 && s.wide {
			VFMADD231PS_BCST(Mem{Base: left, Disp: 4 * i}, line[0], sums[i][0])
			continue
		}
		VBROADCASTSS(Mem{Base: left, Disp: 4 * i}, value)
		for v := range line {
			VFMADD231PS(line[v], value, sums[i][v])
		}
	}
	ADDQ(stride, left)
	ADDQ(U32(vectors*s.bytes), right)
	DECQ(count)
	JNZ(LabelRef("next"))
	each("stored", func(sum reg.VecVirtual, at Mem, part *mask) { s.write(sum, at, part) })
	VZEROUPPER()
	RET()
}

// Offsets into linesTile (outer_vector.go), in bytes.
const (
	linesDst = 8 * iota
	linesSrc
	linesSums
	linesCount
	linesStride
	linesMask // 0: the last vector is full
)

// packLines copies a panel of columns to lie without gaps, and sums each column.
func packLines(s isa, vectors int) {
	name := fmt.Sprintf("packLines%d%s", vectors*s.bytes/4, s.name)
	a := begin(name,
		fmt.Sprintf("%s copies a linesTile of up to %d columns, filled up with zeros, and adds its rows to the sums.",
			name, vectors*s.bytes/4))
	dst, stride := a.load(linesDst), a.load(linesStride)
	body := func(label string, part *mask) {
		pickMask := func(v int) *mask {
			if v == vectors-1 {
				return part
			}
			return nil
		}
		src, count, sumsAt := a.load(linesSrc), a.load(linesCount), a.load(linesSums)
		sums := make([]reg.VecVirtual, vectors)
		for v := range sums {
			sums[v] = s.vector()
			s.read(Mem{Base: sumsAt, Disp: v * s.bytes}, sums[v], pickMask(v))
		}
		in := s.vector()
		Label(label)
		for v := range sums {
			s.read(Mem{Base: src, Disp: v * s.bytes}, in, pickMask(v))
			VMOVUPS(in, Mem{Base: dst, Disp: v * s.bytes})
			VADDPS(in, sums[v], sums[v])
		}
		ADDQ(stride, src)
		ADDQ(U32(vectors*s.bytes), dst)
		DECQ(count)
		JNZ(LabelRef(label))
		for v := range sums {
			s.write(sums[v], Mem{Base: sumsAt, Disp: v * s.bytes}, pickMask(v))
		}
		VZEROUPPER()
		RET()
	}
	CMPQ(a.at(linesMask), Imm(0))
	JNE(LabelRef("partial"))
	body("line", nil)
	Label("partial")
	part := s.loadMask(a.at(linesMask))
	body("partLine", &part)
}

// Offsets into tapsTile (depthwisegradient_vector.go), in bytes.
const (
	gradientDst = 8 * iota
	gradientSrc
	gradientOut
	gradientSums
	gradientCount
	gradientPixel
	gradientStep
	gradientVectors
	gradientMask // 0: no part of a vector is left
)

// depthwiseTaps adds to the gradient of one kernel row, of width taps, what count
// adjacent outputs contribute, and the outputs' gradients to sums. Channels go two
// vectors at a time, so that enough sums are in flight at once.
func depthwiseTaps(s isa, width int) {
	name := fmt.Sprintf("depthwiseTaps%d%s", width, s.name)
	a := begin(name, fmt.Sprintf("%s computes a tapsTile of %d taps.", name, width))
	pixel, step := a.load(gradientPixel), a.load(gradientStep)
	var pixel3 reg.GPVirtual
	if width > 3 {
		pixel3 = triple(pixel)
	}
	done, vectors := GP64(), a.load(gradientVectors)
	XORQ(done, done)
	body := func(label string, n int, part *mask) {
		moved := func(field int) reg.GPVirtual {
			r := a.load(field)
			ADDQ(done, r)
			return r
		}
		src := newLines(moved(gradientSrc), width, pixel, pixel3)
		dst := newLines(moved(gradientDst), width, pixel, pixel3)
		out, count := moved(gradientOut), a.load(gradientCount)
		sums, totals := make([][]reg.VecVirtual, n), make([]reg.VecVirtual, n)
		totalsAt := moved(gradientSums)
		for v := range sums {
			totals[v] = s.vector()
			s.read(Mem{Base: totalsAt, Disp: v * s.bytes}, totals[v], part)
			for j := range width {
				sums[v] = append(sums[v], s.vector())
				s.read(dst.at(j, v*s.bytes), sums[v][j], part)
			}
		}
		g, in := s.vector(), s.vector()
		Label(label)
		for v := range sums {
			s.read(Mem{Base: out, Disp: v * s.bytes}, g, part)
			VADDPS(g, totals[v], totals[v])
			for j, sum := range sums[v] {
				if part == nil {
					VFMADD231PS(src.at(j, v*s.bytes), g, sum)
					continue
				}
				s.read(src.at(j, v*s.bytes), in, part)
				VFMADD231PS(in, g, sum)
			}
		}
		src.move(step)
		ADDQ(pixel, out)
		DECQ(count)
		JNZ(LabelRef(label))
		totalsAt = moved(gradientSums)
		for v := range sums {
			s.write(totals[v], Mem{Base: totalsAt, Disp: v * s.bytes}, part)
			for j, sum := range sums[v] {
				s.write(sum, dst.at(j, v*s.bytes), part)
			}
		}
	}
	SUBQ(Imm(2), vectors)
	JLT(LabelRef("rest"))
	Label("two")
	body("twoCount", 2, nil)
	ADDQ(Imm(uint64(2*s.bytes)), done)
	SUBQ(Imm(2), vectors)
	JGE(LabelRef("two"))
	Label("rest")
	ADDQ(Imm(2), vectors)
	JZ(LabelRef("part"))
	body("oneCount", 1, nil)
	ADDQ(Imm(uint64(s.bytes)), done)
	Label("part")
	CMPQ(a.at(gradientMask), Imm(0))
	JEQ(LabelRef("end"))
	part := s.loadMask(a.at(gradientMask))
	body("partCount", 1, &part)
	Label("end")
	VZEROUPPER()
	RET()
}
