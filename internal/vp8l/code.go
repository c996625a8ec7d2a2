package vp8l

import (
	"math/bits"

	"garb/internal/raster"
)

const (
	maxLength = 15 // of a code word
	rootBits  = 8  // that the first lookup takes
)

// code is a prefix code. An entry has a symbol << 4 | the length of its code word. If that is longer
// than the first lookup, the entry is place << 4 | length, where place is that of a second table for
// words up to this length.
type code struct {
	entries []uint16
	mask    uint16 // of the first lookup
}

// single reports whether the code has only one symbol, of length 0.
func (c *code) single() bool { return len(c.entries) == 1 }

// symbol reads a symbol. The reader must have maxLength bits.
func (c *code) symbol(r *bitReader) int {
	e := c.entries[uint16(r.value)&c.mask]
	if n := uint(e & 15); n > rootBits {
		e = c.entries[int(e>>4)+int(r.value>>rootBits)&(1<<(n-rootBits)-1)]
	}
	r.skip(uint(e & 15))
	return int(e >> 4)
}

// builder makes codes from lengths and keeps memory for it.
type builder struct {
	lengths []uint8 // by symbol
	sorted  []uint16
	arena   []uint16
}

// build returns the code with b.lengths, or none if store is false.
func (b *builder) build(store bool) (code, error) {
	var counts [maxLength + 1]int
	for _, n := range b.lengths {
		counts[n]++
	}
	used := len(b.lengths) - counts[0]
	if used == 0 {
		return code{}, raster.Corruptf("VP8L: a prefix code is empty")
	}
	counts[0] = 0
	b.sort(&counts, used)
	if used == 1 {
		return b.store(store, []uint16{b.sorted[0] << 4}), nil
	}
	free, longest := 1, 0
	for n := 1; n <= maxLength; n++ {
		free = 2*free - counts[n]
		if free < 0 {
			return code{}, raster.Corruptf("VP8L: a prefix code has too many words")
		}
		if counts[n] > 0 {
			longest = n
		}
	}
	if free > 0 {
		return code{}, raster.Corruptf("VP8L: a prefix code is incomplete")
	}
	if !store {
		return code{}, nil
	}
	return b.fill(&counts, longest), nil
}

// sort sorts the symbols by length.
func (b *builder) sort(counts *[maxLength + 1]int, used int) {
	var at [maxLength + 1]int
	for n := 1; n < maxLength; n++ {
		at[n+1] = at[n] + counts[n]
	}
	b.sorted = append(b.sorted[:0], make([]uint16, used)...)
	for symbol, n := range b.lengths {
		if n > 0 {
			b.sorted[at[n]] = uint16(symbol)
			at[n]++
		}
	}
}

// fill makes the tables of a complete code.
func (b *builder) fill(counts *[maxLength + 1]int, longest int) code {
	root := min(longest, rootBits)
	table := make([]uint16, 1<<root, 1<<root+1<<(longest-root))
	word, symbols := 0, b.sorted
	low, second, secondBits := -1, 0, 0
	for n := 1; n <= longest; n++ {
		for left := counts[n]; left > 0; left-- {
			reversed := int(bits.Reverse16(uint16(word)) >> (16 - n))
			entry := symbols[0]<<4 | uint16(n)
			symbols = symbols[1:]
			if n <= root {
				for i := reversed; i < 1<<root; i += 1 << n {
					table[i] = entry
				}
			} else {
				if reversed&(1<<root-1) != low {
					low = reversed & (1<<root - 1)
					second, secondBits = len(table), secondSize(counts, n, left, root)
					table = append(table, make([]uint16, 1<<secondBits)...)
					table[low] = uint16(second)<<4 | uint16(root+secondBits)
				}
				for i := reversed >> root; i < 1<<secondBits; i += 1 << (n - root) {
					table[second+i] = entry
				}
			}
			word++
		}
		word <<= 1
	}
	return b.store(true, table)
}

// secondSize returns the bits of a second table whose first words have length n, of which left are to
// come.
func secondSize(counts *[maxLength + 1]int, n, left, root int) int {
	free := 1<<(n-root) - left
	for free > 0 && n < maxLength {
		n++
		free = 2*free - counts[n]
	}
	return n - root
}

// store copies a table to memory that many tables share.
func (b *builder) store(store bool, table []uint16) code {
	if !store {
		return code{}
	}
	if len(b.arena) < len(table) {
		b.arena = make([]uint16, max(len(table), 4096))
	}
	c := code{entries: b.arena[:len(table):len(table)], mask: uint16(min(len(table), 1<<rootBits) - 1)}
	copy(c.entries, table)
	b.arena = b.arena[len(table):]
	return c
}

// lengthOrder is the order in which the lengths of the code of lengths are stored (RFC 9649, section
// 3.7.2.1.2).
var lengthOrder = [19]uint8{17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}

// readCode reads a prefix code of size symbols.
func (b *builder) readCode(r *bitReader, size int, store bool) (code, error) {
	simple := r.readFlag()
	if !simple {
		if err := b.readLengths(r, size); err != nil {
			return code{}, err
		}
		return b.build(store)
	}
	b.reset(size)
	symbols := 1 + r.read(1)
	width := uint(1)
	if r.readFlag() {
		width = 8
	}
	for range symbols {
		if symbol := r.read(width); symbol < size {
			b.lengths[symbol] = 1
		}
		width = 8
	}
	return b.build(store)
}

func (b *builder) reset(size int) {
	if cap(b.lengths) < size {
		b.lengths = make([]uint8, size)
	}
	b.lengths = b.lengths[:size]
	clear(b.lengths)
}

// readLengths reads the lengths of the words of a code of size symbols.
func (b *builder) readLengths(r *bitReader, size int) error {
	b.reset(len(lengthOrder))
	n := 4 + r.read(4)
	for _, symbol := range lengthOrder[:n] {
		b.lengths[symbol] = uint8(r.read(3))
	}
	lengths, err := b.build(true)
	if err != nil {
		return err
	}
	b.reset(size)
	left := size // words that are stored
	if r.readFlag() {
		width := uint(2 + 2*r.read(3))
		if left = 2 + r.read(width); left > size {
			return raster.Corruptf("VP8L: a prefix code has too many lengths")
		}
	}
	previous := uint8(8)
	for symbol := 0; symbol < size && left > 0; left-- {
		r.fill()
		n := lengths.symbol(r)
		if n < 16 {
			b.lengths[symbol] = uint8(n)
			symbol++
			if n > 0 {
				previous = uint8(n)
			}
			continue
		}
		var value uint8
		var repeat int
		switch n {
		case 16:
			value, repeat = previous, 3+r.read(2)
		case 17:
			repeat = 3 + r.read(3)
		default:
			repeat = 11 + r.read(7)
		}
		if symbol+repeat > size {
			return raster.Corruptf("VP8L: a prefix code has too many lengths")
		}
		for range repeat {
			b.lengths[symbol] = value
			symbol++
		}
	}
	return nil
}
