package onnx

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"garb/nn"
	"garb/tensor"
)

// writer turns the layers of a network into ONNX's operators. The values between them are [n c h w]
// for a layer [h w c], and [n c] for a layer [c].
type writer struct {
	graph   *nn.Graph
	shapes  [][]int
	weights tensor.Map
	int8    bool // see Options.Int8

	nodes        []operation
	initializers []initializer
	constants    map[string]string // the names of the initializers so far, by their contents
	known        map[string]bool   // all names so far
	input        message
	outputs      []message
	names        Names // none is ""
}

// reserveName returns a name that nothing has so far, and reserves it.
func (b *writer) reserveName(name string) string {
	free := name
	for i := 2; b.known[free]; i++ {
		free = fmt.Sprintf("%s_%d", name, i)
	}
	b.known[free] = true
	return free
}

// addNode appends a node, and returns the name of its output, which is its own.
func (b *writer) addNode(op, name string, inputs []string, attributes ...message) string {
	name = b.reserveName(name)
	b.nodes = append(b.nodes, operation{op, name, inputs, name, attributes})
	return name
}

// addConstant appends an initializer, unless there is one with the same contents, and returns its
// name.
func (b *writer) addConstant(t initializer) string {
	key := fmt.Sprint(t.name, t.dims)
	if name, ok := b.constants[key]; ok {
		return name
	}
	t.name = b.reserveName(t.name)
	b.initializers = append(b.initializers, t)
	b.constants[key] = t.name
	return t.name
}

func (b *writer) addIntegers(name string, values ...int) string {
	name = fmt.Sprint(name, values)
	return b.addConstant(initializer{name: name, dims: []int{len(values)}, integers: toInt64s(values)})
}

// addNumber appends a constant of one value.
func (b *writer) addNumber(v float32) string {
	return b.addConstant(initializer{name: fmt.Sprint("number/", v), dims: []int{}, floats: []float32{v}})
}

// writeNetwork writes all layers, the preprocessing before and the outputs after them.
func (b *writer) writeNetwork(o Options) error {
	layers := b.graph.Layers()
	shape := b.shapes[0]
	x := b.names.Input
	if p := o.Preprocessing; p != nil {
		if len(p.Mean) != shape[2] || len(p.Std) != shape[2] {
			panic(fmt.Sprintf("onnx: preprocessing of %d and %d channels for a network of %d", len(p.Mean),
				len(p.Std), shape[2]))
		}
		b.input = valueInfo(pictureName, typeUint8, shape)
		x = b.addNode("Cast", "preprocessing/cast", []string{pictureName}, intAttribute("to", typeFloat))
		for _, step := range []struct {
			op, name string
			values   []float32
		}{{"Sub", "mean", p.Mean}, {"Div", "std", p.Std}} {
			name := "preprocessing/" + step.name
			values := b.addConstant(initializer{name: name, dims: []int{len(step.values)}, floats: step.values})
			x = b.addNode(step.op, name, []string{x, values})
		}
	} else {
		b.input = valueInfo(b.names.Input, typeFloat, shape)
	}
	values := []string{b.addNode("Transpose", "input/nchw", []string{x}, intsAttribute("perm", 0, 3, 1, 2))}
	last := len(layers) - 1
	if layers[last].Op == nn.OpSoftmax && last > 1 {
		last = layers[last].Inputs[0]
	}
	for i := 1; i <= last; i++ {
		inputs := make([]string, len(layers[i].Inputs))
		for j, in := range layers[i].Inputs {
			inputs[j] = values[in]
		}
		out, err := b.writeLayer(i, layers[i], inputs)
		if err != nil {
			return err
		}
		values = append(values, out)
	}
	logits := values[last]
	if len(b.shapes[last]) == 3 {
		logits = b.addNode("Transpose", "output/nhwc", []string{logits}, intsAttribute("perm", 0, 2, 3, 1))
	}
	b.writeOutputs(logits, b.shapes[last], o)
	if o.Acceptance != nil {
		in := layers[last].Inputs[0]
		b.writeAcceptance(*o.Acceptance, values[in], tensor.Len(b.shapes[in]), b.shapes[last])
	}
	return nil
}

