package inflate

import "math/bits"

// An entry of a table says what the code at the front of the bits stands for.
//
//	bits 0 to 4    bits to drop: those of the codes and their extra bits
//	bit 5          exceptional: a link to another table, the end of a block, or an invalid code
//	bit 6          two literals
//	bit 7          one or two literals
//	bits 8 to 11   bits of the first code alone
//	bits 12, 13    of exceptional entries: link, end of block, or neither
//	bits 16 to 31  the literals, the base of a length or distance, or the place of the other table
//
// In a link, bits 0 to 4 are those of the first table, and bits 8 to 11 those of the other one.
type entry uint32

const (
	exceptional entry = 1 << 5
	pair        entry = 1 << 6
	literal     entry = 1 << 7
	link        entry = 1 << 12
	endOfBlock  entry = 1 << 13

	invalid = exceptional | 1<<8 | 1
)

func (e entry) dropped() uint { return uint(e & 31) }
func (e entry) code() uint    { return uint(e >> 8 & 15) }
func (e entry) value() int    { return int(e >> 16) }

// Codes have at most 15 bits. Longer ones than the root's bits are in further tables: for n bits
// more, a table has 2ⁿ entries for at least n+1 codes, which limits the size of the whole.
const (
	literalBits  = 11
	distanceBits = 8
	maxBits      = 15

	literalCodes  = 288
	distanceCodes = 32
)

type (
	literalTable  [4096]entry // 2048 + 16·288/5 at most
	distanceTable [1024]entry // 256 + 128·32/8 at most
)

// Bases and extra bits of lengths and distances: RFC 1951, section 3.2.5.
var (
	literalEntries  = makeLiteralEntries()
	distanceEntries = makeDistanceEntries()
	fixed           = makeFixed()
)

func makeLiteralEntries() (entries [literalCodes]entry) {
	for i := range 256 {
		entries[i] = literal | entry(i)<<16
	}
	entries[256] = exceptional | endOfBlock
	base := 3
	for i := range 28 {
		extra := max(i/4-1, 0)
		entries[257+i] = entry(base)<<16 | entry(extra)
		base += 1 << extra
	}
	entries[285] = 258 << 16
	entries[286], entries[287] = exceptional, exceptional
	return entries
}

func makeDistanceEntries() (entries [distanceCodes]entry) {
	base := 1
	for i := range 30 {
		extra := max(i/2-1, 0)
		entries[i] = entry(base)<<16 | entry(extra)
		base += 1 << extra
	}
	entries[30], entries[31] = exceptional, exceptional
	return entries
}

func makeFixed() *struct {
	literals  literalTable
	distances distanceTable
} {
	var lengths [literalCodes]uint8
	for i := range lengths {
		switch {
		case i < 144:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		case i < 280:
			lengths[i] = 7
		default:
			lengths[i] = 8
		}
	}
	var f struct {
		literals  literalTable
		distances distanceTable
	}
	build(f.literals[:], literalBits, lengths[:], literalEntries[:])
	pairLiterals(&f.literals)
	for i := range distanceCodes {
		lengths[i] = 5
	}
	build(f.distances[:], distanceBits, lengths[:distanceCodes], distanceEntries[:])
	return &f
}

// build fills a table for codes of the given lengths, whose entries are given without the bits of the
// codes. It returns false if zlib refuses the lengths: there are too many short codes, or too few
// codes, unless there is none or one of a single bit.
func build(table []entry, rootBits int, lengths []uint8, entries []entry) bool {
	var counts, next [maxBits + 1]int
	longest := 0
	for _, n := range lengths {
		counts[n]++
		longest = max(longest, int(n))
	}
	counts[0] = 0
	free := 1 // codes of n bits that are not taken
	for n := 1; n <= maxBits; n++ {
		free = free<<1 - counts[n]
		if free < 0 {
			return false
		}
		next[n] = next[n-1] + counts[n-1]
	}
	root := table[:1<<rootBits]
	if free > 0 {
		if longest > 1 {
			return false
		}
		for i := range root {
			root[i] = invalid
		}
	}
	var sorted [literalCodes]uint16
	for symbol, n := range lengths {
		if n > 0 {
			sorted[next[n]] = uint16(symbol)
			next[n]++
		}
	}
	code, i := 0, 0 // code has its first bit lowest, as it is in the data
	for n := 1; n <= min(longest, rootBits); n++ {
		for range counts[n] {
			e := entries[sorted[i]] + entry(n) | entry(n)<<8
			for j := code; j < len(root); j += 1 << n {
				root[j] = e
			}
			code = nextCode(code, n)
			i++
		}
	}
	if longest > rootBits {
		buildLinked(table, rootBits, code, sorted[i:], counts[:longest+1], entries)
	}
	return true
}

