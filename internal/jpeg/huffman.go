package jpeg

import (
	"encoding/binary"

	"garb/internal/raster"
)

// lookupBits is the length of codes that one table lookup decodes.
const lookupBits = 9

const (
	// skipBits is the length of codes that one table lookup skips.
	skipBits = 11
	blockEnd = 1 << 31
)

// huffman is a code table.
type huffman struct {
	// fast has, by the next lookupBits bits, the code's length << 8 | its symbol, or 0 if the code
	// is longer.
	fast [1 << lookupBits]uint16
	// whole has, by the next lookupBits bits, an AC coefficient if its code and value fit into
	// them: value << 16 | run << 8 | bits used; otherwise 0.
	whole [1 << lookupBits]int32

	// skip has, by the next skipBits bits, the sum of the AC symbols that begin in them: blockEnd
	// if one of them ends the block | places they pass << 8 | their bits, including those of the
	// last value, which may lie beyond; 0 if there is none.
	skip    [1 << skipBits]uint32
	hasSkip bool

	// For longer codes: maxCode[n] is the largest code of n bits, as 16 bits, + 1.
	maxCode [18]int32
	offset  [17]int32 // symbols index = code + offset
	symbols [256]uint8
}

func (d *decoder) readHuffmanTables(body []byte) error {
	for len(body) > 0 {
		if len(body) < 17 {
			return raster.Corruptf("a Huffman table is too short")
		}
		class, number := body[0]>>4, body[0]&15
		if class > 1 || number > 3 {
			return raster.Corruptf("a Huffman table has an invalid number")
		}
		total := 0
		for _, n := range body[1:17] {
			total += int(n)
		}
		if total > 256 || len(body) < 17+total {
			return raster.Corruptf("a Huffman table is malformed")
		}
		h, err := newHuffman(body[1:17], body[17:17+total])
		if err != nil {
			return err
		}
		if class == 0 {
			d.dc[number] = h
		} else {
			d.ac[number] = h
		}
		body = body[17+total:]
	}
	return nil
}

// newHuffman returns a table with these numbers of codes of each length from 1 to 16 and these
// symbols.
func newHuffman(counts, symbols []byte) (*huffman, error) {
	h := &huffman{}
	copy(h.symbols[:], symbols)
	code, index := int32(0), int32(0)
	for n := 1; n <= 16; n++ {
		h.offset[n] = index - code
		for range counts[n-1] {
			if code >= 1<<n {
				return nil, raster.Corruptf("a Huffman table has too many codes")
			}
			if n <= lookupBits {
				low := int(code) << (lookupBits - n)
				for i := range 1 << (lookupBits - n) {
					h.fast[low+i] = uint16(n)<<8 | uint16(symbols[index])
				}
			}
			code++
			index++
		}
		h.maxCode[n] = code << (16 - n)
		code <<= 1
	}
	h.maxCode[17] = 1 << 30
	for i := range h.whole {
		f := h.fast[i]
		n, run, size := int(f>>8), int32(f>>4&15), int(f&15)
		if n == 0 || size == 0 || n+size > lookupBits {
			continue
		}
		value := int32(i>>(lookupBits-n-size)) & (1<<size - 1)
		if value < 1<<(size-1) {
			value += -1<<size + 1
		}
		h.whole[i] = value<<16 | run<<8 | int32(n+size)
	}
	return h, nil
}

// prepareSkip computes skip, which only decoding at 1/8 needs.
func (h *huffman) prepareSkip() {
	for i := range h.skip {
		bits, places, end := 0, 0, uint32(0)
		for bits < skipBits {
			rest := i << bits & (1<<skipBits - 1)
			f := h.fast[rest>>(skipBits-lookupBits)]
			n, run, size := int(f>>8), int(f>>4&15), int(f&15)
			if n == 0 || bits+n > skipBits {
				break
			}
			bits += n + size
			if size == 0 && run != 15 {
				end = blockEnd
				break
			}
			places += run + 1
		}
		h.skip[i] = end | uint32(places)<<8 | uint32(bits)
	}
	h.hasSkip = true
}

// bitReader reads the entropy-coded data of a scan. Past the end it returns zeros and counts them.
type bitReader struct {
	data []byte
	at   int
	// acc holds n bits, at its upper end.
	acc uint64
	n   int
	// missing counts the zero bits that were added.
	missing int
}

// fill reads until at least 48 bits are available.
func (b *bitReader) fill() {
	if b.at+8 <= len(b.data) {
		v := binary.BigEndian.Uint64(b.data[b.at:])
		// No byte is 0xff if no byte of ^v is 0.
		if w := ^v; (w-0x0101010101010101)&^w&0x8080808080808080 == 0 {
			take := (64 - b.n) >> 3
			b.acc |= v >> b.n
			b.at += take
			b.n += take << 3
			// Bits beyond the bytes taken are read again next time.
			b.acc &= ^uint64(0) << (64 - b.n)
			return
		}
	}
	for b.n <= 56 {
		var next uint64
		switch {
		case b.at < len(b.data) && b.data[b.at] != 0xff:
			next = uint64(b.data[b.at])
			b.at++
		case b.at+1 < len(b.data) && b.data[b.at+1] == 0:
			next = 0xff
			b.at += 2
		default: // a marker, or the end
			b.missing += 8
		}
		b.acc |= next << (56 - b.n)
		b.n += 8
	}
}

// isOverrun reports whether added bits have been used.
func (b *bitReader) isOverrun() bool { return b.missing > b.n }

func (b *bitReader) skip(n int) {
	b.acc <<= n
	b.n -= n
}

// take returns the next n bits, at most 16, which fill has made available.
func (b *bitReader) take(n int) int32 {
	v := int32(b.acc >> 32 >> (32 - n))
	b.skip(n)
	return v
}

// takeSigned returns the next n bits as a signed difference: the lower half of the values is
// negative.
func (b *bitReader) takeSigned(n int) int32 {
	if n == 0 {
		return 0
	}
	v := b.take(n)
	if v < 1<<(n-1) {
		v += -1<<n + 1
	}
	return v
}

// takeSymbol decodes one symbol, which takes at most 16 bits.
func (b *bitReader) takeSymbol(h *huffman) uint8 {
	if f := h.fast[b.acc>>(64-lookupBits)]; f != 0 {
		b.skip(int(f >> 8))
		return uint8(f)
	}
	next := int32(b.acc >> 48)
	n := lookupBits + 1
	for next >= h.maxCode[n] {
		n++
	}
	if n > 16 { // no such code: isOverrun reports it
		b.skip(16)
		b.missing += 1 << 20
		return 0
	}
	b.skip(n)
	return h.symbols[(next>>(16-n)+h.offset[n])&255]
}

// skipRestartMarker continues at the byte boundary behind the next restart marker.
func (b *bitReader) skipRestartMarker() error {
	b.acc, b.n, b.missing = 0, 0, 0
	for ; b.at+1 < len(b.data); b.at++ {
		if b.data[b.at] != 0xff {
			continue
		}
		next := b.data[b.at+1]
		if next >= markerRST0 && next <= markerRST7 {
			b.at += 2
			return nil
		}
		if next != 0 && next != 0xff {
			return raster.Corruptf("a restart marker is missing")
		}
	}
	return raster.ErrTruncated
}
