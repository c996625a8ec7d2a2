package onnx

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"garb/nn"
	"garb/tensor"
)

// writer turns the layers of a network into ONNX's operators. The values between them are
// [n c h w] for our [h w c], and [n c] for our [c].
type writer struct {
	graph   *nn.Graph
	shapes  [][]int
	weights tensor.Map
	int8    bool // write them so, see Options

	nodes        []operation
	initializers []initializer
	constants    map[string]string // the initializers so far: what they hold, to their names
	known        map[string]bool   // all names so far
	input        message
	outputs      []message
}

// unique is a name that nothing has so far, and that now has its bearer.
func (b *writer) unique(name string) string {
	free := name
	for i := 2; b.known[free]; i++ {
		free = fmt.Sprintf("%s_%d", name, i)
	}
	b.known[free] = true
	return free
}

// node appends a node, and returns its output's name, which is its own.
func (b *writer) node(op, name string, inputs []string, attributes ...message) string {
	name = b.unique(name)
	b.nodes = append(b.nodes, operation{op, name, inputs, name, attributes})
	return name
}

// constant appends an initializer, unless there is one that holds the same.
func (b *writer) constant(t initializer) string {
	key := fmt.Sprint(t.name, t.dims)
	if name, ok := b.constants[key]; ok {
		return name
	}
	t.name = b.unique(t.name)
	b.initializers = append(b.initializers, t)
	b.constants[key] = t.name
	return t.name
}

func (b *writer) integers(name string, values ...int) string {
	return b.constant(initializer{name: fmt.Sprint(name, values), dims: []int{len(values)}, integers: int64s(values)})
}

// number is a constant of one value.
func (b *writer) number(v float32) string {
	return b.constant(initializer{name: fmt.Sprint("number/", v), dims: []int{}, floats: []float32{v}})
}

// network writes all layers, and what is before and after them.
func (b *writer) network(o Options) error {
	layers := b.graph.Layers()
	shape := b.shapes[0]
	x := inputName
	if p := o.Preprocessing; p != nil {
		if len(p.Mean) != shape[2] || len(p.Std) != shape[2] {
			panic(fmt.Sprintf("onnx: preprocessing of %d and %d channels for a network of %d", len(p.Mean),
				len(p.Std), shape[2]))
		}
		b.input = valueInfo(pictureName, typeUint8, shape)
		x = b.node("Cast", "preprocessing/cast", []string{pictureName}, intAttribute("to", typeFloat))
		for _, step := range []struct {
			op, name string
			values   []float32
		}{{"Sub", "mean", p.Mean}, {"Div", "std", p.Std}} {
			name := "preprocessing/" + step.name
			values := b.constant(initializer{name: name, dims: []int{len(step.values)}, floats: step.values})
			x = b.node(step.op, name, []string{x, values})
		}
	} else {
		b.input = valueInfo(inputName, typeFloat, shape)
	}
	values := []string{b.node("Transpose", "input/nchw", []string{x}, intsAttribute("perm", 0, 3, 1, 2))}
	last := len(layers) - 1
	if layers[last].Op == nn.OpSoftmax && last > 1 {
		last = layers[last].Inputs[0]
	}
	for i := 1; i <= last; i++ {
		inputs := make([]string, len(layers[i].Inputs))
		for j, in := range layers[i].Inputs {
			inputs[j] = values[in]
		}
		out, err := b.layer(i, layers[i], inputs)
		if err != nil {
			return err
		}
		values = append(values, out)
	}
	logits := values[last]
	if len(b.shapes[last]) == 3 {
		logits = b.node("Transpose", "output/nhwc", []string{logits}, intsAttribute("perm", 0, 2, 3, 1))
	}
	b.finish(logits, b.shapes[last], o)
	if o.Acceptance != nil {
		in := layers[last].Inputs[0]
		b.acceptance(*o.Acceptance, values[in], tensor.Len(b.shapes[in]), b.shapes[last])
	}
	return nil
}

