package onnx

import (
	"math"
	"slices"

	"garb/nn"
	"garb/tensor"
)

// operators are those that are read. Each function gives the value of the first output.
var operators map[string]func(*call) value

func init() {
	operators = map[string]func(*call) value{
		"Conv": (*call).conv, "Gemm": (*call).gemm, "MatMul": (*call).matMul,
		"BatchNormalization": (*call).batchNorm,
		"MaxPool":            (*call).maxPool, "AveragePool": (*call).averagePool,
		"GlobalAveragePool": global(nn.OpGlobalAveragePool), "GlobalMaxPool": global(nn.OpGlobalMaxPool),
		"ReduceMean": reduce(nn.OpGlobalAveragePool), "ReduceMax": reduce(nn.OpGlobalMaxPool),

		"Relu": function(nn.OpReLU), "Sigmoid": function(nn.OpSigmoid), "Tanh": function(nn.OpTanh),
		"LeakyRelu": (*call).leakyReLU, "PRelu": (*call).pReLU, "Clip": (*call).clip,
		"HardSigmoid": (*call).hardSigmoid, "HardSwish": (*call).hardSwish, "Softmax": (*call).softmax,

		"Add": (*call).add, "Sub": (*call).sub, "Mul": (*call).mul, "Div": (*call).div,
		"Concat": (*call).concat, "Pad": (*call).pad, "Dropout": (*call).dropout,

		"Identity": (*call).identity, "Cast": (*call).cast, "Constant": (*call).constantNode,
		"Transpose": (*call).transpose, "Reshape": (*call).reshape, "Flatten": (*call).flatten,
		"Squeeze": (*call).squeeze, "Unsqueeze": (*call).unsqueeze,
		"Shape": (*call).shape, "Gather": (*call).gather, "Slice": (*call).slice,
	}
}

// conv is a convolution over all channels, or over each by itself.
func (c *call) conv() value {
	k := c.weights(1)
	v := c.picture(0)
	layer, h, w, channels := c.image(v)
	if len(k.dims) != 4 || k.floats == nil {
		c.lack("a kernel of %d axes", len(k.dims))
	}
	filters, in, kh, kw := k.dims[0], k.dims[1], k.dims[2], k.dims[3]
	group := int(c.integer("group", 1))
	depthwise := group > 1 && group == channels
	switch {
	case k.len() == 0 || in*group != channels:
		c.damaged("a kernel %v in %d groups for %d channels", k.dims, group, channels)
	case group > 1 && (!depthwise || filters != channels):
		c.lack("%d channels in %d groups to %d", channels, group, filters)
	}
	if shape := c.list("kernel_shape"); shape != nil && !slices.Equal(shape, []int64{int64(kh), int64(kw)}) {
		c.damaged("its kernel is %d × %d, and its kernel_shape %v", kh, kw, shape)
	}
	l := nn.Layer{Op: nn.OpConv, Units: filters, Height: kh, Width: kw, Bias: c.has(2)}
	l.Stride = c.stride()
	layer, rows, columns := c.window(&l, layer, h, w, false)
	l.Inputs = []int{layer}
	out := []int{rows, columns, filters}
	axes := nchw(rows, columns, filters)
	if depthwise {
		l.Op, l.Units = nn.OpDepthwiseConv, 0
		axes[0] = v.axes[0]
	}
	c.parameters(&l, func(name string) {
		c.must(c.budget.take(k.len()))
		kernel, order := make([]float32, k.len()), v.axes[0].places()
		for f := range filters {
			for i := range in {
				for at := range kh * kw {
					to := (at*in+place(order, i))*filters + f
					if depthwise {
						to = at*channels + place(order, f)
					}
					kernel[to] = k.floats[(f*in+i)*kh*kw+at]
				}
			}
		}
		if depthwise {
			c.set(name, "kernel", kernel, kh, kw, channels, 1)
		} else {
			c.set(name, "kernel", kernel, kh, kw, channels, filters)
		}
		if l.Bias {
			c.set(name, "bias", c.ordered(c.vector(2, filters), axes[0]), filters)
		}
	}, v.axes[0].simplified())
	return c.made(l, out, axes)
}

// vector is input i, n constants.
func (c *call) vector(i, n int) []float32 {
	k := c.weights(i)
	if k.len() != n {
		c.damaged("input %d has %d values and not %d", i, k.len(), n)
	}
	return k.values()
}

