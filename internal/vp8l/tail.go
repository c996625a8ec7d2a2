package vp8l

import "encoding/binary"

// tail reads the last 64 bits of the data as libwebp does (src/utils/bit_reader_utils.c). Bits behind
// them are zeros or, if none is left when a symbol begins, the first of the 64 again. That matters
// only for planes of indexes: libwebp accepts them if no more than the last symbol is cut.
type tail struct {
	value uint64
	at    uint // bits that were read
	ended bool // more than 64 were read
}

// newTail returns the tail of what r reads, or nil if r has more than 64 bits left.
func newTail(r *bitReader) *tail {
	read, first := 8*r.next-int(r.count), max(len(r.data)-8, 0)
	if read < 8*first {
		return nil
	}
	var last [8]uint8
	copy(last[:], r.data[first:])
	return &tail{value: binary.LittleEndian.Uint64(last[:]), at: uint(read - 8*first)}
}

func (t *tail) peek() uint32 { return uint32(t.value >> (t.at & 63)) }

// check looks whether more bits were read than there are.
func (t *tail) check() {
	if t.at > 64 || t.ended {
		t.ended = true
		t.at = 0
	}
}

// fill checks where libwebp would load more.
func (t *tail) fill() {
	if t.at >= 32 {
		t.check()
	}
}

func (t *tail) read(n uint) int {
	if n == 0 {
		return 0
	}
	if t.ended {
		t.at = 0
		return 0
	}
	v := t.peek() & (1<<n - 1)
	t.at += n
	t.check()
	return int(v)
}

func (t *tail) symbol(c *code) int {
	e := c.entries[uint16(t.peek())&c.mask]
	n := uint(e & 15)
	if n > rootBits {
		t.at += rootBits
		e = c.entries[int(e>>4)+int(t.peek()&(1<<(n-rootBits)-1))]
		n = uint(e&15) - rootBits
	}
	t.at += n
	return int(e >> 4)
}

// decodeTail decodes the rest of a row of a plane of indexes, all in green, from the tail of the data.
func (c *cursor) decodeTail(t *tail) error {
	for y := c.y; c.y == y && c.at < len(c.pix); {
		if t.ended || t.at > 64 {
			return errTruncated
		}
		g := c.groupAt(c.x, c.y)
		t.fill()
		symbol := t.symbol(&g.codes[green])
		if symbol < literals {
			c.pix[c.at] = g.literal | uint32(symbol)<<8
			c.advance(1)
			continue
		}
		base, extra := splitPrefixed(symbol - literals)
		n := base + t.read(extra)
		symbol = t.symbol(&g.codes[distance])
		t.fill()
		base, extra = splitPrefixed(symbol)
		if err := c.copyPixels(n, c.convertDistance(base+t.read(extra))); err != nil {
			return err
		}
	}
	return nil
}
