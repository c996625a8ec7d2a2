package onnx

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"garb/nn"
	"garb/tensor"
)

// call is a node while it is turned into layers.
type call struct {
	*reader
	*node
	// read and taken are the attributes and inputs that were asked for. What is left over
	// is an error: it could change the answer.
	read  map[string]bool
	taken map[int]bool
	// mistyped is the first attribute whose value is of another type than asked for.
	mistyped string
}

// lack says that the operator is known, but not so.
func (c *call) lack(format string, args ...any) error {
	return &UnknownOperatorError{Operator: c.op, Node: c.called(), Detail: fmt.Sprintf(format, args...)}
}

// damaged says that the file is at fault.
func (c *call) damaged(format string, args ...any) error {
	return &FormatError{Node: c.called(), Reason: fmt.Sprintf(format, args...)}
}

// has tells whether the node has input i: what is left out has no name.
func (c *call) has(i int) bool {
	c.taken[i] = true
	return i < len(c.inputs) && c.inputs[i] != ""
}

// leftOver reports an attribute or input that was not asked for.
func (c *call) leftOver() error {
	if c.mistyped != "" {
		return c.damaged("its attribute %q has a value of another type than ONNX's", c.mistyped)
	}
	for _, name := range slices.Sorted(maps.Keys(c.attributes)) {
		if !c.read[name] && withoutEffect[c.op][name] == "" {
			return c.lack("an attribute %q", name)
		}
	}
	for i, name := range c.inputs {
		if name != "" && !c.taken[i] {
			return c.lack("an input %d", i)
		}
	}
	return nil
}

// input is the value of input i.
func (c *call) input(i int) (value, error) {
	if !c.has(i) {
		return value{}, c.damaged("input %d is missing", i)
	}
	name := c.inputs[i]
	if v, ok := c.values[name]; ok {
		if v.repeated != nil && !c.repeats(v.repeated) {
			return value{}, c.lack("an input %d that an Expand repeats", i)
		}
		if c.op != "Gather" && (v.joined || v.numbering != nil) {
			return value{}, c.lack("an input %d that is of all pictures together", i)
		}
		if v.above != nil && (c.op != "Where" || i > 0) {
			return value{}, c.lack("an input %d that is what a comparison says", i)
		}
		return v, nil
	}
	t := c.model.initializers[name]
	if t == nil {
		return value{}, c.damaged("nothing makes its input %q", name)
	}
	k, err := c.decode(t)
	if err != nil {
		return value{}, err
	}
	c.values[name] = value{constant: k}
	return value{constant: k}, nil
}

// repeats tells whether the operator repeats its inputs to such sizes itself, since another
// of them has these.
func (c *call) repeats(sizes []int) bool {
	if !slices.Contains([]string{"Add", "Sub", "Mul", "Div", "Max", "Min"}, c.op) {
		return false
	}
	for _, name := range c.inputs {
		other, ok := c.values[name]
		if ok && other.constant == nil && other.repeated == nil && len(other.axes) == len(sizes) &&
			slices.EqualFunc(other.axes, sizes, func(a axis, n int) bool { return a.size() == n }) {
			return true
		}
	}
	return false
}

// decode reads a tensor of the file, once.
func (c *call) decode(t *storedTensor) (*constant, error) {
	k, err := t.decode(&c.decoded, c.beside)
	if err == nil {
		c.foldable += foldedValues * k.len()
	}
	return k, err
}

// value is the node's first output: computed if it does not depend on the picture, otherwise
// by its operator.
func (c *call) value(turn operator) (value, error) {
	if v, ok, err := c.numbered(); ok || err != nil {
		return v, err
	}
	k, ok, err := c.folded()
	if ok || err != nil {
		return value{constant: k}, err
	}
	if turn != nil {
		return turn(c)
	}
	for i := range c.inputs {
		if c.has(i) {
			if _, err := c.input(i); err != nil {
				return value{}, err
			}
		}
	}
	return value{}, c.lack("an input that depends on the picture")
}

// picture is input i, which depends on the picture.
func (c *call) picture(i int) (value, error) {
	v, err := c.input(i)
	if err != nil {
		return value{}, err
	}
	if v.constant != nil {
		return value{}, c.lack("a constant as input %d", i)
	}
	return v, nil
}

