package nn

import (
	"fmt"
	"math"
	"testing"

	"garb/tensor"
)

// definition is what an operation computes, in float64, from its documentation alone, and
// layers on which garb's is checked against it.
type definition struct {
	// define computes a layer's output, of the given shape.
	define func(l definedLayer, out []float64)
	// layers are applied to inputs of the shapes.
	layers []Layer
	inputs [][]int
}

// definedLayer is a layer with its inputs.
type definedLayer struct {
	Layer
	shape  []int
	in     [][]float64
	shapes [][]int // of in
	params [][]float32
}

// channels returns the length of the output's last axis.
func (l definedLayer) channels() int { return l.shape[len(l.shape)-1] }

func (l definedLayer) param(i, j int) float64 { return float64(l.params[i][j]) }

// each sets every value of the output to f of that of the input.
func each(f func(l definedLayer, c int, v float64) float64) func(definedLayer, []float64) {
	return func(l definedLayer, out []float64) {
		for i, v := range l.in[0] {
			out[i] = f(l, i%l.channels(), v)
		}
	}
}

func pooled(combine func(sum, v float64, first bool) float64, mean bool) func(definedLayer, []float64) {
	return func(l definedLayer, out []float64) {
		counts, channels := make([]float64, len(out)), l.channels()
		l.eachTap(func(o, in, _ int) {
			for c := range channels {
				i := o*channels + c
				out[i] = combine(out[i], l.in[0][in*channels+c], counts[i] == 0)
				counts[i]++
			}
		})
		for i := range out {
			if mean {
				out[i] /= counts[i]
			}
		}
	}
}

// wholly turns an operation over windows into one over the whole map.
func wholly(f func(definedLayer, []float64)) func(definedLayer, []float64) {
	return func(l definedLayer, out []float64) {
		l.Height, l.Width, l.Stride = l.shapes[0][0], l.shapes[0][1], 1
		l.shape = []int{1, 1, l.channels()}
		f(l, out)
	}
}

func larger(sum, v float64, first bool) float64 {
	if first || v > sum {
		return v
	}
	return sum
}

// pairs computes each value from those of two inputs, which are repeated along axes of 1.
func pairs(f func(x, y float64) float64) func(definedLayer, []float64) {
	return func(l definedLayer, out []float64) {
		at := func(j, i int) float64 { // of input j, for value i of the output
			place, stride, step := 0, 1, 1
			for k := 1; k <= len(l.shape); k++ {
				n, m := l.shape[len(l.shape)-k], 1
				if k <= len(l.shapes[j]) {
					m = l.shapes[j][len(l.shapes[j])-k]
				}
				if m > 1 {
					place += i / step % n * stride
				}
				step *= n
				stride *= m
			}
			return l.in[j][place]
		}
		for i := range out {
			out[i] = f(at(0, i), at(1, i))
		}
	}
}

// resized returns a map of another size, with pixels as squares.
func resized(l definedLayer, out []float64) {
	from, channels := l.shapes[0], l.channels()
	at := func(y, x float64, c int) float64 { // beyond the border as at the border
		y, x = min(max(y, 0), float64(from[0]-1)), min(max(x, 0), float64(from[1]-1))
		return l.in[0][(int(y)*from[1]+int(x))*channels+c]
	}
	for i := range out {
		y, x, c := i/channels/l.shape[1], i/channels%l.shape[1], i%channels
		v := (float64(y) + 0.5) * float64(from[0]) / float64(l.shape[0]) // of the centre
		u := (float64(x) + 0.5) * float64(from[1]) / float64(l.shape[1])
		if !l.Linear {
			out[i] = at(math.Floor(v), math.Floor(u), c)
			continue
		}
		top, left := math.Floor(v-0.5), math.Floor(u-0.5)
		for _, corner := range [][2]float64{{0, 0}, {0, 1}, {1, 0}, {1, 1}} {
			weight := math.Abs(1-corner[0]-(v-0.5-top)) * math.Abs(1-corner[1]-(u-0.5-left))
			out[i] += weight * at(top+corner[0], left+corner[1], c)
		}
	}
}

