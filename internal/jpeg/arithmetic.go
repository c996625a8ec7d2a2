package jpeg

import (
	"math/bits"

	"garb/internal/raster"
)

// arithmeticTables is the number of conditioning tables per class: libjpeg-turbo (jpeglib.h,
// NUM_ARITH_TBLS) allows more than the 4 of ITU-T T.81.
const arithmeticTables = 16

// conditioning has the parameters of the DAC segments, by table.
type conditioning struct {
	// DC differences of less than lower bits are taken as zero, and of more than upper bits as
	// large, when the context of the next one is chosen.
	lower, upper [arithmeticTables]uint8
	// split is the last AC coefficient whose magnitude is coded with the first set of bins.
	split [arithmeticTables]uint8
}

// defaultConditioning returns the parameters of pictures without DAC segment (T.81, F.1.4.4).
func defaultConditioning() (c conditioning) {
	for i := range arithmeticTables {
		c.upper[i], c.split[i] = 1, 5
	}
	return c
}

// read reads a DAC segment.
func (c *conditioning) read(s segment) error {
	for s.size() > 0 {
		entry, err := s.take(2)
		if err != nil {
			return err
		}
		class, table, value := entry[0]>>4, entry[0]&15, entry[1]
		switch {
		case class > 1 || class == 0 && value&15 > value>>4:
			return raster.Corruptf("an arithmetic conditioning table is malformed")
		case class == 1:
			c.split[table] = value
		default:
			c.lower[table], c.upper[table] = value&15, value>>4
		}
	}
	return nil
}

// binState is a state of a bin: an estimate of the probability of the less probable symbol (LPS),
// and which of the two symbols that is.
type binState struct {
	lps                uint32 // probability of the LPS, as a part of the interval
	afterMPS, afterLPS uint8  // next state
}

// Bits of a bin: an index of estimates and the more probable symbol (MPS).
const (
	mpsShift = 7
	// fixedBin has equal probabilities that do not change.
	fixedBin = 113
)

// binStates has the states by the value of a bin.
var binStates = expandEstimates()

func expandEstimates() (states [256]binState) {
	for i, e := range estimates {
		for mps := range uint8(2) {
			other := mps
			if e.change {
				other ^= 1
			}
			states[uint8(i)|mps<<mpsShift] = binState{e.lps, e.afterMPS | mps<<mpsShift, e.afterLPS | other<<mpsShift}
		}
	}
	states[fixedBin] = binState{estimates[0].lps, fixedBin, fixedBin}
	return states
}

// arithmeticDecoder decodes the blocks of a scan with the QM coder (T.81, annex D). At a marker, and
// at the end of the data, it reads zeros on and on.
type arithmeticDecoder struct {
	d    *decoder
	scan *scan
	at   int // next byte of data, or the marker if there is one

	// code is the data's position in the interval, followed by n bits that were read ahead.
	code     uint32
	interval uint32
	n        int

	ended bool // zeros are being read
	cut   bool // because the data end without a marker
	// invalid says that the data do not make sense. libjpeg-turbo (jdarith.c) then skips blocks up
	// to the next restart marker.
	invalid bool

	dc, ac [arithmeticTables][256]uint8 // bins
	fixed  uint8
}

func (a *arithmeticDecoder) begin(s *scan) error {
	a.restart(s)
	return nil
}

func (a *arithmeticDecoder) restart(s *scan) {
	*a = arithmeticDecoder{d: a.d, scan: s, at: a.d.at, interval: 1 << 16, fixed: fixedBin}
	a.code = a.nextByte() << 8
	a.code |= a.nextByte()
	for _, c := range s.components {
		c.prediction, c.context = 0, 0
	}
}

func (a *arithmeticDecoder) isExhausted() bool { return a.cut }

func (a *arithmeticDecoder) end() error {
	a.d.at = a.at
	if a.invalid {
		a.d.repairs.AddRepair(repairBadCode)
	}
	if a.cut {
		return raster.ErrTruncated
	}
	return nil
}

