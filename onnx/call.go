package onnx

import (
	"fmt"
	"slices"
	"strings"

	"garb/nn"
	"garb/tensor"
)

// call is a node while it is turned into layers. Its methods give up by a panic that
// (*reader).node turns into an error.
type call struct {
	*reader
	*node
	read map[string]bool // the attributes that were asked for
}

// lack gives up: the operator is known, but not so.
func (c *call) lack(format string, args ...any) {
	panic(refusal{&UnknownOperatorError{Operator: c.op, Node: c.called(), Detail: fmt.Sprintf(format, args...)}})
}

// damaged gives up: the file is at fault.
func (c *call) damaged(format string, args ...any) {
	panic(refusal{&FormatError{Node: c.called(), Reason: fmt.Sprintf(format, args...)}})
}

func (c *call) must(err error) {
	if err != nil {
		panic(refusal{err})
	}
}

// has tells whether the node has input i: what is left out has no name.
func (c *call) has(i int) bool { return i < len(c.inputs) && c.inputs[i] != "" }

// input is the value of input i.
func (c *call) input(i int) value {
	if !c.has(i) {
		c.damaged("input %d is missing", i)
	}
	name := c.inputs[i]
	if v, ok := c.values[name]; ok {
		return v
	}
	t := c.model.initializers[name]
	if t == nil {
		c.damaged("nothing makes its input %q", name)
	}
	k, err := t.decode(&c.decoded, c.beside)
	c.must(err)
	if c.uses[name] > 1 && k.len() <= maxNumbers { // large ones are as a rule read once
		c.values[name] = value{constant: k}
	}
	return value{constant: k}
}

// picture is input i, which depends on the picture.
func (c *call) picture(i int) value {
	v := c.input(i)
	if v.constant != nil {
		c.lack("a constant as input %d", i)
	}
	return v
}

// weights is input i, which is constant.
func (c *call) weights(i int) *constant {
	v := c.input(i)
	if v.constant == nil {
		c.lack("an input %d that is no constant", i)
	}
	return v.constant
}

// integers are those of input i, a constant list of sizes.
func (c *call) integers(i int) []int64 {
	k := c.weights(i)
	if k.floats != nil || len(k.dims) > 1 || k.len() > maxNumbers {
		c.damaged("input %d is no list of whole numbers", i)
	}
	return k.integers
}

// number is input i, a constant of one value.
func (c *call) number(i int) float32 {
	values := c.weights(i).values()
	if len(values) != 1 {
		c.lack("%d values as input %d", len(values), i)
	}
	return values[0]
}

func (c *call) attribute(name string) *setting {
	c.read[name] = true
	return c.attributes[name]
}

// ignore names attributes that do not matter to the answer.
func (c *call) ignore(names ...string) {
	for _, name := range names {
		c.read[name] = true
	}
}

func (c *call) integer(name string, otherwise int64) int64 {
	if s := c.attribute(name); s != nil {
		return s.integer
	}
	return otherwise
}

func (c *call) float(name string, otherwise float32) float32 {
	if s := c.attribute(name); s != nil {
		return s.float
	}
	return otherwise
}

func (c *call) list(name string) []int64 {
	if s := c.attribute(name); s != nil {
		return s.integers
	}
	return nil
}

// listOrInput is a list that older opsets have as an attribute, and newer ones as input i.
func (c *call) listOrInput(name string, i int) (list []int64, given bool) {
	if s := c.attribute(name); s != nil {
		return s.integers, true
	}
	if c.has(i) {
		return c.integers(i), true
	}
	return nil, false
}

// axisAt is the place of an ONNX axis among n, which may be counted from the end.
func (c *call) axisAt(at int64, n int) int {
	if at < 0 {
		at += int64(n)
	}
	if at < 0 || at >= int64(n) {
		c.damaged("axis %d of %d", at, n)
	}
	return int(at)
}

// innerAxes are those of a list, of a value of n axes, without the batch's.
func (c *call) innerAxes(list []int64, n int) []int {
	var all []int
	for _, at := range list {
		i := c.axisAt(at, n)
		if i == 0 {
			c.lack("axis 0, the batch's")
		}
		if slices.Contains(all, i-1) {
			c.damaged("axis %d twice", i)
		}
		all = append(all, i-1)
	}
	return all
}

