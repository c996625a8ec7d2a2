package onnx

import (
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"garb/nn"
)

// sketch is a draft of a model, for tests of defects.
type sketch struct {
	nodes   []message
	weights []message
	input   message
	opset   int64
	output  string
}

// soundSketch returns a model without defects: the mean of a picture.
func soundSketch() sketch {
	return sketch{
		nodes: []message{sketchNode("GlobalAveragePool", "x", "mean"), sketchNode("Flatten", "mean", "out")},
		input: valueInfo("x", typeFloat, []int{3, 8, 8}), opset: 17, output: "out",
	}
}

// sketchNode encodes a node named as its output; commas separate the names of its inputs.
func sketchNode(op, inputs, output string, attributes ...message) message {
	return operation{op, output, strings.Split(inputs, ","), output, attributes}.encode()
}

// weight encodes a tensor of float32 with the given bytes as values.
func weight(name string, raw []byte, dims ...int) message {
	var m message
	m.appendIntegers(tensorDims, toInt64s(dims))
	m.appendInteger(tensorType, typeFloat)
	m.appendText(tensorName, name)
	m.appendMessage(tensorRaw, raw)
	return m
}

func (s sketch) bytes() []byte {
	var model, graph, opset message
	opset.appendInteger(opsetVersion, s.opset)
	model.appendMessage(modelOpsets, opset)
	for _, n := range s.nodes {
		graph.appendMessage(graphNodes, n)
	}
	for _, w := range s.weights {
		graph.appendMessage(graphInitializers, w)
	}
	graph.appendMessage(graphInputs, s.input)
	graph.appendMessage(graphOutputs, valueInfo(s.output, typeFloat, []int{3}))
	model.appendMessage(modelGraph, graph)
	return model
}

// prepend adds nodes before the mean of y.
func prepend(nodes ...message) func(*sketch) {
	return func(s *sketch) {
		s.nodes = append(nodes, sketchNode("GlobalAveragePool", "y", "mean"), sketchNode("Flatten", "mean", "out"))
	}
}

// prependToConv is like prepend with a convolution of four filters of 3×3.
func prependToConv(attributes ...message) func(*sketch) {
	return func(s *sketch) {
		prepend(sketchNode("Conv", "x,w", "y", attributes...))(s)
		s.weights = []message{weight("w", make([]byte, 4*4*3*9), 4, 3, 3, 3)}
	}
}

// integerWeight encodes a list of whole numbers.
func integerWeight(name string, values ...int) message {
	raw, _ := binary.Append(nil, binary.LittleEndian, toInt64s(values))
	var m message
	m.appendIntegers(tensorDims, []int64{int64(len(values))})
	m.appendInteger(tensorType, typeInt64)
	m.appendText(tensorName, name)
	m.appendMessage(tensorRaw, raw)
	return m
}

// withIntegers is like prepend for a node that takes the lists n, m and a of one number each, or
// others of more.
func withIntegers(node message, n, m, a int, more ...message) func(*sketch) {
	return func(s *sketch) {
		prepend(append([]message{node}, more...)...)(s)
		s.weights = []message{integerWeight("n", n), integerWeight("m", m), integerWeight("a", a),
			integerWeight("two", 1, 2), integerWeight("sizes", math.MaxInt, 8)}
	}
}

// prependToNumber is like prepend for nodes that take a number k.
func prependToNumber(k float32, nodes ...message) func(*sketch) {
	return func(s *sketch) {
		prepend(nodes...)(s)
		s.weights = []message{floatWeight("k", []float32{k})}
	}
}

// withVectors is like prepend for a node that takes lists of numbers.
func withVectors(node message) func(*sketch) {
	return func(s *sketch) {
		prepend(node)(s)
		s.opset = 21
		endless, none := float32(math.Inf(1)), float32(math.NaN())
		for name, values := range map[string][]float32{
			"s": {1, 2, 3}, "four": {1, 2, 3, 4}, "huge": {1, 1, 10000, 10000}, "half": {1, 1, 0.5, 0.5},
			"tenths": {1, 1, 0.7, 0.7}, "eighth": {1, 1, 0.125, 0.125},
			"none": {1, 1, none, 2}, "double": {1, 1, 2, 2},
		} {
			s.weights = append(s.weights, floatWeight(name, values, len(values)))
		}
		s.weights = append(s.weights, floatWeight("endless", []float32{endless}))
	}
}

func floatWeight(name string, values []float32, dims ...int) message {
	raw, _ := binary.Append(nil, binary.LittleEndian, values)
	return weight(name, raw, dims...)
}

