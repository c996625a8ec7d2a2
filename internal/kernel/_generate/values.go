package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The methods below emit one operation on whole vectors and return its result in a new
// register. The sequence of roundings is the same for each instruction set, and so are
// the bits. Operands are vectors or numbers.

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

// emit calls the form of an instruction that the kind of the operand b needs.
func (s isa) emit(plain, broadcast func(...Op), b any, rest ...Op) {
	switch b := b.(type) {
	case number:
		if s.wide {
			broadcast(append([]Op{b.memory()}, rest...)...)
		} else {
			plain(append([]Op{b.memory()}, rest...)...)
		}
	case reg.VecVirtual:
		plain(append([]Op{b}, rest...)...)
	default:
		panic(fmt.Sprintf("operand %T", b))
	}
}

func (s isa) binary(plain, broadcast func(...Op), a reg.VecVirtual, b any) reg.VecVirtual {
	to := s.vector()
	s.emit(plain, broadcast, b, a, to)
	return to
}

func (s isa) add(a reg.VecVirtual, b any) reg.VecVirtual {
	return s.binary(VADDPS, VADDPS_BCST, a, b)
}

func (s isa) subtract(a reg.VecVirtual, b any) reg.VecVirtual {
	return s.binary(VSUBPS, VSUBPS_BCST, a, b)
}

func (s isa) multiply(a reg.VecVirtual, b any) reg.VecVirtual {
	return s.binary(VMULPS, VMULPS_BCST, a, b)
}

func (s isa) divide(a reg.VecVirtual, b any) reg.VecVirtual {
	return s.binary(VDIVPS, VDIVPS_BCST, a, b)
}

func (s isa) and(a reg.VecVirtual, b any) reg.VecVirtual {
	return s.binary(VANDPS, VANDPS_BCST, a, b)
}

func (s isa) or(a reg.VecVirtual, b any) reg.VecVirtual {
	return s.binary(VORPS, VORPS_BCST, a, b)
}

// fill returns a vector of one number.
func (s isa) fill(n number) reg.VecVirtual {
	to := s.vector()
	VBROADCASTSS(n.memory(), to)
	return to
}

func (s isa) copy(a reg.VecVirtual) reg.VecVirtual {
	to := s.vector()
	VMOVAPS(a, to)
	return to
}

// atLeast returns the larger of a and low. NaN stays: the instruction returns its second
// source, a, if one is NaN.
func (s isa) atLeast(a reg.VecVirtual, low number) reg.VecVirtual {
	to := s.fill(low)
	VMAXPS(a, to, to)
	return to
}

// atMost returns the smaller of a and high. NaN stays.
func (s isa) atMost(a reg.VecVirtual, high number) reg.VecVirtual {
	to := s.fill(high)
	VMINPS(a, to, to)
	return to
}

// fma returns a·b + c, rounded once.
func (s isa) fma(a, b reg.VecVirtual, c any) reg.VecVirtual {
	to := s.copy(a)
	s.emit(VFMADD213PS, VFMADD213PS_BCST, c, b, to)
	return to
}

// fmaNumber returns a·n + c, rounded once.
func (s isa) fmaNumber(a reg.VecVirtual, n number, c reg.VecVirtual) reg.VecVirtual {
	to := s.copy(c)
	s.emit(VFMADD231PS, VFMADD231PS_BCST, n, a, to)
	return to
}

// fms returns a·b − c, rounded once.
func (s isa) fms(a, b reg.VecVirtual, c any) reg.VecVirtual {
	to := s.copy(a)
	s.emit(VFMSUB213PS, VFMSUB213PS_BCST, c, b, to)
	return to
}

// less returns c − a·b, rounded once.
func (s isa) less(c, a reg.VecVirtual, b any) reg.VecVirtual {
	to := s.copy(c)
	s.emit(VFNMADD231PS, VFNMADD231PS_BCST, b, a, to)
	return to
}

