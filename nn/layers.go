package nn

import (
	"fmt"
	"slices"

	"garb/tensor"
)

// Padding says what a convolution or pooling does at the border.
type Padding uint8

const (
	// Valid uses only positions where the whole window lies inside: the output
	// has ⌊(size−window)/stride⌋+1 positions.
	Valid Padding = iota
	// Same pads with zeros so that the output has ⌈size/stride⌉ positions; of an
	// odd amount of padding the larger part is at the end, as in TensorFlow.
	Same
)

// The layers of a graph.
type (
	input struct{}

	conv struct {
		kernelHeight, kernelWidth, stride int
		padding                           Padding
		bias                              bool
	}
	depthwiseConv struct {
		kernelHeight, kernelWidth, stride int
		padding                           Padding
		bias                              bool
	}
	dense struct{ bias bool }

	batchNorm struct{ epsilon float64 }

	pool struct {
		size, stride int
		padding      Padding
		average      bool
	}
	globalPool struct{ average bool }

	activation struct {
		function activationFunction
		slope    float64 // of leakyReLU
	}

	scale    struct{}
	add      struct{}
	multiply struct{}
	concat   struct{}
	pad      struct {
		above, below, left, right int
		lowest                    bool
	}
	flatten struct{}
	reshape struct{}
	dropout struct{ rate float64 }
)

type activationFunction uint8

const (
	relu activationFunction = iota
	relu6
	leakyReLU
	sigmoid
	swish
	tanh
	softmax
)

// positions returns the number of places that a window has along an axis.
func positions(size, kernel, stride int, padding Padding) (int, error) {
	switch {
	case kernel <= 0 || stride <= 0:
		return 0, fmt.Errorf("window of %d with stride %d", kernel, stride)
	case padding == Same:
		return (size + stride - 1) / stride, nil
	case size < kernel:
		return 0, fmt.Errorf("window of %d does not fit into %d", kernel, size)
	}
	return (size-kernel)/stride + 1, nil
}

// slide returns the height and width of what windows over a map of h×w make.
func slide(h, w, kernelHeight, kernelWidth, stride int, padding Padding) (height, width int, err error) {
	if height, err = positions(h, kernelHeight, stride, padding); err != nil {
		return 0, 0, err
	}
	width, err = positions(w, kernelWidth, stride, padding)
	return height, width, err
}

// before returns the padding in front of an axis of size values.
func (p Padding) before(size, kernel, stride int) int {
	if p == Valid {
		return 0
	}
	before, _ := SamePadding(size, kernel, stride)
	return before
}

// SamePadding returns the zeros before and after an axis of size values that Same puts
// there for a window of kernel values.
func SamePadding(size, kernel, stride int) (before, after int) {
	positions := (size + stride - 1) / stride
	total := max(0, (positions-1)*stride+kernel-size)
	return total / 2, total - total/2
}

// ConvOption changes a convolution or dense layer from its default.
type ConvOption func(*convOptions)

type convOptions struct{ bias bool }

// WithBias adds a bias to each output channel: parameter "bias" [filters].
func WithBias() ConvOption { return func(o *convOptions) { o.bias = true } }

func convSettings(options []ConvOption) convOptions {
	var o convOptions
	for _, set := range options {
		set(&o)
	}
	return o
}

func biasParams(o convOptions, units int, params ...Param) []Param {
	if o.bias {
		params = append(params, Param{"bias", []int{units}, true})
	}
	return params
}

// Conv is a square convolution: out[y,x,f] = Σ_ijc in[y·s+i, x·s+j, c]·kernel[i,j,c,f].
// Parameter: "kernel" [size size channels filters].
func (b *Builder) Conv(name string, x Value, filters, size, stride int, padding Padding, options ...ConvOption) Value {
	return b.ConvRect(name, x, filters, size, size, stride, padding, options...)
}

// ConvRect is Conv with a kernel of any height and width.
func (b *Builder) ConvRect(name string, x Value, filters, kernelHeight, kernelWidth, stride int, padding Padding, options ...ConvOption) Value {
	h, w, c, err := b.image("Conv "+name, x)
	if err != nil {
		return b.fail("%w", err)
	}
	if filters <= 0 {
		return b.fail("Conv %s has %d filters", name, filters)
	}
	o := convSettings(options)
	height, width, err := slide(h, w, kernelHeight, kernelWidth, stride, padding)
	if err != nil {
		return b.fail("%w", err)
	}
	return b.add(name, conv{kernelHeight, kernelWidth, stride, padding, o.bias},
		[]int{height, width, filters}, []Value{x},
		biasParams(o, filters, Param{"kernel", []int{kernelHeight, kernelWidth, c, filters}, true})...)
}