var hostile = []struct {
	name  string
	spoil func(*sketch)
	want  string
}{
	{"unknown operator", prepend(sketchNode("LSTM", "x", "y")), `node "y" is a LSTM, which garb does not support`},
	{"slopes of a Selu", prepend(sketchNode("Selu", "x", "y", floatAttribute("alpha", 2))), `alpha 2 and gamma`},
	{"approximation", prepend(sketchNode("Gelu", "x", "y", textAttribute("approximate", "sine"))),
		`approximate "sine"`},
	{"unknown attribute", prepend(sketchNode("Relu", "x", "y", intAttribute("leak", 1))),
		`node "y" is a Relu with an attribute "leak"`},
	{"attribute of another type", prepend(sketchNode("LeakyRelu", "x", "y", intAttribute("alpha", 1))),
		`its attribute "alpha" has a value of another type`},
	{"input that is not read", prepend(sketchNode("Relu", "x,x", "y")), "with an input 1"},
	{"maps beside one another of other heights",
		withIntegers(sketchNode("Slice", "x,n,m,a", "z"), 0, 2, 2,
			sketchNode("Concat", "x,z", "y", intAttribute("axis", 3))), "parts of"},
	{"a comparison alone", prependToNumber(2, sketchNode("Greater", "x,k", "g"), sketchNode("Relu", "g", "y")),
		"what a comparison says"},
	{"a choice too low", prependToNumber(2, sketchNode("Softplus", "x", "s"), sketchNode("Greater", "x,k", "g"),
		sketchNode("Where", "g,x,s", "y")), "not a Softplus"},
	{"a choice of another", prependToNumber(20, sketchNode("Softplus", "x", "s"), sketchNode("Greater", "x,k", "g"),
		sketchNode("Where", "g,s,x", "y")), "not a Softplus"},
	{"a comparison with another",
		prependToNumber(20, sketchNode("Relu", "x", "r"), sketchNode("Softplus", "x", "s"),
			sketchNode("Greater", "r,k", "g"),
			sketchNode("Where", "g,x,s", "y")), "not a Softplus"},
	{"part without an end", withIntegers(sketchNode("Slice", "x,n", "y"), 1, 5, 2), "no ends"},
	{"parts of rows that are none", withIntegers(sketchNode("Slice", "x,n,m,a", "y"), 5, 5, 2), "nothing of axis 2"},
	{"a part of the batch", withIntegers(sketchNode("Slice", "x,n,m,a", "y"), 1, 5, 0), "a part of the batch"},
	{"part of an axis that is none", withIntegers(sketchNode("Slice", "x,n,m,a", "y"), 1, 5, 9), "axis 9 of 4"},
	{"ends more than starts", withIntegers(sketchNode("Slice", "x,n,two,a", "y"), 1, 5, 2), "starts [1], ends [1 2]"},
	{"two in one step", withIntegers(sketchNode("Slice", "x,n,m,a,m", "y"), 1, 5, 2), "steps of 5"},
	{"parts of too much", withIntegers(sketchNode("Split", "x,m", "y", intAttribute("axis", 1)), 1, 5, 2),
		"parts [5] of 3"},
	{"parts of another number", withIntegers(sketchNode("Split", "x,two", "y", intAttribute("axis", 1)), 1, 5, 2),
		"2 parts as 1 outputs"},
	{"parts across the batch", withIntegers(sketchNode("Split", "x,n", "y"), 1, 5, 2), "axis 0, the batch's"},
	{"groups that do not divide",
		withVectors(sketchNode("GroupNormalization", "x,s,s", "y", intAttribute("num_groups", 2))),
		"2 groups of its channels"},
	{"no groups", withVectors(sketchNode("GroupNormalization", "x,s,s", "y", intAttribute("num_groups", 0))),
		"0 groups of its channels"},
	{"groups without number",
		withVectors(sketchNode("GroupNormalization", "x,s,s", "y", intAttribute("num_groups", math.MaxInt))),
		"of its channels"},
	{"factors of other channels", withVectors(sketchNode("InstanceNormalization", "x,four,s", "y")),
		"4 values for 3 channels"},
	{"an endless epsilon", withVectors(sketchNode("InstanceNormalization", "x,s,s", "y",
		floatAttribute("epsilon", math.Inf(1)))), "an epsilon of +Inf"},
	{"an epsilon below zero",
		withVectors(sketchNode("InstanceNormalization", "x,s,s", "y", floatAttribute("epsilon", -1))),
		"an epsilon of -1"},
	{"layers of rows", withVectors(sketchNode("LayerNormalization", "x,s,s", "y", intAttribute("axis", 1))),
		"of several axes"},
	{"statistics of another type",
		withVectors(sketchNode("LayerNormalization", "x,s,s", "y", intAttribute("stash_type", typeFloat16))),
		"stash_type 10"},
	{"ten thousand times as large",
		withVectors(sketchNode("Resize", "x,,huge", "y", textAttribute("mode", "linear"))), "its output would be"},
	{"half as large, by corners",
		withVectors(sketchNode("Resize", "x,,half", "y", textAttribute("mode", "linear"),
			textAttribute("coordinate_transformation_mode", "align_corners"))), "a factor of 0.5"},
	{"no number as large", withVectors(sketchNode("Resize", "x,,none", "y", textAttribute("mode", "linear"))),
		"factors [1 1 NaN 2]"},
	{"factors of other axes", withVectors(sketchNode("Resize", "x,,s", "y", textAttribute("mode", "linear"))),
		"3 factors for 4 axes"},
	{"by corners", withVectors(sketchNode("Resize", "x,,double", "y", textAttribute("mode", "linear"),
		textAttribute("coordinate_transformation_mode", "align_corners"))), `"align_corners" with mode "linear"`},
	{"by a part", withVectors(sketchNode("Resize", "x,s,double", "y",
		textAttribute("coordinate_transformation_mode", "tf_crop_and_resize"))), "tf_crop_and_resize"},
	{"smoothed", withVectors(sketchNode("Resize", "x,,double", "y", textAttribute("mode", "linear"),
		intAttribute("antialias", 1))), "antialias"},
	{"sizes as large as can be",
		withIntegers(sketchNode("Resize", "x,,,sizes", "y", textAttribute("mode", "linear"),
			intsAttribute("axes", 2, 3)), 1, 5, 2), "an axis of 8 resized to"},
	{"the largest of endless", withVectors(sketchNode("Max", "x,endless", "y")), "the bound +Inf"},
	{"the largest of several", withVectors(sketchNode("Max", "x,s", "y")), "3 values as input 1"},
	{"maps that do not fit", func(s *sketch) {
		prepend(sketchNode("Slice", "x,n,m,a", "z"), sketchNode("Add", "x,z", "y"))(s)
		s.weights = []message{integerWeight("n", 1), integerWeight("m", 5), integerWeight("a", 2)}
	}, "axes of"},
	{"foreign domain", func(s *sketch) {
		relu := sketchNode("Relu", "x", "y")
		relu.appendText(nodeDomain, "com.mine")
		prepend(relu)(s)
	}, `node "y" is a com.mine.Relu, which garb does not support`},
	{"dropout in training", func(s *sketch) {
		prepend(sketchNode("Dropout", "x,,w", "y"))(s)
		s.weights = []message{weight("w", []byte{0, 0, 128, 63})}
	}, "training_mode"},
	{"padding twice", prepend(sketchNode("MaxPool", "x", "y", intsAttribute("kernel_shape", 2, 2),
		intsAttribute("pads", 1, 1, 1, 1),
		textAttribute("auto_pad", "VALID"))), `auto_pad "VALID" beside pads`},
	{"rounded up by name", prepend(sketchNode("MaxPool", "x", "y", intsAttribute("kernel_shape", 3, 3),
		intsAttribute("strides", 2, 2),
		intAttribute("ceil_mode", 1), textAttribute("auto_pad", "VALID"))), "ceil_mode"},
	{"padded by no number", func(s *sketch) {
		prepend(sketchNode("Pad", "x", "y", intsAttribute("pads", 0, 0, 1, 1, 0, 0, 1, 1),
			floatAttribute("value", math.NaN())))(s)
	}, "a value of NaN"},
	{"clipped by no number", func(s *sketch) {
		prepend(sketchNode("Clip", "x,w", "y"))(s)
		s.weights = []message{weight("w", []byte{0, 0, 192, 127})}
	}, "no number"},
	{"the batch as a number",
		prepend(sketchNode("Shape", "x", "all", intAttribute("end", 1)),
			sketchNode("Cast", "all", "n", intAttribute("to", typeFloat)),
			sketchNode("Mul", "x,n", "y")), "the size of the batch as a number"},
	{"a truth", func(s *sketch) {
		prepend(sketchNode("Cast", "w", "v", intAttribute("to", typeBool)), sketchNode("Mul", "x,v", "y"))(s)
		s.weights = []message{weight("w", []byte{0, 0, 128, 63})}
	}, "a constant of bool"},
	{"dilated beyond the map", prependToConv(intsAttribute("dilations", 2, 4)), "a window of 5 × 9 on a map of 8 × 8"},
	{"dilation of 0", prependToConv(intsAttribute("dilations", 0, 1)), "dilations [0 1]"},
	{"dilation below zero", prependToConv(intsAttribute("dilations", 1, -1)), "dilations [1 -1]"},
	{"huge dilation", prependToConv(intsAttribute("dilations", 1<<40, 1)), "dilations [1099511627776 1]"},
	{"huge dilation in padding",
		prependToConv(intsAttribute("dilations", 1, 1<<20), textAttribute("auto_pad", "SAME_UPPER")),
		"covers more than"},
	{"dilation of an axis", prependToConv(intsAttribute("dilations", 2)), "dilations [2]"},
	{"stride of 0", prependToConv(intsAttribute("strides", 2, 0)), "strides [2 0]"},
	{"stride below zero", prependToConv(intsAttribute("strides", -1, 1)), "strides [-1 1]"},
	{"huge stride", prependToConv(intsAttribute("strides", 1, math.MaxInt64)), "strides [1 9223372036854775807]"},
	{"strides of three axes", prependToConv(intsAttribute("strides", 1, 1, 1)), "strides [1 1 1]"},
	{"no group", prependToConv(intAttribute("group", 0)), "in 0 groups for 3 channels"},
	{"groups below zero", prependToConv(intAttribute("group", -3)), "in -3 groups"},
	{"groups that do not divide", prependToConv(intAttribute("group", 2)), "in 2 groups for 3 channels"},
	{"more groups than channels", prependToConv(intAttribute("group", 1<<33)), "in 8589934592 groups"},
	{"window of nothing", prepend(sketchNode("MaxPool", "x", "y", intsAttribute("kernel_shape", 2, 0))),
		"a window of [2 0]"},
	{"huge window", prepend(sketchNode("AveragePool", "x", "y", intsAttribute("kernel_shape", 1<<40, 1))),
		"a window of [1099511627776 1]"},
	{"padding of gaps by name",
		prepend(sketchNode("MaxPool", "x", "y", intsAttribute("kernel_shape", 2, 3), intsAttribute("dilations", 1, 2),
			textAttribute("auto_pad", "SAME_LOWER"))), `auto_pad "SAME_LOWER" beside dilations [1 2]`},
	{"means of padding with gaps", prepend(sketchNode("AveragePool", "x", "y", intsAttribute("kernel_shape", 2, 2),
		intsAttribute("dilations", 2, 2), intsAttribute("pads", 1, 1, 1, 1))), "its means leave out"},
	{"means of even windows", prepend(sketchNode("AveragePool", "x", "y", intsAttribute("kernel_shape", 2, 2),
		intsAttribute("strides", 3, 3), intsAttribute("pads", 1, 1, 1, 1))), "its means leave out"},
	{"means off the middle", prepend(sketchNode("AveragePool", "x", "y", intsAttribute("kernel_shape", 3, 3),
		intsAttribute("strides", 3, 3), intsAttribute("pads", 2, 2, 0, 0))), "its means leave out"},
	{"sizes with a rest", withVectors(sketchNode("Resize", "x,,tenths", "y", textAttribute("mode", "linear"))),
		"a factor of 0.7 for 8 places"},
	{"one place by another rule", withVectors(sketchNode("Resize", "x,,eighth", "y", textAttribute("mode", "linear"),
		textAttribute("coordinate_transformation_mode", "pytorch_half_pixel"))),
		`"pytorch_half_pixel" with mode "linear"`},
	{"maps beside one another of other orders", func(s *sketch) {
		prependToConv()(s)
		s.nodes = append([]message{sketchNode("Conv", "x,w", "z"), sketchNode("Reshape", "z,apart", "a"),
			sketchNode("Transpose", "a", "b", intsAttribute("perm", 0, 2, 1, 3, 4)),
			sketchNode("Reshape", "b,together", "c"),
			sketchNode("Concat", "c,z", "y", intAttribute("axis", 2))}, s.nodes[1:]...)
		s.weights = append(s.weights, integerWeight("apart", 0, 2, 2, 6, 6), integerWeight("together", 0, 4, 6, 6))
	}, "channels in different orders"},
	{"old opset", func(s *sketch) { s.opset = 6 }, "opset 6"},
	{"new opset", func(s *sketch) { s.opset = 99 }, "opset 99"},
	{"negative opset", func(s *sketch) { s.opset = -1 }, "opset -1"},
	{"open size", func(s *sketch) { s.input = valueInfo("x", typeFloat, []int{3, -1, -1}) },
		"of any height and width"},
	{"huge input", func(s *sketch) { s.input = valueInfo("x", typeFloat, []int{3, 1 << 20, 1 << 20}) },
		"its output would be"},
	{"huger input", func(s *sketch) { s.input = valueInfo("x", typeFloat, []int{3, math.MaxInt64, 8}) }, "its input"},
	{"no picture", func(s *sketch) { s.input = valueInfo("x", typeFloat, []int{3}) }, "has 2 axes"},
	{"input of words", func(s *sketch) { s.input = valueInfo("x", 8, []int{3, 8, 8}) }, "values of type 8"},
	{"circle", prepend(sketchNode("Add", "x,z", "y"), sketchNode("Relu", "y", "z")), "depends on the node itself"},
	{"itself", prepend(sketchNode("Add", "x,y", "y")), "depends on the node itself"},
	{"name twice", prepend(sketchNode("Relu", "x", "y"), sketchNode("Relu", "x", "y")), "exists already"},
	{"weight twice", func(s *sketch) {
		s.weights = []message{weight("w", nil, 0), weight("w", nil, 0)}
	}, "that of another weight"},
	{"nothing makes it", prepend(sketchNode("Add", "x,z", "y")), `nothing makes its input "z"`},
	{"input missing", prepend(sketchNode("Conv", "x", "y")), "input 1 is missing"},
	{"no output", func(s *sketch) { s.output = "elsewhere" }, "no node computes its output"},
	{"short weights", func(s *sketch) {
		prepend(sketchNode("Add", "x,w", "y"))(s)
		s.weights = []message{weight("w", make([]byte, 8), 3, 1, 1)}
	}, "a tensor of [3 1 1] has 8 bytes"},
	{"huge weights", func(s *sketch) {
		prepend(sketchNode("Add", "x,w", "y"))(s)
		s.weights = []message{weight("w", nil, math.MaxInt32, math.MaxInt32, math.MaxInt32)}
	}, "a tensor of"},
	{"negative weights", func(s *sketch) {
		prepend(sketchNode("Add", "x,w", "y"))(s)
		s.weights = []message{weight("w", nil, -3)}
	}, "a tensor of [-3]"},
	{"weights of many", func(s *sketch) {
		prepend(sketchNode("Conv", "x,w", "y", intAttribute("group", 3)))(s)
		s.weights = []message{weight("w", make([]byte, 4*6), 4, 1, 3, 3)}
	}, "a tensor of"},
	{"groups", func(s *sketch) {
		prepend(sketchNode("Conv", "x,w", "y", intAttribute("group", -3)))(s)
		s.weights = []message{weight("w", make([]byte, 4*3), 1, 3, 1, 1)}
	}, "in -3 groups"},
	{"elsewhere", func(s *sketch) {
		prepend(sketchNode("Add", "x,w", "y"))(s)
		s.weights = []message{externalTensor("w", "weights.bin", 3, 1, 1)}
	}, "its weights are in another file"},
	{"pads", prepend(sketchNode("MaxPool", "x", "y", intsAttribute("kernel_shape", 2, 2),
		intsAttribute("pads", -1, 0, 0, 0))), "pads [-1 0 0 0]"},
	{"mirrored more than there is",
		prepend(sketchNode("Pad", "x", "y", intsAttribute("pads", 0, 0, 8, 0, 0, 0, 0, 0),
			textAttribute("mode", "reflect"))),
		`a border "reflect" wider`},
	{"wrapped more than there is",
		prepend(sketchNode("Pad", "x", "y", intsAttribute("pads", 0, 0, 0, 9, 0, 0, 0, 0),
			textAttribute("mode", "wrap"))),
		`a border "wrap" wider`},
	{"padded in a new way", prepend(sketchNode("Pad", "x", "y", intsAttribute("pads", 0, 0, 1, 1, 0, 0, 1, 1),
		textAttribute("mode", "mirror"))), `mode "mirror"`},
	{"mirrored channels", prepend(sketchNode("Pad", "x", "y", intsAttribute("pads", 0, 1, 0, 0, 0, 0, 0, 0),
		textAttribute("mode", "reflect"))), "of the batch or channels"},
	{"edges of a gigabyte", prepend(sketchNode("Pad", "x", "y", intsAttribute("pads", 0, 0, 1<<20, 1<<20, 0, 0, 0, 0),
		textAttribute("mode", "edge"))), "its output would be"},
	{"flattened with the batch", prepend(sketchNode("Flatten", "x", "y", intAttribute("axis", 0))),
		"axis 0, which joins"},
	{"flattened behind rows", prepend(sketchNode("Flatten", "x", "y", intAttribute("axis", -2))),
		"axis 2, which joins"},
	{"flattened beyond", prepend(sketchNode("Flatten", "x", "y", intAttribute("axis", 5))), "axis 5 of 4"},
	{"flattened far beyond", prepend(sketchNode("Flatten", "x", "y", intAttribute("axis", math.MinInt64))),
		"axis -9223372036854775804 of 4"},
	{"a root of a map", prepend(sketchNode("Sqrt", "x", "y")),
		`node "y" is a Sqrt with an input that depends on the picture`},
	{"a sum over a map", prepend(sketchNode("ReduceSum", "x", "y")),
		"a ReduceSum with an input that depends on the picture"},
	{"a root of nothing", prepend(sketchNode("Sqrt", "z", "r"), sketchNode("Add", "x,r", "y")),
		`nothing makes its input "z"`},
	{"a power of a half", func(s *sketch) {
		prepend(sketchNode("Pow", "x,w", "y"))(s)
		s.weights = []message{weight("w", []byte{0, 0, 0, 63})}
	}, "an exponent of 0.5"},
	{"a power of a map", func(s *sketch) {
		prepend(sketchNode("Pow", "w,x", "y"))(s)
		s.weights = []message{weight("w", []byte{0, 0, 0, 63})}
	}, "a constant as input 0"},
	{"repeated to another size", func(s *sketch) {
		prepend(sketchNode("Expand", "x,w", "y"))(s)
		s.weights = []message{integers("w", []int{2}, 8, 16)}
	}, "a shape [8 16]"},
	{"repeated and read", func(s *sketch) {
		prepend(sketchNode("GlobalAveragePool", "x", "m"), sketchNode("Expand", "m,w", "e"),
			sketchNode("Relu", "e", "y"))(s)
		s.weights = []message{integers("w", []int{2}, 8, 8)}
	}, "an input 0 that an Expand repeats"},
	{"repeated beyond the other", func(s *sketch) {
		prepend(sketchNode("GlobalAveragePool", "x", "m"), sketchNode("Expand", "m,w", "e"),
			sketchNode("Mul", "e,m", "y"))(s)
		s.weights = []message{integers("w", []int{2}, 8, 8)}
	}, "an input 0 that an Expand repeats"},
	{"repeated as the output", func(s *sketch) {
		s.nodes = []message{sketchNode("GlobalAveragePool", "x", "m"), sketchNode("Expand", "m,w", "out")}
		s.weights = []message{integers("w", []int{2}, 8, 8)}
	}, "values that an Expand repeats"},
	{"huge pads", prepend(sketchNode("MaxPool", "x", "y", intsAttribute("kernel_shape", 2, 2),
		intsAttribute("pads", 1<<40, 0, 0, 0))), "pads [1099511627776"},
	{"much padding", prepend(sketchNode("MaxPool", "x", "y", intsAttribute("kernel_shape", 2, 2),
		intsAttribute("pads", 1<<19, 1<<19, 1<<19, 1<<19))), "its output would be"},
	{"window", prepend(sketchNode("MaxPool", "x", "y", intsAttribute("kernel_shape", 9, 9))), "a window of 9 × 9"},
	{"stride", prepend(sketchNode("MaxPool", "x", "y", intsAttribute("kernel_shape", 2, 2),
		intsAttribute("strides", 0, 0))), "strides [0 0]"},
	{"batch moved", prepend(sketchNode("Transpose", "x", "y", intsAttribute("perm", 1, 0, 2, 3))), "moves the batch"},
	{"axes twice", prepend(sketchNode("Transpose", "x", "y", intsAttribute("perm", 0, 1, 1, 3))), "perm [0 1 1 3]"},
	{"dequantized picture", prepend(sketchNode("DequantizeLinear", "x,x", "y")), "an input 0 that is no constant"},
	{"dequantized floats", dequantized(typeFloat, []int{1}, []int{}, intAttribute("axis", 0)),
		"its inputs are not whole numbers"},
	{"scales of another axis", dequantized(typeInt8, []int{3, 1, 1}, []int{3}), "scales [3] for axis 1 of [3 1 1]"},
	{"scales in rows", dequantized(typeInt8, []int{3, 1, 1}, []int{1, 3}, intAttribute("axis", 0)), "scales [1 3]"},
	{"scales of no axis", dequantized(typeInt8, []int{3}, []int{3}), "axis 1 of 1"},
	{"scales for blocks", dequantized(typeInt8, []int{3, 1, 1}, []int{3, 1, 1}, intAttribute("block_size", 1)),
		"scales for blocks"},
	{"no scales", dequantized(typeInt8, []int{3, 1, 1}, []int{0}, intAttribute("axis", 0)), "scales [0]"},
	{"too few zero points", func(s *sketch) {
		dequantized(typeInt8, []int{3, 1, 1}, []int{3}, intAttribute("axis", 0))(s)
		s.nodes[len(s.nodes)-4] = sketchNode("DequantizeLinear", "q,scale,zero", "w", intAttribute("axis", 0))
		s.weights = append(s.weights, emptyTensor("zero", typeInt8, 1))
	}, "zero points [1] for scales [3]"},
	{"huge integers", func(s *sketch) {
		dequantized(typeInt64, []int{1}, []int{})(s)
		for i := range 8 {
			s.weights[0][len(s.weights[0])-1-i] = 0x7f
		}
	}, "more than 32 bits"},
	{"too many nodes", func(s *sketch) {
		for range 1 << 15 {
			s.nodes = append(s.nodes, nil)
		}
	}, "more than 16384 nodes"},
}

