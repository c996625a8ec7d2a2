package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// isa is an instruction set: its vectors, and how it touches a part of one.
type isa struct {
	name      string
	bytes     int // in a vector
	registers int
	gemmRows  int // of the largest tile: rows × 2 accumulators, 2 vectors of B, the rest for A
	wide      bool
}

var (
	avx512 = isa{name: "AVX512", bytes: 64, registers: 32, gemmRows: 14, wide: true}
	avx2   = isa{name: "AVX2", bytes: 32, registers: 16, gemmRows: 6}
)

func (s isa) vector() reg.VecVirtual {
	if s.bytes == 64 {
		return ZMM()
	}
	return YMM()
}

// split returns the kinds of vector that hold eights·8 values: whole ones, then
// with AVX-512 one of 8, which takes half the time.
func (s isa) split(eights int) []isa {
	var kinds []isa
	for left := 32 * eights; left > 0; left -= s.bytes {
		kind := s
		if left < s.bytes {
			kind.bytes = left
		}
		kinds = append(kinds, kind)
	}
	return kinds
}

// resize returns the part of a register that a vector of this kind takes.
func (s isa) resize(v reg.VecVirtual) reg.VecVirtual {
	if s.bytes == 32 {
		return v.AsY().(reg.VecVirtual)
	}
	return v
}

func (s isa) zeros(v reg.VecVirtual) {
	if s.wide {
		VPXORD(v, v, v)
	} else {
		VXORPS(v, v, v)
	}
}

// mask selects the first values of a vector.
type mask struct {
	s isa
	k reg.OpmaskVirtual // AVX-512
	v reg.VecVirtual    // AVX2: all ones in the values selected
}

// loadMask reads the mask at m: the bits themselves, or the address of a vector.
func (s isa) loadMask(m Mem) mask {
	r := GP64()
	MOVQ(m, r)
	if s.wide {
		k := K()
		KMOVW(r.As32(), k)
		return mask{s: s, k: k}
	}
	v := YMM()
	VMOVUPS(Mem{Base: r}, v)
	return mask{s: s, v: v}
}

// read loads a vector, or with a mask the selected part of one and zeros.
func (s isa) read(from Mem, to reg.VecVirtual, part *mask) {
	switch {
	case part == nil:
		VMOVUPS(from, to)
	case s.wide:
		VMOVUPS_Z(from, part.k, to)
	default:
		VMASKMOVPS(from, part.v, to)
	}
}

// write stores a vector, or with a mask the selected part of it.
func (s isa) write(from reg.VecVirtual, to Mem, part *mask) {
	switch {
	case part == nil:
		VMOVUPS(from, to)
	case s.wide:
		VMOVUPS(from, part.k, to)
	default:
		VMASKMOVPS(from, part.v, to)
	}
}

// arguments reads the fields of the struct that a function's only argument
// points to.
type arguments struct{ base reg.GPVirtual }

func (a arguments) at(offset int) Mem { return Mem{Base: a.base, Disp: offset} }

func (a arguments) load(offset int) reg.GPVirtual {
	r := GP64()
	MOVQ(a.at(offset), r)
	return r
}

// begin starts a function of one pointer.
func begin(name, doc string) arguments {
	TEXT(name, NOSPLIT, "func(arguments *byte)")
	Pragma("noescape")
	Doc(doc)
	return arguments{Load(Param("arguments"), GP64()).(reg.GPVirtual)}
}

// clamp sets v = min(max(v, low), high). NaN stays: with NaN in one operand the
// instructions return the second source, which is v.
func clamp(v, low, high reg.VecVirtual) {
	VMAXPS(v, low, v)
	VMINPS(v, high, v)
}

// lines addresses n places that lie stride bytes apart: one register for each
// four of them.
type lines struct {
	bases           []reg.GPVirtual
	stride, stride3 reg.GPVirtual
}

// newLines takes over the register first.
func newLines(first reg.GPVirtual, n int, stride, stride3 reg.GPVirtual) lines {
	l := lines{[]reg.GPVirtual{first}, stride, stride3}
	for i := 4; i < n; i += 4 {
		next := GP64()
		LEAQ(Mem{Base: l.bases[len(l.bases)-1], Index: stride, Scale: 4}, next)
		l.bases = append(l.bases, next)
	}
	return l
}

// at is the address of line i, moved by offset bytes.
func (l lines) at(i, offset int) Mem {
	m := Mem{Base: l.bases[i/4], Disp: offset}
	switch i % 4 {
	case 1:
		m.Index, m.Scale = l.stride, 1
	case 2:
		m.Index, m.Scale = l.stride, 2
	case 3:
		m.Index, m.Scale = l.stride3, 1
	}
	return m
}

// move adds bytes, a register or constant, to every line.
func (l lines) move(bytes Op) {
	for _, b := range l.bases {
		ADDQ(bytes, b)
	}
}

func triple(r reg.GPVirtual) reg.GPVirtual {
	r3 := GP64()
	LEAQ(Mem{Base: r, Index: r, Scale: 2}, r3)
	return r3
}
