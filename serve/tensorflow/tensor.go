package tensorflow

import (
	"encoding/binary"
	"fmt"
	"math"

	"garb/internal/kernel"
	pb "garb/serve/tensorflowpb"
)

// TensorError says why a tensor cannot be read.
type TensorError struct{ Reason string }

func (e *TensorError) Error() string { return "the tensor cannot be read: " + e.Reason }

func malformed(format string, args ...any) error {
	return &TensorError{fmt.Sprintf(format, args...)}
}

func tooMany(maxElements int) error { return malformed("it has more than %d elements", maxElements) }

// maxAxes is the largest number of axes of TensorFlow's tensors.
const maxAxes = 254

// DecodeShape returns the sizes of a tensor's axes, none for a single element. The error is a
// *TensorError if a size is unknown, or if there are more than maxElements elements.
func DecodeShape(t *pb.TensorProto, maxElements int) ([]int, error) {
	s := t.GetTensorShape()
	if s.GetUnknownRank() {
		return nil, malformed("its shape is unknown")
	}
	if len(s.GetDim()) > maxAxes {
		return nil, malformed("it has %d axes; the limit is %d", len(s.GetDim()), maxAxes)
	}
	shape, total := make([]int, len(s.GetDim())), 1
	for i, d := range s.GetDim() {
		if d.GetSize() < 0 {
			return nil, malformed("axis %d has the size %d", i, d.GetSize())
		}
		if d.GetSize() > int64(maxElements) || total > 0 && int(d.GetSize()) > maxElements/total {
			return nil, tooMany(maxElements)
		}
		shape[i] = int(d.GetSize())
		total *= shape[i]
	}
	if total > maxElements {
		return nil, tooMany(maxElements)
	}
	return shape, nil
}

func countElements(shape []int) int {
	total := 1
	for _, n := range shape {
		total *= n
	}
	return total
}

// DecodeFloats returns the shape and the elements of a tensor of numbers, row by row. If the field of
// its type has fewer elements than the shape, the last one stands for the missing ones, but there
// must be one. Values may be NaN or infinite.
//
// The error is a *TensorError if the tensor is no such tensor, has more than maxElements elements,
// or elements in several fields.
func DecodeFloats(t *pb.TensorProto, maxElements int) (shape []int, values []float32, err error) {
	if shape, err = DecodeShape(t, maxElements); err != nil {
		return nil, nil, err
	}
	e, ok := encodings[t.GetDtype()]
	if !ok {
		return nil, nil, malformed("its type is %v, not a number that garb reads", t.GetDtype())
	}
	n := countElements(shape)
	if content := t.GetTensorContent(); len(content) > 0 {
		values, err = decodeContent(t, e, n)
	} else {
		values, err = decodeField(t, e, n)
	}
	if err != nil {
		return nil, nil, err
	}
	return shape, values, nil
}

// decodeContent decodes n elements of tensor_content.
func decodeContent(t *pb.TensorProto, e encoding, n int) ([]float32, error) {
	content := t.GetTensorContent()
	if countFields(t) > 0 {
		return nil, malformed("it has elements in tensor_content and also in another field")
	}
	if len(content)%e.bytes != 0 || len(content)/e.bytes != n {
		return nil, malformed("its tensor_content has %d bytes, but %d elements of %v have %d each", len(content), n,
			t.GetDtype(), e.bytes)
	}
	values := make([]float32, n)
	for i := range values {
		values[i] = e.decode(content[i*e.bytes:])
	}
	return values, nil
}

// decodeField decodes n elements of the field of the tensor's type.
func decodeField(t *pb.TensorProto, e encoding, n int) ([]float32, error) {
	count, at := e.field(t)
	if err := checkField(t, count, n); err != nil {
		return nil, err
	}
	values := make([]float32, n)
	for i := range min(count, n) {
		var ok bool
		if values[i], ok = at(i); !ok {
			return nil, malformed("element %d is no %v", i, t.GetDtype())
		}
	}
	for i := count; i < n; i++ {
		values[i] = values[count-1]
	}
	return values, nil
}

// checkField reports whether a field of count elements cannot be that of n elements, or whether
// there are elements in another field.
func checkField(t *pb.TensorProto, count, n int) error {
	switch {
	case countFields(t) > count:
		return malformed("it has elements in a field that is not that of %v", t.GetDtype())
	case count > n:
		return malformed("it has %d elements, but its shape has %d", count, n)
	case count == 0 && n > 0:
		return malformed("it has no elements, but its shape has %d", n)
	}
	return nil
}

// countFields returns the number of elements in all fields but tensor_content.
func countFields(t *pb.TensorProto) int {
	return len(t.GetFloatVal()) + len(t.GetDoubleVal()) + len(t.GetIntVal()) + len(t.GetStringVal()) +
		len(t.GetInt64Val()) + len(t.GetHalfVal())
}

// encoding is how numbers of a type are encoded.
type encoding struct {
	bytes  int                       // of an element in tensor_content
	decode func(data []byte) float32 // decodes the first element
	// field returns the number of elements in the field of the type, and a function that returns one;
	// ok is false if it is not in the range of the type.
	field func(*pb.TensorProto) (count int, at func(i int) (v float32, ok bool))
}