// normalizeAll normalizes the values that belong together, and scales and shifts them.
func (l definedLayer) normalizeAll(out []float64, belongs func(i int) bool) {
	count, mean, variance := 0.0, 0.0, 0.0
	for i, v := range l.in[0] {
		if belongs(i) {
			mean += v
			count++
		}
	}
	mean /= count
	for i, v := range l.in[0] {
		if belongs(i) {
			variance += (v - mean) * (v - mean) / count
		}
	}
	for i, v := range l.in[0] {
		if c := i % l.channels(); belongs(i) {
			out[i] = l.param(0, c)*(v-mean)/math.Sqrt(variance+l.Epsilon) + l.param(1, c)
		}
	}
}

func plus(sum, v float64, _ bool) float64 { return sum + v }

func logistic(v float64) float64 { return 1 / (1 + math.Exp(-v)) }

func addBias(l definedLayer, out []float64) {
	if l.Bias {
		for i := range out {
			out[i] += l.param(1, i%l.channels())
		}
	}
}

var (
	windows = []Layer{
		{Height: 3, Width: 3, Stride: 2, Same: true}, {Height: 2, Width: 2, Stride: 1},
		{Height: 3, Width: 2, Stride: 1, StrideWidth: 2, Same: true},
		{Height: 1, Width: 4, Stride: 2, StrideWidth: 1}, {Height: 2, Width: 2, Stride: 1, Dilation: 2},
		{Height: 3, Width: 2, Stride: 1, Dilation: 2, DilationWidth: 3},
	}
	aMap  = [][]int{{5, 4, 3}}
	aRow  = [][]int{{7}}
	three = [][]int{{5, 4, 3}, {5, 4, 3}}
)

