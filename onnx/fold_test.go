package onnx

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// encodeTensor encodes a constant's tensor.
func encodeTensor(name string, kind int64, dims []int, values ...float64) message {
	var raw []byte
	for _, v := range values {
		switch kind {
		case typeFloat:
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(v)))
		case typeDouble:
			raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(v))
		case typeInt32:
			raw = binary.LittleEndian.AppendUint32(raw, uint32(int32(v)))
		case typeInt64:
			raw = binary.LittleEndian.AppendUint64(raw, uint64(int64(v)))
		default:
			raw = append(raw, byte(int64(v)))
		}
	}
	var m message
	m.appendIntegers(tensorDims, toInt64s(dims))
	m.appendInteger(tensorType, kind)
	m.appendText(tensorName, name)
	m.appendMessage(tensorRaw, raw)
	return m
}

// integers encodes a tensor of int64; float64 does not hold all of these.
func integers(name string, dims []int, values ...int64) message {
	var raw []byte
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
	}
	var m message
	m.appendIntegers(tensorDims, toInt64s(dims))
	m.appendInteger(tensorType, typeInt64)
	m.appendText(tensorName, name)
	m.appendMessage(tensorRaw, raw)
	return m
}

// These types are short forms for inputs: lists of int64 and of float32, named a, b, c by their
// places.
type list []int64
type reals []float64

func encodeInput(i int, v any) message {
	name := string(rune('a' + i))
	switch v := v.(type) {
	case list:
		return integers(name, []int{len(v)}, v...)
	case reals:
		return encodeTensor(name, typeFloat, []int{len(v)}, v...)
	case float64:
		return encodeTensor(name, typeFloat, []int{}, v)
	case int:
		return integers(name, []int{}, int64(v))
	}
	return v.(func(string) message)(name)
}

func typed(kind int64, dims []int, values ...float64) func(string) message {
	return func(name string) message { return encodeTensor(name, kind, dims, values...) }
}

// computeFold reads a model with a node of constants, and returns the node's outputs.
func computeFold(
	opset int64, op string, inputs []any, outputs int, attributes ...message,
) (all []*constant, err error) {
	s := sketch{opset: opset}
	var names []string
	for i, v := range inputs {
		if v == nil {
			names = append(names, "")
			continue
		}
		names = append(names, string(rune('a'+i)))
		s.weights = append(s.weights, encodeInput(i, v))
	}
	n := operation{op, "y", names, "y", attributes}.encode()
	for i := 1; i < outputs; i++ {
		n.appendText(nodeOutputs, fmt.Sprint("y", i))
	}
	s.nodes, s.input, s.output = []message{n}, valueInfo("x", typeFloat, []int{3, 8, 8}), "y"
	m, err := decodeModel(s.bytes(), DefaultLimits())
	if err != nil {
		return nil, err
	}
	r := newReader(m, DefaultLimits(), nil)
	if err := r.readNode(m.nodes[0]); err != nil {
		return nil, err
	}
	for i := range outputs {
		name := "y"
		if i > 0 {
			name = fmt.Sprint("y", i)
		}
		all = append(all, r.values[name].constant)
	}
	return all, nil
}

func formatConstant(k *constant) string {
	if k == nil {
		return "nothing"
	}
	values := []string{}
	for i := range k.len() {
		if k.integers != nil {
			values = append(values, fmt.Sprint(k.integers[i]))
		} else {
			values = append(values, fmt.Sprint(k.number(i)))
		}
	}
	return fmt.Sprintf("%s%v %s", typeName(k.kind), k.dims, strings.Join(values, " "))
}

// square has the numbers from 1 to 6 in two rows.
var square = typed(typeInt64, []int{2, 3}, 1, 2, 3, 4, 5, 6)

