package tflite

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"garb/nn"
	"garb/tensor"
)

// writers has a method per operation that writes a layer and returns the tensor of its output.
// Operations of nn that are not here are refused.
var writers = map[nn.Op]func(*writer, *layer) int32{
	nn.OpConv:          (*writer).writeConv,
	nn.OpDepthwiseConv: (*writer).writeDepthwiseConv,
	nn.OpDense:         (*writer).writeDense,
	nn.OpBatchNorm:     (*writer).writeBatchNorm,
	nn.OpScale:         (*writer).writeScale,
	nn.OpLayerNorm:     (*writer).writeLayerNorm,
	nn.OpGroupNorm:     (*writer).writeGroupNorm,

	nn.OpMaxPool:           writePool(opMaxPool2D),
	nn.OpAveragePool:       writePool(opAveragePool2D),
	nn.OpGlobalAveragePool: writeGlobalPool(opMean),
	nn.OpGlobalMaxPool:     writeGlobalPool(opReduceMax),

	nn.OpReLU:      writeFused(fusedReLU, opReLU),
	nn.OpReLU6:     writeFused(fusedReLU6, opReLU6),
	nn.OpLeakyReLU: (*writer).writeLeakyReLU,
	nn.OpSigmoid:   writeUnary(opLogistic),
	nn.OpSwish:     (*writer).writeSwish,
	nn.OpTanh:      writeUnary(opTanh),
	nn.OpSoftmax:   (*writer).writeSoftmax,

	nn.OpHardSwish:   writeUnary(opHardSwish),
	nn.OpHardSigmoid: (*writer).writeHardSigmoid,
	nn.OpPReLU:       (*writer).writePReLU,
	nn.OpELU:         func(w *writer, l *layer) int32 { return w.writeELU(l, l.Slope, 1) },
	nn.OpSELU:        func(w *writer, l *layer) int32 { return w.writeELU(l, nn.SELUAlpha, nn.SELUScale) },
	nn.OpGELU:        writeGELU(false),
	nn.OpGELUTanh:    writeGELU(true),
	nn.OpSoftplus:    func(w *writer, l *layer) int32 { return w.addSoftplus(l, l.name) },
	nn.OpMish:        (*writer).writeMish,

	nn.OpAdd:      writeElementwise(opAdd, addOptions),
	nn.OpMultiply: writeElementwise(opMul, mulOptions),
	nn.OpMaximum:  writeChoice(opMaximum),
	nn.OpMinimum:  writeChoice(opMinimum),
	nn.OpConcat:   (*writer).writeConcat,
	nn.OpSelect:   (*writer).writeSelect,
	nn.OpPad:      (*writer).writePad,
	nn.OpCrop:     (*writer).writeCrop,
	nn.OpUpsample: (*writer).writeResize,
	nn.OpResize:   (*writer).writeResize,
	nn.OpFlatten:  (*writer).writeReshape,
	nn.OpReshape:  (*writer).writeReshape,
	nn.OpDropout:  func(_ *writer, l *layer) int32 { return l.in[0] },
}

// layer is a layer of the network with all that its writer needs.
type layer struct {
	nn.Layer
	name     string
	in       []int32          // input tensors
	inShapes [][]int          // their shapes
	shape    []int            // of the output
	params   []*tensor.Tensor // in the order of nn.Graph.LayerParams
}

// writer translates a network's layers into TensorFlow Lite's operators. Axes are in garb's order,
// with the batch axis in front.
type writer struct {
	graph   *nn.Graph
	shapes  [][]int
	weights tensor.Map

	tensors []variable
	nodes   []node
	makers  map[int32]int // the node that computes a tensor
	readers map[int32]int // the number of layers that take a tensor
	names   map[string]bool
	outputs []output
}

// variable is a tensor of the model: a constant, or a node's output.
type variable struct {
	name     string
	kind     tensorType
	shape    []int // without the batch axis, unless constant
	constant bool
	values   values
}

