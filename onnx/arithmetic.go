package onnx

import (
	"slices"
	"strconv"

	"garb/nn"
)

// shortest is the decimal that a float32 was made of, as far as one can tell.
func shortest(v float64) float64 {
	short, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', -1, 32), 64)
	if err != nil {
		return v
	}
	return short
}

// affine is factor·x + offset.
func (c *call) affine(v value, factor, offset float32) (value, error) {
	shape := c.shapes[v.layer]
	n := shape[len(shape)-1]
	if err := c.budget.take(2 * n); err != nil {
		return value{}, err
	}
	return c.scale(v, v.layer, slices.Repeat([]float32{factor}, n), slices.Repeat([]float32{offset}, n))
}

// scale multiplies each channel of a layer by a number and adds another. What follows a
// convolution or dense layer that has no bias becomes its bias, and what follows another
// scale becomes part of it, unless somebody else reads them.
func (c *call) scale(v value, layer int, factors, offsets []float32) (value, error) {
	n := len(factors)
	plain := !slices.ContainsFunc(factors, func(f float32) bool { return f != 1 })
	if plain && !slices.ContainsFunc(offsets, func(f float32) bool { return f != 0 }) {
		v.layer = layer
		return v, nil
	}
	if layer == v.layer {
		if v, ok, err := c.gently(v, factors, offsets); ok || err != nil {
			return v, err
		}
	}
	before := &c.layers[layer]
	if v.sole && layer == v.layer && c.users[before.Name] == 1 {
		switch before.Op {
		case nn.OpConv, nn.OpDense, nn.OpDepthwiseConv:
			if !before.Bias && plain {
				delete(c.shared, c.keys[before.Name]) // later layers are without this bias
				c.set(before.Name, "bias", offsets, n)
				before.Bias = true
				return v, nil
			}
		case nn.OpScale:
			s, o := c.tensors[before.Name+"/scale"].Data, c.tensors[before.Name+"/offset"].Data
			nothing := true
			for i := range s {
				s[i], o[i] = s[i]*factors[i], o[i]*factors[i]+offsets[i]
				nothing = nothing && near(float64(s[i]), 1) && o[i] == 0
			}
			if nothing { // they undo each other, but for rounding
				v.layer = before.Inputs[0]
				v.sole = c.inside(v.layer)
			}
			return v, nil
		}
	}
	l := nn.Layer{Op: nn.OpScale, Name: c.layerName(), Inputs: []int{layer}}
	c.users[l.Name]++
	c.set(l.Name, "scale", factors, n)
	c.set(l.Name, "offset", offsets, n)
	return c.made(l, c.shapeOf(layer), v.axes)
}

// spread takes a constant that is broadcast over a value: along which of its layer's
// channels the constant's numbers are.
func (c *call) spread(v value, k *constant) (layer int, values []float32, err error) {
	if values, err = c.valuesOf(k); err != nil {
		return 0, nil, err
	}
	along := -1
	skip := len(v.axes) + 1 - len(k.dims)
	if skip < 0 {
		return 0, nil, c.lack("a constant %v, which has more axes than the value", k.dims)
	}
	for i, n := range k.dims {
		switch {
		case n == 1:
		case along >= 0 || i+skip == 0:
			return 0, nil, c.lack("a constant %v, which is more than a number for each channel", k.dims)
		case n != v.axes[i+skip-1].size():
			return 0, nil, c.damaged("a constant %v does not fit its value", k.dims)
		default:
			along = i + skip - 1
		}
	}
	if along < 0 {
		shape := c.shapes[v.layer]
		n := shape[len(shape)-1]
		if len(values) != 1 {
			return 0, nil, c.damaged("a constant without values")
		}
		if err := c.budget.take(n); err != nil {
			return 0, nil, err
		}
		return v.layer, slices.Repeat(values, n), nil
	}
	layer, err = c.channels(v, along)
	if err != nil {
		return 0, nil, err
	}
	values, err = c.ordered(values, v.axes[along])
	return layer, values, err
}

// perNumber gives the factor and offset for a number k of a constant, which is the left
// operand or the right.
type perNumber func(k float32, left bool) (factor, offset float32, err error)

