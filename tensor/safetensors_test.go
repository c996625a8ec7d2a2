package tensor

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// assemble puts a header and the tensors' bytes together, whatever they say.
func assemble(header string, body ...byte) []byte {
	data := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(data, header...), body...)
}

func encode(t testing.TB, metadata map[string]string, tensors Map, dtype DType) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, metadata, tensors, dtype); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func small() Map {
	return Map{
		"stem/kernel": FromSlice([]float32{1, -2, 0.5, 65504}, 2, 2),
		"scalar":      FromSlice([]float32{3}),
		"empty":       New(0, 4),
	}
}

func TestDecodeByHand(t *testing.T) {
	// 1.5 as binary16 is 0x3e00, as binary32 0x3fc00000 (IEEE 754).
	f, err := Decode(assemble(`{"b":{"data_offsets":[4,6],"shape":[1],"dtype":"F16"}, `+
		`"__metadata__":{"made by":"hand"}, "a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}   `,
		0, 0, 0xc0, 0x3f, 0, 0x3e))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "b"}, f.Names()); diff != "" {
		t.Error(diff)
	}
	if f.Metadata["made by"] != "hand" || !f.Has("a") || f.Has("c") || f.DType("b") != Float16 {
		t.Errorf("metadata %v, dtype %v", f.Metadata, f.DType("b"))
	}
	for name, want := range map[string]*Tensor{"a": FromSlice([]float32{1.5}), "b": FromSlice([]float32{1.5}, 1)} {
		got, err := f.Tensor(name)
		if err != nil || len(got.Shape) != len(want.Shape) || got.Data[0] != want.Data[0] {
			t.Errorf("tensor %s is %v, %v; want %v", name, got, err, want)
		}
	}
	if _, err := f.Tensor("c"); !errors.Is(err, ErrMissing) {
		t.Errorf("a missing tensor gives %v", err)
	}
	if _, err := small().Tensor("c"); !errors.Is(err, ErrMissing) {
		t.Errorf("a missing tensor of a map gives %v", err)
	}
}

