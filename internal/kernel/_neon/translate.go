package main

import (
	"fmt"
	"log"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// translate writes a function of AVX2 for NEON. Ymm register i becomes the registers 2i and 2i+1, and
// the address of a mask the number of values that it selects.
func (a *assembly) translate(f function) {
	a.text(f.name, f.signature)
	a.name = f.name
	live := f.findLive()
	a.loadAddresses(f)
	if frame := f.frame(); frame > 0 {
		a.emit("MOVD $locals-%d(SP), %s", frame, locals)
	}
	for i := 0; i < len(f.lines); i++ {
		l := f.lines[i]
		if l.label != "" {
			a.label(l.label)
			continue
		}
		if f.loadsMask(i) {
			a.emit("MOVD %s, %s", memory(l.operands[0]), part)
			i++
			continue
		}
		var next line
		if i+1 < len(f.lines) {
			next = f.lines[i+1]
		}
		t := translation{assembly: a, line: l, next: next}
		a.temporaries = live.free[i]
		if !t.integer() && !t.float() && !t.packed() {
			log.Fatalf("%s: no translation of %s %v", f.name, l.opcode, l.operands)
		}
		if upper, ok := l.cleared(); ok && live.after[i]>>upper&1 != 0 {
			a.zero(upper)
		}
		if t.used {
			i++
		}
	}
}

// frame returns the size of the function's local memory.
func (f function) frame() int {
	m := regexp.MustCompile(`\$(\d+)-`).FindStringSubmatch(f.signature)
	if m == nil {
		return 0
	}
	return integer(m[1])
}

// cleared returns the register of the half that the instruction clears, because its result fills only
// the other half.
func (l line) cleared() (int, bool) {
	if len(l.operands) == 0 || l.opcode == "VPTEST" {
		return 0, false
	}
	last := l.operands[len(l.operands)-1]
	p, ok := vector(last)
	return p[1], ok && halves(last) == 1
}

// loadsMask reports whether lines i and i+1 load a mask: by an address that is compared with zero
// before.
func (f function) loadsMask(i int) bool {
	if i+1 >= len(f.lines) || f.lines[i].opcode != "MOVQ" || f.lines[i+1].opcode != "VMOVUPS" ||
		f.lines[i+1].operands[0] != "("+f.lines[i].operands[1]+")" {
		return false
	}
	return slices.ContainsFunc(f.lines[:i], func(l line) bool {
		return l.opcode == "CMPQ" && l.operands[0] == f.lines[i].operands[0]
	})
}

// translation is that of one instruction.
type translation struct {
	*assembly
	line
	next line
	used bool // next is translated too
}

func integer(text string) int {
	n, err := strconv.ParseInt(strings.TrimPrefix(text, "$"), 0, 64)
	if err != nil {
		log.Fatal(err)
	}
	return int(n)
}

// general are the registers of amd64 in the order of those of arm64 that stand for them.
var general = []string{"AX", "CX", "DX", "BX", "SI", "DI", "BP", "R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15"}

// register returns the register for one of amd64, "" for another operand.
func register(operand string) string {
	if i := slices.Index(general, operand); i >= 0 {
		return fmt.Sprint("R", i)
	}
	if operand == "SP" {
		return locals
	}
	return ""
}

var memoryForm = regexp.MustCompile(`^(-?\d*)\((\w+)\)(?:\((\w+)\*(\d)\))?$`)

// memory returns an operand in memory that has no index.
func memory(operand string) string {
	if strings.HasSuffix(operand, "(FP)") {
		return operand
	}
	m := memoryForm.FindStringSubmatch(operand)
	if m == nil || m[3] != "" {
		log.Fatalf("%s is no simple operand in memory", operand)
	}
	return m[1] + "(" + register(m[2]) + ")"
}

// load returns the register of an operand, after loading it into the one for values if it is in
// memory.
func (t *translation) load(operand string) string {
	if r := register(operand); r != "" {
		return r
	}
	if strings.HasPrefix(operand, "$") {
		return fmt.Sprint("$", integer(operand))
	}
	t.emit("MOVD %s, %s", memory(operand), value)
	return value
}

// setAddress sets register to the address of an operand in memory.
func (t *translation) setAddress(operand, to string) {
	m := memoryForm.FindStringSubmatch(operand)
	if m == nil {
		log.Fatalf("%s is not in memory", operand)
	}
	from := register(m[2])
	if m[3] != "" {
		t.emit("ADD %s<<%d, %s, %s", register(m[3]), strings.Index("1248", m[4]), from, to)
		from = to
	}
	if m[1] != "" {
		t.emit("ADD $%d, %s, %s", integer(m[1]), from, to)
	} else if from != to {
		t.emit("MOVD %s, %s", from, to)
	}
}

// pointer returns a register with the address of an operand in memory.
func (t *translation) pointer(operand string) string {
	if m := memoryForm.FindStringSubmatch(operand); m != nil && m[1] == "" && m[3] == "" {
		return register(m[2])
	}
	t.setAddress(operand, address)
	return address
}

// conditions are the jumps and the conditions for them after arithmetic.
var conditions = map[string]string{
	"JZ": "BEQ", "JE": "BEQ", "JEQ": "BEQ", "JNZ": "BNE", "JNE": "BNE", "JLT": "BLT", "JGE": "BGE",
}

// integer translates addresses, counters and jumps.
func (t *translation) integer() bool {
	o := t.operands
	switch t.opcode {
	case "VZEROUPPER":
	case "RET":
		t.emit("RET")
	case "JMP":
		t.emit("B %s", o[0])
	case "MOVL":
		if to := register(o[1]); strings.HasPrefix(o[0], "$") {
			t.emit("MOVD $%d, %s", integer(o[0]), to)
		} else {
			t.emit("MOVWU %s, %s", memory(o[0]), to)
		}
	case "MOVBLZX":
		t.emit("MOVBU %s, %s", memory(o[0]), register(o[1]))
	case "MOVQ":
		if from, to := register(o[0]), register(o[1]); from != "" {
			t.emit("MOVD %s, %s", from, to)
		} else {
			t.emit("MOVD %s, %s", memory(o[0]), to)
		}
	case "LEAQ":
		t.setAddress(o[0], register(o[1]))
	case "XORQ":
		t.emit("MOVD ZR, %s", register(o[1]))
	case "ADDQ", "SUBQ":
		t.add(t.opcode[:3], o[0], o[1])
	case "SUBL":
		t.emit("SUBW %s, %s, %s", register(o[0]), register(o[1]), register(o[1]))
	case "SHLQ":
		t.emit("LSL $%d, %s, %s", integer(o[0]), register(o[1]), register(o[1]))
	case "NEGQ":
		t.emit("NEG %s, %s", register(o[0]), register(o[0]))
	case "DECQ":
		t.add("SUB", "$1", o[0])
	case "TESTQ":
		t.branch("CB", register(o[0])+", ")
	case "CMPQ":
		t.compareInteger(o[0], o[1])
	case "TESTL":
		bit := 0
		for integer(o[0])>>bit != 1 {
			bit++
		}
		t.branch("TB", fmt.Sprintf("$%d, %s, ", bit, register(o[1])))
	default:
		condition := conditions[t.opcode]
		if condition == "" {
			return false
		}
		t.emit("%s %s", condition, o[0])
	}
	return true
}

// add adds to a register or a place in memory, or subtracts from it. It sets the flags if a jump
// follows.
func (t *translation) add(opcode, what, to string) {
	if conditions[t.next.opcode] != "" {
		opcode += "S"
	}
	if r := register(to); r != "" {
		t.emit("%s %s, %s, %s", opcode, t.load(what), r, r)
		return
	}
	t.emit("MOVD %s, %s", memory(to), left)
	t.emit("%s %s, %s, %s", opcode, t.load(what), left, left)
	t.emit("MOVD %s, %s", left, memory(to))
}

// branch writes the comparison with zero and the jump after it as one.
func (t *translation) branch(opcode, what string) {
	t.used = true
	switch conditions[t.next.opcode] {
	case "BEQ":
		t.emit("%sZ %s%s", opcode, what, t.next.operands[0])
	case "BNE":
		t.emit("%sNZ %s%s", opcode, what, t.next.operands[0])
	default:
		log.Fatalf("no jump after %s", t.opcode)
	}
}

// compareInteger writes a comparison and the jump after it.
func (t *translation) compareInteger(n, m string) {
	if m == "$0" || m == "$0x00" {
		t.branch("CB", t.load(n)+", ")
		return
	}
	t.used = true
	t.emit("CMP %s, %s", t.load(m), register(n))
	t.emit("%s %s", conditions[t.next.opcode], t.next.operands[0])
}

// pair are the two registers of a vector.
type pair [2]int

// vector returns the registers for one of amd64: the lower half, which alone is an xmm register, and
// the upper one.
func vector(operand string) (p pair, ok bool) {
	number, ok := strings.CutPrefix(operand, "Y")
	if !ok {
		number, ok = strings.CutPrefix(operand, "X")
	}
	if !ok {
		return p, false
	}
	y := integer(number)
	return pair{2 * y, 2*y + 1}, true
}

// halves returns how many of its two registers an operand of amd64 has.
func halves(operand string) int {
	if strings.HasPrefix(operand, "X") {
		return 1
	}
	return 2
}

// width returns the number of halves of the result.
func (t *translation) width() int { return halves(t.operands[len(t.operands)-1]) }

func mustVector(operand string) pair {
	p, ok := vector(operand)
	if !ok {
		log.Fatalf("%s is no vector", operand)
	}
	return p
}

// source returns the registers of an operand, after loading it into temporary ones if it is in
// memory.
func (t *translation) source(operand string) pair {
	if p, ok := vector(operand); ok {
		return p
	}
	if m := constantForm.FindStringSubmatch(operand); m != nil {
		return t.loadConstant(m, t.width(), t.temporary)
	}
	if t.width() == 1 {
		low := t.temporary()
		t.emit("FMOVQ %s, F%d", t.location(operand, 16), low)
		return pair{low, low}
	}
	p := pair{t.temporary(), t.temporary()}
	t.loadPair(operand, p)
	return p
}

// location returns an operand in memory as instructions for so many bytes take it, which encode some
// offsets.
func (t *translation) location(operand string, size int) string {
	m := memoryForm.FindStringSubmatch(operand)
	if strings.HasSuffix(operand, "(FP)") || m != nil && m[3] == "" && m[1] == "" {
		return memory(operand)
	}
	if m != nil && m[3] == "" {
		if offset := integer(m[1]); offset%size == 0 && offset >= 0 && offset < 4096*size {
			return memory(operand)
		}
	}
	return "(" + t.pointer(operand) + ")"
}

// pairAddress returns an operand in memory as instructions for pairs take it.
func (t *translation) pairAddress(operand string) string {
	m := memoryForm.FindStringSubmatch(operand)
	if m == nil {
		log.Fatalf("%s is not in memory", operand)
	}
	offset := 0
	if m[1] != "" {
		offset = integer(m[1])
	}
	if m[3] == "" && offset%16 == 0 && offset >= -1024 && offset < 1024 {
		return memory(operand)
	}
	return "(" + t.pointer(operand) + ")"
}

func (t *translation) loadPair(operand string, to pair) {
	t.emit("FLDPQ %s, (F%d, F%d)", t.pairAddress(operand), to[0], to[1])
}

// float translates operations on vectors. The operands are in the order of Go's assembler: the
// result is the last, and the first may be in memory.
func (t *translation) float() bool {
	switch t.opcode {
	case "VMOVUPS", "VMOVAPS", "VMOVDQU", "VMOVDQA":
		t.copy()
		return true
	case "VMASKMOVPS", "VBROADCASTSS", "VCVTPH2PS":
		t.move()
		return true
	}
	return t.arithmetic() || t.compound()
}

// copy translates loads, stores and copies of whole registers.
func (t *translation) copy() {
	from, isVector := vector(t.operands[0])
	to, toVector := vector(t.operands[1])
	m := constantForm.FindStringSubmatch(t.operands[0])
	switch {
	case m != nil:
		next := -1
		loaded := t.loadConstant(m, t.width(), func() int { next++; return to[next] })
		if t.width() == 2 {
			t.assembly.move(to[1], loaded[1])
		}
	case isVector && toVector:
		for half := range t.width() {
			t.assembly.move(to[half], from[half])
		}
	case isVector && halves(t.operands[0]) == 1:
		t.emit("FMOVQ F%d, %s", from[0], t.location(t.operands[1], 16))
	case isVector:
		t.emit("FSTPQ (F%d, F%d), %s", from[0], from[1], t.pairAddress(t.operands[1]))
	case t.width() == 1:
		t.emit("FMOVQ %s, F%d", t.location(t.operands[0], 16), to[0])
	default:
		t.loadPair(t.operands[0], to)
	}
}

// move translates loads that convert, and those and stores of a part of a vector.
func (t *translation) move() {
	o := t.operands
	from, isVector := vector(o[0])
	to, _ := vector(o[len(o)-1])
	switch {
	case t.opcode == "VBROADCASTSS":
		t.broadcast(o[0], to)
	case t.opcode == "VCVTPH2PS":
		t.emit("FMOVQ (%s), F%d", t.pointer(o[0]), to[1])
		t.fcvtl(to[0], to[1])
		t.fcvtl2(to[1], to[1])
	case isVector:
		t.setAddress(o[2], address)
		t.writePart(from[0], from[1])
	default:
		t.setAddress(o[0], address)
		t.readPart(to[0], to[1])
	}
}

// broadcast fills both registers with one value.
func (t *translation) broadcast(operand string, to pair) {
	m := constantForm.FindStringSubmatch(operand)
	switch {
	case m != nil:
		t.loadConstant(m, 1, func() int { return to[0] })
	case strings.HasSuffix(operand, "(FP)"):
		t.emit("FMOVS %s, F%d", operand, to[0])
		t.emit("VDUP V%d.S[0], V%d.S4", to[0], to[0])
	default:
		t.emit("VLD1R (%s), [V%d.S4]", t.pointer(operand), to[0])
	}
	t.assembly.move(to[1], to[0])
}

// arithmetic translates what has one instruction of NEON: d = n operation m, where n is the second
// operand and m the first.
func (t *translation) arithmetic() bool {
	bits := func(opcode string) func(d, n, m int) {
		return func(d, n, m int) { t.bitwise(opcode, d, n, m) }
	}
	words := func(opcode string) func(d, n, m int) {
		return func(d, n, m int) { t.emit("%s V%d.S4, V%d.S4, V%d.S4", opcode, m, n, d) }
	}
	operation := map[string]func(d, n, m int){
		"VADDPS": t.fadd, "VSUBPS": t.fsub, "VMULPS": t.fmul, "VDIVPS": t.fdiv,
		"VANDPS": bits("VAND"), "VPAND": bits("VAND"), "VORPS": bits("VORR"), "VPOR": bits("VORR"),
		"VXORPS": bits("VEOR"), "VPXOR": bits("VEOR"),
		"VPADDD": words("VADD"), "VPSUBD": words("VSUB"),
		"VFMADD231PS": t.fmla, "VFNMADD231PS": t.fmls,
	}[t.opcode]
	if operation == nil {
		return false
	}
	m, n, d := t.source(t.operands[0]), mustVector(t.operands[1]), mustVector(t.operands[2])
	for half := range t.width() {
		operation(d[half], n[half], m[half])
	}
	return true
}

// compound translates what takes several instructions, or an immediate operand.
func (t *translation) compound() bool {
	o := t.operands
	d, ok := vector(o[len(o)-1])
	if !ok {
		return false
	}
	switch t.opcode {
	case "VCVTPS2DQ":
		n := mustVector(o[0])
		for half := range d {
			t.fcvtns(d[half], n[half]) // NaN becomes 0, not −2³¹, which kernels shift out
		}
	case "VMAXPS", "VMINPS":
		select2 := t.larger
		if t.opcode == "VMINPS" {
			select2 = t.smaller
		}
		m, n := t.source(o[0]), mustVector(o[1])
		for half := range d {
			select2(d[half], m[half], n[half], t.maskFor(d[half], m[half], n[half]))
		}
	case "VBLENDVPS":
		mask, yes, no := mustVector(o[0]), t.source(o[1]), mustVector(o[2])
		for half := range d {
			signs := t.maskFor(d[half], yes[half], no[half])
			t.sshr(signs, mask[half], 31) // all bits as the sign
			t.choose(d[half], signs, yes[half], no[half])
		}
	case "VCMPPS":
		m, n := t.source(o[1]), mustVector(o[2])
		for half := range d {
			t.compare(integer(o[0]), d[half], n[half], m[half])
		}
	case "VFMADD213PS", "VFMSUB213PS":
		m, n := t.source(o[0]), mustVector(o[1])
		sum := t.temporary()
		for half := range d {
			if t.opcode == "VFMSUB213PS" {
				t.fneg(sum, m[half])
			} else {
				t.assembly.move(sum, m[half])
			}
			t.fmla(sum, n[half], d[half])
			t.assembly.move(d[half], sum)
		}
	default:
		return false
	}
	return true
}

// maskFor returns a register for a mask: d, unless that is an operand too.
func (t *translation) maskFor(d int, operands ...int) int {
	if slices.Contains(operands, d) {
		return t.temporary()
	}
	return d
}

// compare writes the comparison with one of amd64's predicates.
func (t *translation) compare(predicate, d, n, m int) {
	switch predicate {
	case 0x03: // unordered, of a value with itself
		t.fcmeq(d, n, m)
		t.not(d, d)
	case 0x11: // less
		t.fcmgt(d, m, n)
	case 0x1e: // greater
		t.fcmgt(d, n, m)
	case 0x16: // not at most
		t.fcmge(d, m, n)
		t.not(d, d)
	case 0x19: // not at least
		t.fcmge(d, n, m)
		t.not(d, d)
	default:
		log.Fatalf("no translation of predicate %#x", predicate)
	}
}
