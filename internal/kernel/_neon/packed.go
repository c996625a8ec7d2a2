package main

import (
	"fmt"
	"log"
	"math/bits"
	"slices"
	"strings"
)

// The sizes of the integers in a vector, as instructions encode them.
const (
	bytesSize = iota
	wordsSize
	longsSize
	quadsSize
)

// sizes are the sizes by the letters at the ends of amd64's names.
var sizes = map[byte]int{'B': bytesSize, 'W': wordsSize, 'D': longsSize, 'Q': quadsSize}

var (
	arrangements = []string{"16B", "8H", "4S", "2D"}
	lanes        = []string{"B", "H", "S", "D"}
)

// integers writes an instruction of three registers of integers. Those that widen have the size of
// what they read.
func (a *assembly) integers(encoding uint32, name string, size, d, n, m int) {
	a.emit("WORD $0x%08x // %s V%d, V%d, V%d, %s", encoding|uint32(size<<22|m<<16|n<<5|d), name, d, n, m,
		arrangements[size])
}

// integersOf writes one of two registers. Those that narrow have the size of what they write.
func (a *assembly) integersOf(encoding uint32, name string, size, d, n int) {
	a.emit("WORD $0x%08x // %s V%d, V%d, %s", encoding|uint32(size<<22|n<<5|d), name, d, n, arrangements[size])
}

// shift writes a shift of integers by a number, which the instruction encodes in one field with their
// size.
func (a *assembly) shift(encoding uint32, name string, field, d, n, by int) {
	a.emit("WORD $0x%08x // %s V%d, V%d, #%d, %s", encoding|uint32(field<<16|n<<5|d), name, d, n, by,
		arrangements[bits.Len(uint(field))-4])
}

func (a *assembly) smull(d, n, m int)  { a.integers(0x0e20c000, "SMULL", wordsSize, d, n, m) }
func (a *assembly) smull2(d, n, m int) { a.integers(0x4e20c000, "SMULL2", wordsSize, d, n, m) }
func (a *assembly) umull(d, n, m int)  { a.integers(0x2e20c000, "UMULL", wordsSize, d, n, m) }
func (a *assembly) umull2(d, n, m int) { a.integers(0x6e20c000, "UMULL2", wordsSize, d, n, m) }
func (a *assembly) zip1(size, d, n, m int) {
	a.integers(0x4e003800, "ZIP1", size, d, n, m)
}
func (a *assembly) zip2(size, d, n, m int) {
	a.integers(0x4e007800, "ZIP2", size, d, n, m)
}

// uxtl and uxtl2 widen the lower and the upper integers of n without signs.
func (a *assembly) uxtl(size, d, n int) {
	a.shift(0x2f00a400, "USHLL", 8<<size, d, n, 0)
}
func (a *assembly) uxtl2(size, d, n int) {
	a.shift(0x6f00a400, "USHLL2", 8<<size, d, n, 0)
}

func (a *assembly) insert(size, d, to, n, from int) {
	a.emit("VMOV V%d.%s[%d], V%d.%s[%d]", n, lanes[size], from, d, lanes[size], to)
}

// threeOperands has the instructions that are one of NEON, by amd64's names without their sizes.
var threeOperands = map[string]struct {
	name     string
	encoding uint32
}{
	"VPADD": {"ADD", 0x4e208400}, "VPADDS": {"SQADD", 0x4e200c00}, "VPADDUS": {"UQADD", 0x6e200c00},
	"VPSUB": {"SUB", 0x6e208400}, "VPSUBS": {"SQSUB", 0x4e202c00}, "VPSUBUS": {"UQSUB", 0x6e202c00},
	"VPMULL": {"MUL", 0x4e209c00}, "VPAVG": {"URHADD", 0x6e201400},
	"VPCMPEQ": {"CMEQ", 0x6e208c00}, "VPCMPGT": {"CMGT", 0x4e203400},
	"VPMAXU": {"UMAX", 0x6e206400}, "VPMINS": {"SMIN", 0x4e206c00},
}

