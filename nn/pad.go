package nn

import (
	"fmt"
	"math"

	"garb/internal/kernel"
)

// OpPad puts a border around a feature map: see Builder.Pad.
const OpPad Op = "Pad"

// Border is a way to fill the border of a Pad with the map's own values.
type Border string

// The borders of [a b c d] with two values on each side: Reflect gives [c b a b c d c b], Edge [a a
// a b c d d d], and Wrap [c d a b c d a b].
const (
	Reflect Border = "reflect"
	Edge    Border = "edge"
	Wrap    Border = "wrap"
)

// Pad adds rows and columns around a feature map, filled with zeros or, if lowest, with the lowest
// number.
func (b *Builder) Pad(x Value, above, below, left, right int, lowest bool) Value {
	return b.layer(Layer{Op: OpPad, Above: above, Below: below, Left: left, Right: right, Lowest: lowest}, x)
}

type pad struct{ unary }

func (pad) settings(l Layer) Layer {
	return Layer{Above: l.Above, Below: l.Below, Left: l.Left, Right: l.Right, Lowest: l.Lowest, Border: l.Border}
}

func (pad) shape(l Layer, in [][]int) ([]int, error) {
	if err := checkMap(in[0]); err != nil {
		return nil, err
	}
	h, w := in[0][0], in[0][1]
	most := map[Border][2]int{"": {maxSetting, maxSetting}, Edge: {maxSetting, maxSetting}, Reflect: {h - 1, w - 1},
		Wrap: {h, w}}
	limit, ok := most[l.Border]
	switch {
	case !ok || l.Border != "" && l.Lowest:
		return nil, fmt.Errorf("there is no border %q of this kind", l.Border)
	case max(l.Above, l.Below) > limit[0] || max(l.Left, l.Right) > limit[1]:
		return nil, fmt.Errorf("a border %q wider than what it repeats", l.Border)
	}
	return []int{h + l.Above + l.Below, w + l.Left + l.Right, in[0][2]}, nil
}

func (pad) text(l Layer) string {
	text := fmt.Sprintf(" %d,%d,%d,%d", l.Above, l.Below, l.Left, l.Right)
	if l.Border != "" {
		text += " " + string(l.Border)
	}
	return text
}

func (pad) lower(l *lowering, i int) {
	n := &l.graph.nodes[i]
	in := n.inputs[0]
	if n.Border != "" {
		c := &copier{rowLen: in[1] * in[2], channels: in[2]}
		c.rows = n.Border.sourcePlaces(in[0], n.Above, n.Below)
		c.columns = n.Border.sourcePlaces(in[1], n.Left, n.Right)
		l.emit(i, c, n.Inputs[0])
		return
	}
	// The padded map is computed only if something else than a window reads it: windows absorb the
	// padding, see absorbPad.
}

// newBorder returns a pad with a number as a stage of its own.
func newBorder(n *node) *border {
	in := n.inputs[0]
	b := &border{rows: in[0], rowLen: in[1] * in[2], outRowLen: n.shape[1] * in[2]}
	b.first = n.Above*b.outRowLen + n.Left*in[2]
	if n.Lowest {
		b.fill = -math.MaxFloat32
	}
	return b
}

// absorbPad returns the window of node i and the node that it reads. If that is a Pad which pads as
// the window does outside the map anyway, with the lowest numbers for a maximum and zeros for a
// convolution, the window takes over the padding and reads the Pad's input.
func (l *lowering) absorbPad(i int, lowest bool) (w window, in int) {
	n := &l.graph.nodes[i]
	w, in = n.window(), n.Inputs[0]
	p := &l.graph.nodes[in]
	if p.Op != OpPad || p.Border != "" || p.Lowest != lowest || l.value[in] >= 0 {
		return w, in
	}
	inner := w
	inner.height, inner.width = p.inputs[0][0], p.inputs[0][1]
	inner.padTop, inner.padLeft = w.padTop+p.Above, w.padLeft+p.Left
	if !inner.reachesMap() {
		return w, in
	}
	return inner, p.Inputs[0]
}

// sourcePlaces returns the row or column of the input that each one of the output copies.
func (b Border) sourcePlaces(size, before, after int) []int {
	all := make([]int, before+size+after)
	for i := range all {
		at := i - before
		switch b {
		case Edge:
			at = min(max(at, 0), size-1)
		case Wrap:
			at = (at + size) % size
		case Reflect:
			if at = max(at, -at); at >= size {
				at = 2*(size-1) - at
			}
		}
		all[i] = at
	}
	return all
}

// border copies a feature map into the middle of a larger one.
type border struct {
	scratchless
	rows, rowLen, outRowLen int // lengths in values
	first                   int // offset of the input's first value in the output
	fill                    float32
}

func (p *border) extent(int) extent { return single }

func (p *border) compute(b *buffers, _ piece) {
	for i := range b.out {
		b.out[i] = p.fill
	}
	for y := range p.rows {
		copy(b.out[p.first+y*p.outRowLen:], b.in[y*p.rowLen:][:p.rowLen])
	}
}

func (p *border) backward(b *backBuffers) {
	b.clearIn()
	for y := range p.rows {
		kernel.Add(b.inGradient[y*p.rowLen:][:p.rowLen], b.gradient[p.first+y*p.outRowLen:], kernel.Identity)
	}
}

// copier copies each position of the output from one of the input.
type copier struct {
	scratchless
	rows, columns    []int // of the input, for each of the output
	rowLen, channels int
}

func (p *copier) extent(int) extent { return single }

func (p *copier) compute(b *buffers, _ piece) {
	to := b.out
	for _, y := range p.rows {
		row := b.in[y*p.rowLen:][:p.rowLen]
		for _, x := range p.columns {
			to = to[copy(to, row[x*p.channels:][:p.channels]):]
		}
	}
}

func (p *copier) backward(b *backBuffers) {
	b.clearIn()
	from := b.gradient
	for _, y := range p.rows {
		row := b.inGradient[y*p.rowLen:][:p.rowLen]
		for _, x := range p.columns {
			kernel.Add(row[x*p.channels:][:p.channels], from, kernel.Identity)
			from = from[p.channels:]
		}
	}
}
