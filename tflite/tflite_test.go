package tflite

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"garb/nn"
	"garb/tensor"
)

// filled returns a network whose parameters have random values, variances and factors above zero.
func filled(t testing.TB, layers []nn.Layer, seed uint64) *nn.Network {
	t.Helper()
	g, err := nn.NewGraph(layers)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(seed, 1))
	n := &nn.Network{Layers: g.Layers(), Tensors: tensor.Map{}}
	for _, p := range g.Params() {
		v := tensor.New(p.Shape...)
		spread := 1 / math.Sqrt(float64(tensor.Len(p.Shape)/p.Shape[len(p.Shape)-1]))
		for i := range v.Data {
			v.Data[i] = float32(random.NormFloat64() * spread)
			if strings.HasSuffix(p.Name, "variance") {
				v.Data[i] = 0.5 + random.Float32()
			}
		}
		n.Tensors[p.Name] = v
	}
	return n
}

// list builds a description layer by layer.
type list []nn.Layer

func (l *list) add(layer nn.Layer, inputs ...int) int {
	layer.Inputs = inputs
	*l = append(*l, layer)
	return len(*l) - 1
}

// everyLayer returns a network with each operation, parameters that two layers share, and values
// that several layers take, so that nothing after them may become part of them.
//
//nolint:funlen // one line per layer
func everyLayer(h, w int) []nn.Layer {
	l := list{{Op: nn.OpInput, Shape: []int{h, w, 3}}}
	x := l.add(nn.Layer{Op: nn.OpScale, Name: "rescale"}, 0)
	x = l.add(nn.Layer{Op: nn.OpConv, Name: "stem", Units: 8, Height: 3, Width: 3, Stride: 2, Same: true}, x)
	x = l.add(nn.Layer{Op: nn.OpBatchNorm, Name: "stem/norm", Epsilon: 1e-3}, x)
	x = l.add(nn.Layer{Op: nn.OpReLU6}, x)
	a := l.add(nn.Layer{Op: nn.OpConv, Name: "twice", Units: 8, Height: 3, Width: 1, Stride: 1, Same: true,
		Bias: true}, x)
	b := l.add(nn.Layer{Op: nn.OpConv, Name: "twice", Units: 8, Height: 3, Width: 1, Stride: 1, Same: true,
		Bias: true}, a)
	c := l.add(nn.Layer{Op: nn.OpBatchNorm, Name: "apart", Epsilon: 1e-3}, a) // a is taken by two
	x = l.add(nn.Layer{Op: nn.OpAdd}, b, c)
	x = l.add(nn.Layer{Op: nn.OpReLU}, x)
	x = l.add(nn.Layer{Op: nn.OpDepthwiseConv, Name: "depthwise", Height: 3, Width: 2, Stride: 1, Bias: true}, x)
	x = l.add(nn.Layer{Op: nn.OpScale, Name: "depthwise/scale"}, x)
	x = l.add(nn.Layer{Op: nn.OpSwish}, x)
	m := l.add(nn.Layer{Op: nn.OpMaxPool, Height: 3, Width: 3, Stride: 2, Same: true}, x)
	v := l.add(nn.Layer{Op: nn.OpAveragePool, Height: 3, Width: 3, Stride: 2, Same: true}, x)
	x = l.add(nn.Layer{Op: nn.OpConcat}, m, v, m)
	x = l.add(nn.Layer{Op: nn.OpLeakyReLU, Slope: 0.1}, x)
	s := l.add(nn.Layer{Op: nn.OpGlobalAveragePool}, x)
	r := l.add(nn.Layer{Op: nn.OpReshape, Shape: []int{1, 1, 24}}, s)
	r = l.add(nn.Layer{Op: nn.OpConv, Name: "squeeze", Units: 4, Height: 1, Width: 1, Stride: 1, Bias: true}, r)
	r = l.add(nn.Layer{Op: nn.OpTanh}, r)
	r = l.add(nn.Layer{Op: nn.OpConv, Name: "excite", Units: 24, Height: 1, Width: 1, Stride: 1, Bias: true}, r)
	r = l.add(nn.Layer{Op: nn.OpSigmoid}, r)
	x = l.add(nn.Layer{Op: nn.OpMultiply}, x, r)
	g := l.add(nn.Layer{Op: nn.OpSigmoid}, s)
	x = l.add(nn.Layer{Op: nn.OpMultiply}, g, x)
	x = l.add(nn.Layer{Op: nn.OpSoftmax}, x)
	x = l.add(nn.Layer{Op: nn.OpPad, Above: 1, Right: 2}, x)
	x = l.add(nn.Layer{Op: nn.OpPad, Left: 2, Below: 1, Border: nn.Reflect}, x)
	x = l.add(nn.Layer{Op: nn.OpPad, Left: 1, Below: 1, Lowest: true}, x)
	x = l.add(nn.Layer{Op: nn.OpMaxPool, Height: 2, Width: 2, Stride: 1}, x)
	top := l.add(nn.Layer{Op: nn.OpGlobalMaxPool}, x)
	x = l.add(nn.Layer{Op: nn.OpReLU}, x)
	x = l.add(nn.Layer{Op: nn.OpCrop, Above: 1, Left: 1, Before: 2, After: 1}, x)
	x = l.add(nn.Layer{Op: nn.OpLayerNorm, Name: "layer", Epsilon: 1e-3}, x)
	x = l.add(nn.Layer{Op: nn.OpUpsample, Rows: 2, Columns: 3, Linear: true}, x)
	x = l.add(nn.Layer{Op: nn.OpUpsample, Rows: 2, Columns: 1}, x)
	x = l.add(nn.Layer{Op: nn.OpResize, Rows: 5, Columns: 13, Linear: true}, x)
	x = l.add(nn.Layer{Op: nn.OpResize, Rows: 8, Columns: 9}, x)
	x = l.add(nn.Layer{Op: nn.OpGroupNorm, Name: "groups", Groups: 7, Epsilon: 1e-3}, x)
	r = l.add(nn.Layer{Op: nn.OpConv, Name: "where", Units: 1, Height: 1, Width: 1, Stride: 1}, x)
	x = l.add(nn.Layer{Op: nn.OpMaximum}, x, r)
	x = l.add(nn.Layer{Op: nn.OpReLU}, x)
	g = l.add(nn.Layer{Op: nn.OpGlobalAveragePool}, x)
	g = l.add(nn.Layer{Op: nn.OpLayerNorm, Name: "flat layer", Epsilon: 1e-3}, g)
	x = l.add(nn.Layer{Op: nn.OpMinimum}, x, g)
	x = l.add(nn.Layer{Op: nn.OpAdd}, r, x)
	x = l.add(nn.Layer{Op: nn.OpFlatten}, x)
	x = l.add(nn.Layer{Op: nn.OpDense, Name: "dense", Units: 36, Bias: true}, x)
	x = l.add(nn.Layer{Op: nn.OpDropout, Rate: 0.25}, x)
	x = l.add(nn.Layer{Op: nn.OpBatchNorm, Name: "norm", Epsilon: 1e-5}, x)
	x = l.add(nn.Layer{Op: nn.OpReshape, Shape: []int{3, 2, 6}}, x)
	x = l.add(nn.Layer{Op: nn.OpAveragePool, Height: 2, Width: 2, Stride: 1}, x)
	x = l.add(nn.Layer{Op: nn.OpFlatten}, x)
	x = l.add(nn.Layer{Op: nn.OpConcat}, x, top)
	x = l.add(nn.Layer{Op: nn.OpScale, Name: "flat scale"}, x)
	x = l.add(nn.Layer{Op: nn.OpReshape, Shape: []int{1, 6, 6}}, x)
	x = l.add(nn.Layer{Op: nn.OpSelect, Channels: []int{5, 0, 2}}, x)
	x = l.add(nn.Layer{Op: nn.OpFlatten}, x)
	x = l.add(nn.Layer{Op: nn.OpSelect, Channels: []int{17, 3, 3, 9, 0}}, x)
	l.add(nn.Layer{Op: nn.OpDense, Name: "classifier", Units: 10}, x)
	return l
}