// DepthwiseConv convolves each channel with its own square kernel:
// out[y,x,c] = Σ_ij in[y·s+i, x·s+j, c]·kernel[i,j,c,0].
// Parameter: "kernel" [size size channels 1].
func (b *Builder) DepthwiseConv(name string, x Value, size, stride int, padding Padding, options ...ConvOption) Value {
	return b.DepthwiseConvRect(name, x, size, size, stride, padding, options...)
}

// DepthwiseConvRect is DepthwiseConv with kernels of any height and width.
func (b *Builder) DepthwiseConvRect(name string, x Value, kernelHeight, kernelWidth, stride int, padding Padding, options ...ConvOption) Value {
	h, w, c, err := b.image("DepthwiseConv "+name, x)
	if err != nil {
		return b.fail("%w", err)
	}
	o := convSettings(options)
	height, width, err := slide(h, w, kernelHeight, kernelWidth, stride, padding)
	if err != nil {
		return b.fail("%w", err)
	}
	return b.add(name, depthwiseConv{kernelHeight, kernelWidth, stride, padding, o.bias},
		[]int{height, width, c}, []Value{x},
		biasParams(o, c, Param{"kernel", []int{kernelHeight, kernelWidth, c, 1}, true})...)
}

// SeparableConv is a DepthwiseConv, named name/depthwise, followed by a 1×1 Conv
// to filters channels, named name/pointwise, which takes the options.
func (b *Builder) SeparableConv(name string, x Value, filters, size, stride int, padding Padding, options ...ConvOption) Value {
	x = b.DepthwiseConv(name+"/depthwise", x, size, stride, padding)
	return b.Conv(name+"/pointwise", x, filters, 1, 1, Valid, options...)
}

// Dense is out[u] = Σ_c in[c]·kernel[c,u]. Its input must be flat.
// Parameter: "kernel" [channels units].
func (b *Builder) Dense(name string, x Value, units int, options ...ConvOption) Value {
	b.check(x)
	s := b.nodes[x.node].shape
	if len(s) != 1 || units <= 0 {
		return b.fail("Dense %s of %d units needs a flat input, not %s", name, units, tensor.ShapeString(s))
	}
	o := convSettings(options)
	return b.add(name, dense(o), []int{units}, []Value{x},
		biasParams(o, units, Param{"kernel", []int{s[0], units}, true})...)
}

// BatchNorm normalises each channel with its stored statistics:
// out = gamma·(in − moving_mean)/√(moving_variance + epsilon) + beta.
// Parameters: "gamma", "beta", "moving_mean", "moving_variance", each [channels].
func (b *Builder) BatchNorm(name string, x Value, epsilon float64) Value {
	b.check(x)
	c := []int{x.Channels()}
	return b.add(name, batchNorm{epsilon}, x.Shape(), []Value{x},
		Param{"gamma", c, true}, Param{"beta", c, true},
		Param{"moving_mean", c, false}, Param{"moving_variance", c, false})
}

// MaxPool takes the largest value of each size×size window; padding never wins.
func (b *Builder) MaxPool(x Value, size, stride int, padding Padding) Value {
	return b.pool("MaxPool", x, pool{size, stride, padding, false})
}

// AveragePool takes the mean of each size×size window over the positions that
// lie inside the picture.
func (b *Builder) AveragePool(x Value, size, stride int, padding Padding) Value {
	return b.pool("AveragePool", x, pool{size, stride, padding, true})
}

func (b *Builder) pool(layer string, x Value, p pool) Value {
	h, w, c, err := b.image(layer, x)
	if err != nil {
		return b.fail("%w", err)
	}
	height, width, err := slide(h, w, p.size, p.size, p.stride, p.padding)
	if err != nil {
		return b.fail("%w", err)
	}
	return b.add("", p, []int{height, width, c}, []Value{x})
}

// GlobalAveragePool takes the mean of each channel over all positions: [h w c]
// becomes [c].
func (b *Builder) GlobalAveragePool(x Value) Value {
	return b.globalPool("GlobalAveragePool", x, globalPool{average: true})
}

// GlobalMaxPool takes the largest value of each channel: [h w c] becomes [c].
func (b *Builder) GlobalMaxPool(x Value) Value {
	return b.globalPool("GlobalMaxPool", x, globalPool{})
}

func (b *Builder) globalPool(layer string, x Value, p globalPool) Value {
	_, _, c, err := b.image(layer, x)
	if err != nil {
		return b.fail("%w", err)
	}
	return b.add("", p, []int{c}, []Value{x})
}

// Scale multiplies each channel by a number of its own and adds another:
// out = scale[c]·in + offset[c]. Parameters: "scale", "offset", each [channels].
func (b *Builder) Scale(name string, x Value) Value {
	b.check(x)
	c := []int{x.Channels()}
	return b.add(name, scale{}, x.Shape(), []Value{x}, Param{"scale", c, false}, Param{"offset", c, false})
}

// ReLU is max(x, 0).
func (b *Builder) ReLU(x Value) Value { return b.activation(x, relu) }

