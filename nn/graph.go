// Package nn describes networks as graphs of layers, runs and trains them.
//
// A Builder builds a Graph. Compile turns a Graph and its weights into a Plan for
// inference: it folds batch-norms into convolutions, fuses activations and additions
// into the layer before them, packs weights and plans memory. A Trainer computes
// losses and gradients.
package nn

import (
	"fmt"
	"slices"

	"garb/tensor"
)

// Graph is a network: its nodes in topological order, the first being the input. It has one input
// and one output, and is immutable.
type Graph struct {
	nodes  []node
	output int
}

// node is one layer applied to the outputs of earlier nodes.
type node struct {
	Layer          // with only the settings that its operation uses
	shape  []int   // of the output, without the batch axis: [h w c] or [c]
	inputs [][]int // shapes of the inputs
	params []Param
}

func (n *node) operation() operation { return operations[n.Op] }

// channels returns the length of the output's last axis.
func (n *node) channels() int { return n.shape[len(n.shape)-1] }

// positions returns the number of positions of the output: 1 for a flat value.
func (n *node) positions() int { return tensor.Len(n.shape) / n.channels() }

// Param is a parameter of a graph: a tensor that its weights must have.
type Param struct {
	Name      string // the layer's name, a slash and the parameter's: "stem/conv/kernel"
	Shape     []int
	Trainable bool // false for batch-norm's moving statistics
}

// InputShape returns the shape of one input: [h w c].
func (g *Graph) InputShape() []int { return slices.Clone(g.nodes[0].shape) }

// OutputShape returns the shape of one output, without the batch axis.
func (g *Graph) OutputShape() []int { return slices.Clone(g.nodes[g.output].shape) }

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

// ParamCount returns the number of values of the graph's parameters, including moving statistics as
// in Keras's summary.
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
func (v Value) Shape() []int { return slices.Clone(v.builder.nodes[v.node].shape) }

// Channels returns the length of the value's last axis.
func (v Value) Channels() int {
	s := v.builder.nodes[v.node].shape
	return s[len(s)-1]
}

// Builder collects the layers of a graph. Its methods infer each layer's shape and
// panic if a layer cannot be applied: an architecture is code, so that is a bug of
// the caller. NewGraph, which builds graphs that files describe, returns errors.
type Builder struct {
	nodes []node
	named map[string]Layer // the layers with parameters
	// sharing lets layers of one kind share a name, and so their parameters. Whether their shapes
	// agree is checked when the graph's weights are read.
	sharing bool
}

// NewBuilder begins a graph whose input is a picture of the given height, width and number of
// channels. It panics if one of them is not positive.
func NewBuilder(height, width, channels int) *Builder {
	if height <= 0 || width <= 0 || channels <= 0 {
		panic(fmt.Sprintf("nn: input of %d×%d×%d values", height, width, channels))
	}
	shape := []int{height, width, channels}
	return &Builder{
		nodes: []node{{Layer: Layer{Op: OpInput, Shape: shape}, shape: shape}},
		named: map[string]Layer{},
	}
}

// Input returns the graph's input.
func (b *Builder) Input() Value { return Value{b, 0} }

// Build ends the graph with output as its result. Layers that output does not depend on are
// dropped.
func (b *Builder) Build(output Value) *Graph {
	b.check(output)
	needed := make([]bool, len(b.nodes))
	needed[0], needed[output.node] = true, true
	for i := len(b.nodes) - 1; i > 0; i-- {
		if needed[i] {
			for _, in := range b.nodes[i].Inputs {
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
		inputs := make([]int, len(n.Inputs))
		for j, in := range n.Inputs {
			inputs[j] = place[in]
		}
		n.Inputs = inputs
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

// layer adds a layer and panics if it cannot be applied.
func (b *Builder) layer(l Layer, inputs ...Value) Value {
	v, err := b.add(l, inputs)
	if err != nil {
		panic(fmt.Sprintf("nn: %s %s: %v", l, l.Name, err))
	}
	return v
}

// add adds a layer. Its parameters are named after it.
func (b *Builder) add(l Layer, inputs []Value) (Value, error) {
	op, err := lookup(l, len(inputs))
	if err != nil {
		return Value{}, err
	}
	n := node{Layer: op.settings(l)}
	n.Op, n.Shape = l.Op, slices.Clone(n.Shape)
	for _, in := range inputs {
		b.check(in)
		n.Inputs = append(n.Inputs, in.node)
		n.inputs = append(n.inputs, b.nodes[in.node].shape)
	}
	if n.shape, err = op.shape(l, n.inputs); err != nil {
		return Value{}, err
	}
	if err := checkShape(n.shape); err != nil {
		return Value{}, err
	}
	n.params = op.params(l, n.inputs)
	if len(n.params) > 0 {
		earlier, taken := b.named[l.Name]
		if l.Name == "" || taken && (!b.sharing || earlier.Op != l.Op || earlier.Units != l.Units) {
			return Value{}, fmt.Errorf("layer name %q is empty or taken", l.Name)
		}
		b.named[l.Name], n.Name = l, l.Name
		for i := range n.params {
			n.params[i].Name = l.Name + "/" + n.params[i].Name
		}
	}
	b.nodes = append(b.nodes, n)
	return Value{b, len(b.nodes) - 1}, nil
}
