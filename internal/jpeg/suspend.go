package jpeg

// The last block of a picture can end close to the end of a file that has no end marker. Pillow
// refuses the file if libjpeg-turbo asks for more data then, which depends on how many bytes it
// reads ahead. suspendReader reads ahead as it does (jdhuff.c, jdhuff.h).
type suspendReader struct {
	data []byte
	at   int // next byte
	end  int // of the data that Pillow has read
	// fast says that libjpeg-turbo reads 6 bytes at once, which it does while there are many.
	fast bool
	acc  uint64
	left int // number of bits in acc
}

// suspends reports whether libjpeg-turbo would ask for more data behind the last interval of a scan,
// which has this number of minimum coded units. No marker follows it.
func (e *sequentialDecoder) suspends(s *scan, units int) bool {
	d := e.d
	r := suspendReader{data: d.data, at: e.intervalBegin}
	blocks := 0
	for _, c := range s.components {
		blocks += c.h * c.v
	}
	if len(s.components) == 1 {
		blocks = 1
	}
	const bytesPerBlock = 512 // BUFSIZE of jdhuff.c
	for units > 0 {
		r.end = min(len(r.data), max(r.end, endOfPillowBlock(r.at)))
		before := r
		r.fast = d.restartInterval == 0 && r.end-r.at >= bytesPerBlock*blocks
		ok := r.readUnit(s)
		if !ok && r.fast {
			r = before
			ok = r.readUnit(s)
		}
		switch {
		case ok:
			units--
		case r.end == len(r.data):
			return true
		default:
			r = before
			r.end += pillowBlock
		}
		r.fast = false
	}
	return false
}

// readUnit reads a minimum coded unit. It returns false if data are missing or, in fast mode, if they
// are of a kind that only the slow mode takes.
func (r *suspendReader) readUnit(s *scan) bool {
	for _, c := range s.components {
		blocks := c.h * c.v
		if len(s.components) == 1 {
			blocks = 1
		}
		for range blocks {
			if !r.readBlock(c) {
				return false
			}
		}
	}
	return true
}

func (r *suspendReader) readBlock(c *component) bool {
	symbol, ok := r.readSymbol(c.dc)
	if !ok || !r.skipValue(int(symbol&15)) {
		return false
	}
	for k := 1; k < 64; k++ {
		if symbol, ok = r.readSymbol(c.ac); !ok {
			return false
		}
		run, size := int(symbol>>4), int(symbol&15)
		if size == 0 && run != 15 {
			break
		}
		k += run
		if !r.skipValue(size) {
			return false
		}
	}
	return true
}

// readSymbol decodes a symbol.
func (r *suspendReader) readSymbol(h *huffman) (uint8, bool) {
	const lookahead = 8
	if !r.fill(lookahead) {
		return 0, false
	}
	code, n := int32(0), 0
	for n == 0 || n <= 16 && code<<(16-n) >= h.maxCode[n] {
		// Of codes that are longer it takes 9 bits, and then one at a time.
		if n >= lookahead && !r.fast && !r.fillForLong(n, lookahead) {
			return 0, false
		}
		n++
		r.left--
		code = code<<1 | int32(r.acc>>r.left&1)
	}
	if n > 16 {
		return 0, true
	}
	return h.symbols[(code+h.offset[n])&255], true
}

// fillForLong reads ahead for the bit behind n bits of a code that is longer than the lookahead.
func (r *suspendReader) fillForLong(n, lookahead int) bool {
	if n > lookahead {
		return r.fill(1)
	}
	r.left += n
	ok := r.fill(n + 1)
	r.left -= n
	return ok
}

func (r *suspendReader) skipValue(size int) bool {
	if size == 0 {
		return true
	}
	if !r.fill(size) {
		return false
	}
	r.left -= size
	return true
}

// fill reads ahead for n bits.
func (r *suspendReader) fill(n int) bool {
	if r.fast {
		if r.left <= 16 {
			for range 6 {
				if !r.readByte() {
					return false
				}
			}
		}
		return true
	}
	if r.left < n {
		for r.left <= 56 {
			if !r.readByte() {
				return false
			}
		}
	}
	return true
}

func (r *suspendReader) readByte() bool {
	if r.at >= r.end {
		return false
	}
	v := r.data[r.at]
	r.at++
	if v == 0xff {
		for !r.fast && r.at < r.end && r.data[r.at] == 0xff {
			r.at++
		}
		if r.at >= r.end || r.data[r.at] != 0 {
			return false
		}
		r.at++
	}
	r.acc = r.acc<<8 | uint64(v)
	r.left += 8
	return true
}
