package tflite

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"garb/nn"
	"garb/tensor"
)

// writers write a layer each, by its operation, and return the tensor of its output. An
// operation of nn that is not here is refused.
var writers = map[nn.Op]func(*writer, *layer) int32{
	nn.OpConv:          (*writer).conv,
	nn.OpDepthwiseConv: (*writer).depthwiseConv,
	nn.OpDense:         (*writer).dense,
	nn.OpBatchNorm:     (*writer).batchNorm,
	nn.OpScale:         (*writer).scale,
	nn.OpLayerNorm:     (*writer).layerNorm,
	nn.OpGroupNorm:     (*writer).groupNorm,

	nn.OpMaxPool:           pool(opMaxPool2D),
	nn.OpAveragePool:       pool(opAveragePool2D),
	nn.OpGlobalAveragePool: globalPool(opMean),
	nn.OpGlobalMaxPool:     globalPool(opReduceMax),

	nn.OpReLU:      fused(fusedReLU, opReLU),
	nn.OpReLU6:     fused(fusedReLU6, opReLU6),
	nn.OpLeakyReLU: (*writer).leakyReLU,
	nn.OpSigmoid:   unary(opLogistic),
	nn.OpSwish:     (*writer).swish,
	nn.OpTanh:      unary(opTanh),
	nn.OpSoftmax:   (*writer).softmax,

	nn.OpHardSwish:   unary(opHardSwish),
	nn.OpHardSigmoid: (*writer).hardSigmoid,
	nn.OpPReLU:       (*writer).pReLU,
	nn.OpELU:         func(w *writer, l *layer) int32 { return w.elu(l, l.Slope, 1) },
	nn.OpSELU:        func(w *writer, l *layer) int32 { return w.elu(l, nn.SELUAlpha, nn.SELUScale) },
	nn.OpGELU:        gelu(false),
	nn.OpGELUTanh:    gelu(true),
	nn.OpSoftplus:    func(w *writer, l *layer) int32 { return w.softplus(l, l.name) },
	nn.OpMish:        (*writer).mish,

	nn.OpAdd:      elementwise(opAdd, addOptions),
	nn.OpMultiply: elementwise(opMul, mulOptions),
	nn.OpMaximum:  choice(opMaximum),
	nn.OpMinimum:  choice(opMinimum),
	nn.OpConcat:   (*writer).concat,
	nn.OpSelect:   (*writer).selectChannels,
	nn.OpPad:      (*writer).pad,
	nn.OpCrop:     (*writer).crop,
	nn.OpUpsample: (*writer).resize,
	nn.OpResize:   (*writer).resize,
	nn.OpFlatten:  (*writer).reshape,
	nn.OpReshape:  (*writer).reshape,
	nn.OpDropout:  func(_ *writer, l *layer) int32 { return l.in[0] },
}

// layer is a layer of the network, with what its writer needs.
type layer struct {
	nn.Layer
	name   string
	in     []int32          // the tensors that it takes
	from   [][]int          // and their shapes
	shape  []int            // of its output
	params []*tensor.Tensor // in the order of the graph's
}

// writer turns the layers of a network into TensorFlow Lite's operators. Axes are in garb's
// order; the batch axis comes before them.
type writer struct {
	graph   *nn.Graph
	shapes  [][]int
	weights tensor.Map

	tensors []variable
	nodes   []node
	made    map[int32]int // which node made a tensor
	readers map[int32]int // how many layers take a tensor
	names   map[string]bool
	outputs []output
}

// variable is a tensor of the model: a constant, or what a node makes.
type variable struct {
	name     string
	kind     tensorType
	shape    []int // without the batch axis, if it is no constant
	constant bool
	values   values
}

// node is an operator, its tensors and options.
type node struct {
	op      operator
	version int32 // of the operator that knows all of the options; 0 is 1
	inputs  []int32
	output  int32
	options optionsType
	fields  []field // of the options, by slot
	// foldable says that the second and third input are a kernel and a bias that are this
	// node's own, and the first axis of the kernel, or its last, the output's channels.
	foldable     bool
	channelsLast bool
}

// output is an output of the model.
type output struct {
	name   string
	tensor int32
}

func (w *writer) unique(name string) string {
	free := name
	for i := 2; w.names[free]; i++ {
		free = fmt.Sprintf("%s_%d", name, i)
	}
	w.names[free] = true
	return free
}

