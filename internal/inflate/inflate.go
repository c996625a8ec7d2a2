// Package inflate decompresses deflate and zlib data (RFC 1951, RFC 1950) that are wholly in memory.
//
// It is about three times as fast as compress/flate. Where data are cut or corrupt, it returns what
// it decompressed, how far it got, and why it stopped. It accepts and refuses exactly what zlib does.
package inflate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Format is the format of the data.
type Format int

// Formats.
const (
	Zlib Format = iota // deflate with zlib's header and checksum
	Raw                // deflate alone
)

var (
	// ErrTruncated says that the data end before the stream does.
	ErrTruncated = errors.New("inflate: the compressed data end too early")
	// ErrCorrupt is wrapped by errors about invalid data.
	ErrCorrupt = errors.New("inflate: corrupt data")
	// ErrChecksum says that the output does not match its checksum. It wraps ErrCorrupt.
	ErrChecksum = fmt.Errorf("%w: wrong checksum", ErrCorrupt)
	// ErrTooFar says that a match reaches back beyond the first byte of output. It wraps ErrCorrupt.
	ErrTooFar = fmt.Errorf("%w: a match reaches too far back", ErrCorrupt)
	// ErrDictionary says that the data need a preset dictionary.
	ErrDictionary = errors.New("inflate: the data need a preset dictionary")
)

func corrupt(what string) error { return fmt.Errorf("%w: %s", ErrCorrupt, what) }

// History is how far back matches reach, in bytes.
const History = 1 << 15

// Decompress decompresses data to dst and returns the number of bytes that it wrote. Its error is nil
// if the stream ends within dst. If there is more output than dst holds, the error is
// io.ErrShortBuffer. The bytes of dst past the output may be overwritten.
func Decompress(dst, data []byte, format Format) (int, error) {
	var d Decompressor
	d.Reset(data, format)
	n, err := d.Decompress(dst, 0)
	if err == nil {
		return n, io.ErrShortBuffer
	}
	if errors.Is(err, io.EOF) {
		return n, nil
	}
	return n, err
}

// Decompressor decompresses one stream in steps. Reset starts it. A Decompressor can be reused.
type Decompressor struct {
	data   []byte
	pos    int    // of the next byte to load into bits
	bits   uint64 // bits that are loaded; above count they are zero or repeat what follows in data
	count  uint   // number of bits that are loaded
	state  state
	last   bool // the block is the last one
	zlib   bool
	stored int // bytes that remain of a stored block
	// length and distance are what remains to be copied of a match.
	length, distance int

	adler     uint32
	produced  int // bytes of output before the current call of Decompress
	outputEnd int // see OutputEnd
	err       error
	exhausted struct{ output, input int } // see Exhausted

	literals  *literalTable
	distances *distanceTable
	dynamic   struct {
		literals  literalTable
		distances distanceTable
	}
}

type state int

const (
	inHeader state = iota
	betweenBlocks
	inStored
	inCodes
	inTrailer
)

// Reset starts to decompress data from their beginning. Data must not change until the last call of
// Decompress.
func (d *Decompressor) Reset(data []byte, format Format) {
	d.data, d.pos, d.bits, d.count = data, 0, 0, 0
	d.zlib, d.last = format == Zlib, false
	d.state = betweenBlocks
	if d.zlib {
		d.state = inHeader
	}
	d.stored, d.length, d.distance = 0, 0, 0
	d.adler, d.produced, d.outputEnd, d.err = 1, 0, 0, nil
	d.exhausted.output, d.exhausted.input = -1, 0
}

// Decompress writes output to buf[from:] and returns the index of its end in buf. Before from, buf
// has the output of earlier calls: all, or at least the last History bytes. The bytes of buf past
// the end may be overwritten.
//
// If buf is full, Decompress continues up to the next code that gives output, as zlib does. It
// returns nil if there is such a code; only the next call returns ErrTooFar for it. Decompress returns
// io.EOF at the end of the stream, and otherwise ErrTruncated, ErrDictionary or an error that wraps
// ErrCorrupt.
func (d *Decompressor) Decompress(buf []byte, from int) (int, error) {
	if d.err != nil {
		return from, d.err
	}
	out, err := d.run(buf, from)
	if d.zlib {
		d.adler = updateAdler(d.adler, buf[from:out])
	}
	if errors.Is(err, errTrailer) {
		err = d.readTrailer(out - from)
	}
	d.produced += out - from
	d.err = err
	return out, err
}

// InputEnd returns the number of bytes of data that have been needed so far.
func (d *Decompressor) InputEnd() int { return d.pos - int(d.count/8) }

// OutputEnd returns the number of bytes of data that were needed for the output so far, without what
// came after it: a block's header, the checksum, or an invalid code. It is valid after an error.
func (d *Decompressor) OutputEnd() int { return d.outputEnd }

// Exhausted says where the data first ran out. output is the number of bytes before the code that
// needed the last byte of the data, and input the number of bytes of the data that this output needed.
// It returns -1 and 0 if the last byte was not needed.
func (d *Decompressor) Exhausted() (output, input int) { return d.exhausted.output, d.exhausted.input }

