package nn

import (
	"fmt"
	"slices"

	"garb/internal/kernel"
	"garb/tensor"
)

// OpAdd is a sum: see Builder.Add.
const OpAdd Op = "Add"

// Add is the sum of two values of one shape.
func (b *Builder) Add(x, y Value) Value { return b.layer(Layer{Op: OpAdd}, x, y) }

type add struct{ unary }

func (add) arity() int { return 2 }

func (add) shape(_ Layer, in [][]int) ([]int, error) {
	if !slices.Equal(in[0], in[1]) {
		return nil, fmt.Errorf("Add of %s and %s", tensor.ShapeString(in[0]), tensor.ShapeString(in[1]))
	}
	return in[0], nil
}

func (add) lower(l *lowering, i int) {
	x, y := l.graph.nodes[i].Inputs[0], l.graph.nodes[i].Inputs[1]
	// The later of the two is the one not computed so far, as a rule.
	for _, pair := range [][2]int{{y, x}, {x, y}} {
		if s, e := l.open(pair[0]); s != nil && e.takesSecond && x != y {
			s.second = l.force(pair[1])
			e.takesNorm, e.takesSecond = false, false
			l.pending[i] = s
			return
		}
	}
	l.emit(i, &sum{}, x, y)
}

// sum is an addition that could not be fused.
type sum struct{ plain }

func (*sum) extent(int) extent { return single }

func (*sum) run(b *buffers, _ piece) {
	copy(b.out, b.in)
	kernel.Add(b.out, b.second, kernel.Identity)
}

func (*sum) back(b *backBuffers) {
	b.handSecond(b.gradient)
	b.handIn(b.gradient)
}
