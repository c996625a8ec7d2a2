package jpeg

// progress says how far the coefficients of a component are known.
type progress struct {
	// low has the lowest known bit of each coefficient + 1, or 0 if nothing is known.
	low [64]int
	// before has low of the first coefficients before the last scan of the component.
	before [smoothed]int
}

// smoothed is the number of coefficients that smoothing uses.
const smoothed = 10

// update takes note of a scan, the number-th of the picture. It reports whether the scan follows
// from those before.
func (p *progress) update(s *scan, number int) bool {
	consistent := s.first == 0 || p.low[0] > 0
	copy(p.before[:], p.low[:])
	if number == 1 {
		for i := range p.before {
			p.before[i] = 1
		}
	}
	for i := s.first; i <= s.last; i++ {
		consistent = consistent && s.high == max(p.low[i]-1, 0)
		p.low[i] = s.low + 1
	}
	return consistent
}

// needsSmoothing reports whether scans of a progressive picture are missing, so that libjpeg
// estimates coefficients from the means of the blocks around (jdcoefct.c, smoothing_ok).
func (d *decoder) needsSmoothing() bool {
	if !d.process.progressive {
		return false
	}
	useful := false
	for i := range d.components {
		c := &d.components[i]
		if c.quantization == nil || c.progress.low[0] == 0 {
			return false
		}
		for j, low := range c.progress.low[:smoothed] {
			if c.quantization[zigzag[j]] == 0 {
				return false
			}
			useful = useful || j > 0 && low != 1
		}
	}
	return useful
}

// weights has a number for each of 5 × 5 blocks.
type weights [25]int32

// Weights of libjpeg-turbo, jdcoefct.c, for the first coefficients in the order of the file: those
// for blocks whose mean alone is known, and others. The latter estimate fewer coefficients.
var (
	meanWeights = [smoothed]weights{
		{
			-2, -6, -8, -6, -2,
			-6, 6, 42, 6, -6,
			-8, 42, 152, 42, -8,
			-6, 6, 42, 6, -6,
			-2, -6, -8, -6, -2,
		}, {
			-1, -1, 0, 1, 1,
			-3, 13, 0, -13, 3,
			-3, 38, 0, -38, 3,
			-3, 13, 0, -13, 3,
			-1, -1, 0, 1, 1,
		}, {
			-1, -3, -3, -3, -1,
			-1, 13, 38, 13, -1,
			0, 0, 0, 0, 0,
			1, -13, -38, -13, 1,
			1, 3, 3, 3, 1,
		}, {
			2: 1,
			6: 2, 7: 7, 8: 2,
			11: -5, 12: -14, 13: -5,
			16: 2, 17: 7, 18: 2,
			22: 1,
		}, {
			0: -1, 4: 1,
			6: 9, 8: -9,
			16: -9, 18: 9,
			20: 1, 24: -1,
		}, {
			6: 2, 7: -5, 8: 2,
			10: 1, 11: 7, 12: -14, 13: 7, 14: 1,
			16: 2, 17: -5, 18: 2,
		},
		{6: 1, 8: -1, 11: 2, 13: -2, 16: 1, 18: -1},
		{6: 1, 7: -3, 8: 1, 16: -1, 17: 3, 18: -1},
		{6: 1, 8: -1, 11: -3, 13: 3, 16: 1, 18: -1},
		{6: 1, 7: 2, 8: 1, 16: -1, 17: -2, 18: -1},
	}
	otherWeights = [...]weights{
		{},
		{10: -7, 11: 50, 13: -50, 14: 7},
		{2: -7, 7: 50, 17: -50, 22: 7},
		{2: -1, 7: 13, 12: -24, 17: 13, 22: -1},
		{
			1: -1, 3: 1,
			5: -1, 6: 10, 8: -10, 9: 1,
			15: 1, 16: -10, 18: 10, 19: -1,
			21: 1, 23: -1,
		},
		{10: -1, 11: 13, 12: -24, 13: 13, 14: -1},
	}
)

// smoothRow transforms a row of blocks of a component, with estimates in place of coefficients that
// are zero and not known to be so.
func (d *decoder) smoothRow(c *component, y int) {
	known := c.progress.low[:smoothed]
	if y/c.v > d.goodRow { // the last scan ended before
		known = c.progress.before[:]
		if d.scans == 1 {
			known = make([]int, smoothed)
		}
	}
	estimates, onlyMeans := otherWeights[:], true
	for _, low := range known[1:] {
		onlyMeans = onlyMeans && low == 0
	}
	if onlyMeans {
		estimates = meanWeights[:]
	}
	rows := d.neighbourRows(c, y)
	for x := range c.blocksWide {
		var means weights
		for i := range means {
			column := min(max(x+i%5-2, 0), c.blocksWide-1)
			means[i] = int32(c.coefficients[64*(rows[i/5]*c.strideBlocks+column)])
		}
		block := &d.scratch
		copy(block[:], c.coefficients[64*(y*c.strideBlocks+x):])
		for i := range estimates {
			if i == 0 && !onlyMeans || i > 0 && (known[i] == 1 || block[zigzag[i]] != 0) {
				continue
			}
			bits := known[i] - 1
			if i == 0 {
				bits = 0
			}
			block[zigzag[i]] = estimates[i].estimate(&means, c.quantization, int(zigzag[i]), bits)
		}
		transform(block, c.quantization, c.plane[y*c.size*c.stride+x*c.size:], c.stride, c.size)
	}
	d.scratch = [64]int16{}
}

// estimate returns a coefficient estimated from the means around. If bits is positive, the
// coefficient is known to have no more.
func (w *weights) estimate(means *weights, quantization *[64]int16, place, bits int) int16 {
	var sum int32
	for i, factor := range w {
		sum += factor * means[i]
	}
	q := int64(uint16(quantization[place]))
	scaled := int64(sum) * int64(uint16(quantization[0]))
	magnitude := int32((q<<7 + max(scaled, -scaled)) / (q << 8))
	if bits > 0 {
		magnitude = min(magnitude, 1<<bits-1)
	}
	if scaled < 0 {
		return int16(-magnitude)
	}
	return int16(magnitude)
}

// neighbourRows returns the rows of blocks from two above to two below row y. At the edges it
// repeats rows where libjpeg does: that counts rows as if all rows of minimum coded units had as
// many rows of blocks as the present one.
func (d *decoder) neighbourRows(c *component, y int) [5]int {
	units := c.heightBlocks / c.v
	high := c.v
	if y/c.v == units-1 {
		high = c.blocksHigh - (units-1)*c.v
	}
	at, all := y/c.v*high+y%c.v, high*units
	rows := [5]int{y, y, y, y, y}
	if at > 0 {
		rows[0], rows[1] = y-1, y-1
	}
	if at > 1 {
		rows[0] = y - 2
	}
	if at < all-1 {
		rows[3], rows[4] = y+1, y+1
	}
	if at < all-2 {
		rows[4] = y + 2
	}
	return rows
}