// foldings are the results that ONNX's documentation defines.
var foldings = []struct {
	op         string
	inputs     []any
	attributes []message
	want       string
}{
	{"Add", []any{list{1, 2}, 3}, nil, "int64[2] 4 5"},
	{"Add", []any{typed(typeFloat, []int{2, 1}, 1, 2), reals{10, 20, 30}}, nil, "float32[2 3] 11 21 31 12 22 32"},
	{"Add", []any{typed(typeInt64, []int{2, 1}, 1, 2), typed(typeInt64, []int{1, 0})}, nil, "int64[2 0] "},
	{"Add", []any{0.1, 0.2}, nil, "float32[] 0.30000001192092896"},
	{"Add", []any{typed(typeDouble, nil, 0.1), typed(typeDouble, nil, 0.2)}, nil, "float64[] 0.30000000000000004"},
	{"Sub", []any{list{1, 2}, 3}, nil, "int64[2] -2 -1"},
	{"Mul", []any{list{1 << 31, -5}, list{1 << 31, 7}}, nil, "int64[2] 4611686018427387904 -35"},
	{"Div", []any{list{7, -7, 7, -7}, list{2, 2, -2, -2}}, nil, "int64[4] 3 -3 -3 3"},
	{"Div", []any{reals{7, 1}, reals{2, 0}}, nil, "float32[2] 3.5 +Inf"},
	{"Mod", []any{list{7, -7, 7, -7, 6}, list{2, 2, -2, -2, 3}}, nil, "int64[5] 1 1 -1 -1 0"},
	{"Mod", []any{list{7, -7, 7, -7}, list{4, 4, -4, -4}}, []message{intAttribute("fmod", 1)}, "int64[4] 3 -3 3 -3"},
	{"Mod", []any{reals{-7.5}, reals{2}}, []message{intAttribute("fmod", 1)}, "float32[1] -1.5"},
	{"Pow", []any{list{2, -3, -1, 7, 0}, list{10, 3, 5, 0, 2}}, nil, "int64[5] 1024 -27 -1 1 0"},
	{"Pow", []any{list{2, 1}, list{-1, -4}}, nil, "int64[2] 0 1"},
	{"Pow", []any{list{9, 2}, reals{0.5, 3}}, nil, "int64[2] 3 8"},
	{"Pow", []any{reals{9, 2}, 2}, nil, "float32[2] 81 4"},
	{"Min", []any{list{1, 5}, list{4, 2}, 3}, nil, "int64[2] 1 2"},
	{"Max", []any{list{1, 5}, list{4, 2}, 3}, nil, "int64[2] 4 5"},
	{"Sum", []any{reals{1, 5}, reals{4, 2}, 3.0}, nil, "float32[2] 8 10"},
	{"Clip", []any{list{-3, 4, 9}, 0, 5}, nil, "int64[3] 0 4 5"},
	{"Clip", []any{reals{-3, 4, 9}, nil, 5.0}, nil, "float32[3] -3 4 5"},
	{"Neg", []any{list{-3, 4}}, nil, "int64[2] 3 -4"},
	{"Abs", []any{reals{-3, 4}}, nil, "float32[2] 3 4"},
	{"Sqrt", []any{reals{2, -1}}, nil, "float32[2] 1.4142135381698608 NaN"},
	{"Floor", []any{reals{2.5, -2.5}}, nil, "float32[2] 2 -3"},
	{"Ceil", []any{reals{2.5, -2.5}}, nil, "float32[2] 3 -2"},
	{"Round", []any{reals{2.5, 3.5, -0.6}}, nil, "float32[3] 2 4 -1"},
	{"Reciprocal", []any{reals{4}}, nil, "float32[1] 0.25"},
	{"Exp", []any{reals{1}}, nil, "float32[1] 2.7182817459106445"},
	{"Log", []any{reals{1}}, nil, "float32[1] 0"},
	{"Equal", []any{list{1, 2}, 2}, nil, "bool[2] 0 1"},
	{"Less", []any{list{1, 2, 3}, 2}, nil, "bool[3] 1 0 0"},
	{"LessOrEqual", []any{list{1, 2, 3}, 2}, nil, "bool[3] 1 1 0"},
	{"Greater", []any{reals{1, 2, math.NaN()}, 1.5}, nil, "bool[3] 0 1 0"},
	{"GreaterOrEqual", []any{reals{1, 2, math.NaN()}, 2.0}, nil, "bool[3] 0 1 0"},
	{"Not", []any{typed(typeBool, []int{2}, 0, 1)}, nil, "bool[2] 1 0"},
	{"And", []any{typed(typeBool, []int{2}, 0, 1), typed(typeBool, nil, 1)}, nil, "bool[2] 0 1"},
	{"Or", []any{typed(typeBool, []int{2}, 0, 1), typed(typeBool, nil, 0)}, nil, "bool[2] 0 1"},
	{"Where", []any{typed(typeBool, []int{2, 1}, 1, 0), list{1, 2}, 9}, nil, "int64[2 2] 1 2 9 9"},
	{"ReduceSum", []any{square, list{0}}, nil, "int64[1 3] 5 7 9"},
	{"ReduceSum", []any{square, list{-1}}, []message{intAttribute("keepdims", 0)}, "int64[2] 6 15"},
	{"ReduceSum", []any{list{1, 2}}, []message{intAttribute("noop_with_empty_axes", 1)}, "int64[2] 1 2"},
	{"ReduceMean", []any{reals{1, 2, 6}}, []message{intAttribute("keepdims", 0)}, "float32[] 3"},
	{"ReduceProd", []any{list{2, 3, 7}}, []message{intAttribute("keepdims", 0)}, "int64[] 42"},
	{"ReduceMax", []any{list{2, 7, 3}}, nil, "int64[1] 7"},
	{"ReduceMin", []any{typed(typeFloat, []int{2, 1, 2}, 4, 3, 2, 5), list{0, 2}}, nil, "float32[1 1 1] 2"},
	{"Identity", []any{list{3}}, nil, "int64[1] 3"},
	{"Cast", []any{reals{2.9, -2.9}}, []message{intAttribute("to", typeInt64)}, "int64[2] 2 -2"},
	{"Cast", []any{reals{0.5, 0}}, []message{intAttribute("to", typeBool)}, "bool[2] 1 0"},
	{"Cast", []any{list{-5, 0}}, []message{intAttribute("to", typeBool)}, "bool[2] 1 0"},
	{"Cast", []any{reals{0.1}}, []message{intAttribute("to", typeFloat16)}, "float16[1] 0.0999755859375"},
	{"Cast", []any{reals{0.1, 1.01}},
		[]message{intAttribute("to", typeBFloat16)}, "bfloat16[2] 0.10009765625 1.0078125"},
	{"Cast", []any{list{1<<24 + 1}}, []message{intAttribute("to", typeFloat)}, "float32[1] 1.6777216e+07"},
	{"Cast", []any{list{1<<24 + 1}}, []message{intAttribute("to", typeDouble)}, "float64[1] 1.6777217e+07"},
	{"Shape", []any{typed(typeFloat, []int{2, 3}, 1, 2, 3, 4, 5, 6)}, nil, "int64[2] 2 3"},
	{"Shape", []any{typed(typeFloat, []int{2, 3}, 1, 2, 3, 4, 5, 6)}, []message{intAttribute("start", -1)},
		"int64[1] 3"},
	{"Size", []any{typed(typeFloat, []int{2, 3}, 1, 2, 3, 4, 5, 6)}, nil, "int64[] 6"},
	{"ConstantOfShape", []any{list{2, 1}}, nil, "float32[2 1] 0 0"},
	{"ConstantOfShape", []any{list{0}}, nil, "float32[0] "},
	{"ConstantOfShape", []any{list{}}, nil, "float32[] 0"},
	{"Range", []any{0, 7, 3}, nil, "int64[3] 0 3 6"},
	{"Range", []any{7, 0, -3}, nil, "int64[3] 7 4 1"},
	{"Range", []any{7, 0, 3}, nil, "int64[0] "},
	{"Range", []any{0.0, 1.0, 0.25}, nil, "float32[4] 0 0.25 0.5 0.75"},
	{"Gather", []any{list{5, 6, 7}, -1}, nil, "int64[] 7"},
	{"Gather", []any{square, list{2, 0}}, []message{intAttribute("axis", 1)}, "int64[2 2] 3 1 6 4"},
	{"Gather", []any{square, typed(typeInt64, []int{1, 1}, 1)}, nil, "int64[1 1 3] 4 5 6"},
	{"Slice", []any{list{0, 1, 2, 3, 4}, list{1}, list{-1}}, nil, "int64[3] 1 2 3"},
	{"Slice", []any{list{0, 1, 2, 3, 4}, list{-1}, list{-99}, list{0}, list{-2}}, nil, "int64[3] 4 2 0"},
	{"Slice", []any{list{0, 1, 2, 3, 4}, list{0}, list{math.MaxInt64}, list{-1}, list{math.MaxInt64}}, nil,
		"int64[1] 0"},
	{"Slice", []any{list{0, 1, 2, 3, 4}, list{4}, list{2}}, nil, "int64[0] "},
	{"Slice", []any{square, list{0, 1}, list{1, 3}, list{-2, 1}}, nil, "int64[1 2] 2 3"},
	{"Concat", []any{list{1}, list{2, 3}}, []message{intAttribute("axis", 0)}, "int64[3] 1 2 3"},
	{"Concat", []any{typed(typeInt64, []int{2, 1}, 1, 2), typed(typeInt64, []int{2, 2}, 3, 4, 5, 6)},
		[]message{intAttribute("axis", -1)}, "int64[2 3] 1 3 4 2 5 6"},
	{"Transpose", []any{square}, nil, "int64[3 2] 1 4 2 5 3 6"},
	{"Reshape", []any{list{1, 2, 3, 4}, list{-1, 2}}, nil, "int64[2 2] 1 2 3 4"},
	{"Reshape", []any{typed(typeInt64, []int{2, 1}, 1, 2), list{0}}, nil, "int64[2] 1 2"},
	{"Reshape", []any{list{}, list{-1, 2}}, nil, "int64[0 2] "},
	{"Reshape", []any{list{}, list{3, 0}}, []message{intAttribute("allowzero", 1)}, "int64[3 0] "},
	{"Flatten", []any{typed(typeInt64, []int{2, 1, 2}, 1, 2, 3, 4)},
		[]message{intAttribute("axis", 2)}, "int64[2 2] 1 2 3 4"},
	{"Flatten", []any{typed(typeInt64, []int{2, 1}, 1, 2)}, []message{intAttribute("axis", 0)}, "int64[1 2] 1 2"},
	{"Squeeze", []any{typed(typeInt64, []int{1, 2, 1}, 1, 2)}, nil, "int64[2] 1 2"},
	{"Squeeze", []any{typed(typeInt64, []int{1, 2, 1}, 1, 2), list{-1}}, nil, "int64[1 2] 1 2"},
	{"Unsqueeze", []any{list{1, 2}, list{0, -1}}, nil, "int64[1 2 1] 1 2"},
	{"Expand", []any{typed(typeInt64, []int{2, 1}, 1, 2), list{1, 3}}, nil, "int64[2 3] 1 1 1 2 2 2"},
	{"Expand", []any{list{1, 2}, list{2, 1}}, nil, "int64[2 2] 1 2 1 2"},
	{"Tile", []any{typed(typeInt64, []int{2, 2}, 1, 2, 3, 4), list{2, 2}}, nil,
		"int64[4 4] 1 2 1 2 3 4 3 4 1 2 1 2 3 4 3 4"},
	{"Tile", []any{list{1, 2}, list{0}}, nil, "int64[0] "},
}