func (w *writer) tensor(v variable) int32 {
	v.name = w.unique(v.name)
	w.tensors = append(w.tensors, v)
	return int32(len(w.tensors) - 1)
}

func (w *writer) floats(name string, v []float32, shape ...int) int32 {
	return w.tensor(variable{name: name, kind: typeFloat32, shape: shape, constant: true, values: values{floats: v}})
}

func (w *writer) integers(name string, v []int32, shape ...int) int32 {
	return w.tensor(variable{name: name, kind: typeInt32, shape: shape, constant: true, values: values{integers: v}})
}

// add appends a node, and returns its output, float32 of the given shape.
func (w *writer) add(name string, shape []int, n node) int32 {
	n.output = w.tensor(variable{name: name, kind: typeFloat32, shape: shape})
	w.made[n.output] = len(w.nodes)
	w.nodes = append(w.nodes, n)
	return n.output
}

// maker returns the node that made a tensor if nothing but one layer takes it; otherwise,
// or if it is the model's input, nil.
func (w *writer) maker(t int32) *node {
	if at, ok := w.made[t]; ok && w.readers[t] == 1 {
		return &w.nodes[at]
	}
	return nil
}

// layers writes the layers up to last, and returns their tensors. The first layer is the
// input, whose tensor is given.
func (w *writer) layers(layers []nn.Layer, first int32, last int) ([]int32, error) {
	readers := make([]int, len(layers))
	for _, l := range layers[:last+1] {
		for _, in := range l.Inputs {
			readers[in]++
		}
	}
	made := []int32{first}
	w.readers[first] = readers[0]
	for i := 1; i <= last; i++ {
		l, err := w.layer(i, layers[i], made)
		if err != nil {
			return nil, err
		}
		out := writers[l.Op](w, l)
		if _, known := w.readers[out]; known { // the layer became part of the one before
			w.readers[out]--
		}
		w.readers[out] += readers[i]
		made = append(made, out)
	}
	return made, nil
}

// layer gathers what the writer of layer i needs.
func (w *writer) layer(i int, described nn.Layer, made []int32) (*layer, error) {
	if writers[described.Op] == nil {
		return nil, &nn.LayerError{Layer: i, Name: described.Name, Op: described.Op,
			Reason: "it has no operator in TensorFlow Lite"}
	}
	if described.Border != "" && described.Border != nn.Reflect {
		return nil, &nn.LayerError{Layer: i, Name: described.Name, Op: described.Op,
			Reason: fmt.Sprintf("TensorFlow Lite has no operator that pads with a border %q", described.Border)}
	}
	l := &layer{Layer: described, name: described.Name, shape: w.shapes[i]}
	pooled := l.Op == nn.OpMaxPool || l.Op == nn.OpAveragePool
	if pooled && dilations(l) != nil {
		return nil, &nn.LayerError{Layer: i, Name: described.Name, Op: described.Op,
			Reason: "it is dilated, and no pooling of TensorFlow Lite is"}
	}
	if l.name == "" {
		l.name = fmt.Sprintf("%s/%d", strings.ToLower(string(l.Op)), i)
	}
	for _, in := range l.Inputs {
		l.in, l.from = append(l.in, made[in]), append(l.from, w.shapes[in])
	}
	for _, p := range w.graph.LayerParams(i) {
		t, err := w.weights.Tensor(p.Name)
		if err != nil {
			return nil, &nn.WeightError{Name: p.Name, Detail: "cannot be read", Err: err}
		}
		if !slices.Equal(t.Shape, p.Shape) {
			return nil, &nn.WeightError{Name: p.Name, Detail: fmt.Sprintf("shape %s where the network needs %s",
				tensor.ShapeString(t.Shape), tensor.ShapeString(p.Shape))}
		}
		l.params = append(l.params, t)
	}
	return l, nil
}

// product writes a layer that multiplies by a kernel. Its bias is that of the layer, or
// zeros.
func (w *writer) product(l *layer, n node, kernel []float32, shape ...int) int32 {
	bias := make([]float32, l.shape[len(l.shape)-1])
	if l.Bias {
		copy(bias, l.params[1].Data)
	}
	n.inputs = []int32{l.in[0], w.floats(l.name+"/kernel", kernel, shape...),
		w.floats(l.name+"/bias", bias, len(bias))}
	n.foldable = true
	return w.add(l.name, l.shape, n)
}

// window is the padding and the strides of a layer with a window.
func window(l *layer) []field {
	p := paddingValid
	if l.Same {
		p = paddingSame
	}
	height, width := l.Strides()
	return []field{p, integer(width), integer(height)}
}