// emptyTensor encodes a tensor of a type whose values are zero.
func emptyTensor(name string, kind int64, dims ...int) message {
	count := widths[kind]
	for _, n := range dims {
		count *= n
	}
	var m message
	m.appendIntegers(tensorDims, toInt64s(dims))
	m.appendInteger(tensorType, kind)
	m.appendText(tensorName, name)
	m.appendMessage(tensorRaw, make([]byte, count))
	return m
}

// dequantized adds dequantized integers to a picture.
func dequantized(kind int64, dims, scales []int, attributes ...message) func(*sketch) {
	return func(s *sketch) {
		prepend(sketchNode("DequantizeLinear", "q,scale", "w", attributes...), sketchNode("Add", "x,w", "y"))(s)
		s.weights = []message{emptyTensor("q", kind, dims...), emptyTensor("scale", typeFloat, scales...)}
	}
}

// externalTensor encodes a tensor of float32 whose values are in another file.
func externalTensor(name, location string, dims ...int) message {
	m := weight(name, nil, dims...)
	for _, e := range [][2]string{{"location", location}, {"length", "12"}} {
		var entry message
		entry.appendText(entryKey, e[0])
		entry.appendText(entryValue, e[1])
		m.appendMessage(tensorExternal, entry)
	}
	m.appendInteger(tensorLocation, 1)
	return m
}