// withConstant applies an operation of a value and a constant for each channel: for each
// of its numbers a factor and an offset. ok is false if both inputs are values.
func (c *call) withConstant(f perNumber) (out value, ok bool, err error) {
	x, err := c.input(0)
	if err != nil {
		return value{}, false, err
	}
	y, err := c.input(1)
	if err != nil {
		return value{}, false, err
	}
	left := x.constant != nil // the constant is on the left
	if left {
		x, y = y, x
	}
	switch {
	case x.constant != nil:
		return value{}, false, c.lack("two constants")
	case y.constant == nil:
		return value{}, false, nil
	case y.constant.integers != nil:
		return value{}, false, c.damaged("a value of floating point and a constant of %s", typeName(y.constant.kind))
	}
	layer, values, err := c.spread(x, y.constant)
	if err != nil {
		return value{}, false, err
	}
	if err := c.budget.take(len(values)); err != nil {
		return value{}, false, err
	}
	factors, offsets := make([]float32, len(values)), make([]float32, len(values))
	for i, k := range values {
		if factors[i], offsets[i], err = f(k, left); err != nil {
			return value{}, false, err
		}
	}
	out, err = c.scale(x, layer, factors, offsets)
	return out, true, err
}

// pictures are the node's two inputs, which depend on the picture.
func (c *call) pictures() (x, y value, err error) {
	if x, err = c.picture(0); err == nil {
		y, err = c.picture(1)
	}
	return x, y, err
}

func (c *call) add() (value, error) {
	v, ok, err := c.withConstant(func(k float32, _ bool) (float32, float32, error) { return 1, k, nil })
	if ok || err != nil {
		return v, err
	}
	x, y, err := c.pictures()
	if err != nil {
		return value{}, err
	}
	return c.sum(x, y)
}

func (c *call) sum(x, y value) (value, error) {
	if !sameAxes(x.axes, y.axes) {
		return value{}, c.lack("values of different shapes or orders")
	}
	layer := c.shaped(y.layer, c.shapes[x.layer])
	return c.made(nn.Layer{Op: nn.OpAdd, Inputs: []int{x.layer, layer}}, c.shapeOf(x.layer), x.axes)
}

func (c *call) sub() (value, error) {
	v, ok, err := c.withConstant(func(k float32, left bool) (float32, float32, error) {
		if left {
			return -1, k, nil
		}
		return 1, -k, nil
	})
	if ok || err != nil {
		return v, err
	}
	x, y, err := c.pictures()
	if err != nil {
		return value{}, err
	}
	if y, err = c.affine(y, -1, 0); err != nil {
		return value{}, err
	}
	return c.sum(x, y)
}

func (c *call) div() (value, error) {
	v, ok, err := c.withConstant(func(k float32, left bool) (float32, float32, error) {
		if left {
			return 0, 0, c.lack("a constant on the left")
		}
		if k == 0 {
			return 0, 0, c.damaged("it divides by zero")
		}
		return 1 / k, 0, nil
	})
	if err == nil && !ok {
		err = c.lack("two values")
	}
	return v, err
}

// mul is a product: by a constant, of two values, or of a map and a value for each of its
// channels; or the last part of an activation.
func (c *call) mul() (value, error) {
	v, ok, err := c.withConstant(func(k float32, _ bool) (float32, float32, error) { return k, 0, nil })
	if ok || err != nil {
		return v, err
	}
	x, y, err := c.pictures()
	if err != nil {
		return value{}, err
	}
	if v, ok, err := c.gated(x, y); ok || err != nil {
		return v, err
	}
	if sameAxes(x.axes, y.axes) {
		layer := c.shaped(y.layer, c.shapes[x.layer])
		return c.made(nn.Layer{Op: nn.OpMultiply, Inputs: []int{x.layer, layer}}, c.shapeOf(x.layer), x.axes)
	}
	if flat(x.axes).size() < flat(y.axes).size() {
		x, y = y, x
	}
	if len(x.axes) != len(y.axes) {
		return value{}, c.lack("values of %d and %d axes", len(x.axes)+1, len(y.axes)+1)
	}
	along := -1
	for j, a := range y.axes {
		switch {
		case a.size() == 1:
		case along >= 0 || !a.equal(x.axes[j]):
			return value{}, c.lack("values of different shapes or orders")
		default:
			along = j
		}
	}
	if along < 0 {
		return value{}, c.lack("one number of the picture's for all values")
	}
	layer, err := c.channels(x, along)
	if err != nil {
		return value{}, err
	}
	gate, err := c.channels(y, along)
	if err != nil {
		return value{}, err
	}
	return c.made(nn.Layer{Op: nn.OpMultiply, Inputs: []int{layer, gate}}, c.shapeOf(layer), x.axes)
}