// weights is input i, which is constant.
func (c *call) weights(i int) (*constant, error) {
	v, err := c.input(i)
	if err != nil {
		return nil, err
	}
	if v.constant == nil {
		return nil, c.lack("an input %d that is no constant", i)
	}
	return v.constant, nil
}

// integers are those of input i, a constant list of sizes.
func (c *call) integers(i int) ([]int64, error) {
	k, err := c.weights(i)
	if err != nil {
		return nil, err
	}
	if k.floats != nil || len(k.dims) > 1 || k.len() > maxNumbers {
		return nil, c.damaged("input %d is no list of whole numbers", i)
	}
	return k.integers, nil
}

// numbers are the values of input i, a constant.
func (c *call) numbers(i int) ([]float32, error) {
	k, err := c.weights(i)
	if err != nil {
		return nil, err
	}
	return c.valuesOf(k)
}

// valuesOf are a constant's values as floats.
func (c *call) valuesOf(k *constant) ([]float32, error) {
	if slices.Contains(k.integers, batchSize) {
		return nil, c.lack("the size of the batch as a number")
	}
	return k.values(), nil
}

// number is input i, a constant of one value.
func (c *call) number(i int) (float32, error) {
	values, err := c.numbers(i)
	if err != nil {
		return 0, err
	}
	if len(values) != 1 {
		return 0, c.lack("%d values as input %d", len(values), i)
	}
	return values[0], nil
}

func (c *call) attribute(name string) *setting {
	c.read[name] = true
	return c.attributes[name]
}

// ignore names attributes that do not matter to the answer in this case.
func (c *call) ignore(names ...string) {
	for _, name := range names {
		c.read[name] = true
	}
}

// typed is an attribute whose value should be of a type. Old files do not say the type.
func (c *call) typed(name string, kind int64) *setting {
	s := c.attribute(name)
	if s != nil && s.kind != kind && s.kind != 0 && c.mistyped == "" {
		c.mistyped = name
	}
	return s
}

func (c *call) integer(name string, otherwise int64) int64 {
	if s := c.typed(name, kindInt); s != nil {
		return s.integer
	}
	return otherwise
}

func (c *call) float(name string, otherwise float32) float32 {
	if s := c.typed(name, kindFloat); s != nil {
		return s.float
	}
	return otherwise
}

func (c *call) list(name string) []int64 {
	if s := c.typed(name, kindInts); s != nil {
		return s.integers
	}
	return nil
}

func (c *call) text(name, otherwise string) string {
	if s := c.typed(name, kindString); s != nil && s.text != "" {
		return s.text
	}
	return otherwise
}

// listOrInput is a list that older opsets have as an attribute, and newer ones as input i.
func (c *call) listOrInput(name string, i int) (list []int64, given bool, err error) {
	if s := c.typed(name, kindInts); s != nil {
		return s.integers, true, nil
	}
	if c.has(i) {
		list, err = c.integers(i)
		return list, true, err
	}
	return nil, false, nil
}

// axisAt is the place of an ONNX axis among n, which may be counted from the end.
func (c *call) axisAt(at int64, n int) (int, error) {
	if at < 0 {
		at += int64(n)
	}
	if at < 0 || at >= int64(n) {
		return 0, c.damaged("axis %d of %d", at, n)
	}
	return int(at), nil
}

// axesAt are the places of a list of axes among n.
func (c *call) axesAt(list []int64, n int) (all []int, err error) {
	for _, at := range list {
		i, err := c.axisAt(at, n)
		if err != nil {
			return nil, err
		}
		if slices.Contains(all, i) {
			return nil, c.damaged("axis %d twice", i)
		}
		all = append(all, i)
	}
	return all, nil
}

// innerAxis is the place of an axis of a value of n, without the batch's.
func (c *call) innerAxis(at int64, n int) (int, error) {
	i, err := c.axisAt(at, n)
	if err == nil && i == 0 {
		err = c.lack("axis 0, the batch's")
	}
	return i - 1, err
}