var encodings = map[pb.DataType]encoding{
	pb.DataType_DT_FLOAT: {4, decodeFloat, func(t *pb.TensorProto) (int, func(int) (float32, bool)) {
		return len(t.FloatVal), func(i int) (float32, bool) { return t.FloatVal[i], true }
	}},
	pb.DataType_DT_DOUBLE: {8, decodeDouble, func(t *pb.TensorProto) (int, func(int) (float32, bool)) {
		return len(t.DoubleVal), func(i int) (float32, bool) { return float32(t.DoubleVal[i]), true }
	}},
	pb.DataType_DT_INT64: {8, decodeInt64, func(t *pb.TensorProto) (int, func(int) (float32, bool)) {
		return len(t.Int64Val), func(i int) (float32, bool) { return float32(t.Int64Val[i]), true }
	}},
	pb.DataType_DT_HALF:     {2, decodeHalf, takeBits(decodeHalf)},
	pb.DataType_DT_BFLOAT16: {2, decodeBFloat16, takeBits(decodeBFloat16)},
	pb.DataType_DT_INT32:    {4, decodeInt32, takeIntegers(math.MinInt32, math.MaxInt32)},
	pb.DataType_DT_INT16:    {2, decodeInt16, takeIntegers(math.MinInt16, math.MaxInt16)},
	pb.DataType_DT_UINT16:   {2, decodeUint16, takeIntegers(0, math.MaxUint16)},
	pb.DataType_DT_INT8:     {1, decodeInt8, takeIntegers(math.MinInt8, math.MaxInt8)},
	pb.DataType_DT_UINT8:    {1, decodeUint8, takeIntegers(0, math.MaxUint8)},
}

// takeIntegers returns an encoding.field of the integers from low to high in int_val.
func takeIntegers(low, high int32) func(*pb.TensorProto) (int, func(int) (float32, bool)) {
	return func(t *pb.TensorProto) (int, func(int) (float32, bool)) {
		return len(t.IntVal), func(i int) (float32, bool) {
			v := t.IntVal[i]
			return float32(v), v >= low && v <= high
		}
	}
}

// takeBits returns an encoding.field of the 16 bits in half_val.
func takeBits(decode func([]byte) float32) func(*pb.TensorProto) (int, func(int) (float32, bool)) {
	return func(t *pb.TensorProto) (int, func(int) (float32, bool)) {
		return len(t.HalfVal), func(i int) (float32, bool) {
			var data [2]byte
			binary.LittleEndian.PutUint16(data[:], uint16(t.HalfVal[i]))
			return decode(data[:]), t.HalfVal[i] >= 0 && t.HalfVal[i] <= math.MaxUint16
		}
	}
}

func decodeFloat(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) }

func decodeDouble(b []byte) float32 {
	return float32(math.Float64frombits(binary.LittleEndian.Uint64(b)))
}

func decodeInt64(b []byte) float32  { return float32(int64(binary.LittleEndian.Uint64(b))) }
func decodeInt32(b []byte) float32  { return float32(int32(binary.LittleEndian.Uint32(b))) }
func decodeInt16(b []byte) float32  { return float32(int16(binary.LittleEndian.Uint16(b))) }
func decodeUint16(b []byte) float32 { return float32(binary.LittleEndian.Uint16(b)) }
func decodeInt8(b []byte) float32   { return float32(int8(b[0])) }
func decodeUint8(b []byte) float32  { return float32(b[0]) }

// decodeBFloat16 decodes the upper half of a float32.
func decodeBFloat16(b []byte) float32 {
	return math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16)
}

func decodeHalf(b []byte) float32 { return kernel.HalfToFloat(binary.LittleEndian.Uint16(b)) }

// DecodeStrings returns the shape and the elements of a tensor of byte strings, such as encoded
// pictures. They are those of the message, not copies. If there are fewer than the shape has, the
// last one stands for the missing ones, but there must be one. The error is a *TensorError, also
// if there are more than maxElements.
func DecodeStrings(t *pb.TensorProto, maxElements int) (shape []int, values [][]byte, err error) {
	if shape, err = DecodeShape(t, maxElements); err != nil {
		return nil, nil, err
	}
	if t.GetDtype() != pb.DataType_DT_STRING {
		return nil, nil, malformed("its type is %v, not %v", t.GetDtype(), pb.DataType_DT_STRING)
	}
	if len(t.GetTensorContent()) > 0 {
		return nil, nil, malformed("strings must be in string_val, not in tensor_content")
	}
	n := countElements(shape)
	if err := checkField(t, len(t.GetStringVal()), n); err != nil {
		return nil, nil, err
	}
	values = make([][]byte, 0, n)
	values = append(values, t.GetStringVal()...)
	for len(values) < n {
		values = append(values, values[len(values)-1])
	}
	return shape, values, nil
}

// EncodeFloats returns a tensor of float32 with its elements in float_val, as TensorFlow Serving
// returns them: clients read that field. It keeps values. It panics if the shape does not have as
// many elements.
func EncodeFloats(values []float32, shape ...int) *pb.TensorProto {
	return &pb.TensorProto{Dtype: pb.DataType_DT_FLOAT, TensorShape: encodeShape(len(values), shape), FloatVal: values}
}

// EncodeStrings returns a tensor of strings. It panics if the shape does not have as many elements.
func EncodeStrings(values []string, shape ...int) *pb.TensorProto {
	t := &pb.TensorProto{Dtype: pb.DataType_DT_STRING, TensorShape: encodeShape(len(values), shape)}
	for _, v := range values {
		t.StringVal = append(t.StringVal, []byte(v))
	}
	return t
}

// EncodeShape returns the shape of an input or output of a signature; -1 is an open size.
func EncodeShape(shape ...int) *pb.TensorShapeProto {
	s := &pb.TensorShapeProto{}
	for _, n := range shape {
		s.Dim = append(s.Dim, &pb.TensorShapeProto_Dim{Size: int64(n)})
	}
	return s
}

func encodeShape(elements int, shape []int) *pb.TensorShapeProto {
	if countElements(shape) != elements {
		panic(fmt.Sprintf("tensorflow: %d elements for shape %v", elements, shape))
	}
	return EncodeShape(shape...)
}
