package onnx

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"garb/internal/kernel"
)

// constant is a value that does not depend on the picture: weights, or the sizes that a
// reshape takes.
type constant struct {
	dims     []int
	kind     int64     // of its values, as ONNX numbers types
	floats   []float32 // of floating point, nil for integers
	doubles  []float64 // the same values, if their type is float64
	integers []int64   // of integers; batchSize stands for the size of the batch
}

// batchSize is no size that a file may hold.
const batchSize = math.MinInt64

func (c *constant) len() int { return max(len(c.floats), len(c.integers)) }

// values are the constant's numbers as floats.
func (c *constant) values() []float32 {
	if c.integers == nil {
		return c.floats
	}
	all := make([]float32, len(c.integers))
	for i, v := range c.integers {
		all[i] = float32(v)
	}
	return all
}

// budget is how many more values may be made of a file.
type budget struct{ left, limit int }

func (b *budget) take(n int) error {
	if n < 0 || n > b.left {
		return malformed("its weights come to more than %d values", b.limit)
	}
	b.left -= n
	return nil
}

// files gives a part of a file beside the model.
type files func(location string, offset, length int64) ([]byte, error)

// widths are the bytes of a value, as raw_data has it.
var widths = map[int64]int{
	typeFloat: 4, typeUint8: 1, typeInt8: 1, typeInt32: 4, typeInt64: 8, typeBool: 1, typeFloat16: 2, typeDouble: 8,
	typeBFloat16: 2,
}

// decode reads a tensor's values.
func (t *storedTensor) decode(b *budget, beside files) (*constant, error) {
	width := widths[t.kind]
	if width == 0 {
		return nil, malformed("a tensor has values of type %d, which garb does not read", t.kind)
	}
	c, count, empty := &constant{kind: t.kind}, 1, false
	for _, d := range t.dims { // axes of no values are bounded too
		if d < 0 || d > 0 && int64(count) > int64(b.limit)/d {
			return nil, malformed("a tensor of %v", t.dims)
		}
		count *= int(max(d, 1))
		empty = empty || d == 0
		c.dims = append(c.dims, int(d))
	}
	if empty {
		count = 0
	}
	if err := b.take(count); err != nil {
		return nil, err
	}
	raw, fromRaw := t.raw, t.hasRaw
	if t.outside {
		var err error
		if raw, err = t.fetch(int64(count)*int64(width), beside); err != nil {
			return nil, err
		}
		fromRaw = true
	}
	if fromRaw && len(raw) != count*width {
		return nil, malformed("a tensor of %v has %d bytes", t.dims, len(raw))
	}
	if !fromRaw {
		// A value takes a byte at least, so that a short file asks for little memory.
		bytes := 0
		for _, p := range t.numbers {
			bytes += len(p.data)
		}
		if count > bytes {
			return nil, malformed("a tensor of %v has %d bytes", t.dims, bytes)
		}
	}
	if floating(t.kind) {
		c.floats = make([]float32, 0, count)
	} else {
		c.integers = make([]int64, 0, count)
	}
	if fromRaw {
		for ; len(raw) > 0; raw = raw[width:] {
			c.add(t.kind, bits(raw[:width]), true)
		}
		return c, nil
	}
	for _, p := range t.numbers {
		kind := protowire.VarintType
		switch p.field {
		case tensorFloats:
			kind = protowire.Fixed32Type
		case tensorDoubles:
			kind = protowire.Fixed64Type
		}
		if p.field != fieldOf(t.kind) {
			return nil, malformed("a tensor of type %d has values of another", t.kind)
		}
		packed := field{kind: protowire.BytesType, bytes: p.data}
		if err := numbers(packed, kind, count-c.len(), func(v uint64) { c.add(t.kind, v, false) }); err != nil {
			return nil, err
		}
	}
	if c.len() != count {
		return nil, malformed("a tensor of %v has %d values", t.dims, c.len())
	}
	return c, nil
}

// fieldOf is the field in which a tensor of a type has its values, if they are not raw.
func fieldOf(kind int64) protowire.Number {
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

// bits reads a little-endian number of 1, 2, 4 or 8 bytes.
func bits(b []byte) uint64 {
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

// add appends a value, given by its bits: as wide as its type if raw, otherwise as
// protobuf has it, where integers are 64 bits.
func (c *constant) add(kind int64, v uint64, raw bool) {
	switch kind {
	case typeFloat:
		c.floats = append(c.floats, math.Float32frombits(uint32(v)))
	case typeDouble:
		c.doubles = append(c.doubles, math.Float64frombits(v))
		c.floats = append(c.floats, float32(math.Float64frombits(v)))
	case typeFloat16:
		c.floats = append(c.floats, kernel.HalfToFloat(uint16(v)))
	case typeBFloat16:
		c.floats = append(c.floats, math.Float32frombits(uint32(v)<<16))
	case typeInt32:
		c.integers = append(c.integers, int64(int32(v)))
	case typeInt8:
		c.integers = append(c.integers, int64(int8(v)))
	case typeBool:
		c.integers = append(c.integers, int64(min(v, 1)))
	default:
		number := int64(v)
		if number == batchSize {
			number++ // the one number that means something else here
		}
		c.integers = append(c.integers, number)
	}
}

// fetch reads values that are in a file beside the model.
func (t *storedTensor) fetch(length int64, beside files) ([]byte, error) {
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
