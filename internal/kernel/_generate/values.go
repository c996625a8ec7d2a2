package main

import (
	"math"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// values are what one operation works on: a vector, or several whose instructions take
// turns, as they do not wait for each other. One of a single vector is the same for all.
type values []reg.VecVirtual

// The methods below emit one operation and return its result in new registers. The
// sequence of roundings is the same for each instruction set, and so are the bits.
// Operands of type any are values or numbers.

// number is a constant, given by its bits.
type number uint32

func float(x float64) number { return number(math.Float32bits(float32(x))) }

const (
	signBit  number = 1 << 31
	signless number = 1<<31 - 1
)

// numbersSymbol is a table of the constants in use, each repeated to fill a vector of
// AVX2: AVX-512 broadcasts the first. So constants need no registers.
const numbersSymbol = "numbers"

var (
	numbers   []number
	numbersAt = map[number]int{}
)

func (n number) memory() Mem {
	i, known := numbersAt[n]
	if !known {
		i = len(numbers)
		numbers, numbersAt[n] = append(numbers, n), i
	}
	return NewDataAddr(NewStaticSymbol(numbersSymbol), i*avx2.bytes)
}

// writeNumbers emits the table, after all functions.
func writeNumbers() {
	GLOBL(numbersSymbol, attr.RODATA|attr.NOPTR)
	for i, n := range numbers {
		for j := range avx2.bytes / 8 {
			DATA(i*avx2.bytes+8*j, U64(uint64(n)<<32|uint64(n)))
		}
	}
}

// each emits an operation for each vector of its result: with the operand b of any type,
// in the form that this needs.
func (s isa) each(to values, plain, broadcast func(...Op), b any, rest ...values) values {
	for i := range to {
		var ops []Op
		instruction := plain
		switch b := b.(type) {
		case number:
			ops = append(ops, b.memory())
			if s.wide {
				instruction = broadcast
			}
		case values:
			ops = append(ops, b.at(i))
		}
		for _, v := range rest {
			ops = append(ops, v.at(i))
		}
		instruction(append(ops, to[i])...)
	}
	return to
}

func (v values) at(i int) reg.VecVirtual { return v[i%len(v)] }

// fresh returns registers for a result of these operands.
func (s isa) fresh(operands ...any) values {
	n := 1
	for _, o := range operands {
		if v, ok := o.(values); ok {
			n = max(n, len(v))
		}
	}
	to := make(values, n)
	for i := range to {
		to[i] = s.vector()
	}
	return to
}

func (s isa) add(a values, b any) values {
	return s.each(s.fresh(a, b), VADDPS, VADDPS_BCST, b, a)
}

func (s isa) subtract(a values, b any) values {
	return s.each(s.fresh(a, b), VSUBPS, VSUBPS_BCST, b, a)
}

func (s isa) multiply(a values, b any) values {
	return s.each(s.fresh(a, b), VMULPS, VMULPS_BCST, b, a)
}

func (s isa) divide(a values, b any) values {
	return s.each(s.fresh(a, b), VDIVPS, VDIVPS_BCST, b, a)
}

func (s isa) and(a values, b any) values {
	return s.each(s.fresh(a, b), VANDPS, VANDPS_BCST, b, a)
}

func (s isa) or(a values, b any) values {
	return s.each(s.fresh(a, b), VORPS, VORPS_BCST, b, a)
}

// fill returns a vector of one number.
func (s isa) fill(n number) values {
	to := s.vector()
	VBROADCASTSS(n.memory(), to)
	return values{to}
}

// copy returns copies of a in as many registers as a result of the operands takes.
func (s isa) copy(a values, operands ...any) values {
	to := s.fresh(append(operands, a)...)
	for i := range to {
		VMOVAPS(a.at(i), to[i])
	}
	return to
}

// atLeast returns the larger of a and low. NaN stays: the instruction returns its second
// source, a, if one is NaN.
func (s isa) atLeast(a values, low number) values {
	return s.each(s.fresh(a), VMAXPS, nil, a, s.fill(low))
}

// atMost returns the smaller of a and high. NaN stays.
func (s isa) atMost(a values, high number) values {
	return s.each(s.fresh(a), VMINPS, nil, a, s.fill(high))
}

// fma returns a·b + c, rounded once.
func (s isa) fma(a, b values, c any) values {
	return s.each(s.copy(a, b, c), VFMADD213PS, VFMADD213PS_BCST, c, b)
}

// fmaNumber returns a·n + c, rounded once.
func (s isa) fmaNumber(a values, n number, c values) values {
	return s.each(s.copy(c, a), VFMADD231PS, VFMADD231PS_BCST, n, a)
}

// fms returns a·b − c, rounded once.
func (s isa) fms(a, b values, c any) values {
	return s.each(s.copy(a, b, c), VFMSUB213PS, VFMSUB213PS_BCST, c, b)
}

// less returns c − a·b, rounded once.
func (s isa) less(c, a values, b any) values {
	return s.each(s.copy(c, a, b), VFNMADD231PS, VFNMADD231PS_BCST, b, a)
}

// polynomial returns c[0] + c[1]·x + c[2]·x² + …, by Horner's rule.
func (s isa) polynomial(x values, c []float64) values {
	to := s.copy(s.fill(float(c[len(c)-1])), x)
	for i := len(c) - 2; i >= 0; i-- {
		s.each(to, VFMADD213PS, VFMADD213PS_BCST, float(c[i]), x)
	}
	return to
}

// condition selects values of vectors.
type condition struct {
	k []reg.OpmaskVirtual // AVX-512
	v values              // AVX2: by the sign bit
}

// The predicates of comparisons: those with "not" hold for NaN.
const (
	unordered  = 0x03
	less       = 0x11
	notAtMost  = 0x16
	notAtLeast = 0x19
	greater    = 0x1e
)

// compare returns where "a predicate b" holds.
func (s isa) compare(a values, predicate uint64, b any) condition {
	if !s.wide {
		plain := func(ops ...Op) { VCMPPS(append([]Op{Imm(predicate)}, ops...)...) }
		return condition{v: s.each(s.fresh(a), plain, nil, b, a)}
	}
	var c condition
	for i := range a {
		k := K()
		if n, ok := b.(number); ok {
			VCMPPS_BCST(Imm(predicate), n.memory(), a[i], k)
		} else {
			VCMPPS(Imm(predicate), b.(values).at(i), a[i], k)
		}
		c.k = append(c.k, k)
	}
	return c
}

// negative returns where the sign bit is set.
func (s isa) negative(a values) condition {
	if !s.wide {
		return condition{v: a}
	}
	var c condition
	for i := range a {
		k := K()
		VPMOVD2M(a[i], k)
		c.k = append(c.k, k)
	}
	return c
}

// choose returns yes where the condition holds, and no elsewhere.
func (s isa) choose(c condition, yes any, no values) values {
	if !s.wide {
		plain := func(ops ...Op) { VBLENDVPS(ops[1], ops[0], ops[2], ops[3]) }
		return s.each(s.fresh(c.v), plain, nil, yes, c.v, no)
	}
	to := make(values, len(c.k))
	for i, k := range c.k {
		to[i] = s.vector()
		if n, ok := yes.(number); ok {
			VBLENDMPS_BCST(n.memory(), no.at(i), k, to[i])
		} else {
			VBLENDMPS(yes.(values).at(i), no.at(i), k, to[i])
		}
	}
	return to
}

// keepNaN returns v, but NaN where x is NaN.
func (s isa) keepNaN(x, v values) values {
	return s.choose(s.compare(x, unordered, x), x, v)
}

// integer is one as a float, and as what is left of a float of 1.5·2²³ and more when that
// is added: the integer in two's complement in its lower bits.
type integer struct{ float, shifted values }

const shift number = 0x4b400000 // 1.5·2²³

// nearest returns the integer nearest to a·n, for results below 2²².
func (s isa) nearest(a values, n number) integer {
	shifted := s.fmaNumber(a, n, s.fill(shift))
	return integer{s.subtract(shifted, shift), shifted}
}

// scale returns v·2ⁿ, rounded once; v is not tiny, and n at least −250.
func (s isa) scale(v values, n integer) values {
	if s.wide {
		return s.each(s.fresh(v, n.float), VSCALEFPS, nil, n.float, v)
	}
	to := s.fresh(n.float)
	for i := range to {
		VPSUBD(shift.memory(), n.shifted[i], to[i])
	}
	return s.scaleInteger(v, to)
}

// scaleInteger multiplies by 2ⁿ (AVX2), half of the exponent at a time, since 2ⁿ may be
// no normal number: the first product is exact.
func (s isa) scaleInteger(v, n values) values {
	half := s.fresh(n)
	for i := range half {
		VPSRAD(Imm(1), n[i], half[i])
		VPSUBD(half[i], n[i], n[i])
	}
	return s.multiply(s.multiply(v, s.powerOfTwo(half)), s.powerOfTwo(n))
}

// scaleWhere returns scale where the condition holds, and v elsewhere.
func (s isa) scaleWhere(c condition, v values, n integer) values {
	if s.wide {
		to := s.copy(v)
		for i, k := range c.k {
			VSCALEFPS(n.float.at(i), v[i], k, to[i])
		}
		return to
	}
	to := s.fresh(c.v)
	for i := range to {
		sign := s.vector()
		VPSRAD(Imm(31), c.v[i], sign) // all bits as the sign
		VPSUBD(shift.memory(), n.shifted[i], to[i])
		VPAND(sign, to[i], to[i])
	}
	return s.scaleInteger(v, to)
}

// powerOfTwo returns 2ⁱ for integers i for which it is a normal number (AVX2).
func (s isa) powerOfTwo(i values) values {
	to := s.fresh(i)
	for j := range to {
		VPADDD(number(127).memory(), i[j], to[j])
		VPSLLD(Imm(23), to[j], to[j])
	}
	return to
}