// node is an operator, its tensors and options.
type node struct {
	op      operator
	version int32 // of the operator; 0 means 1
	inputs  []int32
	output  int32
	options optionsType
	fields  []field // of the options, by slot
	// foldable says that the second and third input are a kernel and a bias that only this node
	// has. The output channels are the kernel's first axis or, with channelsLast, its last one.
	foldable     bool
	channelsLast bool
}

// output is an output of the model.
type output struct {
	role   string // its usual name; the tensor has the one that is written
	tensor int32
}

// reserveName returns name, with a number behind it if it is taken, and reserves it.
func (w *writer) reserveName(name string) string {
	free := name
	for i := 2; w.names[free]; i++ {
		free = fmt.Sprintf("%s_%d", name, i)
	}
	w.names[free] = true
	return free
}

func (w *writer) addTensor(v variable) int32 {
	v.name = w.reserveName(v.name)
	w.tensors = append(w.tensors, v)
	return int32(len(w.tensors) - 1)
}

func (w *writer) addFloats(name string, v []float32, shape ...int) int32 {
	return w.addTensor(variable{name: name, kind: typeFloat32, shape: shape, constant: true, values: values{floats: v}})
}

func (w *writer) addIntegers(name string, v []int32, shape ...int) int32 {
	return w.addTensor(variable{name: name, kind: typeInt32, shape: shape, constant: true, values: values{integers: v}})
}

// addNode adds a node and returns its output, which is float32 of the given shape.
func (w *writer) addNode(name string, shape []int, n node) int32 {
	n.output = w.addTensor(variable{name: name, kind: typeFloat32, shape: shape})
	w.makers[n.output] = len(w.nodes)
	w.nodes = append(w.nodes, n)
	return n.output
}

// findMaker returns the node that computes a tensor, or nil if the tensor is the model's input or
// several layers take it.
func (w *writer) findMaker(t int32) *node {
	if at, ok := w.makers[t]; ok && w.readers[t] == 1 {
		return &w.nodes[at]
	}
	return nil
}

// writeLayers writes the layers up to last and returns their output tensors. The first layer is the
// input, whose tensor is given.
func (w *writer) writeLayers(layers []nn.Layer, first int32, last int) ([]int32, error) {
	readers := make([]int, len(layers))
	for _, l := range layers[:last+1] {
		for _, in := range l.Inputs {
			readers[in]++
		}
	}
	outputs := []int32{first}
	w.readers[first] = readers[0]
	for i := 1; i <= last; i++ {
		l, err := w.gather(i, layers[i], outputs)
		if err != nil {
			return nil, err
		}
		out := writers[l.Op](w, l)
		if _, known := w.readers[out]; known { // the layer was fused into the one before
			w.readers[out]--
		}
		w.readers[out] += readers[i]
		outputs = append(outputs, out)
	}
	return outputs, nil
}

