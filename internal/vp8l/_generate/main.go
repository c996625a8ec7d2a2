// The generator of package vp8l's assembly for amd64: run `go generate` there.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("!purego")
	literals()
	predictors()
	addColour()
	addGreen()
	pack()
	Generate()
}

func parameter(name string) reg.GPVirtual {
	return Load(Param(name), GP64()).(reg.GPVirtual)
}

// Offsets of the fields of bitReader.
const (
	fieldValue  = 0
	fieldCount  = 8
	fieldNext   = 16
	fieldData   = 24
	fieldLength = 32
)

// Sizes and offsets of code, and places of the codes in a group.
const (
	codeSize  = 32
	fieldMask = 24
	green     = 0
	red       = 1
	blue      = 2
	alpha     = 3
)

const rootBits = 8

// bitReader is the state of a bitReader in registers.
type bitReader struct{ at, value, count, next, data, last reg.GPVirtual }

// fill makes 56 bits available. It jumps to the label where fewer than 8 bytes are left.
func (r bitReader) fill(end string) {
	t := GP64()
	CMPQ(r.next, r.last)
	JGT(LabelRef(end))
	MOVQ(Mem{Base: r.data, Index: r.next, Scale: 1}, t)
	SHLXQ(r.count, t, t)
	ORQ(t, r.value)
	n := GP64()
	MOVL(U32(63), n.As32())
	SUBL(r.count.As32(), n.As32())
	SHRL(Imm(3), n.As32())
	ADDQ(n, r.next)
	ORQ(Imm(56), r.count)
}

// symbol reads a symbol of a code.
func (r bitReader) symbol(name string, table, mask, out reg.GPVirtual) {
	n := GP64()
	MOVQ(r.value, n)
	ANDQ(mask, n)
	MOVWLZX(Mem{Base: table, Index: n, Scale: 2}, out.As32())
	MOVL(out.As32(), n.As32())
	ANDL(Imm(15), n.As32())
	CMPL(n.As32(), Imm(rootBits))
	JLE(LabelRef(name + "Short"))
	// The second table follows the bits of the first lookup.
	place := GP64()
	SUBL(Imm(rootBits), n.As32())
	MOVQ(r.value, place)
	SHRQ(Imm(rootBits), place)
	BZHIQ(n, place, place)
	SHRL(Imm(4), out.As32())
	ADDQ(out, place)
	MOVWLZX(Mem{Base: table, Index: place, Scale: 2}, out.As32())
	MOVL(out.As32(), n.As32())
	ANDL(Imm(15), n.As32())
	Label(name + "Short")
	SHRXQ(n, r.value, r.value)
	SUBQ(n, r.count)
	SHRL(Imm(4), out.As32())
}

// literals generates the decoding of literal pixels.
func literals() {
	TEXT("readLiteralsBMI2", NOSPLIT, "func(r *uint64, codes *[]uint16, run *uint32, n int) (done, symbol int)")
	Pragma("noescape")
	Doc("readLiteralsBMI2 is readLiteralsGeneric; r and codes are the addresses of a bitReader and the codes",
		"of a group. If fewer than 8 bytes are left, it ends with the symbol −1.")
	at := parameter("r")
	r := bitReader{at, GP64(), GP64(), GP64(), GP64(), GP64()}
	MOVQ(Mem{Base: at, Disp: fieldValue}, r.value)
	MOVQ(Mem{Base: at, Disp: fieldCount}, r.count)
	MOVQ(Mem{Base: at, Disp: fieldNext}, r.next)
	MOVQ(Mem{Base: at, Disp: fieldData}, r.data)
	MOVQ(Mem{Base: at, Disp: fieldLength}, r.last)
	SUBQ(Imm(8), r.last)
	codes, run := parameter("codes"), parameter("run")
	end := parameter("n")
	LEAQ(Mem{Base: run, Index: end, Scale: 4}, end)
	symbol, pixel, level := GP64(), GP64(), GP64()

	Label("pixel")
	MOVQ(I32(-1), symbol)
	r.fill("finish")
	table, mask := GP64(), GP64()
	MOVQ(Mem{Base: codes, Disp: green * codeSize}, table)
	MOVWLZX(Mem{Base: codes, Disp: green*codeSize + fieldMask}, mask.As32())
	r.symbol("green", table, mask, symbol)
	CMPL(symbol.As32(), U32(256))
	JGE(LabelRef("finish"))
	SHLL(Imm(8), symbol.As32())
	MOVL(symbol.As32(), pixel.As32())
	for _, c := range []struct {
		name  string
		index int
		shift uint64
	}{{"red", red, 16}, {"blue", blue, 0}, {"alpha", alpha, 24}} {
		if c.index == blue {
			r.fill("tail")
			Label("filled")
		}
		table, mask := GP64(), GP64()
		MOVQ(Mem{Base: codes, Disp: c.index * codeSize}, table)
		MOVWLZX(Mem{Base: codes, Disp: c.index*codeSize + fieldMask}, mask.As32())
		TESTL(mask.As32(), mask.As32())
		JNE(LabelRef(c.name + "Coded"))
		MOVWLZX(Mem{Base: table}, level.As32())
		SHRL(Imm(4), level.As32())
		JMP(LabelRef(c.name + "Done"))
		Label(c.name + "Coded")
		r.symbol(c.name, table, mask, level)
		Label(c.name + "Done")
		if c.shift > 0 {
			SHLL(Imm(c.shift), level.As32())
		}
		ORL(level.As32(), pixel.As32())
	}
	MOVL(pixel.As32(), Mem{Base: run})
	ADDQ(Imm(4), run)
	CMPQ(run, end)
	JNE(LabelRef("pixel"))
	Label("finish")
	MOVQ(r.value, Mem{Base: at, Disp: fieldValue})
	MOVQ(r.count, Mem{Base: at, Disp: fieldCount})
	MOVQ(r.next, Mem{Base: at, Disp: fieldNext})
	first := parameter("run")
	SUBQ(first, run)
	SHRQ(Imm(2), run)
	Store(run, ReturnIndex(0))
	Store(symbol, ReturnIndex(1))
	RET()
	// In the middle of a pixel, load the last bytes one by one.
	Label("tail")
	last, t := GP64(), GP64()
	LEAQ(Mem{Base: r.last, Disp: 8}, last)
	Label("byte")
	CMPQ(r.count, Imm(56))
	JGT(LabelRef("filled"))
	CMPQ(r.next, last)
	JGE(LabelRef("behind"))
	MOVBLZX(Mem{Base: r.data, Index: r.next, Scale: 1}, t.As32())
	SHLXQ(r.count, t, t)
	ORQ(t, r.value)
	Label("behind")
	INCQ(r.next)
	ADDQ(Imm(8), r.count)
	JMP(LabelRef("byte"))
}
