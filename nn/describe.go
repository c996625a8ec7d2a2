package nn

import (
	"fmt"
	"slices"

	"garb/tensor"
)

// Layer describes one layer of a graph as data, for model files and for conversion from and to
// other formats. Fields that an operation does not use are zero.
type Layer struct {
	Op Op `json:"op"`
	// Name is the name of the layer's parameters, "" for layers without any. Layers with the same
	// name share their parameters.
	Name string `json:"name,omitempty"`
	// Inputs has the indices of the layers whose outputs it takes.
	Inputs []int `json:"inputs,omitempty"`

	// Shape is the shape of Input ([h w c]) and of Reshape's output.
	Shape  []int `json:"shape,omitempty"`
	Units  int   `json:"units,omitempty"` // of Dense; filters of Conv
	Height int   `json:"height,omitempty"`
	Width  int   `json:"width,omitempty"` // of the kernel or window, with Height
	Stride int   `json:"stride,omitempty"`
	// StrideWidth is the horizontal stride if it differs from Stride, otherwise 0. Strides returns
	// both.
	StrideWidth int `json:"stride_width,omitempty"`
	// Dilation is the distance between adjacent taps of a kernel or window, 0 for 1. DilationWidth
	// is the horizontal one if it differs, otherwise 0. Dilations returns both.
	Dilation      int  `json:"dilation,omitempty"`
	DilationWidth int  `json:"dilation_width,omitempty"`
	Groups        int  `json:"groups,omitempty"` // of GroupNorm, and of Conv, where 0 means 1: see WithGroups
	Same          bool `json:"same,omitempty"`   // pads like Same, not Valid
	Bias          bool `json:"bias,omitempty"`

	Epsilon float64 `json:"epsilon,omitempty"` // of BatchNorm, LayerNorm, GroupNorm
	// Momentum is the share of BatchNorm's stored statistics that a training step on the batch's
	// statistics keeps; 0 means 0.99. It has no influence on inference.
	Momentum float64 `json:"momentum,omitempty"`
	Slope    float64 `json:"slope,omitempty"` // of LeakyReLU below zero
	Rate     float64 `json:"rate,omitempty"`  // of Dropout

	// Rows and columns that Pad adds. Border fills them with the map's own values; Lowest fills
	// them with the lowest number, which never wins in a MaxPool; otherwise they are zeros.
	Above  int    `json:"above,omitempty"`
	Below  int    `json:"below,omitempty"`
	Left   int    `json:"left,omitempty"`
	Right  int    `json:"right,omitempty"`
	Lowest bool   `json:"lowest,omitempty"`
	Border Border `json:"border,omitempty"`
	// Crop removes Above, Below, Left and Right, and so many channels before and after those that
	// it keeps.
	Before int `json:"before,omitempty"`
	After  int `json:"after,omitempty"`
	// Upsample multiplies the numbers of rows and columns; Resize sets them. With Linear they
	// interpolate instead of repeating.
	Rows    int  `json:"rows,omitempty"`
	Columns int  `json:"columns,omitempty"`
	Linear  bool `json:"linear,omitempty"`

	Channels []int `json:"channels,omitempty"` // of Select, in the order of its output
}

// Op names an operation. The Builder's method of the same name says what it computes.
type Op string

// OpInput is the first layer, and no other.
const OpInput Op = "Input"

// maxLayers and maxValues limit descriptions: to ten times the layers of the known networks and,
// for one output or all values that a run keeps at a time, a gigabyte.
const (
	maxLayers = 1 << 13
	maxValues = 1 << 28
	// maxSetting limits units, groups, sides of windows with their dilation, strides, padding and
	// factors.
	maxSetting = 1 << 20
)

// Layers describes the graph so that NewGraph can build it again. The last layer is the output.
func (g *Graph) Layers() []Layer {
	layers := make([]Layer, len(g.nodes))
	for i, n := range g.nodes {
		layers[i] = n.Layer
		layers[i].Inputs, layers[i].Shape, layers[i].Channels = slices.Clone(n.Inputs), slices.Clone(n.Shape),
			slices.Clone(n.Channels)
	}
	return layers
}

