package keras

import (
	"fmt"
	"math"
	"slices"

	"garb/nn"
	"garb/tensor"
)

// takeVariable uses a variable of the layer as a parameter, with so many axes of 1 before its own.
func (a *application) takeVariable(variable, parameterName string, axes int) {
	for _, v := range a.layer.Variables {
		if v.Name == variable {
			shape := append(slices.Repeat([]int{1}, axes), v.Shape()...)
			a.parameters[parameterName] = parameter{variable: v, shape: shape}
		}
	}
}

// setComputed sets a parameter with one number per channel, unless it exists.
func (a *application) setComputed(parameterName string, channels int, values func() []float64) {
	if _, known := a.parameters[parameterName]; known || a.err != nil {
		return
	}
	if a.computed += channels; channels > maxListed || a.computed > maxComputed {
		a.fail(malformed("layer %q has %d channels with parameters that are not in the file; that is too many",
			a.place, channels))
		return
	}
	narrow := make([]float32, channels)
	for i, v := range values() {
		narrow[i] = float32(v)
	}
	a.parameters[parameterName] = parameter{values: narrow, shape: []int{channels}}
}

// applyConvolution applies convolutions of all kinds. A separable one becomes a depthwise and a
// pointwise one.
func (a *application) applyConvolution(x int) int {
	height, width := a.getPair("kernel_size", [2]int{})
	if a.get("kernel_size") == nil {
		a.refuse("kernel_size", "one or two whole numbers from 1 on")
	}
	l := nn.Layer{Height: height, Width: width, Same: a.getSamePadding()}
	l.SetStrides(a.getPair("strides", [2]int{1, 1}))
	l.SetDilations(a.getPair("dilation_rate", [2]int{1, 1}))
	if a.class == "Conv2D" {
		l.Op, l.Units, l.Groups = nn.OpConv, a.getCount("filters"), 1
		if a.get("groups") != nil {
			l.Groups = a.getCount("groups")
		}
		return a.putConvolution(l, "", "kernel", a.getFlag("use_bias", true), x)
	}
	a.checkOne("groups")
	l.Op = nn.OpDepthwiseConv
	if a.get("depth_multiplier") != nil {
		if n := a.getCount("depth_multiplier"); n > 1 { // filters per channel
			l.Op, l.Groups = nn.OpConv, a.shapes[x][len(a.shapes[x])-1]
			l.Units = n * l.Groups
		}
	}
	if a.class == "DepthwiseConv2D" {
		return a.putConvolution(l, "", "depthwise_kernel", a.getFlag("use_bias", true), x)
	}
	x = a.putConvolution(l, "/depthwise", "depthwise_kernel", false, x)
	l = nn.Layer{Op: nn.OpConv, Units: a.getCount("filters"), Height: 1, Width: 1, Stride: 1}
	return a.putConvolution(l, "/pointwise", "pointwise_kernel", a.getFlag("use_bias", true), x)
}

// putConvolution emits one convolution, named after the layer and its part.
func (a *application) putConvolution(l nn.Layer, suffix, kernel string, bias bool, x int) int {
	l.Name, l.Bias = a.reserveName(a.place+suffix, part{a.layer, suffix}), bias
	a.takeVariable(kernel, l.Name+"/kernel", 0)
	p, ok := a.parameters[l.Name+"/kernel"]
	if ok && kernel == "depthwise_kernel" && l.Op == nn.OpConv && len(p.shape) == 4 {
		// In Keras the filters of a channel are the last axis.
		p.shape = []int{p.shape[0], p.shape[1], 1, p.shape[2] * p.shape[3]}
		a.parameters[l.Name+"/kernel"] = p
	}
	if bias {
		a.takeVariable("bias", l.Name+"/bias", 0)
	}
	return a.put(l, x)
}

// part is the owner of a name: a layer may consist of several parts.
type part struct {
	layer *Layer
	part  string
}

