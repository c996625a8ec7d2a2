package nn

import "garb/internal/kernel"

// gatheredConvolution is a convolution with a large kernel over a small feature map. A row of the
// map is too short to be worth reading the whole kernel, which is in no near cache. So the windows
// of several rows are copied one after another, as rows of one product. The sums are those of a
// convolution, in its order.
type gatheredConvolution struct{ convolution }

const (
	// gatheredKernel is the number of values from which a kernel is large: it fills half of a
	// core's second-level cache (1 MiB on Zen 4).
	gatheredKernel = 128 << 10
	// gatheredWidth is the width of the widest map that is small: two tiles of the micro-kernels.
	gatheredWidth = 28
	// gatheredValues is about the number of values that are copied at a time, and the limit for one
	// window.
	gatheredValues = 256 << 10
	// gatheredGap is the number of values between two windows, so that those of a tile are in
	// different lines of the first-level cache.
	gatheredGap = 16
)

// isGathered reports whether a convolution is computed as a gatheredConvolution.
func (c *convolution) isGathered() bool {
	return c.depth*c.columns >= gatheredKernel && c.depth <= gatheredValues &&
		c.outWidth <= gatheredWidth && c.outHeight > 1
}

func (c *gatheredConvolution) takesBatch() {}

// positions returns the number of windows of an image.
func (c *gatheredConvolution) positions() int { return c.outHeight * c.outWidth }

// pitch returns the distance between copied windows.
func (c *gatheredConvolution) pitch() int { return c.depth + gatheredGap }

// blockRows returns the largest number of windows that are copied at a time, in whole tiles.
func (c *gatheredConvolution) blockRows() int {
	const tile = 14
	return max(gatheredValues/c.depth/tile, 2) * tile
}

// blockCount returns the number of blocks, of equal size, of the windows of n images.
func (c *gatheredConvolution) blockCount(n int) int {
	return (n*c.positions() + c.blockRows() - 1) / c.blockRows()
}

func (c *gatheredConvolution) extent(n int) extent {
	return extent{rows: c.blockCount(n), panels: c.matrix.Panels(), work: n * c.positions() * c.depth * c.columns}
}

func (c *gatheredConvolution) scratchLen() int { return c.blockRows() * c.pitch() }

func (c *gatheredConvolution) compute(b *buffers, p piece) {
	rows, blocks := b.n*c.positions(), c.blockCount(b.n)
	for block := p.low; block < p.high; block++ {
		low, high := block*rows/blocks, (block+1)*rows/blocks
		for i := range high - low {
			c.gather(b.scratch[i*c.pitch():][:c.depth], b.in, low+i)
		}
		g := kernel.Gemm{
			Dst: b.out[low*c.columns:], DstStride: c.columns,
			A: b.scratch, AStride: c.pitch(), Segments: 1, SegmentLen: c.depth,
			B: c.matrix, Bias: c.shift, Activation: c.activation,
		}
		if b.second != nil {
			g.Residual, g.ResidualStride = b.second[low*c.columns:], c.columns
		}
		g.Run(0, high-low, p.panelLow, p.panelHigh)
	}
}

// backRows is the number of windows in a block of the backward pass. The kernel's gradient is read
// from memory once per block.
const backRows = 256

func (c *gatheredConvolution) backScratchLen() int {
	return backRows*c.pitch() + kernel.OuterScratchLen + kernel.ScratchLen(c.columns)
}

func (c *gatheredConvolution) backward(b *backBuffers) {
	c.maskGradient(b)
	byKernel, byShift := c.gradients(b.weights)
	windows := b.scratch[:backRows*c.pitch()]
	outer := b.scratch[len(windows):][:kernel.OuterScratchLen]
	rest := b.scratch[len(windows)+len(outer):]
	b.clearIn()
	rows := b.n * c.positions()
	for low, blocks := 0, (rows+backRows-1)/backRows; blocks > 0; blocks-- {
		n := (rows - low + blocks - 1) / blocks
		g := b.gradient[low*c.columns:][:n*c.columns]
		if byKernel != nil {
			for i := range n {
				c.gather(windows[i*c.pitch():][:c.depth], b.in, low+i)
			}
			o := kernel.Outer{
				Dst: byKernel, Sums: byShift, Rows: c.depth, Columns: c.columns,
				A: windows, AStride: c.pitch(), B: g, BStride: c.columns, Scratch: outer,
			}
			o.Run(n)
		}
		if b.inGradient != nil {
			multiplyTransposed(windows, g, c.transposed, n, c.depth, c.columns, false, rest)
			for i := range n {
				c.scatter(b.inGradient, windows[i*c.depth:][:c.depth], low+i)
			}
		}
		low += n
	}
}

// gather copies the window of a position, counted through all images, with zeros outside the map.
func (c *gatheredConvolution) gather(to, in []float32, position int) {
	w := c.clip(position)
	if w.values < c.kernelWidth*c.channels || w.high-w.low < c.kernelHeight {
		clear(to)
	}
	for i := w.low; i < w.high; i++ {
		copy(to[w.first+i*c.kernelWidth*c.channels:][:w.values], in[w.from+i*w.stride:])
	}
}

// scatter adds the values of a position's window to where gather copies them from.
func (c *gatheredConvolution) scatter(to, from []float32, position int) {
	w := c.clip(position)
	for i := w.low; i < w.high; i++ {
		kernel.Add(to[w.from+i*w.stride:][:w.values], from[w.first+i*c.kernelWidth*c.channels:], kernel.Identity)
	}
}

// clippedWindow is the part of a window inside the map: in rows [low,high) of the kernel so many
// values, from the index first of a row on; in the map from the index from + i·stride on.
type clippedWindow struct{ low, high, first, values, from, stride int }

func (c *gatheredConvolution) clip(position int) clippedWindow {
	image, position := position/c.positions(), position%c.positions()
	top := position/c.outWidth*c.strideHeight - c.padTop
	left := position%c.outWidth*c.strideWidth - c.padLeft
	w := clippedWindow{stride: c.dilationHeight * c.width * c.channels}
	w.low, w.high = tapRange(top, c.kernelHeight, c.dilationHeight, c.height)
	first, end := max(left, 0), min(left+c.kernelWidth, c.width)
	if w.values = max(end-first, 0) * c.channels; w.values == 0 {
		w.high = w.low
	}
	w.first = (first - left) * c.channels
	w.from = ((image*c.height+top)*c.width + first) * c.channels
	return w
}