// dilations are those of a layer with a window, the last options of a convolution; none if
// they are 1, the schema's default.
func dilations(l *layer) []field {
	height, width := l.Dilations()
	if height == 1 && width == 1 {
		return nil
	}
	return []field{integer(width), integer(height)}
}

func (w *writer) conv(l *layer) int32 {
	k := l.params[0]
	if l.Groups > 1 && l.Groups == l.from[0][2] {
		return w.depthwise(l, l.Units/l.Groups)
	}
	n := node{op: opConv2D, options: conv2DOptions, fields: append(append(window(l), noActivation), dilations(l)...)}
	if l.Groups > 1 {
		n.version = 6
	}
	return w.product(l, n, outputsFirst(k), k.Shape[3], k.Shape[0], k.Shape[1], k.Shape[2])
}

// outputsFirst puts the last axis of a kernel first.
func outputsFirst(kernel *tensor.Tensor) []float32 {
	outputs := kernel.Shape[len(kernel.Shape)-1]
	each := len(kernel.Data) / outputs
	turned := make([]float32, len(kernel.Data))
	for i := range each {
		for o := range outputs {
			turned[o*each+i] = kernel.Data[i*outputs+o]
		}
	}
	return turned
}

func (w *writer) depthwiseConv(l *layer) int32 { return w.depthwise(l, 1) }

// depthwise writes a convolution of each channel by itself to so many outputs. The order of its
// kernel, [height width channels outputs], is that of [1 height width channels·outputs].
func (w *writer) depthwise(l *layer, outputs int) int32 {
	n := node{op: opDepthwiseConv2D, options: depthwiseConv2DOptions, channelsLast: true,
		fields: append(append(window(l), integer(outputs), noActivation), dilations(l)...)}
	if dilations(l) != nil {
		n.version = 2
	}
	return w.product(l, n, slices.Clone(l.params[0].Data), 1, l.Height, l.Width, l.shape[2])
}

func (w *writer) dense(l *layer) int32 {
	k := l.params[0]
	return w.product(l, node{op: opFullyConnected, options: fullyConnectedOptions, fields: []field{noActivation}},
		outputsFirst(k), k.Shape[1], k.Shape[0])
}

func (w *writer) batchNorm(l *layer) int32 {
	gamma, beta, mean, variance := l.params[0].Data, l.params[1].Data, l.params[2].Data, l.params[3].Data
	factor, shift := make([]float64, len(gamma)), make([]float64, len(gamma))
	for c := range factor {
		factor[c] = float64(gamma[c]) / math.Sqrt(float64(variance[c])+l.Epsilon)
		shift[c] = float64(beta[c]) - float64(mean[c])*factor[c]
	}
	return w.affine(l, factor, shift)
}

func (w *writer) scale(l *layer) int32 {
	factor, shift := make([]float64, len(l.params[0].Data)), make([]float64, len(l.params[0].Data))
	for c := range factor {
		factor[c], shift[c] = float64(l.params[0].Data[c]), float64(l.params[1].Data[c])
	}
	return w.affine(l, factor, shift)
}

// layerNorm normalises the last axis.
func (w *writer) layerNorm(l *layer) int32 {
	mean := append(slices.Clone(l.shape[:len(l.shape)-1]), 1)
	x := w.normalized(l, l.in[0], l.shape, mean, int32(len(l.shape)))
	return w.normAffine(l, x)
}

// groupNorm normalises groups of channels over all positions: of a map [positions groups
// channels] both of the other axes.
func (w *writer) groupNorm(l *layer) int32 {
	channels := l.shape[len(l.shape)-1]
	groups := []int{tensor.Len(l.shape) / channels, l.Groups, channels / l.Groups}
	x := w.reshaped(l.name+"/groups", l.in[0], groups)
	x = w.normalized(l, x, groups, []int{1, l.Groups, 1}, 1, 3)
	return w.normAffine(l, w.reshaped(l.name+"/channels", x, l.shape))
}