// noteExhausted notes when all data have been needed; output is that before the current code.
func (d *Decompressor) noteExhausted(output int) {
	if d.exhausted.output < 0 && d.InputEnd() == len(d.data) {
		d.exhausted.output, d.exhausted.input = output, d.outputEnd
	}
}

// errTrailer says that the last block has ended.
var errTrailer = errors.New("end of the last block")

// run decompresses up to the end of the last block.
func (d *Decompressor) run(buf []byte, out int) (int, error) {
	from := out
	var err error
	for {
		switch d.state {
		case inHeader:
			err = d.readHeader()
		case betweenBlocks:
			if d.last {
				d.state = inTrailer
				return out, errTrailer
			}
			err = d.readBlockHeader()
		case inStored:
			out, err = d.copyStored(buf, out)
		case inCodes:
			out, err = d.decodeCodes(buf, out, from)
		case inTrailer:
			return out, errTrailer
		}
		d.noteExhausted(d.produced + out - from)
		if errors.Is(err, errFull) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
	}
}

// errFull says that the next code gives output, for which there is no place.
var errFull = errors.New("no place for more output")

// need loads bits until there are n of them, at most 32. It returns false if data end before.
func (d *Decompressor) need(n uint) bool {
	for d.count < n {
		if d.pos >= len(d.data) {
			return false
		}
		d.bits |= uint64(d.data[d.pos]) << d.count
		d.pos++
		d.count += 8
	}
	return true
}

// fill loads as many bits as fit.
func (d *Decompressor) fill() {
	if d.pos+8 <= len(d.data) {
		d.bits |= binary.LittleEndian.Uint64(d.data[d.pos:]) << d.count
		d.pos += int((63 - d.count) >> 3)
		d.count |= 56
		return
	}
	for d.count <= 55 && d.pos < len(d.data) {
		d.need(d.count + 1)
	}
}

func (d *Decompressor) take(n uint) uint32 {
	v := uint32(d.bits & (1<<n - 1))
	d.drop(n)
	return v
}

func (d *Decompressor) drop(n uint) {
	d.bits >>= n
	d.count -= n
}

// align drops bits up to the next byte of data.
func (d *Decompressor) align() {
	d.drop(d.count & 7)
	d.pos -= int(d.count / 8)
	d.bits, d.count = 0, 0
}

// truncate says that data end, and takes what there is.
func (d *Decompressor) truncate() error {
	d.pos, d.bits, d.count = len(d.data), 0, 0
	return ErrTruncated
}

func (d *Decompressor) readHeader() error {
	const deflate, dictionary = 8, 0x20
	if !d.need(16) {
		return d.truncate()
	}
	method, flags := d.take(8), d.take(8)
	switch {
	case (method<<8|flags)%31 != 0:
		return corrupt("wrong header")
	case method&15 != deflate:
		return corrupt("unknown compression method")
	case method>>4 > 7:
		return corrupt("window too large")
	case flags&dictionary != 0:
		return ErrDictionary
	}
	d.state = betweenBlocks
	return nil
}

// readTrailer checks the checksum, after n bytes of output of the current call of Decompress.
func (d *Decompressor) readTrailer(n int) error {
	if !d.zlib {
		return io.EOF
	}
	d.align()
	var sum [4]byte
	var err error
	if d.need(32) {
		binary.LittleEndian.PutUint32(sum[:], d.take(32))
	} else {
		err = d.truncate()
	}
	d.noteExhausted(d.produced + n)
	if err != nil {
		return err
	}
	if binary.BigEndian.Uint32(sum[:]) != d.adler {
		return ErrChecksum
	}
	return io.EOF
}

func (d *Decompressor) readBlockHeader() error {
	if !d.need(3) {
		return d.truncate()
	}
	d.last = d.take(1) == 1
	switch d.take(2) {
	case 0:
		d.align()
		if !d.need(32) {
			return d.truncate()
		}
		length, complement := d.take(16), d.take(16)
		if length != complement^0xffff {
			return corrupt("wrong length of a stored block")
		}
		d.stored, d.state = int(length), inStored
		return nil
	case 1:
		d.literals, d.distances = &fixed.literals, &fixed.distances
	case 2:
		if err := d.readCodes(); err != nil {
			return err
		}
		d.literals, d.distances = &d.dynamic.literals, &d.dynamic.distances
	default:
		return corrupt("unknown type of block")
	}
	d.state = inCodes
	return nil
}

// copyStored copies bytes of a stored block.
func (d *Decompressor) copyStored(buf []byte, out int) (int, error) {
	n := copy(buf[out:], d.data[d.pos:min(d.pos+d.stored, len(d.data))])
	d.pos += n
	d.stored -= n
	out += n
	if n > 0 {
		d.outputEnd = d.pos
	}
	switch {
	case d.stored == 0:
		d.state = betweenBlocks
	case out == len(buf):
		return out, errFull
	default:
		return out, ErrTruncated
	}
	return out, nil
}
