package jpeg

import (
	"slices"

	"garb/internal/raster"
)

// readScan reads one scan. body is its header; its data follows at d.at.
func (d *decoder) readScan(body []byte) error {
	if d.components == nil {
		return raster.Corruptf("a scan comes before the frame header")
	}
	if d.scans++; d.scans > maxScans {
		return raster.Unsupportedf("JPEG of more than %d scans", maxScans)
	}
	if len(body) < 1 || len(body) != 4+2*int(body[0]) || body[0] < 1 || int(body[0]) > len(d.components) {
		return raster.Corruptf("a scan header has the wrong length")
	}
	n := int(body[0])
	selected, err := d.selectComponents(body[1:][:2*n])
	if err != nil {
		return err
	}
	p := progression{first: 0, last: 63}
	if d.process.progressive {
		end := body[1+2*n:]
		p = progression{first: int(end[0]), last: int(end[1]), high: int(end[2] >> 4), low: int(end[2] & 15)}
		if !p.isValid(n) {
			return raster.Corruptf("a scan has an invalid progression")
		}
	}
	for _, c := range selected {
		needsDC := p.first == 0 && p.high == 0
		needsAC := p.last > 0
		if needsDC && c.dc == nil || needsAC && c.ac == nil {
			return raster.Corruptf("a scan needs a Huffman table that is missing")
		}
		if err = d.allocate(c); err != nil {
			return err
		}
		if needsAC && c.size == 1 && !c.ac.hasSkip {
			c.ac.prepareSkip()
		}
	}
	d.bits = bitReader{data: d.data, at: d.at}
	err = d.readUnits(selected, p)
	d.at = d.bits.at
	return err
}

// selectComponents returns the components that a scan header names, with their tables set.
func (d *decoder) selectComponents(specs []byte) ([]*component, error) {
	selected := make([]*component, len(specs)/2)
	for i := range selected {
		id, tables := specs[2*i], specs[2*i+1]
		for j := range d.components {
			if d.components[j].id == id {
				selected[i] = &d.components[j]
			}
		}
		if selected[i] == nil || tables>>4 > 3 || tables&15 > 3 {
			return nil, raster.Corruptf("a scan names a component or table that does not exist")
		}
		if slices.Contains(selected[:i], selected[i]) {
			return nil, raster.Corruptf("a scan has a component twice")
		}
		selected[i].dc, selected[i].ac = d.dc[tables>>4], d.ac[tables&15]
	}
	return selected, nil
}

// progression is the part of the coefficients that a scan contains: the coefficients first to
// last, and their bits from low on. high is 0 in their first scan.
type progression struct{ first, last, high, low int }

// isValid reports whether a scan of n components can have the progression.
func (p progression) isValid(n int) bool {
	switch {
	case p.first > p.last, p.last > 63:
		return false
	case p.first == 0 && p.last != 0, p.first > 0 && n > 1: // AC coefficients have scans of their own
		return false
	}
	return p.low <= 13 && p.high <= 13 && (p.high == 0 || p.high == p.low+1)
}

// allocate allocates a component's plane and, for a progressive picture, its
// coefficients.
func (d *decoder) allocate(c *component) error {
	if c.plane == nil {
		if !d.hasQuantization[c.quantization] {
			return raster.Corruptf("a quantization table is missing")
		}
		// The assembly may read past the last row.
		c.plane = make([]byte, c.stride*c.heightBlocks*c.size+vectorSamples)
		if d.process.progressive {
			c.coefficients = make([]int16, 64*c.strideBlocks*c.heightBlocks)
		}
	}
	return nil
}