// packed translates operations on vectors of integers. What AVX2 does in each half of a vector, NEON
// does in each register.
func (t *translation) packed() bool {
	last := t.opcode[len(t.opcode)-1]
	size, stem := sizes[last], t.opcode[:len(t.opcode)-1]
	o := t.operands
	three, ok := threeOperands[stem]
	switch {
	case ok:
		t.eachHalf(func(d, n, m int) { t.integers(three.encoding, three.name, size, d, n, m) })
	case t.opcode == "VPANDN":
		t.eachHalf(func(d, n, m int) {
			t.emit("WORD $0x%08x // BIC V%d.16B, V%d.16B, V%d.16B", 0x4e601c00|n<<16|m<<5|d, d, m, n)
		})
	case strings.HasPrefix(t.opcode, "VPUNPCK"):
		t.unpack()
	case stem == "VPABS":
		n, d := mustVector(o[0]), mustVector(o[1])
		for half := range t.width() {
			t.integersOf(0x4e20b800, "ABS", size, d[half], n[half])
		}
	case t.opcode == "VCVTDQ2PS":
		n, d := mustVector(o[0]), mustVector(o[1])
		for half := range t.width() {
			t.two(0x4e21d800, "SCVTF", d[half], "4S", n[half], "4S")
		}
	case stem == "VPSLL" || stem == "VPSRL" || stem == "VPSRA":
		t.packedShift(stem, size)
	case t.opcode == "VPSHUFB":
		// The numbers of bytes are less than 16, or at least 128 for a zero.
		t.eachHalf(func(d, n, m int) {
			t.emit("WORD $0x%08x // TBL V%d.16B, V%d.16B, V%d.16B", 0x4e000000|m<<16|n<<5|d, d, n, m)
		})
	case t.opcode == "VPBLENDVB":
		t.blend()
	default:
		return t.multiplied() || t.packedMove() || t.rearranged()
	}
	return true
}

// eachHalf writes an operation of three operands for each half: d = n operation m, where n is the
// second operand and m the first.
func (t *translation) eachHalf(operation func(d, n, m int)) {
	o := t.operands
	m, n, d := t.source(o[0]), t.source(o[1]), mustVector(o[2])
	for half := range t.width() {
		operation(d[half], n[half], m[half])
	}
}

// unpack translates the instructions that interleave: the lower or the upper integers.
func (t *translation) unpack() {
	size, zip := sizes[t.opcode[len("VPUNPCKL")]], t.zip1
	if t.opcode[len("VPUNPCK")] == 'H' {
		zip = t.zip2
	}
	t.eachHalf(func(d, n, m int) { zip(size, d, n, m) })
}

// packedShift translates shifts by a constant, and those to the left or without signs by the number in
// a register.
func (t *translation) packedShift(stem string, size int) {
	n, d, all := mustVector(t.operands[1]), mustVector(t.operands[2]), 8<<size
	if by, ok := vector(t.operands[0]); ok {
		counts := t.temporary()
		t.emit("VDUP V%d.%s[0], V%d.%s", by[0], lanes[size], counts, []string{"B16", "H8", "S4", "D2"}[size])
		if stem == "VPSRL" {
			t.integersOf(0x6e20b800, "NEG", size, counts, counts)
		} else if stem != "VPSLL" {
			log.Fatalf("no translation of %s by a register", t.opcode)
		}
		for half := range t.width() {
			t.integers(0x6e204400, "USHL", size, d[half], n[half], counts)
		}
		return
	}
	by := integer(t.operands[0])
	if by >= all {
		log.Fatalf("%s by %d", t.opcode, by)
	}
	for half := range t.width() {
		switch stem {
		case "VPSLL":
			t.shift(0x4f005400, "SHL", all+by, d[half], n[half], by)
		case "VPSRL":
			t.shift(0x6f000400, "USHR", 2*all-by, d[half], n[half], by)
		default:
			t.shift(0x4f000400, "SSHR", 2*all-by, d[half], n[half], by)
		}
	}
}