// normalized is (x − mean)/√(variance + epsilon) over axes, of which 0 is the batch's; mean is
// the shape of the means.
func (w *writer) normalized(l *layer, x int32, shape, mean []int, axes ...int32) int32 {
	x = w.binary(opSub, subOptions, l.name+"/centred", shape, x,
		w.reduce(opMean, l.name+"/mean", x, mean, true, axes...))
	squares := w.binary(opMul, mulOptions, l.name+"/squares", shape, x, x)
	variance := w.reduce(opMean, l.name+"/variance", squares, mean, true, axes...)
	variance = w.binary(opAdd, addOptions, l.name+"/above", mean, variance,
		w.floats(l.name+"/epsilon", []float32{float32(l.Epsilon)}, 1))
	inverse := w.add(l.name+"/inverse", mean, node{op: opRsqrt, inputs: []int32{variance}})
	return w.binary(opMul, mulOptions, l.name+"/normalized", shape, x, inverse)
}

// normAffine multiplies what is normalised by gamma and adds beta.
func (w *writer) normAffine(l *layer, x int32) int32 {
	gamma, beta := l.params[0].Data, l.params[1].Data
	x = w.binary(opMul, mulOptions, l.name+"/scaled", l.shape, x, w.floats(l.name+"/gamma", gamma, len(gamma)))
	return w.binary(opAdd, addOptions, l.name, l.shape, x, w.floats(l.name+"/beta", beta, len(beta)))
}

// affine multiplies each channel by a factor and adds a shift: by the kernel and bias of
// the layer before, if only this layer takes what that gives.
func (w *writer) affine(l *layer, factor, shift []float64) int32 {
	n := w.maker(l.in[0])
	if n == nil || !n.foldable || !slices.Contains(n.fields, field(noActivation)) {
		x := w.add(l.name+"/multiply", l.shape, node{op: opMul, options: mulOptions, fields: []field{noActivation},
			inputs: []int32{l.in[0], w.floats(l.name+"/factor", rounded(factor), len(factor))}})
		return w.add(l.name, l.shape, node{op: opAdd, options: addOptions, fields: []field{noActivation},
			inputs: []int32{x, w.floats(l.name+"/shift", rounded(shift), len(shift))}})
	}
	kernel, bias := w.tensors[n.inputs[1]].values.floats, w.tensors[n.inputs[2]].values.floats
	each := len(kernel) / len(factor) // values of a channel
	for i := range kernel {
		c := i / each
		if n.channelsLast {
			c = i % len(factor)
		}
		kernel[i] = float32(float64(kernel[i]) * factor[c])
	}
	for c := range bias {
		bias[c] = float32(float64(bias[c])*factor[c] + shift[c])
	}
	return l.in[0]
}

func rounded(values []float64) []float32 {
	short := make([]float32, len(values))
	for i, v := range values {
		short[i] = float32(v)
	}
	return short
}

func pool(op operator) func(*writer, *layer) int32 {
	return func(w *writer, l *layer) int32 {
		return w.add(l.name, l.shape, node{op: op, inputs: l.in, options: pool2DOptions,
			fields: append(window(l), integer(l.Width), integer(l.Height), noActivation)})
	}
}

func globalPool(op operator) func(*writer, *layer) int32 {
	return func(w *writer, l *layer) int32 { return w.reduce(op, l.name, l.in[0], l.shape, false, 1, 2) }
}

// reduce makes one value of those along axes, of which 0 is the batch's.
func (w *writer) reduce(op operator, name string, x int32, shape []int, keepAxes bool, axes ...int32) int32 {
	return w.add(name, shape, node{op: op, inputs: []int32{x, w.integers(name+"/axes", axes, len(axes))},
		options: reducerOptions, fields: []field{boolean(keepAxes)}})
}

// unary writes operators without options.
func unary(op operator) func(*writer, *layer) int32 {
	return func(w *writer, l *layer) int32 {
		return w.add(l.name, l.shape, node{op: op, inputs: l.in})
	}
}

// fused writes an activation as part of the operator before, if only this layer takes what
// that gives, or else as an operator.
func fused(a activation, op operator) func(*writer, *layer) int32 {
	return func(w *writer, l *layer) int32 {
		if n := w.maker(l.in[0]); n != nil {
			if at := slices.Index(n.fields, field(noActivation)); at >= 0 {
				n.fields[at] = a
				return l.in[0]
			}
		}
		return unary(op)(w, l)
	}
}

func (w *writer) leakyReLU(l *layer) int32 {
	return w.add(l.name, l.shape, node{op: opLeakyReLU, inputs: l.in, options: leakyReLUOptions,
		fields: []field{float(l.Slope)}})
}

func (w *writer) swish(l *layer) int32 {
	gate := w.add(l.name+"/sigmoid", l.shape, node{op: opLogistic, inputs: l.in})
	return w.binary(opMul, mulOptions, l.name, l.shape, l.in[0], gate)
}

