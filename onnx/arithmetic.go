package onnx

import (
	"math"
	"slices"
	"strconv"

	"garb/nn"
)

// shortestDecimal returns the shortest decimal that a float32 is rounded from.
func shortestDecimal(v float64) float64 {
	short, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', -1, 32), 64)
	if err != nil {
		return v
	}
	return short
}

// applyAffine applies factor·x + offset to each value.
func (c *call) applyAffine(v value, factor, offset float32) (value, error) {
	shape := c.shapes[v.layer]
	n := shape[len(shape)-1]
	if err := c.budget.take(2 * n); err != nil {
		return value{}, err
	}
	return c.scaleChannels(v, v.layer, slices.Repeat([]float32{factor}, n), slices.Repeat([]float32{offset}, n))
}

// scaleChannels multiplies each channel of a layer by a factor and adds an offset. An offset after
// a convolution or dense layer without bias becomes its bias, and what follows another scale or a
// layer or group norm becomes part of it, unless another layer reads these.
func (c *call) scaleChannels(v value, layer int, factors, offsets []float32) (value, error) {
	n := len(factors)
	plain := !slices.ContainsFunc(factors, func(f float32) bool { return f != 1 })
	if plain && !slices.ContainsFunc(offsets, func(f float32) bool { return f != 0 }) {
		v.layer = layer
		return v, nil
	}
	if layer == v.layer {
		if activated, ok, err := c.readScaledReLU6(v, factors, offsets); ok || err != nil {
			return activated, err
		}
	}
	before := &c.layers[layer]
	if v.sole && layer == v.layer && c.users[before.Name] == 1 {
		switch before.Op {
		case nn.OpConv, nn.OpDense, nn.OpDepthwiseConv:
			if !before.Bias && plain {
				delete(c.shared, c.keys[before.Name]) // later layers are without this bias
				c.setParameter(before.Name, "bias", offsets, n)
				before.Bias = true
				return v, nil
			}
		case nn.OpScale, nn.OpLayerNorm, nn.OpGroupNorm:
			factor, offset := "/scale", "/offset"
			if before.Op != nn.OpScale {
				factor, offset = "/gamma", "/beta"
				delete(c.shared, c.keys[before.Name]) // later layers are without this
			}
			s, o := c.tensors[before.Name+factor].Data, c.tensors[before.Name+offset].Data
			nothing := before.Op == nn.OpScale
			for i := range s {
				s[i], o[i] = s[i]*factors[i], float32(o[i]*factors[i])+offsets[i]
				nothing = nothing && isNear(float64(s[i]), 1) && o[i] == 0
			}
			if nothing { // they undo each other, but for rounding
				v.layer = before.Inputs[0]
				v.sole = c.isInside(v.layer)
			}
			return v, nil
		}
	}
	l := nn.Layer{Op: nn.OpScale, Name: c.nameLayer(), Inputs: []int{layer}}
	c.users[l.Name]++
	c.setParameter(l.Name, "scale", factors, n)
	c.setParameter(l.Name, "offset", offsets, n)
	return c.addLayer(l, c.copyShape(layer), v.axes)
}

// spreadConstant finds where the numbers of a constant that is broadcast over a value lie along the
// channels of the value's layer.
func (c *call) spreadConstant(v value, k *constant) (layer int, values []float32, err error) {
	if values, err = c.toFloats(k); err != nil {
		return 0, nil, err
	}
	along := -1
	skip := len(v.axes) + 1 - len(k.dims)
	if skip < 0 {
		return 0, nil, c.errUnsupported("a constant %v, which has more axes than the value", k.dims)
	}
	for i, n := range k.dims {
		switch {
		case n == 1:
		case along >= 0 || i+skip == 0:
			return 0, nil, c.errUnsupported("a constant %v, which is more than a number for each channel", k.dims)
		case n != v.axes[i+skip-1].size():
			return 0, nil, c.errDamaged("a constant %v does not fit its value", k.dims)
		default:
			along = i + skip - 1
		}
	}
	if along < 0 {
		shape := c.shapes[v.layer]
		n := shape[len(shape)-1]
		if len(values) != 1 {
			return 0, nil, c.errDamaged("a constant without values")
		}
		if err = c.budget.take(n); err != nil {
			return 0, nil, err
		}
		return v.layer, slices.Repeat(values, n), nil
	}
	layer, err = c.withChannelsLast(v, along)
	if err != nil {
		return 0, nil, err
	}
	values, err = c.orderValues(values, v.axes[along])
	return layer, values, err
}