// TestHardSigmoid checks that the slope and offset are the file's.
func TestHardSigmoid(t *testing.T) {
	for want, attributes := range map[nn.Op][]message{
		nn.OpReLU6:       nil,
		nn.OpHardSigmoid: {floatAttribute("alpha", 1./6)},
		nn.OpScale:       {floatAttribute("alpha", 1./6), floatAttribute("beta", 0.4)},
	} {
		s := soundSketch()
		prepend(sketchNode("HardSigmoid", "x", "y", attributes...))(&s)
		n, _, err := Read(s.bytes(), DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, l := range n.Layers {
			found = found || l.Op == want
		}
		if !found {
			t.Errorf("%v: there is no %s", n.Layers, want)
		}
	}
}

// TestHostile checks that each defect gives an error of one of the package's types.
func TestHostile(t *testing.T) {
	if _, _, err := Read(soundSketch().bytes(), DefaultLimits()); err != nil {
		t.Fatal(err)
	}
	for _, c := range hostile {
		s := soundSketch()
		c.spoil(&s)
		_, _, err := Read(s.bytes(), DefaultLimits())
		checkError(t, c.name, err)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v; it lacks %q", c.name, err, c.want)
		}
	}
}

func checkError(t *testing.T, name string, err error) {
	t.Helper()
	var format *FormatError
	var unknown *UnknownOperatorError
	var opset *OpsetError
	var size *SizeError
	if err != nil && !errors.As(err, &format) && !errors.As(err, &unknown) && !errors.As(err, &opset) &&
		!errors.As(err, &size) {
		t.Errorf("%s: an error of type %T: %v", name, err, err)
	}
}

