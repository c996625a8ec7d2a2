package tensor

import (
	"fmt"
	"math"
)

// scaleSuffix ends the name of the tensor that holds an int8 tensor's scales.
const scaleSuffix = ".scale"

// minInt8Values is the number of values below which int8 saves too little to be worth its
// error.
const minInt8Values = 4096

// fitsInt8 reports whether a file of type Int8 stores a tensor as int8: a large matrix or
// kernel with more than one output. The others are stored as float16, among them depthwise
// kernels, which have a last axis of 1 and lose too much precision.
func fitsInt8(t *Tensor) bool {
	axes := len(t.Shape)
	return axes >= 2 && t.Shape[axes-1] > 1 && len(t.Data) >= minInt8Values
}

// Quantize quantizes a tensor as a file of type Int8 does: to integers from −127 to 127, in
// the order of its values, with one scale per place on its last axis, so that
// value ≈ integer · scale. It returns nil for a tensor that such a file stores as Float16.
// The values that Map.As(Int8) returns are quantized without error. Quantize fails if a
// value is not finite.
func Quantize(t *Tensor) (integers []int8, scales []float32, err error) {
	if !fitsInt8(t) {
		return nil, nil, nil
	}
	return quantize(t)
}

// quantize does what Quantize does for a tensor of any size.
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
		scales[c] = chooseScale(largest)
	}
	integers = make([]int8, len(t.Data))
	for i, v := range t.Data {
		integers[i] = int8(math.RoundToEven(float64(v) / float64(scales[i%channels])))
	}
	return integers, scales, nil
}

// chooseScale returns largest/127, rounded up to 16 bits of precision: the products with
// integers are then exact, and quantizing them again changes nothing.
func chooseScale(largest float32) float32 {
	const smallest = 1e-30 // smaller values become zero
	if largest < smallest {
		return 1
	}
	bits := math.Float32bits(largest / 127)
	if low := bits & 0xff; low != 0 {
		bits += 0x100 - low
	}
	return math.Float32frombits(bits)
}

// dequantize sets values to integer · scale. integers are a file's bytes.
func dequantize(values []float32, integers []byte, scales []float32) {
	for low := 0; low < len(values); low += len(scales) {
		row, quantized := values[low:][:len(scales)], integers[low:][:len(scales)]
		for c, scale := range scales {
			row[c] = float32(int8(quantized[c])) * scale
		}
	}
}