// perNumber returns the factor and offset for a number k of a constant, which is the left operand
// or the right.
type perNumber func(k float32, left bool) (factor, offset float32, err error)

// applyConstant applies an operation of a value and a constant: perNumber gives a factor and an
// offset for each of the constant's numbers. ok is false if both inputs are values.
func (c *call) applyConstant(f perNumber) (out value, ok bool, err error) {
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
		return value{}, false, c.errUnsupported("two constants")
	case y.constant == nil:
		return value{}, false, nil
	case y.constant.integers != nil:
		return value{}, false, c.errDamaged("a value of floating point and a constant of %s", typeName(y.constant.kind))
	}
	layer, values, err := c.spreadConstant(x, y.constant)
	if err != nil {
		return value{}, false, err
	}
	if err = c.budget.take(len(values)); err != nil {
		return value{}, false, err
	}
	factors, offsets := make([]float32, len(values)), make([]float32, len(values))
	for i, k := range values {
		if factors[i], offsets[i], err = f(k, left); err != nil {
			return value{}, false, err
		}
	}
	out, err = c.scaleChannels(x, layer, factors, offsets)
	return out, true, err
}

// pictureInputs returns the node's two inputs, which depend on the picture.
func (c *call) pictureInputs() (x, y value, err error) {
	if x, err = c.pictureInput(0); err == nil {
		y, err = c.pictureInput(1)
	}
	return x, y, err
}

func (c *call) readAdd() (value, error) {
	v, ok, err := c.applyConstant(func(k float32, _ bool) (float32, float32, error) { return 1, k, nil })
	if ok || err != nil {
		return v, err
	}
	x, y, err := c.pictureInputs()
	if err != nil {
		return value{}, err
	}
	return c.combine(nn.OpAdd, x, y)
}

func (c *call) readSub() (value, error) {
	v, ok, err := c.applyConstant(func(k float32, left bool) (float32, float32, error) {
		if left {
			return -1, k, nil
		}
		return 1, -k, nil
	})
	if ok || err != nil {
		return v, err
	}
	x, y, err := c.pictureInputs()
	if err != nil {
		return value{}, err
	}
	if y, err = c.applyAffine(y, -1, 0); err != nil {
		return value{}, err
	}
	return c.combine(nn.OpAdd, x, y)
}

func (c *call) readDiv() (value, error) {
	v, ok, err := c.applyConstant(func(k float32, left bool) (float32, float32, error) {
		if left {
			return 0, 0, c.errUnsupported("a constant on the left")
		}
		if k == 0 {
			return 0, 0, c.errDamaged("it divides by zero")
		}
		return 1 / k, 0, nil
	})
	if err == nil && !ok {
		err = c.errUnsupported("two values")
	}
	return v, err
}

// readMul reads a product: by a constant, of two values, or of a map and a value for each of its
// channels; or the last part of an activation.
func (c *call) readMul() (value, error) {
	v, ok, err := c.applyConstant(func(k float32, _ bool) (float32, float32, error) { return k, 0, nil })
	if ok || err != nil {
		return v, err
	}
	x, y, err := c.pictureInputs()
	if err != nil {
		return value{}, err
	}
	if v, ok, err := c.readGated(x, y); ok || err != nil {
		return v, err
	}
	return c.combine(nn.OpMultiply, x, y)
}

// combine applies an operation to two values, element by element. A value with a single place along
// an axis is repeated along it.
func (c *call) combine(op nn.Op, x, y value) (value, error) {
	if sameAxes(x.axes, y.axes) {
		layer := c.withShape(y.layer, c.shapes[x.layer])
		return c.addLayer(nn.Layer{Op: op, Inputs: []int{x.layer, layer}}, c.copyShape(x.layer), x.axes)
	}
	if len(x.axes) != len(y.axes) {
		return value{}, c.errUnsupported("values of %d and %d axes", len(x.axes)+1, len(y.axes)+1)
	}
	if flatten(x.axes).size() < flatten(y.axes).size() {
		x, y = y, x
	}
	along, several := -1, false // the axis of y that has more than one place
	for j, a := range y.axes {
		if a.size() > 1 {
			several = several || along >= 0
			along = j
		}
	}
	if several || along < 0 || !y.axes[along].equal(x.axes[along]) || !x.axes[along].innermost() {
		return c.combineMaps(op, x, y)
	}
	layer, err := c.withChannelsLast(x, along)
	if err != nil {
		return value{}, err
	}
	gate, err := c.withChannelsLast(y, along)
	if err != nil {
		return value{}, err
	}
	return c.addLayer(nn.Layer{Op: op, Inputs: []int{layer, gate}}, c.copyShape(layer), x.axes)
}

