package tensor

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"garb/internal/kernel"
)

// kernelAndBias returns a bias and a kernel whose outputs differ much in size; one of them is
// zero.
func kernelAndBias(outputs int) Map {
	k, bias := New((minInt8Values+outputs-1)/outputs, outputs), New(outputs)
	for i := range k.Data {
		if c := i % outputs; c != 1 {
			k.Data[i] = float32(math.Exp(float64(c)-10) * math.Sin(float64(i)*float64(i)))
		}
	}
	for i := range bias.Data {
		bias.Data[i] = float32(i) / 3
	}
	return Map{"a/kernel": k, "a/bias": bias}
}

// TestInt8 checks that int8 values are within half a quantization step of the originals, that
// small tensors are stored as float16, and that storing the values again changes nothing.
func TestInt8(t *testing.T) {
	for outputs := 2; outputs < 40; outputs++ {
		m := kernelAndBias(outputs)
		data := encode(t, nil, m, Int8)
		f, err := Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(f.Names(), []string{"a/bias", "a/kernel"}) || f.DType("a/kernel") != Int8 ||
			f.DType("a/bias") != Float16 {
			t.Fatalf("names %v, types %s and %s", f.Names(), f.DType("a/kernel"), f.DType("a/bias"))
		}
		rounded, got := m.As(Int8), Map{}
		for _, name := range f.Names() {
			if got[name], err = f.Tensor(name); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got[name].Data, rounded[name].Data) || !slices.Equal(got[name].Shape, m[name].Shape) {
				t.Fatalf("%d outputs: the values of %s in the file differ from As", outputs, name)
			}
		}
		checkQuantized(t, m["a/kernel"].Data, got["a/kernel"].Data, outputs)
		for i, v := range got["a/bias"].Data {
			if want := kernel.HalfToFloat(kernel.FloatToHalf(m["a/bias"].Data[i])); v != want {
				t.Fatalf("bias %d is %v, want %v", i, v, want)
			}
		}
		if again := encode(t, nil, got, Int8); !bytes.Equal(again, data) {
			t.Fatalf("%d outputs: storing the values again gives another file", outputs)
		}
	}
}

// checkQuantized checks that values differ from the originals by at most half a step of
// their output's scale, and the little that rounding the scale up adds.
func checkQuantized(t *testing.T, originals, values []float32, outputs int) {
	t.Helper()
	largest := make([]float64, outputs)
	for i, v := range originals {
		largest[i%outputs] = max(largest[i%outputs], math.Abs(float64(v)))
	}
	for i, v := range values {
		if limit := largest[i%outputs] / 127 * 0.5001; math.Abs(float64(v-originals[i])) > limit {
			t.Fatalf("%d outputs: value %d is %v, was %v: more than %v off", outputs, i, v, originals[i], limit)
		}
	}
}

// TestInt8Refuses checks values that cannot be stored as int8, and files with wrong scales.
func TestInt8Refuses(t *testing.T) {
	for name, spoil := range map[string]func(Map){
		"NaN":      func(m Map) { m["a/kernel"].Data[7] = float32(math.NaN()) },
		"infinity": func(m Map) { m["a/kernel"].Data[7] = float32(math.Inf(1)) },
		"a name":   func(m Map) { m["a/kernel.scale"] = New(3) },
	} {
		m := kernelAndBias(8)
		spoil(m)
		if err := Write(&bytes.Buffer{}, nil, m, Int8); err == nil || !strings.Contains(err.Error(), "a/kernel") {
			t.Errorf("%s: %v", name, err)
		}
	}
	entry := func(dtype string, begin, end int, shape ...int) map[string]any {
		return map[string]any{"dtype": dtype, "shape": append([]int{}, shape...), "data_offsets": []int{begin, end}}
	}
	for name, header := range map[string]map[string]any{
		"no scales":      {"a": entry("I8", 0, 6, 3, 2)},
		"too few scales": {"a": entry("I8", 0, 6, 3, 2), "a.scale": entry("F32", 6, 10, 1)},
		"scales of half": {"a": entry("I8", 0, 6, 3, 2), "a.scale": entry("F16", 6, 10, 2)},
		"scales in rows": {"a": entry("I8", 0, 6, 3, 2), "a.scale": entry("F32", 6, 14, 1, 2)},
		"a scalar":       {"a": entry("I8", 0, 1), "a.scale": entry("F32", 1, 5, 1)},
		"scaled scales":  {"a": entry("I8", 0, 6, 3, 2), "a.scale": entry("I8", 6, 8, 2)},
	} {
		text, err := json.Marshal(header)
		if err != nil {
			t.Fatal(err)
		}
		size := 0
		for _, e := range header {
			size = max(size, e.(map[string]any)["data_offsets"].([]int)[1])
		}
		var format *FormatError
		if _, err := Decode(assemble(string(text), make([]byte, size)...)); !errors.As(err, &format) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestQuantize checks that a large tensor's integers times its scales are the values of As,
// and that a small one has no integers.
func TestQuantize(t *testing.T) {
	m := kernelAndBias(12)
	integers, scales, err := Quantize(m["a/kernel"])
	if err != nil || len(integers) != len(m["a/kernel"].Data) || len(scales) != 12 {
		t.Fatalf("%d integers, %d scales, %v", len(integers), len(scales), err)
	}
	rounded := m.As(Int8)
	for i, v := range rounded["a/kernel"].Data {
		if got := float32(integers[i]) * scales[i%12]; got != v {
			t.Fatalf("value %d is %v, want %v", i, got, v)
		}
	}
	again, _, err := Quantize(rounded["a/kernel"])
	if err != nil || !slices.Equal(again, integers) {
		t.Errorf("rounded values have other integers: %v", err)
	}
	if integers, scales, err := Quantize(m["a/bias"]); integers != nil || scales != nil || err != nil {
		t.Errorf("a bias has %v, %v, %v", integers, scales, err)
	}
	m["a/kernel"].Data[7] = float32(math.Inf(1))
	if _, _, err := Quantize(m["a/kernel"]); err == nil {
		t.Error("infinity has an integer")
	}
}
