package nn

import (
	"fmt"
	"slices"

	"garb/tensor"
)

// Layer describes one layer of a graph as data: what model files hold, and what files of
// other formats are made of and into. Fields that an operation does not name are zero.
type Layer struct {
	Op Op `json:"op"`
	// Name is that of the layer's parameters, "" for layers without any. Layers of one name
	// share their parameters.
	Name string `json:"name,omitempty"`
	// Inputs are the layers whose outputs it takes, by their place in the list.
	Inputs []int `json:"inputs,omitempty"`

	// Shape is that of Input ([h w c]) and of what Reshape makes.
	Shape  []int `json:"shape,omitempty"`
	Units  int   `json:"units,omitempty"` // of Dense; filters of Conv
	Height int   `json:"height,omitempty"`
	Width  int   `json:"width,omitempty"` // of the kernel or window, with Height
	Stride int   `json:"stride,omitempty"`
	Same   bool  `json:"same,omitempty"` // padding is Same, not Valid
	Bias   bool  `json:"bias,omitempty"`

	Epsilon float64 `json:"epsilon,omitempty"` // of BatchNorm
	Slope   float64 `json:"slope,omitempty"`   // of LeakyReLU below zero
	Rate    float64 `json:"rate,omitempty"`    // of Dropout

	// Of Pad: rows above and below, columns left and right; Lowest pads with the lowest
	// number, so that it never wins in a MaxPool, otherwise zeros.
	Above  int  `json:"above,omitempty"`
	Below  int  `json:"below,omitempty"`
	Left   int  `json:"left,omitempty"`
	Right  int  `json:"right,omitempty"`
	Lowest bool `json:"lowest,omitempty"`
}

// Op names an operation. The Builder's method of the same name says what it computes.
type Op string

// The operations.
const (
	OpInput         Op = "Input" // the first layer, and no other
	OpConv          Op = "Conv"
	OpDepthwiseConv Op = "DepthwiseConv"
	OpDense         Op = "Dense"
	OpBatchNorm     Op = "BatchNorm"
	OpScale         Op = "Scale"

	OpMaxPool           Op = "MaxPool"
	OpAveragePool       Op = "AveragePool"
	OpGlobalAveragePool Op = "GlobalAveragePool"
	OpGlobalMaxPool     Op = "GlobalMaxPool"

	OpReLU      Op = "ReLU"
	OpReLU6     Op = "ReLU6"
	OpLeakyReLU Op = "LeakyReLU"
	OpSigmoid   Op = "Sigmoid"
	OpSwish     Op = "Swish"
	OpTanh      Op = "Tanh"
	OpSoftmax   Op = "Softmax"

	OpAdd      Op = "Add"
	OpMultiply Op = "Multiply"
	OpConcat   Op = "Concat"
	OpPad      Op = "Pad"
	OpFlatten  Op = "Flatten"
	OpReshape  Op = "Reshape"
	OpDropout  Op = "Dropout"
)

// maxLayers and maxValues bound what a description may ask for: ten times the layers of the
// networks here, and for one output, or for all that a run keeps at a time, a gigabyte.
const (
	maxLayers = 1 << 13
	maxValues = 1 << 28
)

// Layers describes the graph: NewGraph makes it again. The last layer is the output.
func (g *Graph) Layers() []Layer {
	layers := make([]Layer, len(g.nodes))
	for i, n := range g.nodes {
		layers[i] = describe(n)
		layers[i].Name, layers[i].Inputs = n.name, append([]int(nil), n.inputs...)
	}
	return layers
}

// Shapes returns the shape of each layer's output, without the batch axis.
func (g *Graph) Shapes() [][]int {
	shapes := make([][]int, len(g.nodes))
	for i, n := range g.nodes {
		shapes[i] = append([]int(nil), n.shape...)
	}
	return shapes
}

// LayerParams returns the parameters of layer i.
func (g *Graph) LayerParams(i int) []Param { return append([]Param(nil), g.nodes[i].params...) }

// Upto is the part of the graph that ends with layer i.
func (g *Graph) Upto(i int) *Graph {
	b := &Builder{nodes: g.nodes[: i+1 : i+1]}
	return b.Build(Value{b, i})
}

