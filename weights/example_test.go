package weights_test

import (
	"fmt"
	"os"
	"path/filepath"

	"garb/backbone"
	"garb/tensor"
	"garb/weights"
)

// A source names the network, the licence and the official file of pretrained weights.
func ExampleSource() {
	s, ok := weights.Lookup("xception")
	if !ok {
		fmt.Println("no such weights")
		return
	}
	fmt.Println(s.Architecture, s.Licence, "built in:", s.BuiltIn, "with its own classes:", s.WithTop)
	// Output: xception MIT built in: false with its own classes: false
}

// The networks of keras.applications can be trained on, too.
func ExampleApplication() {
	s, ok := weights.Lookup("keras-efficientnetb0")
	if !ok {
		fmt.Println("no such weights")
		return
	}
	a := s.Application
	fmt.Println(a.Keras, a.Parameters, "parameters, pictures of", a.Side, "pixels")
	// Output: EfficientNetB0 4049570 parameters, pictures of 224 pixels
}

func ExampleImageNetClass() {
	for _, c := range weights.ImageNetClasses() {
		if c.Name == "crane" { // a bird and a machine
			fmt.Println(c.Index, c.WNID)
		}
	}
	// Output:
	// 134 n02012849
	// 517 n03126707
}

// Read finds out whose weights a file holds, whatever program wrote it. Here the file has the
// parameters of small-cnn.
func ExampleRead() {
	folder, err := os.MkdirTemp("", "weights")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	a, err := backbone.Lookup("small-cnn")
	if err != nil {
		fmt.Println(err)
		return
	}
	tensors := tensor.Map{}
	for _, p := range a.Features(a.Spec.Height, a.Spec.Width).Params() {
		tensors[p.Name] = tensor.New(p.Shape...)
	}
	path := filepath.Join(folder, "found.safetensors")
	if err = tensor.WriteFile(path, nil, tensors, tensor.Float16); err != nil {
		fmt.Println(err)
		return
	}
	n, err := weights.Read(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(n.Architecture, n.ParameterCount(), "with top:", n.WithTop)
	// Output: small-cnn 11215808 with top: false
}