// writeAcceptance appends the output "acceptance". x, of so many values, is the input of the last
// layer, and shape that of the logits.
func (b *writer) writeAcceptance(a Acceptance, x string, features int, shape []int) {
	if len(shape) != 1 || a.Kernel != nil && len(a.Kernel) != features || len(a.Means)%features != 0 ||
		a.Means != nil &&
			(len(a.Scale) != features || len(a.Centre) != features || len(a.Spread) != features) {
		panic(fmt.Sprintf("onnx: an acceptance that does not fit %d features", features))
	}
	constant := func(name string, values []float32, dims ...int) string {
		return b.addConstant(initializer{name: "acceptance/" + name, dims: dims, floats: values})
	}
	overClasses := []message{intsAttribute("axes", 1), intAttribute("keepdims", 1)}
	score := ""
	switch {
	case a.Means != nil:
		x = b.addNode("Unsqueeze", "acceptance/features", []string{x, b.addIntegers("axes/", 1)}) // [batch 1 features]
		squares := func(name string, from, scale []float32) string {
			y := b.addNode("Sub", "acceptance/from_"+name,
				[]string{x, constant(name, from, len(from)/features, features)})
			y = b.addNode("Mul", "acceptance/scaled", []string{y, constant(name+"_scale", scale, features)})
			y = b.addNode("Mul", "acceptance/squares", []string{y, y})
			return b.addNode("ReduceMean", "acceptance/distance", []string{y}, intsAttribute("axes", 2),
				intAttribute("keepdims", 0))
		}
		nearest := squares("means", a.Means, a.Scale)
		nearest = b.addNode("ReduceMin", "acceptance/nearest", []string{nearest}, overClasses...)
		score = b.addNode("Sub", "acceptance/score", []string{squares("centre", a.Centre, a.Spread), nearest})
	case a.Top:
		const lowest = -1e30 // adds nothing to a sum of exponentials
		classes := initializer{name: "acceptance/classes", dims: []int{}, integers: []int64{int64(shape[0])}}
		depth := b.addConstant(classes)
		at := b.addNode("ArgMax", "acceptance/top", []string{b.names.Logits}, intAttribute("axis", 1),
			intAttribute("keepdims", 0))
		masks := b.addNode("OneHot", "acceptance/mask",
			[]string{at, depth, constant("mask_values", []float32{0, lowest}, 2)})
		rest := b.addNode("Add", "acceptance/others", []string{b.names.Logits, masks})
		rest = b.addNode("ReduceLogSumExp", "acceptance/energy", []string{rest}, overClasses...)
		largest := b.addNode("ReduceMax", "acceptance/largest", []string{b.names.Logits}, overClasses...)
		score = b.addNode("Sub", "acceptance/score", []string{largest, rest})
	case a.Energy:
		score = b.addNode("ReduceLogSumExp", "acceptance/energy", []string{b.names.Logits}, overClasses...)
	}
	if a.Kernel != nil {
		z := b.addNode("Gemm", "acceptance/logit", []string{x, constant("kernel", a.Kernel, features, 1),
			constant("bias", []float32{a.Bias}, 1)})
		if score == "" {
			score = z
		} else {
			score = b.addNode("Sub", "acceptance/score", []string{score, z})
		}
	}
	scaled := b.addNode("Mul", "acceptance/sloped", []string{score, constant("slope", []float32{float32(a.Slope)})})
	logit := b.addNode("Add", "acceptance/shifted", []string{scaled, constant("offset", []float32{float32(a.Offset)})})
	b.nodes = append(b.nodes, operation{"Sigmoid", "acceptance/sigmoid", []string{logit}, acceptanceName, nil})
	b.outputs = append(b.outputs, valueInfo(acceptanceName, typeFloat, []int{1}))
}

// writeOutputs names the outputs, and appends the softmax or the sigmoid.
func (b *writer) writeOutputs(logits string, shape []int, o Options) {
	for i := range b.nodes {
		n := &b.nodes[i]
		if n.output == logits {
			n.output = b.names.Logits
		}
		for j := range n.inputs {
			if n.inputs[j] == logits {
				n.inputs[j] = b.names.Logits
			}
		}
	}
	cooled := b.names.Logits
	if o.Temperature != 0 && o.Temperature != 1 {
		temperature := initializer{name: "temperature", dims: []int{}, floats: []float32{float32(o.Temperature)}}
		value := b.addConstant(temperature)
		cooled = b.addNode("Div", "probabilities/cooled", []string{b.names.Logits, value})
	}
	last := operation{"Softmax", "probabilities/softmax", []string{cooled}, b.names.Probabilities,
		[]message{intAttribute("axis", -1)}}
	if o.MultiLabel {
		last = operation{"Sigmoid", "probabilities/sigmoid", []string{cooled}, b.names.Probabilities, nil}
	}
	b.nodes = append(b.nodes, last)
	b.outputs = []message{valueInfo(b.names.Logits, typeFloat, shape),
		valueInfo(b.names.Probabilities, typeFloat, shape)}
}