// everyWindow returns convolutions and pools of every geometry that TensorFlow Lite has.
func everyWindow() []nn.Layer {
	l := list{{Op: nn.OpInput, Shape: []int{17, 14, 3}}}
	conv := func(layer nn.Layer) {
		layer.Op, layer.Stride = nn.OpConv, max(layer.Stride, 1)
		l.add(layer, len(l)-1)
	}
	conv(nn.Layer{Name: "strides", Units: 8, Height: 3, Width: 2, StrideWidth: 2, Same: true})
	conv(nn.Layer{Name: "gaps", Units: 8, Height: 3, Width: 3, Dilation: 2, DilationWidth: 3, Same: true, Bias: true})
	conv(nn.Layer{Name: "groups", Units: 12, Height: 3, Width: 3, Groups: 4, Same: true})
	l.add(nn.Layer{Op: nn.OpBatchNorm, Name: "norm", Epsilon: 1e-3}, len(l)-1)
	l.add(nn.Layer{Op: nn.OpReLU}, len(l)-1)
	conv(nn.Layer{Name: "groups with gaps", Units: 6, Height: 2, Width: 3, Groups: 3, DilationWidth: 2, Bias: true})
	conv(nn.Layer{Name: "multiplier", Units: 12, Height: 3, Width: 2, Groups: 6, Same: true, Bias: true})
	l.add(nn.Layer{Op: nn.OpBatchNorm, Name: "multiplied norm", Epsilon: 1e-3}, len(l)-1)
	x := l.add(nn.Layer{Op: nn.OpDepthwiseConv, Name: "depthwise", Height: 3, Width: 3, Stride: 2, StrideWidth: 1,
		Same: true, Bias: true}, len(l)-1)
	x = l.add(nn.Layer{Op: nn.OpDepthwiseConv, Name: "depthwise with gaps", Height: 3, Width: 2, Stride: 1,
		DilationWidth: 2, Same: true}, x)
	x = l.add(nn.Layer{Op: nn.OpMaxPool, Height: 2, Width: 3, Stride: 1, StrideWidth: 2, Same: true}, x)
	x = l.add(nn.Layer{Op: nn.OpAveragePool, Height: 3, Width: 1, Stride: 2, StrideWidth: 1}, x)
	l.add(nn.Layer{Op: nn.OpDense, Name: "classifier", Units: 5}, l.add(nn.Layer{Op: nn.OpGlobalAveragePool}, x))
	return l
}

