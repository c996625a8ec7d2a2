package onnx_test

import (
	"bytes"
	"fmt"

	"garb/nn"
	"garb/onnx"
	"garb/tensor"
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
	if err := onnx.Write(&file, network, onnx.Options{Metadata: map[string]string{"classes": "red,blue"}}); err != nil {
		fmt.Println(err)
		return
	}
	back, info, err := onnx.Read(file.Bytes(), onnx.DefaultLimits())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(info.Producer, info.Opset, info.Input.Layout, info.Input.Shape, info.Outputs, info.Metadata["classes"])
	for _, l := range back.Layers[1:] {
		fmt.Printf("%s %q\n", l.Op, l.Name)
	}
	// Output:
	// garb 17 NHWC [-1 8 8 3] [logits probabilities] red,blue
	// GlobalAveragePool ""
	// Dense "classifier"
}