// gemm is a dense layer: alpha·x·B + beta·C.
func (c *call) gemm() value {
	alpha, beta := c.float("alpha", 1), c.float("beta", 1)
	if c.integer("transA", 0) != 0 {
		c.lack("transA")
	}
	turned := c.integer("transB", 0) != 0
	k := c.weights(1)
	return c.dense(k, turned, alpha, beta, c.has(2))
}

func (c *call) matMul() value {
	if c.input(0).constant != nil {
		c.lack("constants on the left")
	}
	return c.dense(c.weights(1), false, 1, 1, false)
}

func (c *call) dense(k *constant, turned bool, alpha, beta float32, bias bool) value {
	v := c.picture(0)
	layer := c.row(v)
	n := c.shapes[layer][0]
	if len(k.dims) != 2 || k.floats == nil {
		c.lack("weights of %d axes", len(k.dims))
	}
	in, units := k.dims[0], k.dims[1]
	if turned {
		in, units = units, in
	}
	if in != n || units == 0 {
		c.damaged("weights %v for %d values", k.dims, n)
	}
	l := nn.Layer{Op: nn.OpDense, Inputs: []int{layer}, Units: units, Bias: bias}
	c.parameters(&l, func(name string) {
		c.must(c.budget.take(k.len()))
		kernel, order := make([]float32, k.len()), v.axes[0].places()
		for i := range in {
			row := kernel[place(order, i)*units:][:units]
			for u := range row {
				if turned {
					row[u] = alpha * k.floats[u*in+i]
				} else {
					row[u] = alpha * k.floats[i*units+u]
				}
			}
		}
		c.set(name, "kernel", kernel, in, units)
		if bias {
			b := c.weights(2)
			values := b.values()
			if len(values) == 1 {
				values = slices.Repeat(values, units)
			}
			if len(values) != units || len(b.dims) > 0 && b.dims[len(b.dims)-1] != b.len() {
				c.lack("a bias %v for %d units", b.dims, units)
			}
			values = c.ordered(values, nil)
			for i := range values {
				values[i] *= beta
			}
			c.set(name, "bias", values, units)
		}
	}, c.op, turned, alpha, beta, v.axes[0].simplified())
	return c.made(l, []int{units}, []axis{{{units, 1}}})
}

func (c *call) batchNorm() value {
	v := c.picture(0)
	c.ignore("momentum")
	if c.integer("training_mode", 0) != 0 || c.integer("spatial", 1) != 1 || c.integer("is_test", 1) != 1 {
		c.lack("the batch's own statistics, or one for each position")
	}
	if len(v.axes) == 0 {
		c.damaged("its input has no channels")
	}
	layer := c.channels(v, 0)
	n := v.axes[0].size()
	epsilon := float64(c.float("epsilon", 1e-5))
	// Of a float32, the shortest decimal is what was meant: 0.001.
	l := nn.Layer{Op: nn.OpBatchNorm, Inputs: []int{layer}, Epsilon: shortest(epsilon)}
	c.parameters(&l, func(name string) {
		for i, what := range []string{"gamma", "beta", "moving_mean", "moving_variance"} {
			c.set(name, what, c.ordered(c.vector(i+1, n), v.axes[0]), n)
		}
	}, v.axes[0].simplified())
	return c.made(l, c.shapeOf(layer), v.axes)
}

// stride is that of a window, the same both ways.
func (c *call) stride() int {
	strides := c.list("strides")
	for _, d := range c.list("dilations") {
		if d != 1 {
			c.lack("dilations %v", c.list("dilations"))
		}
	}
	if strides == nil {
		return 1
	}
	if len(strides) != 2 || strides[0] != strides[1] {
		c.lack("strides %v", strides)
	}
	if strides[0] < 1 || strides[0] > 1<<20 {
		c.damaged("strides %v", strides)
	}
	return int(strides[0])
}