func (a *arithmeticDecoder) nextByte() uint32 {
	if a.ended {
		return 0
	}
	if a.at < len(a.d.data) && a.d.data[a.at] != 0xff {
		a.at++
		return uint32(a.d.data[a.at-1])
	}
	// The byte 0xff is followed by zero. Surplus bytes 0xff can come before.
	next := a.at + 1
	for next < len(a.d.data) && a.d.data[next] == 0xff {
		next++
	}
	if next < len(a.d.data) && a.d.data[next] == 0 {
		a.at = next + 1
		return 0xff
	}
	a.ended, a.cut = true, next >= len(a.d.data)
	return 0
}

// decide decodes one decision and adapts its bin.
func (a *arithmeticDecoder) decide(bin *uint8) int32 {
	if a.interval < 1<<15 {
		a.renormalize()
	}
	s := *bin
	state := &binStates[s]
	mps := a.interval - state.lps
	bound := mps << (uint(a.n) & 31)
	lesser := mps < state.lps // the LPS has the larger part: the symbols are exchanged
	if a.code < bound {
		a.interval = mps
		if mps >= 1<<15 {
			return int32(s >> mpsShift)
		}
	} else {
		a.code -= bound
		a.interval = state.lps
		lesser = !lesser
	}
	if lesser {
		*bin = state.afterLPS
		return int32(s>>mpsShift ^ 1)
	}
	*bin = state.afterMPS
	return int32(s >> mpsShift)
}

func (a *arithmeticDecoder) renormalize() {
	shift := bits.LeadingZeros16(uint16(a.interval))
	a.interval <<= shift
	for a.n -= shift; a.n < 0; a.n += 8 {
		a.code = a.code<<8 | a.nextByte()
	}
}

// takeMagnitude decodes a magnitude of at least least, which is 1 or 2, whose bins begin at at.
func (a *arithmeticDecoder) takeMagnitude(bins *[256]uint8, at uint8, least int32) int32 {
	top := least
	for a.decide(&bins[at]) != 0 {
		if top <<= 1; top == 1<<15 {
			a.invalid = true
			return 0
		}
		at++
	}
	v := top
	for bit := top >> 1; bit != 0; bit >>= 1 {
		if a.decide(&bins[at+14]) != 0 {
			v |= bit
		}
	}
	return v
}

func (a *arithmeticDecoder) readBlock(c *component, block *[64]int16) (ac bool) {
	s := a.scan
	switch {
	case a.d.process.progressive && s.first == 0 && s.high > 0:
		if a.decide(&a.fixed) != 0 {
			block[0] |= 1 << s.low
		}
	case !a.d.process.progressive:
		block[0] = 0
		if !a.invalid {
			a.readDC(c)
		}
		if !a.invalid {
			block[0] = int16(c.prediction)
			return a.readAC(block, c, 1, 63, 0)
		}
	case a.invalid:
	case s.first == 0:
		if a.readDC(c); !a.invalid {
			block[0] = int16(c.prediction << s.low)
		}
	case s.high == 0:
		a.readAC(block, c, s.first, s.last, s.low)
	default:
		a.refineAC(block, c)
	}
	return false
}

// readDC decodes the difference of a block's first coefficient from that of the last block
// (T.81, F.1.4.1), and updates the component's prediction and context.
func (a *arithmeticDecoder) readDC(c *component) {
	conditions := &a.d.conditioning
	bins := &a.dc[c.dcIndex]
	at := c.context
	c.context = 0
	if a.decide(&bins[at]) == 0 {
		return
	}
	sign := a.decide(&bins[at+1])
	magnitude := a.decide(&bins[at+2+uint8(sign)])
	if magnitude != 0 {
		const first = 20
		if magnitude = a.takeMagnitude(bins, first, 1); a.invalid {
			return
		}
	}
	switch size := uint8(bits.Len32(uint32(magnitude))); {
	case size < conditions.lower[c.dcIndex]:
	case size > conditions.upper[c.dcIndex]:
		c.context = 12 + 4*uint8(sign)
	default:
		c.context = 4 + 4*uint8(sign)
	}
	c.prediction += applySign(magnitude+1, sign)
}