// TestWindows checks where strides, dilations, groups and multipliers are in the file, and the
// versions of operators that have them.
func TestWindows(t *testing.T) {
	p := parse(t, encoded(t, filled(t, everyWindow(), 1), Options{}))
	type written struct {
		op                        operator
		version                   int32
		strideWidth, strideHeight int32
		multiplier                int32
		dilationWidth, dilation   int32 // 0 is not written: 1
		kernel                    [4]int32
	}
	var got []written
	for _, n := range p.nodes {
		o := n.options
		w := written{op: n.op, version: n.version}
		switch n.op {
		case opConv2D:
			w.dilationWidth, w.dilation = o.int32(4), o.int32(5)
		case opDepthwiseConv2D:
			w.multiplier, w.dilationWidth, w.dilation = o.int32(3), o.int32(5), o.int32(6)
		case opMaxPool2D, opAveragePool2D:
			w.kernel = [4]int32{o.int32(4), o.int32(3)}
		default:
			continue
		}
		w.strideWidth, w.strideHeight = o.int32(1), o.int32(2)
		if len(n.inputs) > 1 {
			w.kernel = [4]int32(p.tensors[n.inputs[1]].shape)
		}
		got = append(got, w)
	}
	want := []written{
		{opConv2D, 1, 2, 1, 0, 0, 0, [4]int32{8, 3, 2, 3}},
		{opConv2D, 1, 1, 1, 0, 3, 2, [4]int32{8, 3, 3, 8}},
		{opConv2D, 6, 1, 1, 0, 0, 0, [4]int32{12, 3, 3, 2}},
		{opConv2D, 6, 1, 1, 0, 2, 1, [4]int32{6, 2, 3, 4}},
		{opDepthwiseConv2D, 1, 1, 1, 2, 0, 0, [4]int32{1, 3, 2, 12}},
		{opDepthwiseConv2D, 1, 1, 2, 1, 0, 0, [4]int32{1, 3, 3, 12}},
		{opDepthwiseConv2D, 2, 1, 1, 1, 2, 1, [4]int32{1, 3, 2, 12}},
		{opMaxPool2D, 1, 2, 1, 0, 0, 0, [4]int32{2, 3}},
		{opAveragePool2D, 1, 1, 2, 0, 0, 0, [4]int32{3, 1}},
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(written{})); d != "" {
		t.Error(d)
	}
	l := list{{Op: nn.OpInput, Shape: []int{8, 8, 3}}}
	l.add(nn.Layer{Op: nn.OpMaxPool, Height: 2, Width: 2, Stride: 1, Dilation: 2}, 0)
	var layer *nn.LayerError
	if err := Write(io.Discard, filled(t, l, 1), Options{}); !errors.As(err, &layer) || layer.Layer != 1 {
		t.Errorf("a pool with gaps: %v", err)
	}
}

func encoded(t testing.TB, n *nn.Network, o Options) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, n, o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// operators returns those of a file, in order.
func (p parsed) operators() []operator {
	var all []operator
	for _, n := range p.nodes {
		all = append(all, n.op)
	}
	return all
}

// floats returns the values of a constant.
func (p parsed) floats(i int32) []float32 {
	v := make([]float32, len(p.tensors[i].data)/4)
	for j := range v {
		v[j] = math.Float32frombits(binary.LittleEndian.Uint32(p.tensors[i].data[4*j:]))
	}
	return v
}

// integers returns the values of a constant.
func (p parsed) integers(i int32) []int32 {
	v := make([]int32, len(p.tensors[i].data)/4)
	for j := range v {
		v[j] = int32(binary.LittleEndian.Uint32(p.tensors[i].data[4*j:]))
	}
	return v
}

// TestEveryLayer checks the operators, that inputs come before the operators that take them, and
// that tensors have the network's shapes and constants are aligned.
func TestEveryLayer(t *testing.T) {
	n := filled(t, everyLayer(24, 31), 1)
	data := encoded(t, n, Options{Temperature: 2})
	p := parse(t, data)
	want := []operator{
		opMul, opAdd, opConv2D, opConv2D, opConv2D, opMul, opAdd, opAdd, opDepthwiseConv2D, opLogistic, opMul,
		opMaxPool2D, opAveragePool2D, opConcatenation, opLeakyReLU,
		opMean, opReshape, opConv2D, opTanh, opConv2D, opLogistic, opMul, opLogistic, opReshape, opMul, opSoftmax,
		opPad, opMirrorPad, opPadV2, opMaxPool2D, opReduceMax, opReLU,
		opSlice, opMean, opSub, opMul, opMean, opAdd, opRsqrt, opMul, opMul, opAdd, opResizeBilinear, opResizeNearest,
		opResizeBilinear, opResizeNearest, opReshape, opMean, opSub, opMul, opMean, opAdd, opRsqrt, opMul, opReshape,
		opMul, opAdd, opConv2D, opMaximum, opReLU,
		opMean, opMean, opSub, opMul, opMean, opAdd, opRsqrt, opMul, opMul, opAdd, opReshape, opMinimum, opAdd,
		opReshape, opFullyConnected, opReshape, opAveragePool2D,
		opReshape, opConcatenation, opMul, opAdd, opReshape, opConv2D, opReshape, opFullyConnected, opFullyConnected,
		opMul, opSoftmax,
	}
	if d := cmp.Diff(want, p.operators()); d != "" {
		t.Error(d)
	}
	checkTensors(t, p)
	checkOptions(t, n, data, p)
}

// checkTensors checks tensors' shapes, constants' places and the order of operators.
func checkTensors(t *testing.T, p parsed) {
	t.Helper()
	made := map[int32]bool{p.inputs[0]: true}
	for i, v := range p.tensors {
		size := 1
		for _, d := range v.shape {
			size *= int(d)
		}
		switch {
		case v.data == nil && (len(v.signature) != len(v.shape) || v.signature[0] != -1 || v.shape[0] != 1):
			t.Errorf("%s has the shape %v and the signature %v", v.name, v.shape, v.signature)
		case v.data != nil && (len(v.data) != 4*size || v.at%16 != 0):
			t.Errorf("%s %v has %d bytes at %d", v.name, v.shape, len(v.data), v.at)
		}
		made[int32(i)] = made[int32(i)] || v.data != nil
	}
	for _, n := range p.nodes {
		if n.version != 1 {
			t.Errorf("operator %d is of version %d", n.op, n.version)
		}
		for _, in := range n.inputs {
			if !made[in] {
				t.Errorf("operator %d takes %s, which comes later", n.op, p.tensors[in].name)
			}
		}
		made[n.outputs[0]] = true
	}
}

