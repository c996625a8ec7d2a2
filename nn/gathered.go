package nn

import "garb/internal/kernel"

// gatheredConvolution is a convolution with a large kernel over a small feature map. A row of
// the map is too short to be worth a way through all of the kernel, which is in no cache near
// a core: the windows of several rows are copied one after another, as rows of one product.
// The sums are those of a convolution, in its order.
type gatheredConvolution struct{ convolution }

const (
	// gatheredKernel is the number of values from which on a kernel is large: it fills half of
	// a core's second-level cache (1 MiB on Zen 4).
	gatheredKernel = 128 << 10
	// gatheredWidth is below which a map's row is short: two tiles of the micro-kernels.
	gatheredWidth = 28
	// gatheredValues is about how many values are copied at a time.
	gatheredValues = 256 << 10
	// gatheredGap is the number of values between two windows, so that those of a tile lie
	// in different lines of the first-level cache.
	gatheredGap = 16
)

// gathers reports whether a convolution is computed so.
func (c *convolution) gathers() bool {
	return c.depth*c.columns >= gatheredKernel && c.outWidth < gatheredWidth && c.outHeight > 1
}

// blockRows is the largest number of windows that are copied at a time, whole tiles.
func (c *gatheredConvolution) blockRows() int {
	const tile = 14
	return min(max(gatheredValues/c.depth/tile, 2)*tile, c.outHeight*c.outWidth)
}

// blocks is the number of blocks that windows are divided into, of equal size.
func (c *gatheredConvolution) blocks() int {
	return (c.outHeight*c.outWidth + c.blockRows() - 1) / c.blockRows()
}

func (c *gatheredConvolution) extent(int) extent {
	return extent{rows: c.blocks(), panels: c.matrix.Panels(), work: c.outHeight * c.outWidth * c.depth * c.columns}
}

func (c *gatheredConvolution) scratchLen() int { return c.blockRows() * (c.depth + gatheredGap) }

func (c *gatheredConvolution) run(b *buffers, p piece) {
	rows, blocks := c.outHeight*c.outWidth, c.blocks()
	for block := p.low; block < p.high; block++ {
		low, high := block*rows/blocks, (block+1)*rows/blocks
		for i := range high - low {
			c.gather(b.scratch[i*(c.depth+gatheredGap):][:c.depth], b.in, low+i)
		}
		g := kernel.Gemm{
			Dst: b.out[low*c.columns:], DstStride: c.columns,
			A: b.scratch, AStride: c.depth + gatheredGap, Segments: 1, SegmentLen: c.depth,
			B: c.matrix, Bias: c.shift, Activation: c.activation,
		}
		if b.second != nil {
			g.Residual, g.ResidualStride = b.second[low*c.columns:], c.columns
		}
		g.Run(0, high-low, p.panelLow, p.panelHigh)
	}
}

// gather copies the window of an output position, zeros where it reaches over the border.
func (c *gatheredConvolution) gather(to, in []float32, position int) {
	top := position/c.outWidth*c.strideHeight - c.padTop
	left := position%c.outWidth*c.strideWidth - c.padLeft
	from, end := max(left, 0), min(left+c.kernelWidth, c.width) // inside the map
	segment := c.kernelWidth * c.channels
	for i := range c.kernelHeight {
		part := to[i*segment:][:segment]
		y := top + i*c.dilationHeight
		if y < 0 || y >= c.height || from >= end {
			clear(part)
			continue
		}
		before := (from - left) * c.channels
		clear(part[:before])
		n := copy(part[before:], in[(y*c.width+from)*c.channels:(y*c.width+end)*c.channels])
		clear(part[before+n:])
	}
}