// applyDense multiplies the last axis. On a feature map it is a 1×1 convolution.
func (a *application) applyDense(x int) int {
	l := nn.Layer{Op: nn.OpDense, Units: a.getCount("units"), Bias: a.getFlag("use_bias", true)}
	axes := 0
	if len(a.shapes[x]) == 3 {
		l.Op, l.Height, l.Width, l.Stride, axes = nn.OpConv, 1, 1, 1, 2
	}
	// A layer that is called on both has its kernel in two shapes.
	l.Name = a.reserveName(a.place, part{a.layer, string(l.Op)})
	a.takeVariable("kernel", l.Name+"/kernel", axes)
	a.takeVariable("bias", l.Name+"/bias", 0)
	return a.put(l, x)
}

func (a *application) applyBatchNorm(x int) int {
	shape := a.shapes[x]
	a.checkLastAxis(len(shape))
	if a.getFlag("renorm", false) {
		a.refuse("renorm", "normalization without it")
	}
	l := a.newNorm(nn.OpBatchNorm, shape[len(shape)-1])
	l.Momentum = a.getMomentum()
	for _, name := range []string{"moving_mean", "moving_variance"} {
		a.takeVariable(name, l.Name+"/"+name, 0)
	}
	return a.put(l, x)
}

// newNorm returns a normalization with its epsilon, gamma and beta; a missing gamma is ones, a
// missing beta zeros.
func (a *application) newNorm(op nn.Op, channels int) nn.Layer {
	l := nn.Layer{Op: op, Name: a.reserveName(a.place, part{a.layer, ""}), Epsilon: a.getNumber("epsilon", 1e-3)}
	if !(l.Epsilon >= 0 && l.Epsilon < 1e6) {
		a.refuse("epsilon", "0 or more")
	}
	for _, name := range []string{"gamma", "beta"} {
		a.takeVariable(name, l.Name+"/"+name, 0)
	}
	if !a.getFlag("scale", true) {
		a.setComputed(l.Name+"/gamma", channels, func() []float64 { return slices.Repeat([]float64{1}, channels) })
	}
	if !a.getFlag("center", true) {
		a.setComputed(l.Name+"/beta", channels, func() []float64 { return nil })
	}
	return l
}

func (a *application) applyLayerNorm(x int) int {
	shape := a.shapes[x]
	if a.getFlag("rms_scaling", false) {
		a.refuse("rms_scaling", "false")
	}
	if len(shape) == 3 && a.coversAllAxes() {
		return a.applyWholeNorm(x)
	}
	a.checkLastAxis(len(shape))
	return a.put(a.newNorm(nn.OpLayerNorm, shape[len(shape)-1]), x)
}

// coversAllAxes reports whether the axis is all three axes of a map in order.
func (a *application) coversAllAxes() bool {
	list, _ := a.get("axis").([]any)
	for i, v := range list {
		if v != float64(i+1) && v != float64(i-3) {
			return false
		}
	}
	return len(list) == 3
}

// applyWholeNorm normalizes a map by the mean and variance of all its values, each with its own
// gamma and beta: the values become the channels of a flat one.
func (a *application) applyWholeNorm(x int) int {
	shape := a.shapes[x]
	flat := a.put(nn.Layer{Op: nn.OpFlatten}, x)
	l := a.newNorm(nn.OpLayerNorm, tensor.Len(shape))
	for _, name := range []string{l.Name + "/gamma", l.Name + "/beta"} {
		if p := a.parameters[name]; slices.Equal(p.shape, shape) {
			p.shape = []int{tensor.Len(shape)}
			a.parameters[name] = p
		}
	}
	return a.put(nn.Layer{Op: nn.OpReshape, Shape: slices.Clone(shape)}, a.put(l, flat))
}

// applyGroupNorm applies a GroupNormalization; −1 groups means as many as channels.
func (a *application) applyGroupNorm(x int) int {
	shape := a.shapes[x]
	a.checkLastAxis(len(shape))
	l := a.newNorm(nn.OpGroupNorm, shape[len(shape)-1])
	l.Groups = 32
	switch v := a.get("groups"); {
	case v == -1.0:
		l.Groups = shape[len(shape)-1]
	case v != nil:
		l.Groups = a.getCount("groups")
	}
	return a.put(l, x)
}