// checkOptions checks the options of some operators of everyLayer.
func checkOptions(t *testing.T, n *nn.Network, data []byte, p parsed) {
	t.Helper()
	if stem := p.nodes[2]; stem.kind != byte(conv2DOptions) || stem.options.byte(0) != byte(paddingSame) ||
		stem.options.int32(1) != 2 || stem.options.int32(2) != 2 || stem.options.byte(3) != byte(fusedReLU6) {
		t.Errorf("the stem is %+v", stem)
	}
	if sum := p.nodes[7]; sum.options.byte(0) != byte(fusedReLU) {
		t.Error("the ReLU is no part of the sum")
	}
	if depthwise := p.nodes[8]; depthwise.options.byte(0) != byte(paddingValid) || depthwise.options.int32(3) != 1 ||
		!slices.Equal(p.tensors[depthwise.inputs[1]].shape, []int32{1, 3, 2, 8}) {
		t.Errorf("the depthwise kernel is %v", p.tensors[depthwise.inputs[1]].shape)
	}
	if average := p.nodes[12]; average.options.int32(3) != 3 || average.options.int32(4) != 3 {
		t.Errorf("windows of %d × %d", average.options.int32(4), average.options.int32(3))
	}
	if joined := p.nodes[13]; joined.options.int32(0) != 3 || len(joined.inputs) != 3 {
		t.Errorf("%d values are joined along axis %d", len(joined.inputs), joined.options.int32(0))
	}
	for node, want := range map[int][]int32{
		15: {1, 2},                   // the axes of a mean
		16: {-1, 1, 1, 24},           // a shape, for any batch
		26: {0, 0, 1, 0, 0, 2, 0, 0}, // rows above and below, columns left and right
		27: {0, 0, 0, 1, 2, 0, 0, 0}, // of the border that mirrors
		28: {0, 0, 0, 1, 1, 0, 0, 0},
	} {
		if got := p.integers(p.nodes[node].inputs[1]); !slices.Equal(got, want) {
			t.Errorf("operator %d is given %v, want %v", node, got, want)
		}
	}
	if leaky := p.nodes[14]; leaky.options.float(0) != 0.1 {
		t.Errorf("a slope of %v", leaky.options.float(0))
	}
	if lowest := p.nodes[28]; !slices.Equal(p.floats(lowest.inputs[2]), []float32{-math.MaxFloat32}) {
		t.Error("the padding is not the lowest number")
	}
	if cooled := p.nodes[len(p.nodes)-2]; !slices.Equal(p.floats(cooled.inputs[1]), []float32{0.5}) {
		t.Error("the logits are not divided by the temperature")
	}
	got := [3]string{p.tensors[p.inputs[0]].name, p.tensors[p.outputs[0]].name, p.tensors[p.outputs[1]].name}
	if got !=
		[3]string{inputName, probabilitiesName, logitsName} {
		t.Errorf("inputs and outputs are %v", got)
	}
	if d := cmp.Diff(map[string]int32{inputName: p.inputs[0], probabilitiesName: p.outputs[0],
		logitsName: p.outputs[1]}, p.signature); d != "" {
		t.Error(d)
	}
	if !bytes.Equal(data, encoded(t, n, Options{Temperature: 2})) {
		t.Error("other bytes the second time")
	}
}

// TestWrittenInParts checks activations that LiteRT lacks, or has without their setting.
func TestWrittenInParts(t *testing.T) {
	for _, c := range []struct {
		layer nn.Layer
		want  []operator
	}{
		{nn.Layer{Op: nn.OpELU, Slope: 0.5}, []operator{opReLU, opMinimum, opExp, opSub, opMul, opAdd}},
		{nn.Layer{Op: nn.OpSELU}, []operator{opReLU, opMul, opMinimum, opExp, opSub, opMul, opAdd}},
		{nn.Layer{Op: nn.OpGELU}, []operator{opGELU}},
		{nn.Layer{Op: nn.OpGELUTanh}, []operator{opGELU}},
		{nn.Layer{Op: nn.OpSoftplus}, []operator{opReLU, opAbs, opMul, opExp, opAdd, opLog, opAdd}},
		{nn.Layer{Op: nn.OpMish}, []operator{opReLU, opAbs, opMul, opExp, opAdd, opLog, opAdd, opTanh, opMul}},
	} {
		l := list{{Op: nn.OpInput, Shape: []int{4, 5, 3}}}
		x := l.add(c.layer, 0)
		l.add(nn.Layer{Op: nn.OpDense, Name: "last", Units: 2}, l.add(nn.Layer{Op: nn.OpGlobalAveragePool}, x))
		p := parse(t, encoded(t, filled(t, l, 1), Options{}))
		if got := p.operators(); len(got) < len(c.want) || !slices.Equal(got[:len(c.want)], c.want) {
			t.Errorf("%s: operators %v, want %v", c.layer.Op, got, c.want)
		}
		for i, n := range p.nodes[:len(c.want)] { // what constants multiply by
			if factor, ok := map[nn.Op]map[int]float32{
				nn.OpELU: {4: 0.5}, nn.OpSELU: {1: 1.050701, 5: 1.7580993}, nn.OpSoftplus: {2: -1}, nn.OpMish: {2: -1},
			}[c.layer.Op][i]; ok && !slices.Equal(p.floats(n.inputs[1]), []float32{factor}) {
				t.Errorf("%s: operator %d multiplies by %v, want %v", c.layer.Op, i, p.floats(n.inputs[1]), factor)
			}
		}
		if c.want[0] == opGELU && (p.nodes[0].options.byte(0) != 0) != (c.layer.Op == nn.OpGELUTanh) {
			t.Errorf("%s: approximate is %d", c.layer.Op, p.nodes[0].options.byte(0))
		}
	}
}