// made is the value that a new layer makes.
func (c *call) made(l nn.Layer, shape []int, axes []axis) value {
	c.must(c.emit(l, shape))
	return value{layer: len(c.layers) - 1, axes: axes, sole: true}
}

// shapeOf is the shape of a layer's output.
func (c *call) shapeOf(layer int) []int { return slices.Clone(c.shapes[layer]) }

// image is a value as the feature map that it must be: a layer of [h w c]. Its channels
// may lie in another order: axes[0] tells.
func (c *call) image(v value) (layer, h, w, channels int) {
	if len(v.axes) != 3 {
		c.lack("an input of %d axes", len(v.axes)+1)
	}
	channels, h, w = v.axes[0].size(), v.axes[1].size(), v.axes[2].size()
	plain := nchw(h, w, channels)
	if !v.axes[0].innermost() || !v.axes[1].equal(plain[1]) || !v.axes[2].equal(plain[2]) {
		c.lack("an input whose values lie in another order than [n c h w]")
	}
	return c.shaped(v.layer, []int{h, w, channels}), h, w, channels
}

// channels is a value as a layer whose last axis is axis j of the value, though perhaps
// in another order.
func (c *call) channels(v value, j int) (layer int) {
	n := v.axes[j].size()
	if !v.axes[j].innermost() {
		c.lack("axis %d of a value whose innermost is another", j+1)
	}
	shape := c.shapes[v.layer]
	if total := tensor.Len(shape); shape[len(shape)-1] != n {
		if shape = []int{total / n, 1, n}; total == n {
			shape = []int{n}
		}
	}
	return c.shaped(v.layer, shape)
}

// row is a value as a flat layer, though perhaps in another order.
func (c *call) row(v value) (layer int) {
	if len(v.axes) != 1 {
		c.lack("an input of %d axes", len(v.axes)+1)
	}
	return c.shaped(v.layer, []int{v.axes[0].size()})
}

// place is where value i of an axis is.
func place(order []int, i int) int {
	if order == nil {
		return i
	}
	return order[i]
}

// ordered puts values along an axis where its layer has them: a copy.
func (c *call) ordered(values []float32, along axis) []float32 {
	c.must(c.budget.take(len(values)))
	all, order := make([]float32, len(values)), along.places()
	for i, v := range values {
		all[place(order, i)] = v
	}
	return all
}

// layerName is a name for a layer with parameters: that of its weights, or of the node.
func (c *call) layerName() string {
	name := strings.TrimPrefix(c.called(), "/")
	for _, in := range c.inputs[min(1, len(c.inputs)):] {
		if place, ok := strings.CutSuffix(in, ".weight"); ok {
			name = strings.ReplaceAll(place, ".", "/")
			break
		}
		place, kind, ok := cutLast(in, "/")
		if ok && (kind == "kernel" || kind == "gamma" || kind == "scale") {
			name = place
			break
		}
	}
	if name = strings.ToValidUTF8(name, ""); name == "" {
		name = strings.ToLower(c.op)
	}
	free := name
	for c.names[free] > 0 {
		c.names[name]++
		free = fmt.Sprintf("%s_%d", name, c.names[name])
	}
	c.names[free]++
	return free
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// parameters names a layer and has fill make its parameters, unless an earlier one is
// made of the same inputs in the same way: then it shares them.
func (c *call) parameters(l *nn.Layer, fill func(name string), how ...any) {
	key := fmt.Sprintf("%s %d %v %v %q %v", l.Op, l.Units, l.Bias, l.Epsilon, c.inputs[1:], how)
	name, ok := c.shared[key]
	if !ok {
		name = c.layerName()
		fill(name)
		c.shared[key], c.keys[name] = name, key
	}
	l.Name = name
	c.users[name]++
}

// set keeps a parameter of a layer.
func (c *call) set(layer, name string, values []float32, shape ...int) {
	c.tensors[layer+"/"+name] = tensor.FromSlice(values, shape...)
}
