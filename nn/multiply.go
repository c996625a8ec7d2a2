package nn

import (
	"fmt"
	"slices"

	"garb/internal/kernel"
	"garb/tensor"
)

// OpMultiply is a product: see Builder.Multiply.
const OpMultiply Op = "Multiply"

// Multiply is the product of two values of one shape, or of a feature map and a value for
// each of its channels: [h w c] and [1 1 c] or [c], in either order.
func (b *Builder) Multiply(x, y Value) Value { return b.layer(Layer{Op: OpMultiply}, x, y) }

type multiply struct{ unary }

func (multiply) arity() int { return 2 }

func (multiply) shape(_ Layer, in [][]int) ([]int, error) {
	x, y := in[0], in[1]
	if smaller(x, y) {
		x, y = y, x
	}
	channels := x[len(x)-1]
	if !slices.Equal(x, y) && (len(x) != 3 || tensor.Len(y) != channels || y[len(y)-1] != channels) {
		return nil, fmt.Errorf("Multiply of %s and %s", tensor.ShapeString(in[0]), tensor.ShapeString(in[1]))
	}
	return x, nil
}

// smaller reports whether x is the factor that is spread over the other.
func smaller(x, y []int) bool { return len(x) < len(y) || tensor.Len(x) < tensor.Len(y) }

func (multiply) lower(l *lowering, i int) {
	n := &l.graph.nodes[i]
	x, y := 0, 1
	if smaller(n.inputs[0], n.inputs[1]) {
		x, y = y, x
	}
	p := &product{rows: n.positions(), columns: n.channels(), spread: tensor.Len(n.inputs[y]) < tensor.Len(n.shape)}
	l.emit(i, p, n.Inputs[x], n.Inputs[y])
}

// product multiplies rows by those of another value, or by its one row.
type product struct {
	plain
	rows, columns int
	spread        bool // the second factor has one row
}

func (p *product) extent(n int) extent {
	return extent{rows: n * p.rows, panels: 1, work: 8 * n * p.rows * p.columns}
}

// row is row i of the second factor or its gradient.
func (p *product) row(second []float32, i int) []float32 {
	if p.spread {
		return second[:p.columns]
	}
	return second[i*p.columns:][:p.columns]
}

func (p *product) run(b *buffers, piece piece) {
	for i := piece.low; i < piece.high; i++ {
		kernel.Multiply(b.out[i*p.columns:][:p.columns], b.in[i*p.columns:], p.row(b.second, i))
	}
}

func (p *product) back(b *backBuffers) {
	b.clearIn()
	b.clearSecond()
	for i := range b.n * p.rows {
		g, x, y := b.gradient[i*p.columns:][:p.columns], b.in[i*p.columns:][:p.columns], p.row(b.second, i)
		if b.inGradient != nil {
			kernel.AddMultiply(b.inGradient[i*p.columns:][:p.columns], g, y)
		}
		if b.secondGradient != nil {
			kernel.AddMultiply(p.row(b.secondGradient, i), g, x)
		}
	}
}