// TestActivations checks activations that are written as an operator with a constant, or as several
// operators.
func TestActivations(t *testing.T) {
	l := list{{Op: nn.OpInput, Shape: []int{4, 5, 3}}}
	x := l.add(nn.Layer{Op: nn.OpHardSigmoid}, 0)
	x = l.add(nn.Layer{Op: nn.OpPReLU, Name: "slopes"}, x)
	x = l.add(nn.Layer{Op: nn.OpHardSwish}, x)
	x = l.add(nn.Layer{Op: nn.OpGlobalAveragePool}, x)
	l.add(nn.Layer{Op: nn.OpDense, Name: "last", Units: 2}, x)
	n := filled(t, l, 1)
	p := parse(t, encoded(t, n, Options{}))
	want := []operator{opAdd, opMul, opPReLU, opHardSwish, opMean, opFullyConnected}
	if got := p.operators(); len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
		t.Fatalf("operators %v, want %v", got, want)
	}
	shifted, sixth, slopes := p.nodes[0], p.nodes[1], p.nodes[2]
	if shifted.options.byte(0) != byte(fusedReLU6) || !slices.Equal(p.floats(shifted.inputs[1]), []float32{3}) {
		t.Errorf("x + 3 between 0 and 6 is %+v", shifted)
	}
	if sixth.options.byte(0) != byte(noActivation) || !slices.Equal(p.floats(sixth.inputs[1]), []float32{1. / 6}) {
		t.Errorf("a sixth of it is %+v", sixth)
	}
	if !slices.Equal(p.tensors[slopes.inputs[1]].shape, []int32{1, 1, 3}) ||
		!slices.Equal(p.floats(slopes.inputs[1]), n.Tensors["slopes/slope"].Data) {
		t.Errorf("the slopes are %v", p.floats(slopes.inputs[1]))
	}
}

// TestSharedConstants checks that weights of two layers are once in the file if neither layer
// changes them.
func TestSharedConstants(t *testing.T) {
	l := list{{Op: nn.OpInput, Shape: []int{8, 8, 16}}}
	x := 0
	for range 4 {
		x = l.add(nn.Layer{Op: nn.OpConv, Name: "shared", Units: 16, Height: 3, Width: 3, Stride: 1, Same: true}, x)
	}
	l.add(nn.Layer{Op: nn.OpGlobalMaxPool}, x)
	if size := len(encoded(t, filled(t, l, 1), Options{})); size > 4*16*16*9+6000 {
		t.Errorf("%d bytes", size)
	}
	// The same name and another batch-norm behind each: then they are not the same.
	l = list{{Op: nn.OpInput, Shape: []int{4, 4, 2}}}
	x = 0
	for _, name := range []string{"a", "b"} {
		x = l.add(nn.Layer{Op: nn.OpConv, Name: "shared", Units: 2, Height: 1, Width: 1, Stride: 1}, x)
		x = l.add(nn.Layer{Op: nn.OpBatchNorm, Name: name, Epsilon: 1e-3}, x)
	}
	l.add(nn.Layer{Op: nn.OpGlobalMaxPool}, x)
	p := parse(t, encoded(t, filled(t, l, 1), Options{}))
	if a, b := p.floats(p.nodes[0].inputs[1]), p.floats(p.nodes[1].inputs[1]); slices.Equal(a, b) {
		t.Errorf("both have the kernel %v", a)
	}
}

// TestFolded checks that a batch-norm is folded into kernel and bias, and that the network's own
// weights do not change.
func TestFolded(t *testing.T) {
	norm := nn.Layer{Op: nn.OpBatchNorm, Name: "norm", Epsilon: 0.5}
	statistics := tensor.Map{"norm/gamma": tensor.FromSlice([]float32{2, 3}, 2),
		"norm/beta":            tensor.FromSlice([]float32{1, -1}, 2),
		"norm/moving_mean":     tensor.FromSlice([]float32{4, 2}, 2),
		"norm/moving_variance": tensor.FromSlice([]float32{3.5, 0.5}, 2)}
	// gamma/√(variance + epsilon) is 1 and 3, and beta − mean·that −3 and −7.
	for _, c := range []struct {
		layer        nn.Layer
		kernel, bias []float32
		shape        []int
		want, shift  []float32
	}{
		{nn.Layer{Op: nn.OpConv, Name: "x", Units: 2, Height: 1, Width: 2, Stride: 1, Bias: true},
			[]float32{1, 2, 3, 4, 5, 6, 7, 8},
			[]float32{10, 20}, []int{1, 2, 2, 2}, []float32{1, 3, 5, 7, 6, 12, 18, 24}, []float32{7, 53}},
		{nn.Layer{Op: nn.OpDepthwiseConv, Name: "x", Height: 1, Width: 2, Stride: 1}, []float32{1, 2, 3, 4}, nil,
			[]int{1, 2, 2, 1}, []float32{1, 6, 3, 12}, []float32{-3, -7}},
		{nn.Layer{Op: nn.OpDense, Name: "x", Units: 2}, []float32{1, 2, 3, 4}, nil, []int{2, 2},
			[]float32{1, 3, 6, 12},
			[]float32{-3, -7}},
	} {
		l := list{{Op: nn.OpInput, Shape: []int{3, 3, 2}}}
		x := 0
		if c.layer.Op == nn.OpDense {
			x = l.add(nn.Layer{Op: nn.OpGlobalAveragePool}, x)
		}
		x = l.add(norm, l.add(c.layer, x))
		l.add(nn.Layer{Op: nn.OpReLU}, x)
		n := &nn.Network{Layers: l, Tensors: tensor.Map{
			"x/kernel": tensor.FromSlice(slices.Clone(c.kernel), c.shape...)}}
		if c.bias != nil {
			n.Tensors["x/bias"] = tensor.FromSlice(slices.Clone(c.bias), 2)
		}
		for name, v := range statistics {
			n.Tensors[name] = v
		}
		p := parse(t, encoded(t, n, Options{}))
		product := p.nodes[len(p.nodes)-2]
		if got := p.floats(product.inputs[1]); !slices.Equal(got, c.want) {
			t.Errorf("%s: the kernel is %v, want %v", c.layer.Op, got, c.want)
		}
		if got := p.floats(product.inputs[2]); !slices.Equal(got, c.shift) {
			t.Errorf("%s: the bias is %v, want %v", c.layer.Op, got, c.shift)
		}
		if !slices.Equal(n.Tensors["x/kernel"].Data, c.kernel) {
			t.Errorf("%s: the network itself was changed", c.layer.Op)
		}
	}
}

