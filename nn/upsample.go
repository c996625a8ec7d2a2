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
	if n.Linear {
		l.emit(i, interpolate(in, n.shape), n.Inputs[0])
		return
	}
	l.emit(i, &repeating{rows: in[0], columns: in[1], channels: in[2], down: n.Rows, along: n.Columns}, n.Inputs[0])
}

// repeating repeats each value of a map, down times and along a row.
type repeating struct {
	plain
	rows, columns, channels int // of the input
	down, along             int
}

func (r *repeating) rowLen() int    { return r.columns * r.channels }
func (r *repeating) outRowLen() int { return r.along * r.rowLen() }

func (r *repeating) extent(int) extent {
	rows := r.down * r.rows
	return extent{rows: rows, panels: 1, work: 8 * rows * r.outRowLen()}
}

func (r *repeating) run(b *buffers, p piece) {
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

func (r *repeating) back(b *backBuffers) {
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