// blend translates the choice of bytes by the signs of those of a mask.
func (t *translation) blend() {
	o := t.operands
	mask, yes, no, d := mustVector(o[0]), t.source(o[1]), mustVector(o[2]), mustVector(o[3])
	for half := range t.width() {
		signs := t.maskFor(d[half], yes[half], no[half])
		t.shift(0x4f000400, "SSHR", 16-7, signs, mask[half], 7)
		t.choose(d[half], signs, yes[half], no[half])
	}
}

// multiplied translates products of words of which a part or sums are kept, and sums of differences.
func (t *translation) multiplied() bool {
	var operation func(d, n, m int)
	switch t.opcode {
	case "VPMADDWD":
		low, high := t.temporary(), t.temporary()
		operation = func(d, n, m int) {
			t.smull(low, n, m)
			t.smull2(high, n, m)
			t.integers(0x4e20bc00, "ADDP", longsSize, d, low, high)
		}
	case "VPMULHW", "VPMULHUW":
		multiply, multiply2 := t.smull, t.smull2
		if t.opcode == "VPMULHUW" {
			multiply, multiply2 = t.umull, t.umull2
		}
		low, high := t.temporary(), t.temporary()
		operation = func(d, n, m int) {
			multiply(low, n, m)
			multiply2(high, n, m)
			t.integers(0x4e005800, "UZP2", wordsSize, d, low, high)
		}
	case "VPMADDUBSW":
		operation = t.multiplyBytes
	case "VPSADBW":
		operation = func(d, n, m int) {
			t.integers(0x6e207400, "UABD", bytesSize, d, n, m)
			for size := bytesSize; size < quadsSize; size++ {
				t.integersOf(0x6e202800, "UADDLP", size, d, d)
			}
		}
	default:
		return false
	}
	t.eachHalf(operation)
	return true
}

// multiplyBytes multiplies bytes of n by those of m, which have signs, and adds products in pairs.
func (t *translation) multiplyBytes(d, n, m int) {
	sums, high, other := t.temporary(), t.temporary(), t.temporary()
	t.uxtl(bytesSize, sums, n)
	t.shift(0x0f00a400, "SSHLL", 8, other, m, 0)
	t.integers(0x4e209c00, "MUL", wordsSize, sums, sums, other)
	t.uxtl2(bytesSize, high, n)
	t.shift(0x4f00a400, "SSHLL2", 8, other, m, 0)
	t.integers(0x4e209c00, "MUL", wordsSize, high, high, other)
	t.integersOf(0x4e202800, "SADDLP", wordsSize, sums, sums)
	t.integersOf(0x4e202800, "SADDLP", wordsSize, high, high)
	t.integersOf(0x0e214800, "SQXTN", wordsSize, d, sums)
	t.integersOf(0x4e214800, "SQXTN2", wordsSize, d, high)
	t.temporaries = append(t.temporaries, sums, high, other)
}