// TestNotFused checks that nothing is fused into an operator whose result another layer takes as
// well.
func TestNotFused(t *testing.T) {
	conv := nn.Layer{Op: nn.OpConv, Name: "conv", Units: 2, Height: 1, Width: 1, Stride: 1}
	norm := nn.Layer{Op: nn.OpBatchNorm, Name: "norm", Epsilon: 1e-3}
	relu, relu6, dropout := nn.Layer{Op: nn.OpReLU}, nn.Layer{Op: nn.OpReLU6}, nn.Layer{Op: nn.OpDropout}
	for name, c := range map[string]struct {
		build func(l *list)
		want  []operator
	}{
		"a batch-norm behind a ReLU": {func(l *list) { l.add(norm, l.add(relu, l.add(conv, 0))) },
			[]operator{opConv2D, opMul, opAdd}},
		"a ReLU of a batch-norm of its own": {func(l *list) { l.add(relu, l.add(norm, l.add(relu, l.add(conv, 0)))) },
			[]operator{opConv2D, opMul, opAdd}},
		"two activations": {func(l *list) { l.add(relu6, l.add(relu, l.add(conv, 0))) },
			[]operator{opConv2D, opReLU6}},
		"a ReLU of the input": {func(l *list) { l.add(conv, l.add(relu, 0)) }, []operator{opReLU, opConv2D}},
		"a value that is added to its ReLU": {func(l *list) {
			x := l.add(conv, 0)
			l.add(nn.Layer{Op: nn.OpAdd}, x, l.add(relu, x))
		},
			[]operator{opConv2D, opReLU, opAdd}},
		"behind a dropout": {func(l *list) { l.add(relu, l.add(dropout, l.add(conv, 0))) }, []operator{opConv2D}},
		"a dropout that two take": {func(l *list) {
			x := l.add(dropout, l.add(conv, 0))
			l.add(nn.Layer{Op: nn.OpAdd}, x, l.add(relu, x))
		}, []operator{opConv2D, opReLU, opAdd}},
		"beside a dropout": {func(l *list) {
			x := l.add(conv, 0)
			l.add(nn.Layer{Op: nn.OpAdd}, l.add(dropout, x), l.add(relu, x))
		}, []operator{opConv2D, opReLU, opAdd}},
		"joined maps": {func(l *list) { x := l.add(conv, 0); l.add(relu, l.add(nn.Layer{Op: nn.OpConcat}, x, x)) },
			[]operator{opConv2D, opConcatenation, opReLU}},
	} {
		l := list{{Op: nn.OpInput, Shape: []int{2, 2, 2}}}
		c.build(&l)
		got := parse(t, encoded(t, filled(t, l, 1), Options{})).operators()
		if !slices.Equal(got, append(c.want, opSoftmax)) {
			t.Errorf("%s: operators %v, want %v and a softmax", name, got, c.want)
		}
	}
}

// TestPreparedTwice checks that the preprocessing is not changed where two layers take it.
func TestPreparedTwice(t *testing.T) {
	l := list{{Op: nn.OpInput, Shape: []int{2, 2, 3}}}
	l.add(nn.Layer{Op: nn.OpAdd}, l.add(nn.Layer{Op: nn.OpReLU}, 0), 0)
	o := Options{Pictures: true, Preprocessing: &Preprocessing{Mean: make([]float32, 3), Std: []float32{1, 1, 1}}}
	got := parse(t, encoded(t, filled(t, l, 1), o)).operators()
	if !slices.Equal(got, []operator{opCast, opSub, opDiv, opReLU, opAdd, opSoftmax}) {
		t.Errorf("operators %v", got)
	}
}

// TestSoftmaxAtTheEnd checks that a network's own softmax is the output of probabilities, and that
// an input that is passed on to it becomes an operator.
func TestSoftmaxAtTheEnd(t *testing.T) {
	l := list{{Op: nn.OpInput, Shape: []int{6, 6, 3}}}
	l.add(nn.Layer{Op: nn.OpSoftmax}, l.add(nn.Layer{Op: nn.OpGlobalAveragePool}, 0))
	got := parse(t, encoded(t, filled(t, l, 3), Options{})).operators()
	if !slices.Equal(got, []operator{opMean, opSoftmax}) {
		t.Errorf("operators %v", got)
	}
	l = list{{Op: nn.OpInput, Shape: []int{1, 1, 3}}}
	l.add(nn.Layer{Op: nn.OpSoftmax}, l.add(nn.Layer{Op: nn.OpDropout}, 0))
	p := parse(t, encoded(t, filled(t, l, 3), Options{}))
	if got := p.operators(); !slices.Equal(got, []operator{opReshape, opSoftmax}) ||
		p.tensors[p.inputs[0]].name != inputName {
		t.Errorf("operators %v", got)
	}
}

