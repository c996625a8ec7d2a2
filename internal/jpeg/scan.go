package jpeg

import (
	"slices"

	"garb/internal/raster"
)

// scan is the header of a scan: its components and, of a progressive picture, the part of their
// coefficients that it contains: the coefficients first to last, and their bits from low on. high
// is 0 in their first scan.
type scan struct {
	components             []*component
	first, last, high, low int
}

func (s *scan) contains(c *component) bool { return slices.Contains(s.components, c) }

// isValid reports whether a scan of a progressive picture can have its range of coefficients.
func (s *scan) isValid() bool {
	switch {
	case s.first == 0 && s.last != 0, s.first > s.last, s.last > 63:
		return false
	case s.first > 0 && len(s.components) > 1: // AC coefficients have scans of their own
		return false
	}
	return s.low <= 13 && (s.high == 0 || s.high == s.low+1)
}

// maxScans limits the work for a progressive file: each scan covers the whole picture. A valid file
// has at most one for each bit of each coefficient of each component.
const maxScans = 4 * 64 * 14

// entropyDecoder decodes the blocks of a scan.
type entropyDecoder interface {
	// begin prepares for a scan, whose data begin at the decoder's at.
	begin(s *scan) error
	// restart prepares for the data of an interval, which begin at the decoder's at.
	restart(s *scan)
	// readBlock reads what the scan has of a component's next block, and reports whether there may
	// be more than the first coefficient.
	readBlock(c *component, block *[64]int16) (ac bool)
	// isExhausted reports whether the data have ended before the last block read did.
	isExhausted() bool
	// end moves the decoder's at behind the data read, or before the marker that ends them. It fails
	// if the data have ended without a marker.
	end() error
}

// readScan reads the entropy-coded data of a scan, which begin at d.at.
func (d *decoder) readScan(s *scan) error {
	if d.scans > maxScans {
		return raster.Unsupportedf("JPEG of more than %d scans", maxScans)
	}
	if err := d.prepare(s); err != nil {
		return err
	}
	if d.process.lossless {
		return d.readLosslessScan(s)
	}
	if err := d.entropy.begin(s); err != nil {
		return err
	}
	// A minimum coded unit is one block of a lone component, or h × v blocks of each of several.
	wide, high, rows := ceilDiv(d.width, 8*d.maxH), ceilDiv(d.height, 8*d.maxV), 1
	if len(s.components) == 1 {
		wide, high, rows = s.components[0].blocksWide, s.components[0].blocksHigh, s.components[0].v
	}
	d.exhausted, d.untilRestart = false, d.restartInterval
	for y := range high {
		if err := d.ctx.Err(); err != nil {
			return err
		}
		if d.exhausted && d.buffered && d.restartInterval == 0 {
			return nil
		}
		if err := d.readRow(s, y, wide, y/rows); err != nil {
			return err
		}
		if !d.buffered {
			if err := d.finishRow(s, y); err != nil {
				return err
			}
		}
	}
	if d.unitsRead = wide * high; d.restartInterval > 0 {
		d.unitsRead = d.restartInterval - d.untilRestart
	}
	return d.entropy.end()
}

// readRow reads a row of minimum coded units. Those for which there are no data stay as they are.
func (d *decoder) readRow(s *scan, y, wide, row int) error {
	for x := range wide {
		if d.restartInterval > 0 {
			if d.untilRestart == 0 {
				if err := d.restart(s); err != nil {
					return err
				}
			}
			d.untilRestart--
		}
		if d.exhausted {
			continue
		}
		d.goodRow = row
		d.readUnit(s, x, y)
		if d.entropy.isExhausted() {
			d.exhausted = true
			d.repairs.AddRepair(repairEarlyEnd)
			if err := d.entropy.end(); err != nil {
				return err
			}
		}
	}
	return nil
}

// prepare checks a scan and prepares its components.
func (d *decoder) prepare(s *scan) error {
	if d.process.progressive && !s.isValid() {
		return raster.Corruptf("a scan of the JPEG has an invalid range of coefficients")
	}
	blocks := 0
	for _, c := range s.components {
		blocks += c.h * c.v
		if c.quantization == nil && !d.process.lossless {
			if c.quantizationIndex > 3 || d.quantization[c.quantizationIndex] == nil {
				return raster.Corruptf("a quantization table of the JPEG is missing")
			}
			c.quantization = d.quantization[c.quantizationIndex]
		}
	}
	if len(s.components) > 1 && blocks > 10 {
		return raster.Corruptf("the JPEG has more than 10 blocks in a minimum coded unit")
	}
	for _, c := range s.components {
		if d.process.progressive && !c.progress.update(s, d.scans) {
			d.repairs.AddRepair(repairProgression)
		}
		if c.coefficients == nil && !d.process.lossless {
			c.allocateCoefficients(d.buffered)
		}
		if c.plane == nil {
			c.allocatePlane()
		}
	}
	return nil
}

