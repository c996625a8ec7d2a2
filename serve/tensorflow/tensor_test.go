package tensorflow

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "garb/serve/tensorflowpb"
)

type message = pb.TensorProto

// le encodes values little-endian.
func le(t testing.TB, values any) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := binary.Write(&b, binary.LittleEndian, values); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestDecodeFloats(t *testing.T) {
	for _, c := range []struct {
		name   string
		tensor *message
		want   []float32
	}{
		{"float content", &message{Dtype: pb.DataType_DT_FLOAT, TensorContent: le(t, []float32{1, -2.5})},
			[]float32{1, -2.5}},
		{"float", &message{Dtype: pb.DataType_DT_FLOAT, FloatVal: []float32{1, -2.5}}, []float32{1, -2.5}},
		{"last float", &message{Dtype: pb.DataType_DT_FLOAT, FloatVal: []float32{1, 3}}, []float32{1, 3, 3, 3}},
		{"one float", &message{Dtype: pb.DataType_DT_FLOAT, FloatVal: []float32{7}}, []float32{7, 7, 7}},
		{"no float", &message{Dtype: pb.DataType_DT_FLOAT}, []float32{}},
		{"double content", &message{Dtype: pb.DataType_DT_DOUBLE, TensorContent: le(t, []float64{.5, 1e300})},
			[]float32{.5, float32(math.Inf(1))}},
		{"double", &message{Dtype: pb.DataType_DT_DOUBLE, DoubleVal: []float64{.5, 2}}, []float32{.5, 2}},
		{"half content", &message{Dtype: pb.DataType_DT_HALF, TensorContent: []byte{0, 0x3c, 1, 0, 0, 0xfc}},
			[]float32{1, 0x1p-24, float32(math.Inf(-1))}},
		{"half", &message{Dtype: pb.DataType_DT_HALF, HalfVal: []int32{0x3c00, 0xc100}}, []float32{1, -2.5}},
		{"bfloat16", &message{Dtype: pb.DataType_DT_BFLOAT16, HalfVal: []int32{0x3f80, 0xc020}},
			[]float32{1, -2.5}},
		{"bfloat16 content", &message{Dtype: pb.DataType_DT_BFLOAT16, TensorContent: []byte{0x80, 0x3f}},
			[]float32{1}},
		{"int64", &message{Dtype: pb.DataType_DT_INT64, Int64Val: []int64{-1, 255}}, []float32{-1, 255}},
		{"int64 content", &message{Dtype: pb.DataType_DT_INT64, TensorContent: le(t, []int64{-1})}, []float32{-1}},
		{"int32", &message{Dtype: pb.DataType_DT_INT32, IntVal: []int32{-1, 255}}, []float32{-1, 255}},
		{"int32 content", &message{Dtype: pb.DataType_DT_INT32, TensorContent: le(t, []int32{-1})}, []float32{-1}},
		{"int16 content", &message{Dtype: pb.DataType_DT_INT16, TensorContent: le(t, []int16{-9})}, []float32{-9}},
		{"uint16 content", &message{Dtype: pb.DataType_DT_UINT16, TensorContent: le(t, []uint16{65535})},
			[]float32{65535}},
		{"int8 content", &message{Dtype: pb.DataType_DT_INT8, TensorContent: []byte{0xff}}, []float32{-1}},
		{"int8", &message{Dtype: pb.DataType_DT_INT8, IntVal: []int32{-128}}, []float32{-128}},
		{"uint8 content", &message{Dtype: pb.DataType_DT_UINT8, TensorContent: []byte{0, 255}}, []float32{0, 255}},
		{"uint8", &message{Dtype: pb.DataType_DT_UINT8, IntVal: []int32{0, 255}}, []float32{0, 255}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.tensor.TensorShape = EncodeShape(1, len(c.want))
			checkFloats(t, c.tensor, []int{1, len(c.want)}, c.want)
		})
	}
}

// checkFloats checks the shape and the elements of a tensor.
func checkFloats(t *testing.T, p *message, wantShape []int, want []float32) {
	t.Helper()
	shape, got, err := DecodeFloats(p, max(len(want), 1))
	if err != nil || !slices.Equal(shape, wantShape) || !slices.Equal(got, want) {
		t.Errorf("%v of shape %v, %v; want %v of shape %v of %v", got, shape, err, want, wantShape, p.Dtype)
	}
}

func TestDecodeScalar(t *testing.T) {
	shape, got, err := DecodeFloats(&message{Dtype: pb.DataType_DT_FLOAT, FloatVal: []float32{3}}, 1)
	if err != nil || len(shape) != 0 || !slices.Equal(got, []float32{3}) {
		t.Errorf("%v of shape %v, %v", got, shape, err)
	}
}

