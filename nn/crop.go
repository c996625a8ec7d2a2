package nn

import (
	"fmt"

	"garb/internal/kernel"
)

// OpCrop crops a value: see Builder.Crop.
const OpCrop Op = "Crop"

// Crop removes rows and columns at the border of a map.
func (b *Builder) Crop(x Value, above, below, left, right int) Value {
	return b.layer(Layer{Op: OpCrop, Above: above, Below: below, Left: left, Right: right}, x)
}

// CropChannels removes channels of a map or flat value: so many before those that it keeps, and
// after.
func (b *Builder) CropChannels(x Value, before, after int) Value {
	return b.layer(Layer{Op: OpCrop, Before: before, After: after}, x)
}

type crop struct{ unary }

func (crop) settings(l Layer) Layer {
	return Layer{Above: l.Above, Below: l.Below, Left: l.Left, Right: l.Right, Before: l.Before, After: l.After}
}

func (crop) shape(l Layer, in [][]int) ([]int, error) {
	whole := asMap(in[0])
	out := []int{whole[0] - l.Above - l.Below, whole[1] - l.Left - l.Right, whole[2] - l.Before - l.After}
	for i, n := range out {
		if n < 1 {
			return nil, fmt.Errorf("it leaves out all of the %d %s", whole[i],
				[...]string{"rows", "columns", "channels"}[i])
		}
	}
	return out[3-len(in[0]):], nil
}

func (crop) text(l Layer) string {
	rows, channels := fmt.Sprintf(" %d,%d,%d,%d", l.Above, l.Below, l.Left, l.Right), ""
	if l.Above+l.Below+l.Left+l.Right == 0 {
		rows = ""
	}
	if l.Before+l.After > 0 {
		channels = fmt.Sprintf(" channels %d,%d", l.Before, l.After)
	}
	return rows + channels
}

func (crop) lower(l *lowering, i int) {
	n := &l.graph.nodes[i]
	in, out := asMap(n.inputs[0]), asMap(n.shape)
	l.emit(i, &cropping{
		rows: out[0], columns: out[1], channels: out[2], inRows: in[0], inColumns: in[1], inChannels: in[2],
		top: n.Above, left: n.Left, first: n.Before,
	}, n.Inputs[0])
}

// cropping copies a part of a map.
type cropping struct {
	scratchless
	rows, columns, channels       int
	inRows, inColumns, inChannels int
	top, left, first              int // the first row, column and channel that is kept
}

func (c *cropping) extent(n int) extent {
	return extent{rows: n * c.rows, panels: 1, work: 8 * n * c.rows * c.columns * c.channels}
}

// eachSpan calls f for each contiguous part of row i of the output, with its offsets in the output
// and the input, and its length.
func (c *cropping) eachSpan(i int, f func(out, in, length int)) {
	image, y := i/c.rows, i%c.rows
	out := i * c.columns * c.channels
	in := ((image*c.inRows+c.top+y)*c.inColumns+c.left)*c.inChannels + c.first
	if c.channels == c.inChannels {
		f(out, in, c.columns*c.channels)
		return
	}
	for x := range c.columns {
		f(out+x*c.channels, in+x*c.inChannels, c.channels)
	}
}

func (c *cropping) compute(b *buffers, p piece) {
	for i := p.low; i < p.high; i++ {
		c.eachSpan(i, func(out, in, length int) { copy(b.out[out:][:length], b.in[in:]) })
	}
}

func (c *cropping) backward(b *backBuffers) {
	b.clearIn()
	for i := range b.n * c.rows {
		c.eachSpan(i, func(out, in, length int) {
			kernel.Add(b.inGradient[in:][:length], b.gradient[out:], kernel.Identity)
		})
	}
}
