// Package vp8 decodes the key frames of VP8 that lossy WebP pictures are (RFC 6386), to the pixels of
// libwebp.
package vp8

import (
	"context"
	"fmt"

	"garb/internal/raster"
)

//go:generate sh -c "cd _generate && go run . -out ../vp8_amd64.s -stubs ../stubs_amd64.go -pkg vp8"
//go:generate go run ../kernel/_neon vp8

// headerSize is the size of what precedes the first partition (RFC 6386, section 9.1).
const headerSize = 10

// ReadSize returns the width and height of the key frame that begins with data, which may be cut.
// size is the length of all data.
func ReadSize(data []byte, size int) (width, height int, err error) {
	if len(data) < headerSize {
		return 0, 0, fmt.Errorf("VP8: %w", raster.ErrTruncated)
	}
	bits := uint32(data[0]) | uint32(data[1])<<8 | uint32(data[2])<<16
	switch {
	case data[3] != 0x9d || data[4] != 0x01 || data[5] != 0x2a:
		return 0, 0, raster.Corruptf("VP8: the start code is missing")
	case bits&1 != 0:
		return 0, 0, raster.Corruptf("VP8: not a key frame")
	case bits>>1&7 > 3:
		return 0, 0, raster.Corruptf("VP8: unknown version %d", bits>>1&7)
	case bits>>4&1 == 0:
		return 0, 0, raster.Corruptf("VP8: the frame is not to be shown")
	case int(bits>>5) >= size:
		return 0, 0, raster.Corruptf("VP8: the first partition is longer than the data")
	}
	// The upper two bits of each ask for scaling, which no decoder does.
	width = (int(data[6]) | int(data[7])<<8) & 0x3fff
	height = (int(data[8]) | int(data[9])<<8) & 0x3fff
	if width == 0 || height == 0 {
		return 0, 0, raster.Corruptf("VP8: the picture is empty")
	}
	return width, height, nil
}

// Decode decodes a key frame to pix, 3 bytes per pixel; rows are stride bytes apart.
func Decode(ctx context.Context, data []byte, pix []uint8, stride int) error {
	width, height, err := ReadSize(data, len(data))
	if err != nil {
		return err
	}
	d := &decoder{columns: (width + 15) / 16, rows: (height + 15) / 16}
	if err := d.readHeader(data); err != nil {
		return err
	}
	d.cache = newRowCache(d.columns)
	d.output = newOutput(pix, stride, width, height)
	d.above = make([]edge, d.columns+1)
	d.strengths = make([]strength, d.columns)
	for y := range d.rows {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := d.decodeRow(y); err != nil {
			return err
		}
		if d.filter {
			d.filterRow(y)
		}
		d.output.write(&d.cache, y)
		d.cache.advance()
	}
	return nil
}

// decoder decodes a frame.
type decoder struct {
	header
	columns, rows int // in macroblocks
	above         []edge
	left          edge // its samples are in work
	work          workspace
	coefficients  [24 * 16]int16 // of the blocks of luma, U and V
	kinds         [24]uint8      // of their residuals
	strengths     []strength     // of a row of macroblocks
	cache         rowCache
	output        output
}

// edge is what macroblocks depend on of the one above or to the left.
type edge struct {
	nonzero
	modes [4]uint8 // of subblocks
	luma  [16]uint8
	u, v  [8]uint8
}

// macroblock is the header of a macroblock.
type macroblock struct {
	segment   uint8
	skip      bool // there are no coefficients
	subblocks bool // luma is predicted by subblocks
	modes     [16]uint8
	chroma    uint8 // mode
}

func (d *decoder) decodeRow(y int) error {
	r := &d.partitions[y&(len(d.partitions)-1)]
	d.left = edge{}
	d.work.startRow(y)
	var m macroblock
	for x := range d.columns {
		above := &d.above[x]
		d.readMacroblock(&m, above)
		coded := false
		if m.skip {
			dcAbove, dcLeft := above.dc, d.left.dc
			above.nonzero, d.left.nonzero = nonzero{}, nonzero{}
			if m.subblocks { // which have no block of DC coefficients
				above.dc, d.left.dc = dcAbove, dcLeft
			}
		} else {
			coded = d.readResiduals(r, &m, &above.nonzero, &d.left.nonzero)
		}
		if r.ended || d.first.ended {
			return fmt.Errorf("VP8: %w", raster.ErrTruncated)
		}
		d.reconstruct(&m, x, y, coded, r.wide)
		s := d.strengthOf[m.segment][0]
		if m.subblocks {
			s = d.strengthOf[m.segment][1]
		}
		s.inner = m.subblocks || coded
		d.strengths[x] = s
	}
	return nil
}

