package inflate

import "encoding/binary"

// The fast loop needs so many bytes of input, and room for so many of output.
const (
	fastInput  = 16
	fastOutput = 8 + 258 + 16
)

// decodeCodes decodes codes up to the end of the block; from is where the output of the current call
// of Decompress begins.
func (d *Decompressor) decodeCodes(buf []byte, out, from int) (int, error) {
	mark := out // where outputEnd was set
	for {
		out = d.copyMatch(buf, out)
		if d.pos+fastInput <= len(d.data) && out+fastOutput <= len(buf) {
			out = d.decodeFast(buf, out)
		}
		if out > mark {
			d.outputEnd, mark = d.InputEnd(), out
		}
		if d.length > 0 {
			return out, errFull
		}
		before := out
		var err error
		if out, err = d.decodeOne(buf, out); err != nil || d.state != inCodes {
			return out, err
		}
		d.noteExhausted(d.produced + before - from)
	}
}

// copyMatch copies what remains of a match as far as there is place.
func (d *Decompressor) copyMatch(buf []byte, out int) int {
	start, end := out-d.distance, min(out+d.length, len(buf))
	d.length -= end - out
	for out < end {
		out += copy(buf[out:end], buf[start:out]) // what is copied once can be copied again
	}
	return out
}

// find returns the entry of the next code, whose bits are known up to d.count.
func (d *Decompressor) find(table []entry, rootBits uint) entry {
	e := table[d.bits&(1<<rootBits-1)]
	if e&link != 0 {
		e = table[e.value()+int(d.bits>>rootBits&(1<<e.code()-1))]
	}
	return e
}

// decodeOne decodes one code. It writes a literal; a match is copied by copyMatch.
func (d *Decompressor) decodeOne(buf []byte, out int) (int, error) {
	d.fill()
	pos, bits, count := d.pos, d.bits, d.count
	e := d.find(d.literals[:], literalBits)
	if e&literal != 0 {
		if e.code() > d.count {
			return out, d.truncate()
		}
		if out == len(buf) {
			return out, errFull
		}
		d.drop(e.code())
		buf[out] = byte(e >> 16)
		return out + 1, nil
	}
	if e.dropped() > d.count {
		return out, d.truncate()
	}
	length := e.value() + d.takeExtra(e)
	if e&exceptional != 0 {
		if e&endOfBlock == 0 {
			return out, corrupt("invalid code for a literal or length")
		}
		d.state = betweenBlocks
		return out, nil
	}
	d.fill()
	e = d.find(d.distances[:], distanceBits)
	if e.dropped() > d.count {
		return out, d.truncate()
	}
	distance := e.value() + d.takeExtra(e)
	switch {
	case e&exceptional != 0:
		return out, corrupt("invalid code for a distance")
	case out == len(buf):
		d.pos, d.bits, d.count = pos, bits, count
		return out, errFull
	case distance > out:
		return out, ErrTooFar
	}
	d.length, d.distance = length, distance
	return out, nil
}

// takeExtra drops a code and returns its extra bits.
func (d *Decompressor) takeExtra(e entry) int {
	d.drop(e.code())
	return int(d.take(e.dropped() - e.code()))
}

// decodeFast decodes codes while there is plenty of input and room, up to one that ends the block or
// is invalid.
func (d *Decompressor) decodeFast(buf []byte, out int) int {
	data, pos, bits, count := d.data, d.pos, d.bits, d.count
	literals, distances := d.literals, d.distances
	lastPos, lastOut := len(data)-fastInput, len(buf)-fastOutput
	for pos <= lastPos && out <= lastOut {
		bits |= binary.LittleEndian.Uint64(data[pos:]) << (count & 63)
		pos += int((63 - count) >> 3)
		count |= 56
		e := literals[bits&(1<<literalBits-1)]
		// There are bits for five steps in the root.
		for range 4 {
			if e&literal == 0 {
				break
			}
			binary.LittleEndian.PutUint16(buf[out:], uint16(e>>16))
			out += 1 + int(e>>6&1)
			bits >>= e & 31
			count -= uint(e & 31)
			e = literals[bits&(1<<literalBits-1)]
		}
		if e&literal != 0 {
			continue
		}
		startBits, startCount, startPos := bits, count, pos
		bits |= binary.LittleEndian.Uint64(data[pos:]) << (count & 63)
		pos += int((63 - count) >> 3)
		count |= 56
		if e&link != 0 {
			e = literals[(uint64(e>>16)+bits>>literalBits&(1<<(e>>8&15)-1))&4095]
			if e&literal != 0 {
				buf[out] = byte(e >> 16)
				out++
				bits >>= e & 31
				count -= uint(e & 31)
				continue
			}
		}
		if e&exceptional != 0 {
			bits, count, pos = startBits, startCount, startPos
			break
		}
		length := int(e>>16) + int(bits&(1<<(e&31)-1)>>(e>>8&15))
		bits >>= e & 31
		count -= uint(e & 31)
		e = distances[bits&(1<<distanceBits-1)]
		if e&link != 0 {
			e = distances[(uint64(e>>16)+bits>>distanceBits&(1<<(e>>8&15)-1))&1023]
		}
		distance := int(e>>16) + int(bits&(1<<(e&31)-1)>>(e>>8&15))
		if e&exceptional != 0 || distance > out {
			bits, count, pos = startBits, startCount, startPos
			break
		}
		bits >>= e & 31
		count -= uint(e & 31)
		copyFast(buf, out, distance, length)
		out += length
	}
	d.pos, d.bits, d.count = pos, bits, count
	return out
}

// repeats are the multiples of short distances that are at least 8.
var repeats = [8]int{1: 8, 2: 8, 3: 9, 4: 8, 5: 10, 6: 12, 7: 14}

// copyFast copies a match. It may write up to 15 bytes too many.
func copyFast(buf []byte, out, distance, length int) {
	end := out + length
	if distance < 8 {
		for range 8 {
			buf[out] = buf[out-distance]
			out++
		}
		distance = repeats[distance]
	}
	for ; out < end; out += 8 {
		binary.LittleEndian.PutUint64(buf[out:], binary.LittleEndian.Uint64(buf[out-distance:]))
	}
}