// window reads how a layer's window pads a map, and gives it that padding: the layer's
// own if that is the same, otherwise a layer before it. It returns the layer to read and
// the rows and columns of the output. up is ONNX's ceil_mode.
func (c *call) window(l *nn.Layer, in, h, w int, up bool) (layer, rows, columns int) {
	var v, u span // vertical, horizontal
	mode := "NOTSET"
	if s := c.attribute("auto_pad"); s != nil && s.text != "" {
		mode = s.text
	}
	pads := c.list("pads")
	switch {
	case mode == "SAME_UPPER" || mode == "SAME_LOWER":
		v, u = same(h, l.Height, l.Stride), same(w, l.Width, l.Stride)
		if mode == "SAME_LOWER" {
			v, u = span{v.after, v.before}, span{u.after, u.before}
		}
		up = false
	case mode == "VALID" || mode == "NOTSET" && pads == nil:
	case mode == "NOTSET" && len(pads) == 4:
		for _, p := range pads {
			if p < 0 || p > 1<<20 {
				c.lack("pads %v", pads)
			}
		}
		v, u = span{int(pads[0]), int(pads[2])}, span{int(pads[1]), int(pads[3])}
	default:
		c.lack("auto_pad %q and pads %v", mode, pads)
	}
	vertical := slide(h, l.Height, l.Stride, v, up)
	horizontal := slide(w, l.Width, l.Stride, u, up)
	if vertical.positions == 0 || horizontal.positions == 0 {
		c.damaged("a window of %d × %d on a map of %d × %d", l.Height, l.Width, h, w)
	}
	rows, columns = vertical.positions, horizontal.positions
	v, u = vertical.span, horizontal.span
	counted := l.Op == nn.OpAveragePool && c.integer("count_include_pad", 0) == 1
	switch {
	case v == span{} && u == span{}:
		return in, rows, columns
	case !counted && v == same(h, l.Height, l.Stride) && u == same(w, l.Width, l.Stride):
		l.Same = true
		return in, rows, columns
	case l.Op == nn.OpAveragePool && (!counted || up):
		c.lack("padding by %v that its means leave out", pads)
	}
	pad := nn.Layer{Op: nn.OpPad, Inputs: []int{in}, Above: v.before, Below: v.after, Left: u.before, Right: u.after, Lowest: l.Op == nn.OpMaxPool}
	shape := c.shapeOf(in)
	shape[0] += v.before + v.after
	shape[1] += u.before + u.after
	c.must(c.emit(pad, shape))
	return len(c.layers) - 1, rows, columns
}

func (c *call) maxPool() value {
	c.ignore("storage_order")
	return c.pool(nn.OpMaxPool)
}

func (c *call) averagePool() value {
	c.ignore("count_include_pad")
	return c.pool(nn.OpAveragePool)
}

func (c *call) pool(op nn.Op) value {
	v := c.picture(0)
	layer, h, w, channels := c.image(v)
	size := c.list("kernel_shape")
	if len(size) != 2 || size[0] < 1 || size[1] < 1 || size[0] > 1<<20 {
		c.damaged("a window of %v", size)
	}
	if size[0] != size[1] {
		if size[0] == int64(h) && size[1] == int64(w) { // the whole map
			c.ignore("auto_pad", "strides", "dilations", "ceil_mode")
			for _, p := range c.list("pads") {
				if p != 0 {
					c.lack("a window of %v", size)
				}
			}
			whole := nn.OpGlobalMaxPool
			if op == nn.OpAveragePool {
				whole = nn.OpGlobalAveragePool
			}
			return c.made(nn.Layer{Op: whole, Inputs: []int{layer}}, []int{channels}, []axis{v.axes[0], nil, nil})
		}
		c.lack("a window of %v", size)
	}
	l := nn.Layer{Op: op, Height: int(size[0]), Width: int(size[1]), Stride: c.stride()}
	layer, rows, columns := c.window(&l, layer, h, w, c.integer("ceil_mode", 0) != 0)
	l.Inputs = []int{layer}
	axes := nchw(rows, columns, channels)
	axes[0] = v.axes[0]
	return c.made(l, []int{rows, columns, channels}, axes)
}

// global pools all axes but the channels'.
func global(op nn.Op) func(*call) value {
	return func(c *call) value {
		v := c.picture(0)
		var axes []int
		for j := 1; j < len(v.axes); j++ {
			axes = append(axes, j)
		}
		return c.poolAxes(op, v, axes, true)
	}
}

// reduce pools the axes that a node names, all if none.
func reduce(op nn.Op) func(*call) value {
	return func(c *call) value {
		v := c.picture(0)
		list, given := c.listOrInput("axes", 1)
		c.ignore("noop_with_empty_axes")
		if !given || len(list) == 0 {
			c.lack("no axes named")
		}
		return c.poolAxes(op, v, c.innerAxes(list, len(v.axes)+1), c.integer("keepdims", 1) != 0)
	}
}

func (c *call) poolAxes(op nn.Op, v value, pooled []int, keep bool) value {
	channel, positions := -1, 1
	var after []axis
	for j, a := range v.axes {
		switch {
		case slices.Contains(pooled, j):
			positions *= a.size()
			if keep {
				after = append(after, nil)
			}
			continue
		case channel >= 0 && a.size() > 1 && v.axes[channel].size() > 1:
			c.lack("axes %v of %d", pooled, len(v.axes)+1)
		case channel < 0 || a.size() > 1:
			channel = j
		}
		after = append(after, a)
	}
	if positions == 1 {
		v.axes = after
		return v
	}
	if channel < 0 {
		c.lack("all axes")
	}
	layer, n := c.channels(v, channel), v.axes[channel].size()
	return c.made(nn.Layer{Op: op, Inputs: []int{layer}}, []int{n}, after)
}