// TestFold checks that constants are folded as ONNX defines.
func TestFold(t *testing.T) {
	met := map[string]bool{"Split": true}
	for _, f := range foldings {
		met[f.op] = true
		all, err := computeFold(18, f.op, f.inputs, 1, f.attributes...)
		if err != nil || formatConstant(all[0]) != f.want {
			t.Errorf("%s: %v, error %v; want %s", f.op, all, err, f.want)
			if err == nil {
				t.Log(formatConstant(all[0]))
			}
		}
	}
	for op := range folds {
		if !met[op] {
			t.Errorf("%s has no row", op)
		}
	}
}

// TestFoldOld checks older versions of operators, which have axes and bounds as attributes.
func TestFoldOld(t *testing.T) {
	for _, f := range []struct {
		op         string
		input      any
		attributes []message
		want       string
	}{
		{"Slice", square,
			[]message{intsAttribute("starts", 1), intsAttribute("ends", 9), intsAttribute("axes", 1)},
			"int64[2 2] 2 3 5 6"},
		{"Slice", square, []message{intsAttribute("starts", 1), intsAttribute("ends", 9)}, "int64[1 3] 4 5 6"},
		{"Squeeze", typed(typeInt64, []int{1, 1}, 7), []message{intsAttribute("axes", 0)}, "int64[1] 7"},
		{"Unsqueeze", list{7}, []message{intsAttribute("axes", 1)}, "int64[1 1] 7"},
		{"ReduceMax", square, []message{intsAttribute("axes", 0), intAttribute("keepdims", 0)}, "int64[3] 4 5 6"},
		{"Clip", reals{-1, 7}, []message{floatAttribute("max", 6)}, "float32[2] -1 6"},
	} {
		all, err := computeFold(9, f.op, []any{f.input}, 1, f.attributes...)
		if err != nil || formatConstant(all[0]) != f.want {
			t.Errorf("%s: %v; want %s", f.op, err, f.want)
		}
	}
}

