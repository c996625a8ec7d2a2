package nn

import (
	"fmt"

	"garb/internal/kernel"
	"garb/tensor"
)

// pairwise is an operation on two values, element by element. A value is repeated along the
// axes of which it has one place: [h w c] takes [1 1 c], [c], [h w 1] and the like, on
// either side.
type pairwise struct {
	unary
	// compute sets dst[i] = f(x[i], y[i]).
	compute func(dst, x, y []float32)
	// back adds gradient[i] times f's derivative by x[i] to dx[i], and that by y[i] to dy[i].
	// One of dx and dy may be nil.
	back func(dx, dy, gradient, x, y []float32)
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

// asMap is a shape with axes of 1 before those that it has: [1 1 c] for [c].
func asMap(shape []int) [3]int {
	whole := [3]int{1, 1, 1}
	copy(whole[3-len(shape):], shape)
	return whole
}

func (p pairwise) lower(l *lowering, i int) {
	n := &l.graph.nodes[i]
	out := asMap(n.shape)
	l.emit(i, &pairing{
		pairwise: p, height: out[0], width: out[1], columns: out[2],
		x: spreadOver(asMap(n.inputs[0]), out), y: spreadOver(asMap(n.inputs[1]), out),
	}, n.Inputs[0], n.Inputs[1])
}

// pairing is a pairwise operation on the rows of two values.
type pairing struct {
	pairwise
	height, width, columns int
	x, y                   spread
}

// spread says where a value has its rows when it is repeated over a map.
type spread struct {
	down, along int // rows to step for the next row and column of the map
	columns     int
	rows        int  // of one image
	whole       bool // it is not repeated
}

func spreadOver(shape, out [3]int) spread {
	s := spread{columns: shape[2], rows: shape[0] * shape[1], whole: shape == out}
	if shape[0] > 1 {
		s.down = shape[1]
	}
	if shape[1] > 1 {
		s.along = 1
	}
	return s
}

// at is the place in values of the row for an image, row and column of the map.
func (s *spread) at(image, y, x int) int { return (image*s.rows + y*s.down + x*s.along) * s.columns }

func (p *pairing) extent(n int) extent {
	rows := n * p.height * p.width
	return extent{rows: rows, panels: 1, work: 8 * rows * p.columns}
}

func (p *pairing) scratchLen() int     { return p.columns }
func (p *pairing) backScratchLen() int { return 2 * p.columns }

func (p *pairing) run(b *buffers, piece piece) {
	if p.x.whole && p.y.whole {
		low, high := piece.low*p.columns, piece.high*p.columns
		p.compute(b.out[low:high], b.in[low:high], b.second[low:high])
		return
	}
	for i := piece.low; i < piece.high; i++ {
		image, y, x := p.position(i)
		p.compute(b.out[i*p.columns:][:p.columns],
			p.row(&p.x, b.in, p.x.at(image, y, x), b.scratch), p.row(&p.y, b.second, p.y.at(image, y, x), b.scratch))
	}
}

// position is the image, row and column that row i of the output is.
func (p *pairing) position(i int) (image, y, x int) {
	return i / (p.height * p.width), i / p.width % p.height, i % p.width
}

// row is a row of a value, written to scratch if it is one number repeated. At most one of
// the two values is so.
func (p *pairing) row(s *spread, values []float32, at int, scratch []float32) []float32 {
	if s.columns == p.columns {
		return values[at:][:p.columns]
	}
	row := scratch[:p.columns]
	for i := range row {
		row[i] = values[at]
	}
	return row
}

func (p *pairing) back(b *backBuffers) {
	b.clearIn()
	b.clearSecond()
	rows, columns := b.n*p.height*p.width, p.columns
	if p.x.whole && p.y.whole {
		p.pairwise.back(b.inGradient, b.secondGradient, b.gradient, b.in, b.second)
		return
	}
	repeated, sums := b.scratch[:columns], b.scratch[columns:][:columns]
	for i := range rows {
		image, y, x := p.position(i)
		atX, atY := p.x.at(image, y, x), p.y.at(image, y, x)
		dx, dy := p.gradientRow(&p.x, b.inGradient, atX, sums), p.gradientRow(&p.y, b.secondGradient, atY, sums)
		p.pairwise.back(dx, dy, b.gradient[i*columns:][:columns],
			p.row(&p.x, b.in, atX, repeated), p.row(&p.y, b.second, atY, repeated))
		p.addSum(&p.x, b.inGradient, atX, sums)
		p.addSum(&p.y, b.secondGradient, atY, sums)
	}
}

// gradientRow is where the gradient of a row is added: zeros in sums if the row is one number
// repeated, nil if no gradient is needed.
func (p *pairing) gradientRow(s *spread, gradient []float32, at int, sums []float32) []float32 {
	switch {
	case gradient == nil:
		return nil
	case s.columns == p.columns:
		return gradient[at:][:p.columns]
	}
	clear(sums)
	return sums
}

// addSum adds up the gradient of a number that was repeated.
func (p *pairing) addSum(s *spread, gradient []float32, at int, sums []float32) {
	if gradient == nil || s.columns == p.columns {
		return
	}
	for _, v := range sums {
		gradient[at] += v
	}
}

// addTo adds src to dst, unless that is nil.
func addTo(dst, src []float32) {
	if dst != nil {
		kernel.Add(dst, src, kernel.Identity)
	}
}
