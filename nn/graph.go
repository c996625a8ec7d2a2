// Package nn describes a network as a graph of layers and runs it.
//
// A Builder makes the Graph; Compile turns a Graph and its weights into a Plan,
// which answers: batch-norm folded into convolutions, activations and additions
// fused into the layer before them, weights packed, memory planned.
package nn

import (
	"fmt"

	"garb/tensor"
)

// Graph is a network: its nodes in topological order, the first being the
// input. It has one input and one output. A Graph is immutable.
type Graph struct {
	nodes  []node
	output int
}

// node is one layer applied to the outputs of earlier nodes.
type node struct {
	name   string // place in the network, "" for layers without parameters
	op     any    // one of the types in layers.go
	inputs []int
	shape  []int // of the output, without the batch axis: [h w c] or [c]
	params []Param
}

// Param is a parameter of a graph: a tensor that its weights must hold.
type Param struct {
	Name      string // the layer's name, a slash, and what it is: "stem/conv/kernel"
	Shape     []int
	Trainable bool // false for batch-norm's moving statistics
}

// InputShape returns the shape of one input: [h w c].
func (g *Graph) InputShape() []int { return append([]int(nil), g.nodes[0].shape...) }

// OutputShape returns the shape of one output, without the batch axis.
func (g *Graph) OutputShape() []int { return append([]int(nil), g.nodes[g.output].shape...) }

// Params lists the graph's parameters in the order of its layers, shared ones once.
func (g *Graph) Params() []Param {
	var all []Param
	known := map[string]bool{}
	for _, n := range g.nodes {
		for _, p := range n.params {
			if !known[p.Name] {
				known[p.Name] = true
				all = append(all, p)
			}
		}
	}
	return all
}

// ParamCount returns the number of values in the graph's parameters, moving
// statistics included, as Keras's summary counts them.
func (g *Graph) ParamCount() int {
	total := 0
	for _, p := range g.Params() {
		total += tensor.Len(p.Shape)
	}
	return total
}

// Value is the output of a layer while a graph is being built.
type Value struct {
	builder *Builder
	node    int
}

// Shape returns the value's shape without the batch axis: [h w c] or [c].
func (v Value) Shape() []int { return append([]int(nil), v.builder.nodes[v.node].shape...) }

// Channels returns the length of the value's last axis.
func (v Value) Channels() int {
	s := v.builder.nodes[v.node].shape
	return s[len(s)-1]
}

// Builder collects the layers of a graph. Its methods infer each layer's shape
// and panic when one cannot be applied: an architecture is code, so that is the
// caller's bug. NewGraph, which builds what a file describes, returns errors.
type Builder struct {
	nodes []node
	names map[string]bool
	// shared are the named layers so far, where parameters may be shared: see NewGraph.
	shared map[string]Layer
	// described says that the layers come from a description, and err is the first thing
	// that is wrong with them.
	described bool
	err       error
}

// fail reports a layer that cannot be applied.
func (b *Builder) fail(format string, args ...any) Value {
	err := fmt.Errorf(format, args...)
	if !b.described {
		panic("nn: " + err.Error())
	}
	if b.err == nil {
		b.err = err
	}
	return Value{b, 0}
}

// NewBuilder starts a graph whose input is a picture of the given height, width
// and number of channels. It panics if one of them is not positive.
func NewBuilder(height, width, channels int) *Builder {
	if height <= 0 || width <= 0 || channels <= 0 {
		panic(fmt.Sprintf("nn: input of %d×%d×%d values", height, width, channels))
	}
	return &Builder{
		nodes: []node{{op: input{}, shape: []int{height, width, channels}}},
		names: map[string]bool{},
	}
}

// Input returns the graph's input.
func (b *Builder) Input() Value { return Value{b, 0} }

// Build ends the graph with output as its result. Layers that output does not
// need are left out.
func (b *Builder) Build(output Value) *Graph {
	b.check(output)
	needed := make([]bool, len(b.nodes))
	needed[0], needed[output.node] = true, true
	for i := len(b.nodes) - 1; i > 0; i-- {
		if needed[i] {
			for _, in := range b.nodes[i].inputs {
				needed[in] = true
			}
		}
	}
	g := &Graph{}
	place := make([]int, len(b.nodes))
	for i, n := range b.nodes {
		if !needed[i] {
			continue
		}
		place[i] = len(g.nodes)
		inputs := make([]int, len(n.inputs))
		for j, in := range n.inputs {
			inputs[j] = place[in]
		}
		n.inputs = inputs
		g.nodes = append(g.nodes, n)
	}
	g.output = place[output.node]
	return g
}

func (b *Builder) check(v Value) {
	if v.builder != b {
		panic("nn: value of another builder")
	}
}

// image returns the height, width and channels of v, which must be a feature map.
func (b *Builder) image(layer string, v Value) (height, width, channels int, err error) {
	b.check(v)
	s := b.nodes[v.node].shape
	if len(s) != 3 {
		return 0, 0, 0, fmt.Errorf("%s needs a feature map [h w c], not %s", layer, tensor.ShapeString(s))
	}
	return s[0], s[1], s[2], nil
}

// add appends a node. Parameters are named after it.
func (b *Builder) add(name string, op any, shape []int, inputs []Value, params ...Param) Value {
	n := node{name: name, op: op, shape: shape}
	for _, in := range inputs {
		b.check(in)
		n.inputs = append(n.inputs, in.node)
	}
	if len(params) > 0 {
		if name == "" || b.names[name] {
			return b.fail("layer name %q is empty or taken", name)
		}
		b.names[name] = true
	}
	for _, p := range params {
		p.Name = name + "/" + p.Name
		n.params = append(n.params, p)
	}
	b.nodes = append(b.nodes, n)
	return Value{b, len(b.nodes) - 1}
}