// innerAxes are those of a list, of a value of n axes, without the batch's.
func (c *call) innerAxes(list []int64, n int) ([]int, error) {
	all, err := c.axesAt(list, n)
	if err != nil {
		return nil, err
	}
	if slices.Contains(all, 0) {
		return nil, c.lack("axis 0, the batch's")
	}
	for i := range all {
		all[i]--
	}
	return all, nil
}

// made is the value that a new layer makes.
func (c *call) made(l nn.Layer, shape []int, axes []axis) (value, error) {
	if err := c.emit(l, shape); err != nil {
		return value{}, err
	}
	return value{layer: len(c.layers) - 1, axes: axes, sole: true}, nil
}

// shapeOf is the shape of a layer's output.
func (c *call) shapeOf(layer int) []int { return slices.Clone(c.shapes[layer]) }

// image is a value as the feature map that it must be: a layer of [h w c]. Its channels
// may lie in another order: axes[0] tells.
func (c *call) image(v value) (layer, h, w, channels int, err error) {
	if len(v.axes) != 3 {
		return 0, 0, 0, 0, c.lack("an input of %d axes", len(v.axes)+1)
	}
	channels, h, w = v.axes[0].size(), v.axes[1].size(), v.axes[2].size()
	plain := nchw(h, w, channels)
	if !v.axes[0].innermost() || !v.axes[1].equal(plain[1]) || !v.axes[2].equal(plain[2]) {
		return 0, 0, 0, 0, c.lack("an input whose values lie in another order than [n c h w]")
	}
	return c.shaped(v.layer, []int{h, w, channels}), h, w, channels, nil
}

// channels is a value as a layer whose last axis is axis j of the value, though perhaps
// in another order.
func (c *call) channels(v value, j int) (layer int, err error) {
	n := v.axes[j].size()
	if !v.axes[j].innermost() {
		return 0, c.lack("axis %d of a value whose innermost is another", j+1)
	}
	shape := c.shapes[v.layer]
	if total := tensor.Len(shape); shape[len(shape)-1] != n {
		if shape = []int{total / n, 1, n}; total == n {
			shape = []int{n}
		}
	}
	return c.shaped(v.layer, shape), nil
}

// straightened is a value whose axis j, the innermost, has its channels one after another.
func (c *call) straightened(v value, j int) (value, error) {
	order := v.axes[j].places()
	if order == nil {
		return v, nil
	}
	layer, err := c.channels(v, j)
	if err != nil {
		return value{}, err
	}
	axes := slices.Clone(v.axes)
	axes[j] = axis{{len(order), 1}}
	return c.made(nn.Layer{Op: nn.OpSelect, Inputs: []int{layer}, Channels: order}, c.shapeOf(layer), axes)
}

// row is a value as a flat layer, though perhaps in another order.
func (c *call) row(v value) (layer int, err error) {
	if len(v.axes) != 1 {
		return 0, c.lack("an input of %d axes", len(v.axes)+1)
	}
	return c.shaped(v.layer, []int{v.axes[0].size()}), nil
}

// place is where value i of an axis is.
func place(order []int, i int) int {
	if order == nil {
		return i
	}
	return order[i]
}

// ordered puts values along an axis where its layer has them: a copy.
func (c *call) ordered(values []float32, along axis) ([]float32, error) {
	if err := c.budget.take(len(values)); err != nil {
		return nil, err
	}
	all, order := make([]float32, len(values)), along.places()
	for i, v := range values {
		all[place(order, i)] = v
	}
	return all, nil
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
func (c *call) parameters(l *nn.Layer, fill func(name string) error, how ...any) error {
	key := fmt.Sprintf("%s %d %v %v %q %v", l.Op, l.Units, l.Bias, l.Epsilon, c.inputs[1:], how)
	name, ok := c.shared[key]
	if !ok {
		name = c.layerName()
		if err := fill(name); err != nil {
			return err
		}
		c.shared[key], c.keys[name] = name, key
	}
	for i := range c.inputs {
		c.taken[i] = c.taken[i] || ok // by the earlier one
	}
	l.Name = name
	c.users[name]++
	return nil
}

// set keeps a parameter of a layer.
func (c *call) set(layer, name string, values []float32, shape ...int) {
	c.tensors[layer+"/"+name] = tensor.FromSlice(values, shape...)
}
