package nn

import (
	"fmt"

	"garb/internal/kernel"
)

// OpUpsample enlarges a map: see Builder.Upsample.
const OpUpsample Op = "Upsample"

// Upsample multiplies the numbers of rows and columns of a map. Each value is repeated; if linear,
// values are interpolated along rows and columns, with pixels as squares with their values at their
// centres, and the border repeated outside.
func (b *Builder) Upsample(x Value, rows, columns int, linear bool) Value {
	return b.layer(Layer{Op: OpUpsample, Rows: rows, Columns: columns, Linear: linear}, x)
}

type upsample struct{ unary }

func (upsample) settings(l Layer) Layer {
	return Layer{Rows: l.Rows, Columns: l.Columns, Linear: l.Linear}
}

func (upsample) shape(l Layer, in [][]int) ([]int, error) {
	if err := checkMap(in[0]); err != nil {
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
	if n.Linear {
		l.emit(i, newInterpolator(in, n.shape), n.Inputs[0])
		return
	}
	l.emit(i, &repeater{rows: in[0], columns: in[1], channels: in[2], down: n.Rows, along: n.Columns}, n.Inputs[0])
}

// repeater repeats each value of a map vertically and horizontally.
type repeater struct {
	scratchless
	rows, columns, channels int // of the input
	down, along             int
}

func (r *repeater) rowLen() int    { return r.columns * r.channels }
func (r *repeater) outRowLen() int { return r.along * r.rowLen() }

func (r *repeater) extent(int) extent {
	rows := r.down * r.rows
	return extent{rows: rows, panels: 1, work: 8 * rows * r.outRowLen()}
}

func (r *repeater) compute(b *buffers, p piece) {
	for y := p.low; y < p.high; y++ {
		in, out := b.in[y/r.down*r.rowLen():][:r.rowLen()], b.out[y*r.outRowLen():][:r.outRowLen()]
		if y > p.low && y%r.down > 0 {
			copy(out, b.out[(y-1)*r.outRowLen():])
			continue
		}
		for ; len(in) > 0; in = in[r.channels:] {
			for range r.along {
				out = out[copy(out, in[:r.channels]):]
			}
		}
	}
}

func (r *repeater) backward(b *backBuffers) {
	b.clearIn()
	for y := range r.down * r.rows {
		to, from := b.inGradient[y/r.down*r.rowLen():][:r.rowLen()], b.gradient[y*r.outRowLen():]
		for ; len(to) > 0; to = to[r.channels:] {
			for range r.along {
				kernel.Add(to[:r.channels], from, kernel.Identity)
				from = from[r.channels:]
			}
		}
	}
}
