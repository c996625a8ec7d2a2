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
	// StrideWidth is the stride along a row where that is not Stride; 0: it is. Strides returns both.
	StrideWidth int `json:"stride_width,omitempty"`
	// Dilation is the distance between adjacent taps of a kernel or window, 0 for 1, and
	// DilationWidth that along a row; 0: it is the same. Dilations returns both.
	Dilation      int  `json:"dilation,omitempty"`
	DilationWidth int  `json:"dilation_width,omitempty"`
	Groups        int  `json:"groups,omitempty"` // of GroupNorm, and of Conv, where 0 means 1: see WithGroups
	Same          bool `json:"same,omitempty"`   // padding is Same, not Valid
	Bias          bool `json:"bias,omitempty"`

	Epsilon float64 `json:"epsilon,omitempty"` // of BatchNorm, LayerNorm, GroupNorm
	// Momentum is the share of BatchNorm's stored statistics that a training step on the
	// batch's keeps; 0: 0.99. It changes no answer.
	Momentum float64 `json:"momentum,omitempty"`
	Slope    float64 `json:"slope,omitempty"` // of LeakyReLU below zero
	Rate     float64 `json:"rate,omitempty"`  // of Dropout

	// Of Pad: rows above and below, columns left and right. Border repeats the map's own
	// values in them; Lowest pads with the lowest number, so that it never wins in a MaxPool;
	// otherwise there are zeros.
	Above  int    `json:"above,omitempty"`
	Below  int    `json:"below,omitempty"`
	Left   int    `json:"left,omitempty"`
	Right  int    `json:"right,omitempty"`
	Lowest bool   `json:"lowest,omitempty"`
	Border Border `json:"border,omitempty"`
	// Crop leaves out Above, Below, Left and Right, and so many channels before those that it
	// keeps and after them.
	Before int `json:"before,omitempty"`
	After  int `json:"after,omitempty"`
	// Of Upsample: how many times as many rows and columns it makes; of Resize: how many.
	// Linear says that they interpolate instead of repeating.
	Rows    int  `json:"rows,omitempty"`
	Columns int  `json:"columns,omitempty"`
	Linear  bool `json:"linear,omitempty"`

	Channels []int `json:"channels,omitempty"` // of Select, in the order of its output
}

// Op names an operation. The Builder's method of the same name says what it computes.
type Op string

// OpInput is the first layer, and no other.
const OpInput Op = "Input"

// maxLayers and maxValues bound what a description may ask for: ten times the layers of the
// networks here, and for one output, or for all that a run keeps at a time, a gigabyte.
const (
	maxLayers = 1 << 13
	maxValues = 1 << 28
	// maxSetting is the largest number of units or groups, side of a window with its gaps,
	// stride, padding or factor.
	maxSetting = 1 << 20
)

// Layers describes the graph: NewGraph makes it again. The last layer is the output.
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

// Upto is the part of the graph that ends with layer i.
func (g *Graph) Upto(i int) *Graph {
	b := &Builder{nodes: g.nodes[: i+1 : i+1]}
	return b.Build(Value{b, i})
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
		return nil, &LayerError{Reason: fmt.Sprintf("a network of %d layers; it has from 2 to %d", len(layers),
			maxLayers)}
	}
	if first := layers[0]; first.Op != OpInput || len(first.Shape) != 3 {
		return nil, refuse(0, "a network begins with an Input of [h w c]")
	}
	if err := sound(layers[0].Shape); err != nil {
		return nil, refuse(0, "%v", err)
	}
	b := NewBuilder(layers[0].Shape[0], layers[0].Shape[1], layers[0].Shape[2])
	output, err := b.Append(layers)
	if err != nil {
		return nil, err
	}
	last := len(layers) - 1
	computed := last // the layer whose values the output has
	for computed > 0 && layers[computed].Op.View() {
		computed = layers[computed].Inputs[0]
	}
	if computed == 0 {
		return nil, refuse(last, "there is no layer that computes something")
	}
	return b.Build(output), nil
}

// Append adds described layers to a graph that has its input alone, which takes the place of
// the first of them, and returns the last one's output. Layers of one kind and one name have
// the same parameters. An error is a *LayerError.
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

// Network is a graph as data, with its weights: what files of other formats are read into
// and written from.
type Network struct {
	Layers  []Layer
	Tensors tensor.Map // by the names of the graph's parameters
}
