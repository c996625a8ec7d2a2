package webp

import (
	"encoding/binary"
	"fmt"

	"garb/internal/raster"
	"garb/internal/vp8"
	"garb/internal/vp8l"
)

const (
	chunkHeader    = 8
	maxChunk       = 1<<32 - 1 - chunkHeader - 1 // libwebp's MAX_CHUNK_PAYLOAD
	extendedSize   = 10                          // of a VP8X chunk
	animationSize  = 6                           // of an ANIM chunk
	frameFieldSize = 16                          // of what precedes the chunks of an ANMF chunk
)

// Flags of a VP8X chunk.
const (
	flagAnimation = 1 << 1
	flagXMP       = 1 << 2
	flagEXIF      = 1 << 3
	flagAlpha     = 1 << 4
	flagICC       = 1 << 5
	flagsKnown    = flagAnimation | flagXMP | flagEXIF | flagAlpha | flagICC
)

var errTruncated = fmt.Errorf("WebP: %w", raster.ErrTruncated)

// file is the content of a file, as libwebp's demuxer takes it apart.
type file struct {
	flags         uint8
	extended      bool // there is a VP8X chunk
	width, height int  // of the canvas
	frames        int
	first         frame // the first frame
	icc, exif     []byte
	xmp           []byte
	animation     bool // an ANIM chunk was read
}

// frame is a picture with its place on the canvas.
type frame struct {
	x, y, width, height int
	lossless            bool
	image               []byte // VP8 or VP8L data, with the padding of their chunk
	hasImage            bool
	alpha               []byte // content of the ALPH chunk
	hasAlpha            bool   // there is an ALPH chunk
	alphaLast           bool   // it comes behind the image
	transparent         bool   // the VP8L header says so
}

// chunks is what is left of a file. Its end is that of the RIFF chunk.
type chunks []byte

// chunk is a chunk. Its content is followed by a byte of padding if its size is odd.
type chunk struct {
	id              string
	content, padded []byte
}

// next returns the next chunk.
func (c chunks) next() (chunk, error) {
	if len(c) < chunkHeader {
		return chunk{}, errTruncated
	}
	size := uint64(binary.LittleEndian.Uint32(c[4:]))
	rest := c[chunkHeader:]
	if size > maxChunk || size+size&1 > uint64(len(rest)) {
		return chunk{}, fmt.Errorf("WebP: chunk %q: %w", c[:4], raster.ErrTruncated)
	}
	return chunk{string(c[:4]), rest[:size], rest[:size+size&1]}, nil
}

// skip removes a chunk that next returned.
func (c *chunks) skip(k chunk) { *c = (*c)[chunkHeader+len(k.padded):] }

// parse takes a file apart.
func parse(data []byte) (*file, error) {
	if len(data) < 12+chunkHeader {
		return nil, errTruncated
	}
	if string(data[:4]) != "RIFF" || string(data[8:12]) != "WEBP" {
		return nil, raster.Corruptf("WebP: not a WebP file")
	}
	size := uint64(binary.LittleEndian.Uint32(data[4:]))
	switch {
	case size < 4+chunkHeader || size > maxChunk:
		return nil, raster.Corruptf("WebP: the file's size is given as %d bytes", size)
	case size > uint64(len(data)-8):
		return nil, errTruncated
	}
	rest := chunks(data[12 : 8+size])
	f := &file{}
	var err error
	switch string(rest[:4]) {
	case "VP8 ", "VP8L":
		err = f.parseImage(&rest)
	case "VP8X":
		f.extended = true
		err = f.parseExtended(&rest)
	default:
		err = raster.Corruptf("WebP: the first chunk is %q", rest[:4])
	}
	if err == nil && !f.first.hasImage {
		err = raster.Corruptf("WebP: there is no picture")
	}
	return f, err
}

// parseExtended parses a file that begins with a VP8X chunk.
func (f *file) parseExtended(rest *chunks) error {
	header, err := rest.next()
	if err != nil {
		return err
	}
	if len(header.content) != extendedSize {
		return raster.Corruptf("WebP: the VP8X chunk has %d bytes", len(header.content))
	}
	f.flags = header.content[0]
	f.width, f.height = 1+uint24(header.content[4:]), 1+uint24(header.content[7:])
	if f.flags&^flagsKnown != 0 {
		return raster.Corruptf("WebP: unknown flags %#x", f.flags)
	}
	if uint64(f.width)*uint64(f.height) >= 1<<32 {
		return fmt.Errorf("WebP: %w: %d × %d pixels", raster.ErrTooLarge, f.width, f.height)
	}
	rest.skip(header)
	for first := true; first || len(*rest) > 0; first = false {
		k, err := rest.next()
		if err != nil {
			return err
		}
		if err := f.parseChunk(k, rest); err != nil {
			return err
		}
	}
	return nil
}