// readParam returns parameter k of layer i.
func (b *writer) readParam(i, k int) (nn.Param, *tensor.Tensor, error) {
	p := b.graph.LayerParams(i)[k]
	t, err := b.weights.Tensor(p.Name)
	if err != nil {
		return p, nil, &nn.WeightError{Name: p.Name, Detail: "cannot be read", Err: err}
	}
	if !slices.Equal(t.Shape, p.Shape) {
		return p, nil, &nn.WeightError{Name: p.Name, Detail: fmt.Sprintf("shape %s where the network needs %s",
			tensor.ShapeString(t.Shape), tensor.ShapeString(p.Shape))}
	}
	return p, t, nil
}

// simple has the operations that are one operator of ONNX without attributes.
var simple = map[nn.Op]string{
	nn.OpReLU: "Relu", nn.OpSigmoid: "Sigmoid", nn.OpTanh: "Tanh", nn.OpSELU: "Selu", nn.OpErf: "Erf",
	nn.OpSoftplus: "Softplus", nn.OpHardSwish: "HardSwish",
}

// pairwise has the operations on two values, of which either may be broadcast.
var pairwise = map[nn.Op]string{nn.OpAdd: "Add", nn.OpMultiply: "Mul", nn.OpMaximum: "Max", nn.OpMinimum: "Min"}

// broadcast reshapes flat inputs of a layer whose output is a map.
func (b *writer) broadcast(name string, l nn.Layer, in []string, shape []int) []string {
	for j, k := range l.Inputs {
		if len(b.shapes[k]) < len(shape) {
			in[j] = b.addNode("Reshape", name+"/spread",
				[]string{in[j], b.addIntegers("shape/", 0, tensor.Len(b.shapes[k]), 1, 1)})
		}
	}
	return in
}

