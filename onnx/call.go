package onnx

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"garb/nn"
	"garb/tensor"
)

// call is a node that is being turned into layers.
type call struct {
	*reader
	*node
	// read and taken are the attributes and inputs that the operator has read. Any others are an
	// error: they could change the answer.
	read  map[string]bool
	taken map[int]bool
	// mistyped is the first attribute whose value is not of the type that the operator expects.
	mistyped string
}

// errUnsupported returns an error about an operator that garb supports, but not in this form.
func (c *call) errUnsupported(format string, args ...any) error {
	return &UnknownOperatorError{Operator: c.op, Node: c.displayName(), Detail: fmt.Sprintf(format, args...)}
}

// errDamaged returns an error about a damaged file.
func (c *call) errDamaged(format string, args ...any) error {
	return &FormatError{Node: c.displayName(), Reason: fmt.Sprintf(format, args...)}
}

// hasInput tells whether the node has input i: an omitted input has no name.
func (c *call) hasInput(i int) bool {
	c.taken[i] = true
	return i < len(c.inputs) && c.inputs[i] != ""
}

// checkUnused returns an error if there is an attribute or input that the operator did not read.
func (c *call) checkUnused() error {
	if c.mistyped != "" {
		return c.errDamaged("its attribute %q has a value of another type than ONNX's", c.mistyped)
	}
	for _, name := range slices.Sorted(maps.Keys(c.attributes)) {
		if !c.read[name] && ignoredAttributes[c.op][name] == "" {
			return c.errUnsupported("an attribute %q", name)
		}
	}
	for i, name := range c.inputs {
		if name != "" && !c.taken[i] {
			return c.errUnsupported("an input %d", i)
		}
	}
	return nil
}

// input returns the value of input i.
func (c *call) input(i int) (value, error) {
	if !c.hasInput(i) {
		return value{}, c.errDamaged("input %d is missing", i)
	}
	name := c.inputs[i]
	if v, ok := c.values[name]; ok {
		if v.repeated != nil && !c.repeatsInputs(v.repeated) {
			return value{}, c.errUnsupported("an input %d that an Expand repeats", i)
		}
		if c.op != "Gather" && (v.joined || v.numbering != nil) {
			return value{}, c.errUnsupported("an input %d that is of all pictures together", i)
		}
		if v.above != nil && (c.op != "Where" || i > 0) {
			return value{}, c.errUnsupported("an input %d that is what a comparison says", i)
		}
		return v, nil
	}
	t := c.model.initializers[name]
	if t == nil {
		return value{}, c.errDamaged("nothing makes its input %q", name)
	}
	k, err := c.decodeConstant(t)
	if err != nil {
		return value{}, err
	}
	c.values[name] = value{constant: k}
	return value{constant: k}, nil
}

