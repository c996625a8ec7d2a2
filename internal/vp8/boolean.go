package vp8

import "encoding/binary"

// boolReader decodes decisions of the boolean entropy code (RFC 6386, section 7).
// The assembly knows the order of the fields.
type boolReader struct {
	value uint64 // bits+8 bits that are loaded
	next  int    // index of the byte to load next
	data  []byte
	span  uint32 // width of the interval − 1, 127 to 254
	bits  int32  // loaded bits that the next decision does not need; negative: more must be loaded
	ended bool   // more bytes were needed than there are
	wide  bool   // a coefficient was beyond ±maxNarrow since the caller cleared this
}

func newBoolReader(data []byte) boolReader {
	r := boolReader{data: data, span: 254, bits: -8}
	r.load()
	return r
}

// load loads 7 bytes or, near the end, one. A zero follows the last byte.
func (r *boolReader) load() {
	switch rest := r.data[r.next:]; {
	case len(rest) >= 8:
		r.value = r.value<<56 | binary.BigEndian.Uint64(rest)>>8
		r.bits += 56
		r.next += 7
	case len(rest) > 0:
		r.value = r.value<<8 | uint64(rest[0])
		r.bits += 8
		r.next++
	case !r.ended:
		r.value <<= 8
		r.bits += 8
		r.ended = true
	default:
		r.bits = 0
	}
}

// normalization has, by an interval's width, the bits to shift it by so that it becomes 128 to 255.
var normalization = func() (shifts [256]uint8) {
	for width := 1; width < 256; width++ {
		for width<<shifts[width] < 128 {
			shifts[width]++
		}
	}
	return shifts
}()

// read decodes a decision that is false with the given probability in 256.
func (r *boolReader) read(probability uint8) bool {
	if r.bits < 0 {
		r.load()
	}
	split := r.span * uint32(probability) >> 8
	width := split + 1
	one := uint32(r.value>>(r.bits&63)) > split
	if one {
		r.value -= uint64(width) << (r.bits & 63)
		width = r.span - split
	}
	shift := normalization[uint8(width)]
	r.span = width<<(shift&7) - 1
	r.bits -= int32(shift)
	return one
}

// readBit is read as a number.
func (r *boolReader) readBit(probability uint8) int {
	if r.read(probability) {
		return 1
	}
	return 0
}

// readSign is readFlag as libwebp decodes signs (src/utils/bit_reader_inl_utils.h): data that no encoder
// writes, for instance those that begin with 255, give other signs.
func (r *boolReader) readSign() bool {
	if r.bits < 0 {
		r.load()
	}
	split := r.span >> 1
	one := int32(split-uint32(r.value>>(r.bits&63))) < 0
	if one {
		r.value -= uint64(split+1) << (r.bits & 63)
		r.span--
	}
	r.span |= 1
	r.bits--
	return one
}

// readFlag decodes a decision without a preference.
func (r *boolReader) readFlag() bool { return r.read(128) }

// readNumber decodes a number of n bits.
func (r *boolReader) readNumber(n int) int {
	v := 0
	for range n {
		v = v<<1 | r.readBit(128)
	}
	return v
}

// readSigned decodes a number of n bits and its sign.
func (r *boolReader) readSigned(n int) int {
	v := r.readNumber(n)
	if r.readFlag() {
		return -v
	}
	return v
}

// readOptional decodes a signed number of n bits that is 0 if a flag says so.
func (r *boolReader) readOptional(n int) int {
	if r.readFlag() {
		return r.readSigned(n)
	}
	return 0
}
