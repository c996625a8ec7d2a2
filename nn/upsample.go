package nn

import (
	"fmt"

	"garb/internal/kernel"
)

// OpUpsample makes a map larger: see Builder.Upsample.
const OpUpsample Op = "Upsample"

// Upsample makes a map so many times as high and as wide. Each value is repeated; if linear,
// those between are interpolated along rows and columns, with pixels taken as squares that
// have their values at their centres, and what is beyond the border as the border.
func (b *Builder) Upsample(x Value, rows, columns int, linear bool) Value {
	return b.layer(Layer{Op: OpUpsample, Rows: rows, Columns: columns, Linear: linear}, x)
}

type upsample struct{ unary }

func (upsample) settings(l Layer) Layer {
	return Layer{Rows: l.Rows, Columns: l.Columns, Linear: l.Linear}
}

func (upsample) shape(l Layer, in [][]int) ([]int, error) {
	if err := isMap(in[0]); err != nil {
		return nil, err
	}
	if l.Rows < 1 || l.Columns < 1 {
		return nil, fmt.Errorf("%d times the rows and %d times the columns", l.Rows, l.Columns)
	}
	return []int{in[0][0] * l.Rows, in[0][1] * l.Columns, in[0][2]}, nil
}

func (upsample) text(l Layer) string {
	if l.Linear {
		return fmt.Sprintf(" %d×%d bilinear", l.Rows, l.Columns)
	}
	return fmt.Sprintf(" %d×%d", l.Rows, l.Columns)
}

func (upsample) lower(l *lowering, i int) {
	n := &l.graph.nodes[i]
	in := n.inputs[0]
	e := enlarging{
		rows: axisScale{size: in[0], factor: n.Rows}, columns: axisScale{size: in[1], factor: n.Columns}, channels: in[2],
	}
	if n.Linear {
		l.emit(i, &interpolating{e}, n.Inputs[0])
	} else {
		l.emit(i, &repeating{e}, n.Inputs[0])
	}
}

// enlarging is what both ways have in common.
type enlarging struct {
	plain
	rows, columns axisScale
	channels      int
}

func (e *enlarging) rowLen() int    { return e.columns.size * e.channels }
func (e *enlarging) outRowLen() int { return e.columns.factor * e.rowLen() }

func (e *enlarging) extent(int) extent {
	rows := e.rows.factor * e.rows.size
	return extent{rows: rows, panels: 1, work: 8 * rows * e.outRowLen()}
}

// axisScale is an axis that becomes factor times as long.
type axisScale struct{ size, factor int }

// between returns the two places that place i of the longer axis lies between, and how far
// it is on the way from low to high.
func (a axisScale) between(i int) (low, high int, weight float32) {
	place := 2*i + 1 - a.factor // in steps of 1/(2·factor)
	if place < 0 {
		return 0, 0, 0
	}
	low = place / (2 * a.factor)
	return low, min(low+1, a.size-1), float32(place%(2*a.factor)) / float32(2*a.factor)
}

// repeating repeats each value.
type repeating struct{ enlarging }

func (r *repeating) run(b *buffers, p piece) {
	for y := p.low; y < p.high; y++ {
		in, out := b.in[y/r.rows.factor*r.rowLen():][:r.rowLen()], b.out[y*r.outRowLen():][:r.outRowLen()]
		if y > p.low && y%r.rows.factor > 0 {
			copy(out, b.out[(y-1)*r.outRowLen():])
			continue
		}
		for ; len(in) > 0; in = in[r.channels:] {
			for range r.columns.factor {
				out = out[copy(out, in[:r.channels]):]
			}
		}
	}
}

func (r *repeating) back(b *backBuffers) {
	b.clearIn()
	for y := range r.rows.factor * r.rows.size {
		to, from := b.inGradient[y/r.rows.factor*r.rowLen():][:r.rowLen()], b.gradient[y*r.outRowLen():]
		for ; len(to) > 0; to = to[r.channels:] {
			for range r.columns.factor {
				kernel.Add(to[:r.channels], from, kernel.Identity)
				from = from[r.channels:]
			}
		}
	}
}

// interpolating interpolates first down the columns, then along the row.
type interpolating struct{ enlarging }

func (t *interpolating) scratchLen() int     { return t.rowLen() }
func (t *interpolating) backScratchLen() int { return t.rowLen() }

func (t *interpolating) run(b *buffers, p piece) {
	row, c := b.scratch[:t.rowLen()], t.channels
	for y := p.low; y < p.high; y++ {
		low, high, weight := t.rows.between(y)
		mix(row, b.in[low*t.rowLen():], b.in[high*t.rowLen():], weight)
		for x := range t.columns.factor * t.columns.size {
			low, high, weight := t.columns.between(x)
			mix(b.out[y*t.outRowLen()+x*c:][:c], row[low*c:], row[high*c:], weight)
		}
	}
}

// mix sets dst to what is so far on the way from x to y.
func mix(dst, x, y []float32, weight float32) {
	x, y = x[:len(dst)], y[:len(dst)]
	for i, v := range x {
		dst[i] = v + (y[i]-v)*weight
	}
}

func (t *interpolating) back(b *backBuffers) {
	b.clearIn()
	row, c := b.scratch[:t.rowLen()], t.channels
	for y := range t.rows.factor * t.rows.size {
		clear(row)
		for x := range t.columns.factor * t.columns.size {
			low, high, weight := t.columns.between(x)
			share(row[low*c:][:c], row[high*c:][:c], b.gradient[y*t.outRowLen()+x*c:], weight)
		}
		low, high, weight := t.rows.between(y)
		share(b.inGradient[low*t.rowLen():][:t.rowLen()], b.inGradient[high*t.rowLen():][:t.rowLen()], row, weight)
	}
}

// share adds the gradient of what mix made to those of what it was made of.
func share(x, y, gradient []float32, weight float32) {
	gradient, y = gradient[:len(x)], y[:len(x)]
	for i, g := range gradient {
		x[i] += g * (1 - weight)
		y[i] += g * weight
	}
}