// parseChunk parses a chunk of an extended file.
func (f *file) parseChunk(k chunk, rest *chunks) error {
	keep := func(to *[]byte, flag uint8) {
		if f.flags&flag != 0 && *to == nil {
			*to = k.content
		}
	}
	switch k.id {
	case "VP8X":
		return raster.Corruptf("WebP: there are two VP8X chunks")
	case "ALPH", "VP8 ", "VP8L":
		if f.animation || f.flags&flagAnimation != 0 {
			return raster.Corruptf("WebP: a picture is outside of the frames")
		}
		return f.parseImage(rest)
	case "ANIM":
		if len(k.padded) < animationSize {
			return raster.Corruptf("WebP: the ANIM chunk is too short")
		}
		f.animation = true
	case "ANMF":
		if !f.animation {
			return raster.Corruptf("WebP: a frame comes before the ANIM chunk")
		}
		return f.parseFrame(k, rest)
	case "ICCP":
		keep(&f.icc, flagICC)
	case "EXIF":
		keep(&f.exif, flagEXIF)
	case "XMP ":
		keep(&f.xmp, flagXMP)
	}
	rest.skip(k)
	return nil
}

// parseImage parses the chunks of a still picture.
func (f *file) parseImage(rest *chunks) error {
	if f.frames > 0 {
		return raster.Corruptf("WebP: there are two pictures")
	}
	m, err := parsePicture(rest)
	if err != nil {
		return err
	}
	if f.flags&flagAlpha == 0 {
		m.alpha, m.hasAlpha, m.alphaLast = nil, false, false
	}
	if m.alphaLast {
		return errAlphaLast
	}
	if !f.extended {
		f.width, f.height = m.width, m.height
	} else if m.hasImage && (m.width != f.width || m.height != f.height) {
		return raster.Corruptf("WebP: the picture has %d × %d pixels, its canvas %d × %d", m.width, m.height,
			f.width, f.height)
	}
	f.frames++
	f.first = m
	return nil
}

// parseFrame parses an ANMF chunk. Like libwebp, it reads the chunks of the picture from what is left
// of the file and then looks whether they are in the frame.
func (f *file) parseFrame(k chunk, rest *chunks) error {
	fields := k.padded
	if len(fields) < frameFieldSize {
		return raster.Corruptf("WebP: an ANMF chunk is too short")
	}
	*rest = (*rest)[chunkHeader+frameFieldSize:]
	before := len(*rest)
	m, err := parsePicture(rest)
	if err != nil {
		return err
	}
	if before-len(*rest) > len(fields)-frameFieldSize {
		return raster.Corruptf("WebP: a picture reaches beyond its frame")
	}
	m.x, m.y = 2*uint24(fields), 2*uint24(fields[3:])
	if uint64(1+uint24(fields[6:]))*uint64(1+uint24(fields[9:])) >= 1<<32 {
		return fmt.Errorf("WebP: %w: the size of a frame", raster.ErrTooLarge)
	}
	if f.flags&flagAnimation == 0 || !m.hasImage && !m.hasAlpha {
		return nil
	}
	if m.alphaLast {
		return errAlphaLast
	}
	if !m.hasImage || m.x+m.width > f.width || m.y+m.height > f.height {
		return raster.Corruptf("WebP: a frame is empty or reaches beyond the canvas")
	}
	if f.frames == 0 {
		f.first = m
	}
	f.frames++
	return nil
}

// parsePicture parses an ALPH chunk and a VP8 or VP8L chunk, of which one may be missing, up to
// another chunk.
func parsePicture(rest *chunks) (frame, error) {
	var m frame
	for first := true; first || len(*rest) > 0; first = false {
		k, err := rest.next()
		if err != nil {
			return m, err
		}
		switch {
		case k.id == "ALPH" && !m.hasAlpha:
			m.alpha, m.hasAlpha = k.content, true
			m.alphaLast = m.hasImage
		case k.id == "VP8L" && m.hasAlpha:
			return m, raster.Corruptf("WebP: an ALPH chunk comes with a VP8L chunk")
		case (k.id == "VP8 " || k.id == "VP8L") && !m.hasImage:
			m.image, m.lossless, m.hasImage = k.padded, k.id == "VP8L", true
			if err := m.readHeader(len(k.content)); err != nil {
				return m, err
			}
		default:
			return m, nil
		}
		rest.skip(k)
	}
	return m, nil
}

var errAlphaLast = raster.Corruptf("WebP: an ALPH chunk comes behind its picture")

// readHeader reads the size from the header of the image, which has size bytes.
func (m *frame) readHeader(size int) (err error) {
	if !m.lossless {
		m.width, m.height, err = vp8.ReadSize(m.image, size)
		return err
	}
	h, err := vp8l.ReadHeader(m.image)
	m.width, m.height, m.transparent = h.Width, h.Height, h.Alpha
	return err
}

func uint24(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }
