package nn_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"garb/nn"
	"garb/tensor"
)

// A plan is a network that is ready to answer: here one convolution whose result is averaged.
func ExampleCompile() {
	b := nn.NewBuilder(2, 2, 1)
	x := b.ReLU(b.Conv("conv", b.Input(), 1, 2, 1, nn.Valid))
	g := b.Build(b.GlobalAveragePool(x))

	weights := tensor.Map{"conv/kernel": tensor.FromSlice([]float32{1, 2, 3, 4}, 2, 2, 1, 1)}
	plan, err := nn.Compile(g, weights, nn.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	output := make([]float32, 1)
	if err := plan.Run(context.Background(), []float32{1, 1, 1, 1}, output); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(g.ParamCount(), output)
	// Output: 4 [10]
}

// A plan computes batches of any size: the inputs lie one after another, and so do the outputs.
func ExamplePlan_Run() {
	b := nn.NewBuilder(1, 1, 2)
	g := b.Build(b.Dense("classifier", b.Flatten(b.Input()), 3, nn.WithBias()))
	plan, err := nn.Compile(g, tensor.Map{
		"classifier/kernel": tensor.FromSlice([]float32{1, 0, 1, 0, 1, 1}, 2, 3),
		"classifier/bias":   tensor.FromSlice([]float32{0, 0, -1}, 3),
	}, nn.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	inputs := []float32{
		5, 2, // the first input
		0, 3, // the second
	}
	outputs := make([]float32, 2*3)
	if err := plan.Run(context.Background(), inputs, outputs); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(outputs[:3], outputs[3:])
	// Output: [5 2 6] [0 3 2]
}

// A small convolutional network for pictures of 32 × 32 pixels, and what each layer costs.
func ExampleBuilder() {
	b := nn.NewBuilder(32, 32, 3)
	x := b.Conv("conv1", b.Input(), 16, 3, 2, nn.Same)
	x = b.ReLU(b.BatchNorm("norm1", x, 1e-3))
	x = b.SeparableConv("conv2", x, 32, 3, 2, nn.Same)
	x = b.GlobalAveragePool(b.ReLU(x))
	x = b.Dense("classifier", b.Dropout(x, 0.5), 10, nn.WithBias())
	g := b.Build(x)

	fmt.Println(g.InputShape(), "to", g.OutputShape(), "with", g.ParamCount(), "parameters")
	for _, p := range g.Params() {
		fmt.Println(p.Name, p.Shape)
	}
	// Output:
	// [32 32 3] to [10] with 1482 parameters
	// conv1/kernel [3 3 3 16]
	// norm1/gamma [16]
	// norm1/beta [16]
	// norm1/moving_mean [16]
	// norm1/moving_variance [16]
	// conv2/depthwise/kernel [3 3 16 1]
	// conv2/pointwise/kernel [1 1 16 32]
	// classifier/kernel [32 10]
	// classifier/bias [10]
}

func ExampleGraph_Summary() {
	b := nn.NewBuilder(64, 64, 3)
	x := b.ReLU(b.Conv("conv1", b.Input(), 32, 3, 2, nn.Same))
	x = b.MaxPool(x, 2, 2, nn.Valid)
	x = b.ReLU(b.Conv("conv2", x, 64, 3, 1, nn.Same))
	g := b.Build(b.Dense("classifier", b.GlobalAveragePool(x), 2))
	for _, l := range g.Summary() {
		field := fmt.Sprint(l.ReceptiveField, " pixels")
		if l.ReceptiveField == 0 {
			field = "everything"
		}
		fmt.Printf("%-17s %-10s %5d parameters, sees %s\n", l.Layer, tensor.ShapeString(l.Shape), l.Params, field)
	}
	// Output:
	// Input             [64 64 3]      0 parameters, sees 1 pixels
	// Conv 3×3 /2, 32   [32 32 32]   864 parameters, sees 3 pixels
	// ReLU              [32 32 32]     0 parameters, sees 3 pixels
	// MaxPool 2×2 /2    [16 16 32]     0 parameters, sees 5 pixels
	// Conv 3×3, 64      [16 16 64] 18432 parameters, sees 13 pixels
	// ReLU              [16 16 64]     0 parameters, sees 13 pixels
	// GlobalAveragePool [64]           0 parameters, sees everything
	// Dense 2           [2]          128 parameters, sees everything
}

// Layers are plain data, so that a network can be stored as JSON and made again.
func ExampleNewGraph() {
	const description = `[
		{"op": "Input", "shape": [8, 8, 3]},
		{"op": "Conv", "name": "conv", "inputs": [0], "units": 4, "height": 3, "width": 3, "stride": 2, "same": true},
		{"op": "GlobalAveragePool", "inputs": [1]},
		{"op": "Softmax", "inputs": [2]}
	]`
	var layers []nn.Layer
	if err := json.Unmarshal([]byte(description), &layers); err != nil {
		fmt.Println(err)
		return
	}
	g, err := nn.NewGraph(layers)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, shape := range g.Shapes() {
		fmt.Println(g.Layers()[i], shape)
	}
	// Output:
	// Input [8 8 3]
	// Conv 3×3 /2, 4 [4 4 4]
	// GlobalAveragePool [4]
	// Softmax [4]
}

// A description that makes no sense is an error that names the layer.
func ExampleLayerError() {
	_, err := nn.NewGraph([]nn.Layer{
		{Op: nn.OpInput, Shape: []int{8, 8, 3}},
		{Op: nn.OpDense, Name: "classifier", Inputs: []int{0}, Units: 10}, // without a pooling before it
	})
	var layer *nn.LayerError
	if errors.As(err, &layer) {
		fmt.Println(layer.Layer, layer.Op, layer.Name)
	}
	// Output: 1 Dense classifier
}

// Weights that do not fit the graph are an error that names the parameter.
func ExampleWeightError() {
	b := nn.NewBuilder(1, 1, 4)
	g := b.Build(b.Dense("classifier", b.Flatten(b.Input()), 2))
	_, err := nn.Compile(g, tensor.Map{"classifier/kernel": tensor.New(2, 4)}, nn.Options{})
	var weight *nn.WeightError
	if errors.As(err, &weight) {
		fmt.Println(weight.Name)
	}
	// Output: classifier/kernel
}

// Overlay puts a new head on pretrained weights without copying them.
func ExampleOverlay() {
	pretrained := tensor.Map{
		"conv/kernel":       tensor.FromSlice([]float32{2}, 1, 1, 1, 1),
		"classifier/kernel": tensor.FromSlice([]float32{1}, 1, 1),
	}
	head := tensor.Map{"classifier/kernel": tensor.FromSlice([]float32{10}, 1, 1)}
	b := nn.NewBuilder(1, 1, 1)
	g := b.Build(b.Dense("classifier", b.Flatten(b.Conv("conv", b.Input(), 1, 1, 1, nn.Same)), 1))
	plan, err := nn.Compile(g, nn.Overlay{Top: head, Below: pretrained}, nn.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	output := make([]float32, 1)
	if err := plan.Run(context.Background(), []float32{3}, output); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(output)
	// Output: [60]
}

// A training step computes the loss and its gradient; an optimizer then changes the weights. Here
// a network with one inner layer learns whether the signs of its two inputs differ.
func ExampleTrainer() {
	b := nn.NewBuilder(1, 1, 2)
	x := b.ReLU(b.Dense("inner", b.Flatten(b.Input()), 4, nn.WithBias()))
	g := b.Build(b.Dense("classifier", x, 2, nn.WithBias()))
	weights := tensor.Map{
		"inner/kernel":      tensor.FromSlice([]float32{0.5, -0.5, 0.4, -0.4, 0.5, -0.5, -0.4, 0.4}, 2, 4),
		"inner/bias":        tensor.New(4),
		"classifier/kernel": tensor.New(4, 2),
		"classifier/bias":   tensor.New(2),
	}
	trainer, err := nn.NewTrainer(g, weights, nn.TrainerOptions{Loss: nn.SoftmaxCrossEntropy{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	inputs := []float32{1, 1, -1, -1, 1, -1, -1, 1}
	targets := []float32{1, 0, 1, 0, 0, 1, 0, 1} // class 0: signs are equal; class 1: they differ
	logits := make([]float32, 4*2)
	optimizer := &nn.Adam{}
	for step := range 101 {
		loss, err := trainer.Step(context.Background(), inputs, targets, logits)
		if err != nil {
			fmt.Println(err)
			return
		}
		if step%100 == 0 {
			fmt.Printf("step %d: loss %.1f\n", step, loss)
		}
		optimizer.Update(trainer.Variables(), 0.05)
	}
	for i := range 4 {
		fmt.Println(inputs[2*i:2*i+2], "differ:", logits[2*i+1] > logits[2*i])
	}
	// Output:
	// step 0: loss 0.7
	// step 100: loss 0.0
	// [1 1] differ: false
	// [-1 -1] differ: false
	// [1 -1] differ: true
	// [-1 1] differ: true
}

// Fine-tuning trains only some parameters: here those of the head.
func ExampleTrainerOptions() {
	b := nn.NewBuilder(4, 4, 3)
	x := b.GlobalAveragePool(b.ReLU(b.Conv("conv", b.Input(), 8, 3, 1, nn.Same)))
	g := b.Build(b.Dense("classifier", x, 2, nn.WithBias()))
	weights := tensor.Map{}
	for _, p := range g.Params() {
		weights[p.Name] = tensor.New(p.Shape...)
	}
	trainer, err := nn.NewTrainer(g, weights, nn.TrainerOptions{
		Loss:      nn.SoftmaxCrossEntropy{LabelSmoothing: 0.1},
		Trainable: func(p nn.Param) bool { return p.Name != "conv/kernel" },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, v := range trainer.Variables() {
		fmt.Println(v.Name, v.Shape)
	}
	// Output:
	// classifier/kernel [8 2]
	// classifier/bias [2]
}

// The learning rate rises during the warm-up and then falls along half a cosine.
func ExampleSchedule() {
	schedule := nn.Cosine(0.1, 0, 10)
	for _, step := range []int{0, 5, 10, 55, 100} {
		fmt.Printf("step %d: %.3f\n", step, schedule(step, 100))
	}
	// Output:
	// step 0: 0.000
	// step 5: 0.050
	// step 10: 0.100
	// step 55: 0.050
	// step 100: 0.000
}

func ExampleStepDecay() {
	schedule := nn.StepDecay(0.1, 0.5, 30)
	for _, step := range []int{0, 29, 30, 60, 90} {
		fmt.Printf("step %d: %.4f\n", step, schedule(step, 100))
	}
	// Output:
	// step 0: 0.1000
	// step 29: 0.1000
	// step 30: 0.0500
	// step 60: 0.0250
	// step 90: 0.0125
}

func ExampleOneCycle() {
	schedule := nn.OneCycle(0.01)
	for _, step := range []int{0, 15, 30, 65} {
		fmt.Printf("step %d: %.4f\n", step, schedule(step, 100))
	}
	// Output:
	// step 0: 0.0004
	// step 15: 0.0055
	// step 30: 0.0100
	// step 65: 0.0048
}

// Momentum carries on in the direction of earlier steps.
func ExampleSGD() {
	weight := &nn.Variable{Value: []float32{1}, Gradient: []float32{0.5}}
	optimizer := &nn.SGD{Momentum: 0.5}
	for range 3 {
		optimizer.Update([]*nn.Variable{weight}, 0.1)
		fmt.Printf("%.4f\n", weight.Value[0])
	}
	// Output:
	// 0.9500
	// 0.8750
	// 0.7875
}

// Adam's steps are about as long as the learning rate, whatever the scale of the gradients.
// With WeightDecay it is AdamW; biases are usually left out of the decay.
func ExampleAdam() {
	kernel := &nn.Variable{
		Param: nn.Param{Name: "classifier/kernel"}, Value: []float32{1, 1}, Gradient: []float32{1000, 0.001},
	}
	bias := &nn.Variable{Param: nn.Param{Name: "classifier/bias"}, Value: []float32{1}, Gradient: []float32{0}}
	optimizer := &nn.Adam{
		WeightDecay: 0.5,
		Decays:      func(v *nn.Variable) bool { return v.Name != "classifier/bias" },
	}
	optimizer.Update([]*nn.Variable{kernel, bias}, 0.01)
	fmt.Printf("%.3f %.3f\n", kernel.Value, bias.Value)
	// Output: [0.985 0.985] [1.000]
}

// An optimizer's state is stored with the weights, so that an interrupted training can go on.
func ExampleOptimizer() {
	weight := &nn.Variable{
		Param: nn.Param{Name: "classifier/kernel", Shape: []int{1}}, Value: []float32{1}, Gradient: []float32{1},
	}
	variables := []*nn.Variable{weight}
	var first nn.Optimizer = &nn.SGD{Momentum: 0.9}
	first.Update(variables, 0.1)
	state := first.State(variables)

	var second nn.Optimizer = &nn.SGD{Momentum: 0.9}
	if err := second.Restore(variables, state); err != nil {
		fmt.Println(err)
		return
	}
	second.Update(variables, 0.1) // as the first would have gone on
	fmt.Printf("%.2f\n", weight.Value[0])
	// Output: 0.71
}

// The moving average of the weights smooths the steps of training.
func ExampleAverage() {
	weight := &nn.Variable{Param: nn.Param{Name: "w", Shape: []int{1}}, Value: []float32{0}}
	variables := []*nn.Variable{weight}
	average := &nn.Average{Decay: 0.999}
	for step := range 1000 {
		weight.Value[0] = float32(step % 2) // the training goes to and fro between 0 and 1
		average.Update(variables)
	}
	smooth, err := average.Over(tensor.Map{}, variables).Tensor("w")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("last step: %.0f, average: %.1f\n", weight.Value[0], smooth.Data[0])
	// Output: last step: 1, average: 0.5
}

// A confident wrong answer costs far more than a hesitant one.
func ExampleSoftmaxCrossEntropy() {
	loss := nn.SoftmaxCrossEntropy{}
	gradient := make([]float32, 3)
	target := []float32{1, 0, 0}
	for _, logits := range [][]float32{{5, 0, 0}, {0, 0, 0}, {0, 5, 0}} {
		fmt.Printf("loss %.2f, gradient %.2f\n", loss.Gradient(gradient, logits, target), gradient)
	}
	// Output:
	// loss 0.01, gradient [-0.01 0.01 0.01]
	// loss 1.10, gradient [-0.67 0.33 0.33]
	// loss 5.01, gradient [-0.99 0.99 0.01]
}

// Each output of a multi-label network is a question of its own.
func ExampleBinaryCrossEntropy() {
	loss := nn.BinaryCrossEntropy{}
	gradient := make([]float32, 2)
	targets := []float32{1, 0} // stripes: yes; dots: no
	fmt.Printf("%.3f\n", loss.Gradient(gradient, []float32{3, -3}, targets))
	fmt.Printf("%.3f\n", loss.Gradient(gradient, []float32{3, 3}, targets))
	// Output:
	// 0.049
	// 1.549
}

// Clipping bounds the length of a step, and keeps its direction.
func ExampleClipGlobalNorm() {
	v := &nn.Variable{Gradient: []float32{30, 40}}
	norm := nn.ClipGlobalNorm([]*nn.Variable{v}, 1)
	fmt.Printf("%.0f %.1f\n", norm, v.Gradient)
	// Output: 50 [0.6 0.8]
}

// The gradient of an output by the input says which input values it depends on.
func ExampleDifferentiator() {
	b := nn.NewBuilder(1, 1, 3)
	g := b.Build(b.Dense("classifier", b.Flatten(b.Input()), 2))
	weights := tensor.Map{"classifier/kernel": tensor.FromSlice([]float32{1, 2, 0, -4, 5, 0}, 3, 2)}
	d, err := nn.NewDifferentiator(g, weights)
	if err != nil {
		fmt.Println(err)
		return
	}
	output, gradient := make([]float32, 2), make([]float32, 3)
	second := []float32{0, 1} // of the second output
	if err := d.Gradient(context.Background(), []float32{1, 1, 1}, second, output, gradient); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(output, gradient)
	// Output: [6 -2] [2 -4 0]
}

// Argmax takes the first of equal values, and no NaN beside numbers.
func ExampleArgmax() {
	fmt.Println(nn.Argmax([]float32{1, 3, 3}), nn.Argmax([]float32{float32(math.NaN()), -1, -2}))
	// Output: 1 1
}

// LogSumExp does not overflow where the sum of the powers would.
func ExampleLogSumExp() {
	fmt.Printf("%.3f\n", nn.LogSumExp([]float32{1000, 1000}, 1))
	// Output: 1000.693
}

// squared is the mean squared error, for outputs that are numbers and no classes.
type squared struct{}

func (squared) Gradient(gradient, outputs, targets []float32) (loss float64) {
	n := float32(len(outputs))
	for i, v := range outputs {
		d := v - targets[i]
		gradient[i] = 2 * d / n
		loss += float64(d * d / n)
	}
	return loss
}

// Any loss with a gradient trains a network: here the squared error fits a line, y = 3x + 1.
func ExampleLoss() {
	b := nn.NewBuilder(1, 1, 1)
	g := b.Build(b.Dense("line", b.Flatten(b.Input()), 1, nn.WithBias()))
	weights := tensor.Map{"line/kernel": tensor.New(1, 1), "line/bias": tensor.New(1)}
	trainer, err := nn.NewTrainer(g, weights, nn.TrainerOptions{Loss: squared{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	x, y := []float32{-1, 0, 1, 2}, []float32{-2, 1, 4, 7}
	outputs := make([]float32, 4)
	optimizer := &nn.SGD{}
	for range 500 {
		if _, err := trainer.Step(context.Background(), x, y, outputs); err != nil {
			fmt.Println(err)
			return
		}
		optimizer.Update(trainer.Variables(), 0.1)
	}
	for _, v := range trainer.Variables() {
		fmt.Printf("%s %.2f\n", v.Name, v.Value)
	}
	// Output:
	// line/kernel [3.00]
	// line/bias [1.00]
}

// Options change a convolution: groups make it cheaper, gaps between its taps let it see farther.
func ExampleConvOption() {
	b := nn.NewBuilder(32, 32, 16)
	plain := b.Conv("plain", b.Input(), 16, 3, 1, nn.Same)
	grouped := b.Conv("grouped", plain, 16, 3, 1, nn.Same, nn.WithGroups(4))
	dilated := b.Conv("dilated", grouped, 16, 3, 1, nn.Same, nn.WithDilation(2, 2))
	for _, l := range b.Build(dilated).Summary() {
		fmt.Println(l.Layer, l.Params, "parameters, sees", l.ReceptiveField)
	}
	// Output:
	// Input 0 parameters, sees 1
	// Conv 3×3, 16 2304 parameters, sees 3
	// Conv 3×3, 16 in 4 groups 576 parameters, sees 5
	// Conv 3×3 dilated 2, 16 2304 parameters, sees 9
}
