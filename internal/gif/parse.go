package gif

import (
	"bytes"
	"encoding/binary"
	"errors"

	"garb/internal/raster"
)

// parser parses the blocks of a GIF file as leniently as Pillow does: it skips bytes between blocks
// that begin none, and takes what is there of a block that is cut.
type parser struct {
	data []byte
	at   int // next byte

	width, height int    // of the canvas, which grows to hold the first frame
	palette       []byte // global; nil if there is none or if it is a ramp of grey
}

// frame is the description of a picture.
type frame struct {
	x, y, width, height int
	interlaced          bool
	palette             []byte // local; nil if there is none or if it is a ramp of grey
	transparent         int    // index of the transparent colour, or -1
	minBits             int    // LZW minimum code size
}

// errNoFrame says that the file ends where a frame could begin.
var errNoFrame = errors.New("no frame")

// newParser parses up to the first block.
func newParser(data []byte) (*parser, error) {
	p := &parser{data: data}
	head := p.take(13)
	if !bytes.HasPrefix(head, []byte("GIF87a")) && !bytes.HasPrefix(head, []byte("GIF89a")) {
		return nil, raster.Corruptf("it does not begin with the header of a GIF file")
	}
	if len(head) < 13 {
		return nil, raster.ErrTruncated
	}
	p.width = int(binary.LittleEndian.Uint16(head[6:]))
	p.height = int(binary.LittleEndian.Uint16(head[8:]))
	p.palette = p.takePalette(head[10])
	return p, nil
}

// take returns the next n bytes, or those that are there.
func (p *parser) take(n int) []byte {
	n = min(n, len(p.data)-p.at)
	p.at += n
	return p.data[p.at-n : p.at]
}

// takePalette returns the palette whose presence and size are in flags, or nil if there is none or if
// it is a ramp of grey, which the indices then are.
func (p *parser) takePalette(flags byte) []byte {
	if flags&0x80 == 0 {
		return nil
	}
	palette := p.take(3 << (flags&7 + 1))
	for i, v := range palette {
		if v != uint8(i/3) {
			return palette
		}
	}
	return nil
}

// takeBlock returns the next block of data, which is empty at the end of a sequence of blocks.
func (p *parser) takeBlock() []byte {
	size := p.take(1)
	if len(size) == 0 {
		return nil
	}
	return p.take(int(size[0]))
}

// skipBlocks skips a sequence of blocks.
func (p *parser) skipBlocks() {
	for len(p.takeBlock()) > 0 {
	}
}

// nextFrame parses up to the data of the next frame. It returns errNoFrame at the end of the file.
func (p *parser) nextFrame() (frame, error) {
	transparent := -1
	for {
		start := p.take(1)
		if len(start) == 0 || start[0] == ';' {
			return frame{}, errNoFrame
		}
		switch start[0] {
		case '!':
			if err := p.readExtension(&transparent); err != nil {
				return frame{}, err
			}
		case ',':
			return p.readDescriptor(transparent)
		}
	}
}

// Labels of extensions (GIF89a, 23 to 26).
const (
	graphicControl = 0xf9
	comment        = 0xfe
	application    = 0xff
)

// readExtension reads an extension and, of the graphic control extension, the transparent colour.
func (p *parser) readExtension(transparent *int) error {
	label := p.take(1)
	if len(label) == 0 {
		return raster.ErrTruncated
	}
	block := p.takeBlock()
	switch label[0] {
	case graphicControl:
		if len(block) == 0 {
			break
		}
		if len(block) < 3 || block[0]&1 != 0 && len(block) < 4 {
			return raster.Corruptf("GIF with a graphic control extension of %d bytes", len(block))
		}
		if block[0]&1 != 0 {
			*transparent = int(block[3])
		}
	case comment:
		if len(block) == 0 {
			return nil
		}
	case application:
		if bytes.HasPrefix(block, []byte("NETSCAPE2.0")) {
			p.takeBlock()
		}
	}
	p.skipBlocks() // also behind an empty block, as Pillow does
	return nil
}

// readDescriptor reads the image descriptor, the local palette and the minimum code size.
func (p *parser) readDescriptor(transparent int) (frame, error) {
	d := p.take(9)
	if len(d) < 9 {
		return frame{}, raster.ErrTruncated
	}
	le := binary.LittleEndian
	f := frame{
		x: int(le.Uint16(d)), y: int(le.Uint16(d[2:])),
		width: int(le.Uint16(d[4:])), height: int(le.Uint16(d[6:])),
		interlaced: d[8]&0x40 != 0, transparent: transparent,
	}
	f.palette = p.takePalette(d[8])
	bits := p.take(1)
	if len(bits) == 0 {
		return frame{}, raster.ErrTruncated
	}
	f.minBits = int(bits[0])
	p.width, p.height = max(p.width, f.x+f.width), max(p.height, f.y+f.height)
	return f, nil
}

// colours returns the palette of a frame, or nil for grey. Pillow takes the global palette instead of a
// local ramp of grey.
func (p *parser) colours(f frame) []byte {
	if f.palette != nil {
		return f.palette
	}
	return p.palette
}

// hasTrailer reports whether a trailer follows the frames.
func (p *parser) hasTrailer() bool {
	for {
		_, err := p.nextFrame()
		if err != nil {
			return errors.Is(err, errNoFrame) && p.data[p.at-1] == ';'
		}
		p.skipBlocks()
	}
}