// TestMetadata checks the descriptions of pictures and outputs, and the archive of labels behind
// the model.
func TestMetadata(t *testing.T) {
	l := list{{Op: nn.OpInput, Shape: []int{5, 4, 3}}}
	l.add(nn.Layer{Op: nn.OpDense, Name: "top", Units: 2}, l.add(nn.Layer{Op: nn.OpGlobalAveragePool}, 0))
	n := filled(t, l, 1)
	o := Options{Name: "clothes", Doc: "for people", Labels: []string{"hat", "größe 7"},
		Metadata:      map[string]string{"b": "2", "garb": "{}"},
		Preprocessing: &Preprocessing{Mean: []float32{1, 2, 3}, Std: []float32{4, 5, 6}},
		Acceptance:    &Acceptance{Energy: true}}
	for _, o.Pictures = range []bool{false, true} {
		data := encoded(t, n, o)
		p := parse(t, data)
		if p.description != "for people" || string(p.metadata["garb"]) != "{}" || string(p.metadata["b"]) != "2" ||
			len(p.metadata) != 3 {
			t.Errorf("it says %q, %q", p.description, p.metadata)
		}
		about := root(t, p.metadata[metadataEntry], metadataIdentifier)
		if about.text(0) != "clothes" || about.text(1) != "for people" || about.text(7) != minParserVersion {
			t.Errorf("the metadata is of %q, %q, parsers from %q on", about.text(0), about.text(1), about.text(7))
		}
		subgraph := about.tables(3)[0]
		checkInput(t, p, subgraph.tables(2)[0], o)
		outputs := subgraph.tables(3)
		for i, name := range []string{probabilitiesName, logitsName, acceptanceName} {
			files := outputs[i].tables(6)
			if outputs[i].text(0) != name || p.tensors[p.outputs[i]].name != name {
				t.Errorf("output %d is %s", i, outputs[i].text(0))
			}
			if labelled := name != acceptanceName; labelled != (len(files) == 1) || labelled &&
				(files[0].text(0) != labelsFile || files[0].byte(2) != associatedAxisLabels) {
				t.Errorf("%s has %d files", name, len(files))
			}
		}
		checkLabelFile(t, data)
	}
	o = Options{}
	if p := parse(t, encoded(t, n, o)); len(root(t, p.metadata[metadataEntry],
		metadataIdentifier).tables(3)[0].tables(3)[0].tables(6)) != 0 {
		t.Error("labels without any")
	}
}

// checkInput checks the metadata of TestMetadata's input.
func checkInput(t *testing.T, p parsed, input reader, o Options) {
	t.Helper()
	if size := input.table(3).table(1).table(1); input.table(3).byte(0) != contentImage ||
		size.int32(0) != 4 || size.int32(1) != 5 {
		t.Errorf("pictures of %d × %d", size.int32(0), size.int32(1))
	}
	picture, want := p.tensors[p.inputs[0]], o.Preprocessing
	if !o.Pictures {
		unit := input.tables(4)[0]
		mean, std := unit.table(1).floats(0), unit.table(1).floats(1)
		if unit.byte(0) != processNormalization || picture.kind != int8(typeFloat32) ||
			!slices.Equal(mean, want.Mean) || !slices.Equal(std, want.Std) {
			t.Errorf("normalized by %v and %v", mean, std)
		}
		return
	}
	if len(input.tables(4)) != 0 || input.text(0) != pictureName || picture.kind != int8(typeUint8) {
		t.Error("pictures are normalized twice, or not uint8")
	}
	mean, std := p.floats(p.nodes[1].inputs[1]), p.floats(p.nodes[2].inputs[1])
	if !slices.Equal(p.operators()[:3], []operator{opCast, opSub, opDiv}) ||
		!slices.Equal(mean, want.Mean) || !slices.Equal(std, want.Std) {
		t.Errorf("pictures are normalized by %v, %v and %v", p.operators(), mean, std)
	}
}

// checkLabelFile checks the archive of TestMetadata's labels.
func checkLabelFile(t *testing.T, data []byte) {
	t.Helper()
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	f := archive.File[0]
	in, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(in)
	if err != nil || len(archive.File) != 1 || f.Name != labelsFile || string(text) != "hat\ngröße 7\n" {
		t.Errorf("%s holds %q, %v", f.Name, text, err)
	}
	// Its offsets count from the start of the file, also that of the directory at the end.
	if at := binary.LittleEndian.Uint32(data[len(data)-6:]); !bytes.HasPrefix(data[at:], []byte("PK\x01\x02")) {
		t.Errorf("there is no directory of the archive at %d", at)
	}
	// Readers map it, so it is stored uncompressed, with its size in front.
	if at, err := f.DataOffset(); err != nil || f.Method != zip.Store || f.Flags&8 != 0 ||
		!bytes.HasPrefix(data[at:], text) {
		t.Errorf("at %d, %v, %+v", at, err, f.FileHeader)
	}
}

// TestChannels checks the colour space of pictures in the metadata, and that an input with other
// numbers of channels is not called a picture.
func TestChannels(t *testing.T) {
	for channels, want := range map[int]struct{ content, space byte }{
		1: {contentImage, colorSpaceGrey}, 2: {contentFeature, 0}, 3: {contentImage, colorSpaceRGB},
	} {
		l := list{{Op: nn.OpInput, Shape: []int{5, 4, channels}}}
		l.add(nn.Layer{Op: nn.OpDense, Name: "top", Units: 2}, l.add(nn.Layer{Op: nn.OpFlatten}, 0))
		p := parse(t, encoded(t, filled(t, l, 1), Options{}))
		content := root(t, p.metadata[metadataEntry], metadataIdentifier).tables(3)[0].tables(2)[0].table(3)
		if content.byte(0) != want.content || !slices.Equal(p.tensors[0].shape, []int32{1, 5, 4, int32(channels)}) {
			t.Errorf("%d channels: content %d, shape %v", channels, content.byte(0), p.tensors[0].shape)
		}
		if want.content == contentImage && content.table(1).byte(0) != want.space {
			t.Errorf("%d channels: colour space %d", channels, content.table(1).byte(0))
		}
	}
}

