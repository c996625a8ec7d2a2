package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Offsets into depthwiseTile (depthwise_vector.go), in bytes.
const (
	tapsDst = 8 * iota
	tapsSrc
	tapsLeft
	tapsInside
	tapsOutputs
	tapsKernel
	tapsBias
	tapsSrcRow
	tapsPixel
	tapsKernelRow
	tapsRows
	tapsColumns
	tapsVectors
	tapsMask // 0: no part of a vector is left
	tapsLow
	tapsHigh = tapsLow + 4
)

// depthwiseOutputs is the largest number of adjacent outputs computed together.
const depthwiseOutputs = 8

// channels is what both depthwise functions share: they go through the channels
// a vector at a time.
type channels struct {
	isa
	arguments
	relu bool
	at   reg.GPVirtual // bytes of the channels done
	zero reg.VecVirtual
}

func beginChannels(s isa, name, doc string, relu bool) channels {
	if relu {
		name += "ReLU"
		doc += " It takes max(src, 0)."
	}
	c := channels{isa: s, arguments: begin(name+s.name, name+s.name+" "+doc), relu: relu, at: GP64()}
	XORQ(c.at, c.at)
	if relu {
		c.zero = s.vector()
		s.zeros(c.zero)
	}
	return c
}

// line returns the address in a field, moved to the current channels.
func (c channels) line(field int) reg.GPVirtual {
	r := c.arguments.load(field)
	ADDQ(c.at, r)
	return r
}

// source reads values of src.
func (c channels) source(from Mem, to reg.VecVirtual, part *mask) {
	c.read(from, to, part)
	if c.relu {
		VMAXPS(to, c.zero, to)
	}
}

// sums returns n sums that start from the bias.
func (c channels) sums(label string, n int, part *mask) []reg.VecVirtual {
	sums := make([]reg.VecVirtual, n)
	for i := range sums {
		sums[i] = c.vector()
	}
	bias := c.arguments.load(tapsBias)
	TESTQ(bias, bias)
	JZ(LabelRef(label + "NoBias"))
	ADDQ(c.at, bias)
	c.read(Mem{Base: bias}, sums[0], part)
	for _, sum := range sums[1:] {
		VMOVAPS(sums[0], sum)
	}
	JMP(LabelRef(label))
	Label(label + "NoBias")
	for _, sum := range sums {
		c.zeros(sum)
	}
	return sums
}

// activate applies the activation to the sums.
func (c channels) activate(sums []reg.VecVirtual) {
	low, high := c.vector(), c.vector()
	VBROADCASTSS(c.arguments.at(tapsLow), low)
	VBROADCASTSS(c.arguments.at(tapsHigh), high)
	for i := range sums {
		clamp(sums[i], low, high)
	}
}

// loop runs body over the full vectors, then once over the part that is left.
func (c channels) loop(body func(label string, part *mask)) {
	vectors := c.arguments.load(tapsVectors)
	TESTQ(vectors, vectors)
	JZ(LabelRef("part"))
	Label("vectors")
	body("row", nil)
	ADDQ(Imm(uint64(c.bytes)), c.at)
	DECQ(vectors)
	JNZ(LabelRef("vectors"))
	Label("part")
	CMPQ(c.arguments.at(tapsMask), Imm(0))
	JEQ(LabelRef("end"))
	part := c.loadMask(c.arguments.at(tapsMask))
	body("partRow", &part)
	Label("end")
	VZEROUPPER()
	RET()
}

// depthwise computes up to depthwiseOutputs adjacent outputs of one row. A column
// of src is loaded once for all outputs that it belongs to. Columns outside the
// picture are skipped, and so are those that only surplus outputs need:
// their sums come out wrong and are not stored.
func depthwise(s isa, width, stride int, relu bool) {
	c := beginChannels(s, fmt.Sprintf("depthwise%ds%d", width, stride),
		fmt.Sprintf("computes the outputs of a depthwiseTile with kernels %d wide and stride %d.", width, stride),
		relu)
	pixel := c.arguments.load(tapsPixel)
	pixel3 := triple(pixel)
	inside := c.arguments.load(tapsInside)
	columns := (depthwiseOutputs-1)*stride + width

	c.loop(func(label string, part *mask) {
		first := c.line(tapsSrc)
		ADDQ(c.arguments.at(tapsLeft), first)
		src := newLines(first, columns, pixel, pixel3)
		kernel := newLines(c.line(tapsKernel), width, pixel, pixel3)
		rows := c.arguments.load(tapsRows)
		sums := c.sums(label, depthwiseOutputs, part)
		Label(label)
		taps := make([]reg.VecVirtual, width)
		for j := range taps {
			taps[j] = s.vector()
			s.read(kernel.at(j, 0), taps[j], part)
		}
		for column := range columns {
			next := fmt.Sprintf("%sColumn%d", label, column+1)
			TESTL(U32(1<<column), inside.As32())
			JZ(LabelRef(next))
			in := s.vector()
			c.source(src.at(column, 0), in, part)
			for i := range sums {
				if j := column - i*stride; j >= 0 && j < width {
					VFMADD231PS(taps[j], in, sums[i])
				}
			}
			Label(next)
		}
		src.move(c.arguments.at(tapsSrcRow))
		kernel.move(c.arguments.at(tapsKernelRow))
		DECQ(rows)
		JNZ(LabelRef(label))
		c.activate(sums)
		outputs := c.arguments.load(tapsOutputs)
		dst := newLines(c.line(tapsDst), depthwiseOutputs, pixel, pixel3)
		for i := range sums {
			s.write(sums[i], dst.at(i, 0), part)
			if i < depthwiseOutputs-1 {
				DECQ(outputs)
				JZ(LabelRef(label + "Stored"))
			}
		}
		Label(label + "Stored")
	})
}

// depthwiseOne computes one output from any number of rows and columns.
func depthwiseOne(s isa, relu bool) {
	c := beginChannels(s, "depthwiseOne", "computes one output of a depthwiseTile.", relu)
	pixel := c.arguments.load(tapsPixel)
	c.loop(func(label string, part *mask) {
		srcRow, kernelRow := c.line(tapsSrc), c.line(tapsKernel)
		rows := c.arguments.load(tapsRows)
		sums := c.sums(label, 1, part)
		in, tap := s.vector(), s.vector()
		Label(label)
		src, kernel, columns := GP64(), GP64(), c.arguments.load(tapsColumns)
		MOVQ(srcRow, src)
		MOVQ(kernelRow, kernel)
		Label(label + "Column")
		c.source(Mem{Base: src}, in, part)
		s.read(Mem{Base: kernel}, tap, part)
		VFMADD231PS(tap, in, sums[0])
		ADDQ(pixel, src)
		ADDQ(pixel, kernel)
		DECQ(columns)
		JNZ(LabelRef(label + "Column"))
		ADDQ(c.arguments.at(tapsSrcRow), srcRow)
		ADDQ(c.arguments.at(tapsKernelRow), kernelRow)
		DECQ(rows)
		JNZ(LabelRef(label))
		c.activate(sums)
		s.write(sums[0], Mem{Base: c.line(tapsDst)}, part)
	})
}
