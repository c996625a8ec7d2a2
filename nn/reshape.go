package nn

import (
	"fmt"
	"slices"

	"garb/tensor"
)

// The operations that give values another shape: see the Builder's methods.
const (
	OpFlatten Op = "Flatten"
	OpReshape Op = "Reshape"
)

// Flatten turns a feature map into one row: [h w c] becomes [h·w·c].
func (b *Builder) Flatten(x Value) Value { return b.layer(Layer{Op: OpFlatten}, x) }

// Reshape gives a value another shape, [h w c] or [c], with the same values in the same
// order.
func (b *Builder) Reshape(x Value, shape ...int) Value {
	return b.layer(Layer{Op: OpReshape, Shape: shape}, x)
}

// reshaping has the methods of operations that change only the shape.
type reshaping struct{ unary }

func (reshaping) lower(l *lowering, i int) {
	// A pending stage takes its shape from its own node, so it is computed there.
	l.value[i] = l.materialize(l.graph.nodes[i].Inputs[0])
}

type flatten struct{ reshaping }

func (flatten) shape(_ Layer, in [][]int) ([]int, error) { return []int{tensor.Len(in[0])}, nil }
func (flatten) traits() traits                           { return traits{view: true, pointwise: true, whole: true} }

type reshape struct{ reshaping }

func (reshape) settings(l Layer) Layer { return Layer{Shape: l.Shape} }

func (reshape) shape(l Layer, in [][]int) ([]int, error) {
	if err := checkShape(l.Shape); err != nil {
		return nil, err
	}
	if tensor.Len(l.Shape) != tensor.Len(in[0]) || len(l.Shape) != 1 && len(l.Shape) != 3 {
		return nil, fmt.Errorf("Reshape of %s to %s", tensor.ShapeString(in[0]), tensor.ShapeString(l.Shape))
	}
	return slices.Clone(l.Shape), nil
}

func (reshape) traits() traits { return traits{view: true, pointwise: true} }
