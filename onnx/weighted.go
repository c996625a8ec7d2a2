package onnx

import (
	"slices"

	"garb/nn"
	"garb/tensor"
)

// conv is a convolution over all channels, over each by itself, or over groups of several,
// whose channels are put in order for it.
func (c *call) conv() (value, error) {
	k, err := c.weights(1)
	if err != nil {
		return value{}, err
	}
	v, err := c.picture(0)
	if err != nil {
		return value{}, err
	}
	layer, h, w, channels, err := c.image(v)
	if err != nil {
		return value{}, err
	}
	if len(k.dims) != 4 || k.floats == nil {
		return value{}, c.lack("a kernel of %d axes", len(k.dims))
	}
	filters, in, kh, kw := k.dims[0], k.dims[1], k.dims[2], k.dims[3]
	group := c.integer("group", 1)
	if k.len() == 0 || group < 1 || group > int64(channels) || in*int(group) != channels || filters%int(group) != 0 {
		return value{}, c.damaged("a kernel %v in %d groups for %d channels", k.dims, group, channels)
	}
	groups, each := int(group), filters/int(group)
	if groups > 1 && in > 1 {
		if v, err = c.straightened(v, 0); err != nil {
			return value{}, err
		}
		if layer, _, _, _, err = c.image(v); err != nil {
			return value{}, err
		}
	}
	if shape := c.list("kernel_shape"); shape != nil && !slices.Equal(shape, []int64{int64(kh), int64(kw)}) {
		return value{}, c.damaged("its kernel is %d × %d, and its kernel_shape %v", kh, kw, shape)
	}
	l := nn.Layer{Op: nn.OpConv, Units: filters, Height: kh, Width: kw, Bias: c.has(2)}
	if err := c.steps(&l); err != nil {
		return value{}, err
	}
	layer, rows, columns, err := c.window(&l, layer, h, w, false)
	if err != nil {
		return value{}, err
	}
	l.Inputs = []int{layer}
	out := []int{rows, columns, filters}
	axes := nchw(rows, columns, filters)
	// What follows says which channels a filter's weights are for, and where the filter is.
	order := v.axes[0].places()
	shape := []int{kh, kw, in, filters}
	from := func(f, i int) int { return i }
	to := func(f int) int { return f }
	switch {
	case groups == 1:
		from = func(_, i int) int { return place(order, i) }
	case in == 1:
		// A filter stays with its channel, wherever that lies.
		to = func(f int) int { return place(order, f/each)*each + f%each }
		axes[0] = v.axes[0].spread(each)
		if l.Groups = groups; each == 1 {
			l.Op, l.Units, l.Groups = nn.OpDepthwiseConv, 0, 0
			shape = []int{kh, kw, channels, 1}
		}
	default:
		l.Groups = groups
	}
	err = c.parameters(&l, func(name string) error {
		size := tensor.Len(shape)
		if err := c.budget.take(size); err != nil {
			return err
		}
		kernel := make([]float32, size)
		for f := range filters {
			for i := range in {
				at := from(f, i)*filters + to(f)
				for tap := range kh * kw {
					kernel[tap*size/(kh*kw)+at] = k.floats[(f*in+i)*kh*kw+tap]
				}
			}
		}
		c.set(name, "kernel", kernel, shape...)
		if !l.Bias {
			return nil
		}
		return c.vector(name, "bias", 2, filters, axes[0])
	}, groups, v.axes[0].simplified())
	if err != nil {
		return value{}, err
	}
	return c.made(l, out, axes)
}

// vector keeps input i, n constants, as a parameter of a layer whose channels lie along an
// axis.
func (c *call) vector(layer, name string, i, n int, along axis) error {
	values, err := c.numbers(i)
	if err != nil {
		return err
	}
	if len(values) != n {
		return c.damaged("input %d has %d values and not %d", i, len(values), n)
	}
	if values, err = c.ordered(values, along); err != nil {
		return err
	}
	c.set(layer, name, values, n)
	return nil
}