// TestFoldSplit checks that all outputs are kept.
func TestFoldSplit(t *testing.T) {
	for _, f := range []struct {
		inputs     []any
		attributes []message
		outputs    int
		want       []string
	}{
		{[]any{list{1, 2, 3, 4}}, nil, 2, []string{"int64[2] 1 2", "int64[2] 3 4"}},
		{[]any{list{1, 2, 3}, list{1, 2}}, nil, 2, []string{"int64[1] 1", "int64[2] 2 3"}},
		{[]any{list{1, 2, 3}}, []message{intAttribute("num_outputs", 2)}, 2, []string{"int64[2] 1 2", "int64[1] 3"}},
		{[]any{typed(typeInt64, []int{2, 2}, 1, 2, 3, 4)},
			[]message{intAttribute("axis", 1)}, 2, []string{"int64[2 1] 1 3", "int64[2 1] 2 4"}},
	} {
		all, err := computeFold(18, "Split", f.inputs, f.outputs, f.attributes...)
		if err != nil {
			t.Errorf("%v: %v", f.want, err)
			continue
		}
		for i, k := range all {
			if formatConstant(k) != f.want[i] {
				t.Errorf("output %d is %s, want %s", i, formatConstant(k), f.want[i])
			}
		}
	}
}

// TestFoldRefuses checks that results that are undefined or huge give an error of one of the
// package's types.
//
//nolint:funlen // a table of cases
func TestFoldRefuses(t *testing.T) {
	const tera = 1_000_000_000_000
	for _, f := range []struct {
		op         string
		inputs     []any
		attributes []message
		want       string
	}{
		{"Add", []any{list{math.MaxInt64}, 1}, nil, "no result"},
		{"Add", []any{typed(typeInt32, nil, math.MaxInt32), typed(typeInt32, nil, 1)}, nil, "no int32"},
		{"Add", []any{list{1}, 1.0}, nil, "a int64 and a float32"},
		{"Add", []any{list{1, 2}, list{1, 2, 3}}, nil, "constants of [2] and [3]"},
		{"Add", []any{typed(typeBool, nil, 1), typed(typeBool, nil, 1)}, nil, "with a bool"},
		{"Add", []any{list{1}, 1, 1}, nil, "an input 2"},
		{"Add", []any{list{1}}, nil, "input 1 is missing"},
		{"Add", []any{list{1}, 1}, []message{intAttribute("axis", 1)}, `an attribute "axis"`},
		{"Sub", []any{list{math.MinInt64 + 1}, 2}, nil, "no result"},
		{"Mul", []any{list{1 << 32}, list{1 << 31}}, nil, "no result"},
		{"Mul", []any{list{-1 << 32}, list{1 << 31}}, nil, "no result"},
		{"Div", []any{list{1}, 0}, nil, "no result for 1 and 0"},
		{"Mod", []any{list{1}, 0}, nil, "no result"},
		{"Mod", []any{reals{1}, 2.0}, nil, "with a float32"},
		{"Pow", []any{list{10}, 19}, nil, "no result"},
		{"Pow", []any{list{0}, -1}, nil, "no result"},
		{"Pow", []any{list{3}, 1 << 40}, nil, "no result"},
		{"Sqrt", []any{list{4}}, nil, "with a int64"},
		{"Not", []any{list{4}}, nil, "no bool"},
		{"ReduceMean", []any{list{4}}, nil, "with a int64"},
		{"ReduceSum", []any{list{math.MaxInt64, 1}}, nil, "no result"},
		{"ReduceSum", []any{list{1}, list{1}}, nil, "axis 1 of 1"},
		{"ReduceMax", []any{list{}}, nil, "no values"},
		{"Cast", []any{reals{1e30}}, []message{intAttribute("to", typeInt64)}, "e+30 as a whole number"},
		{"Cast", []any{reals{math.NaN()}}, []message{intAttribute("to", typeInt32)}, "NaN as a whole number"},
		{"Cast", []any{list{300}}, []message{intAttribute("to", typeUint8)}, "no uint8"},
		{"Cast", []any{list{300}}, []message{intAttribute("to", 8)}, "a constant as type 8"},
		{"ConstantOfShape", []any{list{tera}}, nil, "a constant of [1000000000000]"},
		{"ConstantOfShape", []any{list{tera, 0}}, nil, "a constant of [1000000000000 0]"},
		{"ConstantOfShape", []any{list{1 << 31, 1 << 31, 1 << 31}}, nil, "a constant of"},
		{"ConstantOfShape", []any{list{-1}}, nil, "a shape [-1]"},
		{"ConstantOfShape", []any{reals{1}}, nil, "no list of whole numbers"},
		{"ConstantOfShape", []any{list(slices.Repeat([]int64{1}, 9))}, nil, "9 axes"},
		{"Range", []any{0, tera, 1}, nil, "a range of 1e+12 values"},
		{"Range", []any{0, 1 << 22, 1}, nil, "a constant of [4194304]"},
		{"Range", []any{0, 3, 0}, nil, "a range from 0 to 3 by 0"},
		{"Range", []any{0.0, 1.0, 0.0}, nil, "a range of +Inf values"},
		{"Range", []any{0.0, math.NaN(), 1.0}, nil, "a range of NaN values"},
		{"Range", []any{math.MinInt64 + 1, math.MaxInt64, 1}, nil, "a range from"},
		{"Range", []any{0, 3, 1.0}, nil, "input 2 is float32"},
		{"Range", []any{0, list{1, 2}, 1}, nil, "input 1 is int64 [2]"},
		{"Gather", []any{list{5, 6}, 2}, nil, "axis 2 of 2"},
		{"Gather", []any{list{5, 6}, -3}, nil, "axis -1 of 2"},
		{"Gather", []any{list{5, 6}, 0.0}, nil, "no whole numbers"},
		{"Gather", []any{list{5, 6}, 0}, []message{intAttribute("axis", 1)}, "axis 1 of 1"},
		{"Gather", []any{5, 0}, nil, "axis 0 of 0"},
		{"Slice", []any{list{1}, list{0}, list{1}, list{0}, list{0}}, nil, "steps [0]"},
		{"Slice", []any{list{1}, list{0, 0}, list{1}}, nil, "starts [0 0]"},
		{"Slice", []any{list{1}, list{0, 0}, list{1, 1}, list{0, -1}}, nil, "axis 0 twice"},
		{"Concat", []any{list{1}, reals{1}}, []message{intAttribute("axis", 0)}, "input 1 is float32"},
		{"Concat", []any{list{1}, list{1}}, nil, "names no axis"},
		{"Concat", []any{typed(typeInt64, []int{1, 2}, 1, 2), typed(typeInt64, []int{1, 1}, 1)},
			[]message{intAttribute("axis", 0)}, "input 1 is [1 1]"},
		{"Reshape", []any{list{1, 2, 3}, list{-1, 2}}, nil, "a shape [-1 2] of [3]"},
		{"Reshape", []any{list{1, 2, 3}, list{-1, -1}}, nil, "a shape [-1 -1]"},
		{"Reshape", []any{list{1, 2, 3}, list{-3}}, nil, "a shape [-3]"},
		{"Reshape", []any{list{1, 2, 3}, list{1 << 32, 1 << 32, 3}}, nil, "a shape [4294967296"},
		{"Flatten", []any{list{1}}, []message{intAttribute("axis", 2)}, "axis 2 of 1"},
		{"Squeeze", []any{list{1, 2}, list{0}}, nil, "drops axis 0, of 2"},
		{"Unsqueeze", []any{list{1, 2}, list{5}}, nil, "axis 5 of 2"},
		{"Unsqueeze", []any{list{1}, list{0, 1, 2, 3, 4, 5, 6, 7}}, nil, "9 axes"},
		{"Expand", []any{list{1}, list{tera}}, nil, "a constant of [1000000000000]"},
		{"Expand", []any{list{1, 2}, list{3}}, nil, "constants of [2] and [3]"},
		{"Tile", []any{list{1, 2}, list{tera}}, nil, "a constant of [1000000000000 2]"},
		{"Tile", []any{list{1, 2}, list{1, 1}}, nil, "repeats [1 1]"},
		{"Split", []any{list{1, 2, 3}, list{1, 1}}, nil, "parts [1 1]"},
		{"Split", []any{list{1, 2, 3}, list{4, -1}}, nil, "parts [4 -1]"},
		{"Split", []any{list{1, 2, 3}}, nil, "2 outputs of [3]"},
		{"Split", []any{list{1, 2, 3}}, []message{intAttribute("num_outputs", 3)}, "num_outputs 3 for 2 outputs"},
	} {
		_, err := computeFold(18, f.op, f.inputs, 2, f.attributes...)
		checkError(t, f.op, err)
		if err == nil || !strings.Contains(err.Error(), f.want) || !strings.Contains(err.Error(), `"y"`) {
			t.Errorf("%s: error %v; it lacks %q or the node", f.op, err, f.want)
		}
	}
}

