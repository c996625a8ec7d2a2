package jpeg

import "garb/internal/raster"

// losslessScan reads a scan of lossless coding (ITU-T T.81, annex H): each sample is predicted from
// its neighbours, and its difference from the prediction is Huffman-coded.
type losslessScan struct {
	*scan
	d          *decoder
	bits       bitReader
	components []losslessComponent
	// unitsWide counts the minimum coded units of a row: samples of a lone component, or h × v samples
	// of each of several.
	unitsWide int
	left      int // rows of units up to the next restart marker
	exhausted bool
}

// losslessComponent is a component of a scan with the rows that are being read.
type losslessComponent struct {
	*component
	unitsPerRow, unitsPerColumn int       // samples of a unit
	rows                        [][]int32 // differences, then samples before the point transform
	above                       []int32   // the samples of the row above
	isFirst                     bool      // there is no row above, or it does not count
}

// readLosslessScan reads the entropy-coded data of a scan, which begin at d.at. Its header has the
// predictor, 1 to 7, in place of the first coefficient, and the number of bits that were left away
// below in place of the lowest bit.
func (d *decoder) readLosslessScan(header *scan) error {
	if header.first < 1 || header.first > 7 || header.last != 0 || header.high != 0 || header.low > 7 {
		return raster.Corruptf("a scan of the JPEG has an invalid predictor or point transform")
	}
	// libjpeg-turbo (jdcolor.c) does not convert colours, since that would not be lossless.
	if d.jfif && len(d.components) == 3 || d.adobe && d.adobeTransform != 0 && len(d.components) > 1 {
		return raster.Unsupportedf("lossless JPEG of YCbCr or YCCK colours")
	}
	s := losslessScan{scan: header, d: d, bits: bitReader{data: d.data}, unitsWide: ceilDiv(d.width, d.maxH)}
	lone := len(header.components) == 1
	if lone {
		s.unitsWide = header.components[0].blocksWide
	}
	if d.restartInterval%s.unitsWide != 0 {
		return raster.Corruptf("the restart interval of the JPEG is not a number of rows")
	}
	for _, c := range header.components {
		var err error
		if c.dc, err = d.findTable(&d.dc, c.dcIndex); err != nil {
			return err
		}
		s.components = append(s.components, newLosslessComponent(c, lone))
	}
	s.left = d.restartInterval / s.unitsWide
	s.bits.restart(d.at)
	if err := s.readRows(); err != nil {
		return err
	}
	// libjpeg reads ahead, and so nearly always needs a marker behind the data.
	if s.bits.isCut() {
		return raster.ErrTruncated
	}
	return s.bits.end(d)
}

func newLosslessComponent(c *component, lone bool) losslessComponent {
	l := losslessComponent{component: c, unitsPerRow: c.h, unitsPerColumn: c.v, isFirst: true}
	if lone {
		l.unitsPerRow, l.unitsPerColumn = 1, 1
	}
	l.above = make([]int32, c.strideBlocks)
	for range c.v {
		l.rows = append(l.rows, make([]int32, c.strideBlocks))
	}
	return l
}

// readRows reads all rows. Like libjpeg-turbo (jddiffct.c), it reads the differences of v rows of
// each component before it adds them up.
func (s *losslessScan) readRows() error {
	for y := 0; y < ceilDiv(s.d.height, s.d.maxV); y++ {
		if err := s.d.ctx.Err(); err != nil {
			return err
		}
		unitRows := 1
		if lone := s.components[0]; len(s.components) == 1 {
			unitRows = min(lone.v, lone.blocksHigh-y*lone.v)
		}
		for row := range unitRows {
			if err := s.readUnits(row); err != nil {
				return err
			}
		}
		for i := range s.components {
			c := &s.components[i]
			for row := range min(c.v, c.blocksHigh-y*c.v) {
				c.addUp(row, s.first, 1<<(7-s.low))
				s.store(c, y*c.v+row)
			}
		}
	}
	return nil
}

// readUnits reads the differences of a row of units. row is that of a lone component.
func (s *losslessScan) readUnits(row int) error {
	if s.d.restartInterval > 0 {
		if s.left == 0 {
			if err := s.restart(); err != nil {
				return err
			}
		}
		s.left--
	}
	if s.exhausted {
		s.resetPredictors()
		for _, c := range s.components {
			for v := range c.unitsPerColumn {
				clear(c.rows[row+v])
			}
		}
		return nil
	}
	s.readDifferences(row)
	if s.exhausted = s.bits.isOverrun(); s.exhausted {
		s.d.repairs.AddRepair(repairEarlyEnd)
		return s.bits.end(s.d)
	}
	return nil
}

func (s *losslessScan) readDifferences(row int) {
	b := &s.bits
	for x := range s.unitsWide {
		for i := range s.components {
			c := &s.components[i]
			for v := range c.unitsPerColumn {
				out := c.rows[row+v][x*c.unitsPerRow:][:c.unitsPerRow]
				for h := range out {
					if b.n < 32 { // a difference has at most 31 bits
						b.fill()
					}
					out[h] = b.takeDifference(c.dc)
				}
			}
		}
	}
}

// restart goes on behind a restart marker.
func (s *losslessScan) restart() error {
	if err := s.bits.end(s.d); err != nil {
		return err
	}
	empty, err := s.d.readRestartMarker()
	if err != nil {
		return err
	}
	s.exhausted = s.exhausted && empty
	s.left = s.d.restartInterval / s.unitsWide
	s.bits.restart(s.d.at)
	s.resetPredictors()
	return nil
}

func (s *losslessScan) resetPredictors() {
	for i := range s.components {
		s.components[i].isFirst = true
	}
}

// takeDifference decodes the difference of a sample from its prediction.
func (b *bitReader) takeDifference(h *huffman) int32 {
	if w := h.whole[b.acc>>(64-lookupBits)]; w != 0 {
		b.skip(int(w & 0xff))
		return w >> 16
	}
	size := int(b.takeSymbol(h))
	if size == 16 {
		return 1 << 15
	}
	return b.takeSigned(size)
}

// addUp turns the differences of a row into samples, modulo 2¹⁶. start is the prediction for the
// first sample of all.
func (c *losslessComponent) addUp(row, predictor int, start int32) {
	samples, above := c.rows[row][:c.blocksWide], c.above[:c.blocksWide]
	left, upperLeft := start, int32(0)
	if c.isFirst {
		predictor = 1
	} else {
		left = above[0]
		upperLeft = left
	}
	c.isFirst = false
	samples[0] = (samples[0] + left) & 0xffff
	left = samples[0]
	for x := 1; x < len(samples); x++ {
		up := above[x]
		left = (samples[x] + predict(predictor, left, up, upperLeft)) & 0xffff
		samples[x] = left
		upperLeft = up
	}
	c.rows[row], c.above = c.above, c.rows[row]
}

// predict returns the prediction for a sample (T.81, table H.1).
func predict(predictor int, left, up, upperLeft int32) int32 {
	switch predictor {
	case 1:
		return left
	case 2:
		return up
	case 3:
		return upperLeft
	case 4:
		return left + up - upperLeft
	case 5:
		return left + (up-upperLeft)>>1
	case 6:
		return up + (left-upperLeft)>>1
	default:
		return (left + up) >> 1
	}
}

// store writes the row that addUp computed last to row y of the component's plane.
func (s *losslessScan) store(c *losslessComponent, y int) {
	out := c.plane[y*c.stride:][:c.blocksWide]
	for x, v := range c.above[:c.blocksWide] {
		out[x] = byte(v << s.low)
	}
}
