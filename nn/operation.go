package nn

import (
	"fmt"
	"maps"
	"slices"

	"garb/tensor"
)

// operation is everything that garb knows about an Op: one type per Op, in a file of its own. It
// has no state: a layer's settings are in its Layer.
type operation interface {
	// arity returns the number of inputs, or −1 for two or more.
	arity() int
	// settings returns a Layer with the fields of l that the operation uses, without Op, Name and
	// Inputs.
	settings(l Layer) Layer
	// shape infers the shape of a layer's output, [h w c] or [c], from those of its inputs. Its
	// error says what is wrong with them or with the settings.
	shape(l Layer, in [][]int) ([]int, error)
	// params lists the parameters of a layer whose inputs have valid shapes.
	params(l Layer, in [][]int) []Param
	// lower adds the stage that computes node i to l, or postpones it.
	lower(l *lowering, i int)
	// multiplyAdds returns the multiply-adds for one output: 0 except for convolutions and dense
	// layers.
	multiplyAdds(l Layer, in [][]int, out []int) int
	// text formats the settings, to follow the operation's name: " 3×3 /2, 32".
	text(l Layer) string
	traits() traits
}

// traits are properties of an operation that other code needs.
type traits struct {
	// view: in a Plan the output has the values of the input, possibly in another shape.
	view bool
	// pointwise: there is one input, and each value of the output depends on one value of it.
	pointwise bool
	// whole: each value of the output depends on all positions of the input.
	whole bool
}

// operations has all operations by name.
var operations map[Op]operation

func init() {
	operations = map[Op]operation{
		OpInput: input{},
		OpConv:  conv{}, OpDepthwiseConv: depthwiseConv{}, OpDense: dense{},
		OpBatchNorm: batchNorm{}, OpScale: scale{},
		OpMaxPool: pool{}, OpAveragePool: pool{average: true},
		OpGlobalAveragePool: globalAveragePool{}, OpGlobalMaxPool: globalMaxPool{},
		OpReLU: relu{}, OpReLU6: relu6{}, OpLeakyReLU: leakyReLU, OpPReLU: pReLU{},
		OpELU: elu, OpSELU: selu, OpGELU: gelu, OpGELUTanh: geluTanh, OpErf: erf, OpSoftplus: softplus, OpMish: mish,
		OpHardSigmoid: hardSigmoid, OpHardSwish: hardSwish,
		OpSigmoid: sigmoid, OpSwish: swish, OpTanh: tanh, OpSoftmax: softmax{},
		OpLayerNorm: layerNorm{}, OpGroupNorm: groupNorm{},
		OpAdd: sum, OpMultiply: multiply, OpMaximum: maximum, OpMinimum: minimum, OpConcat: concat{},
		OpSelect: selectChannels{},
		OpPad:    pad{}, OpCrop: crop{}, OpUpsample: upsample{}, OpResize: resize{},
		OpFlatten: flatten{}, OpReshape: reshape{}, OpDropout: dropout{},
	}
}

// Operations returns the names of all operations, in alphabetical order.
func Operations() []Op { return slices.Sorted(maps.Keys(operations)) }

// unary has the methods that most operations share: one input, an output of its shape, no settings,
// no parameters, no multiply-adds.
type unary struct{}

func (unary) arity() int                               { return 1 }
func (unary) settings(Layer) Layer                     { return Layer{} }
func (unary) shape(_ Layer, in [][]int) ([]int, error) { return in[0], nil }
func (unary) params(Layer, [][]int) []Param            { return nil }
func (unary) multiplyAdds(Layer, [][]int, []int) int   { return 0 }
func (unary) text(Layer) string                        { return "" }
func (unary) traits() traits                           { return traits{} }

// input is the first layer of a graph: the picture.
type input struct{ unary }

func (input) arity() int                              { return 0 }
func (input) settings(l Layer) Layer                  { return Layer{Shape: l.Shape} }
func (input) shape(l Layer, _ [][]int) ([]int, error) { return l.Shape, nil }
func (input) lower(*lowering, int)                    {}

// Pointwise reports whether the operation has one input and each value of its output depends on one
// value of it. That is true of batch-norms and most activations, but not of convolutions.
func (o Op) Pointwise() bool { return o.traits().pointwise }

// View reports whether the operation's output in a Plan has the values of its input, possibly in
// another shape: Flatten, Reshape, Dropout.
func (o Op) View() bool { return o.traits().view }

func (o Op) traits() traits {
	if op, ok := operations[o]; ok {
		return op.traits()
	}
	return traits{}
}

// String describes a layer: "Conv 3×3 /2, 32".
func (l Layer) String() string {
	if op, ok := operations[l.Op]; ok {
		return string(l.Op) + op.text(l)
	}
	return string(l.Op)
}

// OutputShape infers the shape of a layer's output, without the batch axis, from those of its
// inputs. Its error says why the layer cannot be applied to them, without the layer's name.
func OutputShape(l Layer, in [][]int) ([]int, error) {
	op, err := lookup(l, len(in))
	if err != nil {
		return nil, err
	}
	shape, err := op.shape(l, in)
	if err == nil {
		err = checkShape(shape)
	}
	return shape, err
}

// checkMap returns an error for a shape that is not a feature map's.
func checkMap(shape []int) error {
	if len(shape) != 3 {
		return fmt.Errorf("it needs a feature map [h w c], not %s", tensor.ShapeString(shape))
	}
	return nil
}

// lookup returns a layer's operation after checking what holds for all operations.
func lookup(l Layer, inputs int) (operation, error) {
	op, ok := operations[l.Op]
	if !ok || l.Op == OpInput { // a graph has an input from the start
		return nil, fmt.Errorf("there is no such operation")
	}
	if n := op.arity(); n >= 0 && inputs != n || n < 0 && inputs < 2 {
		return nil, fmt.Errorf("it has %d inputs", inputs)
	}
	for _, n := range []int{
		l.Units, l.Height, l.Width, l.Stride, l.StrideWidth, l.Dilation, l.DilationWidth, l.Groups,
		l.Above, l.Below, l.Left, l.Right, l.Before, l.After, l.Rows, l.Columns,
	} {
		if n < 0 || n > maxSetting {
			return nil, fmt.Errorf("a size of %d; sizes are from 0 to %d", n, maxSetting)
		}
	}
	return op, nil
}