// nextCode returns the code after code among those of n bits, or 0 after the last.
func nextCode(code, n int) int {
	top := bits.Len(uint(^code & (1<<n - 1)))
	if top == 0 {
		return 0
	}
	return code&(1<<(top-1)-1) | 1<<(top-1)
}

// buildLinked fills the tables for codes of more than rootBits bits, of which code is the first.
func buildLinked(table []entry, rootBits, code int, sorted []uint16, counts []int, entries []entry) {
	end, prefix := 1<<rootBits, -1
	var linked []entry
	i := 0
	for n := rootBits + 1; n < len(counts); n++ {
		for k := range counts[n] {
			if p := code & (1<<rootBits - 1); p != prefix {
				prefix = p
				more := linkedBits(n-rootBits, counts[n]-k, counts[n+1:])
				table[p] = exceptional | link | entry(rootBits) | entry(more)<<8 | entry(end)<<16
				linked = table[end : end+1<<more]
				end += 1 << more
			}
			e := entries[sorted[i]] + entry(n) | entry(n)<<8
			for j := code >> rootBits; j < len(linked); j += 1 << (n - rootBits) {
				linked[j] = e
			}
			code = nextCode(code, n)
			i++
		}
	}
}

// linkedBits returns the bits of a table that begins with the first of count codes of n bits, where
// longer has the counts of longer codes: as many as it takes until the codes fill the table.
func linkedBits(n, count int, longer []int) int {
	free := 1<<n - count
	for i := 0; free > 0 && i < len(longer); i++ {
		free = free<<1 - longer[i]
		n++
	}
	return n
}

// pairLiterals joins literals to those that follow them, where both codes fit in the root's bits.
// From the last entry to the first, the one of the second literal is always still unpaired.
func pairLiterals(table *literalTable) {
	for i := 1<<literalBits - 1; i >= 0; i-- {
		first := table[i]
		if first&literal == 0 {
			continue
		}
		second := table[i>>first.dropped()]
		if n := first.dropped() + second.dropped(); second&literal != 0 && n <= literalBits {
			table[i] = literal | pair | entry(n) | first&0xf00 | first&0xff0000 | second&0xff0000<<8
		}
	}
}

// order is that in which the lengths of the codes for lengths are stored: RFC 1951, section 3.2.7.
var order = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

var lengthEntries = func() (entries [19]entry) {
	for i := range entries {
		entries[i] = entry(i) << 16
	}
	return entries
}()

// readCodes reads the codes of a block.
func (d *Decompressor) readCodes() error {
	if !d.need(14) {
		return d.truncate()
	}
	literals, distances, n := int(d.take(5))+257, int(d.take(5))+1, int(d.take(4))+4
	if literals > 286 || distances > 30 {
		return corrupt("too many codes")
	}
	var lengths [literalCodes + distanceCodes]uint8
	for _, i := range order[:n] {
		if !d.need(3) {
			return d.truncate()
		}
		lengths[i] = uint8(d.take(3))
	}
	const lengthBits = 7
	var table [1 << lengthBits]entry
	if !build(table[:], lengthBits, lengths[:19], lengthEntries[:]) {
		return corrupt("invalid codes for lengths")
	}
	clear(lengths[:19])
	if err := d.readLengths(lengths[:literals+distances], &table); err != nil {
		return err
	}
	if lengths[256] == 0 {
		return corrupt("no code for the end of the block")
	}
	if !build(d.dynamic.literals[:], literalBits, lengths[:literals], literalEntries[:]) {
		return corrupt("invalid codes for literals and lengths")
	}
	pairLiterals(&d.dynamic.literals)
	if !build(d.dynamic.distances[:], distanceBits, lengths[literals:literals+distances], distanceEntries[:]) {
		return corrupt("invalid codes for distances")
	}
	return nil
}

func (d *Decompressor) readLengths(lengths []uint8, table *[128]entry) error {
	for i := 0; i < len(lengths); {
		d.fill()
		e := table[d.bits&127]
		if e.dropped() > d.count {
			return d.truncate()
		}
		d.drop(e.dropped())
		symbol := e.value()
		if symbol < 16 {
			lengths[i] = uint8(symbol)
			i++
			continue
		}
		var previous uint8
		base, extra := 3, uint(3)
		switch symbol {
		case 16:
			if i == 0 {
				return corrupt("a repeated length without one before")
			}
			previous, extra = lengths[i-1], 2
		case 18:
			base, extra = 11, 7
		}
		if extra > d.count {
			return d.truncate()
		}
		n := base + int(d.take(extra))
		if n > len(lengths)-i {
			return corrupt("too many lengths")
		}
		for range n {
			lengths[i] = previous
			i++
		}
	}
	return nil
}