// allocateCoefficients allocates space for the coefficients of the picture or of a row of minimum coded
// units. Then two such rows of samples are kept, unless each block has only one sample.
func (c *component) allocateCoefficients(all bool) {
	rows := c.heightBlocks
	if !all {
		if c.size == 1 {
			return
		}
		rows = c.v
		c.hasAC = make([]bool, c.strideBlocks*rows)
		c.planeHeight = min(2*c.v, c.heightBlocks) * c.size
	}
	c.coefficients = make([]int16, 64*c.strideBlocks*rows)
}

// allocatePlane allocates the plane of samples, and makes those grey for which there may be no data.
// The assembly may read past the last row.
func (c *component) allocatePlane() {
	if c.planeHeight == 0 {
		c.planeHeight = c.heightBlocks * c.size
	}
	c.plane = make([]byte, c.stride*c.planeHeight+vectorSamples)
	if c.coefficients == nil {
		for i := range c.plane {
			c.plane[i] = 128
		}
	}
}

// restart goes on behind a restart marker.
func (d *decoder) restart(s *scan) error {
	if err := d.entropy.end(); err != nil {
		return err
	}
	empty, err := d.readRestartMarker()
	if err != nil {
		return err
	}
	d.entropy.restart(s)
	d.exhausted = d.exhausted && empty
	d.untilRestart = d.restartInterval
	return nil
}

// readUnit reads the blocks of a minimum coded unit.
func (d *decoder) readUnit(s *scan, x, y int) {
	if len(s.components) == 1 {
		d.readBlock(s.components[0], x, y, 0)
		return
	}
	for _, c := range s.components {
		for v := range c.v {
			for h := range c.h {
				d.readBlock(c, x*c.h+h, y*c.v, v)
			}
		}
	}
}

// readBlock reads a block of row v of those that begin at y. One of a single sample is transformed at
// once.
func (d *decoder) readBlock(c *component, x, y, v int) {
	switch i := v*c.strideBlocks + x; {
	case d.buffered:
		d.entropy.readBlock(c, (*[64]int16)(c.coefficients[64*(y*c.strideBlocks+i):]))
	case c.size == 1:
		block := &d.scratch
		if d.entropy.readBlock(c, block) {
			clear(block[1:])
		}
		c.findRow(y + v)[x] = onePixel(block[0], c.quantization[0])
	default:
		c.hasAC[i] = d.entropy.readBlock(c, (*[64]int16)(c.coefficients[64*i:]))
	}
}

// findRow returns the plane from a row of blocks on.
func (c *component) findRow(y int) []byte {
	if y *= c.size; y >= c.planeHeight {
		y %= c.planeHeight
	}
	return c.plane[y*c.stride:]
}

// rowsOf returns the number of rows of blocks of a component in a row of minimum coded units.
func (s *scan) rowsOf(c *component) int {
	if len(s.components) == 1 {
		return 1
	}
	return c.v
}

// finishRow transforms a row of minimum coded units and writes the rows of the picture that then are
// complete.
func (d *decoder) finishRow(s *scan, y int) error {
	for _, c := range s.components {
		if c.size > 1 {
			for v := range s.rowsOf(c) {
				c.transformRow(y*s.rowsOf(c), v)
			}
		}
	}
	known := (y + 1) * s.components[0].size
	if len(s.components) > 1 {
		known = (y + 1) * d.maxV * d.unit / d.scale
	}
	return d.assemble(known)
}

// transformRow transforms row v of those that begin at y. Its coefficients become zero.
func (c *component) transformRow(y, v int) {
	n := v * c.strideBlocks
	coefficients, hasAC := c.coefficients[64*n:][:64*c.strideBlocks], c.hasAC[n:][:c.strideBlocks]
	if y += v; y < c.blocksHigh {
		out := c.findRow(y)
		for x, ac := range hasAC[:c.blocksWide] {
			block := (*[64]int16)(coefficients[64*x:])
			if ac {
				transform(block, c.quantization, out[x*c.size:], c.stride, c.size)
			} else {
				fillBlock(out[x*c.size:], c.stride, c.size, block[0], c.quantization[0])
			}
		}
	}
	clear(coefficients)
	clear(hasAC)
}

// transformAll transforms the coefficients that the scans have left.
func (d *decoder) transformAll() error {
	smooth := d.needsSmoothing()
	if smooth {
		d.repairs.AddRepair(repairScans)
	}
	for i := range d.components {
		c := &d.components[i]
		if c.plane == nil { // no scan had the component
			if d.process.lossless {
				return raster.Corruptf("a component of the lossless JPEG has no data")
			}
			c.allocatePlane()
			d.repairs.AddRepair(repairScans)
		}
		if c.coefficients == nil {
			continue
		}
		for y := range c.blocksHigh {
			if err := d.ctx.Err(); err != nil {
				return err
			}
			if smooth {
				d.smoothRow(c, y)
				continue
			}
			for x := range c.blocksWide {
				block := (*[64]int16)(c.coefficients[64*(y*c.strideBlocks+x):])
				transform(block, c.quantization, c.plane[y*c.size*c.stride+x*c.size:], c.stride, c.size)
			}
		}
		c.coefficients = nil
	}
	return nil
}
