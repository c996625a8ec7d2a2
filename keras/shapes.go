package keras

import (
	"fmt"

	"garb/nn"
	"garb/tensor"
)

// maxValues bounds a layer's output.
const maxValues = 1 << 28

// outputShape is the shape of a layer's output for inputs of given shapes, as far as
// settings of later layers depend on it: nn.NewGraph checks the rest.
func outputShape(l nn.Layer, in [][]int) ([]int, error) {
	x := in[0]
	var shape []int
	switch l.Op {
	case nn.OpConv, nn.OpDepthwiseConv, nn.OpMaxPool, nn.OpAveragePool, nn.OpPad, nn.OpGlobalAveragePool, nn.OpGlobalMaxPool:
		if len(x) != 3 {
			return nil, fmt.Errorf("it needs a feature map [h w c], not %s", tensor.ShapeString(x))
		}
	case nn.OpDense:
		if len(x) != 1 {
			return nil, fmt.Errorf("it needs a flat input, not %s", tensor.ShapeString(x))
		}
	}
	switch l.Op {
	case nn.OpConv:
		shape = []int{positions(x[0], l.Height, l), positions(x[1], l.Width, l), l.Units}
	case nn.OpDepthwiseConv, nn.OpMaxPool, nn.OpAveragePool:
		shape = []int{positions(x[0], l.Height, l), positions(x[1], l.Width, l), x[2]}
	case nn.OpPad:
		shape = []int{x[0] + l.Above + l.Below, x[1] + l.Left + l.Right, x[2]}
	case nn.OpGlobalAveragePool, nn.OpGlobalMaxPool:
		shape = x[2:]
	case nn.OpDense:
		shape = []int{l.Units}
	case nn.OpFlatten:
		shape = []int{tensor.Len(x)}
	case nn.OpReshape:
		shape = l.Shape
	case nn.OpConcat:
		shape = append([]int(nil), x...)
		for _, other := range in[1:] {
			if len(other) != len(x) {
				return nil, fmt.Errorf("it puts %s and %s together", tensor.ShapeString(x), tensor.ShapeString(other))
			}
			shape[len(shape)-1] += other[len(other)-1]
		}
	default:
		shape = x
		for _, other := range in[1:] {
			if tensor.Len(other) > tensor.Len(shape) {
				shape = other
			}
		}
	}
	total := 1
	for _, n := range shape {
		if n < 1 || n > maxValues/total {
			return nil, fmt.Errorf("its output would be %s", tensor.ShapeString(shape))
		}
		total *= n
	}
	return shape, nil
}

// positions counts the windows along an axis.
func positions(size, window int, l nn.Layer) int {
	if l.Same {
		return (size + l.Stride - 1) / l.Stride
	}
	if size < window {
		return 0
	}
	return (size-window)/l.Stride + 1
}
