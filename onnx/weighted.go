package onnx

import (
	"slices"

	"garb/nn"
)

// readConv reads a convolution over all channels, over each by itself, or over groups of several,
// whose channels it first puts in order.
func (c *call) readConv() (value, error) {
	k, err := c.constantInput(1)
	if err != nil {
		return value{}, err
	}
	v, err := c.pictureInput(0)
	if err != nil {
		return value{}, err
	}
	layer, h, w, channels, err := c.asMap(v)
	if err != nil {
		return value{}, err
	}
	groups, err := c.countGroups(k, channels)
	if err != nil {
		return value{}, err
	}
	filters, in, kh, kw := k.dims[0], k.dims[1], k.dims[2], k.dims[3]
	if groups > 1 && in > 1 {
		if v, err = c.sortChannels(v, 0); err != nil {
			return value{}, err
		}
		if layer, _, _, _, err = c.asMap(v); err != nil {
			return value{}, err
		}
	}
	if shape := c.listAttribute("kernel_shape"); shape != nil && !slices.Equal(shape, []int64{int64(kh), int64(kw)}) {
		return value{}, c.errDamaged("its kernel is %d × %d, and its kernel_shape %v", kh, kw, shape)
	}
	l := nn.Layer{Op: nn.OpConv, Units: filters, Height: kh, Width: kw, Bias: c.hasInput(2)}
	if err = c.readStrides(&l); err != nil {
		return value{}, err
	}
	layer, rows, columns, err := c.readPadding(&l, layer, h, w, false)
	if err != nil {
		return value{}, err
	}
	l.Inputs = []int{layer}
	axes := nchw(rows, columns, filters)
	if groups > 1 && in == 1 { // a filter stays with its channel, wherever that lies
		axes[0] = v.axes[0].spread(filters / groups)
	}
	shape := setGroups(&l, k, groups)
	err = c.makeParameters(&l, func(name string) error {
		if err = c.budget.take(k.len()); err != nil {
			return err
		}
		c.setParameter(name, "kernel", orderKernel(k, groups, v.axes[0].places()), shape...)
		if !l.Bias {
			return nil
		}
		return c.setVector(name, "bias", 2, filters, axes[0])
	}, groups, v.axes[0].simplify())
	if err != nil {
		return value{}, err
	}
	return c.addLayer(l, []int{rows, columns, filters}, axes)
}

// countGroups returns the number of groups of a convolution with kernel k over so many channels.
func (c *call) countGroups(k *constant, channels int) (int, error) {
	if len(k.dims) != 4 || k.floats == nil {
		return 0, c.errUnsupported("a kernel of %d axes", len(k.dims))
	}
	filters, in := k.dims[0], k.dims[1]
	n := c.integerAttribute("group", 1)
	if k.len() == 0 || n < 1 || n > int64(channels) || in*int(n) != channels || filters%int(n) != 0 {
		return 0, c.errDamaged("a kernel %v in %d groups for %d channels", k.dims, n, channels)
	}
	return int(n), nil
}

// setGroups sets the groups of a convolution with an ONNX kernel k, or makes it a depthwise one, and
// returns the shape of its own kernel.
func setGroups(l *nn.Layer, k *constant, groups int) (shape []int) {
	filters, in, kh, kw := k.dims[0], k.dims[1], k.dims[2], k.dims[3]
	switch {
	case groups > 1 && groups == filters && in == 1:
		l.Op, l.Units = nn.OpDepthwiseConv, 0
		return []int{kh, kw, filters, 1}
	case groups > 1:
		l.Groups = groups
	}
	return []int{kh, kw, in, filters}
}

// orderKernel returns the weights of an ONNX kernel [filters in h w] as [h w in filters], for
// channels at the places that order lists.
func orderKernel(k *constant, groups int, order []int) []float32 {
	filters, in, taps := k.dims[0], k.dims[1], k.dims[2]*k.dims[3]
	each := filters / groups
	kernel := make([]float32, k.len())
	for f := range filters {
		place := f
		if groups > 1 && in == 1 { // a filter stays with its channel
			place = placeAt(order, f/each)*each + f%each
		}
		for i := range in {
			from := (f*in + i) * taps
			channel := i
			if groups == 1 {
				channel = placeAt(order, i)
			}
			for tap := range taps {
				kernel[(tap*in+channel)*filters+place] = k.floats[from+tap]
			}
		}
	}
	return kernel
}

// setVector stores input i, n constants, as a parameter of a layer whose channels lie along an
// axis.
func (c *call) setVector(layer, name string, i, n int, along axis) error {
	values, err := c.numberInputs(i)
	if err != nil {
		return err
	}
	if len(values) != n {
		return c.errDamaged("input %d has %d values and not %d", i, len(values), n)
	}
	if values, err = c.orderValues(values, along); err != nil {
		return err
	}
	c.setParameter(layer, name, values, n)
	return nil
}

// readGemm reads a dense layer: alpha·x·B + beta·C.
func (c *call) readGemm() (value, error) {
	alpha, beta := c.floatAttribute("alpha", 1), c.floatAttribute("beta", 1)
	if c.integerAttribute("transA", 0) != 0 {
		return value{}, c.errUnsupported("transA")
	}
	transposed := c.integerAttribute("transB", 0) != 0
	k, err := c.constantInput(1)
	if err != nil {
		return value{}, err
	}
	return c.readDense(denseWeights{k: k, transposed: transposed, alpha: alpha, beta: beta, bias: c.hasInput(2)})
}

