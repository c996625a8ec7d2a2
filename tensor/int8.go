package tensor

import (
	"fmt"
	"math"
)

// scaleSuffix ends the name of the tensor that holds the scales of one stored as int8.
const scaleSuffix = ".scale"

// minInt8Values is the number of values from which Int8 stores a tensor so: below, the
// scales and the loss are not worth it. Depthwise kernels, which bear it badly, have one
// value on their last axis.
const minInt8Values = 4096

// fitsInt8 reports whether Int8 stores a tensor as int8: a matrix or kernel with a
// column for each output. All others are stored as float16.
func fitsInt8(t *Tensor) bool {
	axes := len(t.Shape)
	return axes >= 2 && t.Shape[axes-1] > 1 && len(t.Data) >= minInt8Values
}

// Quantize returns how Int8 stores a tensor: integers from −127 to 127, in the order of its
// values, and a scale for each place on its last axis, so that value ≈ integer · scale.
// Both are nil for a tensor that Int8 stores as Float16. The values that Map.As(Int8) gives
// are such products, and come back as they were. It fails if a value is not finite.
func Quantize(t *Tensor) (integers []int8, scales []float32, err error) {
	if !fitsInt8(t) {
		return nil, nil, nil
	}
	return quantize(t)
}

// quantize returns integers and a scale for each place on the last axis, so that
// value ≈ integer · scale with integers from −127 to 127. Values that are such products
// with its scales come back as they were. It fails if a value is not finite.
func quantize(t *Tensor) (integers []int8, scales []float32, err error) {
	channels := t.Shape[len(t.Shape)-1]
	scales = make([]float32, channels)
	for i, v := range t.Data {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return nil, nil, fmt.Errorf("value %d is %g", i, v)
		}
		scales[i%channels] = max(scales[i%channels], float32(math.Abs(float64(v))))
	}
	for c, largest := range scales {
		scales[c] = scaleOf(largest)
	}
	integers = make([]int8, len(t.Data))
	for i, v := range t.Data {
		integers[i] = int8(math.RoundToEven(float64(v) / float64(scales[i%channels])))
	}
	return integers, scales, nil
}

// scaleOf is largest/127, rounded up to 16 bits of precision: so all products with
// integers are exact, and to store what was stored changes nothing.
func scaleOf(largest float32) float32 {
	const smallest = 1e-30 // below it everything is zero
	if largest < smallest {
		return 1
	}
	bits := math.Float32bits(largest / 127)
	if low := bits & 0xff; low != 0 {
		bits += 0x100 - low
	}
	return math.Float32frombits(bits)
}

// dequantize sets values to integer · scale, with the integers as a file has them.
func dequantize(values []float32, integers []byte, scales []float32) {
	for low := 0; low < len(values); low += len(scales) {
		row, from := values[low:][:len(scales)], integers[low:][:len(scales)]
		for c, scale := range scales {
			row[c] = float32(int8(from[c])) * scale
		}
	}
}
