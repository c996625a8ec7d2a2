package onnx

import (
	"slices"

	"garb/nn"
)

// conv is a convolution over all channels, or over each by itself. Over groups of several
// it is one over all, whose weights between groups are zero.
func (c *call) conv() value {
	k := c.weights(1)
	v := c.picture(0)
	layer, h, w, channels := c.image(v)
	if len(k.dims) != 4 || k.floats == nil {
		c.lack("a kernel of %d axes", len(k.dims))
	}
	filters, in, kh, kw := k.dims[0], k.dims[1], k.dims[2], k.dims[3]
	group := c.integer("group", 1)
	if k.len() == 0 || group < 1 || group > int64(channels) || in*int(group) != channels || filters%int(group) != 0 {
		c.damaged("a kernel %v in %d groups for %d channels", k.dims, group, channels)
	}
	depthwise := group > 1 && in == 1 && filters == channels
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
		size := kh * kw * channels * filters
		if depthwise {
			size = k.len()
		}
		c.must(c.budget.take(size))
		kernel, order := make([]float32, size), v.axes[0].places()
		for f := range filters {
			for i := range in {
				from := place(order, f/(filters/int(group))*in+i)
				for at := range kh * kw {
					to := (at*channels+from)*filters + f
					if depthwise {
						to = at*channels + from
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