// acceptance appends the output of acceptance. x, of so many values, is what the last layer
// takes, and shape that of the logits.
func (b *writer) acceptance(a Acceptance, x string, features int, shape []int) {
	if len(shape) != 1 || a.Kernel != nil && len(a.Kernel) != features || len(a.Means)%features != 0 ||
		a.Means != nil &&
			(len(a.Scale) != features || len(a.Centre) != features || len(a.Spread) != features) {
		panic(fmt.Sprintf("onnx: an acceptance that does not fit %d features", features))
	}
	constant := func(name string, values []float32, dims ...int) string {
		return b.constant(initializer{name: "acceptance/" + name, dims: dims, floats: values})
	}
	axis := func(i int) []message { return []message{intsAttribute("axes", i), intAttribute("keepdims", 1)} }
	score := ""
	switch {
	case a.Means != nil:
		x = b.node("Unsqueeze", "acceptance/features", []string{x, b.integers("axes/", 1)}) // [batch 1 features]
		squares := func(name string, from, scale []float32) string {
			y := b.node("Sub", "acceptance/from_"+name,
				[]string{x, constant(name, from, len(from)/features, features)})
			y = b.node("Mul", "acceptance/scaled", []string{y, constant(name+"_scale", scale, features)})
			y = b.node("Mul", "acceptance/squares", []string{y, y})
			return b.node("ReduceMean", "acceptance/distance", []string{y}, intsAttribute("axes", 2),
				intAttribute("keepdims", 0))
		}
		nearest := b.node("ReduceMin", "acceptance/nearest", []string{squares("means", a.Means, a.Scale)}, axis(1)...)
		score = b.node("Sub", "acceptance/score", []string{squares("centre", a.Centre, a.Spread), nearest})
	case a.Top:
		const lowest = -1e30 // adds nothing to a sum of exponentials
		depth := b.constant(initializer{name: "acceptance/classes", dims: []int{}, integers: []int64{int64(shape[0])}})
		at := b.node("ArgMax", "acceptance/top", []string{logitsName}, intAttribute("axis", 1),
			intAttribute("keepdims", 0))
		masks := b.node("OneHot", "acceptance/mask",
			[]string{at, depth, constant("mask_values", []float32{0, lowest}, 2)})
		rest := b.node("Add", "acceptance/others", []string{logitsName, masks})
		rest = b.node("ReduceLogSumExp", "acceptance/energy", []string{rest}, axis(1)...)
		largest := b.node("ReduceMax", "acceptance/largest", []string{logitsName}, axis(1)...)
		score = b.node("Sub", "acceptance/score", []string{largest, rest})
	case a.Energy:
		score = b.node("ReduceLogSumExp", "acceptance/energy", []string{logitsName}, axis(1)...)
	}
	if a.Kernel != nil {
		z := b.node("Gemm", "acceptance/logit", []string{x, constant("kernel", a.Kernel, features, 1),
			constant("bias", []float32{a.Bias}, 1)})
		if score == "" {
			score = z
		} else {
			score = b.node("Sub", "acceptance/score", []string{score, z})
		}
	}
	scaled := b.node("Mul", "acceptance/sloped", []string{score, constant("slope", []float32{float32(a.Slope)})})
	logit := b.node("Add", "acceptance/shifted", []string{scaled, constant("offset", []float32{float32(a.Offset)})})
	b.nodes = append(b.nodes, operation{"Sigmoid", "acceptance/sigmoid", []string{logit}, acceptanceName, nil})
	b.outputs = append(b.outputs, valueInfo(acceptanceName, typeFloat, []int{1}))
}