// Shapes returns the shape of each layer's output, without the batch axis.
func (g *Graph) Shapes() [][]int {
	shapes := make([][]int, len(g.nodes))
	for i, n := range g.nodes {
		shapes[i] = slices.Clone(n.shape)
	}
	return shapes
}

// LayerParams returns the parameters of layer i.
func (g *Graph) LayerParams(i int) []Param { return slices.Clone(g.nodes[i].params) }

// Upto returns the part of the graph that ends with layer i.
func (g *Graph) Upto(i int) *Graph {
	b := &Builder{nodes: g.nodes[: i+1 : i+1]}
	return b.Build(Value{b, i})
}

// LayerError says why a description is not a valid graph.
type LayerError struct {
	Layer  int // the layer's index
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

// NewGraph builds the graph that layers describe. Every layer comes after its inputs. The last
// is the output; layers that it does not depend on are dropped. Descriptions come from files,
// so an invalid one is an error, a *LayerError, and not a bug of the caller.
func NewGraph(layers []Layer) (*Graph, error) {
	refuse := func(i int, format string, args ...any) error {
		return &LayerError{i, layers[i].Name, layers[i].Op, fmt.Sprintf(format, args...)}
	}
	if len(layers) == 0 || len(layers) > maxLayers {
		return nil, &LayerError{Reason: fmt.Sprintf("a network of %d layers; it has from 2 to %d", len(layers),
			maxLayers)}
	}
	if first := layers[0]; first.Op != OpInput || len(first.Shape) != 3 {
		return nil, refuse(0, "a network begins with an Input of [h w c]")
	}
	if err := checkShape(layers[0].Shape); err != nil {
		return nil, refuse(0, "%v", err)
	}
	b := NewBuilder(layers[0].Shape[0], layers[0].Shape[1], layers[0].Shape[2])
	output, err := b.Append(layers)
	if err != nil {
		return nil, err
	}
	last := len(layers) - 1
	computed := last // the layer that computes the output's values
	for computed > 0 && layers[computed].Op.View() {
		computed = layers[computed].Inputs[0]
	}
	if computed == 0 {
		return nil, refuse(last, "there is no layer that computes something")
	}
	return b.Build(output), nil
}

// Append adds described layers to a graph that has only its input, which replaces the first of
// them, and returns the output of the last. Layers with the same operation and name share their
// parameters. The error is a *LayerError.
func (b *Builder) Append(layers []Layer) (Value, error) {
	if len(b.nodes) != 1 {
		panic("nn: Append to a graph that has layers")
	}
	b.sharing = true
	defer func() { b.sharing = false }()
	for i, l := range layers[1:] {
		refuse := func(format string, args ...any) error {
			return &LayerError{i + 1, l.Name, l.Op, fmt.Sprintf(format, args...)}
		}
		inputs := make([]Value, len(l.Inputs))
		for j, in := range l.Inputs {
			if in < 0 || in > i {
				return Value{}, refuse("it takes the output of layer %d, which does not come before it", in)
			}
			inputs[j] = Value{b, in}
		}
		if _, err := b.add(l, inputs); err != nil {
			return Value{}, refuse("%v", err)
		}
	}
	return Value{b, len(layers) - 1}, nil
}

// checkShape returns an error for shapes that are empty or too large.
func checkShape(shape []int) error {
	total := 1
	for _, n := range shape {
		if n <= 0 || n > maxValues/total {
			return fmt.Errorf("its output would be %s", tensor.ShapeString(shape))
		}
		total *= n
	}
	return nil
}

// Network is a graph as data with its weights. Packages of other formats read and write it.
type Network struct {
	Layers  []Layer
	Tensors tensor.Map // by the graph's names of parameters
}
