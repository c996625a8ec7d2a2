package jpeg

import "fmt"

// scan reads one scan: its header is body, its data follow at d.at.
func (d *decoder) scan(body []byte) error {
	if d.components == nil {
		return FormatError("a scan comes before the frame header")
	}
	if d.scans++; d.scans > maxScans {
		return fmt.Errorf("%w: more than %d scans", ErrUnsupported, maxScans)
	}
	if len(body) < 1 || len(body) != 4+2*int(body[0]) || body[0] < 1 || int(body[0]) > len(d.components) {
		return FormatError("a scan header has another length")
	}
	n := int(body[0])
	chosen := make([]*component, n)
	for i := range chosen {
		for j := range d.components {
			if d.components[j].id == body[1+2*i] {
				chosen[i] = &d.components[j]
			}
		}
		tables := body[2+2*i]
		if chosen[i] == nil || tables>>4 > 3 || tables&15 > 3 {
			return FormatError("a scan names a component or table that is not there")
		}
		for _, other := range chosen[:i] {
			if other == chosen[i] {
				return FormatError("a scan has a component twice")
			}
		}
		chosen[i].dc, chosen[i].ac = d.dc[tables>>4], d.ac[tables&15]
	}
	p := progression{first: int(body[1+2*n]), last: int(body[2+2*n]), high: int(body[3+2*n] >> 4),
		low: int(body[3+2*n] & 15)}
	if !d.progressive {
		p = progression{first: 0, last: 63}
	} else if p.first > p.last || p.last > 63 || p.first == 0 && p.last != 0 || p.first > 0 && n > 1 || p.low > 13 ||
		p.high > 13 || p.high != 0 && p.high != p.low+1 {
		return FormatError("a scan has an impossible progression")
	}
	for _, c := range chosen {
		needsDC := p.first == 0 && p.high == 0
		needsAC := p.last > 0
		if needsDC && c.dc == nil || needsAC && c.ac == nil {
			return FormatError("a scan needs a Huffman table that is not there")
		}
		if err := d.allocate(c); err != nil {
			return err
		}
		if needsAC && c.size == 1 && !c.ac.skips {
			c.ac.prepareSkip()
		}
	}
	d.bits = bitReader{data: d.data, at: d.at}
	err := d.units(chosen, p)
	d.at = d.bits.at
	return err
}

// progression is the part of the coefficients that a scan holds: those from first
// to last, and of each the bits from low; high is 0 in the first scan of them.
type progression struct{ first, last, high, low int }

// allocate makes a component's plane, and coefficients if need be.
func (d *decoder) allocate(c *component) error {
	if c.plane == nil {
		if !d.hasQuantization[c.quantization] {
			return FormatError("a quantization table is not there")
		}
		// Vectors may read past the last row.
		c.plane = make([]byte, c.stride*c.heightBlocks*c.size+vectorSamples)
		if d.progressive {
			c.coefficients = make([]int16, 64*c.strideBlocks*c.heightBlocks)
		}
	}
	return nil
}

// units reads the minimum coded units of a scan: one block of a lone component,
// or h × v blocks of each of several.
func (d *decoder) units(chosen []*component, p progression) error {
	wide, high := ceilDiv(d.width, 8*d.maxH), ceilDiv(d.height, 8*d.maxV)
	lone := len(chosen) == 1
	if lone {
		wide, high = chosen[0].blocksWide, chosen[0].blocksHigh
	}
	d.begin(chosen)
	untilRestart := d.restartInterval
	for y := range high {
		if err := d.ctx.Err(); err != nil {
			return err
		}
		for x := range wide {
			if d.restartInterval > 0 {
				if untilRestart == 0 {
					if d.bits.overrun() {
						return errTruncated
					}
					if err := d.bits.restart(); err != nil {
						return err
					}
					d.begin(chosen)
					untilRestart = d.restartInterval
				}
				untilRestart--
			}
			if lone {
				d.block(chosen[0], x, y, p)
				continue
			}
			for _, c := range chosen {
				for v := range c.v {
					for h := range c.h {
						d.block(c, x*c.h+h, y*c.v+v, p)
					}
				}
			}
		}
		if d.bits.overrun() {
			return errTruncated
		}
	}
	return nil
}