// combineMaps applies an operation to two maps, of which either may be repeated along any axis.
func (c *call) combineMaps(op nn.Op, x, y value) (value, error) {
	for i := range x.axes {
		if n, m := x.axes[i].size(), y.axes[i].size(); n != m && n != 1 && m != 1 {
			return value{}, c.errDamaged("axes of %d and %d places", n, m)
		}
	}
	// The maps are [c h w], or both [h w c].
	order, ok := chw, len(x.axes) == 3
	if ok && (!x.isMap(order) || !y.isMap(order)) {
		order = hwc
		ok = x.isMap(order) && y.isMap(order)
	}
	if !ok {
		return value{}, c.errUnsupported("values of different shapes or orders")
	}
	channels := x.axes[order[0]]
	if channels.size() == 1 {
		channels = y.axes[order[0]]
	} else if other := y.axes[order[0]]; other.size() > 1 && !other.equal(channels) {
		return value{}, c.errUnsupported("values with their channels in different orders")
	}
	l, shape := nn.Layer{Op: op}, []int{1, 1, 1}
	for _, v := range []value{x, y} {
		own := v.mapShape(order)
		l.Inputs = append(l.Inputs, c.withShape(v.layer, own))
		for i, n := range own {
			shape[i] = max(shape[i], n)
		}
	}
	return c.addLayer(l, shape, orderAxes(order, shape, channels))
}

// mapOrder says which axes of a value are channels, rows and columns.
type mapOrder [3]int

var (
	chw = mapOrder{0, 1, 2}
	hwc = mapOrder{2, 0, 1}
)

// mapShape returns the shape of a value as a map [h w c].
func (v value) mapShape(order mapOrder) []int {
	return []int{v.axes[order[1]].size(), v.axes[order[2]].size(), v.axes[order[0]].size()}
}

// isMap tells whether a value of three axes is a map whose axes are in the given order; its
// channels may lie in another order among themselves.
func (v value) isMap(order mapOrder) bool {
	shape := v.mapShape(order)
	plain := nchw(shape[0], shape[1], shape[2])
	return v.axes[order[0]].innermost() && v.axes[order[1]].equal(plain[1]) && v.axes[order[2]].equal(plain[2])
}

// orderAxes returns the axes of a map of a shape, in the given order, with its channels along an
// axis.
func orderAxes(order mapOrder, shape []int, channels axis) []axis {
	plain := nchw(shape[0], shape[1], shape[2])
	plain[0] = channels
	axes := make([]axis, 3)
	for i, at := range order {
		axes[at] = plain[i]
	}
	return axes
}

func (c *call) readMax() (value, error) { return c.readExtremum(nn.OpMaximum) }
func (c *call) readMin() (value, error) { return c.readExtremum(nn.OpMinimum) }

// readExtremum reads the largest or smallest of values and single numbers.
func (c *call) readExtremum(op nn.Op) (value, error) {
	low, high := float32(-math.MaxFloat32), float32(math.MaxFloat32)
	var chosen *value
	for i := range c.inputs {
		v, err := c.input(i)
		if err != nil {
			return value{}, err
		}
		if v.constant != nil {
			var k float32
			if k, err = c.numberInput(i); err != nil {
				return value{}, err
			}
			if math.IsNaN(float64(k)) || math.IsInf(float64(k), 0) {
				return value{}, c.errUnsupported("the bound %v", k)
			}
			if op == nn.OpMaximum {
				low = max(low, k)
			} else {
				high = min(high, k)
			}
			continue
		}
		if chosen != nil {
			if v, err = c.combine(op, *chosen, v); err != nil {
				return value{}, err
			}
		}
		chosen = &v
	}
	if chosen == nil {
		return value{}, c.errUnsupported("constants alone")
	}
	return c.clamp(*chosen, low, high)
}
