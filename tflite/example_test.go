package tflite_test

import (
	"bytes"
	"fmt"

	"garb/nn"
	"garb/tensor"
	"garb/tflite"
)

func Example() {
	// A picture's mean colour, and two classes by it.
	network := &nn.Network{
		Layers: []nn.Layer{
			{Op: nn.OpInput, Shape: []int{8, 8, 3}},
			{Op: nn.OpGlobalAveragePool, Inputs: []int{0}},
			{Op: nn.OpDense, Name: "classifier", Inputs: []int{1}, Units: 2},
		},
		Tensors: tensor.Map{"classifier/kernel": tensor.FromSlice([]float32{1, 0, 0, 0, 0, 1}, 3, 2)},
	}
	var file bytes.Buffer
	if err := tflite.Write(&file, network, tflite.Options{Labels: []string{"red", "blue"}}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n", file.Bytes()[4:8])
	// Output: TFL3
}