// finish gives the outputs their names, and appends the softmax, or the sigmoid.
func (b *writer) finish(logits string, shape []int, o Options) {
	for i := range b.nodes {
		n := &b.nodes[i]
		if n.output == logits {
			n.output = logitsName
		}
		for j := range n.inputs {
			if n.inputs[j] == logits {
				n.inputs[j] = logitsName
			}
		}
	}
	cooled := logitsName
	if o.Temperature != 0 && o.Temperature != 1 {
		value := b.constant(initializer{name: "temperature", dims: []int{}, floats: []float32{float32(o.Temperature)}})
		cooled = b.node("Div", "probabilities/cooled", []string{logitsName, value})
	}
	last := operation{"Softmax", "probabilities/softmax", []string{cooled}, probabilitiesName,
		[]message{intAttribute("axis", -1)}}
	if o.MultiLabel {
		last = operation{"Sigmoid", "probabilities/sigmoid", []string{cooled}, probabilitiesName, nil}
	}
	b.nodes = append(b.nodes, last)
	b.outputs = []message{valueInfo(logitsName, typeFloat, shape), valueInfo(probabilitiesName, typeFloat, shape)}
}

// param returns parameter k of layer i.
func (b *writer) param(i, k int) (nn.Param, *tensor.Tensor, error) {
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

// simple are the operations that are one operator of ONNX's without settings.
var simple = map[nn.Op]string{
	nn.OpReLU: "Relu", nn.OpSigmoid: "Sigmoid", nn.OpTanh: "Tanh", nn.OpSELU: "Selu", nn.OpErf: "Erf",
	nn.OpSoftplus: "Softplus", nn.OpHardSwish: "HardSwish",
}

// pairwise are those on two values, of which either may be repeated over the other.
var pairwise = map[nn.Op]string{nn.OpAdd: "Add", nn.OpMultiply: "Mul", nn.OpMaximum: "Max", nn.OpMinimum: "Min"}

// spread gives flat inputs of a layer, whose output is a map, the axes of a map.
func (b *writer) spread(name string, l nn.Layer, in []string, shape []int) []string {
	for j, k := range l.Inputs {
		if len(b.shapes[k]) < len(shape) {
			in[j] = b.node("Reshape", name+"/spread",
				[]string{in[j], b.integers("shape/", 0, tensor.Len(b.shapes[k]), 1, 1)})
		}
	}
	return in
}

// layer appends the nodes of layer i, and returns the name of its value.
func (b *writer) layer(i int, l nn.Layer, in []string) (string, error) {
	name := l.Name
	if name == "" {
		name = fmt.Sprintf("%s/%d", strings.ToLower(string(l.Op)), i)
	}
	from := b.shapes[l.Inputs[0]]
	shape := b.shapes[i]
	if op, ok := simple[l.Op]; ok {
		return b.node(op, name, in), nil
	}
	if op, ok := pairwise[l.Op]; ok {
		return b.node(op, name, b.spread(name, l, in, shape)), nil
	}
	switch l.Op {
	case nn.OpConv, nn.OpDepthwiseConv, nn.OpDense, nn.OpBatchNorm, nn.OpScale, nn.OpPReLU, nn.OpLayerNorm,
		nn.OpGroupNorm:
		return b.weighted(i, l, name, in[0])
	case nn.OpMaxPool:
		return b.node("MaxPool", name, in, windowAttributes(l, from)...), nil
	case nn.OpAveragePool:
		if down, along := l.Dilations(); down > 1 || along > 1 {
			return "", &nn.LayerError{Layer: i, Name: l.Name, Op: l.Op,
				Reason: fmt.Sprintf("it is dilated, and AveragePool of opset %d is not", writtenOpset)}
		}
		return b.node("AveragePool", name, in,
			append(windowAttributes(l, from), intAttribute("count_include_pad", 0))...), nil
	case nn.OpGlobalAveragePool, nn.OpGlobalMaxPool:
		x := b.node(string(l.Op), name, in)
		return b.node("Flatten", name+"/flat", []string{x}, intAttribute("axis", 1)), nil
	case nn.OpReLU6:
		return b.node("Clip", name, []string{in[0], b.number(0), b.number(6)}), nil
	case nn.OpLeakyReLU:
		return b.node("LeakyRelu", name, in, floatAttribute("alpha", l.Slope)), nil
	case nn.OpSwish:
		gate := b.node("Sigmoid", name+"/sigmoid", in)
		return b.node("Mul", name, []string{in[0], gate}), nil
	case nn.OpELU:
		return b.node("Elu", name, in, floatAttribute("alpha", l.Slope)), nil
	case nn.OpHardSigmoid:
		return b.node("HardSigmoid", name, in, floatAttribute("alpha", 1./6), floatAttribute("beta", 0.5)), nil
	case nn.OpMish:
		soft := b.node("Tanh", name+"/tanh", []string{b.node("Softplus", name+"/softplus", in)})
		return b.node("Mul", name, []string{in[0], soft}), nil
	case nn.OpGELU:
		scaled := b.node("Mul", name+"/scaled", []string{in[0], b.number(1 / math.Sqrt2)})
		return b.halfOfOneAnd(name, in[0], b.node("Erf", name+"/erf", []string{scaled})), nil
	case nn.OpGELUTanh: // √(2/π)·x·(1 + 0.044715·x²)
		square := b.node("Mul", name+"/square", []string{in[0], in[0]})
		cubic := b.node("Mul", name+"/cubic", []string{square, b.number(0.044715)})
		cubic = b.node("Add", name+"/inner", []string{cubic, b.number(1)})
		scaled := b.node("Mul", name+"/scaled", []string{in[0], b.number(float32(math.Sqrt(2 / math.Pi)))})
		argument := b.node("Mul", name+"/argument", []string{cubic, scaled})
		return b.halfOfOneAnd(name, in[0], b.node("Tanh", name+"/tanh", []string{argument})), nil
	case nn.OpSoftmax:
		return b.node("Softmax", name, in, intAttribute("axis", 1)), nil
	case nn.OpConcat:
		return b.node("Concat", name, in, intAttribute("axis", 1)), nil
	case nn.OpSelect:
		return b.node("Gather", name, []string{in[0], b.integers("channels/", l.Channels...)},
			intAttribute("axis", 1)), nil
	case nn.OpPad:
		value := float32(0)
		if l.Lowest {
			value = -math.MaxFloat32
		}
		pads := b.integers("pads/", 0, 0, l.Above, l.Left, 0, 0, l.Below, l.Right)
		if l.Border == nn.Wrap {
			return "", &nn.LayerError{Layer: i, Name: l.Name, Op: l.Op,
				Reason: fmt.Sprintf("ONNX's Pad has no mode %q before opset 19, and opset %d is written", l.Border,
					writtenOpset)}
		}
		if l.Border != "" {
			return b.node("Pad", name, []string{in[0], pads}, textAttribute("mode", string(l.Border))), nil
		}
		return b.node("Pad", name, []string{in[0], pads, b.number(value)}), nil
	case nn.OpCrop:
		return b.crop(name, l, in[0], from), nil
	case nn.OpUpsample:
		return b.upsample(name, l, in[0]), nil
	case nn.OpResize:
		return b.resize(i, name, l, in[0], from)
	case nn.OpFlatten, nn.OpReshape:
		return b.reshape(name, in[0], from, shape), nil
	case nn.OpDropout:
		return in[0], nil
	}
	return "", &nn.LayerError{Layer: i, Name: l.Name, Op: l.Op, Reason: "it has no operator in ONNX"}
}

// halfOfOneAnd is x·(1 + y)/2.
func (b *writer) halfOfOneAnd(name, x, y string) string {
	y = b.node("Add", name+"/one", []string{y, b.number(1)})
	return b.node("Mul", name, []string{b.node("Mul", name+"/product", []string{x, y}), b.number(0.5)})
}

// crop cuts a part out of a map [h w c] or a flat value.
func (b *writer) crop(name string, l nn.Layer, x string, from []int) string {
	starts, ends, axes := []int{l.Before}, []int{from[len(from)-1] - l.After}, []int{1}
	if len(from) == 3 {
		starts = append(starts, l.Above, l.Left)
		ends = append(ends, from[0]-l.Below, from[1]-l.Right)
		axes = append(axes, 2, 3)
	}
	return b.node("Slice", name,
		[]string{x, b.integers("starts/", starts...), b.integers("ends/", ends...), b.integers("axes/", axes...)})
}

// upsample repeats or interpolates.
func (b *writer) upsample(name string, l nn.Layer, x string) string {
	factors := []float32{1, 1, float32(l.Rows), float32(l.Columns)}
	scales := b.constant(initializer{name: fmt.Sprint("scales/", factors), dims: []int{4}, floats: factors})
	settings := []message{stringAttribute("mode", "nearest"),
		stringAttribute("coordinate_transformation_mode", "asymmetric"),
		stringAttribute("nearest_mode", "floor")}
	if l.Linear {
		settings = []message{stringAttribute("mode", "linear"),
			stringAttribute("coordinate_transformation_mode", "half_pixel")}
	}
	return b.node("Resize", name, []string{x, "", scales}, settings...)
}

// resize makes a map of another size, by scales that say it as exactly as float32 can.
func (b *writer) resize(i int, name string, l nn.Layer, x string, from []int) (string, error) {
	scales := []float32{1, 1, 0, 0}
	for axis, to := range []int{l.Rows, l.Columns} {
		scale, ok := scaleOf(from[axis], to, l.Linear)
		if !ok {
			return "", &nn.LayerError{Layer: i, Name: l.Name, Op: l.Op,
				Reason: fmt.Sprintf("ONNX has no factor that makes %d rows or columns %d and picks the same ones",
					from[axis], to)}
		}
		scales[2+axis] = scale
	}
	factors := b.constant(initializer{name: fmt.Sprint("scales/", scales), dims: []int{4}, floats: scales})
	settings := []message{stringAttribute("mode", "nearest"),
		stringAttribute("coordinate_transformation_mode", "half_pixel"),
		stringAttribute("nearest_mode", "round_prefer_ceil")}
	if l.Linear {
		settings = []message{stringAttribute("mode", "linear"),
			stringAttribute("coordinate_transformation_mode", "half_pixel")}
	}
	return b.node("Resize", name, []string{x, "", factors}, settings...), nil
}

// scaleOf finds a factor that makes an axis of from one of to, and of which the nearest places
// are garb's: about to/from.
func scaleOf(from, to int, linear bool) (float32, bool) {
	scale := float32(to) / float32(from)
	for _, towards := range []float32{0, math.MaxFloat32} {
		s := scale
		for range 4 {
			r := resampling{s, from, to}
			if length(from, s) == to &&
				(linear || slices.Equal(r.nearest("half_pixel", "round_prefer_ceil"), nn.Nearest(from, to))) {
				return s, true
			}
			s = math.Nextafter32(s, towards)
		}
	}
	return 0, false
}

// reshape gives a value another shape, in our order of its values.
func (b *writer) reshape(name, x string, from, to []int) string {
	if slices.Equal(from, to) {
		return x
	}
	turned := func(s []int) bool { return len(s) == 3 && s[0]*s[1] > 1 && s[2] > 1 }
	if turned(from) {
		x = b.node("Transpose", name+"/nhwc", []string{x}, intsAttribute("perm", 0, 2, 3, 1))
	}
	if !turned(to) {
		if len(to) == 3 {
			to = []int{to[2], to[0], to[1]}
		}
		return b.node("Reshape", name, []string{x, b.integers("shape/", append([]int{0}, to...)...)})
	}
	x = b.node("Reshape", name+"/reshape", []string{x, b.integers("shape/", append([]int{0}, to...)...)})
	return b.node("Transpose", name, []string{x}, intsAttribute("perm", 0, 3, 1, 2))
}

// weighted writes a layer that has parameters.
func (b *writer) weighted(i int, l nn.Layer, name, x string) (string, error) {
	params := b.graph.LayerParams(i)
	from, shape := b.shapes[l.Inputs[0]], b.shapes[i]
	names, outputsFirst := make([]string, len(params)), false
	for k := range params {
		p, values, err := b.param(i, k)
		if err != nil {
			return "", err
		}
		if b.int8 {
			if names[k], err = b.quantized(p, values); err != nil {
				return "", err
			}
			if names[k] != "" {
				outputsFirst = true
				continue
			}
			values = halved(p.Name, values)
		}
		t := initializer{name: p.Name, dims: p.Shape, floats: values.Data}
		switch {
		case len(p.Shape) == 4:
			t.dims, t.floats = filtersFirst(values.Data, p.Shape, l.Op == nn.OpDepthwiseConv)
		case (l.Op == nn.OpScale || l.Op == nn.OpPReLU || l.Op == nn.OpGroupNorm) && len(shape) == 3:
			t.dims = []int{p.Shape[0], 1, 1}
		}
		names[k] = b.constant(t)
	}
	inputs := append([]string{x}, names...)
	switch l.Op {
	case nn.OpDense:
		if outputsFirst {
			return b.node("Gemm", name, inputs, intAttribute("transB", 1)), nil
		}
		return b.node("Gemm", name, inputs), nil
	case nn.OpBatchNorm:
		return b.node("BatchNormalization", name, inputs, floatAttribute("epsilon", l.Epsilon)), nil
	case nn.OpLayerNorm:
		return b.layerNorm(name, l, inputs, shape), nil
	case nn.OpGroupNorm:
		return b.groupNorm(name, l, inputs, shape), nil
	case nn.OpPReLU:
		return b.node("PRelu", name, inputs), nil
	case nn.OpScale:
		scaled := b.node("Mul", name+"/multiply", []string{x, names[0]})
		return b.node("Add", name, []string{scaled, names[1]}), nil
	}
	group := max(l.Groups, 1)
	if l.Op == nn.OpDepthwiseConv {
		group = from[2]
	}
	return b.node("Conv", name, inputs, append(windowAttributes(l, from), intAttribute("group", group))...), nil
}

// layerNorm normalises the last axis, which the channels of a map are made for it.
func (b *writer) layerNorm(name string, l nn.Layer, in []string, shape []int) string {
	epsilon := floatAttribute("epsilon", l.Epsilon)
	if len(shape) == 1 {
		return b.node("LayerNormalization", name, in, intAttribute("axis", -1), epsilon)
	}
	in[0] = b.node("Transpose", name+"/nhwc", []string{in[0]}, intsAttribute("perm", 0, 2, 3, 1))
	x := b.node("LayerNormalization", name+"/normalized", in, intAttribute("axis", -1), epsilon)
	return b.node("Transpose", name, []string{x}, intsAttribute("perm", 0, 3, 1, 2))
}

// groupNorm is what PyTorch writes for it: an instance normalisation of groups as channels,
// then a factor and an offset for each channel. A flat value gets an axis for its positions.
func (b *writer) groupNorm(name string, l nn.Layer, in []string, shape []int) string {
	ones := b.constant(initializer{name: fmt.Sprint("ones/", l.Groups), dims: []int{l.Groups},
		floats: slices.Repeat([]float32{1}, l.Groups)})
	zeros := b.constant(initializer{name: fmt.Sprint("zeros/", l.Groups), dims: []int{l.Groups},
		floats: make([]float32, l.Groups)})
	x := b.node("Reshape", name+"/groups", []string{in[0], b.integers("shape/", 0, l.Groups, -1)})
	x = b.node("InstanceNormalization", name, []string{x, ones, zeros}, floatAttribute("epsilon", l.Epsilon))
	back := []int{0, shape[len(shape)-1]}
	if len(shape) == 3 {
		back = append(back, shape[0], shape[1])
	}
	x = b.node("Reshape", name+"/channels", []string{x, b.integers("shape/", back...)})
	x = b.node("Mul", name+"/scaled", []string{x, in[1]})
	return b.node("Add", name+"/shifted", []string{x, in[2]})
}

// filtersFirst turns a kernel [kh kw in out] into [out in kh kw], and a depthwise one,
// [kh kw c 1], into [c 1 kh kw].
func filtersFirst[T float32 | int8](values []T, shape []int, depthwise bool) (dims []int, turned []T) {
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

// windowAttributes are the settings of a convolution or pooling over an input [h w c].
func windowAttributes(l nn.Layer, from []int) []message {
	var v, h span
	if l.Same {
		v, h = same(l, from[0], from[1])
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