func TestMalformedFiles(t *testing.T) {
	const a = `"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}`
	for _, test := range []struct {
		name, header, reason string
		body                 int
	}{
		{"no JSON", `hello`, "JSON", 0},
		{"no object", `[]`, "object", 0},
		{"entry is no object", `{"a":3}`, "JSON", 0},
		{"text after it", `{}{}`, "last brace", 0},
		{"dtype", `{"a":{"dtype":"U16","shape":[1],"data_offsets":[0,2]}}`, "U16", 2},
		{"no dtype", `{"a":{"shape":[1],"data_offsets":[0,2]}}`, "dtype", 2},
		{"no offsets", `{"a":{"dtype":"F32","shape":[1]}}`, "needs 4 bytes", 0},
		{"one offset", `{"a":{"dtype":"F32","shape":[1],"data_offsets":[4]}}`, "ends at", 4},
		{"negative offset", `{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}`, "JSON", 4},
		{"negative dimension", `{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}`, "JSON", 4},
		{"fraction", `{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}`, "JSON", 4},
		{"turned round", `{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}`, "before it begins", 4},
		{"beyond the end", `{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, "last 4 bytes are missing", 4},
		{"wrong length", `{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, "needs 8 bytes", 4},
		{"overflow", `{"a":{"dtype":"F32","shape":[2147483647,2147483647,2147483647],"data_offsets":[0,4]}}`,
			"overflows", 4},
		{"overflow to 0", `{"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}}`,
			"dimension 0", 0},
		{"huge and 0", `{"a":{"dtype":"F32","shape":[0,18446744073709551615],"data_offsets":[0,0]}}`,
			"dimension 1", 0},
		{"repeated tensor", `{` + a + `,` + a + `}`, "twice", 4},
		{"repeated metadata key", `{"__metadata__":{"k":"v","k":"w"}}`, "twice", 0},
		{"repeated metadata", `{"__metadata__":{},"__metadata__":{}}`, "two sets", 0},
		{"metadata is no text", `{"__metadata__":{"k":1}}`, "JSON", 0},
		{"overlap", `{` + a + `,"b":{"dtype":"F16","shape":[2],"data_offsets":[2,6]}}`, "overlaps", 6},
		{"same place", `{` + a + `,"b":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}`, "overlaps", 4},
		{"hole", `{` + a + `,"b":{"dtype":"F16","shape":[1],"data_offsets":[6,8]}}`, "belong to no tensor", 8},
		{"hole at the front", `{"b":{"dtype":"F16","shape":[1],"data_offsets":[6,8]}}`, "6 bytes before", 8},
		{"tail", `{` + a + `}`, "3 bytes at its end", 7},
	} {
		_, err := Decode(assemble(test.header, make([]byte, test.body)...))
		var format *FormatError
		if !errors.As(err, &format) || !strings.Contains(format.Reason, test.reason) {
			t.Errorf("%s: error %v, want a FormatError with %q", test.name, err, test.reason)
		}
	}
	huge := binary.LittleEndian.AppendUint64(nil, math.MaxUint64)
	if _, err := Decode(append(huge, '{', '}')); err == nil {
		t.Error("a header of 2⁶⁴ bytes is accepted")
	}
}

func TestEveryCutIsAFormatError(t *testing.T) {
	for _, dtype := range []DType{Float32, Float16} {
		data := encode(t, map[string]string{"k": "v"}, small(), dtype)
		for length := range data {
			_, err := Decode(data[:length])
			var format *FormatError
			if !errors.As(err, &format) {
				t.Errorf("%s cut to %d of %d bytes: %v", dtype, length, len(data), err)
			}
		}
		if _, err := Decode(append(data, 0)); err == nil {
			t.Error("a byte too many is accepted")
		}
	}
}

// TestOtherProgramsTypes checks types that garb reads and does not write.
func TestOtherProgramsTypes(t *testing.T) {
	// −1.5 as bfloat16 is 0xbfc0, 0.1 as binary64 0x3fb999999999999a, 1e300 0x7e37e43c8800759c.
	f, err := Decode(assemble(`{"a":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]},`+
		`"b":{"dtype":"F64","shape":[1],"data_offsets":[2,10]},`+
		`"c":{"dtype":"F64","shape":[1],"data_offsets":[10,18]},`+
		`"d":{"dtype":"I64","shape":[1],"data_offsets":[18,26]}}`,
		0xc0, 0xbf,
		0x9a, 0x99, 0x99, 0x99, 0x99, 0x99, 0xb9, 0x3f,
		0x9c, 0x75, 0, 0x88, 0x3c, 0xe4, 0x37, 0x7e,
		1, 0, 0, 0, 0, 0, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float32{"a": -1.5, "b": 0.1} {
		if got, err := f.Tensor(name); err != nil || len(got.Data) != 1 || got.Data[0] != want {
			t.Errorf("%s: %v, %v, want %g", name, got, err, want)
		}
	}
	for name, want := range map[string]string{"c": "too large", "d": "integers"} {
		var format *FormatError
		if _, err := f.Tensor(name); !errors.As(err, &format) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dtype := rapid.SampledFrom([]DType{Float32, Float16}).Draw(t, "dtype")
		metadata := rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "metadata")
		tensors := drawTensors(t)
		var first, second bytes.Buffer
		if err := Write(&first, metadata, tensors, dtype); err != nil {
			t.Fatal(err)
		}
		if err := Write(&second, metadata, tensors, dtype); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Fatal("writing twice gives two files: ", err)
		}
		if n := binary.LittleEndian.Uint64(first.Bytes()); n%alignment != 0 {
			t.Errorf("header of %d bytes", n)
		}
		f, err := Decode(first.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if len(metadata) > 0 && !cmp.Equal(metadata, f.Metadata) {
			t.Errorf("metadata %q, want %q", f.Metadata, metadata)
		}
		if !cmp.Equal(tensors.Names(), f.Names()) {
			t.Errorf("names %q, want %q", f.Names(), tensors.Names())
		}
		for name, want := range tensors {
			checkStored(t, f, name, want, dtype)
		}
	})
}

// drawTensors draws a few small tensors.
func drawTensors(t *rapid.T) Map {
	tensors := Map{}
	for _, name := range rapid.SliceOfDistinct(rapid.String(), rapid.ID).Draw(t, "names") {
		if name == metadataKey {
			continue
		}
		shape := rapid.SliceOfN(rapid.IntRange(0, 4), 0, 4).Draw(t, "shape")
		value := rapid.Float32Range(-60000, 60000)
		tensors[name] = FromSlice(rapid.SliceOfN(value, Len(shape), Len(shape)).Draw(t, "values"), shape...)
	}
	return tensors
}

// checkStored compares a file's tensor with the one that was written as dtype.
func checkStored(t *rapid.T, f *File, name string, want *Tensor, dtype DType) {
	got, err := f.Tensor(name)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(f.Shape(name), want.Shape) || !slices.Equal(got.Shape, want.Shape) {
		t.Errorf("shape %v, want %v", got.Shape, want.Shape)
	}
	for i, v := range want.Data {
		tolerance := float64(0)
		if dtype == Float16 { // binary16 keeps 11 bits; below 2⁻¹⁴ it has steps of 2⁻²⁴
			tolerance = max(math.Abs(float64(v))/2048, 1.0/(1<<25))
		}
		if math.Abs(float64(got.Data[i]-v)) > tolerance {
			t.Errorf("%s of %g gives %g", dtype, v, got.Data[i])
		}
	}
}

func TestWriteRefusesWhatFloat16CannotHold(t *testing.T) {
	for _, test := range []struct {
		value float32
		ok    bool
	}{
		{65504, true}, {65519, true}, {65520, false}, {-1e9, false},
		{float32(math.Inf(1)), true}, {float32(math.NaN()), true},
	} {
		err := Write(&bytes.Buffer{}, nil, Map{"a": FromSlice([]float32{test.value}, 1)}, Float16)
		if (err == nil) != test.ok {
			t.Errorf("writing %g: %v", test.value, err)
		}
	}
	if err := Write(&bytes.Buffer{}, nil, Map{metadataKey: New(1)}, Float32); err == nil {
		t.Error("a tensor with the name of the metadata is written")
	}
}

func TestFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.safetensors")
	if err := WriteFile(path, nil, small(), Float32); err != nil {
		t.Fatal(err)
	}
	f, err := ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Decode(encode(t, nil, small(), Float32))
	if err != nil || f.Digest() != again.Digest() || !strings.HasPrefix(f.Digest(), "sha256:") ||
		f.Size() != again.Size() {
		t.Errorf("digest %s, want %s (%v)", f.Digest(), again.Digest(), err)
	}
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var format *FormatError
	if _, err := ReadFile(path); !errors.As(err, &format) || format.Path != path {
		t.Errorf("an empty file gives %v", err)
	}
	if _, err := ReadFile(filepath.Dir(path)); err == nil {
		t.Error("a folder is read")
	}
}