// function is an operator that changes each value by itself.
func function(op nn.Op) func(*call) value {
	return func(c *call) value { return c.each(c.picture(0), nn.Layer{Op: op}) }
}

// each applies a layer to each value by itself.
func (c *call) each(v value, l nn.Layer) value {
	l.Inputs = []int{v.layer}
	return c.made(l, c.shapeOf(v.layer), v.axes)
}

func (c *call) leakyReLU() value {
	return c.each(c.picture(0), nn.Layer{Op: nn.OpLeakyReLU, Slope: shortest(float64(c.float("alpha", 0.01)))})
}

func (c *call) pReLU() value {
	slopes := c.weights(1).values()
	if len(slopes) == 0 {
		c.damaged("it has no slopes")
	}
	for _, s := range slopes {
		if s != slopes[0] {
			c.lack("a slope for each channel")
		}
	}
	return c.each(c.picture(0), nn.Layer{Op: nn.OpLeakyReLU, Slope: shortest(float64(slopes[0]))})
}

func (c *call) softmax() value {
	v := c.picture(0)
	otherwise := int64(-1)
	if c.model.opset < 13 {
		otherwise = 1
	}
	j := c.axisAt(c.integer("axis", otherwise), len(v.axes)+1) - 1
	if j < 0 {
		c.lack("axis 0, the batch's")
	}
	if c.model.opset < 13 && flat(v.axes[j:]).size() != v.axes[j].size() {
		c.lack("several axes")
	}
	v.layer = c.channels(v, j)
	return c.each(v, nn.Layer{Op: nn.OpSoftmax})
}

// clip is min(max(x, low), high).
func (c *call) clip() value {
	v := c.picture(0)
	low, high := float32(-math.MaxFloat32), float32(math.MaxFloat32)
	if c.model.opset < 11 {
		low, high = c.float("min", low), c.float("max", high)
	} else {
		if c.has(1) {
			low = c.number(1)
		}
		if c.has(2) {
			high = c.number(2)
		}
	}
	below, above := low > -math.MaxFloat32, high < math.MaxFloat32
	switch {
	case !below && !above:
		return v
	case !above: // low + ReLU(x − low)
		v = c.affine(v, 1, -low)
		return c.affine(c.each(v, nn.Layer{Op: nn.OpReLU}), 1, low)
	case !below: // high − ReLU(high − x)
		v = c.affine(v, -1, high)
		return c.affine(c.each(v, nn.Layer{Op: nn.OpReLU}), -1, high)
	case !(low < high):
		c.lack("bounds %v and %v", low, high)
	}
	// ReLU6 is the one with two bounds: it is stretched over others.
	stretch := 6 / (high - low)
	v = c.affine(v, stretch, -low*stretch)
	return c.affine(c.each(v, nn.Layer{Op: nn.OpReLU6}), 1/stretch, low)
}

// hardSigmoid is max(0, min(1, alpha·x + beta)) = ReLU6(6·alpha·x + 6·beta)/6.
func (c *call) hardSigmoid() value {
	return c.hard(c.picture(0), c.float("alpha", 0.2), c.float("beta", 0.5))
}

func (c *call) hard(v value, alpha, beta float32) value {
	v.sole = false // the value itself may be needed beside
	v = c.affine(v, 6*alpha, 6*beta)
	return c.affine(c.each(v, nn.Layer{Op: nn.OpReLU6}), 1./6, 0)
}

// hardSwish is x·max(0, min(1, x/6 + 1/2)).
func (c *call) hardSwish() value {
	v := c.picture(0)
	gate := c.hard(v, 1./6, 0.5)
	return c.made(nn.Layer{Op: nn.OpMultiply, Inputs: []int{v.layer, gate.layer}}, c.shapeOf(v.layer), v.axes)
}

func (c *call) dropout() value {
	v := c.input(0)
	c.ignore("seed")
	rate := float64(c.float("ratio", 0.5))
	if c.has(1) {
		rate = float64(c.number(1))
	}
	if v.constant != nil || !(rate > 0 && rate < 1) {
		return v
	}
	return c.each(v, nn.Layer{Op: nn.OpDropout, Rate: shortest(rate)})
}

