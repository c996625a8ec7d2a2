package tflite_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"garb/nn"
	"garb/tensor"
	"garb/tflite"
)

// A network becomes a TensorFlow Lite model, for phones and small computers.
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

// With Pictures the model takes pictures as bytes and prepares them itself.
func ExampleOptions() {
	network := &nn.Network{
		Layers: []nn.Layer{
			{Op: nn.OpInput, Shape: []int{8, 8, 3}},
			{Op: nn.OpGlobalAveragePool, Inputs: []int{0}},
			{Op: nn.OpDense, Name: "classifier", Inputs: []int{1}, Units: 2},
		},
		Tensors: tensor.Map{"classifier/kernel": tensor.FromSlice([]float32{1, 0, 0, 0, 0, 1}, 3, 2)},
	}
	var file strings.Builder
	err := tflite.Write(&file, network, tflite.Options{
		Name: "colours", Doc: "red or blue, by the mean colour", Labels: []string{"red", "blue"},
		Preprocessing: &tflite.Preprocessing{Mean: []float32{127.5, 127.5, 127.5}, Std: []float32{127.5, 127.5, 127.5}},
		Pictures:      true,
		Acceptance:    &tflite.Acceptance{Energy: true, Slope: 2, Offset: -5},
		Metadata:      map[string]string{"licence": "Apache-2.0"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, name := range []string{"picture", "probabilities", "logits", "acceptance"} {
		fmt.Println(name, strings.Contains(file.String(), name))
	}
	// Output:
	// picture true
	// probabilities true
	// logits true
	// acceptance true
}

// Labels are lines of a file, so that none may hold a line break.
func ExampleLabelError() {
	network := &nn.Network{
		Layers: []nn.Layer{
			{Op: nn.OpInput, Shape: []int{8, 8, 3}},
			{Op: nn.OpGlobalAveragePool, Inputs: []int{0}},
		},
	}
	var file bytes.Buffer
	err := tflite.Write(&file, network, tflite.Options{Labels: []string{"red", "green", "blue\nor black"}})
	var label *tflite.LabelError
	if errors.As(err, &label) {
		fmt.Printf("%q\n", label.Label)
	}
	// Output: "blue\nor black"
}