func describe(n node) Layer {
	switch op := n.op.(type) {
	case input:
		return Layer{Op: OpInput, Shape: append([]int(nil), n.shape...)}
	case conv:
		return Layer{Op: OpConv, Units: n.shape[2], Height: op.kernelHeight, Width: op.kernelWidth, Stride: op.stride, Same: op.padding == Same, Bias: op.bias}
	case depthwiseConv:
		return Layer{Op: OpDepthwiseConv, Height: op.kernelHeight, Width: op.kernelWidth, Stride: op.stride, Same: op.padding == Same, Bias: op.bias}
	case dense:
		return Layer{Op: OpDense, Units: n.shape[0], Bias: op.bias}
	case batchNorm:
		return Layer{Op: OpBatchNorm, Epsilon: op.epsilon}
	case scale:
		return Layer{Op: OpScale}
	case pool:
		l := Layer{Op: OpMaxPool, Height: op.size, Width: op.size, Stride: op.stride, Same: op.padding == Same}
		if op.average {
			l.Op = OpAveragePool
		}
		return l
	case globalPool:
		if op.average {
			return Layer{Op: OpGlobalAveragePool}
		}
		return Layer{Op: OpGlobalMaxPool}
	case activation:
		return Layer{Op: activationOps[op.function], Slope: op.slope}
	case add:
		return Layer{Op: OpAdd}
	case multiply:
		return Layer{Op: OpMultiply}
	case concat:
		return Layer{Op: OpConcat}
	case pad:
		return Layer{Op: OpPad, Above: op.above, Below: op.below, Left: op.left, Right: op.right, Lowest: op.lowest}
	case flatten:
		return Layer{Op: OpFlatten}
	case reshape:
		return Layer{Op: OpReshape, Shape: append([]int(nil), n.shape...)}
	case dropout:
		return Layer{Op: OpDropout, Rate: op.rate}
	}
	panic(fmt.Sprintf("nn: layer %T has no description", n.op))
}

var activationOps = map[activationFunction]Op{
	relu: OpReLU, relu6: OpReLU6, leakyReLU: OpLeakyReLU, sigmoid: OpSigmoid, swish: OpSwish, tanh: OpTanh, softmax: OpSoftmax,
}

// LayerError says why a description is none of a graph.
type LayerError struct {
	Layer  int // its place in the list
	Name   string
	Op     Op
	Reason string
}

func (e *LayerError) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("layer %d, %s: %s", e.Layer, e.Op, e.Reason)
	}
	return fmt.Sprintf("layer %d, %s %q: %s", e.Layer, e.Op, e.Name, e.Reason)
}

// NewGraph makes the graph that layers describe, in an order in which inputs come first.
// The last is the output; those that it does not need are left out. An error is a
// *LayerError: descriptions come from files, so that whatever they say is none of the
// caller's bugs.
func NewGraph(layers []Layer) (*Graph, error) {
	refuse := func(i int, format string, args ...any) error {
		return &LayerError{i, layers[i].Name, layers[i].Op, fmt.Sprintf(format, args...)}
	}
	if len(layers) == 0 || len(layers) > maxLayers {
		return nil, &LayerError{Reason: fmt.Sprintf("a network of %d layers; it has from 2 to %d", len(layers), maxLayers)}
	}
	if first := layers[0]; first.Op != OpInput || len(first.Shape) != 3 {
		return nil, refuse(0, "a network begins with an Input of [h w c]")
	}
	if err := sound(layers[0].Shape); err != nil {
		return nil, refuse(0, "%v", err)
	}
	b := NewBuilder(layers[0].Shape[0], layers[0].Shape[1], layers[0].Shape[2])
	b.described, b.shared = true, map[string]Layer{}
	values := []Value{b.Input()}
	for i := 1; i < len(layers); i++ {
		l := layers[i]
		inputs := make([]Value, len(l.Inputs))
		for j, in := range l.Inputs {
			if in < 0 || in >= i {
				return nil, refuse(i, "it takes the output of layer %d, which does not come before it", in)
			}
			inputs[j] = values[in]
		}
		v, err := b.layer(l, inputs)
		if err != nil {
			return nil, refuse(i, "%v", err)
		}
		if err := sound(v.Shape()); err != nil {
			return nil, refuse(i, "%v", err)
		}
		values = append(values, v)
	}
	last := len(values) - 1
	computed := last // the layer whose values the output has
	for computed > 0 && slices.Contains([]Op{OpFlatten, OpReshape, OpDropout}, layers[computed].Op) {
		computed = layers[computed].Inputs[0]
	}
	if computed == 0 {
		return nil, refuse(last, "there is no layer that computes something")
	}
	return b.Build(values[last]), nil
}

