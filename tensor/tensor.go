// Package tensor has dense float32 tensors and reads and writes them as safetensors
// files.
//
// The axes of feature maps are always n, h, w, c (batch, row, column, channel);
// those of convolution kernels are h, w, in, out.
package tensor

import (
	"fmt"
	"strings"
)

// Tensor is a dense tensor of float32 values in row-major order: the last axis
// is contiguous.
type Tensor struct {
	Shape []int
	Data  []float32
}

// New returns a tensor of zeros. It panics if a dimension is negative.
func New(shape ...int) *Tensor {
	return &Tensor{Shape: append([]int(nil), shape...), Data: make([]float32, Len(shape))}
}

// FromSlice returns a tensor that shares data. It panics if data does not fill the
// shape exactly.
func FromSlice(data []float32, shape ...int) *Tensor {
	if len(data) != Len(shape) {
		panic(fmt.Sprintf("tensor: %d values do not fill shape %s", len(data), ShapeString(shape)))
	}
	return &Tensor{Shape: append([]int(nil), shape...), Data: data}
}

// Len returns the number of values in a tensor of the given shape: the product
// of its dimensions, 1 for no dimension. It panics if a dimension is negative.
func Len(shape []int) int {
	n := 1
	for _, d := range shape {
		if d < 0 {
			panic(fmt.Sprintf("tensor: negative dimension in shape %s", ShapeString(shape)))
		}
		n *= d
	}
	return n
}

// ShapeString formats a shape: [1 224 224 3].
func ShapeString(shape []int) string {
	return strings.TrimSpace(fmt.Sprint(shape))
}
