package nn

import "garb/internal/kernel"

// gappedDepthwise is a depthwise convolution with dilations or with different strides down and
// along a row. It is computed tap by tap.
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

// eachTap calls f for each tap that is inside the picture for some columns [first,last) of output
// row y, with the tap's index in the kernel and the input position for the first of these columns.
func (d *gappedDepthwise) eachTap(y int, f func(tap, first, last, at int)) {
	top := y*d.strideHeight - d.padTop
	low, high := tapRange(top, d.kernelHeight, d.dilationHeight, d.height)
	for i := low; i < high; i++ {
		for j := range d.kernelWidth {
			left := j*d.dilationWidth - d.padLeft
			first, last := tapRange(left, d.outWidth, d.strideWidth, d.width)
			if first < last {
				f(i*d.kernelWidth+j, first, last, (top+i*d.dilationHeight)*d.width+left+first*d.strideWidth)
			}
		}
	}
}

func (d *gappedDepthwise) compute(b *buffers, p piece) {
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

func (d *gappedDepthwise) bind(variable func(n *node, param int) *Variable) int {
	return d.epilogue.bind(variable, d.kernelHeight*d.kernelWidth*d.channels, d.channels)
}

func (d *gappedDepthwise) prepareBackward() {}

func (d *gappedDepthwise) backward(b *backBuffers) {
	d.maskGradient(b)
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
				g, in := gradient[x*c:][:c], (at+(x-first)*d.strideWidth)*c
				if byKernel != nil {
					kernel.AddMultiply(byKernel[tap*c:][:c], b.in[in:], g)
				}
				if b.inGradient != nil {
					kernel.AddMultiply(b.inGradient[in:][:c], d.taps[tap*c:], g)
				}
			}
		})
	}
}

// repeat repeats each channel a number of times.
type repeat struct {
	scratchless
	rows, columns, times int
}

func (r *repeat) extent(int) extent {
	return extent{rows: r.rows, panels: 1, work: 8 * r.rows * r.columns * r.times}
}

func (r *repeat) compute(b *buffers, p piece) {
	for at := p.low * r.columns; at < p.high*r.columns; at++ {
		to := b.out[at*r.times:][:r.times]
		for i := range to {
			to[i] = b.in[at]
		}
	}
}

func (r *repeat) backward(b *backBuffers) {
	b.clearIn()
	for at := range b.inGradient {
		sum := b.inGradient[at]
		for _, g := range b.gradient[at*r.times:][:r.times] {
			sum += g
		}
		b.inGradient[at] = sum
	}
}
