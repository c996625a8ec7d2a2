package torch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"garb/internal/kernel"
	"garb/tensor"
)

// storageKind is the type of a storage's values.
type storageKind struct {
	name    string // of the class in module torch
	bytes   int    // of one value
	integer bool
}

// storageKinds lists the classes of storages that a pickle may name.
var storageKinds = []*storageKind{
	{"FloatStorage", 4, false}, {"HalfStorage", 2, false}, {"BFloat16Storage", 2, false}, {"DoubleStorage", 8, false},
	{"LongStorage", 8, true}, {"IntStorage", 4, true}, {"ShortStorage", 2, true}, {"CharStorage", 1, true},
	{"ByteStorage", 1, true}, {"BoolStorage", 1, true},
}

// storage is an array of values. Tensors are views of it.
type storage struct {
	kind  *storageKind
	key   string
	count int
	data  []byte // count values; nil until they are loaded
}

// view is a tensor: the values of a storage at an offset and strides.
type view struct {
	storage    *storage
	offset     int
	size       []int
	stride     []int
	count      int // of values
	last       int // the highest index in the storage, −1 without values
	contiguous bool
}

// maxRank limits the number of axes of a tensor.
const maxRank = 8

// newView returns a view after checking that it lies within its storage.
func newView(s *storage, offset int64, size, stride []int64) (*view, error) {
	if len(size) != len(stride) || len(size) > maxRank {
		return nil, malformed("a tensor has %d dimensions and %d strides; the limit is %d",
			len(size), len(stride), maxRank)
	}
	v := &view{storage: s, contiguous: true}
	count := int64(1)
	for _, n := range size {
		if n < 0 || n > math.MaxInt32 {
			return nil, malformed("a tensor has a dimension of %d", n)
		}
		v.size = append(v.size, int(n))
		if count *= n; count > math.MaxInt32 {
			return nil, malformed("a tensor has the shape %v", size)
		}
	}
	if v.count = int(count); count == 0 {
		v.stride, v.last = make([]int, len(size)), -1
		return v, nil
	}
	if offset < 0 || offset >= int64(s.count) {
		return nil, malformed("a tensor begins at value %d of a storage of %d", offset, s.count)
	}
	v.offset = int(offset)
	at, step := offset, count
	for i, n := range size {
		step /= n
		if n == 1 {
			v.stride = append(v.stride, 0) // never used
			continue
		}
		if stride[i] < 0 || stride[i] > math.MaxInt32 {
			return nil, malformed("a tensor has a stride of %d", stride[i])
		}
		if at += (n - 1) * stride[i]; at >= int64(s.count) {
			return nil, malformed("a tensor of shape %v with strides %v is larger than its storage of %d values",
				size, stride, s.count)
		}
		v.contiguous = v.contiguous && stride[i] == step
		v.stride = append(v.stride, int(stride[i]))
	}
	v.last = int(at)
	return v, nil
}

// decode returns a tensor's values as float32.
func (v *view) decode() (*tensor.Tensor, error) {
	t := tensor.New(v.size...)
	if v.count == 0 {
		return t, nil
	}
	width := v.storage.kind.bytes
	if (v.last+1)*width > len(v.storage.data) {
		return nil, errors.New("its storage has no values")
	}
	data := v.storage.data[v.offset*width:]
	if v.contiguous {
		data = data[:v.count*width]
	} else {
		data = v.gather(data)
	}
	return t, toFloats(t.Data, v.storage.kind, data)
}

// gather copies the values at a view's strides into a contiguous array. data begins with the first
// value.
func (v *view) gather(data []byte) []byte {
	width := v.storage.kind.bytes
	all := make([]byte, 0, v.count*width)
	index := make([]int, len(v.size))
	for at := 0; ; {
		all = append(all, data[at*width:][:width]...)
		axis := len(index) - 1
		for ; axis >= 0; axis-- {
			index[axis]++
			at += v.stride[axis]
			if index[axis] < v.size[axis] {
				break
			}
			at -= index[axis] * v.stride[axis]
			index[axis] = 0
		}
		if axis < 0 {
			return all
		}
	}
}

// toFloats converts the little-endian values of a kind in data.
func toFloats(dst []float32, kind *storageKind, data []byte) error {
	switch kind.name {
	case "FloatStorage":
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		}
	case "HalfStorage":
		kernel.FromHalf(dst, data)
	case "BFloat16Storage": // the upper half of a float32
		for i := range dst {
			dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(data[2*i:])) << 16)
		}
	case "DoubleStorage":
		for i := range dst {
			value := math.Float64frombits(binary.LittleEndian.Uint64(data[8*i:]))
			if dst[i] = float32(value); math.IsInf(float64(dst[i]), 0) && !math.IsInf(value, 0) {
				return fmt.Errorf("%g is too large for float32", value)
			}
		}
	}
	return nil
}
