package vp8l

import "encoding/binary"

// bitReader reads bits, the least significant of each byte first. Behind the data are zeros.
// The assembly knows the order of the fields.
type bitReader struct {
	value uint64 // next bits, the first the lowest; those above count are right or 0
	count uint   // bits of value that may be used
	next  int    // index of the byte to load next
	data  []byte
}

// fill makes at least 56 bits available.
func (r *bitReader) fill() {
	if r.next+8 <= len(r.data) {
		r.value |= binary.LittleEndian.Uint64(r.data[r.next:]) << (r.count & 63)
		r.next += int(63-r.count) >> 3
		r.count |= 56
		return
	}
	for r.count <= 56 {
		if r.next < len(r.data) {
			r.value |= uint64(r.data[r.next]) << r.count
		}
		r.next++
		r.count += 8
	}
}

// read reads a number of n bits, at most 24.
func (r *bitReader) read(n uint) int {
	if r.count < n {
		r.fill()
	}
	v := int(r.value & (1<<n - 1))
	r.skip(n)
	return v
}

func (r *bitReader) readFlag() bool { return r.read(1) != 0 }

func (r *bitReader) skip(n uint) {
	r.value >>= n & 63
	r.count -= n
}

// overrun reports whether more bits were read than there are. libwebp (src/utils/bit_reader_utils.c)
// takes short data as filled up to 64 bits.
func (r *bitReader) overrun() bool { return 8*r.next-int(r.count) > max(64, 8*len(r.data)) }
