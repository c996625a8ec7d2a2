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

// MaxPool takes the largest value of each size×size window; padding never wins.
func (b *Builder) MaxPool(x Value, size, stride int, padding Padding) Value {
	return b.layer(Layer{Op: OpMaxPool, Height: size, Width: size, Stride: stride, Same: padding == Same}, x)
}

// AveragePool takes the mean of each size×size window over the positions that
// lie inside the picture.
func (b *Builder) AveragePool(x Value, size, stride int, padding Padding) Value {
	return b.layer(Layer{Op: OpAveragePool, Height: size, Width: size, Stride: stride, Same: padding == Same}, x)
}

type pool struct {
	windowed
	average bool
}

func (pool) shape(l Layer, in [][]int) ([]int, error) {
	if l.Height != l.Width {
		return nil, fmt.Errorf("a window of %d×%d; it is square", l.Height, l.Width)
	}
	height, width, err := l.slide(in[0])
	if err != nil {
		return nil, err
	}
	return []int{height, width, in[0][2]}, nil
}

func (p pool) lower(l *lowering, i int) {
	l.emit(i, &pooling{window: l.graph.nodes[i].window(), average: p.average}, l.graph.nodes[i].Inputs[0])
}

// pooling takes the largest value of each window, or the mean over what lies inside.
type pooling struct {
	plain
	window
	average bool
}

func (p *pooling) extent(int) extent {
	return extent{rows: p.outHeight, panels: 1, work: 8 * p.outHeight * p.outWidth * p.channels}
}

func (p *pooling) scratchLen() int { return p.width * p.channels }

// run computes each row first down each column of the input rows, then along the row.
func (p *pooling) run(b *buffers, piece piece) {
	rowLen := p.width * p.channels
	column := b.scratch[:rowLen]
	for y := piece.low; y < piece.high; y++ {
		top := y*p.stride - p.padTop
		low, high := max(top, 0), min(top+p.kernelHeight, p.height)
		copy(column, b.in[low*rowLen:])
		for i := low + 1; i < high; i++ {
			p.combine(column, b.in[i*rowLen:][:rowLen])
		}
		for x := range p.outWidth {
			left := x*p.stride - p.padLeft
			first, last := max(left, 0), min(left+p.kernelWidth, p.width)
			dst := b.out[(y*p.outWidth+x)*p.channels:][:p.channels]
			copy(dst, column[first*p.channels:])
			for j := first + 1; j < last; j++ {
				p.combine(dst, column[j*p.channels:][:p.channels])
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

// back gives each output's gradient to the first of the largest inputs of its window, or for
// a mean in equal parts to all.
func (p *pooling) back(b *backBuffers) {
	b.clearIn()
	c := p.channels
	for y := range p.outHeight {
		top := y*p.stride - p.padTop
		low, high := max(top, 0), min(top+p.kernelHeight, p.height)
		for x := range p.outWidth {
			left := x*p.stride - p.padLeft
			first, last := max(left, 0), min(left+p.kernelWidth, p.width)
			g := b.gradient[(y*p.outWidth+x)*c:][:c]
			out := b.out[(y*p.outWidth+x)*c:][:c]
			share := 1 / float32((high-low)*(last-first))
			for v := low; v < high; v++ {
				for u := first; u < last; u++ {
					in, to := b.in[(v*p.width+u)*c:][:c], b.inGradient[(v*p.width+u)*c:][:c]
					if p.average {
						for k := range to {
							to[k] += g[k] * share
						}
						continue
					}
					giveToLargest(to, in, g, out)
				}
			}
		}
	}
}

// giveToLargest adds to each channel's gradient what the output's is, where the input is the
// output, and takes it away there: what is equal later gets none.
func giveToLargest(to, in, gradient, out []float32) {
	for k := range to {
		if in[k] == out[k] {
			to[k] += gradient[k]
			gradient[k] = 0
		}
	}
}