func TestDecodeFloatsRefuses(t *testing.T) {
	float, four := pb.DataType_DT_FLOAT, EncodeShape(2, 2)
	for name, c := range map[string]struct {
		tensor *message
		reason string
	}{
		"nil":     {nil, "DT_INVALID"},
		"no type": {&message{TensorShape: four}, "DT_INVALID"},
		"strings": {&message{Dtype: pb.DataType_DT_STRING, TensorShape: four}, "DT_STRING"},
		"unknown type": {&message{Dtype: 99, TensorShape: four, FloatVal: []float32{1}},
			"its type is 99"},
		"unknown rank": {&message{Dtype: float, TensorShape: &pb.TensorShapeProto{UnknownRank: true}},
			"shape is unknown"},
		"open size": {&message{Dtype: float, TensorShape: EncodeShape(-1, 4)}, "axis 0 has the size -1"},
		"nil axis": {&message{Dtype: float, FloatVal: []float32{1},
			TensorShape: &pb.TensorShapeProto{Dim: []*pb.TensorShapeProto_Dim{nil}}}, "its shape has 0"},
		"many axes": {&message{Dtype: float, TensorShape: EncodeShape(make([]int, 255)...)}, "255 axes"},
		"too large": {&message{Dtype: float, FloatVal: []float32{1}, TensorShape: EncodeShape(3, 3)},
			"more than 8 elements"},
		"overflow": {&message{Dtype: float, FloatVal: []float32{1},
			TensorShape: EncodeShape(1<<32, 1<<32, 1<<32)}, "more than 8 elements"},
		"zero and overflow": {&message{Dtype: float, TensorShape: EncodeShape(0, math.MaxInt)},
			"more than 8 elements"},
		"short content": {&message{Dtype: float, TensorShape: four, TensorContent: make([]byte, 15)}, "15 bytes"},
		"one of content": {&message{Dtype: float, TensorShape: four, TensorContent: make([]byte, 4)},
			"4 bytes"},
		"long content": {&message{Dtype: float, TensorShape: four, TensorContent: make([]byte, 20)}, "20 bytes"},
		"content of nothing": {
			&message{Dtype: float, TensorShape: EncodeShape(0), TensorContent: make([]byte, 4)}, "4 bytes"},
		"content and floats": {&message{Dtype: float, TensorShape: four, TensorContent: make([]byte, 16),
			FloatVal: []float32{1}}, "also in another field"},
		"empty":    {&message{Dtype: float, TensorShape: four}, "no elements"},
		"too many": {&message{Dtype: float, TensorShape: four, FloatVal: make([]float32, 5)}, "5 elements"},
		"wrong field": {&message{Dtype: float, TensorShape: four, DoubleVal: make([]float64, 4)},
			"not that of DT_FLOAT"},
		"two fields": {&message{Dtype: float, TensorShape: four, FloatVal: make([]float32, 4),
			HalfVal: []int32{1}}, "not that of DT_FLOAT"},
		"uint8 256":  {&message{Dtype: pb.DataType_DT_UINT8, TensorShape: four, IntVal: []int32{256}}, "DT_UINT8"},
		"uint8 -1":   {&message{Dtype: pb.DataType_DT_UINT8, TensorShape: four, IntVal: []int32{-1}}, "DT_UINT8"},
		"half 65536": {&message{Dtype: pb.DataType_DT_HALF, TensorShape: four, HalfVal: []int32{65536}}, "DT_HALF"},
		"half -1":    {&message{Dtype: pb.DataType_DT_HALF, TensorShape: four, HalfVal: []int32{-1}}, "DT_HALF"},
		"bool":       {&message{Dtype: pb.DataType_DT_BOOL, TensorShape: four, IntVal: []int32{1}}, "DT_BOOL"},
	} {
		_, values, err := DecodeFloats(c.tensor, 8)
		var tensor *TensorError
		if !errors.As(err, &tensor) || !strings.Contains(err.Error(), c.reason) || values != nil {
			t.Errorf("%s: %v, %v", name, values, err)
		}
	}
	if _, _, err := DecodeFloats(EncodeFloats([]float32{1}), 0); err == nil {
		t.Error("a single element is within a limit of none")
	}
}

