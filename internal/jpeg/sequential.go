package jpeg

// sequentialDecoder decodes the Huffman-coded blocks of a sequential picture.
type sequentialDecoder struct {
	d             *decoder
	bits          bitReader
	intervalBegin int // where the data of the present interval begin
}

func (e *sequentialDecoder) begin(s *scan) (err error) {
	for _, c := range s.components {
		if c.dc, err = e.d.findTable(&e.d.dc, c.dcIndex); err != nil {
			return err
		}
		if c.ac, err = e.d.findTable(&e.d.ac, c.acIndex); err != nil {
			return err
		}
		if c.size == 1 && c.ac.skip == nil {
			c.ac.prepareSkip()
		}
	}
	e.bits = bitReader{data: e.d.data}
	e.restart(s)
	return nil
}

func (e *sequentialDecoder) restart(s *scan) {
	e.bits.restart(e.d.at)
	e.intervalBegin = e.d.at
	for _, c := range s.components {
		c.prediction = 0
	}
}

func (e *sequentialDecoder) isExhausted() bool { return e.bits.isOverrun() }

func (e *sequentialDecoder) end() error { return e.bits.end(e.d) }

func (e *sequentialDecoder) readBlock(c *component, block *[64]int16) (ac bool) {
	b := &e.bits
	b.fill()
	if w := c.dc.whole[b.acc>>(64-lookupBits)]; w != 0 {
		b.skip(int(w & 63))
		c.prediction += w >> 16
	} else {
		c.prediction += b.takeSigned(int(b.takeSymbol(c.dc) & 15))
	}
	block[0] = int16(c.prediction)
	if c.size == 1 {
		skipAC(b, c.ac)
		return false
	}
	return readAC(b, c.ac, block)
}

// readAC reads the coefficients after the first into block, and reports whether
// there are any.
func readAC(b *bitReader, h *huffman, block *[64]int16) (found bool) {
	acc, n, k := b.acc, b.n, 0
	for {
		if n < 32 {
			if v := b.peek(); v != 0 {
				acc |= v >> (n & 63)
				b.at += (64 - n) >> 3
				n += (64 - n) &^ 7
			} else {
				b.acc, b.n = acc, n
				b.fillSlowly()
				acc, n = b.acc, b.n
			}
		}
		w := h.whole[acc>>(64-lookupBits)]
		if w == 0 {
			w = h.readLong(acc)
			b.badCode = b.badCode || w&badCode != 0
		}
		acc <<= w & 63
		n -= int(w & 63)
		k += int(w >> 8 & 0xff)
		if k >= 63 {
			if value := int16(w >> 16); value != 0 {
				block[63] = value
				found = true
			}
			break
		}
		if value := int16(w >> 16); value != 0 {
			block[zigzag[k]&63] = value
			found = true
		}
	}
	b.acc, b.n = acc, n
	return found
}

// skipAC skips the coefficients after the first.
func skipAC(b *bitReader, h *huffman) {
	acc, n, k := b.acc, b.n, 1
	for k < 64 {
		if n < 32 {
			if v := b.peek(); v != 0 {
				acc |= v >> (n & 63)
				b.at += (64 - n) >> 3
				n += (64 - n) &^ 7
			} else {
				b.acc, b.n = acc, n
				b.fillSlowly()
				acc, n = b.acc, b.n
			}
		}
		s := h.skip[acc>>(64-skipBits)]
		bits := int(s & 0xff)
		// Near the block's end the symbols may belong to the next block.
		if places := int(s >> 8 & 0x7f); s != 0 && k+places < 64 {
			k += places
			if s&blockEnd != 0 {
				k = 64
			}
		} else {
			w := h.readLong(acc)
			b.badCode = b.badCode || w&badCode != 0
			bits = int(w & 63)
			k += int(w >> 8 & 0xff)
		}
		acc <<= bits & 63
		n -= bits
	}
	b.acc, b.n = acc, n
}
