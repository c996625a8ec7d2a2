package nn

import "fmt"

// OpResize makes a map of another size: see Builder.Resize.
const OpResize Op = "Resize"

// Resize makes a map of so many rows and columns, more or fewer. Pixels are taken as squares
// that have their values at their centres. Each value is that of the pixel in which its
// centre lies; if linear, it is interpolated along rows and columns between the nearest two,
// with what is beyond the border as the border. Nothing is averaged: where a map becomes
// much smaller, some pixels count for nothing. So TensorFlow, LiteRT and PyTorch do without
// antialiasing.
func (b *Builder) Resize(x Value, rows, columns int, linear bool) Value {
	return b.layer(Layer{Op: OpResize, Rows: rows, Columns: columns, Linear: linear}, x)
}

type resize struct{ unary }

func (resize) settings(l Layer) Layer {
	return Layer{Rows: l.Rows, Columns: l.Columns, Linear: l.Linear}
}

func (resize) shape(l Layer, in [][]int) ([]int, error) {
	if err := isMap(in[0]); err != nil {
		return nil, err
	}
	if l.Rows < 1 || l.Columns < 1 {
		return nil, fmt.Errorf("%d rows and %d columns", l.Rows, l.Columns)
	}
	return []int{l.Rows, l.Columns, in[0][2]}, nil
}

func (resize) text(l Layer) string {
	text := fmt.Sprintf(" to %d×%d", l.Rows, l.Columns)
	if l.Linear {
		text += " bilinear"
	}
	return text
}

func (resize) lower(l *lowering, i int) {
	n := &l.graph.nodes[i]
	in := n.inputs[0]
	if n.Linear {
		l.emit(i, interpolate(in, n.shape), n.Inputs[0])
		return
	}
	c := &copies{rowLen: in[1] * in[2], channels: in[2]}
	c.rows, c.columns = Nearest(in[0], n.Rows), Nearest(in[1], n.Columns)
	l.emit(i, c, n.Inputs[0])
}

// Nearest tells for an axis that Resize gives another length which of its places each of the
// new ones is a copy of. Centres that lie between two pixels fall to either, as the float32
// arithmetic has it that TensorFlow and LiteRT do here.
func Nearest(from, to int) []int {
	places, scale := make([]int, to), float32(from)/float32(to)
	for i := range places {
		places[i] = min(int((float32(i)+0.5)*scale), from-1)
	}
	return places
}

// between is a place between two of another axis: how far it is on the way from low to high.
type between struct {
	low, high int
	weight    float32
}

// betweens are the places of an axis of from that becomes one of to.
func betweens(from, to int) []between {
	all := make([]between, to)
	for i := range all {
		place := (2*i+1)*from - to // in steps of 1/(2·to)
		if place < 0 {
			continue // beyond the border
		}
		low := place / (2 * to)
		all[i] = between{low, min(low+1, from-1), float32(float64(place%(2*to)) / float64(2*to))}
	}
	return all
}

// interpolating interpolates first down the columns, then along the row.
type interpolating struct {
	rows, columns     []between
	rowLen, outRowLen int
	channels          int
}

// interpolate makes of a map [h w c] one of another size.
func interpolate(in, out []int) *interpolating {
	return &interpolating{
		rows: betweens(in[0], out[0]), columns: betweens(in[1], out[1]),
		rowLen: in[1] * in[2], outRowLen: out[1] * out[2], channels: in[2],
	}
}

func (t *interpolating) extent(int) extent {
	return extent{rows: len(t.rows), panels: 1, work: 8 * len(t.rows) * t.outRowLen}
}

func (t *interpolating) scratchLen() int     { return t.rowLen }
func (t *interpolating) backScratchLen() int { return t.rowLen }

func (t *interpolating) run(b *buffers, p piece) {
	row, c := b.scratch[:t.rowLen], t.channels
	for y := p.low; y < p.high; y++ {
		at := t.rows[y]
		mix(row, b.in[at.low*t.rowLen:], b.in[at.high*t.rowLen:], at.weight)
		for x, at := range t.columns {
			mix(b.out[y*t.outRowLen+x*c:][:c], row[at.low*c:], row[at.high*c:], at.weight)
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
	row, c := b.scratch[:t.rowLen], t.channels
	for y, at := range t.rows {
		clear(row)
		for x, at := range t.columns {
			share(row[at.low*c:][:c], row[at.high*c:][:c], b.gradient[y*t.outRowLen+x*c:], at.weight)
		}
		share(b.inGradient[at.low*t.rowLen:][:t.rowLen], b.inGradient[at.high*t.rowLen:][:t.rowLen], row, at.weight)
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