// readUnits reads the minimum coded units of a scan: one block of a lone component, or h × v blocks
// of each of several.
func (d *decoder) readUnits(selected []*component, p progression) error {
	wide, high := ceilDiv(d.width, 8*d.maxH), ceilDiv(d.height, 8*d.maxV)
	lone := len(selected) == 1
	if lone {
		wide, high = selected[0].blocksWide, selected[0].blocksHigh
	}
	d.resetPredictions(selected)
	untilRestart := d.restartInterval
	for y := range high {
		if err := d.ctx.Err(); err != nil {
			return err
		}
		for x := range wide {
			if d.restartInterval > 0 && untilRestart == 0 {
				if err := d.restart(selected); err != nil {
					return err
				}
				untilRestart = d.restartInterval
			}
			untilRestart--
			if lone {
				d.readBlock(selected[0], x, y, p)
			} else {
				d.readUnit(selected, x, y, p)
			}
		}
		if d.bits.isOverrun() {
			return raster.ErrTruncated
		}
	}
	return nil
}

// readUnit reads the blocks of a minimum coded unit of several components.
func (d *decoder) readUnit(selected []*component, x, y int, p progression) {
	for _, c := range selected {
		for v := range c.v {
			for h := range c.h {
				d.readBlock(c, x*c.h+h, y*c.v+v, p)
			}
		}
	}
}

// restart continues behind a restart marker.
func (d *decoder) restart(selected []*component) error {
	if d.bits.isOverrun() {
		return raster.ErrTruncated
	}
	d.resetPredictions(selected)
	return d.bits.skipRestartMarker()
}

func (d *decoder) resetPredictions(selected []*component) {
	d.eobRun = 0
	for _, c := range selected {
		c.prediction = 0
	}
}

// readBlock reads one block.
func (d *decoder) readBlock(c *component, x, y int, p progression) {
	if d.process.progressive {
		coefficients := (*[64]int16)(c.coefficients[64*(y*c.strideBlocks+x):])
		switch {
		case p.first == 0 && p.high == 0:
			d.bits.fill()
			c.prediction += d.bits.takeSigned(int(d.bits.takeSymbol(c.dc) & 15))
			coefficients[0] = int16(c.prediction << p.low)
		case p.first == 0:
			d.bits.fill()
			if d.bits.take(1) != 0 {
				coefficients[0] |= 1 << p.low
			}
		case p.high == 0:
			d.readFirstAC(coefficients, c.ac, p)
		default:
			d.refineAC(coefficients, c.ac, p)
		}
		return
	}
	b := &d.bits
	b.fill()
	c.prediction += b.takeSigned(int(b.takeSymbol(c.dc) & 15))
	out := c.plane[y*c.size*c.stride+x*c.size:]
	quantization := &d.quantization[c.quantization]
	if c.size == 1 {
		skipAC(b, c.ac)
		out[0] = clampByte((c.prediction*quantization[0]+4)>>3 + 128)
		return
	}
	block := &d.scratch
	block[0] = int16(c.prediction)
	if readAC(b, c.ac, block) {
		transform(block, quantization, out, c.stride, c.size)
		*block = [64]int16{}
	} else {
		fillBlock(out, c.stride, c.size, c.prediction*quantization[0])
	}
}

// readAC reads the coefficients after the first into block, and reports whether
// there are any.
func readAC(b *bitReader, h *huffman, block *[64]int16) (any bool) {
	acc, n := b.acc, b.n
	for k := 1; k < 64; k++ {
		if n < 32 {
			b.acc, b.n = acc, n
			b.fill()
			acc, n = b.acc, b.n
		}
		if w := h.whole[acc>>(64-lookupBits)]; w != 0 {
			acc <<= w & 0xff
			n -= int(w & 0xff)
			k += int(w >> 8 & 0xff)
			block[zigzag[k]] = int16(w >> 16)
			any = true
			continue
		}
		b.acc, b.n = acc, n
		s := b.takeSymbol(h)
		run, size := int(s>>4), int(s&15)
		if size == 0 {
			if run != 15 {
				return any
			}
			acc, n = b.acc, b.n
			k += 15
			continue
		}
		k += run
		block[zigzag[k]] = int16(b.takeSigned(size))
		any = true
		acc, n = b.acc, b.n
	}
	b.acc, b.n = acc, n
	return any
}

