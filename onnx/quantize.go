package onnx

import (
	"fmt"
	"math"
	"slices"

	"garb/nn"
	"garb/tensor"
)

// writeQuantized writes a parameter as int8 with a scale for each output, and the node that
// converts it to float32, which has the parameter's name: a convolution's kernel as [out in kh kw],
// a dense layer's as [out in]. It returns "" for a parameter that is not stored as int8.
//
// ONNX Runtime 1.32 turns products with a dequantized [in out] into ones that also round their
// input to 8 bits, which moves logits by a hundredth. It does not do so with [out in].
func (b *writer) writeQuantized(p nn.Param, t *tensor.Tensor) (name string, err error) {
	key := fmt.Sprint("dequantized ", p.Name) // several layers may share it
	if known, ok := b.constants[key]; ok {
		return known, nil
	}
	integers, scales, err := tensor.Quantize(t)
	if err != nil {
		return "", &nn.WeightError{Name: p.Name, Detail: "cannot be written as int8", Err: err}
	}
	if integers == nil {
		return "", nil
	}
	// A kernel [in out] is one of a window of 1 × 1.
	kernel := append(slices.Repeat([]int{1}, 4-len(p.Shape)), p.Shape...)
	stored := initializer{name: p.Name + "/int8"}
	stored.dims, stored.small = moveFiltersFirst(integers, kernel, false)
	stored.dims = stored.dims[:len(p.Shape)]
	steps := initializer{name: p.Name + "/int8/scale", dims: []int{len(scales)}, floats: scales}
	inputs := []string{b.addConstant(stored), b.addConstant(steps)} // without zero points, which are 0
	name = b.addNode("DequantizeLinear", p.Name, inputs, intAttribute("axis", 0))
	b.constants[key] = name
	return name, nil
}

// roundToHalf rounds a tensor to float16, as garb's int8 files store those that are not int8. One
// that float16 cannot hold stays as it is.
func roundToHalf(name string, t *tensor.Tensor) *tensor.Tensor {
	rounded := tensor.Map{name: t}.As(tensor.Float16)[name]
	for i, v := range rounded.Data {
		if math.IsInf(float64(v), 0) && v != t.Data[i] {
			return t
		}
	}
	return rounded
}

// readDequantizeLinear converts constant integers to floats: (integer − zero point) · scale, with
// one of each for all, or for each place on an axis.
func (c *call) readDequantizeLinear() (value, error) {
	k, err := c.constantInput(0)
	if err != nil {
		return value{}, err
	}
	scales, err := c.constantInput(1)
	if err != nil {
		return value{}, err
	}
	if k.integers == nil || scales.integers != nil {
		return value{}, c.errDamaged("its inputs are not whole numbers and scales of floating point")
	}
	if c.integerAttribute("block_size", 0) != 0 {
		return value{}, c.errUnsupported("scales for blocks")
	}
	c.ignore("axis")       // of one scale
	places, behind := 1, 1 // on the axis, and the values of each
	if scales.len() != 1 {
		at, err := c.resolveAxis(c.integerAttribute("axis", 1), len(k.dims))
		if err != nil {
			return value{}, err
		}
		places = k.dims[at]
		for _, n := range k.dims[at+1:] {
			behind *= n
		}
		if len(scales.dims) != 1 || scales.len() != places {
			return value{}, c.errDamaged("scales %v for axis %d of %v", scales.dims, at, k.dims)
		}
	}
	zeros := make([]int64, places)
	if c.hasInput(2) {
		given, err := c.constantInput(2)
		if err != nil {
			return value{}, err
		}
		if zeros = given.integers; len(zeros) != places {
			return value{}, c.errDamaged("zero points %v for scales %v", given.dims, scales.dims)
		}
	}
	if err := c.budget.take(k.len()); err != nil { // it is kept
		return value{}, err
	}
	values := make([]float32, k.len())
	for i, v := range k.integers {
		at := i / behind % places
		if v != int64(int32(v)) || zeros[at] != int64(int32(zeros[at])) {
			return value{}, c.errDamaged("a value of more than 32 bits")
		}
		values[i] = float32(v-zeros[at]) * scales.floats[at]
	}
	return value{constant: &constant{kind: typeFloat, dims: k.dims, floats: values}}, nil
}
