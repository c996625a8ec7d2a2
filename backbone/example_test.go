package backbone_test

import (
	"fmt"

	"garb/backbone"
	"garb/nn"
	"garb/picture"
)

// The table of architectures says what each network needs and gives.
func ExampleAll() {
	for _, a := range backbone.All() {
		fmt.Printf("%-18s %d × %d pixels, %d features\n", a.Name, a.Spec.Width, a.Spec.Height, a.FeatureCount)
	}
	// Output:
	// efficientnet-lite0 224 × 224 pixels, 1280 features
	// efficientnet-lite1 240 × 240 pixels, 1280 features
	// efficientnet-lite2 260 × 260 pixels, 1280 features
	// efficientnet-lite3 280 × 280 pixels, 1280 features
	// efficientnet-lite4 300 × 300 pixels, 1280 features
	// xception           299 × 299 pixels, 2048 features
	// mobilenet-v2       224 × 224 pixels, 1280 features
	// resnet18           224 × 224 pixels, 512 features
	// resnet50           224 × 224 pixels, 2048 features
	// small-cnn          150 × 150 pixels, 64 features
}

// Features is the network that turns a picture into a feature vector.
func ExampleArchitecture_Features() {
	a, err := backbone.Lookup("efficientnet-lite0")
	if err != nil {
		fmt.Println(err)
		return
	}
	g := a.Features(a.Spec.Height, a.Spec.Width)
	fmt.Println(g.InputShape(), "to", g.OutputShape(), "with", g.ParamCount(), "parameters")
	// Output: [224 224 3] to [1280] with 3413024 parameters
}

// WithHead puts layers of your own on a backbone: here a classifier of five classes.
func ExampleArchitecture_WithHead() {
	a, err := backbone.Lookup("resnet18")
	if err != nil {
		fmt.Println(err)
		return
	}
	g := a.WithHead(160, 160, func(b *nn.Builder, features nn.Value) nn.Value {
		x := b.ReLU(b.Dense("inner1", features, 100, nn.WithBias()))
		return b.Dense(backbone.ClassifierName, b.Dropout(x, 0.2), 5, nn.WithBias())
	})
	fmt.Println(g.InputShape(), "to", g.OutputShape())
	// Output: [160 160 3] to [5]
}

// Adapt makes a network for other pictures, here to grey ones of another size.
func ExampleArchitecture_Adapt() {
	a, err := backbone.Lookup("efficientnet-lite0")
	if err != nil {
		fmt.Println(err)
		return
	}
	spec := a.Spec
	spec.Width, spec.Height, spec.Grey = 128, 128, true
	grey, err := a.Adapt(spec)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(grey.Features(128, 128).InputShape())
	// Output: [128 128 1]
}

// FromLayers makes a backbone of any network: here one that another program described.
func ExampleFromLayers() {
	layers := []nn.Layer{
		{Op: nn.OpInput, Shape: []int{32, 32, 3}},
		{Op: nn.OpConv, Name: "conv", Inputs: []int{0}, Units: 16, Height: 3, Width: 3, Stride: 2, Same: true},
		{Op: nn.OpReLU, Inputs: []int{1}},
	}
	spec := picture.Spec{
		Width: 32, Height: 32, Filter: picture.Bilinear, Fit: picture.Stretch,
		Mean: [3]float32{127.5, 127.5, 127.5}, Std: [3]float32{127.5, 127.5, 127.5},
	}
	a, err := backbone.FromLayers(layers, spec)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(a.Name, a.FeatureCount, a.Features(32, 32).OutputShape())
	// Output: own 16 [16]
}