// definitions has a row for every operation.
var definitions = map[Op]definition{
	OpConv: {
		define: func(l definedLayer, out []float64) {
			groups, channels := max(l.Groups, 1), l.shapes[0][2]
			each := channels / groups // channels of a group
			l.eachTap(func(o, in, tap int) {
				for f := range l.Units {
					first := f / (l.Units / groups) * each
					for c := range each {
						out[o*l.Units+f] += l.in[0][in*channels+first+c] * l.param(0, (tap*each+c)*l.Units+f)
					}
				}
			})
			addBias(l, out)
		},
		layers: []Layer{
			{Units: 4, Height: 3, Width: 3, Stride: 1, Same: true, Bias: true},
			{Units: 5, Height: 2, Width: 3, Stride: 2},
			{Units: 6, Height: 1, Width: 1, Stride: 1, Bias: true}, {Units: 2, Height: 1, Width: 1, Stride: 2},
			{Units: 3, Height: 5, Width: 4, Stride: 3, Same: true},
			// Strides and dilations, each its own way.
			{Units: 4, Height: 3, Width: 2, Stride: 1, StrideWidth: 3, Same: true},
			{Units: 4, Height: 1, Width: 1, Stride: 1, StrideWidth: 2},
			{Units: 4, Height: 2, Width: 2, Stride: 2, StrideWidth: 1},
			{Units: 2, Height: 2, Width: 3, Stride: 1, Dilation: 2, DilationWidth: 1},
			{Units: 4, Height: 3, Width: 3, Stride: 1, Dilation: 2, Same: true, Bias: true},
			{Units: 4, Height: 2, Width: 2, Stride: 1, Dilation: 3},
			{Units: 4, Height: 3, Width: 2, Stride: 2, StrideWidth: 1, DilationWidth: 2, Same: true},
			{Units: 3, Height: 1, Width: 2, Stride: 1, DilationWidth: 3},
			{Units: 2, Height: 3, Width: 3, Stride: 1, Dilation: 7, DilationWidth: 5, Same: true},
			// As many groups as channels.
			{Units: 3, Height: 3, Width: 3, Stride: 2, Groups: 3, Same: true, Bias: true},
			{Units: 6, Height: 2, Width: 3, Stride: 1, Groups: 3, Bias: true},
			{Units: 9, Height: 2, Width: 2, Stride: 1, Groups: 3, Dilation: 2, Same: true},
			{Units: 3, Height: 1, Width: 1, Stride: 1, Groups: 3},
		},
		inputs: aMap,
	},
	OpDepthwiseConv: {
		define: func(l definedLayer, out []float64) {
			channels := l.channels()
			l.eachTap(func(o, in, tap int) {
				for c := range channels {
					out[o*channels+c] += l.in[0][in*channels+c] * l.param(0, tap*channels+c)
				}
			})
			addBias(l, out)
		},
		layers: []Layer{
			{Height: 3, Width: 3, Stride: 1, Same: true, Bias: true}, {Height: 2, Width: 3, Stride: 2},
			{Height: 1, Width: 1, Stride: 1}, {Height: 4, Width: 4, Stride: 2, Same: true},
			{Height: 3, Width: 3, Stride: 1, StrideWidth: 2, Same: true, Bias: true},
			{Height: 2, Width: 2, Stride: 2, StrideWidth: 1},
			{Height: 3, Width: 3, Stride: 1, Dilation: 2, Same: true, Bias: true},
			{Height: 2, Width: 2, Stride: 1, DilationWidth: 3},
			{Height: 3, Width: 1, Stride: 2, Dilation: 2},
			{Height: 3, Width: 3, Stride: 1, Dilation: 6, DilationWidth: 4, Same: true},
		},
		inputs: aMap,
	},
	OpDense: {
		define: func(l definedLayer, out []float64) {
			for u := range out {
				for c, v := range l.in[0] {
					out[u] += v * l.param(0, c*len(out)+u)
				}
			}
			addBias(l, out)
		},
		layers: []Layer{{Units: 5, Bias: true}, {Units: 1}},
		inputs: aRow,
	},
	OpBatchNorm: {
		define: each(func(l definedLayer, c int, v float64) float64 {
			return l.param(0, c)*(v-l.param(2, c))/math.Sqrt(l.param(3, c)+l.Epsilon) + l.param(1, c)
		}),
		layers: []Layer{{Epsilon: 1e-3}, {Epsilon: 0.1}},
		inputs: aMap,
	},
	OpScale: {
		define: each(func(l definedLayer, c int, v float64) float64 { return l.param(0, c)*v + l.param(1, c) }),
		layers: []Layer{{}},
		inputs: aMap,
	},
	OpMaxPool: {
		define: pooled(larger, false),
		layers: windows,
		inputs: aMap,
	},
	OpAveragePool: {
		define: pooled(plus, true),
		layers: windows,
		inputs: aMap,
	},
	OpGlobalAveragePool: {define: wholly(pooled(plus, true)), layers: []Layer{{}}, inputs: aMap},
	OpGlobalMaxPool:     {define: wholly(pooled(larger, false)), layers: []Layer{{}}, inputs: aMap},
	OpReLU: {
		define: each(func(_ definedLayer, _ int, v float64) float64 { return max(v, 0) }), layers: []Layer{{}},
		inputs: aMap,
	},
	OpReLU6: {
		define: each(func(_ definedLayer, _ int, v float64) float64 { return min(max(v, 0), 6) }),
		layers: []Layer{{}}, inputs: aMap,
	},
	OpLeakyReLU: {
		define: each(func(l definedLayer, _ int, v float64) float64 { return max(v, 0) + l.Slope*min(v, 0) }),
		layers: []Layer{{Slope: 0.3}, {Slope: -1}, {}, {Slope: 2}},
		inputs: aMap,
	},
	OpPReLU: {
		define: each(func(l definedLayer, c int, v float64) float64 { return max(v, 0) + l.param(0, c)*min(v, 0) }),
		layers: []Layer{{}}, inputs: aMap,
	},
	OpELU: {
		define: each(func(l definedLayer, _ int, v float64) float64 {
			if v > 0 {
				return v
			}
			return l.Slope * math.Expm1(v)
		}),
		layers: []Layer{{Slope: 1}, {Slope: 0.3}}, inputs: aMap,
	},
	OpSELU: {
		define: each(func(_ definedLayer, _ int, v float64) float64 {
			if v > 0 {
				return 1.0507009873554805 * v
			}
			return 1.0507009873554805 * 1.6732632423543772 * math.Expm1(v)
		}),
		layers: []Layer{{}}, inputs: aMap,
	},
	OpGELU: {
		define: each(func(_ definedLayer, _ int, v float64) float64 { return v * (1 + math.Erf(v/math.Sqrt2)) / 2 }),
		layers: []Layer{{}}, inputs: aMap,
	},
	OpGELUTanh: {
		define: each(func(_ definedLayer, _ int, v float64) float64 {
			return v * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(v+0.044715*v*v*v))) / 2
		}),
		layers: []Layer{{}}, inputs: aMap,
	},
	OpErf: {define: each(func(_ definedLayer, _ int, v float64) float64 { return math.Erf(v) }),
		layers: []Layer{{}}, inputs: aMap},
	OpSoftplus: {define: each(func(_ definedLayer, _ int, v float64) float64 { return math.Log1p(math.Exp(v)) }),
		layers: []Layer{{}}, inputs: aMap},
	OpMish: {
		define: each(func(_ definedLayer, _ int, v float64) float64 { return v * math.Tanh(math.Log1p(math.Exp(v))) }),
		layers: []Layer{{}}, inputs: aMap,
	},
	OpHardSigmoid: {
		define: each(func(_ definedLayer, _ int, v float64) float64 { return min(max(v/6+0.5, 0), 1) }),
		layers: []Layer{{}}, inputs: aMap,
	},
	OpHardSwish: {
		define: each(func(_ definedLayer, _ int, v float64) float64 { return v * min(max(v/6+0.5, 0), 1) }),
		layers: []Layer{{}}, inputs: aMap,
	},
	OpSigmoid: {define: each(func(_ definedLayer, _ int, v float64) float64 { return logistic(v) }),
		layers: []Layer{{}}, inputs: aMap},
	OpSwish: {define: each(func(_ definedLayer, _ int, v float64) float64 { return v * logistic(v) }),
		layers: []Layer{{}}, inputs: aMap},
	OpTanh: {define: each(func(_ definedLayer, _ int, v float64) float64 { return math.Tanh(v) }),
		layers: []Layer{{}}, inputs: aMap},
	OpSoftmax: {
		define: func(l definedLayer, out []float64) {
			for i, v := range l.in[0] {
				sum := 0.0
				for _, u := range l.in[0][i/l.channels()*l.channels():][:l.channels()] {
					sum += math.Exp(u)
				}
				out[i] = math.Exp(v) / sum
			}
		},
		layers: []Layer{{}},
		inputs: aMap,
	},
	OpLayerNorm: {
		define: func(l definedLayer, out []float64) {
			for i := 0; i < len(out); i += l.channels() {
				l.normalizeAll(out, func(j int) bool { return j/l.channels() == i/l.channels() })
			}
		},
		layers: []Layer{{Epsilon: 1e-3}, {Epsilon: 0.5}}, inputs: [][]int{{3, 2, 5}},
	},
	OpGroupNorm: {
		define: func(l definedLayer, out []float64) {
			size := l.channels() / l.Groups
			for g := range l.Groups {
				l.normalizeAll(out, func(j int) bool { return j%l.channels()/size == g })
			}
		},
		layers: []Layer{{Groups: 1, Epsilon: 1e-3}, {Groups: 3, Epsilon: 1e-5}, {Groups: 6, Epsilon: 0.5}},
		inputs: [][]int{{5, 2, 6}},
	},
	OpAdd:      {define: pairs(func(x, y float64) float64 { return x + y }), layers: []Layer{{}}, inputs: three},
	OpMultiply: {define: pairs(func(x, y float64) float64 { return x * y }), layers: []Layer{{}}, inputs: three},
	OpMaximum:  {define: pairs(math.Max), layers: []Layer{{}}, inputs: three},
	OpMinimum:  {define: pairs(math.Min), layers: []Layer{{}}, inputs: three},
	OpSelect: {
		define: func(l definedLayer, out []float64) {
			in := l.shapes[0][len(l.shapes[0])-1]
			for i := range out {
				out[i] = l.in[0][i/len(l.Channels)*in+l.Channels[i%len(l.Channels)]]
			}
		},
		layers: []Layer{{Channels: []int{2, 1, 0}}, {Channels: []int{1}}, {Channels: []int{0, 2, 2, 0}}},
		inputs: aMap,
	},
	OpConcat: {
		define: func(l definedLayer, out []float64) {
			offset := 0
			for i, in := range l.in {
				c := l.shapes[i][len(l.shapes[i])-1]
				for j, v := range in {
					out[j/c*l.channels()+offset+j%c] = v
				}
				offset += c
			}
		},
		layers: []Layer{{}},
		inputs: [][]int{{5, 4, 3}, {5, 4, 1}, {5, 4, 2}},
	},
	OpPad: {
		define: func(l definedLayer, out []float64) {
			from, channels := l.shapes[0], l.channels()
			for i := range out {
				y, x, c := i/channels/l.shape[1]-l.Above, i/channels%l.shape[1]-l.Left, i%channels
				// One step at a time, as NumPy's documentation shows it.
				for _, at := range []struct {
					i *int
					n int
				}{{&y, from[0]}, {&x, from[1]}} {
					for l.Border != "" && *at.i < 0 {
						*at.i = map[Border]int{Reflect: -*at.i, Edge: 0, Wrap: *at.i + at.n}[l.Border]
					}
					for l.Border != "" && *at.i >= at.n {
						*at.i = map[Border]int{Reflect: 2*at.n - 2 - *at.i, Edge: at.n - 1,
							Wrap: *at.i - at.n}[l.Border]
					}
				}
				switch {
				case y >= 0 && y < from[0] && x >= 0 && x < from[1]:
					out[i] = l.in[0][(y*from[1]+x)*channels+c]
				case l.Lowest:
					out[i] = -math.MaxFloat32
				}
			}
		},
		layers: []Layer{
			{Above: 1, Below: 2, Left: 3}, {Right: 1, Lowest: true},
			{Border: Reflect, Above: 4, Below: 3, Left: 1, Right: 2}, {Border: Edge, Above: 6, Below: 1, Right: 5},
			{Border: Wrap, Above: 5, Below: 2, Left: 4, Right: 1}, {Border: Reflect},
		},
		inputs: aMap,
	},
	OpCrop: {
		define: func(l definedLayer, out []float64) {
			from, to := append([]int{1, 1}, l.shapes[0]...), append([]int{1, 1}, l.shape...)
			from, to = from[len(from)-3:], to[len(to)-3:] // [1 1 c] for [c]
			for i := range out {
				y, x, c := i/to[2]/to[1]+l.Above, i/to[2]%to[1]+l.Left, i%to[2]+l.Before
				out[i] = l.in[0][(y*from[1]+x)*from[2]+c]
			}
		},
		layers: []Layer{{Above: 1, Below: 2, Left: 1}, {Right: 3, Before: 1}, {Before: 1, After: 1},
			{After: 2, Below: 1}, {}},
		inputs: aMap,
	},
	OpUpsample: {
		define: resized,
		layers: []Layer{{Rows: 2, Columns: 3}, {Rows: 3, Columns: 1}, {Rows: 2, Columns: 3, Linear: true},
			{Rows: 1, Columns: 4, Linear: true}, {Rows: 5, Columns: 2, Linear: true}},
		inputs: [][]int{{3, 4, 2}},
	},
	OpResize: {
		define: resized,
		layers: []Layer{{Rows: 2, Columns: 7}, {Rows: 5, Columns: 1}, {Rows: 1, Columns: 9, Linear: true},
			{Rows: 2, Columns: 3, Linear: true}, {Rows: 7, Columns: 2, Linear: true},
			{Rows: 3, Columns: 4, Linear: true}},
		inputs: [][]int{{3, 4, 2}},
	},
	OpFlatten: {define: func(l definedLayer, out []float64) { copy(out, l.in[0]) }, layers: []Layer{{}}, inputs: aMap},
	OpReshape: {
		define: func(l definedLayer, out []float64) { copy(out, l.in[0]) },
		layers: []Layer{{Shape: []int{60}}, {Shape: []int{2, 6, 5}}}, inputs: aMap,
	},
	OpDropout: {define: func(l definedLayer, out []float64) { copy(out, l.in[0]) }, layers: []Layer{{Rate: 0.5}},
		inputs: aMap},
}