// TestFoldTogether checks that the nodes of a file share one budget, which grows with its weights.
func TestFoldTogether(t *testing.T) {
	s := soundSketch()
	s.weights = []message{encodeTensor("n", typeInt64, []int{1}, 1<<16)}
	s.nodes = append(s.nodes, sketchNode("Expand", "x,shape", "y"))
	var names []string
	var nodes []message
	for i := range 1000 {
		names = append(names, fmt.Sprint("k", i))
		nodes = append(nodes, sketchNode("ConstantOfShape", "n", names[i]))
	}
	nodes = append(nodes, sketchNode("Concat", strings.Join(names, ","), "all", intAttribute("axis", 0)),
		sketchNode("Add", "x,all", "y"))
	prepend(nodes...)(&s)
	_, _, err := Read(s.bytes(), DefaultLimits())
	checkError(t, "many", err)
	if err == nil || !strings.Contains(err.Error(), `node "k`) {
		t.Errorf("error %v", err)
	}
}

// TestBatchFolded checks that the batch's size can be moved like a constant, but not be computed
// with.
//
//nolint:funlen // a table of cases
func TestBatchFolded(t *testing.T) {
	sizes := sketchNode("Shape", "x", "sizes")
	for _, c := range []struct {
		name  string
		nodes []message
		want  string // of the error, "" for none
	}{
		{"gathered",
			[]message{sizes, sketchNode("Gather", "sizes,zero", "n"),
				sketchNode("Concat", "n,rest", "to", intAttribute("axis", 0)),
				sketchNode("Reshape", "x,to", "y4"), sketchNode("Reshape", "y4,sizes", "y")}, ""},
		{"times one", []message{sizes, sketchNode("Mul", "sizes,ones", "to"), sketchNode("Reshape", "x,to", "y")}, ""},
		{"of 32 bits", []message{sizes, sketchNode("Cast", "sizes", "short", intAttribute("to", typeInt32)),
			sketchNode("Cast", "short", "to", intAttribute("to", typeInt64)), sketchNode("Reshape", "x,to", "y")}, ""},
		{"expanded", []message{sizes, sketchNode("Expand", "x,sizes", "y")}, ""},
		{"where not −1",
			[]message{sizes, sketchNode("Equal", "sizes,minus", "open"), sketchNode("Where", "open,ones,sizes", "to"),
				sketchNode("Expand", "x,to", "y")}, ""},
		{"at least none",
			[]message{sizes, sketchNode("Max", "sizes,zero", "to"), sketchNode("Reshape", "x,to", "y")}, ""},
		{"doubled",
			[]message{sizes, sketchNode("Add", "sizes,sizes", "to"), sketchNode("Reshape", "x,to", "y")},
			"the size of the batch as a number"},
		{"negated",
			[]message{sizes, sketchNode("Neg", "sizes", "to"), sketchNode("Reshape", "x,to", "y")},
			"the size of the batch as a number"},
		{"times three",
			[]message{sizes, sketchNode("Mul", "sizes,rest", "to"), sketchNode("Reshape", "x,to", "y")},
			"the size of the batch as a number"},
		{"divided into",
			[]message{sizes, sketchNode("Div", "ones,sizes", "to"), sketchNode("Reshape", "x,to", "y")},
			"the size of the batch as a number"},
		{"multiplied",
			[]message{sizes, sketchNode("ReduceProd", "sizes", "to"), sketchNode("Reshape", "x,to", "y")},
			"the size of the batch as a number"},
		{"compared",
			[]message{sizes, sketchNode("Equal", "sizes,ones", "open"), sketchNode("Where", "open,ones,sizes", "to"),
				sketchNode("Reshape", "x,to", "y")}, "the size of the batch as a number"},
		{"as many channels",
			[]message{sizes, sketchNode("Slice", "sizes,zero,ones1", "n"),
				sketchNode("Concat", "ones1,n,eights", "to", intAttribute("axis", 0)),
				sketchNode("Reshape", "x,to", "y")}, "a shape [batch 8 8]"},
		{"expanded more",
			[]message{sizes, sketchNode("Concat", "ones1,sizes", "to", intAttribute("axis", 0)),
				sketchNode("Expand", "x,to", "y")},
			"a shape [1 batch 3 8 8]"},
		{"zeros for each",
			[]message{sizes, sketchNode("ConstantOfShape", "sizes", "k"), sketchNode("Add", "x,k", "y")},
			"the size of the batch"},
	} {
		s := soundSketch()
		prepend(c.nodes...)(&s)
		s.weights = []message{encodeTensor("zero", typeInt64, []int{1}, 0),
			encodeTensor("rest", typeInt64, []int{3}, 3, 1, 64),
			encodeTensor("ones", typeInt64, []int{4}, 1, 1, 1,
				1),
			encodeTensor("minus", typeInt64, []int{4}, -1, -1, -1, -1), encodeTensor("ones1", typeInt64, []int{1}, 1),
			encodeTensor("eights", typeInt64, []int{2}, 8,
				8)}
		if c.name == "times three" {
			s.weights[1] = encodeTensor("rest", typeInt64, []int{1}, 3)
		}
		_, _, err := Read(s.bytes(), DefaultLimits())
		checkError(t, c.name, err)
		if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v; want %q", c.name, err, c.want)
		}
	}
}
