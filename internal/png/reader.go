package png

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"

	"garb/internal/inflate"
	"garb/internal/raster"
)

const signature = "\x89PNG\r\n\x1a\n"

// A reader reads chunks as Pillow's PngImageFile reads them from a file.
type reader struct {
	data    []byte
	pos     int
	lenient bool // as with LOAD_TRUNCATED_IMAGES

	picture      picture // what IHDR says
	rawMode      bool    // an IHDR had a known colour type and depth
	interlaced   bool
	palette      []byte // body of PLTE; nil if there is none
	transparency transparency
	box          *box // of the first frame of an APNG
	frames       int  // of an APNG, or 0
	defaultImage bool // the pixels are not a frame of the APNG
	animated     bool // there are several frames
	sequence     int  // last number of the chunks of an APNG's frames; -1: none so far

	exif, exifProfile, xmp, xmpText, icc []byte

	textLength   int // of all texts, as Pillow counts it
	decompressed int // bytes of texts and profiles that were decompressed
	text         []byte
	inflater     *inflate.Decompressor // decompresses to text

	pixels  bool   // there are some
	current chunk  // the last one of which something was read
	idle    *chunk // to be read again

	// idat is how many bytes of the current IDAT chunk are to be read. It is negative where the
	// chunk says less than a frame's number takes; the rest of the file is then read as pixels.
	idat int

	wrongCRC bool // a checksum is wrong, which is no error where it is
	ended    bool // IEND was found, whole
}

// picture is what IHDR says.
type picture struct {
	width, height int
	bits          int // per sample
	colours       colourType
}

func (p picture) grey16() bool { return p.colours == grey && p.bits == 16 }

// bitsPerPixel returns the number of bits of a pixel in the file.
func (p picture) bitsPerPixel() int { return p.bits * p.colours.channels() }

type colourType uint8

// Colour types of IHDR.
const (
	grey      colourType = 0
	rgb       colourType = 2
	indexed   colourType = 3
	greyAlpha colourType = 4
	rgbAlpha  colourType = 6
)

func (c colourType) channels() int {
	switch c {
	case greyAlpha:
		return 2
	case rgb:
		return 3
	case rgbAlpha:
		return 4
	}
	return 1
}

// box is a part of the picture.
type box struct{ x, y, width, height int }

type chunk struct {
	name        string // 4 bytes, or less at the end of a file
	pos, length int    // of its body
}

func (c chunk) ancillary() bool { return c.name[0]&0x20 != 0 }

// What handlers of chunks return: Pillow's EOFError, AttributeError and UnicodeDecodeError.
var (
	errPixels   = errors.New("pixels or the end of the picture")
	errUnknown  = errors.New("unknown chunk")
	errNotASCII = errors.New("not the name of a chunk")
)

// read returns the next n bytes, or what there is of them; if n is negative, all.
func (r *reader) read(n int) []byte {
	rest := r.data[min(r.pos, len(r.data)):]
	if n >= 0 && n < len(rest) {
		rest = rest[:n]
	}
	r.pos += len(rest)
	return rest
}

// readAll returns the next n bytes, or an error if there are fewer.
func (r *reader) readAll(n int) ([]byte, error) {
	body := r.read(max(n, 0))
	if len(body) < n {
		return nil, raster.ErrTruncated
	}
	return body, nil
}

// next reads the head of a chunk.
func (r *reader) next() (chunk, error) {
	var c chunk
	if r.idle != nil {
		c, r.idle = *r.idle, nil
		r.pos = c.pos
	} else {
		head := r.read(8)
		if len(head) < 4 {
			return c, raster.ErrTruncated
		}
		c = chunk{string(head[4:]), r.pos, int(binary.BigEndian.Uint32(head))}
	}
	if !isName(c.name) && !r.lenient {
		if len(c.name) < 4 {
			return c, raster.ErrTruncated
		}
		return c, raster.Corruptf("%q is not the name of a chunk", c.name)
	}
	return c, nil
}