// ReLU6 is min(max(x, 0), 6).
func (b *Builder) ReLU6(x Value) Value { return b.activation(x, relu6) }

// LeakyReLU is x above zero and slope·x below.
func (b *Builder) LeakyReLU(x Value, slope float64) Value {
	b.check(x)
	return b.add("", activation{leakyReLU, slope}, x.Shape(), []Value{x})
}

// Swish is x/(1+e^−x), also called SiLU.
func (b *Builder) Swish(x Value) Value { return b.activation(x, swish) }

// Tanh is the hyperbolic tangent.
func (b *Builder) Tanh(x Value) Value { return b.activation(x, tanh) }

// Sigmoid is 1/(1+e^−x).
func (b *Builder) Sigmoid(x Value) Value { return b.activation(x, sigmoid) }

// Softmax is e^x[c]/Σ_k e^x[k] over the last axis.
func (b *Builder) Softmax(x Value) Value { return b.activation(x, softmax) }

func (b *Builder) activation(x Value, f activationFunction) Value {
	b.check(x)
	return b.add("", activation{function: f}, x.Shape(), []Value{x})
}

// Add is the sum of two values of one shape.
func (b *Builder) Add(x, y Value) Value {
	b.check(x)
	b.check(y)
	if !slices.Equal(x.Shape(), y.Shape()) {
		return b.fail("Add of %s and %s", tensor.ShapeString(x.Shape()), tensor.ShapeString(y.Shape()))
	}
	return b.add("", add{}, x.Shape(), []Value{x, y})
}

// Multiply is the product of two values of one shape, or of a feature map and a value for
// each of its channels: [h w c] and [1 1 c] or [c], in either order.
func (b *Builder) Multiply(x, y Value) Value {
	b.check(x)
	b.check(y)
	if len(x.Shape()) < len(y.Shape()) || tensor.Len(x.Shape()) < tensor.Len(y.Shape()) {
		x, y = y, x
	}
	if !slices.Equal(x.Shape(), y.Shape()) && (len(x.Shape()) != 3 || tensor.Len(y.Shape()) != x.Channels() || y.Channels() != x.Channels()) {
		return b.fail("Multiply of %s and %s", tensor.ShapeString(x.Shape()), tensor.ShapeString(y.Shape()))
	}
	return b.add("", multiply{}, x.Shape(), []Value{x, y})
}

// Concat puts the channels of values one after another: [h w c1], [h w c2] become
// [h w c1+c2].
func (b *Builder) Concat(values ...Value) Value {
	if len(values) < 2 {
		return b.fail("Concat needs two values")
	}
	channels := 0
	var shape []int
	for i, v := range values {
		b.check(v)
		s := v.Shape()
		last := len(s) - 1
		if i > 0 && !slices.Equal(s[:last], shape[:len(shape)-1]) {
			return b.fail("Concat of %s and %s", tensor.ShapeString(shape), tensor.ShapeString(s))
		}
		channels += s[last]
		shape = s
	}
	shape[len(shape)-1] = channels
	return b.add("", concat{}, shape, values)
}

// Pad puts rows and columns around a feature map: zeros, or the lowest number if lowest.
func (b *Builder) Pad(x Value, above, below, left, right int, lowest bool) Value {
	h, w, c, err := b.image("Pad", x)
	if err != nil {
		return b.fail("%w", err)
	}
	if above < 0 || below < 0 || left < 0 || right < 0 {
		return b.fail("Pad by %d, %d, %d, %d", above, below, left, right)
	}
	return b.add("", pad{above, below, left, right, lowest}, []int{h + above + below, w + left + right, c}, []Value{x})
}

// Reshape gives a value another shape, [h w c] or [c], with the same values in the same
// order.
func (b *Builder) Reshape(x Value, shape ...int) Value {
	b.check(x)
	if tensor.Len(shape) != tensor.Len(x.Shape()) || len(shape) != 1 && len(shape) != 3 {
		return b.fail("Reshape of %s to %s", tensor.ShapeString(x.Shape()), tensor.ShapeString(shape))
	}
	return b.add("", reshape{}, slices.Clone(shape), []Value{x})
}

// Flatten turns a feature map into one row: [h w c] becomes [h·w·c].
func (b *Builder) Flatten(x Value) Value {
	b.check(x)
	return b.add("", flatten{}, []int{tensor.Len(x.Shape())}, []Value{x})
}

// Dropout sets values to zero at random with probability rate in training, and
// changes nothing in a Plan. The rate is 0 ≤ rate < 1.
func (b *Builder) Dropout(x Value, rate float64) Value {
	b.check(x)
	if !(rate >= 0 && rate < 1) {
		return b.fail("Dropout rate %v", rate)
	}
	return b.add("", dropout{rate}, x.Shape(), []Value{x})
}
