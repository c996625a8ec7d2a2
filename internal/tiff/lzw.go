package tiff

import (
	"encoding/binary"
	"fmt"
	"math"

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
type lzwString struct {
	start  uint32
	length uint16
}

// lzwSlack is the number of bytes that the output has room for behind its end: a string, of which 8 bytes
// are copied at once.
const lzwSlack = lzwMaxLength + 8

// unpackLZW decodes size bytes.
func (d *decoder) unpackLZW(strip []byte, size int) ([]byte, error) {
	const part = 1 << 18 // decoded between looks at the context
	if size > math.MaxUint32-lzwSlack {
		return nil, fmt.Errorf("%w: TIFF with a strip or tile of %d bytes", raster.ErrTooLarge, size)
	}
	if d.lzw == nil {
		d.lzw = new(lzwDecoder)
	}
	l := d.lzw
	l.data, l.bits, l.count = strip, 0, 0
	l.old = len(strip) >= 2 && strip[0] == 0 && strip[1]&1 != 0 // begins with a clear code of the old kind
	l.width, l.next, l.previous = lzwMinWidth, 0, lzwString{}
	out, done := make([]byte, min(size, 4*len(strip))+lzwSlack), 0
	for done < size {
		if err := d.ctx.Err(); err != nil {
			return nil, err
		}
		room := len(out) - lzwSlack
		if done >= room {
			out = append(out, make([]byte, min(room, size-room))...)
			continue
		}
		var err error
		if done, err = l.decode(out, done, min(room, done+part)); err != nil {
			return nil, err
		}
	}
	return out[:size], nil
}

// decode writes strings to out from at on, until there are at least size bytes. It returns their number.
func (l *lzwDecoder) decode(out []byte, at, size int) (int, error) {
	for at < size {
		if l.count < l.width && !l.fill() {
			return 0, raster.ErrTruncated
		}
		code := l.take()
		switch {
		case code == lzwEnd:
			return 0, raster.ErrTruncated
		case code == lzwClear:
			l.width, l.next, l.previous = lzwMinWidth, lzwFirst, lzwString{}
			continue
		case l.next == 0:
			return 0, raster.Corruptf("TIFF with LZW data that do not begin with the clear code")
		}
		s := lzwString{uint32(at), 1}
		switch {
		case code < lzwClear:
			out[at] = byte(code)
		case l.previous.length == 0 || code > l.next:
			return 0, raster.Corruptf("TIFF with an LZW code without a string")
		case code == l.next: // the string ends with its own first byte
			s.length = l.previous.length + 1
			copyString(out, at, l.previous)
			out[at+int(l.previous.length)] = out[at]
		default:
			s.length = l.strings[code].length
			copyString(out, at, l.strings[code])
		}
		if l.previous.length > 0 {
			l.addString()
		}
		l.previous = s
		at += int(s.length)
	}
	return at, nil
}

// copyString copies a string that ends before at to at, and what follows it up to 8 bytes.
func copyString(out []byte, at int, s lzwString) {
	if s.length <= 8 {
		binary.LittleEndian.PutUint64(out[at:], binary.LittleEndian.Uint64(out[s.start:]))
		return
	}
	copy(out[at:], out[s.start:][:s.length])
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

// fill reads data, so that there are enough bits for a code. It returns false at the end of the data.
func (l *lzwDecoder) fill() bool {
	for l.count < l.width {
		switch {
		case len(l.data) >= 4 && l.old:
			l.bits |= uint64(binary.LittleEndian.Uint32(l.data)) << l.count
			l.data, l.count = l.data[4:], l.count+32
		case len(l.data) >= 4:
			l.bits = l.bits<<32 | uint64(binary.BigEndian.Uint32(l.data))
			l.data, l.count = l.data[4:], l.count+32
		case len(l.data) == 0:
			return false
		case l.old:
			l.bits |= uint64(l.data[0]) << l.count
			l.data, l.count = l.data[1:], l.count+8
		default:
			l.bits = l.bits<<8 | uint64(l.data[0])
			l.data, l.count = l.data[1:], l.count+8
		}
	}
	return true
}

// take takes a code from the bits.
func (l *lzwDecoder) take() int {
	l.count -= l.width
	if l.old {
		code := l.bits & (1<<l.width - 1)
		l.bits >>= l.width
		return int(code)
	}
	return int(l.bits >> l.count & (1<<l.width - 1))
}
