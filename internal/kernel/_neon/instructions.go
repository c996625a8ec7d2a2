package main

import "fmt"

// Go's assembler has no names for these instructions on vectors of four float32, so they are given
// by their encodings (Arm Architecture Reference Manual, section C7.2), the names in comments.

// three writes an instruction of three vector registers.
func (a *assembly) three(encoding uint32, name string, d, n, m int) {
	a.emit("WORD $0x%08x // %s V%d.4S, V%d.4S, V%d.4S", encoding|uint32(m<<16|n<<5|d), name, d, n, m)
}

// two writes an instruction of two vector registers, with the arrangements of their values.
func (a *assembly) two(encoding uint32, name string, d int, to string, n int, from string) {
	a.emit("WORD $0x%08x // %s V%d.%s, V%d.%s", encoding|uint32(n<<5|d), name, d, to, n, from)
}

func (a *assembly) fadd(d, n, m int) { a.three(0x4e20d400, "FADD", d, n, m) }
func (a *assembly) fsub(d, n, m int) { a.three(0x4ea0d400, "FSUB", d, n, m) }
func (a *assembly) fmul(d, n, m int) { a.three(0x6e20dc00, "FMUL", d, n, m) }
func (a *assembly) fdiv(d, n, m int) { a.three(0x6e20fc00, "FDIV", d, n, m) }

// The comparisons set all bits of d where n and m compare so.
func (a *assembly) fcmgt(d, n, m int) { a.three(0x6ea0e400, "FCMGT", d, n, m) }
func (a *assembly) fcmge(d, n, m int) { a.three(0x6e20e400, "FCMGE", d, n, m) }
func (a *assembly) fcmeq(d, n, m int) { a.three(0x4e20e400, "FCMEQ", d, n, m) }

func (a *assembly) not(d, n int)    { a.two(0x6e205800, "NOT", d, "16B", n, "16B") }
func (a *assembly) fneg(d, n int)   { a.two(0x6ea0f800, "FNEG", d, "4S", n, "4S") }
func (a *assembly) fcvtns(d, n int) { a.two(0x4e21a800, "FCVTNS", d, "4S", n, "4S") }
func (a *assembly) fcvtl(d, n int)  { a.two(0x0e217800, "FCVTL", d, "4S", n, "4H") }
func (a *assembly) fcvtl2(d, n int) { a.two(0x4e217800, "FCVTL2", d, "4S", n, "8H") }

// sshr shifts signed integers right.
func (a *assembly) sshr(d, n, by int) { a.shift(0x4f000400, "SSHR", 64-by, d, n, by) }

// fmlaLane adds to d the product of n and one lane of m, rounded once.
func (a *assembly) fmlaLane(d, n, m, lane int) {
	a.emit("WORD $0x%08x // FMLA V%d.4S, V%d.4S, V%d.S[%d]",
		0x4f801000|(lane&1)<<21|m<<16|(lane>>1)<<11|n<<5|d, d, n, m, lane)
}

// fmla adds n·m to d, and fmls subtracts it, rounded once.
func (a *assembly) fmla(d, n, m int) { a.emit("VFMLA V%d.S4, V%d.S4, V%d.S4", m, n, d) }
func (a *assembly) fmls(d, n, m int) { a.emit("VFMLS V%d.S4, V%d.S4, V%d.S4", m, n, d) }

// bitwise writes an instruction on all bits of three registers.
func (a *assembly) bitwise(opcode string, d, n, m int) {
	a.emit("%s V%d.B16, V%d.B16, V%d.B16", opcode, m, n, d)
}

func (a *assembly) move(d, n int) {
	if d != n {
		a.bitwise("VORR", d, n, n)
	}
}

func (a *assembly) zero(d int) { a.bitwise("VEOR", d, d, d) }

// choose sets d to yes where the bits of mask are set and to no elsewhere. mask may be d; if d is
// yes or no, it is another register, whose value may be lost.
func (a *assembly) choose(d, mask, yes, no int) {
	switch d {
	case no:
		a.bitwise("VBIT", d, yes, mask)
	case yes:
		a.bitwise("VBIF", d, no, mask)
	default:
		a.move(d, mask)
		a.bitwise("VBSL", d, yes, no)
	}
}

// larger sets d as MAXPS of amd64 does: to b where that is greater than v, and to v elsewhere, thus
// also where one is NaN or both are zeros. FMAX would not return v then. mask is a free register.
func (a *assembly) larger(d, v, b, mask int) {
	a.fcmgt(mask, b, v)
	a.choose(d, mask, b, v)
}

// smaller sets d as MINPS does.
func (a *assembly) smaller(d, v, b, mask int) {
	a.fcmgt(mask, v, b)
	a.choose(d, mask, b, v)
}

// Registers that the translated functions do not use otherwise.
const (
	address = "R19"
	part    = "R20" // the number of values in a part of a vector
	place   = "R21"
	left    = "R22"
	value   = "R23"
	locals  = "R16" // the address of the function's local memory
)

// constants are the registers for the addresses of tables.
var constants = []string{"R24", "R25", "R26", "R15"}

// eachPart writes instruction for as many of the eight values from address on as part says: at least
// one.
func (a *assembly) eachPart(instruction func(register, lane int), low, high int) {
	a.parts++
	done := fmt.Sprintf("part%d", a.parts)
	a.emit("MOVD %s, %s", address, place)
	a.emit("MOVD %s, %s", part, left)
	for i := range 7 {
		instruction([]int{low, high}[i/4], i%4)
		if i < 6 {
			a.emit("SUBS $1, %s, %s", left, left)
			a.emit("BEQ %s", done)
		}
	}
	a.label(done)
}

// readPart loads part values from address on, and zeros.
func (a *assembly) readPart(low, high int) {
	a.zero(low)
	a.zero(high)
	a.eachPart(func(r, lane int) { a.emit("VLD1.P 4(%s), V%d.S[%d]", place, r, lane) }, low, high)
}

// writePart stores part values from address on.
func (a *assembly) writePart(low, high int) {
	a.eachPart(func(r, lane int) { a.emit("VST1.P V%d.S[%d], 4(%s)", r, lane, place) }, low, high)
}