// eachTap calls f for every output position, with each input position under its
// window: their indices, and that of the tap.
func (l definedLayer) eachTap(f func(out, in, tap int)) {
	in, out := l.shapes[0], l.shape
	// What a setting of 0 stands for, as Layer documents it.
	down, right := l.Stride, l.StrideWidth
	if right == 0 {
		right = down
	}
	below, beside := max(l.Dilation, 1), l.DilationWidth
	if beside == 0 {
		beside = below
	}
	top, left := 0, 0
	if l.Same { // TensorFlow's rule, written as its documentation has it
		effectiveHeight, effectiveWidth := (l.Height-1)*below+1, (l.Width-1)*beside+1
		top = max((out[0]-1)*down+effectiveHeight-in[0], 0) / 2
		left = max((out[1]-1)*right+effectiveWidth-in[1], 0) / 2
	}
	for y := range out[0] {
		for x := range out[1] {
			for i := range l.Height {
				for j := range l.Width {
					v, u := y*down+i*below-top, x*right+j*beside-left
					if v >= 0 && v < in[0] && u >= 0 && u < in[1] {
						f(y*out[1]+x, v*in[1]+u, i*l.Width+j)
					}
				}
			}
		}
	}
}

// naive computes a graph layer by layer in float64, from the definitions.
func naive(g *Graph, w tensor.Map, input []float32) []float64 {
	results := make([][]float64, len(g.nodes))
	results[0] = make([]float64, len(input))
	for i, v := range input {
		results[0][i] = float64(v)
	}
	return naiveFrom(g, w, results)
}

