package nn

import (
	"fmt"
	"math"

	"garb/internal/kernel"
)

// OpPad puts a border around a feature map: see Builder.Pad.
const OpPad Op = "Pad"

// Pad puts rows and columns around a feature map: zeros, or the lowest number if lowest.
func (b *Builder) Pad(x Value, above, below, left, right int, lowest bool) Value {
	return b.layer(Layer{Op: OpPad, Above: above, Below: below, Left: left, Right: right, Lowest: lowest}, x)
}

type pad struct{ unary }

func (pad) settings(l Layer) Layer {
	return Layer{Above: l.Above, Below: l.Below, Left: l.Left, Right: l.Right, Lowest: l.Lowest}
}

func (pad) shape(l Layer, in [][]int) ([]int, error) {
	if err := isMap(in[0]); err != nil {
		return nil, err
	}
	return []int{in[0][0] + l.Above + l.Below, in[0][1] + l.Left + l.Right, in[0][2]}, nil
}

func (pad) text(l Layer) string {
	return fmt.Sprintf(" %d,%d,%d,%d", l.Above, l.Below, l.Left, l.Right)
}

func (pad) lower(l *lowering, i int) {
	n := &l.graph.nodes[i]
	in := n.inputs[0]
	b := &border{rows: in[0], rowLen: in[1] * in[2], outRowLen: n.shape[1] * in[2]}
	b.first = n.Above*b.outRowLen + n.Left*in[2]
	if n.Lowest {
		b.fill = -math.MaxFloat32
	}
	l.emit(i, b, n.Inputs[0])
}

// border copies a feature map into the middle of a larger one.
type border struct {
	plain
	rows, rowLen, outRowLen int // lengths in values
	first                   int // value of the output that the first of the input is
	fill                    float32
}

func (p *border) extent(int) extent { return single }

func (p *border) run(b *buffers, _ piece) {
	for i := range b.out {
		b.out[i] = p.fill
	}
	for y := range p.rows {
		copy(b.out[p.first+y*p.outRowLen:], b.in[y*p.rowLen:][:p.rowLen])
	}
}

func (p *border) back(b *backBuffers) {
	b.clearIn()
	for y := range p.rows {
		kernel.Add(b.inGradient[y*p.rowLen:][:p.rowLen], b.gradient[p.first+y*p.outRowLen:], kernel.Identity)
	}
}
