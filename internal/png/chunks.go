package png

import (
	"bytes"
	"encoding/binary"

	"garb/internal/raster"
)

// handle reads the body of a chunk, notes what it says, and returns the body. For pixels and the end
// of the picture it returns errPixels before it reads them, and for chunks that do not matter
// errUnknown.
func (r *reader) handle(c chunk) ([]byte, error) {
	for i := range len(c.name) {
		if c.name[i] >= 0x80 {
			return nil, errNotASCII
		}
	}
	switch c.name {
	case "IDAT":
		return nil, r.foundPixels()
	case "IEND":
		return nil, errPixels
	case "fdAT":
		return r.readFrameData(c)
	}
	read, known := readers[c.name]
	if !known {
		return nil, errUnknown
	}
	body, err := r.readAll(c.length)
	if err != nil {
		return nil, err
	}
	if least := read.least; len(body) < least {
		if r.lenient {
			return body, nil
		}
		return nil, raster.Corruptf("chunk %s has %d bytes; it must have %d", c.name, len(body), least)
	}
	if read.body != nil {
		err = read.body(r, body)
	}
	return body, err
}

// readers are the chunks that matter: how long they must be, and what reads them.
var readers = map[string]struct {
	least int
	body  func(*reader, []byte) error
}{
	"IHDR": {13, (*reader).readIHDR},
	"PLTE": {0, (*reader).readPLTE},
	"tRNS": {0, (*reader).readTRNS},
	"iCCP": {0, (*reader).readICCP},
	"gAMA": {4, nil},
	"cHRM": {32, nil},
	"sRGB": {1, nil},
	"pHYs": {9, nil},
	"tEXt": {0, (*reader).readTEXT},
	"zTXt": {0, (*reader).readZTXT},
	"iTXt": {0, (*reader).readITXT},
	"eXIf": {0, (*reader).readEXIF},
	"acTL": {8, (*reader).readACTL},
	"fcTL": {26, (*reader).readFCTL},
}

func (r *reader) readIHDR(body []byte) error {
	r.picture.width = int(binary.BigEndian.Uint32(body))
	r.picture.height = int(binary.BigEndian.Uint32(body[4:]))
	bits, colours := int(body[8]), colourType(body[9])
	if valid(bits, colours) {
		r.picture.bits, r.picture.colours, r.rawMode = bits, colours, true
	}
	if body[12] != 0 {
		r.interlaced = true
	}
	if body[11] != 0 {
		return raster.Corruptf("unknown filter method %d", body[11])
	}
	return nil
}

// valid reports whether a colour type exists with so many bits.
func valid(bits int, colours colourType) bool {
	switch colours {
	case grey:
		return bits == 1 || bits == 2 || bits == 4 || bits == 8 || bits == 16
	case indexed:
		return bits == 1 || bits == 2 || bits == 4 || bits == 8
	case rgb, greyAlpha, rgbAlpha:
		return bits == 8 || bits == 16
	}
	return false
}

func (r *reader) readPLTE(body []byte) error {
	if r.rawMode && r.picture.colours == indexed {
		r.palette = body
	}
	return nil
}

// transparency is what tRNS says: the alpha of colours of the palette, or a colour that is
// transparent.
type transparency struct {
	alphas []byte   // nil unless the colours are indexed
	colour []uint16 // 1 or 3 samples
}

func (t transparency) set() bool { return t.alphas != nil || t.colour != nil }

func (r *reader) readTRNS(body []byte) error {
	if !r.rawMode {
		return nil
	}
	samples := 1
	switch r.picture.colours {
	case indexed:
		r.transparency = transparency{alphas: readAlphas(body)}
		return nil
	case grey:
	case rgb:
		samples = 3
	default:
		return nil
	}
	if len(body) < 2*samples {
		if r.lenient {
			return nil
		}
		return raster.Corruptf("chunk tRNS has %d bytes; it must have %d", len(body), 2*samples)
	}
	colour := make([]uint16, samples)
	for i := range colour {
		colour[i] = binary.BigEndian.Uint16(body[2*i:])
	}
	if r.picture.bits == 1 && colour[0] != 0 {
		colour[0] = 255
	}
	r.transparency = transparency{colour: colour}
	return nil
}

// readAlphas returns the alphas of a palette. If only one colour is transparent, Pillow ignores a line
// feed behind the values: it finds them by a pattern that takes it for the end of a line.
func readAlphas(body []byte) []byte {
	alphas := bytes.TrimSuffix(body, []byte{'\n'})
	if bytes.Count(alphas, []byte{0}) == 1 && bytes.Count(alphas, []byte{255}) == len(alphas)-1 {
		return alphas[:bytes.IndexByte(alphas, 0)+1]
	}
	return body[:len(body):len(body)]
}

func (r *reader) readEXIF(body []byte) error {
	r.exif = body
	return nil
}

func (r *reader) readACTL(body []byte) error {
	n := int(binary.BigEndian.Uint32(body))
	switch {
	case r.frames != 0:
		r.frames = 0
	case n <= 1<<31:
		r.frames = n
	}
	return nil
}

func (r *reader) readFCTL(body []byte) error {
	field := func(at int) int { return int(binary.BigEndian.Uint32(body[at:])) }
	if err := r.checkSequence(field(0)); err != nil {
		return err
	}
	b := box{x: field(12), y: field(16), width: field(4), height: field(8)}
	if b.x+b.width > r.picture.width || b.y+b.height > r.picture.height {
		return raster.Corruptf("a frame of the animation is larger than the picture")
	}
	r.box = &b
	return nil
}

func (r *reader) checkSequence(n int) error {
	if n != r.sequence+1 {
		return raster.Corruptf("the frames of the animation are out of order")
	}
	r.sequence = n
	return nil
}

// readFrameData reads the number of a part of an APNG's frame.
func (r *reader) readFrameData(c chunk) ([]byte, error) {
	if c.length < 4 {
		if r.lenient {
			return r.readAll(c.length)
		}
		return nil, raster.Corruptf("chunk fdAT has %d bytes; it must have 4", c.length)
	}
	number, err := r.readAll(4)
	if err != nil {
		return nil, err
	}
	if r.sequence < 0 {
		return nil, raster.Corruptf("the frames of the animation are out of order")
	}
	if err := r.checkSequence(int(binary.BigEndian.Uint32(number))); err != nil {
		return nil, err
	}
	return nil, r.foundPixels()
}

// foundPixels notes that there are pixels. Before IHDR, Pillow ignores them.
func (r *reader) foundPixels() error {
	if r.box == nil && r.frames > 0 {
		r.defaultImage = true
	}
	if !r.rawMode {
		return errUnknown
	}
	r.pixels = true
	return errPixels
}
