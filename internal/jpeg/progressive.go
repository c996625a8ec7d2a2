package jpeg

// progressiveDecoder decodes the Huffman-coded blocks of a progressive picture.
type progressiveDecoder struct {
	d      *decoder
	bits   bitReader
	scan   *scan
	eobRun int32 // number of blocks without further coefficients
}

func (e *progressiveDecoder) begin(s *scan) (err error) {
	for _, c := range s.components {
		switch {
		case s.first > 0:
			c.ac, err = e.d.findTable(&e.d.ac, c.acIndex)
		case s.high == 0:
			c.dc, err = e.d.findTable(&e.d.dc, c.dcIndex)
		}
		if err != nil {
			return err
		}
	}
	e.scan = s
	e.bits = bitReader{data: e.d.data}
	e.restart(s)
	return nil
}

func (e *progressiveDecoder) restart(s *scan) {
	e.bits.restart(e.d.at)
	e.eobRun = 0
	for _, c := range s.components {
		c.prediction = 0
	}
}

func (e *progressiveDecoder) isExhausted() bool { return e.bits.isOverrun() }

func (e *progressiveDecoder) end() error { return e.bits.end(e.d) }

func (e *progressiveDecoder) readBlock(c *component, block *[64]int16) bool {
	s, b := e.scan, &e.bits
	switch {
	case s.first == 0 && s.high == 0:
		b.fill()
		c.prediction += b.takeSigned(int(b.takeSymbol(c.dc) & 15))
		block[0] = int16(c.prediction << s.low)
	case s.first == 0:
		if b.n == 0 {
			b.fill()
		}
		block[0] |= int16(b.take(1) << s.low)
	case s.high == 0:
		e.readFirst(block, c.ac)
	default:
		e.refine(block, c.ac)
	}
	return true
}

// readFirst reads the upper bits of a block's coefficients.
func (e *progressiveDecoder) readFirst(block *[64]int16, h *huffman) {
	if e.eobRun > 0 {
		e.eobRun--
		return
	}
	b := &e.bits
	for k := e.scan.first; k <= e.scan.last; k++ {
		b.fill()
		s := b.takeSymbol(h)
		run, size := int(s>>4), int(s&15)
		if size == 0 {
			if run != 15 {
				e.eobRun = 1<<run - 1 + b.take(run)
				return
			}
			k += 15
			continue
		}
		k += run
		block[zigzag[k]] = int16(b.takeSigned(size) << e.scan.low)
	}
}

// refine reads one more bit of a block's coefficients.
func (e *progressiveDecoder) refine(block *[64]int16, h *huffman) {
	b, last := &e.bits, e.scan.last
	bit := int16(1) << e.scan.low
	k := e.scan.first
	for e.eobRun == 0 && k <= last {
		b.fill()
		s := b.takeSymbol(h)
		run, size := int(s>>4), int(s&15)
		if size == 0 && run != 15 {
			e.eobRun = 1<<run + b.take(run)
			break
		}
		var value int16
		if size != 0 { // a new coefficient, which has one bit
			value = -bit
			if b.take(1) != 0 {
				value = bit
			}
			if size != 1 {
				b.badCode = true
			}
		}
		k = b.refineNonzero(block, k, last, run, bit)
		if value != 0 { // behind last if the data are damaged, as in libjpeg
			block[zigzag[k]] = value
		}
		k++
	}
	if e.eobRun > 0 {
		b.refineNonzero(block, k, last, len(block), bit)
		e.eobRun--
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
