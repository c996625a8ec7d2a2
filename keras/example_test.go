package keras_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"garb/keras"
	"garb/nn"
	"garb/tensor"
)

// unpack reads one of the gzipped files in testdata, which Keras wrote.
func unpack(name string) []byte {
	packed, err := os.Open("testdata/" + name)
	if err != nil {
		log.Fatal(err)
	}
	defer packed.Close()
	r, err := gzip.NewReader(packed)
	if err != nil {
		log.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		log.Fatal(err)
	}
	return data
}

// Backbone finds one of garb's networks in a model that Keras trained.
func ExampleModel_Backbone() {
	model, err := keras.Open(unpack("small3.keras.gz"), keras.DefaultLimits())
	if err != nil {
		fmt.Println(err)
		return
	}
	found, err := model.Backbone()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(model.Class, found.Architecture, found.Tensors["conv1/kernel"].Shape)
	// Output: Sequential small-cnn [3 3 3 32]
}

// Network turns a whole model, whatever its layers, into one that garb runs.
func ExampleModel_Network() {
	model, err := keras.Open(unpack("network-homework3.keras.gz"), keras.DefaultLimits())
	if err != nil {
		fmt.Println(err)
		return
	}
	network, err := model.Network(0)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, l := range network.Layers {
		fmt.Println(l)
	}
	// Output:
	// Input
	// Conv 3×3, 8
	// ReLU
	// MaxPool 2×2 /2
	// Flatten
	// Dense 6
	// ReLU
	// Dense 1
	// Sigmoid
}

// A file can be looked into without running it.
func ExampleLayer() {
	model, err := keras.Open(unpack("small3.keras.gz"), keras.DefaultLimits())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("Keras", model.KerasVersion)
	for _, l := range model.Layers {
		for _, v := range l.Variables {
			fmt.Println(l.Class, v.Name, v.Shape())
		}
	}
	// Output:
	// Keras 3.15.1
	// Conv2D kernel [3 3 3 32]
	// Conv2D bias [32]
	// Dense kernel [128 64]
	// Dense bias [64]
	// Dense kernel [64 1]
	// Dense bias [1]
}

// Write makes a .keras archive that Keras loads, here one that gives probabilities.
func ExampleWrite() {
	network := &nn.Network{
		Layers: []nn.Layer{
			{Op: nn.OpInput, Shape: []int{8, 8, 3}},
			{Op: nn.OpGlobalAveragePool, Inputs: []int{0}},
			{Op: nn.OpDense, Name: "classifier", Inputs: []int{1}, Units: 2},
		},
		Tensors: tensor.Map{"classifier/kernel": tensor.FromSlice([]float32{1, 0, 0, 0, 0, 1}, 3, 2)},
	}
	var archive bytes.Buffer
	if err := keras.Write(&archive, network, keras.WriteOptions{
		Name: "colours", Probabilities: true,
		Preprocessing: &keras.Preprocessing{Mean: []float32{127.5, 127.5, 127.5}, Std: []float32{127.5, 127.5, 127.5}},
		Metadata:      map[string]string{"classes": "red,blue"},
	}); err != nil {
		fmt.Println(err)
		return
	}
	model, err := keras.Open(archive.Bytes(), keras.DefaultLimits())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(model.Name, model.Metadata["classes"])
	for _, l := range model.Layers {
		fmt.Println(l.Class)
	}
	// Output:
	// colours red,blue
	// InputLayer
	// Rescaling
	// GlobalAveragePooling2D
	// Dense
	// Softmax
}

// A layer that is not one of Keras's own is an error that names it, whatever its class is called.
func ExampleUnknownLayerError() {
	_, err := keras.Open(unpack("cases/custom_named_Dense.keras.gz"), keras.DefaultLimits())
	var unknown *keras.UnknownLayerError
	if errors.As(err, &unknown) {
		fmt.Println(unknown.Layer, unknown.Class)
	}
	// Output: dense Dense
}

// Limits refuse a file that would take too much memory.
func ExampleLimits() {
	limits := keras.DefaultLimits()
	limits.MaxBytes = 1000
	_, err := keras.Open(unpack("small3.keras.gz"), limits)
	var format *keras.FormatError
	fmt.Println(errors.As(err, &format))
	// Output: true
}

// What is none of Keras's files is a FormatError.
func ExampleFormatError() {
	_, err := keras.Open([]byte("%PDF-1.7"), keras.DefaultLimits())
	var format *keras.FormatError
	fmt.Println(errors.As(err, &format))
	// Output: true
}
