package nn

import (
	"fmt"

	"garb/tensor"
)

// OpDense is a dense layer: see Builder.Dense.
const OpDense Op = "Dense"

// Dense adds out[u] = Σ_c in[c]·kernel[c,u]. Its input must be flat. Parameter: "kernel" [channels
// units].
func (b *Builder) Dense(name string, x Value, units int, options ...ConvOption) Value {
	return b.weightedLayer(Layer{Op: OpDense, Name: name, Units: units}, x, options)
}

type dense struct{ unary }

func (dense) settings(l Layer) Layer { return Layer{Units: l.Units, Bias: l.Bias} }

func (dense) shape(l Layer, in [][]int) ([]int, error) {
	if len(in[0]) != 1 || l.Units <= 0 {
		return nil, fmt.Errorf("%d units need a flat input, not %s", l.Units, tensor.ShapeString(in[0]))
	}
	return []int{l.Units}, nil
}

func (dense) params(l Layer, in [][]int) []Param {
	return listKernelAndBias(l, l.Units, Param{"kernel", []int{in[0][0], l.Units}, true})
}

func (dense) multiplyAdds(l Layer, in [][]int, _ []int) int { return l.Units * in[0][0] }

func (dense) text(l Layer) string { return fmt.Sprintf(" %d", l.Units) }

func (dense) traits() traits { return traits{whole: true} }

func (dense) lower(l *lowering, i int) {
	n := &l.graph.nodes[i]
	l.postpone(i, n.Inputs[0], &matrixProduct{
		epilogue: epilogue{layer: n, takesNorm: true, takesSecond: true}, rows: 1, depth: n.inputs[0][0],
		columns: n.Units,
	})
}
