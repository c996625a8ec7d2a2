package onnx

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"garb/internal/kernel"
)

// constant is a value that does not depend on the picture: weights, or the sizes of a reshape.
type constant struct {
	dims     []int
	kind     int64     // of its values, as ONNX numbers types
	floats   []float32 // of floating point, nil for integers
	doubles  []float64 // the same values, if their type is float64
	integers []int64   // of integers; batchSize stands for the size of the batch
}

// batchSize stands for the size of the batch. No file may hold it.
const batchSize = math.MinInt64

func (k *constant) len() int { return max(len(k.floats), len(k.integers)) }

// values returns the constant's numbers as floats.
func (k *constant) values() []float32 {
	if k.integers == nil {
		return k.floats
	}
	all := make([]float32, len(k.integers))
	for i, v := range k.integers {
		all[i] = float32(v)
	}
	return all
}

// budget counts how many more values a file may decode to.
type budget struct{ left, limit int }

func (b *budget) take(n int) error {
	if n < 0 || n > b.left {
		return malformed("its weights come to more than %d values", b.limit)
	}
	b.left -= n
	return nil
}

// partReader returns a part of a file beside the model.
type partReader func(location string, offset, length int64) ([]byte, error)

// widths are the bytes of a value in raw_data, by its type.
var widths = map[int64]int{
	typeFloat: 4, typeUint8: 1, typeInt8: 1, typeInt32: 4, typeInt64: 8, typeBool: 1, typeFloat16: 2, typeDouble: 8,
	typeBFloat16: 2,
}

// decode decodes a tensor's values.
func (t *storedTensor) decode(b *budget, beside partReader) (*constant, error) {
	width := widths[t.kind]
	if width == 0 {
		return nil, malformed("a tensor has values of type %d, which garb does not read", t.kind)
	}
	c := &constant{kind: t.kind}
	count, err := c.setDims(t.dims, b.limit)
	if err != nil {
		return nil, err
	}
	if err = b.take(count); err != nil {
		return nil, err
	}
	raw, fromRaw := t.raw, t.hasRaw
	if t.outside {
		if raw, err = t.readExternal(int64(count)*int64(width), beside); err != nil {
			return nil, err
		}
		fromRaw = true
	}
	if fromRaw && len(raw) != count*width {
		return nil, malformed("a tensor of %v has %d bytes", t.dims, len(raw))
	}
	if !fromRaw {
		// A value takes at least one byte, so a short file cannot take much memory.
		bytes := 0
		for _, p := range t.numbers {
			bytes += len(p.data)
		}
		if count > bytes {
			return nil, malformed("a tensor of %v has %d bytes", t.dims, bytes)
		}
	}
	if isFloating(t.kind) {
		c.floats = make([]float32, 0, count)
	} else {
		c.integers = make([]int64, 0, count)
	}
	if !fromRaw {
		return c, t.decodeNumbers(c, count)
	}
	for ; len(raw) > 0; raw = raw[width:] {
		c.appendValue(t.kind, readBits(raw[:width]))
	}
	return c, nil
}

// setDims sets the dimensions and returns the number of values. The limit also bounds the other
// dimensions of a tensor with a dimension of 0.
func (k *constant) setDims(dims []int64, limit int) (count int, err error) {
	count = 1
	for _, d := range dims {
		if d < 0 || d > 0 && int64(count) > int64(limit)/d {
			return 0, malformed("a tensor of %v", dims)
		}
		count *= int(max(d, 1))
		k.dims = append(k.dims, int(d))
	}
	if slices.Contains(dims, 0) {
		return 0, nil
	}
	return count, nil
}

// decodeNumbers decodes count typed values into c.
func (t *storedTensor) decodeNumbers(c *constant, count int) error {
	for _, p := range t.numbers {
		kind := protowire.VarintType
		switch p.field {
		case tensorFloats:
			kind = protowire.Fixed32Type
		case tensorDoubles:
			kind = protowire.Fixed64Type
		}
		if p.field != valueField(t.kind) {
			return malformed("a tensor of type %d has values of another type", t.kind)
		}
		packed := field{kind: protowire.BytesType, bytes: p.data}
		add := func(v uint64) { c.appendValue(t.kind, v) }
		if err := eachNumber(packed, kind, count-c.len(), add); err != nil {
			return err
		}
	}
	if c.len() != count {
		return malformed("a tensor of %v has %d values", t.dims, c.len())
	}
	return nil
}

// valueField returns the field in which a tensor of a type has its values, if they are not raw.
func valueField(kind int64) protowire.Number {
	switch kind {
	case typeFloat:
		return tensorFloats
	case typeDouble:
		return tensorDoubles
	case typeInt64:
		return tensorInt64s
	}
	return tensorInt32s
}

// readBits reads a little-endian number of 1, 2, 4 or 8 bytes.
func readBits(b []byte) uint64 {
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.LittleEndian.Uint16(b))
	case 4:
		return uint64(binary.LittleEndian.Uint32(b))
	}
	return binary.LittleEndian.Uint64(b)
}

// appendValue appends a value, given by its bits.
func (k *constant) appendValue(kind int64, v uint64) {
	switch kind {
	case typeFloat:
		k.floats = append(k.floats, math.Float32frombits(uint32(v)))
	case typeDouble:
		k.doubles = append(k.doubles, math.Float64frombits(v))
		k.floats = append(k.floats, float32(math.Float64frombits(v)))
	case typeFloat16:
		k.floats = append(k.floats, kernel.HalfToFloat(uint16(v)))
	case typeBFloat16:
		k.floats = append(k.floats, math.Float32frombits(uint32(v)<<16))
	case typeInt32:
		k.integers = append(k.integers, int64(int32(v)))
	case typeInt8:
		k.integers = append(k.integers, int64(int8(v)))
	case typeBool:
		k.integers = append(k.integers, int64(min(v, 1)))
	default:
		number := int64(v)
		if number == batchSize {
			number++ // batchSize has another meaning here
		}
		k.integers = append(k.integers, number)
	}
}

// readExternal reads values from a file beside the model.
func (t *storedTensor) readExternal(length int64, beside partReader) ([]byte, error) {
	location := t.external["location"]
	if beside == nil {
		return nil, malformed("its weights are in another file, %q: read it by its path, with that file beside it",
			location)
	}
	offset := int64(0)
	for key, into := range map[string]*int64{"offset": &offset, "length": nil} {
		text, ok := t.external[key]
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return nil, malformed("the %s of weights in %q is %q", key, location, text)
		}
		if into != nil {
			*into = n
		} else if n != length {
			return nil, malformed("a tensor of %v has %d bytes in %q", t.dims, n, location)
		}
	}
	data, err := beside(location, offset, length)
	if err != nil {
		return nil, &FormatError{Reason: fmt.Sprintf("its weights in %q cannot be read", location), Err: err}
	}
	return data, nil
}