// gather collects what the writer of layer i needs.
func (w *writer) gather(i int, nnLayer nn.Layer, outputs []int32) (*layer, error) {
	if writers[nnLayer.Op] == nil {
		return nil, &nn.LayerError{Layer: i, Name: nnLayer.Name, Op: nnLayer.Op,
			Reason: "it has no operator in TensorFlow Lite"}
	}
	if nnLayer.Border != "" && nnLayer.Border != nn.Reflect {
		return nil, &nn.LayerError{Layer: i, Name: nnLayer.Name, Op: nnLayer.Op,
			Reason: fmt.Sprintf("TensorFlow Lite cannot pad with a border %q", nnLayer.Border)}
	}
	l := &layer{Layer: nnLayer, name: nnLayer.Name, shape: w.shapes[i]}
	pooled := l.Op == nn.OpMaxPool || l.Op == nn.OpAveragePool
	if pooled && dilationFields(l) != nil {
		return nil, &nn.LayerError{Layer: i, Name: nnLayer.Name, Op: nnLayer.Op,
			Reason: "it is dilated; TensorFlow Lite has no dilated pooling"}
	}
	if l.name == "" {
		l.name = fmt.Sprintf("%s/%d", strings.ToLower(string(l.Op)), i)
	}
	for _, in := range l.Inputs {
		l.in, l.inShapes = append(l.in, outputs[in]), append(l.inShapes, w.shapes[in])
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

// writeProduct writes a layer that multiplies by a kernel, with its bias or zeros.
func (w *writer) writeProduct(l *layer, n node, kernel []float32, shape ...int) int32 {
	bias := make([]float32, l.shape[len(l.shape)-1])
	if l.Bias {
		copy(bias, l.params[1].Data)
	}
	n.inputs = []int32{
		l.in[0], w.addFloats(l.name+"/kernel", kernel, shape...), w.addFloats(l.name+"/bias", bias, len(bias)),
	}
	n.foldable = true
	return w.addNode(l.name, l.shape, n)
}

// windowFields returns the padding and the strides of a layer with a window.
func windowFields(l *layer) []field {
	p := paddingValid
	if l.Same {
		p = paddingSame
	}
	height, width := l.Strides()
	return []field{p, integer(width), integer(height)}
}

// dilationFields returns the dilations of a layer with a window, the last options of a convolution;
// none if they are 1, the schema's default.
func dilationFields(l *layer) []field {
	height, width := l.Dilations()
	if height == 1 && width == 1 {
		return nil
	}
	return []field{integer(width), integer(height)}
}

func (w *writer) writeConv(l *layer) int32 {
	k := l.params[0]
	if l.Groups > 1 && l.Groups == l.inShapes[0][2] {
		return w.writeDepthwise(l, l.Units/l.Groups)
	}
	n := node{op: opConv2D, options: conv2DOptions}
	n.fields = append(append(windowFields(l), noActivation), dilationFields(l)...)
	if l.Groups > 1 {
		n.version = 6
	}
	return w.writeProduct(l, n, moveOutputsFirst(k), k.Shape[3], k.Shape[0], k.Shape[1], k.Shape[2])
}

// moveOutputsFirst moves the last axis of a kernel to the front.
func moveOutputsFirst(kernel *tensor.Tensor) []float32 {
	outputs := kernel.Shape[len(kernel.Shape)-1]
	perOutput := len(kernel.Data) / outputs
	moved := make([]float32, len(kernel.Data))
	for i := range perOutput {
		for o := range outputs {
			moved[o*perOutput+i] = kernel.Data[i*outputs+o]
		}
	}
	return moved
}

func (w *writer) writeDepthwiseConv(l *layer) int32 { return w.writeDepthwise(l, 1) }

// writeDepthwise writes a convolution of each channel by itself, with so many outputs per channel.
// The values of its kernel, [height width channels outputs], are in the order of [1 height width
// channels·outputs].
func (w *writer) writeDepthwise(l *layer, outputs int) int32 {
	n := node{op: opDepthwiseConv2D, options: depthwiseConv2DOptions, channelsLast: true,
		fields: append(append(windowFields(l), integer(outputs), noActivation), dilationFields(l)...)}
	if dilationFields(l) != nil {
		n.version = 2
	}
	return w.writeProduct(l, n, slices.Clone(l.params[0].Data), 1, l.Height, l.Width, l.shape[2])
}

func (w *writer) writeDense(l *layer) int32 {
	k := l.params[0]
	n := node{op: opFullyConnected, options: fullyConnectedOptions, fields: []field{noActivation}}
	return w.writeProduct(l, n, moveOutputsFirst(k), k.Shape[1], k.Shape[0])
}

func (w *writer) writeBatchNorm(l *layer) int32 {
	gamma, beta, mean, variance := l.params[0].Data, l.params[1].Data, l.params[2].Data, l.params[3].Data
	factor, shift := make([]float64, len(gamma)), make([]float64, len(gamma))
	for c := range factor {
		factor[c] = float64(gamma[c]) / math.Sqrt(float64(variance[c])+l.Epsilon)
		shift[c] = float64(beta[c]) - float64(float64(mean[c])*factor[c])
	}
	return w.writeAffine(l, factor, shift)
}

func (w *writer) writeScale(l *layer) int32 {
	factor, shift := make([]float64, len(l.params[0].Data)), make([]float64, len(l.params[0].Data))
	for c := range factor {
		factor[c], shift[c] = float64(l.params[0].Data[c]), float64(l.params[1].Data[c])
	}
	return w.writeAffine(l, factor, shift)
}

// writeLayerNorm normalizes the last axis.
func (w *writer) writeLayerNorm(l *layer) int32 {
	mean := append(slices.Clone(l.shape[:len(l.shape)-1]), 1)
	x := w.addNormalize(l, l.in[0], l.shape, mean, int32(len(l.shape)))
	return w.writeGammaBeta(l, x)
}

// writeGroupNorm normalizes groups of channels over all positions: in [positions groups channels],
// over the first and the last axis.
func (w *writer) writeGroupNorm(l *layer) int32 {
	channels := l.shape[len(l.shape)-1]
	groups := []int{tensor.Len(l.shape) / channels, l.Groups, channels / l.Groups}
	x := w.addReshape(l.name+"/groups", l.in[0], groups)
	x = w.addNormalize(l, x, groups, []int{1, l.Groups, 1}, 1, 3)
	return w.writeGammaBeta(l, w.addReshape(l.name+"/channels", x, l.shape))
}

// addNormalize computes (x − mean)/√(variance + epsilon) over axes, of which 0 is the batch. mean
// is the shape of the means.
func (w *writer) addNormalize(l *layer, x int32, shape, mean []int, axes ...int32) int32 {
	x = w.addBinary(opSub, subOptions, l.name+"/centred", shape, x,
		w.addReduce(opMean, l.name+"/mean", x, mean, true, axes...))
	squares := w.addBinary(opMul, mulOptions, l.name+"/squares", shape, x, x)
	variance := w.addReduce(opMean, l.name+"/variance", squares, mean, true, axes...)
	variance = w.addBinary(opAdd, addOptions, l.name+"/above", mean, variance,
		w.addFloats(l.name+"/epsilon", []float32{float32(l.Epsilon)}, 1))
	inverse := w.addNode(l.name+"/inverse", mean, node{op: opRsqrt, inputs: []int32{variance}})
	return w.addBinary(opMul, mulOptions, l.name+"/normalized", shape, x, inverse)
}

// writeGammaBeta multiplies x by gamma and adds beta.
func (w *writer) writeGammaBeta(l *layer, x int32) int32 {
	gamma, beta := l.params[0].Data, l.params[1].Data
	x = w.addBinary(opMul, mulOptions, l.name+"/scaled", l.shape, x, w.addFloats(l.name+"/gamma", gamma, len(gamma)))
	return w.addBinary(opAdd, addOptions, l.name, l.shape, x, w.addFloats(l.name+"/beta", beta, len(beta)))
}

// writeAffine multiplies each channel by a factor and adds a shift. If only this layer takes the
// output of the layer before, it changes that one's kernel and bias instead.
func (w *writer) writeAffine(l *layer, factor, shift []float64) int32 {
	n := w.findMaker(l.in[0])
	if n == nil || !n.foldable || !slices.Contains(n.fields, field(noActivation)) {
		x := w.addNode(l.name+"/multiply", l.shape, node{op: opMul, options: mulOptions, fields: []field{noActivation},
			inputs: []int32{l.in[0], w.addFloats(l.name+"/factor", roundToFloat32(factor), len(factor))}})
		return w.addNode(l.name, l.shape, node{op: opAdd, options: addOptions, fields: []field{noActivation},
			inputs: []int32{x, w.addFloats(l.name+"/shift", roundToFloat32(shift), len(shift))}})
	}
	kernel, bias := w.tensors[n.inputs[1]].values.floats, w.tensors[n.inputs[2]].values.floats
	perChannel := len(kernel) / len(factor) // values of a channel
	for i := range kernel {
		c := i / perChannel
		if n.channelsLast {
			c = i % len(factor)
		}
		kernel[i] = float32(float64(kernel[i]) * factor[c])
	}
	for c := range bias {
		bias[c] = float32(float64(float64(bias[c])*factor[c]) + shift[c])
	}
	return l.in[0]
}

func roundToFloat32(values []float64) []float32 {
	singles := make([]float32, len(values))
	for i, v := range values {
		singles[i] = float32(v)
	}
	return singles
}

func writePool(op operator) func(*writer, *layer) int32 {
	return func(w *writer, l *layer) int32 {
		return w.addNode(l.name, l.shape, node{op: op, inputs: l.in, options: pool2DOptions,
			fields: append(windowFields(l), integer(l.Width), integer(l.Height), noActivation)})
	}
}

func writeGlobalPool(op operator) func(*writer, *layer) int32 {
	return func(w *writer, l *layer) int32 { return w.addReduce(op, l.name, l.in[0], l.shape, false, 1, 2) }
}

// addReduce reduces along axes, of which 0 is the batch.
func (w *writer) addReduce(op operator, name string, x int32, shape []int, keepAxes bool, axes ...int32) int32 {
	return w.addNode(name, shape, node{op: op, inputs: []int32{x, w.addIntegers(name+"/axes", axes, len(axes))},
		options: reducerOptions, fields: []field{boolean(keepAxes)}})
}

// writeUnary returns a writer of an operator without options.
func writeUnary(op operator) func(*writer, *layer) int32 {
	return func(w *writer, l *layer) int32 {
		return w.addNode(l.name, l.shape, node{op: op, inputs: l.in})
	}
}

// writeFused returns a writer that fuses an activation into the operator before if only this layer
// takes its output, and otherwise writes an operator.
func writeFused(a activation, op operator) func(*writer, *layer) int32 {
	return func(w *writer, l *layer) int32 {
		if n := w.findMaker(l.in[0]); n != nil {
			if at := slices.Index(n.fields, field(noActivation)); at >= 0 {
				n.fields[at] = a
				return l.in[0]
			}
		}
		return writeUnary(op)(w, l)
	}
}

func (w *writer) writeLeakyReLU(l *layer) int32 {
	return w.addNode(l.name, l.shape, node{op: opLeakyReLU, inputs: l.in, options: leakyReLUOptions,
		fields: []field{float(l.Slope)}})
}

func (w *writer) writeSwish(l *layer) int32 {
	gate := w.addNode(l.name+"/sigmoid", l.shape, node{op: opLogistic, inputs: l.in})
	return w.addBinary(opMul, mulOptions, l.name, l.shape, l.in[0], gate)
}

// writeHardSigmoid computes ReLU6(x + 3)/6.
func (w *writer) writeHardSigmoid(l *layer) int32 {
	x := w.addNode(l.name+"/shifted", l.shape, node{op: opAdd, options: addOptions, fields: []field{fusedReLU6},
		inputs: []int32{l.in[0], w.addFloats(l.name+"/three", []float32{3}, 1)}})
	return w.addBinary(opMul, mulOptions, l.name, l.shape, x, w.addFloats(l.name+"/sixth", []float32{1. / 6}, 1))
}

// writeGELU returns a writer of GELU, with erf or its approximation.
func writeGELU(approximate bool) func(*writer, *layer) int32 {
	return func(w *writer, l *layer) int32 {
		return w.addNode(l.name, l.shape,
			node{op: opGELU, inputs: l.in, options: geluOptions, fields: []field{boolean(approximate)}})
	}
}

// writeELU computes scale·max(x, 0) + scale·alpha·(e^min(x, 0) − 1); LiteRT's own operator has no
// alpha.
func (w *writer) writeELU(l *layer, alpha, scale float64) int32 {
	apply := func(op operator, options optionsType, name string, x int32, by float64) int32 {
		return w.addBinary(op, options, l.name+"/"+name, l.shape, x,
			w.addFloats(l.name+"/"+name+"/by", []float32{float32(by)}, 1))
	}
	above := w.addNode(l.name+"/above", l.shape, node{op: opReLU, inputs: l.in})
	if scale != 1 {
		above = apply(opMul, mulOptions, "scaled", above, scale)
	}
	below := w.addNode(l.name+"/below", l.shape, node{op: opMinimum, options: maximumMinimumOptions,
		inputs: []int32{l.in[0], w.addFloats(l.name+"/zero", []float32{0}, 1)}})
	below = w.addNode(l.name+"/exp", l.shape, node{op: opExp, options: expOptions, inputs: []int32{below}})
	below = apply(opMul, mulOptions, "curve", apply(opSub, subOptions, "less", below, 1), scale*alpha)
	return w.addBinary(opAdd, addOptions, l.name, l.shape, above, below)
}

// addSoftplus computes max(x, 0) + ln(1 + e^−|x|), which is ln(1 + e^x) for any x.
func (w *writer) addSoftplus(l *layer, name string) int32 {
	above := w.addNode(name+"/above", l.shape, node{op: opReLU, inputs: l.in})
	x := w.addNode(name+"/abs", l.shape, node{op: opAbs, inputs: l.in})
	x = w.addBinary(opMul, mulOptions, name+"/minus", l.shape, x, w.addFloats(name+"/sign", []float32{-1}, 1))
	x = w.addNode(name+"/exp", l.shape, node{op: opExp, options: expOptions, inputs: []int32{x}})
	x = w.addBinary(opAdd, addOptions, name+"/more", l.shape, x, w.addFloats(name+"/one", []float32{1}, 1))
	x = w.addNode(name+"/log", l.shape, node{op: opLog, inputs: []int32{x}})
	return w.addBinary(opAdd, addOptions, name, l.shape, above, x)
}

// writeMish computes x·tanh(ln(1 + e^x)).
func (w *writer) writeMish(l *layer) int32 {
	gate := w.addNode(l.name+"/tanh", l.shape, node{op: opTanh, inputs: []int32{w.addSoftplus(l, l.name+"/softplus")}})
	return w.addBinary(opMul, mulOptions, l.name, l.shape, l.in[0], gate)
}

func (w *writer) writePReLU(l *layer) int32 {
	slopes := l.params[0].Data
	shape := []int{len(slopes)}
	if len(l.shape) == 3 {
		shape = []int{1, 1, len(slopes)}
	}
	constant := w.addFloats(l.name+"/slopes", slopes, shape...)
	return w.addNode(l.name, l.shape, node{op: opPReLU, inputs: []int32{l.in[0], constant}})
}

func (w *writer) writeSoftmax(l *layer) int32 { return w.addSoftmax(l.name, l.in[0], l.shape) }

func (w *writer) addSoftmax(name string, x int32, shape []int) int32 {
	return w.addNode(name, shape, node{op: opSoftmax, inputs: []int32{x}, options: softmaxOptions,
		fields: []field{float(1)}})
}

// writeElementwise returns a writer of an operator on two values.
func writeElementwise(op operator, options optionsType) func(*writer, *layer) int32 {
	return func(w *writer, l *layer) int32 {
		in := w.broadcast(l)
		return w.addBinary(op, options, l.name, l.shape, in[0], in[1])
	}
}

// writeChoice returns a writer of the maximum or minimum, which have no fused activation.
func writeChoice(op operator) func(*writer, *layer) int32 {
	return func(w *writer, l *layer) int32 {
		return w.addNode(l.name, l.shape, node{op: op, inputs: w.broadcast(l), options: maximumMinimumOptions})
	}
}

// broadcast reshapes flat inputs of a layer whose output is a feature map to three axes.
func (w *writer) broadcast(l *layer) []int32 {
	in := slices.Clone(l.in)
	for j, from := range l.inShapes {
		if missing := len(l.shape) - len(from); missing > 0 {
			in[j] = w.addReshape(l.name+"/spread", in[j], append(slices.Repeat([]int{1}, missing), from...))
		}
	}
	return in
}

func (w *writer) addBinary(op operator, options optionsType, name string, shape []int, x, y int32) int32 {
	return w.addNode(name, shape, node{op: op, inputs: []int32{x, y}, options: options, fields: []field{noActivation}})
}

func (w *writer) writeConcat(l *layer) int32 {
	// LiteRT ignores the option for a fused activation.
	return w.addNode(l.name, l.shape, node{op: opConcatenation, inputs: l.in, options: concatenationOptions,
		fields: []field{integer(len(l.shape))}})
}

// writeSelect multiplies by ones and zeros, which XNNPACK supports, unlike GATHER.
func (w *writer) writeSelect(l *layer) int32 {
	in := l.inShapes[0][len(l.inShapes[0])-1]
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
	return w.writeProduct(l, n, kernel, shape...)
}

func (w *writer) writePad(l *layer) int32 {
	pads := []int32{0, 0, int32(l.Above), int32(l.Below), int32(l.Left), int32(l.Right), 0, 0}
	n := node{op: opPad, inputs: []int32{l.in[0], w.addIntegers(l.name+"/pads", pads, 4, 2)}, options: padOptions}
	if l.Lowest {
		n.op, n.options = opPadV2, padV2Options
		n.inputs = append(n.inputs, w.addFloats(l.name+"/value", []float32{-math.MaxFloat32}))
	}
	if l.Border == nn.Reflect {
		n.op, n.options = opMirrorPad, mirrorPadOptions // mode 0, REFLECT
	}
	return w.addNode(l.name, l.shape, n)
}

func (w *writer) writeCrop(l *layer) int32 {
	first, size := []int32{0, int32(l.Before)}, []int32{-1} // the whole batch
	if len(l.shape) == 3 {
		first = []int32{0, int32(l.Above), int32(l.Left), int32(l.Before)}
	}
	for _, n := range l.shape {
		size = append(size, int32(n))
	}
	return w.addNode(l.name, l.shape, node{op: opSlice, options: sliceOptions, inputs: []int32{l.in[0],
		w.addIntegers(l.name+"/first", first, len(first)), w.addIntegers(l.name+"/size", size, len(size))}})
}

// writeResize takes pixels as squares with their values at the centres.
func (w *writer) writeResize(l *layer) int32 {
	size := w.addIntegers(l.name+"/size", []int32{int32(l.shape[0]), int32(l.shape[1])}, 2)
	n := node{op: opResizeNearest, options: resizeNearestOptions, inputs: []int32{l.in[0], size},
		fields: []field{boolean(false), boolean(true)}} // align_corners, half_pixel_centers
	if l.Linear {
		n.op, n.options = opResizeBilinear, resizeBilinearOptions
		n.fields = append([]field{integer(0), integer(0)}, n.fields...) // two obsolete fields
	}
	return w.addNode(l.name, l.shape, n)
}

func (w *writer) writeReshape(l *layer) int32 {
	if slices.Equal(l.inShapes[0], l.shape) {
		return l.in[0]
	}
	return w.addReshape(l.name, l.in[0], l.shape)
}

// addReshape reshapes a value for a batch of any size.
func (w *writer) addReshape(name string, x int32, shape []int) int32 {
	dims := []int32{-1}
	for _, n := range shape {
		dims = append(dims, int32(n))
	}
	return w.addNode(name, shape, node{op: opReshape, inputs: []int32{x, w.addIntegers(name+"/shape", dims, len(dims))},
		options: reshapeOptions})
}