// polynomial returns c[0] + c[1]·x + c[2]·x² + …, by Horner's rule.
func (s isa) polynomial(x reg.VecVirtual, c []float64) reg.VecVirtual {
	to := s.fill(float(c[len(c)-1]))
	for i := len(c) - 2; i >= 0; i-- {
		s.emit(VFMADD213PS, VFMADD213PS_BCST, float(c[i]), x, to)
	}
	return to
}

// round returns the nearest integer, ties to even.
func (s isa) round(a reg.VecVirtual) reg.VecVirtual {
	to := s.vector()
	if s.wide {
		VRNDSCALEPS(Imm(0), a, to)
	} else {
		VROUNDPS(Imm(0), a, to)
	}
	return to
}

// condition selects values of a vector.
type condition struct {
	k reg.OpmaskVirtual // AVX-512
	v reg.VecVirtual    // AVX2: by the sign bit
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
func (s isa) compare(a reg.VecVirtual, predicate uint64, b any) condition {
	if s.wide {
		c := condition{k: K()}
		imm := Imm(predicate)
		s.emit(func(ops ...Op) { VCMPPS(append([]Op{imm}, ops...)...) },
			func(ops ...Op) { VCMPPS_BCST(append([]Op{imm}, ops...)...) }, b, a, c.k)
		return c
	}
	c := condition{v: s.vector()}
	s.emit(func(ops ...Op) { VCMPPS(append([]Op{Imm(predicate)}, ops...)...) }, nil, b, a, c.v)
	return c
}

// negative returns where the sign bit is set.
func (s isa) negative(a reg.VecVirtual) condition {
	if s.wide {
		c := condition{k: K()}
		VPMOVD2M(a, c.k)
		return c
	}
	return condition{v: a}
}

// choose returns yes where the condition holds, and no elsewhere.
func (s isa) choose(c condition, yes any, no reg.VecVirtual) reg.VecVirtual {
	to := s.vector()
	if s.wide {
		s.emit(VBLENDMPS, VBLENDMPS_BCST, yes, no, c.k, to)
	} else {
		s.emit(func(ops ...Op) { VBLENDVPS(c.v, ops[0], ops[1], ops[2]) }, nil, yes, no, to)
	}
	return to
}

// keepNaN returns v, but NaN where x is NaN.
func (s isa) keepNaN(x, v reg.VecVirtual) reg.VecVirtual {
	return s.choose(s.compare(x, unordered, x), x, v)
}

// scale returns v·2ⁿ, rounded once; v is not tiny, and n an integer down to −250.
func (s isa) scale(v, n reg.VecVirtual) reg.VecVirtual {
	to := s.vector()
	if s.wide {
		VSCALEFPS(n, v, to)
		return to
	}
	// Half of the exponent at a time, since 2ⁿ may be no normal number: the first product
	// is exact.
	whole, half := s.vector(), s.vector()
	VCVTPS2DQ(n, whole)
	VPSRAD(Imm(1), whole, half)
	VPSUBD(half, whole, whole)
	VMULPS(s.powerOfTwo(half), v, to)
	VMULPS(s.powerOfTwo(whole), to, to)
	return to
}

// scaleWhere is scale where the condition holds, and v elsewhere.
func (s isa) scaleWhere(c condition, v, n reg.VecVirtual) reg.VecVirtual {
	to := s.vector()
	if s.wide {
		VMOVAPS(v, to)
		VSCALEFPS(n, v, c.k, to)
		return to
	}
	VPSRAD(Imm(31), c.v, to) // all bits as the sign
	VANDPS(n, to, to)
	return s.scale(v, to)
}

// powerOfTwo returns 2ⁱ for integers i for which it is a normal number (AVX2).
func (s isa) powerOfTwo(i reg.VecVirtual) reg.VecVirtual {
	to := s.vector()
	VPADDD(number(127).memory(), i, to)
	VPSLLD(Imm(23), to, to)
	return to
}