// TestWriteErrors checks the errors about what cannot be written.
func TestWriteErrors(t *testing.T) {
	l := list{{Op: nn.OpInput, Shape: []int{1, 1, 1 << 13}}}
	x := l.add(nn.Layer{Op: nn.OpFlatten}, 0)
	l.add(nn.Layer{Op: nn.OpDense, Name: "a", Units: 4}, x)
	n := filled(t, l, 1)
	var weight *nn.WeightError
	var layer *nn.LayerError
	var label *LabelError
	for _, labels := range [][]string{{"a", "b\nc", "d", "e"}, {"a", " ", "c", "d"}} {
		if err := Write(io.Discard, n, Options{Labels: labels}); !errors.As(err, &label) {
			t.Errorf("labels %q: %v", labels, err)
		}
	}
	n.Tensors["a/kernel"] = tensor.New(3, 3)
	if err := Write(io.Discard, n, Options{}); !errors.As(err, &weight) || weight.Name != "a/kernel" {
		t.Errorf("a weight of another shape: %v", err)
	}
	delete(n.Tensors, "a/kernel")
	if err := Write(io.Discard, n, Options{}); !errors.As(err, &weight) {
		t.Errorf("a weight is missing: %v", err)
	}
	if err := Write(io.Discard, &nn.Network{Layers: []nn.Layer{{Op: nn.OpConv}}}, Options{}); !errors.As(err,
		&layer) {
		t.Errorf("no network: %v", err)
	}
	for _, border := range []nn.Border{nn.Edge, nn.Wrap} {
		wide := list{{Op: nn.OpInput, Shape: []int{5, 5, 1}}}
		wide.add(nn.Layer{Op: nn.OpFlatten}, wide.add(nn.Layer{Op: nn.OpPad, Left: 1, Border: border}, 0))
		wide.add(nn.Layer{Op: nn.OpDense, Name: "a", Units: 4}, 2)
		if err := Write(io.Discard, filled(t, wide, 1), Options{}); !errors.As(err, &layer) || layer.Layer != 1 ||
			!strings.Contains(layer.Reason, string(border)) {
			t.Errorf("a border %s: %v", border, err)
		}
	}
	for _, pool := range []nn.Layer{
		{Op: nn.OpMaxPool, Height: 2, Width: 2, Stride: 1, Dilation: 2},
		{Op: nn.OpAveragePool, Height: 2, Width: 3, Stride: 2, DilationWidth: 2},
	} {
		l := list{{Op: nn.OpInput, Shape: []int{8, 8, 3}}}
		l.add(nn.Layer{Op: nn.OpGlobalAveragePool}, l.add(pool, 0))
		if err := Write(io.Discard, filled(t, l, 1), Options{}); !errors.As(err, &layer) || layer.Layer != 1 ||
			layer.Op != pool.Op || layer.Reason != "it is dilated; TensorFlow Lite has no dilated pooling" {
			t.Errorf("%s: %v", pool, err)
		}
	}
	// As if the format had no tanh.
	written := writers[nn.OpTanh]
	delete(writers, nn.OpTanh)
	defer func() { writers[nn.OpTanh] = written }()
	if err := Write(io.Discard, filled(t, everyLayer(9, 9), 1), Options{}); !errors.As(err, &layer) ||
		layer.Op != nn.OpTanh || layer.Layer != 20 {
		t.Errorf("a layer without an operator: %v", err)
	}
	failing := errors.New("no space")
	writers[nn.OpTanh] = written
	if err := Write(full{failing}, filled(t, everyLayer(9, 9), 1), Options{}); !errors.Is(err, failing) {
		t.Errorf("a full disk: %v", err)
	}
}

// full is a writer for which there is no space.
type full struct{ err error }

func (f full) Write([]byte) (int, error) { return 0, f.err }

// TestTooLarge checks that a model that a flatbuffer cannot hold is refused before it is built.
func TestTooLarge(t *testing.T) {
	w := &writer{}
	w.tensors = []variable{{shape: []int{1, 1, 3}}}
	same := make([]float32, 1<<26) // one for all: nothing is written
	for range 9 {
		w.tensors = append(w.tensors, variable{constant: true, shape: []int{1 << 26}, values: values{floats: same}})
	}
	var large *TooLargeError
	if _, err := w.encode(Options{}); !errors.As(err, &large) || large.Bytes < 9<<28 {
		t.Errorf("%v", err)
	}
}

// TestSizeIsBounded checks that the flatbuffer never has to grow, which it could not beyond a
// gigabyte.
func TestSizeIsBounded(t *testing.T) {
	for seed := range uint64(20) {
		n := filled(t, randomNetwork(seed), seed)
		g, err := nn.NewGraph(n.Layers)
		if err != nil {
			t.Fatal(err)
		}
		w := &writer{graph: g, shapes: g.Shapes(), weights: n.Tensors, makers: map[int32]int{},
			readers: map[int32]int{}, names: map[string]bool{}}
		o := Options{Doc: strings.Repeat("d", 1<<16), Metadata: map[string]string{"garb": strings.Repeat("m", 1<<17)}}
		if err := w.writeNetwork(o); err != nil {
			t.Fatal(err)
		}
		bound := w.estimateSize(o, w.encodeMetadata(o))
		if data, err := w.encode(o); err != nil || int64(len(data)) > bound-1<<10 ||
			bound > 2*int64(len(data))+1<<17 {
			t.Errorf("%d bytes, at most %d, %v", len(data), bound, err)
		}
	}
}