// writeLayer appends the nodes of layer i, and returns the name of its value.
//
//nolint:funlen // a table of operations
func (b *writer) writeLayer(i int, l nn.Layer, in []string) (string, error) {
	name := l.Name
	if name == "" {
		name = fmt.Sprintf("%s/%d", strings.ToLower(string(l.Op)), i)
	}
	from := b.shapes[l.Inputs[0]]
	shape := b.shapes[i]
	if op, ok := simple[l.Op]; ok {
		return b.addNode(op, name, in), nil
	}
	if op, ok := pairwise[l.Op]; ok {
		return b.addNode(op, name, b.broadcast(name, l, in, shape)), nil
	}
	switch l.Op {
	case nn.OpConv, nn.OpDepthwiseConv, nn.OpDense, nn.OpBatchNorm, nn.OpScale, nn.OpPReLU, nn.OpLayerNorm,
		nn.OpGroupNorm:
		return b.writeWeighted(i, l, name, in[0])
	case nn.OpMaxPool:
		return b.addNode("MaxPool", name, in, windowAttributes(l, from)...), nil
	case nn.OpAveragePool:
		if down, along := l.Dilations(); down > 1 || along > 1 {
			return "", &nn.LayerError{Layer: i, Name: l.Name, Op: l.Op,
				Reason: fmt.Sprintf("it is dilated, and AveragePool of opset %d is not", outputOpset)}
		}
		return b.addNode("AveragePool", name, in,
			append(windowAttributes(l, from), intAttribute("count_include_pad", 0))...), nil
	case nn.OpGlobalAveragePool, nn.OpGlobalMaxPool:
		x := b.addNode(string(l.Op), name, in)
		return b.addNode("Flatten", name+"/flat", []string{x}, intAttribute("axis", 1)), nil
	case nn.OpReLU6:
		return b.addNode("Clip", name, []string{in[0], b.addNumber(0), b.addNumber(6)}), nil
	case nn.OpLeakyReLU:
		return b.addNode("LeakyRelu", name, in, floatAttribute("alpha", l.Slope)), nil
	case nn.OpSwish:
		gate := b.addNode("Sigmoid", name+"/sigmoid", in)
		return b.addNode("Mul", name, []string{in[0], gate}), nil
	case nn.OpELU:
		return b.addNode("Elu", name, in, floatAttribute("alpha", l.Slope)), nil
	case nn.OpHardSigmoid:
		return b.addNode("HardSigmoid", name, in, floatAttribute("alpha", 1./6), floatAttribute("beta", 0.5)), nil
	case nn.OpMish:
		soft := b.addNode("Tanh", name+"/tanh", []string{b.addNode("Softplus", name+"/softplus", in)})
		return b.addNode("Mul", name, []string{in[0], soft}), nil
	case nn.OpGELU:
		scaled := b.addNode("Mul", name+"/scaled", []string{in[0], b.addNumber(1 / math.Sqrt2)})
		return b.writeHalfGate(name, in[0], b.addNode("Erf", name+"/erf", []string{scaled})), nil
	case nn.OpGELUTanh: // √(2/π)·x·(1 + 0.044715·x²)
		square := b.addNode("Mul", name+"/square", []string{in[0], in[0]})
		cubic := b.addNode("Mul", name+"/cubic", []string{square, b.addNumber(0.044715)})
		cubic = b.addNode("Add", name+"/inner", []string{cubic, b.addNumber(1)})
		scaled := b.addNode("Mul", name+"/scaled", []string{in[0], b.addNumber(float32(math.Sqrt(2 / math.Pi)))})
		argument := b.addNode("Mul", name+"/argument", []string{cubic, scaled})
		return b.writeHalfGate(name, in[0], b.addNode("Tanh", name+"/tanh", []string{argument})), nil
	case nn.OpSoftmax:
		return b.addNode("Softmax", name, in, intAttribute("axis", 1)), nil
	case nn.OpConcat:
		return b.addNode("Concat", name, in, intAttribute("axis", 1)), nil
	case nn.OpSelect:
		return b.addNode("Gather", name, []string{in[0], b.addIntegers("channels/", l.Channels...)},
			intAttribute("axis", 1)), nil
	case nn.OpPad:
		value := float32(0)
		if l.Lowest {
			value = -math.MaxFloat32
		}
		pads := b.addIntegers("pads/", 0, 0, l.Above, l.Left, 0, 0, l.Below, l.Right)
		if l.Border == nn.Wrap {
			return "", &nn.LayerError{Layer: i, Name: l.Name, Op: l.Op,
				Reason: fmt.Sprintf("ONNX's Pad has no mode %q before opset 19, and opset %d is written", l.Border,
					outputOpset)}
		}
		if l.Border != "" {
			return b.addNode("Pad", name, []string{in[0], pads}, textAttribute("mode", string(l.Border))), nil
		}
		return b.addNode("Pad", name, []string{in[0], pads, b.addNumber(value)}), nil
	case nn.OpCrop:
		return b.writeCrop(name, l, in[0], from), nil
	case nn.OpUpsample:
		return b.writeUpsample(name, l, in[0]), nil
	case nn.OpResize:
		return b.writeResize(i, name, l, in[0], from)
	case nn.OpFlatten, nn.OpReshape:
		return b.writeReshape(name, in[0], from, shape), nil
	case nn.OpDropout:
		return in[0], nil
	}
	return "", &nn.LayerError{Layer: i, Name: l.Name, Op: l.Op, Reason: "it has no operator in ONNX"}
}

// writeHalfGate writes x·(1 + y)/2.
func (b *writer) writeHalfGate(name, x, y string) string {
	y = b.addNode("Add", name+"/one", []string{y, b.addNumber(1)})
	return b.addNode("Mul", name, []string{b.addNode("Mul", name+"/product", []string{x, y}), b.addNumber(0.5)})
}

// writeCrop cuts a part out of a map [h w c] or a flat value.
func (b *writer) writeCrop(name string, l nn.Layer, x string, from []int) string {
	starts, ends, axes := []int{l.Before}, []int{from[len(from)-1] - l.After}, []int{1}
	if len(from) == 3 {
		starts = append(starts, l.Above, l.Left)
		ends = append(ends, from[0]-l.Below, from[1]-l.Right)
		axes = append(axes, 2, 3)
	}
	return b.addNode("Slice", name, []string{x,
		b.addIntegers("starts/", starts...), b.addIntegers("ends/", ends...), b.addIntegers("axes/", axes...)})
}

// writeUpsample writes an upsampling that repeats or interpolates.
func (b *writer) writeUpsample(name string, l nn.Layer, x string) string {
	factors := []float32{1, 1, float32(l.Rows), float32(l.Columns)}
	scales := b.addConstant(initializer{name: fmt.Sprint("scales/", factors), dims: []int{4}, floats: factors})
	settings := []message{stringAttribute("mode", "nearest"),
		stringAttribute("coordinate_transformation_mode", "asymmetric"),
		stringAttribute("nearest_mode", "floor")}
	if l.Linear {
		settings = []message{stringAttribute("mode", "linear"),
			stringAttribute("coordinate_transformation_mode", "half_pixel")}
	}
	return b.addNode("Resize", name, []string{x, "", scales}, settings...)
}