// hardSigmoid is ReLU6(x + 3)/6.
func (w *writer) hardSigmoid(l *layer) int32 {
	x := w.add(l.name+"/shifted", l.shape, node{op: opAdd, options: addOptions, fields: []field{fusedReLU6},
		inputs: []int32{l.in[0], w.floats(l.name+"/three", []float32{3}, 1)}})
	return w.binary(opMul, mulOptions, l.name, l.shape, x, w.floats(l.name+"/sixth", []float32{1. / 6}, 1))
}

// gelu is the operator of that name: it counts with erf, or by the approximation.
func gelu(approximate bool) func(*writer, *layer) int32 {
	return func(w *writer, l *layer) int32 {
		return w.add(l.name, l.shape,
			node{op: opGELU, inputs: l.in, options: geluOptions, fields: []field{boolean(approximate)}})
	}
}

// elu is scale·max(x, 0) + scale·alpha·(e^min(x, 0) − 1); LiteRT's own operator has no alpha.
func (w *writer) elu(l *layer, alpha, scale float64) int32 {
	step := func(op operator, options optionsType, name string, x int32, by float64) int32 {
		return w.binary(op, options, l.name+"/"+name, l.shape, x,
			w.floats(l.name+"/"+name+"/by", []float32{float32(by)}, 1))
	}
	above := w.add(l.name+"/above", l.shape, node{op: opReLU, inputs: l.in})
	if scale != 1 {
		above = step(opMul, mulOptions, "scaled", above, scale)
	}
	below := w.add(l.name+"/below", l.shape, node{op: opMinimum, options: maximumMinimumOptions,
		inputs: []int32{l.in[0], w.floats(l.name+"/zero", []float32{0}, 1)}})
	below = w.add(l.name+"/exp", l.shape, node{op: opExp, options: expOptions, inputs: []int32{below}})
	below = step(opMul, mulOptions, "curve", step(opSub, subOptions, "less", below, 1), scale*alpha)
	return w.binary(opAdd, addOptions, l.name, l.shape, above, below)
}

// softplus is max(x, 0) + ln(1 + e^−|x|), which is ln(1 + e^x) for any x.
func (w *writer) softplus(l *layer, name string) int32 {
	above := w.add(name+"/above", l.shape, node{op: opReLU, inputs: l.in})
	x := w.add(name+"/abs", l.shape, node{op: opAbs, inputs: l.in})
	x = w.binary(opMul, mulOptions, name+"/minus", l.shape, x, w.floats(name+"/sign", []float32{-1}, 1))
	x = w.add(name+"/exp", l.shape, node{op: opExp, options: expOptions, inputs: []int32{x}})
	x = w.binary(opAdd, addOptions, name+"/more", l.shape, x, w.floats(name+"/one", []float32{1}, 1))
	x = w.add(name+"/log", l.shape, node{op: opLog, inputs: []int32{x}})
	return w.binary(opAdd, addOptions, name, l.shape, above, x)
}

// mish is x·tanh(ln(1 + e^x)).
func (w *writer) mish(l *layer) int32 {
	gate := w.add(l.name+"/tanh", l.shape, node{op: opTanh, inputs: []int32{w.softplus(l, l.name+"/softplus")}})
	return w.binary(opMul, mulOptions, l.name, l.shape, l.in[0], gate)
}

func (w *writer) pReLU(l *layer) int32 {
	slopes := l.params[0].Data
	shape := []int{len(slopes)}
	if len(l.shape) == 3 {
		shape = []int{1, 1, len(slopes)}
	}
	constant := w.floats(l.name+"/slopes", slopes, shape...)
	return w.add(l.name, l.shape, node{op: opPReLU, inputs: []int32{l.in[0], constant}})
}

func (w *writer) softmax(l *layer) int32 { return w.softmaxOf(l.name, l.in[0], l.shape) }

func (w *writer) softmaxOf(name string, x int32, shape []int) int32 {
	return w.add(name, shape, node{op: opSoftmax, inputs: []int32{x}, options: softmaxOptions,
		fields: []field{float(1)}})
}

// elementwise writes an operator on two values.
func elementwise(op operator, options optionsType) func(*writer, *layer) int32 {
	return func(w *writer, l *layer) int32 {
		in := w.spread(l)
		return w.binary(op, options, l.name, l.shape, in[0], in[1])
	}
}