// readMacroblock reads a macroblock's header (RFC 6386, sections 11 and 19.3).
func (d *decoder) readMacroblock(m *macroblock, above *edge) {
	r := &d.first
	m.segment = 0
	if d.updatesSegments {
		if r.read(d.segmentProbabilities[0]) {
			m.segment = uint8(2 + r.readBit(d.segmentProbabilities[2]))
		} else {
			m.segment = uint8(r.readBit(d.segmentProbabilities[1]))
		}
	}
	m.skip = d.skips && r.read(d.skipProbability)
	m.subblocks = !r.read(145)
	if m.subblocks {
		for i := range m.modes {
			a, l := &above.modes[i&3], &d.left.modes[i>>2]
			m.modes[i] = readSubblockMode(r, &subblockProbabilities[*a][*l])
			*a, *l = m.modes[i], m.modes[i]
		}
	} else {
		mode := uint8(modeDC)
		switch high := r.read(156); {
		case high && r.read(128):
			mode = modeTrueMotion
		case high:
			mode = modeHorizontal
		case r.read(163):
			mode = modeVertical
		}
		m.modes[0] = mode
		above.modes = [4]uint8{mode, mode, mode, mode}
		d.left.modes = above.modes
	}
	switch {
	case !r.read(142):
		m.chroma = modeDC
	case !r.read(114):
		m.chroma = modeVertical
	case r.read(183):
		m.chroma = modeTrueMotion
	default:
		m.chroma = modeHorizontal
	}
}

// readSubblockMode reads the mode of a subblock (RFC 6386, section 11.2).
func readSubblockMode(r *boolReader, p *[subblockModes - 1]uint8) uint8 {
	for i, mode := range [3]uint8{modeDC, modeTrueMotion, modeVertical} {
		if !r.read(p[i]) {
			return mode
		}
	}
	if !r.read(p[3]) {
		if !r.read(p[4]) {
			return modeHorizontal
		}
		return modeDownRight + uint8(r.readBit(p[5]))
	}
	for i, mode := range [3]uint8{modeDownLeft, modeVerticalLeft, modeHorizontalDown} {
		if !r.read(p[6+i]) {
			return mode
		}
	}
	return modeHorizontalUp
}

// reconstruct computes the samples of macroblock (x, y) and stores them in the cache.
func (d *decoder) reconstruct(m *macroblock, x, y int, coded, wide bool) {
	w, above := &d.work, &d.above[x]
	if x > 0 {
		w.shift()
	}
	if y > 0 {
		*(*[16]uint8)(w[lumaAt-workStride:]) = above.luma
		*(*[8]uint8)(w[uAt-workStride:]) = above.u
		*(*[8]uint8)(w[vAt-workStride:]) = above.v
		next := d.above[x+1].luma[:4]
		if x == d.columns-1 {
			v := above.luma[15]
			next = []uint8{v, v, v, v}
		}
		copy(w[lumaAt-workStride+16:][:4], next)
	}
	if m.subblocks {
		w.replicate()
		for i, mode := range m.modes {
			at := lumaAt + i>>2*4*workStride + i&3*4
			predictSubblock(w, at, int(mode))
			if coded {
				d.addBlock(i, at)
			}
		}
	} else {
		predictSquare(w, lumaAt, 16, int(m.modes[0]), y > 0, x > 0)
		if coded {
			d.addLuma(wide)
		}
	}
	predictSquare(w, uAt, 8, int(m.chroma), y > 0, x > 0)
	predictSquare(w, vAt, 8, int(m.chroma), y > 0, x > 0)
	if coded {
		d.addChroma(wide)
	}
	above.luma = [16]uint8(w[lumaAt+15*workStride:])
	above.u = [8]uint8(w[uAt+7*workStride:])
	above.v = [8]uint8(w[vAt+7*workStride:])
	d.cache.store(w, x)
}

// addBlock adds the residual of block i to the samples at w[at].
func (d *decoder) addBlock(i, at int) {
	switch block := d.block(i); d.kinds[i] {
	case onlyDC:
		addDC(block[0], &d.work, at)
	case fewResidual:
		addFewResidual(block, &d.work, at)
	case wholeResidual:
		addOne(block, &d.work, at)
	}
}

// addLuma adds the residuals of the blocks of luma.
func (d *decoder) addLuma(wide bool) {
	for i := 0; i < 16; i += 2 {
		d.addPair(i, lumaAt+i>>2*4*workStride+i&3*4, wide)
	}
}

// addChroma adds the residuals of the blocks of chroma. libwebp transforms all blocks of a plane in
// full if one of them has more than its DC coefficient.
func (d *decoder) addChroma(wide bool) {
	for plane, at := range [2]int{uAt, vAt} {
		kinds := d.kinds[16+4*plane:][:4]
		if max(kinds[0], kinds[1], kinds[2], kinds[3]) > onlyDC {
			for i := range kinds {
				kinds[i] = wholeResidual
			}
		}
		d.addPair(16+4*plane, at, wide)
		d.addPair(18+4*plane, at+4*workStride, wide)
	}
}

// addPair adds the residuals of blocks i and i+1 side by side. Where nothing overflows, it does not
// matter how they are transformed.
func (d *decoder) addPair(i, at int, wide bool) {
	if !wide && max(d.kinds[i], d.kinds[i+1]) > onlyDC {
		addTwo((*[32]int16)(d.coefficients[16*i:]), &d.work, at)
		return
	}
	d.addBlock(i, at)
	d.addBlock(i+1, at+4)
}
