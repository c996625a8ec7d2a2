package nn

import (
	"fmt"

	"garb/internal/kernel"
	"garb/tensor"
)

// pairwise is an operation on two values, element by element. A value is repeated along axes of
// length 1: [h w c] takes [1 1 c], [c] or [h w 1], for example, on either side.
type pairwise struct {
	unary
	// apply sets dst[i] = f(x[i], y[i]).
	apply func(dst, x, y []float32)
	// addGradients adds gradient[i] times f's derivative by x[i] to dx[i], and that by y[i] to
	// dy[i]. One of dx and dy may be nil.
	addGradients func(dx, dy, gradient, x, y []float32)
}

func (pairwise) arity() int { return 2 }

func (pairwise) shape(l Layer, in [][]int) ([]int, error) {
	x, y := asMap(in[0]), asMap(in[1])
	out := make([]int, 3)
	for i := range out {
		if x[i] != y[i] && x[i] != 1 && y[i] != 1 {
			return nil, fmt.Errorf("%s of %s and %s", l.Op, tensor.ShapeString(in[0]), tensor.ShapeString(in[1]))
		}
		out[i] = max(x[i], y[i])
	}
	return out[3-max(len(in[0]), len(in[1])):], nil
}

// asMap returns a shape with axes of 1 in front, so that it has three: [1 1 c] for [c].
func asMap(shape []int) [3]int {
	whole := [3]int{1, 1, 1}
	copy(whole[3-len(shape):], shape)
	return whole
}

func (p pairwise) lower(l *lowering, i int) {
	n := &l.graph.nodes[i]
	out := asMap(n.shape)
	l.emit(i, &pairwiseStage{
		pairwise: p, height: out[0], width: out[1], columns: out[2],
		x: newLayout(asMap(n.inputs[0]), out), y: newLayout(asMap(n.inputs[1]), out),
	}, n.Inputs[0], n.Inputs[1])
}

// pairwiseStage is a pairwise operation on the rows of two values.
type pairwiseStage struct {
	pairwise
	height, width, columns int
	x, y                   layout
}

// layout locates the rows of a value that is repeated over a map.
type layout struct {
	down, along int // rows between those for adjacent rows and columns of the map
	columns     int
	rows        int  // of one image
	whole       bool // not repeated
}

func newLayout(shape, out [3]int) layout {
	s := layout{columns: shape[2], rows: shape[0] * shape[1], whole: shape == out}
	if shape[0] > 1 {
		s.down = shape[1]
	}
	if shape[1] > 1 {
		s.along = 1
	}
	return s
}

// at returns the offset of the row for an image, row and column of the map.
func (s *layout) at(image, y, x int) int { return (image*s.rows + y*s.down + x*s.along) * s.columns }

func (p *pairwiseStage) extent(n int) extent {
	rows := n * p.height * p.width
	return extent{rows: rows, panels: 1, work: 8 * rows * p.columns}
}

func (p *pairwiseStage) scratchLen() int     { return p.columns }
func (p *pairwiseStage) backScratchLen() int { return 2 * p.columns }

func (p *pairwiseStage) compute(b *buffers, piece piece) {
	if p.x.whole && p.y.whole {
		low, high := piece.low*p.columns, piece.high*p.columns
		p.apply(b.out[low:high], b.in[low:high], b.second[low:high])
		return
	}
	for i := piece.low; i < piece.high; i++ {
		image, y, x := p.position(i)
		p.apply(b.out[i*p.columns:][:p.columns],
			p.row(&p.x, b.in, p.x.at(image, y, x), b.scratch), p.row(&p.y, b.second, p.y.at(image, y, x), b.scratch))
	}
}

// position returns the image, row and column of row i of the output.
func (p *pairwiseStage) position(i int) (image, y, x int) {
	return i / (p.height * p.width), i / p.width % p.height, i % p.width
}

// row returns a row of a value, in scratch if it is a single repeated number. At most one of the
// two values is.
func (p *pairwiseStage) row(s *layout, values []float32, at int, scratch []float32) []float32 {
	if s.columns == p.columns {
		return values[at:][:p.columns]
	}
	row := scratch[:p.columns]
	for i := range row {
		row[i] = values[at]
	}
	return row
}

func (p *pairwiseStage) backward(b *backBuffers) {
	b.clearIn()
	b.clearSecond()
	rows, columns := b.n*p.height*p.width, p.columns
	if p.x.whole && p.y.whole {
		p.addGradients(b.inGradient, b.secondGradient, b.gradient, b.in, b.second)
		return
	}
	repeated, sums := b.scratch[:columns], b.scratch[columns:][:columns]
	for i := range rows {
		image, y, x := p.position(i)
		atX, atY := p.x.at(image, y, x), p.y.at(image, y, x)
		dx, dy := p.gradientRow(&p.x, b.inGradient, atX, sums), p.gradientRow(&p.y, b.secondGradient, atY, sums)
		p.addGradients(dx, dy, b.gradient[i*columns:][:columns],
			p.row(&p.x, b.in, atX, repeated), p.row(&p.y, b.second, atY, repeated))
		p.addSum(&p.x, b.inGradient, atX, sums)
		p.addSum(&p.y, b.secondGradient, atY, sums)
	}
}

// gradientRow returns the row to which the gradient is added: zeros in sums if the value's row is a
// repeated number, nil if no gradient is needed.
func (p *pairwiseStage) gradientRow(s *layout, gradient []float32, at int, sums []float32) []float32 {
	switch {
	case gradient == nil:
		return nil
	case s.columns == p.columns:
		return gradient[at:][:p.columns]
	}
	clear(sums)
	return sums
}

// addSum adds up the gradient of a repeated number.
func (p *pairwiseStage) addSum(s *layout, gradient []float32, at int, sums []float32) {
	if gradient == nil || s.columns == p.columns {
		return
	}
	for _, v := range sums {
		gradient[at] += v
	}
}

// addTo adds src to dst, unless dst is nil.
func addTo(dst, src []float32) {
	if dst != nil {
		kernel.Add(dst, src, kernel.Identity)
	}
}