// getMomentum returns the momentum of a batch-norm, 0 for Keras's default, which is garb's.
func (a *application) getMomentum() float64 {
	switch momentum := a.getNumber("momentum", 0.99); {
	case !(momentum >= 0 && momentum <= 1):
		a.refuse("momentum", "a share from 0 to 1")
	case momentum == 0:
		return math.SmallestNonzeroFloat64 // since 0 would mean the default
	case momentum != 0.99:
		return momentum
	}
	return 0
}

// putScale emits factor·x + offset for all channels, as a part of the layer.
func (a *application) putScale(suffix string, factor, offset float64, x int) int {
	shape := a.shapes[x]
	channels := shape[len(shape)-1]
	// A layer that is called on values with several numbers of channels has several of these.
	suffix = fmt.Sprintf("%s%d", suffix, channels)
	l := nn.Layer{Op: nn.OpScale, Name: a.reserveName(a.place+suffix, part{a.layer, suffix})}
	a.setComputed(l.Name+"/scale", channels, func() []float64 { return slices.Repeat([]float64{factor}, channels) })
	a.setComputed(l.Name+"/offset", channels, func() []float64 { return slices.Repeat([]float64{offset}, channels) })
	return a.put(l, x)
}

// applyRescaling applies scale·in + offset.
func (a *application) applyRescaling(x int) int {
	l := nn.Layer{Op: nn.OpScale, Name: a.reserveName(a.place, part{a.layer, ""})}
	channels := a.shapes[x][len(a.shapes[x])-1]
	a.setComputed(l.Name+"/scale", channels, func() []float64 { return a.getPerChannel("scale", 1, channels) })
	a.setComputed(l.Name+"/offset", channels, func() []float64 { return a.getPerChannel("offset", 0, channels) })
	return a.put(l, x)
}

// applyNormalization applies (in − mean)/√variance, with statistics from the settings or adapted
// ones, which are variables. Keras limits the root to at least 1e-7.
func (a *application) applyNormalization(x int) int {
	shape := a.shapes[x]
	channels := shape[len(shape)-1]
	if a.getFlag("invert", false) {
		a.refuse("invert", "normalization forwards")
	}
	if none, isList := a.get("axis").([]any); !isList || len(none) > 0 { // else one number is for all
		a.checkLastAxis(len(shape))
	}
	l := nn.Layer{Op: nn.OpScale, Name: a.reserveName(a.place, part{a.layer, ""})}
	var scale, offset []float64
	a.setComputed(l.Name+"/scale", channels, func() []float64 {
		mean, variance := a.getStatistic("mean", channels), a.getStatistic("variance", channels)
		scale, offset = make([]float64, channels), make([]float64, channels)
		for i := range scale {
			scale[i] = 1 / max(math.Sqrt(variance[i]), 1e-7)
			offset[i] = -mean[i] * scale[i]
		}
		return scale
	})
	a.setComputed(l.Name+"/offset", channels, func() []float64 { return offset })
	return a.put(l, x)
}

func (a *application) getStatistic(name string, channels int) []float64 {
	all := make([]float64, channels)
	if a.get(name) != nil {
		return a.getPerChannel(name, 0, channels)
	}
	for _, v := range a.layer.Variables {
		if v.Name != name {
			continue
		}
		n := v.dataset.Len()
		if n != 1 && n != channels {
			a.fail(malformed("layer %q has a %s of %d values for %d channels", a.place, name, n, channels))
			return all
		}
		t, err := v.Tensor()
		if err != nil {
			a.fail(errUnexpected(a.place, err))
			return all
		}
		for i := range all {
			all[i] = float64(t.Data[i%n])
		}
		return all
	}
	a.fail(malformed("layer %q has no %s in its settings or weights", a.place, name))
	return all
}
