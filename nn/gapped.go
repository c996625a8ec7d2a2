package nn

import "garb/internal/kernel"

// gappedDepthwise is a depthwise convolution whose windows have gaps, or move farther down
// than along a row or less far: tap by tap.
type gappedDepthwise struct {
	epilogue
	window
	taps []float32 // W′ [kernelHeight kernelWidth channels]
}

func (d *gappedDepthwise) extent(int) extent {
	work := 8 * d.outHeight * d.outWidth * d.channels * d.kernelHeight * d.kernelWidth / 9 // of a 3×3 as a depthwise
	return extent{rows: d.outHeight, panels: 1, work: work}
}

func (d *gappedDepthwise) scratchLen() int     { return 0 }
func (d *gappedDepthwise) backScratchLen() int { return 0 }

func (d *gappedDepthwise) load(w Weights) (err error) {
	d.taps, err = d.readTaps(w)
	return err
}

// eachTap calls do for each tap of output row y that lies inside the picture at some x: with its
// place in the kernel, the first and the last such x but one, and the input position of the first.
func (d *gappedDepthwise) eachTap(y int, do func(tap, first, last, at int)) {
	top := y*d.strideHeight - d.padTop
	low, high := taps(top, d.kernelHeight, d.dilationHeight, d.height)
	for i := low; i < high; i++ {
		for j := range d.kernelWidth {
			left := j*d.dilationWidth - d.padLeft
			first, last := taps(left, d.outWidth, d.strideWidth, d.width)
			if first < last {
				do(i*d.kernelWidth+j, first, last, (top+i*d.dilationHeight)*d.width+left+first*d.strideWidth)
			}
		}
	}
}

func (d *gappedDepthwise) run(b *buffers, p piece) {
	c := d.channels
	for y := p.low; y < p.high; y++ {
		out := b.out[y*d.outWidth*c:][:d.outWidth*c]
		clear(out)
		for x := 0; d.shift != nil && x < d.outWidth; x++ {
			copy(out[x*c:], d.shift)
		}
		d.eachTap(y, func(tap, first, last, at int) {
			weights := d.taps[tap*c:][:c]
			if d.strideWidth == 1 {
				kernel.AddMultiplyRows(out[first*c:last*c], b.in[at*c:], weights)
				return
			}
			for x := first; x < last; x++ {
				kernel.AddMultiply(out[x*c:][:c], b.in[(at+(x-first)*d.strideWidth)*c:], weights)
			}
		})
		kernel.Activate(out, out, d.activation)
	}
}

func (d *gappedDepthwise) adopt(variable func(n *node, param int) *Variable) int {
	return d.epilogue.adopt(variable, d.kernelHeight*d.kernelWidth*d.channels, d.channels)
}

func (d *gappedDepthwise) prepareBack() {}

func (d *gappedDepthwise) back(b *backBuffers) {
	d.open(b)
	byKernel, byShift := d.gradients(b.weights)
	b.clearIn()
	c := d.channels
	for y := range d.outHeight {
		gradient := b.gradient[y*d.outWidth*c:][:d.outWidth*c]
		for x := 0; byShift != nil && x < d.outWidth; x++ {
			kernel.Add(byShift, gradient[x*c:], kernel.Identity)
		}
		d.eachTap(y, func(tap, first, last, at int) {
			for x := first; x < last; x++ {
				g, at := gradient[x*c:][:c], (at+(x-first)*d.strideWidth)*c
				if byKernel != nil {
					kernel.AddMultiply(byKernel[tap*c:][:c], b.in[at:], g)
				}
				if b.inGradient != nil {
					kernel.AddMultiply(b.inGradient[at:][:c], d.taps[tap*c:], g)
				}
			}
		})
	}
}

// repeat repeats each channel so many times.
type repeat struct {
	plain
	rows, columns, times int
}

func (r *repeat) extent(int) extent {
	return extent{rows: r.rows, panels: 1, work: 8 * r.rows * r.columns * r.times}
}

func (r *repeat) run(b *buffers, p piece) {
	for at := p.low * r.columns; at < p.high*r.columns; at++ {
		to := b.out[at*r.times:][:r.times]
		for i := range to {
			to[i] = b.in[at]
		}
	}
}

func (r *repeat) back(b *backBuffers) {
	b.clearIn()
	for at := range b.inGradient {
		sum := b.inGradient[at]
		for _, g := range b.gradient[at*r.times:][:r.times] {
			sum += g
		}
		b.inGradient[at] = sum
	}
}
