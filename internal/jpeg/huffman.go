package jpeg

import "garb/internal/raster"

// lookupBits is the length of codes that one table lookup decodes.
const lookupBits = 10

const (
	// skipBits is the length of codes that one table lookup skips.
	skipBits = 13
	blockEnd = 1 << 15
)

// endPlaces is more than the places of a block and of a run.
const endPlaces = 128

// huffmanSpec is a code table as the file has it: the numbers of codes of each length from 1 to 16,
// and the symbols. Only a scan that uses it checks it.
type huffmanSpec struct {
	counts  [16]byte
	symbols []byte
	// standard says that the file does not have the table.
	standard bool
	table    *huffman // derived from them when it is first used
}

// huffman is a code table for decoding.
type huffman struct {
	// fast has, by the next lookupBits bits, the code's length << 8 | its symbol, or 0 if the code
	// is longer.
	fast [1 << lookupBits]uint16
	// whole has, by the next lookupBits bits, an AC coefficient if its code and value fit into
	// them: value << 16 | places passed << 8 | bits used; otherwise 0. The symbol 0, which ends the
	// block, passes endPlaces.
	whole [1 << lookupBits]int32

	// skip has, by the next skipBits bits, the sum of the AC symbols that begin in them: blockEnd
	// if one of them ends the block | places they pass << 8 | their bits, including those of the
	// last value, which may lie beyond; 0 if there is none.
	skip *[1 << skipBits]uint16

	// For longer codes: maxCode[n] is the largest code of n bits, as 16 bits, + 1.
	maxCode [18]int32
	offset  [17]int32 // symbols index = code + offset
	symbols [256]uint8
}

func (d *decoder) readHuffmanTables(s segment) error {
	for s.size() > 0 {
		head, err := s.take(17)
		if err != nil {
			return err
		}
		spec := &huffmanSpec{counts: [16]byte(head[1:])}
		total := 0
		for _, n := range spec.counts {
			total += int(n)
		}
		if total > 256 {
			return raster.Corruptf("a Huffman table of the JPEG has more than 256 codes")
		}
		if spec.symbols, err = s.take(total); err != nil {
			return err
		}
		switch class, number := head[0]>>4, head[0]&15; {
		case class > 1 || number > 3:
			return raster.Corruptf("a Huffman table of the JPEG has an invalid number")
		case class == 0:
			d.dc[number] = spec
		default:
			d.ac[number] = spec
		}
	}
	return nil
}

// findTable returns the DC or AC table of a number, derived from its specification.
func (d *decoder) findTable(specs *[4]*huffmanSpec, number byte) (*huffman, error) {
	if number > 3 || specs[number] == nil {
		return nil, raster.Corruptf("a scan of the JPEG needs a Huffman table that is missing")
	}
	spec := specs[number]
	if spec.table == nil {
		h, err := newHuffman(&spec.counts, spec.symbols)
		if err != nil {
			return nil, err
		}
		spec.table = h
	}
	if specs == &d.dc {
		limit := byte(15)
		if d.process.lossless {
			limit = 16
		}
		for _, s := range spec.symbols {
			if s > limit {
				return nil, raster.Corruptf("a Huffman table of the JPEG has an invalid symbol")
			}
		}
	}
	if spec.standard {
		d.repairs.AddRepair(repairTables)
	}
	return spec.table, nil
}

// newHuffman returns a table with these numbers of codes of each length from 1 to 16 and these
// symbols.
func newHuffman(counts *[16]byte, symbols []byte) (*huffman, error) {
	h := &huffman{}
	copy(h.symbols[:], symbols)
	code, index := int32(0), int32(0)
	for n := 1; n <= 16; n++ {
		h.offset[n] = index - code
		for range counts[n-1] {
			if n <= lookupBits && code < 1<<n {
				h.enter(int(code), n, symbols[index])
			}
			code++
			index++
		}
		if code >= 1<<n { // no code may be all ones
			return nil, raster.Corruptf("a Huffman table of the JPEG has too many codes")
		}
		h.maxCode[n] = code << (16 - n)
		code <<= 1
	}
	h.maxCode[17] = 1 << 30
	return h, nil
}

// enter enters the code of a symbol into fast and whole.
func (h *huffman) enter(code, n int, symbol byte) {
	first := code << (lookupBits - n)
	fill(h.fast[first:][:1<<(lookupBits-n)], uint16(n)<<8|uint16(symbol))
	run, size := int32(symbol>>4), int(symbol&15)
	rest := lookupBits - n - size
	switch {
	case symbol == 0:
		fill(h.whole[first:][:1<<rest], endPlaces<<8|int32(n))
	case size > 0 && rest >= 0:
		for i := range int32(1) << size {
			value := i
			if value < 1<<(size-1) {
				value += -1<<size + 1
			}
			fill(h.whole[first+int(i)<<rest:][:1<<rest], value<<16|(run+1)<<8|int32(n+size))
		}
	}
}

func fill[T any](to []T, v T) {
	for i := range to {
		to[i] = v
	}
}

// maxCodeBits is the length of the longest codes.
const maxCodeBits = 16

// find returns the symbol of the code at the upper end of acc, and the code's length. If there is no
// such code, libjpeg takes a zero for 17 bits.
func (h *huffman) find(acc uint64) (symbol uint8, n int) {
	if f := h.fast[acc>>(64-lookupBits)]; f != 0 {
		return uint8(f), int(f >> 8)
	}
	next := int32(acc >> 48)
	n = lookupBits + 1
	for next >= h.maxCode[n] {
		n++
	}
	if n > maxCodeBits {
		return 0, n
	}
	return h.symbols[(next>>(16-n)+h.offset[n])&255], n
}

// readLong returns what whole has, for an AC coefficient of any length. With badCode it says that
// there is no such code. A run of zeros has the value 0.
func (h *huffman) readLong(acc uint64) int32 {
	symbol, n := h.find(acc)
	run, size := int32(symbol>>4), int(symbol&15)
	switch {
	case n > maxCodeBits:
		return endPlaces<<8 | badCode | int32(n)
	case size == 0 && run != 15:
		return endPlaces<<8 | int32(n)
	}
	value := int32(acc << n >> 1 >> (63 - size))
	if value < 1<<size>>1 {
		value += -1<<size + 1
	}
	return value<<16 | (run+1)<<8 | int32(n+size)
}

// badCode is a bit beside the bits used.
const badCode = 1 << 7

// prepareSkip computes skip, which only decoding at 1/8 needs.
func (h *huffman) prepareSkip() {
	h.skip = new([1 << skipBits]uint16)
	for i := range h.skip {
		bits, places, end := 0, 0, 0
		for bits < skipBits {
			f := h.fast[i<<bits&(1<<skipBits-1)>>(skipBits-lookupBits)]
			n, run, size := int(f>>8), int(f>>4&15), int(f&15)
			// More places than a block has do not fit, either.
			if n == 0 || bits+n > skipBits || places+run > 62 {
				break
			}
			bits += n + size
			if size == 0 && run != 15 {
				end = blockEnd
				break
			}
			places += run + 1
		}
		h.skip[i] = uint16(end | places<<8 | bits)
	}
}