// repeatsInputs tells whether the operator repeats its inputs to these sizes itself, since another
// of them has the sizes.
func (c *call) repeatsInputs(sizes []int) bool {
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

// decodeConstant decodes a tensor of the file.
func (c *call) decodeConstant(t *storedTensor) (*constant, error) {
	k, err := t.decode(&c.decoded, c.readPart)
	if err == nil {
		c.foldable += foldedValues * k.len()
	}
	return k, err
}

// compute computes the node's first output: as a constant if it does not depend on the picture,
// otherwise by its operator.
func (c *call) compute(read operator) (value, error) {
	if v, ok, err := c.foldNumbering(); ok || err != nil {
		return v, err
	}
	k, ok, err := c.foldNode()
	if ok || err != nil {
		return value{constant: k}, err
	}
	if read != nil {
		return read(c)
	}
	for i := range c.inputs {
		if c.hasInput(i) {
			if _, err := c.input(i); err != nil {
				return value{}, err
			}
		}
	}
	return value{}, c.errUnsupported("an input that depends on the picture")
}

// pictureInput returns input i, which must depend on the picture.
func (c *call) pictureInput(i int) (value, error) {
	v, err := c.input(i)
	if err != nil {
		return value{}, err
	}
	if v.constant != nil {
		return value{}, c.errUnsupported("a constant as input %d", i)
	}
	return v, nil
}

// constantInput returns input i, which must be constant.
func (c *call) constantInput(i int) (*constant, error) {
	v, err := c.input(i)
	if err != nil {
		return nil, err
	}
	if v.constant == nil {
		return nil, c.errUnsupported("an input %d that is no constant", i)
	}
	return v.constant, nil
}

// integerInput returns the values of input i, a constant list of sizes.
func (c *call) integerInput(i int) ([]int64, error) {
	k, err := c.constantInput(i)
	if err != nil {
		return nil, err
	}
	if k.floats != nil || len(k.dims) > 1 || k.len() > maxNumbers {
		return nil, c.errDamaged("input %d is no list of whole numbers", i)
	}
	return k.integers, nil
}

// numberInputs returns the values of input i, a constant.
func (c *call) numberInputs(i int) ([]float32, error) {
	k, err := c.constantInput(i)
	if err != nil {
		return nil, err
	}
	return c.toFloats(k)
}

// toFloats returns a constant's values as floats.
func (c *call) toFloats(k *constant) ([]float32, error) {
	if slices.Contains(k.integers, batchSize) {
		return nil, c.errUnsupported("the size of the batch as a number")
	}
	return k.values(), nil
}

// numberInput returns the value of input i, a constant of one value.
func (c *call) numberInput(i int) (float32, error) {
	values, err := c.numberInputs(i)
	if err != nil {
		return 0, err
	}
	if len(values) != 1 {
		return 0, c.errUnsupported("%d values as input %d", len(values), i)
	}
	return values[0], nil
}

func (c *call) attribute(name string) *setting {
	c.read[name] = true
	return c.attributes[name]
}

// ignore marks attributes as read that do not change the answer in this case.
func (c *call) ignore(names ...string) {
	for _, name := range names {
		c.read[name] = true
	}
}

// typedAttribute returns an attribute, whose value should be of a type. Old files do not say the
// type.
func (c *call) typedAttribute(name string, kind int64) *setting {
	s := c.attribute(name)
	if s != nil && s.kind != kind && s.kind != 0 && c.mistyped == "" {
		c.mistyped = name
	}
	return s
}

func (c *call) integerAttribute(name string, otherwise int64) int64 {
	if s := c.typedAttribute(name, kindInt); s != nil {
		return s.integer
	}
	return otherwise
}

func (c *call) floatAttribute(name string, otherwise float32) float32 {
	if s := c.typedAttribute(name, kindFloat); s != nil {
		return s.float
	}
	return otherwise
}

func (c *call) listAttribute(name string) []int64 {
	if s := c.typedAttribute(name, kindInts); s != nil {
		return s.integers
	}
	return nil
}

func (c *call) textAttribute(name, otherwise string) string {
	if s := c.typedAttribute(name, kindString); s != nil && s.text != "" {
		return s.text
	}
	return otherwise
}

// listOrInput returns a list that older opsets have as an attribute, and newer ones as input i.
func (c *call) listOrInput(name string, i int) (list []int64, given bool, err error) {
	if s := c.typedAttribute(name, kindInts); s != nil {
		return s.integers, true, nil
	}
	if c.hasInput(i) {
		list, err = c.integerInput(i)
		return list, true, err
	}
	return nil, false, nil
}

// resolveAxis returns the index of an ONNX axis among n, which may be counted from the end.
func (c *call) resolveAxis(at int64, n int) (int, error) {
	if at < 0 {
		at += int64(n)
	}
	if at < 0 || at >= int64(n) {
		return 0, c.errDamaged("axis %d of %d", at, n)
	}
	return int(at), nil
}

// resolveAxes returns the indices of a list of axes among n.
func (c *call) resolveAxes(list []int64, n int) (all []int, err error) {
	for _, at := range list {
		i, err := c.resolveAxis(at, n)
		if err != nil {
			return nil, err
		}
		if slices.Contains(all, i) {
			return nil, c.errDamaged("axis %d twice", i)
		}
		all = append(all, i)
	}
	return all, nil
}

// resolveInnerAxis returns the index of an axis of a value of n axes, not counting the batch's.
func (c *call) resolveInnerAxis(at int64, n int) (int, error) {
	i, err := c.resolveAxis(at, n)
	if err == nil && i == 0 {
		err = c.errUnsupported("axis 0, the batch's")
	}
	return i - 1, err
}

// resolveInnerAxes returns the indices of a list of axes of a value of n axes, not counting the
// batch's.
func (c *call) resolveInnerAxes(list []int64, n int) ([]int, error) {
	all, err := c.resolveAxes(list, n)
	if err != nil {
		return nil, err
	}
	if slices.Contains(all, 0) {
		return nil, c.errUnsupported("axis 0, the batch's")
	}
	for i := range all {
		all[i]--
	}
	return all, nil
}

// addLayer appends a layer and returns its value.
func (c *call) addLayer(l nn.Layer, shape []int, axes []axis) (value, error) {
	if err := c.emit(l, shape); err != nil {
		return value{}, err
	}
	return value{layer: len(c.layers) - 1, axes: axes, sole: true}, nil
}

// copyShape returns a copy of the shape of a layer's output.
func (c *call) copyShape(layer int) []int { return slices.Clone(c.shapes[layer]) }

// asMap returns a value as the feature map [h w c] that it must be: its layer and sizes. Its
// channels may lie in another order, that of axes[0].
func (c *call) asMap(v value) (layer, h, w, channels int, err error) {
	if len(v.axes) != 3 {
		return 0, 0, 0, 0, c.errUnsupported("an input of %d axes", len(v.axes)+1)
	}
	channels, h, w = v.axes[0].size(), v.axes[1].size(), v.axes[2].size()
	plain := nchw(h, w, channels)
	if !v.axes[0].innermost() || !v.axes[1].equal(plain[1]) || !v.axes[2].equal(plain[2]) {
		return 0, 0, 0, 0, c.errUnsupported("an input whose values lie in another order than [n c h w]")
	}
	return c.withShape(v.layer, []int{h, w, channels}), h, w, channels, nil
}

// withChannelsLast returns a value as a layer whose last axis is axis j of the value, though
// perhaps in another order.
func (c *call) withChannelsLast(v value, j int) (layer int, err error) {
	n := v.axes[j].size()
	if !v.axes[j].innermost() {
		return 0, c.errUnsupported("axis %d of a value whose innermost is another", j+1)
	}
	shape := c.shapes[v.layer]
	if total := tensor.Len(shape); shape[len(shape)-1] != n {
		if shape = []int{total / n, 1, n}; total == n {
			shape = []int{n}
		}
	}
	return c.withShape(v.layer, shape), nil
}

// sortChannels returns a value with the channels of axis j, the innermost, in order.
func (c *call) sortChannels(v value, j int) (value, error) {
	order := v.axes[j].places()
	if order == nil {
		return v, nil
	}
	layer, err := c.withChannelsLast(v, j)
	if err != nil {
		return value{}, err
	}
	axes := slices.Clone(v.axes)
	axes[j] = axis{{len(order), 1}}
	return c.addLayer(nn.Layer{Op: nn.OpSelect, Inputs: []int{layer}, Channels: order}, c.copyShape(layer), axes)
}

// asRow returns a value as a flat layer, though perhaps in another order.
func (c *call) asRow(v value) (layer int, err error) {
	if len(v.axes) != 1 {
		return 0, c.errUnsupported("an input of %d axes", len(v.axes)+1)
	}
	return c.withShape(v.layer, []int{v.axes[0].size()}), nil
}

// placeAt returns the place of value i of an axis.
func placeAt(order []int, i int) int {
	if order == nil {
		return i
	}
	return order[i]
}

// orderValues returns a copy of values along an axis, in the order of the layer.
func (c *call) orderValues(values []float32, along axis) ([]float32, error) {
	if err := c.budget.take(len(values)); err != nil {
		return nil, err
	}
	all, order := make([]float32, len(values)), along.places()
	for i, v := range values {
		all[placeAt(order, i)] = v
	}
	return all, nil
}

// nameLayer returns a name for a layer with parameters: that of its weights, or of the node.
func (c *call) nameLayer() string {
	name := strings.TrimPrefix(c.displayName(), "/")
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
	unused := name
	for c.names[unused] > 0 {
		c.names[name]++
		unused = fmt.Sprintf("%s_%d", name, c.names[name])
	}
	c.names[unused]++
	return unused
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// makeParameters names a layer and calls fill to make its parameters, unless an earlier layer has
// the same ones, made from the same inputs in the same way: then it shares them.
func (c *call) makeParameters(l *nn.Layer, fill func(name string) error, how ...any) error {
	key := fmt.Sprintf("%s %d %v %v %q %v", l.Op, l.Units, l.Bias, l.Epsilon, c.inputs[1:], how)
	name, ok := c.shared[key]
	if !ok {
		name = c.nameLayer()
		if err := fill(name); err != nil {
			return err
		}
		c.shared[key], c.keys[name] = name, key
	}
	for i := range c.inputs {
		c.taken[i] = c.taken[i] || ok // by the earlier layer
	}
	l.Name = name
	c.users[name]++
	return nil
}

// setParameter stores a parameter of a layer.
func (c *call) setParameter(layer, name string, values []float32, shape ...int) {
	c.tensors[layer+"/"+name] = tensor.FromSlice(values, shape...)
}