func applySign(v, sign int32) int32 { return (v ^ -sign) + sign }

// readAC decodes the coefficients from first to last (T.81, F.1.4.2), shifted by low, and reports
// whether there are any.
func (a *arithmeticDecoder) readAC(block *[64]int16, c *component, first, last, low int) (found bool) {
	bins := &a.ac[c.acIndex]
	split := int(a.d.conditioning.split[c.acIndex])
	for k := first; k <= last; k++ {
		at := uint8(3 * (k - 1))
		if a.decide(&bins[at]) != 0 {
			break // end of block
		}
		for a.decide(&bins[at+1]) == 0 {
			at += 3
			if k++; k > last {
				a.invalid = true
				return found
			}
		}
		sign := a.decide(&a.fixed)
		magnitude := a.decide(&bins[at+2])
		if magnitude != 0 && a.decide(&bins[at+2]) != 0 {
			at = 189
			if k > split {
				at = 217
			}
			if magnitude = a.takeMagnitude(bins, at, 2); a.invalid {
				return found
			}
		}
		block[zigzag[k]] = int16(applySign(magnitude+1, sign) << low)
		found = true
	}
	return found
}

// refineAC decodes one more bit of the coefficients from first to last (T.81, G.1.3.3).
func (a *arithmeticDecoder) refineAC(block *[64]int16, c *component) {
	bins := &a.ac[c.acIndex]
	bit := int16(1) << a.scan.low
	end := a.scan.last // the last coefficient that was not zero before
	for end > 0 && block[zigzag[end]] == 0 {
		end--
	}
	for k := a.scan.first; k <= a.scan.last; k++ {
		at := uint8(3 * (k - 1))
		if k > end && a.decide(&bins[at]) != 0 {
			return // end of block
		}
		for !a.refineOne(&block[zigzag[k]], bins, at, bit) {
			at += 3
			if k++; k > a.scan.last {
				a.invalid = true
				return
			}
		}
	}
}

// refineOne decodes one more bit of a coefficient. It reports whether the coefficient is not zero.
func (a *arithmeticDecoder) refineOne(coefficient *int16, bins *[256]uint8, at uint8, bit int16) bool {
	switch v := *coefficient; {
	case v != 0:
		if a.decide(&bins[at+2]) == 0 {
			return true
		}
		if v < 0 {
			bit = -bit
		}
		*coefficient += bit
		return true
	case a.decide(&bins[at+1]) == 0:
		return false
	}
	if a.decide(&a.fixed) != 0 {
		bit = -bit
	}
	*coefficient = bit
	return true
}

