package tensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"garb/picture"
	"garb/serve/request"
)

var spec = picture.Spec{Width: 8, Height: 8, Filter: picture.Bilinear, Fit: picture.Stretch,
	Std: [3]float32{255, 255, 255}}

// TestRawTensors reads pictures, each after its length, and values, to the last byte.
func TestRawTensors(t *testing.T) {
	e := InputSpec{Spec: spec, MaxPictures: 3}
	element := func(text string) []byte {
		return append(binary.LittleEndian.AppendUint32(nil, uint32(len(text))), text...)
	}
	two := slices.Concat(element("one"), element(""))
	values := make([]byte, 4*spec.ValueCount())
	shape := []int{1, spec.Height, spec.Width, 3}
	for name, test := range map[string]struct {
		datatype string
		shape    []int
		data     []byte
		want     error
	}{
		"pictures":               {Bytes, []int{2}, two, nil},
		"pictures in a column":   {Bytes, []int{2, 1}, two, nil},
		"pictures in a row":      {Bytes, []int{1, 2}, two, request.ErrInvalid},
		"no shape":               {Bytes, nil, two, request.ErrInvalid},
		"three axes":             {Bytes, []int{2, 1, 1}, two, request.ErrInvalid},
		"no picture":             {Bytes, []int{0}, nil, request.ErrInvalid},
		"as many as are allowed": {Bytes, []int{3}, slices.Concat(two, element("x")), nil},
		"one more":               {Bytes, []int{4}, slices.Concat(two, two), request.ErrTooLarge},
		"more than it says":      {Bytes, []int{1}, two, request.ErrInvalid},
		"fewer than it says":     {Bytes, []int{3}, two, request.ErrInvalid},
		"cut off":                {Bytes, []int{1}, element("one")[:6], request.ErrInvalid},
		"a length cut off":       {Bytes, []int{1}, element("")[:3], request.ErrInvalid},
		"an endless length":      {Bytes, []int{1}, []byte{255, 255, 255, 255, 0}, request.ErrInvalid},
		"values":                 {FP32, shape, values, nil},
		"a value more": {FP32, shape, append(values[:len(values):len(values)], 0, 0, 0, 0),
			request.ErrInvalid},
		"a value less":           {FP32, shape, values[4:], request.ErrInvalid},
		"values of no picture":   {FP32, []int{0, spec.Height, spec.Width, 3}, nil, request.ErrInvalid},
		"values without a batch": {FP32, shape[1:], values, request.ErrInvalid},
		"values turned":          {FP32, []int{1, 3, spec.Height, spec.Width}, values, request.ErrInvalid},
		"another type":           {"FP16", shape, values, request.ErrInvalid},
	} {
		b, err := e.DecodeRaw(test.datatype, test.shape, test.data)
		if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
		if name == "pictures" {
			var have []string
			for _, p := range b.Pictures {
				have = append(have, string(p))
			}
			if !slices.Equal(have, []string{"one", ""}) {
				t.Errorf("pictures %q", have)
			}
		}
		if name == "values" && len(b.Values) != spec.ValueCount() {
			t.Errorf("%d values", len(b.Values))
		}
	}
}

// TestValuesAreCut: the first of several values in JSON ends where its brackets and quotes do.
func TestValuesAreCut(t *testing.T) {
	for text, want := range map[string]string{
		`[1],[2]`: `[1]`, `{"a":[1,{}]},2`: `{"a":[1,{}]}`, `"a]",2`: `"a]"`, `"\"",2`: `"\""`, `12,3`: `12`, `1]`: `1`,
	} {
		first, rest := JSON(text).cut()
		if string(first) != want || string(rest) != text[len(want):] {
			t.Errorf("%s: %s and %s", text, first, rest)
		}
	}
}

// FuzzTensorJSON holds the walk through JSON against encoding/json.
//
//nolint:gocognit // it compares the kinds of JSON values one by one
func FuzzTensorJSON(f *testing.F) {
	f.Add([]byte(`[[1, 2e0, -3], [4.5, 0, 6]]`))
	f.Add([]byte(` [ 1,2,3 ,4,5,6 ] `))
	f.Add([]byte(`{"a\u0022\\": [1, {"b": "]}"}], "": null, "c" : "x"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := ParseJSON(text)
		if err != nil {
			if json.Valid(text) {
				t.Fatal(err)
			}
			return
		}
		var want [][]float32
		numbers, err := v.Numbers(2, 3)
		var flat []float32
		switch {
		case json.Unmarshal(text, &want) == nil && len(want) == 2 && len(want[0]) == 3 && len(want[1]) == 3 &&
			!bytes.Contains(text, []byte("null")):
			flat = append(want[0], want[1]...)
		case json.Unmarshal(text, &flat) == nil && len(flat) == 6 && !bytes.Contains(text, []byte("null")):
		default:
			flat = nil
		}
		if (err == nil) != (flat != nil) || err == nil && !slices.Equal(numbers, flat) {
			t.Errorf("%q: %v, %v, want %v", text, numbers, err, flat)
		}
		var elements []json.RawMessage
		if json.Unmarshal(text, &elements) == nil {
			got := []json.RawMessage(nil)
			for e := range v.Elements() {
				got = append(got, json.RawMessage(e))
			}
			if len(got)+len(elements) > 0 && !cmp.Equal(got, elements) {
				t.Errorf("%q has %q, want %q", text, got, elements)
			}
		}
		var members map[string]json.RawMessage
		if json.Unmarshal(text, &members) == nil && members != nil {
			got := map[string]json.RawMessage{}
			for name, m := range v.Members() {
				got[name] = json.RawMessage(m)
			}
			if !cmp.Equal(got, members) {
				t.Errorf("%q has %q, want %q", text, got, members)
			}
		}
	})
}
