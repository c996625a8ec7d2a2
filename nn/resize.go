package nn

import "fmt"

// OpResize resizes a map: see Builder.Resize.
const OpResize Op = "Resize"

// Resize resizes a map to so many rows and columns. Pixels are squares with their values at
// their centres. A new pixel takes the value of the pixel in which its centre lies; if linear,
// it is interpolated between the nearest two rows and columns, with the border repeated
// outside. Nothing is averaged: if a map becomes much smaller, some pixels have no influence.
// TensorFlow, LiteRT and PyTorch do the same without antialiasing.
func (b *Builder) Resize(x Value, rows, columns int, linear bool) Value {
	return b.layer(Layer{Op: OpResize, Rows: rows, Columns: columns, Linear: linear}, x)
}

type resize struct{ unary }

func (resize) settings(l Layer) Layer {
	return Layer{Rows: l.Rows, Columns: l.Columns, Linear: l.Linear}
}

func (resize) shape(l Layer, in [][]int) ([]int, error) {
	if err := checkMap(in[0]); err != nil {
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
		l.emit(i, newInterpolator(in, n.shape), n.Inputs[0])
		return
	}
	c := &copier{rowLen: in[1] * in[2], channels: in[2]}
	c.rows, c.columns = Nearest(in[0], n.Rows), Nearest(in[1], n.Columns)
	l.emit(i, c, n.Inputs[0])
}

// Nearest returns the indices of which Resize copies the pixels along an axis. If a centre lies
// between two pixels, float32 rounding decides as in TensorFlow and LiteRT.
func Nearest(from, to int) []int {
	places, scale := make([]int, to), float32(from)/float32(to)
	for i := range places {
		places[i] = min(int((float32(i)+0.5)*scale), from-1)
	}
	return places
}

// interpolation is a position between two indices of another axis; weight is the distance from low
// to high.
type interpolation struct {
	low, high int
	weight    float32
}

// interpolations returns the positions of an axis that is resized.
func interpolations(from, to int) []interpolation {
	all := make([]interpolation, to)
	for i := range all {
		place := (2*i+1)*from - to // in steps of 1/(2·to)
		if place < 0 {
			continue // beyond the border
		}
		low := place / (2 * to)
		all[i] = interpolation{low, min(low+1, from-1), float32(float64(place%(2*to)) / float64(2*to))}
	}
	return all
}

// interpolator interpolates first down the columns, then along the row.
type interpolator struct {
	rows, columns     []interpolation
	rowLen, outRowLen int
	channels          int
}

// newInterpolator returns the interpolation of a map [h w c] to another size.
func newInterpolator(in, out []int) *interpolator {
	return &interpolator{
		rows: interpolations(in[0], out[0]), columns: interpolations(in[1], out[1]),
		rowLen: in[1] * in[2], outRowLen: out[1] * out[2], channels: in[2],
	}
}

func (t *interpolator) extent(int) extent {
	return extent{rows: len(t.rows), panels: 1, work: 8 * len(t.rows) * t.outRowLen}
}

func (t *interpolator) scratchLen() int     { return t.rowLen }
func (t *interpolator) backScratchLen() int { return t.rowLen }

func (t *interpolator) compute(b *buffers, p piece) {
	row, c := b.scratch[:t.rowLen], t.channels
	for y := p.low; y < p.high; y++ {
		at := t.rows[y]
		mix(row, b.in[at.low*t.rowLen:], b.in[at.high*t.rowLen:], at.weight)
		for x, at := range t.columns {
			mix(b.out[y*t.outRowLen+x*c:][:c], row[at.low*c:], row[at.high*c:], at.weight)
		}
	}
}

// mix interpolates between x and y with the given weight of y.
func mix(dst, x, y []float32, weight float32) {
	x, y = x[:len(dst)], y[:len(dst)]
	for i, v := range x {
		dst[i] = v + float32((y[i]-v)*weight)
	}
}

func (t *interpolator) backward(b *backBuffers) {
	b.clearIn()
	row, c := b.scratch[:t.rowLen], t.channels
	for y, at := range t.rows {
		clear(row)
		for x, at := range t.columns {
			distribute(row[at.low*c:][:c], row[at.high*c:][:c], b.gradient[y*t.outRowLen+x*c:], at.weight)
		}
		low, high := b.inGradient[at.low*t.rowLen:], b.inGradient[at.high*t.rowLen:]
		distribute(low[:t.rowLen], high[:t.rowLen], row, at.weight)
	}
}

// distribute adds the gradient of mix's result to those of its arguments.
func distribute(x, y, gradient []float32, weight float32) {
	gradient, y = gradient[:len(x)], y[:len(x)]
	for i, g := range gradient {
		x[i] += float32(g * (1 - weight))
		y[i] += float32(g * weight)
	}
}