// packedMove translates loads and stores of parts of a vector, and conversions.
func (t *translation) packedMove() bool {
	o := t.operands
	d, _ := vector(o[len(o)-1])
	switch t.opcode {
	case "VPMOVZXBW", "VPMOVZXBD":
		t.widen(d)
	case "VPBROADCASTB", "VPBROADCASTW", "VPBROADCASTD":
		t.broadcastInteger(d)
	case "VMOVD":
		t.moveLow("FMOVS", 4)
	case "VMOVQ":
		t.moveLow("FMOVD", 8)
	case "VMOVHPS":
		t.emit("VST1 V%d.D[1], (%s)", mustVector(o[0])[0], t.pointer(o[1]))
	case "VPEXTRD", "VPEXTRQ":
		size := sizes[t.opcode[len(t.opcode)-1]]
		if r := register(o[2]); r != "" {
			t.emit("VMOV V%d.%s[%d], %s", mustVector(o[1])[0], lanes[size], integer(o[0]), r)
			return true
		}
		t.emit("VST1 V%d.%s[%d], (%s)", mustVector(o[1])[0], lanes[size], integer(o[0]), t.pointer(o[2]))
	case "VPINSRQ":
		t.assembly.move(d[0], mustVector(o[2])[0])
		if r := register(o[1]); r != "" {
			t.emit("VMOV %s, V%d.D[%d]", r, d[0], integer(o[0]))
			return true
		}
		t.emit("VLD1 (%s), V%d.D[%d]", t.pointer(o[1]), d[0], integer(o[0]))
	default:
		return false
	}
	return true
}

// moveLow translates moves of the lowest number of a vector from or to memory or a register.
func (t *translation) moveLow(opcode string, size int) {
	place := func(operand string) string {
		if p, ok := vector(operand); ok {
			return fmt.Sprint("F", p[0])
		}
		if r := register(operand); r != "" {
			return r
		}
		return t.location(operand, size)
	}
	t.emit("%s %s, %s", opcode, place(t.operands[0]), place(t.operands[1]))
}

// widen translates the conversion of bytes to words or to double words without signs.
func (t *translation) widen(d pair) {
	n, ok := vector(t.operands[0])
	if !ok {
		n[0] = d[0]
		if t.opcode == "VPMOVZXBW" && t.width() == 2 {
			t.emit("FMOVQ %s, F%d", t.location(t.operands[0], 16), d[0])
		} else {
			t.emit("FMOVD %s, F%d", t.location(t.operands[0], 8), d[0])
		}
	}
	if t.opcode == "VPMOVZXBW" {
		if t.width() == 2 {
			t.uxtl2(bytesSize, d[1], n[0])
		}
		t.uxtl(bytesSize, d[0], n[0])
		return
	}
	t.uxtl(bytesSize, d[0], n[0])
	t.uxtl2(wordsSize, d[1], d[0])
	t.uxtl(wordsSize, d[0], d[0])
}

// broadcastInteger fills a vector with one integer.
func (t *translation) broadcastInteger(d pair) {
	operand, size := t.operands[0], sizes[t.opcode[len(t.opcode)-1]]
	arrangement := []string{"B16", "H8", "S4"}[size]
	if n, ok := vector(operand); ok {
		t.emit("VDUP V%d.%s[0], V%d.%s", n[0], lanes[size], d[0], arrangement)
	} else if strings.HasSuffix(operand, "(FP)") {
		t.emit("%s %s, %s", []string{"MOVBU", "MOVHU", "MOVWU"}[size], operand, value)
		t.emit("VDUP %s, V%d.%s", value, d[0], arrangement)
	} else {
		t.emit("VLD1R (%s), [V%d.%s]", t.pointer(operand), d[0], arrangement)
	}
	if t.width() == 2 {
		t.assembly.move(d[1], d[0])
	}
}

// rearranged translates what moves numbers between vectors or halves of them.
func (t *translation) rearranged() bool {
	o := t.operands
	d, _ := vector(o[len(o)-1])
	switch t.opcode {
	case "VPACKSSDW", "VPACKSSWB", "VPACKUSWB":
		t.narrow()
	case "VPERMQ":
		t.permute(d, mustVector(o[1]), integer(o[0]))
	case "VPSHUFLW", "VPSHUFHW":
		t.shuffleWords()
	case "VPERM2I128":
		m, n := t.source(o[1]), mustVector(o[2])
		from := [4]int{n[0], n[1], m[0], m[1]}
		low, high, upper := from[integer(o[0])&3], from[integer(o[0])>>4&3], t.temporary()
		t.assembly.move(upper, high)
		t.assembly.move(d[0], low)
		t.assembly.move(d[1], upper)
	case "VEXTRACTI128":
		if n := mustVector(o[1]); halves(o[2]) == 1 {
			t.assembly.move(d[0], n[1])
		} else {
			t.emit("FMOVQ F%d, %s", n[1], t.location(o[2], 16))
		}
	case "VINSERTI128":
		if m, ok := vector(o[1]); ok {
			t.assembly.move(d[1], m[0])
		} else {
			t.emit("FMOVQ %s, F%d", t.location(o[1], 16), d[1])
		}
		t.assembly.move(d[0], mustVector(o[2])[0])
	case "VPTEST":
		t.test()
	default:
		return false
	}
	return true
}