// writeResize writes a resizing, by scales that are as exact as float32 can be.
func (b *writer) writeResize(i int, name string, l nn.Layer, x string, from []int) (string, error) {
	scales := []float32{1, 1, 0, 0}
	for axis, to := range []int{l.Rows, l.Columns} {
		scale, ok := findScale(from[axis], to, l.Linear)
		if !ok {
			return "", &nn.LayerError{Layer: i, Name: l.Name, Op: l.Op,
				Reason: fmt.Sprintf("no factor of ONNX resizes %d rows or columns to %d and picks the same ones",
					from[axis], to)}
		}
		scales[2+axis] = scale
	}
	factors := b.addConstant(initializer{name: fmt.Sprint("scales/", scales), dims: []int{4}, floats: scales})
	settings := []message{stringAttribute("mode", "nearest"),
		stringAttribute("coordinate_transformation_mode", "half_pixel"),
		stringAttribute("nearest_mode", "round_prefer_ceil")}
	if l.Linear {
		settings = []message{stringAttribute("mode", "linear"),
			stringAttribute("coordinate_transformation_mode", "half_pixel")}
	}
	return b.addNode("Resize", name, []string{x, "", factors}, settings...), nil
}

// findScale returns a factor that resizes an axis from one size to another, about to/from, with the
// same nearest places as garb's.
func findScale(from, to int, linear bool) (float32, bool) {
	scale := float32(to) / float32(from)
	for _, towards := range []float32{0, math.MaxFloat32} {
		s := scale
		for range 4 {
			r := resampling{s, from, to}
			if scaleLength(from, s) == to &&
				(linear || slices.Equal(r.nearest("half_pixel", "round_prefer_ceil"), nn.Nearest(from, to))) {
				return s, true
			}
			s = math.Nextafter32(s, towards)
		}
	}
	return 0, false
}

// writeReshape writes a reshape that keeps garb's order of the values.
func (b *writer) writeReshape(name, x string, from, to []int) string {
	if slices.Equal(from, to) {
		return x
	}
	turned := func(s []int) bool { return len(s) == 3 && s[0]*s[1] > 1 && s[2] > 1 }
	if turned(from) {
		x = b.addNode("Transpose", name+"/nhwc", []string{x}, intsAttribute("perm", 0, 2, 3, 1))
	}
	if !turned(to) {
		if len(to) == 3 {
			to = []int{to[2], to[0], to[1]}
		}
		return b.addNode("Reshape", name, []string{x, b.addIntegers("shape/", append([]int{0}, to...)...)})
	}
	x = b.addNode("Reshape", name+"/reshape", []string{x, b.addIntegers("shape/", append([]int{0}, to...)...)})
	return b.addNode("Transpose", name, []string{x}, intsAttribute("perm", 0, 3, 1, 2))
}

// writeWeighted writes a layer that has parameters.
func (b *writer) writeWeighted(i int, l nn.Layer, name, x string) (string, error) {
	params := b.graph.LayerParams(i)
	from, shape := b.shapes[l.Inputs[0]], b.shapes[i]
	names, outputsFirst := make([]string, len(params)), false
	for k := range params {
		p, values, err := b.readParam(i, k)
		if err != nil {
			return "", err
		}
		if b.int8 {
			if names[k], err = b.writeQuantized(p, values); err != nil {
				return "", err
			}
			if names[k] != "" {
				outputsFirst = true
				continue
			}
			values = roundToHalf(p.Name, values)
		}
		t := initializer{name: p.Name, dims: p.Shape, floats: values.Data}
		switch {
		case len(p.Shape) == 4:
			t.dims, t.floats = moveFiltersFirst(values.Data, p.Shape, l.Op == nn.OpDepthwiseConv)
		case (l.Op == nn.OpScale || l.Op == nn.OpPReLU || l.Op == nn.OpGroupNorm) && len(shape) == 3:
			t.dims = []int{p.Shape[0], 1, 1}
		}
		names[k] = b.addConstant(t)
	}
	inputs := append([]string{x}, names...)
	switch l.Op {
	case nn.OpDense:
		if outputsFirst {
			return b.addNode("Gemm", name, inputs, intAttribute("transB", 1)), nil
		}
		return b.addNode("Gemm", name, inputs), nil
	case nn.OpBatchNorm:
		return b.addNode("BatchNormalization", name, inputs, floatAttribute("epsilon", l.Epsilon)), nil
	case nn.OpLayerNorm:
		return b.writeLayerNorm(name, l, inputs, shape), nil
	case nn.OpGroupNorm:
		return b.writeGroupNorm(name, l, inputs, shape), nil
	case nn.OpPReLU:
		return b.addNode("PRelu", name, inputs), nil
	case nn.OpScale:
		scaled := b.addNode("Mul", name+"/multiply", []string{x, names[0]})
		return b.addNode("Add", name, []string{scaled, names[1]}), nil
	}
	group := max(l.Groups, 1)
	if l.Op == nn.OpDepthwiseConv {
		group = from[2]
	}
	return b.addNode("Conv", name, inputs, append(windowAttributes(l, from), intAttribute("group", group))...), nil
}