// estimates has table D.3 of T.81: the probability of the LPS, the next entries after an LPS and
// after an MPS, and whether an LPS changes which symbol is the MPS.
var estimates = [fixedBin]struct {
	lps                uint32
	afterLPS, afterMPS uint8
	change             bool
}{
	{0x5a1d, 1, 1, true}, {0x2586, 14, 2, false}, {0x1114, 16, 3, false}, {0x080b, 18, 4, false},
	{0x03d8, 20, 5, false}, {0x01da, 23, 6, false}, {0x00e5, 25, 7, false}, {0x006f, 28, 8, false},
	{0x0036, 30, 9, false}, {0x001a, 33, 10, false}, {0x000d, 35, 11, false}, {0x0006, 9, 12, false},
	{0x0003, 10, 13, false}, {0x0001, 12, 13, false}, {0x5a7f, 15, 15, true}, {0x3f25, 36, 16, false},
	{0x2cf2, 38, 17, false}, {0x207c, 39, 18, false}, {0x17b9, 40, 19, false}, {0x1182, 42, 20, false},
	{0x0cef, 43, 21, false}, {0x09a1, 45, 22, false}, {0x072f, 46, 23, false}, {0x055c, 48, 24, false},
	{0x0406, 49, 25, false}, {0x0303, 51, 26, false}, {0x0240, 52, 27, false}, {0x01b1, 54, 28, false},
	{0x0144, 56, 29, false}, {0x00f5, 57, 30, false}, {0x00b7, 59, 31, false}, {0x008a, 60, 32, false},
	{0x0068, 62, 33, false}, {0x004e, 63, 34, false}, {0x003b, 32, 35, false}, {0x002c, 33, 9, false},
	{0x5ae1, 37, 37, true}, {0x484c, 64, 38, false}, {0x3a0d, 65, 39, false}, {0x2ef1, 67, 40, false},
	{0x261f, 68, 41, false}, {0x1f33, 69, 42, false}, {0x19a8, 70, 43, false}, {0x1518, 72, 44, false},
	{0x1177, 73, 45, false}, {0x0e74, 74, 46, false}, {0x0bfb, 75, 47, false}, {0x09f8, 77, 48, false},
	{0x0861, 78, 49, false}, {0x0706, 79, 50, false}, {0x05cd, 48, 51, false}, {0x04de, 50, 52, false},
	{0x040f, 50, 53, false}, {0x0363, 51, 54, false}, {0x02d4, 52, 55, false}, {0x025c, 53, 56, false},
	{0x01f8, 54, 57, false}, {0x01a4, 55, 58, false}, {0x0160, 56, 59, false}, {0x0125, 57, 60, false},
	{0x00f6, 58, 61, false}, {0x00cb, 59, 62, false}, {0x00ab, 61, 63, false}, {0x008f, 61, 32, false},
	{0x5b12, 65, 65, true}, {0x4d04, 80, 66, false}, {0x412c, 81, 67, false}, {0x37d8, 82, 68, false},
	{0x2fe8, 83, 69, false}, {0x293c, 84, 70, false}, {0x2379, 86, 71, false}, {0x1edf, 87, 72, false},
	{0x1aa9, 87, 73, false}, {0x174e, 72, 74, false}, {0x1424, 72, 75, false}, {0x119c, 74, 76, false},
	{0x0f6b, 74, 77, false}, {0x0d51, 75, 78, false}, {0x0bb6, 77, 79, false}, {0x0a40, 77, 48, false},
	{0x5832, 80, 81, true}, {0x4d1c, 88, 82, false}, {0x438e, 89, 83, false}, {0x3bdd, 90, 84, false},
	{0x34ee, 91, 85, false}, {0x2eae, 92, 86, false}, {0x299a, 93, 87, false}, {0x2516, 86, 71, false},
	{0x5570, 88, 89, true}, {0x4ca9, 95, 90, false}, {0x44d9, 96, 91, false}, {0x3e22, 97, 92, false},
	{0x3824, 99, 93, false}, {0x32b4, 99, 94, false}, {0x2e17, 93, 86, false}, {0x56a8, 95, 96, true},
	{0x4f46, 101, 97, false}, {0x47e5, 102, 98, false}, {0x41cf, 103, 99, false}, {0x3c3d, 104, 100, false},
	{0x375e, 99, 93, false}, {0x5231, 105, 102, false}, {0x4c0f, 106, 103, false}, {0x4639, 107, 104, false},
	{0x415e, 103, 99, false}, {0x5627, 105, 106, true}, {0x50e7, 108, 107, false}, {0x4b85, 109, 103, false},
	{0x5597, 110, 109, false}, {0x504f, 111, 107, false}, {0x5a10, 110, 111, true}, {0x5522, 112, 109, false},
	{0x59eb, 112, 111, true},
}
