package nn

import (
	"slices"

	"garb/internal/kernel"
)

// OpAdd is a sum: see Builder.Add.
const OpAdd Op = "Add"

// Add adds the sum of two values. A value with a single row, column or channel is repeated: [h w c]
// takes [1 1 c], [c] or [h w 1].
func (b *Builder) Add(x, y Value) Value { return b.layer(Layer{Op: OpAdd}, x, y) }

type add struct{ pairwise }

var sum = add{pairwise{
	apply: func(dst, x, y []float32) {
		copy(dst, x)
		kernel.Add(dst, y, kernel.Identity)
	},
	addGradients: func(dx, dy, gradient, _, _ []float32) {
		addTo(dx, gradient)
		addTo(dy, gradient)
	},
}}

func (a add) lower(l *lowering, i int) {
	n := &l.graph.nodes[i]
	x, y := n.Inputs[0], n.Inputs[1]
	// The later of the two is the one not computed so far, as a rule.
	for _, pair := range [][2]int{{y, x}, {x, y}} {
		if s, e := l.openStage(pair[0]); s != nil && e.takesSecond && x != y && slices.Equal(n.inputs[0], n.inputs[1]) {
			s.second = l.materialize(pair[1])
			e.takesNorm, e.takesSecond = false, false
			l.pending[i] = s
			return
		}
	}
	a.pairwise.lower(l, i)
}