func (d *decoder) begin(chosen []*component) {
	d.eobRun = 0
	for _, c := range chosen {
		c.prediction = 0
	}
}

// block reads one block.
func (d *decoder) block(c *component, x, y int, p progression) {
	if d.progressive {
		coefficients := (*[64]int16)(c.coefficients[64*(y*c.strideBlocks+x):])
		switch {
		case p.first == 0 && p.high == 0:
			d.bits.fill()
			c.prediction += d.bits.signed(int(d.bits.symbol(c.dc) & 15))
			coefficients[0] = int16(c.prediction << p.low)
		case p.first == 0:
			d.bits.fill()
			if d.bits.take(1) != 0 {
				coefficients[0] |= 1 << p.low
			}
		case p.high == 0:
			d.firstAC(coefficients, c.ac, p)
		default:
			d.refineAC(coefficients, c.ac, p)
		}
		return
	}
	b := &d.bits
	b.fill()
	c.prediction += b.signed(int(b.symbol(c.dc) & 15))
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
		flat(out, c.stride, c.size, c.prediction*quantization[0])
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
		s := b.symbol(h)
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
		block[zigzag[k]] = int16(b.signed(size))
		any = true
		acc, n = b.acc, b.n
	}
	b.acc, b.n = acc, n
	return any
}

// skipAC passes over the coefficients after the first.
func skipAC(b *bitReader, h *huffman) {
	acc, n := b.acc, b.n
	for k := 1; k < 64; {
		if n < 32 {
			b.acc, b.n = acc, n
			b.fill()
			acc, n = b.acc, b.n
		}
		s := h.skip[acc>>(64-skipBits)]
		// Near the block's end the symbols may be those of the next block.
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
		symbol := b.symbol(h)
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

// firstAC reads the upper bits of a block's coefficients from p.first to p.last.
func (d *decoder) firstAC(block *[64]int16, h *huffman, p progression) {
	if d.eobRun > 0 {
		d.eobRun--
		return
	}
	b := &d.bits
	for k := p.first; k <= p.last; k++ {
		b.fill()
		s := b.symbol(h)
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
		block[zigzag[k]] = int16(b.signed(size) << p.low)
	}
}

// refineAC reads one more bit of a block's coefficients from p.first to p.last.
func (d *decoder) refineAC(block *[64]int16, h *huffman, p progression) {
	b := &d.bits
	bit := int16(1) << p.low
	refine := func(c *int16) {
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
	k := p.first
	if d.eobRun == 0 {
		for ; k <= p.last; k++ {
			b.fill()
			s := b.symbol(h)
			run, size := int(s>>4), int(s&15)
			var value int16
			if size == 0 {
				if run != 15 {
					d.eobRun = 1 << run
					if run > 0 {
						d.eobRun += b.take(run)
					}
					break
				}
			} else if b.take(1) != 0 { // a new coefficient has one bit
				value = bit
			} else {
				value = -bit
			}
			// Pass over run coefficients that are zero so far, refining the others.
			for ; k <= p.last; k++ {
				c := &block[zigzag[k]]
				if *c != 0 {
					refine(c)
				} else if run == 0 {
					break
				} else {
					run--
				}
			}
			if value != 0 && k <= p.last {
				block[zigzag[k]] = value
			}
		}
	}
	if d.eobRun > 0 {
		for ; k <= p.last; k++ {
			if c := &block[zigzag[k]]; *c != 0 {
				refine(c)
			}
		}
		d.eobRun--
	}
}

// finish transforms the coefficients of a progressive picture.
func (d *decoder) finish() error {
	for i := range d.components {
		c := &d.components[i]
		if c.plane == nil {
			return FormatError("a component has no data")
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