// pad puts zeros or the lowest number around a map.
func (c *call) pad() value {
	v := c.picture(0)
	if s := c.attribute("mode"); s != nil && s.text != "constant" && s.text != "" {
		c.lack("mode %q", s.text)
	}
	pads, _ := c.listOrInput("pads", 1)
	fill := c.float("value", 0)
	if c.has(2) {
		fill = c.number(2)
	}
	if fill != 0 && fill > -math.MaxFloat32 {
		c.lack("a value of %v", fill)
	}
	rank := len(v.axes) + 1
	padded := make([]int, rank)
	for i := range padded {
		padded[i] = i
	}
	if c.has(3) {
		padded = nil
		for _, at := range c.integers(3) {
			padded = append(padded, c.axisAt(at, rank))
		}
	}
	if len(pads) != 2*len(padded) {
		c.damaged("%d pads for %d axes", len(pads), len(padded))
	}
	var of [maxRank + 1]span
	for i, at := range padded {
		before, after := pads[i], pads[i+len(padded)]
		if before < 0 || after < 0 || before > 1<<20 || after > 1<<20 {
			c.lack("pads %v", pads)
		}
		of[at] = span{int(before), int(after)}
	}
	if of == [maxRank + 1]span{} {
		return v
	}
	// Whether axes are [c h w] or [h w c], rows and columns are what our layer has as such.
	turn := []int{0, 1, 2}
	if len(v.axes) == 3 && !v.axes[0].innermost() && v.axes[2].innermost() {
		turn = []int{2, 0, 1}
	}
	if len(v.axes) == 3 {
		v.axes = []axis{v.axes[turn[0]], v.axes[turn[1]], v.axes[turn[2]]}
	}
	layer, h, w, channels := c.image(v)
	batch, depth, vertical, horizontal := of[0], of[1+turn[0]], of[1+turn[1]], of[1+turn[2]]
	if batch != (span{}) || depth != (span{}) {
		c.lack("pads %v, of channels", pads)
	}
	l := nn.Layer{Op: nn.OpPad, Inputs: []int{layer}, Lowest: fill != 0,
		Above: vertical.before, Below: vertical.after, Left: horizontal.before, Right: horizontal.after}
	h, w = h+l.Above+l.Below, w+l.Left+l.Right
	axes := nchw(h, w, channels)
	axes[0] = v.axes[0]
	back := make([]axis, 3)
	for i, from := range turn {
		back[from] = axes[i]
	}
	return c.made(l, []int{h, w, channels}, back)
}

// concat puts values one after another along their channels, or joins lists of sizes.
func (c *call) concat() value {
	at := c.integer("axis", 1)
	first := c.input(0)
	if first.constant != nil {
		return c.concatConstants()
	}
	if len(c.inputs) == 1 {
		return first
	}
	j := c.axisAt(at, len(first.axes)+1) - 1
	if j < 0 {
		c.lack("axis 0, the batch's")
	}
	l := nn.Layer{Op: nn.OpConcat}
	var shape []int
	depth := 0
	for i := range c.inputs {
		v := c.picture(i)
		if len(v.axes) != len(first.axes) {
			c.damaged("input %d has %d axes", i, len(v.axes)+1)
		}
		layer := c.channels(v, j)
		if !v.axes[j].inOrder() {
			c.lack("channels in another order")
		}
		s := c.shapeOf(layer)
		n := s[len(s)-1]
		for k, a := range v.axes { // the others' strides, counted in positions
			if k != j && !perPosition(a, n).equal(perPosition(first.axes[k], first.axes[j].size())) {
				c.lack("values in different orders")
			}
		}
		if i > 0 {
			if tensor.Len(s)/n != tensor.Len(shape)/shape[len(shape)-1] {
				c.lack("values of %s and %s", tensor.ShapeString(shape), tensor.ShapeString(s))
			}
			s = append(slices.Clone(shape[:len(shape)-1]), n)
			layer = c.shaped(layer, s)
		}
		shape = s
		depth += n
		l.Inputs = append(l.Inputs, layer)
	}
	axes := make([]axis, len(first.axes))
	for k, a := range first.axes {
		axes[k] = perPosition(a, first.axes[j].size())
		for i := range axes[k] {
			axes[k][i].stride *= depth
		}
	}
	axes[j] = axis{{depth, 1}}
	shape[len(shape)-1] = depth
	return c.made(l, shape, axes)
}

// perPosition is an axis with its strides in positions of a map of the given channels.
func perPosition(a axis, channels int) axis {
	var all axis
	for _, f := range a.simplified() {
		all = append(all, factor{f.size, f.stride / channels})
	}
	return all
}