// TestPretrainedNetwork counts the values of the project's pretrained network.
func TestPretrainedNetwork(t *testing.T) {
	shared := os.Getenv("GARB_SHARED")
	if shared == "" {
		t.Skip("set GARB_SHARED to the folder with weights/efficientnet-lite0-imagenet.safetensors")
	}
	f, err := ReadFile(filepath.Join(shared, "weights", "efficientnet-lite0-imagenet.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, name := range f.Names() {
		count += Len(f.Shape(name))
	}
	if count != 4_694_024 {
		t.Errorf("%d values, want 4694024", count)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(f, map[string]string{"k": "v"}, small(), Float32))
	f.Add(encode(f, nil, small(), Float16))
	f.Add(encode(f, nil, kernelAndBias(2), Int8))
	f.Add(assemble(`{"a":{"dtype":"F32","shape":[0,18446744073709551615],"data_offsets":[0,0]}}`))
	f.Add(assemble(`{"__metadata__":{"k":"v","k":"w"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Decode(data)
		if err != nil {
			var format *FormatError
			if !errors.As(err, &format) {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		tensors := Map{}
		for _, name := range file.Names() {
			if tensors[name], err = file.Tensor(name); err != nil {
				t.Fatal(err)
			}
		}
		// What was read can be written and read again.
		var b bytes.Buffer
		if err := Write(&b, file.Metadata, tensors, Float32); err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(b.Bytes()); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	tensors := Map{}
	for i := range 300 { // as many as EfficientNet-Lite0 has
		tensors[fmt.Sprintf("blocks/%02d/project/bn/moving_variance", i)] = New(1, 1, 80, 200)
	}
	for _, dtype := range []DType{Float32, Float16} {
		data := encode(b, nil, tensors, dtype)
		b.Run(string(dtype), func(b *testing.B) {
			for b.Loop() {
				if _, err := Decode(data); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(string(dtype)+"/values", func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			f, err := Decode(data)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				for _, name := range f.Names() {
					if _, err := f.Tensor(name); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