// gemm is a dense layer: alpha·x·B + beta·C.
func (c *call) gemm() (value, error) {
	alpha, beta := c.float("alpha", 1), c.float("beta", 1)
	if c.integer("transA", 0) != 0 {
		return value{}, c.lack("transA")
	}
	turned := c.integer("transB", 0) != 0
	k, err := c.weights(1)
	if err != nil {
		return value{}, err
	}
	return c.dense(k, turned, alpha, beta, c.has(2))
}

func (c *call) matMul() (value, error) {
	k, err := c.weights(1)
	if err != nil {
		return value{}, err
	}
	return c.dense(k, false, 1, 1, false)
}

func (c *call) dense(k *constant, turned bool, alpha, beta float32, bias bool) (value, error) {
	v, err := c.picture(0)
	if err != nil {
		return value{}, err
	}
	last := len(v.axes) - 1
	onMap := c.op == "MatMul" && last > 0 // which multiplies the last axis, whatever comes before
	var layer int
	if onMap {
		layer, err = c.channels(v, last)
	} else {
		layer, err = c.row(v)
	}
	if err != nil {
		return value{}, err
	}
	shape := c.shapeOf(layer)
	n := shape[len(shape)-1]
	if len(k.dims) != 2 || k.floats == nil {
		return value{}, c.lack("weights of %d axes", len(k.dims))
	}
	in, units := k.dims[0], k.dims[1]
	if turned {
		in, units = units, in
	}
	if in != n || units == 0 {
		return value{}, c.damaged("weights %v for %d values", k.dims, n)
	}
	l, kernelShape := nn.Layer{Op: nn.OpDense, Inputs: []int{layer}, Units: units, Bias: bias}, []int{in, units}
	if len(shape) == 3 {
		l.Op, l.Height, l.Width, l.Stride = nn.OpConv, 1, 1, 1
		kernelShape = []int{1, 1, in, units}
	}
	err = c.parameters(&l, func(name string) error {
		if err := c.budget.take(k.len()); err != nil {
			return err
		}
		kernel, order := make([]float32, k.len()), v.axes[last].places()
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
		c.set(name, "kernel", kernel, kernelShape...)
		if bias {
			b, err := c.weights(2)
			if err != nil {
				return err
			}
			values, err := c.valuesOf(b)
			if err != nil {
				return err
			}
			if len(values) == 1 {
				values = slices.Repeat(values, units)
			}
			if len(values) != units || len(b.dims) > 0 && b.dims[len(b.dims)-1] != b.len() {
				return c.lack("a bias %v for %d units", b.dims, units)
			}
			if values, err = c.ordered(values, nil); err != nil {
				return err
			}
			for i := range values {
				values[i] *= beta
			}
			c.set(name, "bias", values, units)
		}
		return nil
	}, c.op, turned, alpha, beta, v.axes[last].simplified())
	if err != nil {
		return value{}, err
	}
	return c.made(l, append(shape[:len(shape)-1], units), withChannels(v.axes, last, n, units))
}

func (c *call) batchNorm() (value, error) {
	v, err := c.picture(0)
	if err != nil {
		return value{}, err
	}
	if c.integer("training_mode", 0) != 0 || c.integer("spatial", 1) != 1 || c.integer("is_test", 1) != 1 {
		return value{}, c.lack("the batch's own statistics, or one for each position")
	}
	if len(v.axes) == 0 {
		return value{}, c.damaged("its input has no channels")
	}
	layer, err := c.channels(v, 0)
	if err != nil {
		return value{}, err
	}
	n := v.axes[0].size()
	epsilon := float64(c.float("epsilon", 1e-5))
	// Of a float32, the shortest decimal is what was meant: 0.001.
	l := nn.Layer{Op: nn.OpBatchNorm, Inputs: []int{layer}, Epsilon: shortest(epsilon)}
	err = c.parameters(&l, func(name string) error {
		for i, what := range []string{"gamma", "beta", "moving_mean", "moving_variance"} {
			if err := c.vector(name, what, i+1, n, v.axes[0]); err != nil {
				return err
			}
		}
		return nil
	}, v.axes[0].simplified())
	if err != nil {
		return value{}, err
	}
	return c.made(l, c.shapeOf(layer), v.axes)
}
