package gif

import (
	"context"

	"garb/internal/raster"
)

const (
	maxCodeBits = 12
	tableSize   = 1 << maxCodeBits
)

// lzwDecoder decodes GIF's variant of LZW. It differs from package compress/lzw in what it accepts, which
// is what Pillow accepts (GifDecode.c): data that do not begin with a clear code or lack an end code, a
// full table, minimum code sizes from 0 to 12. The end of the sequence of blocks is not looked at.
type lzwDecoder struct {
	minBits int
	data    []byte // blocks
	at      int    // next byte
	block   int    // bytes that are left in the block
	wanted  int    // pixels

	pixels []uint8

	buffer   uint32
	buffered int // bits in buffer

	last     [tableSize]uint8  // last value of a string
	prefix   [tableSize]uint16 // code of the string without its last value
	expanded [tableSize]uint8
}

// decode decodes up to the wanted number of pixels. It fails with an error that wraps raster.ErrCorrupt
// if the data have fewer; d.pixels then has those before the fault.
func (d *lzwDecoder) decode(ctx context.Context) error {
	if d.minBits > maxCodeBits {
		return raster.Corruptf("GIF with a minimum code size of %d", d.minBits)
	}
	d.pixels = make([]uint8, 0, min(d.wanted, 4*len(d.data)))
	clear := 1 << d.minBits
	next, bits := clear+2, d.minBits+1
	previous, first := -1, uint8(0) // the last code and the first value of its string
	for step := 0; len(d.pixels) < d.wanted; step++ {
		if step%4096 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		code, ok := d.readCode(bits)
		switch {
		case !ok:
			return raster.ErrTruncated
		case code == clear:
			next, bits, previous = clear+2, d.minBits+1, -1
			continue
		case code == clear+1:
			return raster.Corruptf("GIF data end before the picture is complete")
		case previous < 0 && code > clear, code > next:
			return raster.Corruptf("GIF with a bad code")
		case previous < 0:
			first = uint8(code)
			d.pixels = append(d.pixels, first)
			previous = code
			continue
		}
		if first, ok = d.expand(code, previous, next, clear, first); !ok {
			return raster.Corruptf("GIF with a bad code")
		}
		if next < tableSize {
			d.last[next], d.prefix[next] = first, uint16(previous)
			if next == 1<<bits-1 && bits < maxCodeBits {
				bits++
			}
			next++
		}
		previous = code
	}
	d.pixels = d.pixels[:d.wanted]
	return nil
}

// expand appends the string of a code and returns its first value. The string of the code that is next
// in the table is the previous one with its first value appended.
func (d *lzwDecoder) expand(code, previous, next, clear int, first uint8) (uint8, bool) {
	at := len(d.expanded)
	if code == next {
		at--
		d.expanded[at] = first
		code = previous
	}
	for code >= clear {
		if at == 0 || code >= tableSize {
			return 0, false
		}
		at--
		d.expanded[at] = d.last[code]
		code = int(d.prefix[code])
	}
	first = uint8(code)
	d.pixels = append(d.pixels, first)
	d.pixels = append(d.pixels, d.expanded[at:]...)
	return first, true
}

// readCode reads a code of the given number of bits. Blocks that are cut are not read.
func (d *lzwDecoder) readCode(bits int) (code int, ok bool) {
	for d.buffered < bits {
		if d.at >= len(d.data) {
			return 0, false
		}
		v := d.data[d.at]
		d.at++
		if d.block == 0 {
			d.block = int(v)
			if d.at+d.block > len(d.data) {
				d.at = len(d.data)
				return 0, false
			}
			continue
		}
		d.block--
		d.buffer |= uint32(v) << d.buffered
		d.buffered += 8
	}
	code = int(d.buffer & (1<<bits - 1))
	d.buffer >>= bits
	d.buffered -= bits
	return code, true
}