// choice writes the larger or the smaller of two values, whose operator takes no activation.
func choice(op operator) func(*writer, *layer) int32 {
	return func(w *writer, l *layer) int32 {
		return w.add(l.name, l.shape, node{op: op, inputs: w.spread(l), options: maximumMinimumOptions})
	}
}

// spread gives flat inputs of a layer, whose output is a map, the axes of a map.
func (w *writer) spread(l *layer) []int32 {
	in := slices.Clone(l.in)
	for j, from := range l.from {
		if missing := len(l.shape) - len(from); missing > 0 {
			in[j] = w.reshaped(l.name+"/spread", in[j], append(slices.Repeat([]int{1}, missing), from...))
		}
	}
	return in
}

func (w *writer) binary(op operator, options optionsType, name string, shape []int, x, y int32) int32 {
	return w.add(name, shape, node{op: op, inputs: []int32{x, y}, options: options, fields: []field{noActivation}})
}

func (w *writer) concat(l *layer) int32 {
	// The operator takes no activation, though its options have one.
	return w.add(l.name, l.shape, node{op: opConcatenation, inputs: l.in, options: concatenationOptions,
		fields: []field{integer(len(l.shape))}})
}

// selectChannels is a product with ones and zeros, which XNNPACK computes, unlike a GATHER.
func (w *writer) selectChannels(l *layer) int32 {
	in := l.from[0][len(l.from[0])-1]
	kernel := make([]float32, len(l.Channels)*in)
	for i, c := range l.Channels {
		kernel[i*in+c] = 1
	}
	n := node{op: opFullyConnected, options: fullyConnectedOptions, fields: []field{noActivation}}
	shape := []int{len(l.Channels), in}
	if len(l.shape) == 3 {
		n = node{op: opConv2D, options: conv2DOptions,
			fields: []field{paddingValid, integer(1), integer(1), noActivation}}
		shape = []int{len(l.Channels), 1, 1, in}
	}
	return w.product(l, n, kernel, shape...)
}

func (w *writer) pad(l *layer) int32 {
	pads := []int32{0, 0, int32(l.Above), int32(l.Below), int32(l.Left), int32(l.Right), 0, 0}
	n := node{op: opPad, inputs: []int32{l.in[0], w.integers(l.name+"/pads", pads, 4, 2)}, options: padOptions}
	if l.Lowest {
		n.op, n.options = opPadV2, padV2Options
		n.inputs = append(n.inputs, w.floats(l.name+"/value", []float32{-math.MaxFloat32}))
	}
	if l.Border == nn.Reflect {
		n.op, n.options = opMirrorPad, mirrorPadOptions // of the first mode, REFLECT
	}
	return w.add(l.name, l.shape, n)
}

func (w *writer) crop(l *layer) int32 {
	first, size := []int32{0, int32(l.Before)}, []int32{-1} // the whole batch
	if len(l.shape) == 3 {
		first = []int32{0, int32(l.Above), int32(l.Left), int32(l.Before)}
	}
	for _, n := range l.shape {
		size = append(size, int32(n))
	}
	return w.add(l.name, l.shape, node{op: opSlice, options: sliceOptions, inputs: []int32{l.in[0],
		w.integers(l.name+"/first", first, len(first)), w.integers(l.name+"/size", size, len(size))}})
}

// resize takes pixels as squares with their values at their centres, whichever the way.
func (w *writer) resize(l *layer) int32 {
	size := w.integers(l.name+"/size", []int32{int32(l.shape[0]), int32(l.shape[1])}, 2)
	n := node{op: opResizeNearest, options: resizeNearestOptions, inputs: []int32{l.in[0], size},
		fields: []field{boolean(false), boolean(true)}} // align_corners, half_pixel_centers
	if l.Linear {
		n.op, n.options = opResizeBilinear, resizeBilinearOptions
		n.fields = append([]field{integer(0), integer(0)}, n.fields...) // two that are no more
	}
	return w.add(l.name, l.shape, n)
}

func (w *writer) reshape(l *layer) int32 {
	if slices.Equal(l.from[0], l.shape) {
		return l.in[0]
	}
	return w.reshaped(l.name, l.in[0], l.shape)
}

// reshaped gives a value another shape for a batch of any size.
func (w *writer) reshaped(name string, x int32, shape []int) int32 {
	whole := []int32{-1}
	for _, n := range shape {
		whole = append(whole, int32(n))
	}
	return w.add(name, shape, node{op: opReshape, inputs: []int32{x, w.integers(name+"/shape", whole, len(whole))},
		options: reshapeOptions})
}