// isName reports whether s is what Pillow takes for a chunk's name: letters, digits and underscores.
func isName(s string) bool {
	for i := range len(s) {
		b := s[i]
		letter := b|0x20 >= 'a' && b|0x20 <= 'z'
		if !letter && (b < '0' || b > '9') && b != '_' {
			return false
		}
	}
	return len(s) == 4
}

// open reads up to the pixels.
func (r *reader) open() error {
	if !bytes.HasPrefix(r.data, []byte(signature)) {
		return raster.Corruptf("this is not a PNG file")
	}
	r.pos, r.sequence = len(signature), -1
	for {
		c, err := r.next()
		if err != nil {
			return err
		}
		body, err := r.handle(c)
		if errors.Is(err, errPixels) {
			r.current, r.idat = c, c.length
			if c.name == "fdAT" {
				r.idat -= 4
			}
			break
		}
		if errors.Is(err, errUnknown) {
			body, err = r.readAll(c.length)
		}
		if errors.Is(err, errNotASCII) {
			err = raster.Corruptf("%q is not the name of a chunk", c.name)
		}
		if err == nil {
			err = r.checkCRC(c, body)
		}
		if err != nil {
			return err
		}
	}
	n := r.frames
	if n > 0 && r.defaultImage {
		n++
	}
	r.animated = n > 1
	if !r.rawMode || r.picture.width <= 0 || r.picture.height <= 0 {
		return raster.Corruptf("there is no valid header (IHDR)")
	}
	if !r.pixels {
		return raster.Corruptf("there are no pixels (IDAT)")
	}
	return nil
}

// checkCRC reads the checksum of a chunk before the pixels, and checks it. Those of ancillary chunks
// may be wrong if the reader is lenient.
func (r *reader) checkCRC(c chunk, body []byte) error {
	if c.name == "" {
		return raster.ErrTruncated
	}
	stored := r.read(4)
	lenient := r.lenient && c.ancillary()
	if len(stored) == 4 && binary.BigEndian.Uint32(stored) == computeCRC(c.name, body) {
		return nil
	}
	switch {
	case lenient:
		r.wrongCRC = true
		return nil
	case len(stored) < 4:
		return raster.ErrTruncated
	}
	return raster.Corruptf("the checksum of chunk %s is wrong", c.name)
}

func computeCRC(name string, body []byte) uint32 {
	return crc32.Update(crc32.ChecksumIEEE([]byte(name)), crc32.IEEETable, body)
}

// noteCRC reads the checksum of the current chunk, whose body has been read, and notes if it is
// wrong. Pillow does not look at those of pixels and of what follows them.
func (r *reader) noteCRC() {
	stored, c := r.read(4), r.current
	start, end := c.pos, c.pos+c.length
	if c.name == "" || len(stored) < 4 || r.pos != end+4 {
		return
	}
	if binary.BigEndian.Uint32(stored) != computeCRC(c.name, r.data[start:end]) {
		r.wrongCRC = true
	}
}

// readEnd reads what follows the pixels.
func (r *reader) readEnd() error {
	if r.idat != 0 {
		r.read(r.idat)
	}
	for {
		r.noteCRC()
		c, err := r.next()
		if err != nil {
			return nil // as in Pillow, the end of the data or of what is a chunk
		}
		r.current = c
		if c.name == "IEND" {
			const crc = 4
			r.ended = len(r.data)-c.pos-c.length >= crc
			return nil
		}
		if c.name == "fcTL" && r.animated {
			r.ended = true // the other frames are not read
			return nil
		}
		if _, err = r.handle(c); err == nil {
			continue
		}
		if errors.Is(err, errNotASCII) {
			return nil
		}
		found := errors.Is(err, errPixels)
		if !found && !errors.Is(err, errUnknown) {
			return err
		}
		rest := c.length
		if found && c.name == "fdAT" {
			rest -= 4
		}
		if _, err := r.readAll(rest); err != nil {
			if r.lenient && found {
				return nil
			}
			return err
		}
	}
}