// naiveFrom does what naive does with the results of the first layers given.
func naiveFrom(g *Graph, w tensor.Map, results [][]float64) []float64 {
	for i, n := range g.nodes {
		if results[i] != nil {
			continue
		}
		l := definedLayer{Layer: n.Layer, shape: n.shape, shapes: n.inputs}
		for _, in := range n.Inputs {
			l.in = append(l.in, results[in])
		}
		for _, p := range n.params {
			l.params = append(l.params, w[p.Name].Data)
		}
		results[i] = make([]float64, tensor.Len(n.shape))
		definitions[n.Op].define(l, results[i])
	}
	return results[g.output]
}

// operationGraph applies a layer to inputs of the given shapes, which dense layers make of the
// network's input, so that each has values of its own.
func operationGraph(t *testing.T, l Layer, shapes [][]int) *Graph {
	t.Helper()
	total := 0
	for _, s := range shapes {
		total += tensor.Len(s)
	}
	layers := []Layer{{Op: OpInput, Shape: []int{1, 1, 6}}, {Op: OpFlatten, Inputs: []int{0}}}
	for i, s := range shapes {
		layers = append(layers,
			Layer{Op: OpDense, Name: fmt.Sprint("in", i), Inputs: []int{1}, Units: tensor.Len(s)},
			Layer{Op: OpReshape, Inputs: []int{len(layers)}, Shape: s})
		l.Inputs = append(l.Inputs, len(layers)-1)
	}
	l.Name = "checked"
	layers = append(layers, l)
	g, err := NewGraph(layers)
	if err != nil {
		t.Fatalf("%s: %v", l, err)
	}
	return g
}