// narrow translates the conversion to half the size, with saturation.
func (t *translation) narrow() {
	size := sizes[t.opcode[len(t.opcode)-1]] // of the result
	low, high, name := uint32(0x0e214800), uint32(0x4e214800), "SQXTN"
	if t.opcode == "VPACKUSWB" {
		low, high, name = 0x2e212800, 0x6e212800, "SQXTUN"
	}
	t.eachHalf(func(d, n, m int) {
		to := t.maskFor(d, m)
		t.integersOf(low, name, size, to, n)
		t.integersOf(high, name+"2", size, to, m)
		t.assembly.move(d, to)
	})
}

// permute sets d to quarters of n: two bits of pick each.
func (t *translation) permute(d, n pair, pick int) {
	quarter := func(to, first, second int) {
		a, b := n[first/2], n[second/2]
		switch {
		case first%2 == 0 && second%2 == 0:
			t.zip1(quadsSize, to, a, b)
		case first%2 == 1 && second%2 == 1:
			t.zip2(quadsSize, to, a, b)
		case first%2 == 1:
			t.emit("VEXT $8, V%d.B16, V%d.B16, V%d.B16", b, a, to)
		default:
			t.assembly.move(to, a)
			t.insert(quadsSize, to, 1, b, 1)
		}
	}
	low := t.temporary()
	quarter(low, pick&3, pick>>2&3)
	if pick>>4 == 0xe && d[1] == n[1] {
		t.assembly.move(d[0], low)
		return
	}
	high := t.temporary()
	quarter(high, pick>>4&3, pick>>6&3)
	t.assembly.move(d[0], low)
	t.assembly.move(d[1], high)
}

// shuffleWords translates the shuffle of the four lower or upper words of each half.
func (t *translation) shuffleWords() {
	pick, n, d := integer(t.operands[0]), mustVector(t.operands[1]), mustVector(t.operands[2])
	first := 0
	if t.opcode == "VPSHUFHW" {
		first = 4
	}
	for half := range t.width() {
		to := t.maskFor(d[half], n[half])
		t.assembly.move(to, n[half])
		for i := range 4 {
			if from := pick >> (2 * i) & 3; from != i {
				t.insert(wordsSize, to, first+i, n[half], first+from)
			}
		}
		t.assembly.move(d[half], to)
	}
}

// test translates the comparison of common bits with zero, and the jump after it.
func (t *translation) test() {
	o := t.operands
	m, n, common := t.source(o[0]), mustVector(o[1]), t.temporary()
	t.bitwise("VAND", common, n[0], m[0])
	if halves(o[1]) == 2 {
		upper := t.temporary()
		t.bitwise("VAND", upper, n[1], m[1])
		t.bitwise("VORR", common, common, upper)
	}
	t.emit("WORD $0x%08x // UMAXV S%d, V%d.4S", 0x6eb0a800|common<<5|common, common, common)
	t.emit("FMOVS F%d, %s", common, value)
	if !slices.Contains([]string{"JZ", "JNZ"}, t.next.opcode) {
		log.Fatalf("no jump after %s", t.opcode)
	}
	t.branch("CB", value+", ")
}
