package main

import (
	"strconv"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Offsets of the fields of boolReader.
const (
	fieldValue  = 0
	fieldNext   = 8
	fieldData   = 16
	fieldLength = 24
	fieldSpan   = 40
	fieldBits   = 44
	fieldEnded  = 48
	fieldWide   = 49
)

// Offsets in tokenTable.
const (
	contextSize = 16
	placeSize   = 3 * contextSize
)

// maxNarrow is as in package vp8.
const maxNarrow = 1023

// boolReader is the state of a boolReader in registers.
type boolReader struct {
	at          reg.GPVirtual
	value, data reg.GPVirtual // data are those that are not loaded
	length      reg.GPVirtual
	span, bits  reg.GPVirtual // 32 bits
	split       reg.GPVirtual
	decisions   int
}

func newBoolReader(at reg.GPVirtual) *boolReader {
	r := &boolReader{at, GP64(), GP64(), GP64(), GP64(), GP64(), GP64(), 0}
	MOVQ(Mem{Base: at, Disp: fieldValue}, r.value)
	MOVQ(Mem{Base: at, Disp: fieldData}, r.data)
	MOVQ(Mem{Base: at, Disp: fieldLength}, r.length)
	ADDQ(Mem{Base: at, Disp: fieldNext}, r.data)
	SUBQ(Mem{Base: at, Disp: fieldNext}, r.length)
	MOVL(Mem{Base: at, Disp: fieldSpan}, r.span.As32())
	MOVL(Mem{Base: at, Disp: fieldBits}, r.bits.As32())
	return r
}

// store writes the state back.
func (r *boolReader) store() {
	MOVQ(r.value, Mem{Base: r.at, Disp: fieldValue})
	MOVQ(Mem{Base: r.at, Disp: fieldLength}, r.data)
	SUBQ(r.length, r.data)
	MOVQ(r.data, Mem{Base: r.at, Disp: fieldNext})
	MOVL(r.span.As32(), Mem{Base: r.at, Disp: fieldSpan})
	MOVL(r.bits.As32(), Mem{Base: r.at, Disp: fieldBits})
}

// load loads more bytes if there are not enough bits.
func (r *boolReader) load() {
	r.decisions++
	label := func(s string) string { return s + strconv.Itoa(r.decisions) }
	t := GP64()
	TESTL(r.bits.As32(), r.bits.As32())
	JGE(LabelRef(label("loaded")))
	CMPQ(r.length, Imm(8))
	JLT(LabelRef(label("tail")))
	MOVQ(Mem{Base: r.data}, t)
	BSWAPQ(t)
	SHRQ(Imm(8), t)
	SHLQ(Imm(56), r.value)
	ORQ(t, r.value)
	ADDQ(Imm(7), r.data)
	SUBQ(Imm(7), r.length)
	ADDL(Imm(56), r.bits.As32())
	JMP(LabelRef(label("loaded")))
	Label(label("tail"))
	TESTQ(r.length, r.length)
	JEQ(LabelRef(label("end")))
	MOVBLZX(Mem{Base: r.data}, t.As32())
	SHLQ(Imm(8), r.value)
	ORQ(t, r.value)
	DECQ(r.length)
	INCQ(r.data)
	ADDL(Imm(8), r.bits.As32())
	JMP(LabelRef(label("loaded")))
	Label(label("end"))
	CMPB(Mem{Base: r.at, Disp: fieldEnded}, Imm(0))
	JNE(LabelRef(label("ended")))
	SHLQ(Imm(8), r.value)
	ADDL(Imm(8), r.bits.As32())
	MOVB(Imm(1), Mem{Base: r.at, Disp: fieldEnded})
	JMP(LabelRef(label("loaded")))
	Label(label("ended"))
	XORL(r.bits.As32(), r.bits.As32())
	Label(label("loaded"))
}

// normalize makes width the span.
func (r *boolReader) normalize(width reg.GPVirtual) {
	shift := GP64()
	LZCNTL(width.As32(), shift.As32())
	SUBL(Imm(24), shift.As32())
	SHLXL(shift.As32(), width.As32(), r.span.As32())
	DECL(r.span.As32())
	SUBL(shift.As32(), r.bits.As32())
}

// decide decodes a decision of a probability that it finds in a register. If it is true, it jumps to
// the label, which one defines.
func (r *boolReader) decide(probability reg.GPVirtual, label string) {
	r.load()
	r.split = GP64()
	MOVL(r.span.As32(), r.split.As32())
	IMULL(probability.As32(), r.split.As32())
	SHRL(Imm(8), r.split.As32())
	high := GP64()
	SHRXQ(r.bits, r.value, high)
	CMPL(high.As32(), r.split.As32())
	JHI(LabelRef(label))
	width := GP64()
	LEAL(Mem{Base: r.split, Disp: 1}, width.As32())
	r.normalize(width)
}

// one defines the label of a decision that is true. It must come before the next decision.
func (r *boolReader) one(label string, split reg.GPVirtual) {
	Label(label)
	width := GP64()
	MOVL(r.span.As32(), width.As32())
	SUBL(split.As32(), width.As32())
	low := GP64()
	LEAL(Mem{Base: split, Disp: 1}, low.As32())
	SHLXQ(r.bits, low, low)
	SUBQ(low, r.value)
	r.normalize(width)
}

// branch decodes a decision of the probability at m. ifFalse must not fall through.
func (r *boolReader) branch(m Mem, ifFalse func()) {
	p := GP64()
	MOVBLZX(m, p.As32())
	r.choose(p, ifFalse)
}

func (r *boolReader) choose(p reg.GPVirtual, ifFalse func()) {
	label := "true" + strconv.Itoa(r.decisions)
	r.decide(p, label)
	split := r.split
	ifFalse()
	r.one(label, split)
}

// bit decodes a decision as a number, which it adds to v after doubling that.
func (r *boolReader) bit(p, v reg.GPVirtual) {
	label := "false" + strconv.Itoa(r.decisions)
	ADDQ(v, v)
	r.choose(p, func() { JMP(LabelRef(label)) })
	INCQ(v)
	Label(label)
}

// tokens generates the reading of the coefficients of a block.
func tokens() {
	zigzag := GLOBL("zigzagTwice", RODATA|NOPTR)
	for i, v := range []int{0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15} {
		DATA(i, U8(2*v))
	}
	extra := GLOBL("extraBitProbabilities", RODATA|NOPTR)
	for category, list := range [][]int{
		{173, 148, 140}, {176, 155, 140, 135}, {180, 157, 141, 134, 130},
		{254, 254, 243, 230, 196, 177, 153, 140, 133, 130, 129},
	} {
		for i := range 16 {
			v := 0 // the end
			if i < len(list) {
				v = list[i]
			}
			DATA(16*category+i, U8(v))
		}
	}
	TEXT("readTokensBMI2", NOSPLIT, "func(r *uint64, table *byte, context, first int, q *int32, out *int16) int")
	Doc("readTokensBMI2 is readTokensGeneric; r is the address of a boolReader.")
	Pragma("noescape")
	r := newBoolReader(parameter("r"))
	place := parameter("table") // of coefficient n in the table
	n := parameter("first")
	p := parameter("context") // probabilities
	t := GP64()
	LEAQ(Mem{Base: n, Index: n, Scale: 2}, t)
	SHLQ(Imm(4), t)
	ADDQ(t, place)
	SHLQ(Imm(4), p)
	ADDQ(place, p)
	v := GP64()

	Label("token")
	r.branch(Mem{Base: p}, func() { JMP(LabelRef("finish")) })
	Label("zeros")
	r.branch(Mem{Base: p, Disp: 1}, func() {
		INCQ(n)
		ADDQ(Imm(placeSize), place)
		MOVQ(place, p)
		CMPQ(n, Imm(16))
		JNE(LabelRef("zeros"))
		JMP(LabelRef("finish"))
	})
	r.branch(Mem{Base: p, Disp: 2}, func() {
		MOVL(U32(1), v.As32())
		LEAQ(Mem{Base: place, Disp: placeSize + contextSize}, p)
		JMP(LabelRef("value"))
	})
	large(r, p, v, extra)
	LEAQ(Mem{Base: place, Disp: placeSize + 2*contextSize}, p)
	Label("value")
	ADDQ(Imm(placeSize), place)
	// The factor is that of the DC coefficient or another.
	q := parameter("q")
	XORL(t.As32(), t.As32())
	CMPQ(n, Imm(1))
	SBBQ(t, t) // −1 for DC
	IMULL(Mem{Base: q, Disp: 4, Index: t, Scale: 4}, v.As32())
	CMPL(v.As32(), U32(maxNarrow))
	JLE(LabelRef("narrow"))
	MOVB(Imm(1), Mem{Base: r.at, Disp: fieldWide})
	Label("narrow")
	sign(r, v)
	at, out := GP64(), parameter("out")
	LEAQ(zigzag, at)
	MOVBLZX(Mem{Base: at, Index: n, Scale: 1}, at.As32())
	MOVW(v.As16(), Mem{Base: out, Index: at, Scale: 1})
	INCQ(n)
	CMPQ(n, Imm(16))
	JNE(LabelRef("token"))
	Label("finish")
	r.store()
	Store(n, ReturnIndex(0))
	RET()
}

// sign decodes a decision without a preference and negates v if it is true.
func sign(r *boolReader, v reg.GPVirtual) {
	r.load()
	split, high, mask := GP64(), GP64(), GP64()
	MOVL(r.span.As32(), split.As32())
	SHRL(Imm(1), split.As32())
	SHRXQ(r.bits, r.value, high)
	MOVL(split.As32(), mask.As32())
	SUBL(high.As32(), mask.As32())
	SARL(Imm(31), mask.As32())
	INCL(split.As32())
	ANDL(mask.As32(), split.As32())
	SHLXQ(r.bits, split, split)
	SUBQ(split, r.value)
	DECL(r.bits.As32())
	ADDL(mask.As32(), r.span.As32())
	ORL(Imm(1), r.span.As32())
	XORL(mask.As32(), v.As32())
	SUBL(mask.As32(), v.As32())
}

// large decodes a coefficient that is at least 2.
func large(r *boolReader, p, v reg.GPVirtual, extra Mem) {
	constant := func(value uint64) reg.GPVirtual {
		t := GP64()
		MOVL(U32(value), t.As32())
		return t
	}
	at := func(i int) reg.GPVirtual {
		t := GP64()
		MOVBLZX(Mem{Base: p, Disp: i}, t.As32())
		return t
	}
	XORL(v.As32(), v.As32())
	r.branch(Mem{Base: p, Disp: 3}, func() {
		r.branch(Mem{Base: p, Disp: 4}, func() {
			MOVL(U32(2), v.As32())
			JMP(LabelRef("largeDone"))
		})
		r.bit(at(5), v)
		ADDQ(Imm(3), v)
		JMP(LabelRef("largeDone"))
	})
	r.branch(Mem{Base: p, Disp: 6}, func() {
		r.branch(Mem{Base: p, Disp: 7}, func() {
			r.bit(constant(159), v)
			ADDQ(Imm(5), v)
			JMP(LabelRef("largeDone"))
		})
		r.bit(constant(165), v)
		r.bit(constant(145), v)
		ADDQ(Imm(7), v)
		JMP(LabelRef("largeDone"))
	})
	category := GP64()
	XORL(category.As32(), category.As32())
	r.bit(at(8), category)
	low := GP64()
	MOVBLZX(Mem{Base: p, Disp: 9, Index: category, Scale: 1}, low.As32())
	r.bit(low, category)
	list, probability := GP64(), GP64()
	LEAQ(extra, list)
	MOVQ(category, probability)
	SHLQ(Imm(4), probability)
	ADDQ(probability, list)
	MOVBLZX(Mem{Base: list}, probability.As32())
	Label("extra")
	r.bit(probability, v)
	INCQ(list)
	MOVBLZX(Mem{Base: list}, probability.As32())
	TESTL(probability.As32(), probability.As32())
	JNE(LabelRef("extra"))
	base := constant(8)
	SHLXQ(category, base, base)
	LEAQ(Mem{Base: v, Index: base, Scale: 1, Disp: 3}, v)
	Label("largeDone")
}