// TestOperations holds every operation to its definition, and its gradient to differences of
// the definition.
func TestOperations(t *testing.T) {
	for op := range operations {
		d, ok := definitions[op]
		if op == OpInput {
			continue
		}
		if !ok || len(d.layers) == 0 {
			t.Errorf("%s has no definition", op)
			continue
		}
		for _, l := range d.layers {
			l.Op = op
			inputs := [][][]int{d.inputs}
			switch op {
			case OpConv: // a group has several channels if there are more
				inputs = append(inputs, [][]int{{5, 4, 6}}, [][]int{{4, 5, 12}})
			case OpAdd, OpMultiply, OpMaximum, OpMinimum:
				inputs = append(inputs, [][]int{{5, 4, 3}, {3}}, [][]int{{1, 1, 3}, {5, 4, 3}},
					[][]int{{1, 1, 3}, {3}},
					[][]int{{7}, {7}}, [][]int{{3, 4, 2}, {3, 4, 1}}, [][]int{{1, 1, 1}, {3, 4, 2}},
					[][]int{{3, 1, 2}, {1, 4, 1}},
					[][]int{{1}, {2, 3, 2}}, [][]int{{2, 1, 2}, {2, 3, 2}}, [][]int{{1, 2, 2}, {4, 2, 2}},
					[][]int{{5}, {1}})
			case OpGroupNorm:
				inputs = append(inputs, [][]int{{12}})
			case OpCrop:
				if l.Above+l.Below+l.Left+l.Right == 0 {
					inputs = append(inputs, [][]int{{7}}, [][]int{{1, 2, 5}})
				}
			case OpLayerNorm, OpConcat, OpSelect, OpBatchNorm, OpScale, OpSoftmax, OpLeakyReLU, OpTanh, OpPReLU,
				OpELU, OpMish:
				flat := [][]int{}
				for range d.inputs {
					flat = append(flat, []int{7})
				}
				inputs = append(inputs, flat)
			}
			for _, shapes := range inputs {
				checkOperation(t, operationGraph(t, l, shapes))
			}
		}
	}
}