// skipAC skips the coefficients after the first.
func skipAC(b *bitReader, h *huffman) {
	acc, n := b.acc, b.n
	for k := 1; k < 64; {
		if n < 32 {
			b.acc, b.n = acc, n
			b.fill()
			acc, n = b.acc, b.n
		}
		s := h.skip[acc>>(64-skipBits)]
		// Near the block's end the symbols may belong to the next block.
		if places := int(s >> 8 & 0xff); s != 0 && k+places < 64 {
			acc <<= s & 0xff
			n -= int(s & 0xff)
			k += places
			if s&blockEnd != 0 {
				break
			}
			continue
		}
		b.acc, b.n = acc, n
		symbol := b.takeSymbol(h)
		run, size := int(symbol>>4), int(symbol&15)
		if size == 0 && run != 15 {
			return
		}
		b.skip(size)
		k += run + 1
		acc, n = b.acc, b.n
	}
	b.acc, b.n = acc, n
}

// readFirstAC reads the upper bits of a block's coefficients from p.first to p.last.
func (d *decoder) readFirstAC(block *[64]int16, h *huffman, p progression) {
	if d.eobRun > 0 {
		d.eobRun--
		return
	}
	b := &d.bits
	for k := p.first; k <= p.last; k++ {
		b.fill()
		s := b.takeSymbol(h)
		run, size := int(s>>4), int(s&15)
		if size == 0 {
			if run != 15 {
				d.eobRun = 1<<run - 1
				if run > 0 {
					d.eobRun += b.take(run)
				}
				return
			}
			k += 15
			continue
		}
		k += run
		block[zigzag[k]] = int16(b.takeSigned(size) << p.low)
	}
}

// refineAC reads one more bit of a block's coefficients from p.first to p.last.
func (d *decoder) refineAC(block *[64]int16, h *huffman, p progression) {
	b := &d.bits
	bit := int16(1) << p.low
	k := p.first
	for d.eobRun == 0 && k <= p.last {
		b.fill()
		s := b.takeSymbol(h)
		run, size := int(s>>4), int(s&15)
		if size == 0 && run != 15 {
			d.eobRun = 1 << run
			if run > 0 {
				d.eobRun += b.take(run)
			}
			break
		}
		var value int16
		if size != 0 { // a new coefficient, which has one bit
			value = -bit
			if b.take(1) != 0 {
				value = bit
			}
		}
		k = b.refineNonzero(block, k, p.last, run, bit)
		if value != 0 && k <= p.last {
			block[zigzag[k]] = value
		}
		k++
	}
	if d.eobRun > 0 {
		b.refineNonzero(block, k, p.last, len(block), bit)
		d.eobRun--
	}
}

// refineNonzero reads one more bit of the nonzero coefficients from k to last. It stops at
// the zero after n others, and returns its index.
func (b *bitReader) refineNonzero(block *[64]int16, k, last, zeros int, bit int16) int {
	for ; k <= last; k++ {
		c := &block[zigzag[k]]
		if *c == 0 {
			if zeros == 0 {
				break
			}
			zeros--
			continue
		}
		if b.n == 0 {
			b.fill()
		}
		if b.take(1) != 0 && *c&bit == 0 {
			if *c > 0 {
				*c += bit
			} else {
				*c -= bit
			}
		}
	}
	return k
}

// transformAll transforms the coefficients of a progressive picture.
func (d *decoder) transformAll() error {
	for i := range d.components {
		c := &d.components[i]
		if c.plane == nil {
			return raster.Corruptf("a component has no data")
		}
		if c.coefficients == nil {
			continue
		}
		quantization := &d.quantization[c.quantization]
		for y := range c.blocksHigh {
			if err := d.ctx.Err(); err != nil {
				return err
			}
			for x := range c.blocksWide {
				block := (*[64]int16)(c.coefficients[64*(y*c.strideBlocks+x):])
				out := c.plane[y*c.size*c.stride+x*c.size:]
				transform(block, quantization, out, c.stride, c.size)
			}
		}
		c.coefficients = nil
	}
	return nil
}