func TestDecodeStrings(t *testing.T) {
	tensor := func(n int, values ...string) *message {
		p := EncodeStrings(values, len(values))
		p.TensorShape = EncodeShape(n)
		return p
	}
	for _, c := range []struct {
		tensor *message
		want   []string
	}{
		{tensor(2, "a", "b"), []string{"a", "b"}},
		{tensor(3, "a"), []string{"a", "a", "a"}},
		{tensor(1, ""), []string{""}},
		{tensor(0), []string{}},
	} {
		shape, got, err := DecodeStrings(c.tensor, 3)
		if err != nil || !slices.Equal(shape, []int{len(c.want)}) || len(got) != len(c.want) {
			t.Fatalf("%q of shape %v, %v", got, shape, err)
		}
		for i, want := range c.want {
			if string(got[i]) != want {
				t.Errorf("%q, want %q", got, c.want)
			}
		}
	}
	content := tensor(1)
	content.TensorContent = []byte{1, 'a'}
	wrong := tensor(1, "a")
	wrong.FloatVal = []float32{1}
	for name, p := range map[string]*message{
		"nil": nil, "too many": tensor(1, "a", "b"), "none": tensor(1), "too large": tensor(4, "a"),
		"negative": tensor(-1, "a"), "content": content, "other field": wrong,
		"floats": EncodeFloats([]float32{1}, 1),
	} {
		_, values, err := DecodeStrings(p, 3)
		var tensor *TensorError
		if !errors.As(err, &tensor) || values != nil {
			t.Errorf("%s: %q, %v", name, values, err)
		}
	}
}

func TestEncode(t *testing.T) {
	values := []float32{1, 2, 3, 4, 5, 6}
	p := EncodeFloats(values, 2, 3)
	// Clients of TensorFlow Serving read float_val.
	if !slices.Equal(p.FloatVal, values) || p.TensorContent != nil {
		t.Errorf("%v", p)
	}
	shape, got, err := DecodeFloats(p, 6)
	if err != nil || !slices.Equal(shape, []int{2, 3}) || !slices.Equal(got, values) {
		t.Errorf("%v of shape %v, %v", got, shape, err)
	}
	for name, encode := range map[string]func(){
		"floats":  func() { EncodeFloats(values, 5) },
		"strings": func() { EncodeStrings([]string{"a"}, 2) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s of another shape", name)
				}
			}()
			encode()
		}()
	}
}

// FuzzDecode checks that tensors of any bytes are refused or decoded within the limit.
func FuzzDecode(f *testing.F) {
	for _, p := range []*message{
		EncodeFloats([]float32{1, 2}, 1, 2), EncodeStrings([]string{"a", "b"}, 2), {},
		{Dtype: pb.DataType_DT_UINT8, TensorShape: EncodeShape(2, 2), IntVal: []int32{7}},
		{Dtype: pb.DataType_DT_HALF, TensorShape: EncodeShape(2), TensorContent: []byte{0, 60, 0, 188}},
		{Dtype: pb.DataType_DT_FLOAT, TensorShape: EncodeShape(1<<40, 0)},
	} {
		data, err := proto.Marshal(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, 100)
	}
	f.Fuzz(func(t *testing.T, data []byte, limit int) {
		var p message
		if proto.Unmarshal(data, &p) != nil {
			return
		}
		limit %= 1 << 16
		shape, values, err := DecodeFloats(&p, limit)
		if err == nil && (len(values) != countElements(shape) || len(values) > max(limit, 0)) {
			t.Errorf("%d values of shape %v; the limit is %d", len(values), shape, limit)
		}
		shape, texts, err := DecodeStrings(&p, limit)
		if err == nil && (len(texts) != countElements(shape) || len(texts) > max(limit, 0)) {
			t.Errorf("%d strings of shape %v; the limit is %d", len(texts), shape, limit)
		}
	})
}

// TestMakeTensorProto checks tensors that TensorFlow's make_tensor_proto makes, and that
// make_ndarray reads garb's.
func TestMakeTensorProto(t *testing.T) {
	python := os.Getenv("GARB_KERAS_PYTHON")
	if python == "" {
		t.Skip("set GARB_KERAS_PYTHON to a Python with tensorflow to run this test (see .ci/run)")
	}
	folder := t.TempDir()
	encoded, err := proto.Marshal(EncodeFloats([]float32{1, 2, 3, 4}, 2, 2))
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "garb"), encoded, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), python, "testdata/tensors.py", folder).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, kind := range []string{"float32", "float64", "float16", "bfloat16", "uint8", "int8", "int16", "uint16",
		"int32", "int64"} {
		for name, want := range map[string][]float32{
			kind: {0, 1, 2, 3, 4, 5}, kind + "-list": {0, 1, 2, 3, 4, 5}, kind + "-fill": {7, 7, 7, 7, 7, 7},
		} {
			checkFloats(t, readTensor(t, folder, name), []int{2, 3}, want)
		}
	}
	shape, texts, err := DecodeStrings(readTensor(t, folder, "string"), 2)
	if err != nil || !slices.Equal(shape, []int{2}) || string(texts[0]) != "a\xff" || string(texts[1]) != "b" {
		t.Errorf("%q of shape %v, %v", texts, shape, err)
	}
}

// readTensor reads a tensor that the script wrote.
func readTensor(t *testing.T, folder, name string) *message {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	p := &message{}
	if err := proto.Unmarshal(data, p); err != nil {
		t.Fatal(err)
	}
	if len(p.ProtoReflect().GetUnknown()) > 0 {
		t.Errorf("%s has unknown fields", name)
	}
	return p
}
