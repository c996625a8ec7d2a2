package nn

import (
	"fmt"

	"garb/internal/kernel"
)

// The poolings over windows: see the Builder's methods.
const (
	OpMaxPool     Op = "MaxPool"
	OpAveragePool Op = "AveragePool"
)

// MaxPool takes the largest value of each size×size window. Padding never wins.
func (b *Builder) MaxPool(x Value, size, stride int, padding Padding) Value {
	return b.layer(Layer{Op: OpMaxPool, Height: size, Width: size, Stride: stride, Same: padding == Same}, x)
}

// AveragePool takes the mean of each size×size window over the positions inside the picture.
func (b *Builder) AveragePool(x Value, size, stride int, padding Padding) Value {
	return b.layer(Layer{Op: OpAveragePool, Height: size, Width: size, Stride: stride, Same: padding == Same}, x)
}

type pool struct {
	windowed
	average bool
}

func (pool) shape(l Layer, in [][]int) ([]int, error) {
	if down, along := l.Dilations(); l.Same && (down > 1 || along > 1) {
		return nil, fmt.Errorf("a dilated window with padding Same, of which all taps may lie in the padding")
	}
	height, width, err := l.slideOver(in[0])
	if err != nil {
		return nil, err
	}
	return []int{height, width, in[0][2]}, nil
}

func (p pool) lower(l *lowering, i int) {
	n := &l.graph.nodes[i]
	w, in := n.window(), n.Inputs[0]
	// A mean counts padding, so it cannot absorb any; and all taps of a dilated window may be
	// outside.
	if !p.average && w.dilationHeight == 1 && w.dilationWidth == 1 {
		w, in = l.absorbPad(i, true)
	}
	l.emit(i, &pooling{window: w, average: p.average}, in)
}

// pooling takes the largest value of each window, or the mean over the part inside.
type pooling struct {
	scratchless
	window
	average bool
}

func (p *pooling) extent(int) extent {
	return extent{rows: p.outHeight, panels: 1, work: 8 * p.outHeight * p.outWidth * p.channels}
}

func (p *pooling) scratchLen() int { return p.width * p.channels }

// compute goes down each column of the input rows first, then along the row.
func (p *pooling) compute(b *buffers, piece piece) {
	rowLen := p.width * p.channels
	column := b.scratch[:rowLen]
	for y := piece.low; y < piece.high; y++ {
		top := y*p.strideHeight - p.padTop
		low, high := tapRange(top, p.kernelHeight, p.dilationHeight, p.height)
		copy(column, b.in[(top+low*p.dilationHeight)*rowLen:])
		for i := low + 1; i < high; i++ {
			p.combine(column, b.in[(top+i*p.dilationHeight)*rowLen:][:rowLen])
		}
		for x := range p.outWidth {
			left := x*p.strideWidth - p.padLeft
			first, last := tapRange(left, p.kernelWidth, p.dilationWidth, p.width)
			dst := b.out[(y*p.outWidth+x)*p.channels:][:p.channels]
			copy(dst, column[(left+first*p.dilationWidth)*p.channels:])
			for j := first + 1; j < last; j++ {
				p.combine(dst, column[(left+j*p.dilationWidth)*p.channels:][:p.channels])
			}
			if p.average {
				kernel.Scale(dst, 1/float32((high-low)*(last-first)))
			}
		}
	}
}

func (p *pooling) combine(dst, src []float32) {
	if p.average {
		kernel.Add(dst, src, kernel.Identity)
	} else {
		kernel.Max(dst, src)
	}
}

// backward passes each output's gradient to the first of the largest inputs of its window or, for a
// mean, in equal parts to all.
func (p *pooling) backward(b *backBuffers) {
	b.clearIn()
	c := p.channels
	for y := range p.outHeight {
		top := y*p.strideHeight - p.padTop
		low, high := tapRange(top, p.kernelHeight, p.dilationHeight, p.height)
		for x := range p.outWidth {
			left := x*p.strideWidth - p.padLeft
			first, last := tapRange(left, p.kernelWidth, p.dilationWidth, p.width)
			g := b.gradient[(y*p.outWidth+x)*c:][:c]
			out := b.out[(y*p.outWidth+x)*c:][:c]
			share := 1 / float32((high-low)*(last-first))
			for i := low; i < high; i++ {
				for j := first; j < last; j++ {
					at := (top+i*p.dilationHeight)*p.width + left + j*p.dilationWidth
					in, to := b.in[at*c:][:c], b.inGradient[at*c:][:c]
					if p.average {
						for k := range to {
							to[k] += float32(g[k] * share)
						}
						continue
					}
					giveToLargest(to, in, g, out)
				}
			}
		}
	}
}

// giveToLargest adds each channel's gradient where the input equals the output, and clears it, so
// that later equal inputs get none.
func giveToLargest(to, in, gradient, out []float32) {
	for k := range to {
		if in[k] == out[k] {
			to[k] += gradient[k]
			gradient[k] = 0
		}
	}
}