// writeLayerNorm writes a normalization of the last axis; a map's channels are first transposed to
// it.
func (b *writer) writeLayerNorm(name string, l nn.Layer, in []string, shape []int) string {
	epsilon := floatAttribute("epsilon", l.Epsilon)
	if len(shape) == 1 {
		return b.addNode("LayerNormalization", name, in, intAttribute("axis", -1), epsilon)
	}
	in[0] = b.addNode("Transpose", name+"/nhwc", []string{in[0]}, intsAttribute("perm", 0, 2, 3, 1))
	x := b.addNode("LayerNormalization", name+"/normalized", in, intAttribute("axis", -1), epsilon)
	return b.addNode("Transpose", name, []string{x}, intsAttribute("perm", 0, 3, 1, 2))
}

// writeGroupNorm writes a group normalization as PyTorch does: an instance normalization with
// groups as channels, then a factor and an offset for each channel. A flat value gets an axis for
// its positions.
func (b *writer) writeGroupNorm(name string, l nn.Layer, in []string, shape []int) string {
	ones := b.addConstant(initializer{name: fmt.Sprint("ones/", l.Groups), dims: []int{l.Groups},
		floats: slices.Repeat([]float32{1}, l.Groups)})
	zeros := b.addConstant(initializer{name: fmt.Sprint("zeros/", l.Groups), dims: []int{l.Groups},
		floats: make([]float32, l.Groups)})
	x := b.addNode("Reshape", name+"/groups", []string{in[0], b.addIntegers("shape/", 0, l.Groups, -1)})
	x = b.addNode("InstanceNormalization", name, []string{x, ones, zeros}, floatAttribute("epsilon", l.Epsilon))
	back := []int{0, shape[len(shape)-1]}
	if len(shape) == 3 {
		back = append(back, shape[0], shape[1])
	}
	x = b.addNode("Reshape", name+"/channels", []string{x, b.addIntegers("shape/", back...)})
	x = b.addNode("Mul", name+"/scaled", []string{x, in[1]})
	return b.addNode("Add", name+"/shifted", []string{x, in[2]})
}

// moveFiltersFirst turns a kernel [kh kw in out] into [out in kh kw], and a depthwise one,
// [kh kw c 1], into [c 1 kh kw].
func moveFiltersFirst[T float32 | int8](values []T, shape []int, depthwise bool) (dims []int, turned []T) {
	area, in, out := shape[0]*shape[1], shape[2], shape[3]
	if depthwise {
		in, out = out, in
	}
	turned = make([]T, len(values))
	for k := range area {
		for c := range in {
			for f := range out {
				turned[(f*in+c)*area+k] = values[(k*in+c)*out+f]
			}
		}
	}
	return []int{out, in, shape[0], shape[1]}, turned
}

// windowAttributes returns the attributes of a convolution or pooling over an input [h w c].
func windowAttributes(l nn.Layer, from []int) []message {
	var v, h span
	if l.Same {
		v, h = samePadding(l, from[0], from[1])
	}
	strideHeight, strideWidth := l.Strides()
	attributes := []message{
		intsAttribute("kernel_shape", l.Height, l.Width),
		intsAttribute("strides", strideHeight, strideWidth),
		intsAttribute("pads", v.before, h.before, v.after, h.after),
	}
	if down, along := l.Dilations(); down > 1 || along > 1 {
		attributes = append(attributes, intsAttribute("dilations", down, along))
	}
	return attributes
}