// TestSameInputs checks that a layer can take one value twice.
func TestSameInputs(t *testing.T) {
	for _, op := range []Op{OpMultiply, OpAdd, OpConcat} {
		b := NewBuilder(2, 3, 4)
		x := b.Conv("in", b.Input(), 3, 1, 1, Same)
		twice, err := b.add(Layer{Op: op}, []Value{x, x})
		if err != nil {
			t.Fatal(err)
		}
		checkOperation(t, b.Build(twice))
	}
}

func checkOperation(t *testing.T, g *Graph) {
	t.Helper()
	l := g.nodes[g.output].Layer
	checkAgainstNaive(t, g)
	w := randomWeights(g, 7)
	input, direction := randomValues(tensor.Len(g.InputShape()), 8), randomValues(tensor.Len(g.OutputShape()), 9)
	if l.Lowest { // differences of numbers as large as these are nothing
		return
	}
	d, err := NewDifferentiator(g, w)
	if err != nil {
		t.Fatal(err)
	}
	output, gradient := make([]float32, len(direction)), make([]float32, len(input))
	if err := d.Gradient(t.Context(), input, direction, output, gradient); err != nil {
		t.Fatal(err)
	}
	for i, want := range naive(g, w, input) {
		if diff := math.Abs(float64(output[i]) - want); !(diff <= 1e-4*(1+math.Abs(want))) {
			t.Fatalf("%s of %v: value %d is %v, want %v", l, g.nodes[g.output].inputs, i, output[i], want)
		}
	}
	for i := range input {
		const h = 1e-4
		at := func(h float64) float64 {
			moved := make([]float64, len(input))
			for j, v := range input {
				moved[j] = float64(v)
			}
			moved[i] += h
			results := make([][]float64, len(g.nodes))
			results[0] = moved
			sum := 0.0
			for j, v := range naiveFrom(g, w, results) {
				sum += v * float64(direction[j])
			}
			return sum
		}
		want := (at(h) - at(-h)) / (2 * h)
		if diff := math.Abs(float64(gradient[i]) - want); !(diff <= 2e-3*(1+math.Abs(want))) {
			t.Errorf("%s of %v: gradient %d is %v, want %v", l, g.nodes[g.output].inputs, i, gradient[i], want)
		}
	}
}