func sound(shape []int) error {
	total := 1
	for _, n := range shape {
		if n <= 0 || n > maxValues/total {
			return fmt.Errorf("its output would be %s", tensor.ShapeString(shape))
		}
		total *= n
	}
	return nil
}

// arity is the number of inputs of an operation; -1: two or more.
func (o Op) arity() int {
	switch o {
	case OpAdd, OpMultiply:
		return 2
	case OpConcat:
		return -1
	case OpInput:
		return 0
	}
	return 1
}

// layer adds a described layer.
func (b *Builder) layer(l Layer, in []Value) (Value, error) {
	v, err := b.apply(l, in)
	if err == nil {
		err = b.err
	}
	return v, err
}

// apply is layer without what the Builder found wrong, which is in b.err.
func (b *Builder) apply(l Layer, in []Value) (v Value, err error) {
	if n := l.Op.arity(); n >= 0 && len(in) != n || n < 0 && len(in) < 2 {
		return v, fmt.Errorf("it has %d inputs", len(in))
	}
	for _, n := range []int{l.Units, l.Height, l.Width, l.Stride, l.Above, l.Below, l.Left, l.Right} {
		if n < 0 || n > 1<<20 {
			return v, fmt.Errorf("a size of %d", n)
		}
	}
	if l.Name != "" {
		b.share(l)
	}
	padding := Valid
	if l.Same {
		padding = Same
	}
	var options []ConvOption
	if l.Bias {
		options = append(options, WithBias())
	}
	switch l.Op {
	case OpConv:
		return b.ConvRect(l.Name, in[0], l.Units, l.Height, l.Width, l.Stride, padding, options...), nil
	case OpDepthwiseConv:
		return b.DepthwiseConvRect(l.Name, in[0], l.Height, l.Width, l.Stride, padding, options...), nil
	case OpDense:
		return b.Dense(l.Name, in[0], l.Units, options...), nil
	case OpBatchNorm:
		return b.BatchNorm(l.Name, in[0], l.Epsilon), nil
	case OpScale:
		return b.Scale(l.Name, in[0]), nil
	case OpMaxPool, OpAveragePool:
		if l.Height != l.Width {
			return v, fmt.Errorf("a window of %d×%d; it is square", l.Height, l.Width)
		}
		return b.pool(string(l.Op), in[0], pool{l.Height, l.Stride, padding, l.Op == OpAveragePool}), nil
	case OpGlobalAveragePool:
		return b.GlobalAveragePool(in[0]), nil
	case OpGlobalMaxPool:
		return b.GlobalMaxPool(in[0]), nil
	case OpLeakyReLU:
		return b.LeakyReLU(in[0], l.Slope), nil
	case OpReLU, OpReLU6, OpSigmoid, OpSwish, OpTanh, OpSoftmax:
		for function, op := range activationOps {
			if op == l.Op {
				return b.activation(in[0], function), nil
			}
		}
	case OpAdd:
		return b.Add(in[0], in[1]), nil
	case OpMultiply:
		return b.Multiply(in[0], in[1]), nil
	case OpConcat:
		return b.Concat(in...), nil
	case OpPad:
		return b.Pad(in[0], l.Above, l.Below, l.Left, l.Right, l.Lowest), nil
	case OpFlatten:
		return b.Flatten(in[0]), nil
	case OpReshape:
		if err := sound(l.Shape); err != nil {
			return v, err
		}
		return b.Reshape(in[0], l.Shape...), nil
	case OpDropout:
		return b.Dropout(in[0], l.Rate), nil
	}
	return v, fmt.Errorf("there is no such operation")
}

// share lets a layer have the parameters of an earlier one of the same name, if it is of
// the same kind. Whether their shapes agree is seen when the graph's weights are read.
func (b *Builder) share(l Layer) {
	l.Inputs = nil
	if earlier, ok := b.shared[l.Name]; ok && earlier.Op == l.Op && earlier.Units == l.Units {
		delete(b.names, l.Name)
	}
	b.shared[l.Name] = l
}

// Network is a graph as data, with its weights: what files of other formats are read into
// and written from.
type Network struct {
	Layers  []Layer
	Tensors tensor.Map // by the names of the graph's parameters
}
