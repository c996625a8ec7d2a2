package tiff

import (
	"encoding/binary"

	"garb/internal/raster"
)

// Codes of LZW (TIFF 6.0, section 13).
const (
	lzwClear     = 256
	lzwEnd       = 257
	lzwFirst     = 258 // the first code of a string
	lzwMinWidth  = 9
	lzwMaxWidth  = 12
	lzwMaxLength = 4096 // of a string
)

// lzwDecoder decodes a strip or tile. A string of the table is a part of the output, so that the table
// has only where it is.
type lzwDecoder struct {
	data  []byte
	bits  uint64 // not yet read; the next one is the highest, in old streams the lowest
	count uint   // of bits
	// old says that codes are as before TIFF 5.0: with the lowest bit first, and wider one code later.
	old bool

	width    uint
	next     int       // the code of the string that the next code completes; 0 before the first clear code
	previous lzwString // of the previous code; its length is 0 behind the clear code
	strings  [1 << lzwMaxWidth]lzwString
}

// lzwString is a part of the output.
type lzwString struct{ start, length int }

// unpackLZW decodes size bytes.
func (d *decoder) unpackLZW(strip []byte, size int) ([]byte, error) {
	const part = 1 << 18 // decoded between looks at the context
	if d.lzw == nil {
		d.lzw = new(lzwDecoder)
	}
	l := d.lzw
	l.data, l.bits, l.count = strip, 0, 0
	l.old = len(strip) >= 2 && strip[0] == 0 && strip[1]&1 != 0 // begins with a clear code of the old kind
	l.width, l.next, l.previous = lzwMinWidth, 0, lzwString{}
	out := make([]byte, 0, min(size, 4*len(strip))+lzwMaxLength)
	for len(out) < size {
		if err := d.ctx.Err(); err != nil {
			return nil, err
		}
		var err error
		if out, err = l.decode(out, min(size, len(out)+part)); err != nil {
			return nil, err
		}
	}
	return out[:size], nil
}

// decode appends strings to out until it has at least size bytes.
func (l *lzwDecoder) decode(out []byte, size int) ([]byte, error) {
	for len(out) < size {
		code, ok := l.read()
		switch {
		case !ok, code == lzwEnd:
			return nil, raster.ErrTruncated
		case code == lzwClear:
			l.width, l.next, l.previous = lzwMinWidth, lzwFirst, lzwString{}
			continue
		case l.next == 0:
			return nil, raster.Corruptf("TIFF with LZW data that do not begin with the clear code")
		}
		s := lzwString{start: len(out), length: 1}
		switch {
		case code < lzwClear:
			out = append(out, byte(code))
		case l.previous.length == 0 || code > l.next:
			return nil, raster.Corruptf("TIFF with an LZW code without a string")
		case code == l.next: // the string ends with its own first byte
			s.length = l.previous.length + 1
			out = append(out, out[l.previous.start:][:l.previous.length]...)
			out = append(out, out[l.previous.start])
		default:
			s.length = l.strings[code].length
			out = append(out, out[l.strings[code].start:][:s.length]...)
		}
		if l.previous.length > 0 {
			l.addString()
		}
		l.previous = s
	}
	return out, nil
}

// addString adds the string of the previous code and the byte behind it to the table, unless that is full.
func (l *lzwDecoder) addString() {
	if l.next == len(l.strings) {
		return
	}
	l.strings[l.next] = lzwString{l.previous.start, l.previous.length + 1}
	l.next++
	last := 1<<l.width - 1
	if l.old {
		last++
	}
	if l.next >= last && l.width < lzwMaxWidth {
		l.width++
	}
}

// read reads a code. It returns false at the end of the data.
func (l *lzwDecoder) read() (int, bool) {
	for l.count < l.width {
		switch {
		case len(l.data) >= 4 && l.old:
			l.bits |= uint64(binary.LittleEndian.Uint32(l.data)) << l.count
			l.data, l.count = l.data[4:], l.count+32
		case len(l.data) >= 4:
			l.bits = l.bits<<32 | uint64(binary.BigEndian.Uint32(l.data))
			l.data, l.count = l.data[4:], l.count+32
		case len(l.data) == 0:
			return 0, false
		case l.old:
			l.bits |= uint64(l.data[0]) << l.count
			l.data, l.count = l.data[1:], l.count+8
		default:
			l.bits = l.bits<<8 | uint64(l.data[0])
			l.data, l.count = l.data[1:], l.count+8
		}
	}
	l.count -= l.width
	if l.old {
		code := l.bits & (1<<l.width - 1)
		l.bits >>= l.width
		return int(code), true
	}
	return int(l.bits >> l.count & (1<<l.width - 1)), true
}
