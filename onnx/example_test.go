package onnx_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"garb/nn"
	"garb/onnx"
	"garb/tensor"
)

// A network is written for other programs, and read back.
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

// Files of other programs are read as layers of garb's: here what PyTorch exported, whose feature
// maps have the channels first.
func ExampleReadFile() {
	network, info, err := onnx.ReadFile("testdata/torch.onnx", onnx.DefaultLimits())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(info.Producer, info.Input.Layout, info.Input.Shape)
	g, err := nn.NewGraph(network.Layers)
	if err != nil {
		fmt.Println(err)
		return
	}
	plan, err := nn.Compile(g, network.Tensors, nn.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	picture := make([]float32, tensor.Len(plan.InputShape()))
	logits := make([]float32, tensor.Len(plan.OutputShape()))
	if err := plan.Run(context.Background(), picture, logits); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(plan.InputShape(), "to", len(logits), "logits")
	// Output:
	// pytorch NCHW [-1 3 9 9]
	// [9 9 3] to 4 logits
}

// A file that leaves the size of its pictures open needs one.
func ExampleSizeError() {
	limits := onnx.DefaultLimits()
	_, _, err := onnx.ReadFile("testdata/old.onnx", limits)
	var size *onnx.SizeError
	if errors.As(err, &size) {
		fmt.Println("the size of", size.Input, "is open")
		limits.Side = 9
	}
	network, _, err := onnx.ReadFile("testdata/old.onnx", limits)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(network.Layers[0].Shape)
	// Output:
	// the size of pixels is open
	// [9 9 3]
}

// With Preprocessing the model takes pictures as bytes, so that other programs need not know how
// they are prepared. Int8 stores the weights in a quarter of the space.
func ExampleOptions() {
	network := &nn.Network{
		Layers: []nn.Layer{
			{Op: nn.OpInput, Shape: []int{8, 8, 3}},
			{Op: nn.OpFlatten, Inputs: []int{0}},
			{Op: nn.OpDense, Name: "classifier", Inputs: []int{1}, Units: 64},
		},
		Tensors: tensor.Map{"classifier/kernel": tensor.New(8*8*3, 64)},
	}
	var large, small bytes.Buffer
	if err := onnx.Write(&large, network, onnx.Options{}); err != nil {
		fmt.Println(err)
		return
	}
	o := onnx.Options{
		Int8:          true,
		Preprocessing: &onnx.Preprocessing{Mean: []float32{127, 127, 127}, Std: []float32{128, 128, 128}},
	}
	if err := onnx.Write(&small, network, o); err != nil {
		fmt.Println(err)
		return
	}
	_, info, err := onnx.Read(small.Bytes(), onnx.DefaultLimits())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("takes", info.Input.Name, "of bytes:", info.Input.Picture)
	fmt.Println("less than a third:", small.Len() < large.Len()/3)
	// Output:
	// takes picture of bytes: true
	// less than a third: true
}

// A model may say, beside its classes, whether a picture shows any of them: here by the energy of
// its logits.
func ExampleAcceptance() {
	network := &nn.Network{
		Layers: []nn.Layer{
			{Op: nn.OpInput, Shape: []int{8, 8, 3}},
			{Op: nn.OpGlobalAveragePool, Inputs: []int{0}},
			{Op: nn.OpDense, Name: "classifier", Inputs: []int{1}, Units: 2},
		},
		Tensors: tensor.Map{"classifier/kernel": tensor.FromSlice([]float32{1, 0, 0, 0, 0, 1}, 3, 2)},
	}
	var file bytes.Buffer
	o := onnx.Options{Acceptance: &onnx.Acceptance{Energy: true, Slope: 2, Offset: -5}}
	if err := onnx.Write(&file, network, o); err != nil {
		fmt.Println(err)
		return
	}
	_, info, err := onnx.Read(file.Bytes(), onnx.DefaultLimits())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(info.Outputs)
	// Output: [logits probabilities acceptance]
}

// What is no ONNX model, or damaged, is a FormatError.
func ExampleFormatError() {
	_, _, err := onnx.Read([]byte("this is text"), onnx.DefaultLimits())
	var format *onnx.FormatError
	fmt.Println(errors.As(err, &format))
	// Output: true
}