func (c *call) readMatMul() (value, error) {
	k, err := c.constantInput(1)
	if err != nil {
		return value{}, err
	}
	return c.readDense(denseWeights{k: k, alpha: 1})
}

// denseWeights are the weights of a dense layer: alpha·k, or alpha·kᵀ, and if there is a bias,
// beta times input 2.
type denseWeights struct {
	k                *constant
	transposed, bias bool
	alpha, beta      float32
}

// countUnits returns the number of units of a dense layer that reads so many values.
func (c *call) countUnits(w denseWeights, values int) (int, error) {
	if len(w.k.dims) != 2 || w.k.floats == nil {
		return 0, c.errUnsupported("weights of %d axes", len(w.k.dims))
	}
	in, units := w.k.dims[0], w.k.dims[1]
	if w.transposed {
		in, units = units, in
	}
	if in != values || units == 0 {
		return 0, c.errDamaged("weights %v for %d values", w.k.dims, values)
	}
	return units, nil
}

func (c *call) readDense(w denseWeights) (value, error) {
	v, err := c.pictureInput(0)
	if err != nil {
		return value{}, err
	}
	last := len(v.axes) - 1
	var layer int
	if c.op == "MatMul" && last > 0 { // it multiplies the last axis, whatever comes before
		layer, err = c.withChannelsLast(v, last)
	} else {
		layer, err = c.asRow(v)
	}
	if err != nil {
		return value{}, err
	}
	shape := c.copyShape(layer)
	n := shape[len(shape)-1]
	units, err := c.countUnits(w, n)
	if err != nil {
		return value{}, err
	}
	l, kernelShape := nn.Layer{Op: nn.OpDense, Inputs: []int{layer}, Units: units, Bias: w.bias}, []int{n, units}
	if len(shape) == 3 {
		l.Op, l.Height, l.Width, l.Stride = nn.OpConv, 1, 1, 1
		kernelShape = []int{1, 1, n, units}
	}
	err = c.makeParameters(&l, func(name string) error {
		if err = c.budget.take(w.k.len()); err != nil {
			return err
		}
		c.setParameter(name, "kernel", w.kernel(n, units, v.axes[last].places()), kernelShape...)
		if !w.bias {
			return nil
		}
		return c.setBias(name, units, w.beta)
	}, c.op, w.transposed, w.alpha, w.beta, v.axes[last].simplify())
	if err != nil {
		return value{}, err
	}
	return c.addLayer(l, append(shape[:len(shape)-1], units), replaceChannels(v.axes, last, n, units))
}

// kernel returns the weights as [in units], for values at the places that order lists.
func (w denseWeights) kernel(in, units int, order []int) []float32 {
	kernel := make([]float32, w.k.len())
	for i := range in {
		row := kernel[placeAt(order, i)*units:][:units]
		for u := range row {
			if w.transposed {
				row[u] = w.alpha * w.k.floats[u*in+i]
			} else {
				row[u] = w.alpha * w.k.floats[i*units+u]
			}
		}
	}
	return kernel
}

// setBias stores input 2, times a factor, as the bias of a dense layer.
func (c *call) setBias(layer string, units int, factor float32) error {
	b, err := c.constantInput(2)
	if err != nil {
		return err
	}
	values, err := c.toFloats(b)
	if err != nil {
		return err
	}
	if len(values) == 1 {
		values = slices.Repeat(values, units)
	}
	if len(values) != units || len(b.dims) > 0 && b.dims[len(b.dims)-1] != b.len() {
		return c.errUnsupported("a bias %v for %d units", b.dims, units)
	}
	if values, err = c.orderValues(values, nil); err != nil {
		return err
	}
	for i := range values {
		values[i] *= factor
	}
	c.setParameter(layer, "bias", values, units)
	return nil
}

func (c *call) readBatchNorm() (value, error) {
	v, err := c.pictureInput(0)
	if err != nil {
		return value{}, err
	}
	if c.integerAttribute("training_mode", 0) != 0 || c.integerAttribute("spatial", 1) != 1 ||
		c.integerAttribute("is_test", 1) != 1 {
		return value{}, c.errUnsupported("the batch's own statistics, or one for each position")
	}
	if len(v.axes) == 0 {
		return value{}, c.errDamaged("its input has no channels")
	}
	layer, err := c.withChannelsLast(v, 0)
	if err != nil {
		return value{}, err
	}
	n := v.axes[0].size()
	epsilon := float64(c.floatAttribute("epsilon", 1e-5))
	// The file has 0.001 as a float32; the shortest decimal restores it.
	l := nn.Layer{Op: nn.OpBatchNorm, Inputs: []int{layer}, Epsilon: shortestDecimal(epsilon)}
	err = c.makeParameters(&l, func(name string) error {
		for i, parameter := range []string{"gamma", "beta", "moving_mean", "moving_variance"} {
			if err = c.setVector(name, parameter, i+1, n, v.axes[0]); err != nil {
				return err
			}
		}
		return nil
	}, v.axes[0].simplify())
	if err != nil {
		return value{}, err
	}
	return c.addLayer(l, c.copyShape(layer), v.axes)
}
