package jpeg

import (
	"encoding/binary"

	"garb/internal/raster"
)

// bitReader reads the entropy-coded data of a scan. Past their end, which is a marker, it returns
// zeros and counts them.
type bitReader struct {
	data []byte
	at   int
	// acc holds n bits, at its upper end.
	acc uint64
	n   int
	// missing counts the zero bits that were added.
	missing int
	badCode bool // there was a bit sequence that is no code
}

// restart goes on at a byte.
func (b *bitReader) restart(at int) { b.at, b.acc, b.n, b.missing = at, 0, 0, 0 }

// fill reads until at least 48 bits are available.
func (b *bitReader) fill() {
	v := b.peek()
	if v == 0 {
		b.fillSlowly()
		return
	}
	// Bits beyond the bytes taken are read again next time.
	b.acc |= v >> (b.n & 63)
	b.at += (64 - b.n) >> 3
	b.n += (64 - b.n) &^ 7
}

// peek returns the next 8 bytes of data, or 0 if they may not be taken as they are.
func (b *bitReader) peek() uint64 {
	if b.at+8 > len(b.data) {
		return 0
	}
	v := binary.BigEndian.Uint64(b.data[b.at:])
	// No byte is 0xff if no byte of ^v is 0.
	if w := ^v; (w-0x0101010101010101)&^w&0x8080808080808080 != 0 {
		return 0
	}
	return v
}

// fillSlowly fills byte by byte.
func (b *bitReader) fillSlowly() {
	b.acc &= ^(^uint64(0) >> b.n) // fill may have left more bits
	for b.n <= 56 {
		b.acc |= b.nextByte() << (56 - b.n)
		b.n += 8
	}
}

// nextByte returns the next byte of data, zero at their end. Like libjpeg it takes any number of
// 0xff before a zero for one.
func (b *bitReader) nextByte() uint64 {
	if b.at < len(b.data) && b.data[b.at] != 0xff {
		b.at++
		return uint64(b.data[b.at-1])
	}
	for end := b.at + 1; end < len(b.data); end++ {
		if b.data[end] == 0 {
			b.at = end + 1
			return 0xff
		}
		if b.data[end] != 0xff {
			break
		}
	}
	b.missing += 8
	return 0
}

// isOverrun reports whether added bits have been used.
func (b *bitReader) isOverrun() bool { return b.missing > b.n }

// end moves the decoder behind the bytes read, or before the marker that ends the data. It fails if
// the data have ended without a marker.
func (b *bitReader) end(d *decoder) error {
	d.at = b.at
	if b.badCode {
		d.repairs.AddRepair(repairBadCode)
	}
	if b.isOverrun() && b.isCut() {
		return raster.ErrTruncated
	}
	return nil
}

// isCut reports whether the data end without a marker behind the bytes read.
func (b *bitReader) isCut() bool {
	for _, v := range b.data[min(b.at, len(b.data)):] {
		if v != 0xff {
			return false
		}
	}
	return true
}

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

// takeSymbol decodes one symbol, which takes at most 17 bits.
func (b *bitReader) takeSymbol(h *huffman) uint8 {
	symbol, n := h.find(b.acc)
	b.skip(n)
	b.badCode = b.badCode || n > maxCodeBits
	return symbol
}
