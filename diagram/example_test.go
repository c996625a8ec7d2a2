package diagram_test

import (
	"bytes"
	"context"
	"fmt"

	"garb/diagram"
	"garb/nn"
	"garb/tensor"
)

// Boxes shows what is drawn as one: a convolution with the batch-norm and activation behind it.
func ExampleBoxes() {
	b := nn.NewBuilder(32, 32, 3)
	x := b.ReLU(b.BatchNorm("norm", b.Conv("conv", b.Input(), 8, 3, 2, nn.Same), 1e-3))
	g := b.Build(b.Dense("classifier", b.GlobalAveragePool(x), 2))
	for i, box := range diagram.Boxes(g) {
		fmt.Print(i, ":")
		for _, l := range box.Layers {
			fmt.Print(" ", g.Layers()[l].Op)
		}
		fmt.Println(", below", box.Above)
	}
	// Output:
	// 0: Input, below []
	// 1: Conv BatchNorm ReLU, below [0]
	// 2: GlobalAveragePool, below [1]
	// 3: Dense, below [2]
}

// A diagram with the time of each layer shows where a network spends it.
func ExampleWriteSVG() {
	b := nn.NewBuilder(32, 32, 3)
	x := b.ReLU(b.Conv("conv", b.Input(), 8, 3, 2, nn.Same))
	g := b.Build(b.Dense("classifier", b.GlobalAveragePool(x), 2))
	weights := tensor.Map{"conv/kernel": tensor.New(3, 3, 3, 8), "classifier/kernel": tensor.New(8, 2)}
	plan, err := nn.Compile(g, weights, nn.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	times, err := plan.Profile(context.Background(), make([]float32, 32*32*3), 3)
	if err != nil {
		fmt.Println(err)
		return
	}
	var svg bytes.Buffer // or a file, such as network.svg
	if err := diagram.WriteSVG(&svg, g, "A small network", times); err != nil {
		fmt.Println(err)
		return
	}
	for _, text := range []string{"A small network", "Conv 3×3 /2, 8"} {
		fmt.Println(text, bytes.Contains(svg.Bytes(), []byte(text)))
	}
	// Output:
	// A small network true
	// Conv 3×3 /2, 8 true
}

func ExampleShort() {
	fmt.Println(diagram.Short(940), diagram.Short(4_652_008), diagram.Short(1_340_000_000))
	// Output: 940 4.65 M 1.34 G
}