// TestLimits checks the limits on a file, and that the caller sets dimensions that the file leaves
// open.
func TestLimits(t *testing.T) {
	data := soundSketch().bytes()
	few := DefaultLimits()
	few.MaxBytes = 10
	if _, _, err := Read(data, few); err == nil {
		t.Error("more bytes than the limit were read")
	}
	s := soundSketch()
	prepend(sketchNode("Add", "x,w", "y"))(&s)
	s.weights = []message{weight("w", make([]byte, 12), 3, 1, 1)}
	few = DefaultLimits()
	few.MaxValues = 5
	if _, _, err := Read(s.bytes(), few); err == nil || !strings.Contains(err.Error(), "more than 5 values") {
		t.Errorf("error %v", err)
	}
	s.input = valueInfo("x", typeFloat, []int{3, -1, -1})
	sized := DefaultLimits()
	sized.Side = 20
	n, info, err := Read(s.bytes(), sized)
	if err != nil || n.Layers[0].Shape[0] != 20 || info.Input.Shape[2] != -1 || info.Input.Layout != NCHW {
		t.Errorf("%+v, error %v", info, err)
	}
}

// TestWeightsBeside checks that only files below the model's folder are read, and only as far as
// tensors need.
func TestWeightsBeside(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	folder := t.TempDir()
	inside := filepath.Join(folder, "weights", "w.bin")
	for _, path := range []string{secret, inside} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, make([]byte, 12), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(secret, filepath.Join(folder, "link")); err != nil {
		t.Skip("there are no links here:", err)
	}
	away, err := filepath.Rel(folder, secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		location string
		count    int
		ok       bool
	}{
		{"weights/w.bin", 3, true},
		{"weights/w.bin", 4, false}, // longer than the file says
		{"weights", 3, false}, {"nowhere", 3, false}, {"", 3, false}, {".", 3, false},
		{secret, 3, false}, {away, 3, false}, {"link", 3, false}, {"weights/../../x", 3, false},
		{`weights\w.bin`, 3, false},
	} {
		s := soundSketch()
		prepend(sketchNode("Add", "x,w", "y"))(&s)
		s.input = valueInfo("x", typeFloat, []int{c.count, 8, 8})
		s.weights = []message{externalTensor("w", c.location, c.count, 1, 1)}
		path := filepath.Join(folder, "model.onnx")
		if err = os.WriteFile(path, s.bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err = ReadFile(path, DefaultLimits())
		checkError(t, c.location, err)
		if (err == nil) != c.ok {
			t.Errorf("%q, %d values: error %v", c.location, c.count, err)
		}
	}
	// The files beside count towards the limit.
	few := DefaultLimits()
	info, err := os.Stat(filepath.Join("testdata", "external.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	few.MaxBytes = info.Size() + 100
	if _, _, err := ReadFile(filepath.Join("testdata", "external.onnx"), few); err == nil {
		t.Error("more was read beside the model than the limit")
	}
}

// FuzzRead checks that any data gives an error or a network that compiles, apart from its weights'
// values.
func FuzzRead(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.onnx"))
	if err != nil || len(files) == 0 {
		f.Fatal("no fixtures", err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add(soundSketch().bytes())
	for _, c := range hostile {
		if s := soundSketch(); c.name != "too many nodes" {
			c.spoil(&s)
			f.Add(s.bytes())
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n, _, err := Read(data, Limits{MaxBytes: 1 << 20, MaxValues: 1 << 16, MaxNodes: 100, Side: 9})
		checkError(t, "fuzz", err)
		if err != nil {
			return
		}
		graph, err := nn.NewGraph(n.Layers)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range graph.Params() {
			if n.Tensors[p.Name] == nil {
				t.Fatalf("the weights %q are missing", p.Name)
			}
		}
	})
}

// TestMeanings checks that a file cannot redefine ONNX's operators or their version.
func TestMeanings(t *testing.T) {
	for name, c := range map[string]struct {
		add  func(model *message)
		want string
	}{
		"a function": {func(model *message) {
			var f message
			f.appendText(functionName, "Flatten")
			f.appendText(functionDomain, "ai.onnx")
			model.appendMessage(modelFunctions, f)
		}, "redefines ONNX's operator Flatten"},
		"another version": {func(model *message) {
			var o message
			o.appendText(opsetDomain, "ai.onnx")
			o.appendInteger(opsetVersion, 12)
			model.appendMessage(modelOpsets, o)
		}, "of opset 17 and of opset 12"},
	} {
		model := message(soundSketch().bytes())
		c.add(&model)
		_, _, err := Read(model, DefaultLimits())
		checkError(t, name, err)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
