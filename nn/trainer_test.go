package nn

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"garb/tensor"
)

// everyLayer are small networks that together have every layer and every way in
// which layers are fused.
var everyLayer = map[string]func() *Graph{
	"dense": func() *Graph {
		b := NewBuilder(2, 3, 2)
		return b.Build(b.Dense("b", b.ReLU(b.Dense("a", b.Flatten(b.Input()), 7, WithBias())), 4))
	},
	"convolutions": func() *Graph {
		b := NewBuilder(7, 6, 3)
		x := b.ReLU(b.Conv("a", b.Input(), 5, 3, 1, Same, WithBias()))
		x = b.BatchNorm("an", b.ConvRect("b", x, 6, 2, 3, 2, Valid, WithBias()), 1e-3)
		x = b.ReLU6(x)
		x = b.Conv("c", x, 4, 1, 2, Same)
		return b.Build(b.GlobalAveragePool(x))
	},
	"depthwise": func() *Graph {
		b := NewBuilder(6, 7, 3)
		x := b.ReLU6(b.BatchNorm("an", b.DepthwiseConv("a", b.Input(), 3, 1, Same), 1e-3))
		x = b.BatchNorm("bn", b.DepthwiseConv("b", x, 5, 2, Same, WithBias()), 1e-3)
		x = b.SeparableConv("c", b.ReLU(x), 4, 3, 2, Valid)
		return b.Build(b.GlobalAveragePool(x))
	},
	"groups": func() *Graph {
		b := NewBuilder(7, 8, 4)
		x := b.ReLU(b.BatchNorm("an", b.Conv("a", b.Input(), 6, 3, 1, Same, WithGroups(2), WithBias()), 1e-3))
		y := b.BatchNorm("bn", b.Conv("b", x, 6, 3, 1, Same, WithGroups(3)), 1e-3)
		x = b.ReLU6(b.Add(x, y)) // the sum is part of the convolution
		x = b.Conv("c", x, 8, 2, 2, Valid, WithGroups(2), WithBias())
		x = b.ReLU(b.Conv("d", x, 8, 1, 1, Valid, WithGroups(4)))
		z := b.BatchNorm("en", b.Conv("e", x, 16, 3, 1, Same, WithGroups(8)), 1e-3) // two filters for each channel
		// whose input is read by another too
		x = b.Concat(z, x)
		return b.Build(b.Dense("f", b.GlobalAveragePool(b.Tanh(x)), 4))
	},
	"gaps": func() *Graph {
		b := NewBuilder(9, 8, 3)
		x := b.ReLU(b.BatchNorm("an", b.Conv("a", b.Input(), 4, 3, 1, Same, WithDilation(2, 1)), 1e-3))
		x = b.ReLU6(b.BatchNorm("bn", b.Conv("b", x, 4, 3, 1, Same, WithDilation(2, 3), WithBias()), 1e-3))
		x = b.Conv("c", x, 4, 2, 1, Valid, WithDilation(1, 2), WithGroups(2))
		x = b.ReLU(b.BatchNorm("dn", b.DepthwiseConv("d", b.ReLU(x), 3, 1, Same, WithDilation(2, 2), WithBias()),
			1e-3))
		return b.Build(b.GlobalAveragePool(x))
	},
	"residual": func() *Graph {
		b := NewBuilder(6, 6, 3)
		x := b.BatchNorm("an", b.Conv("a", b.Input(), 8, 1, 1, Same), 1e-3)
		y := b.BatchNorm("bn", b.SeparableConv("b", b.ReLU(x), 8, 3, 1, Same), 1e-3)
		y = b.ReLU(b.Add(x, y))
		z := b.BatchNorm("cn", b.Conv("c", y, 8, 1, 1, Same), 1e-3)
		return b.Build(b.GlobalAveragePool(b.ReLU6(b.Add(b.Add(z, y), x))))
	},
	"pools": func() *Graph {
		b := NewBuilder(9, 8, 2)
		x := b.MaxPool(b.Conv("a", b.Input(), 4, 3, 1, Same, WithBias()), 3, 2, Same)
		y := b.AveragePool(x, 2, 1, Same)
		x = b.Add(x, b.BatchNorm("n", y, 1e-3))
		return b.Build(b.Dense("d", b.Flatten(b.MaxPool(x, 2, 2, Valid)), 4))
	},
	"activations": func() *Graph {
		b := NewBuilder(3, 3, 3)
		x := b.Sigmoid(b.Conv("a", b.Input(), 4, 2, 1, Valid))
		x = b.Softmax(b.Conv("b", x, 5, 1, 1, Valid))
		return b.Build(b.Sigmoid(b.Dense("c", b.BatchNorm("n", b.GlobalAveragePool(x), 1e-3), 4)))
	},
	"functions": func() *Graph {
		b := NewBuilder(3, 3, 3)
		x := b.Conv("a", b.Input(), 4, 2, 1, Valid, WithBias())
		x = b.Multiply(b.Swish(x), b.Reshape(b.Sigmoid(b.GlobalMaxPool(x)), 1, 1, 4))
		y := b.PReLU("p", b.Conv("b", x, 4, 1, 1, Valid))
		x = b.Concat(b.GELU(x), b.HardSwish(y), b.Tanh(b.BatchNorm("n", y, 1e-3)))
		return b.Build(b.Dense("c", b.ELU(b.GlobalAveragePool(b.Pad(x, 1, 0, 0, 1, false)), 0.7), 4))
	},
	"maps": func() *Graph {
		b := NewBuilder(4, 3, 3)
		x := b.Conv("a", b.Input(), 6, 2, 1, Same, WithBias())
		x = b.LayerNorm("l", x, 1e-3)
		y := b.GroupNorm("g", b.Upsample(b.Crop(x, 0, 1, 1, 0), 2, 3, true), 2, 1e-3)
		y = b.Crop(y, 1, 1, 2, 1)
		y = b.Maximum(b.CropChannels(y, 1, 2), b.CropChannels(b.Upsample(b.Crop(x, 1, 2, 1, 1), 4, 3, false), 0, 3))
		y = b.Maximum(b.Resize(y, 5, 2, true), b.Resize(y, 5, 2, false))
		z := b.GroupNorm("i", b.Minimum(y, b.Conv("b", y, 1, 1, 1, Same)), 3, 0.1)
		z = b.Add(b.Multiply(z, b.GlobalAveragePool(y)), b.Conv("c", z, 1, 1, 1, Same))
		return b.Build(b.Dense("d", b.LayerNorm("m", b.GlobalAveragePool(z), 0.1), 4))
	},
	"shared": func() *Graph {
		g, err := NewGraph([]Layer{
			{Op: OpInput, Shape: []int{4, 4, 3}},
			{Op: OpConv, Name: "c", Inputs: []int{0}, Units: 3, Height: 3, Width: 3, Stride: 1, Same: true,
				Bias: true},
			{Op: OpBatchNorm, Name: "n", Inputs: []int{1}, Epsilon: 1e-3},
			{Op: OpSwish, Inputs: []int{2}},
			{Op: OpConv, Name: "c", Inputs: []int{3}, Units: 3, Height: 3, Width: 3, Stride: 1, Same: true,
				Bias: true},
			{Op: OpBatchNorm, Name: "n", Inputs: []int{4}, Epsilon: 1e-3},
			{Op: OpPReLU, Name: "p", Inputs: []int{5}},
			{Op: OpConv, Name: "c", Inputs: []int{6}, Units: 3, Height: 3, Width: 3, Stride: 1, Same: true,
				Bias: true},
			{Op: OpPReLU, Name: "p", Inputs: []int{7}},
			{Op: OpGlobalAveragePool, Inputs: []int{8}},
			{Op: OpDense, Name: "d", Inputs: []int{9}, Units: 4},
		})
		if err != nil {
			panic(err)
		}
		return g
	},
	"dropout": func() *Graph {
		b := NewBuilder(4, 4, 3)
		x := b.Dropout(b.ReLU(b.Conv("a", b.Input(), 8, 3, 1, Same)), 0.3)
		return b.Build(b.Dense("b", b.Dropout(b.GlobalAveragePool(x), 0.5), 4))
	},
}

// makeBatch makes a batch for a graph with n images.
func makeBatch(g *Graph, n int, seed uint64) (input, targets []float32) {
	r := rand.New(rand.NewPCG(seed, 11))
	input = randomValues(n*tensor.Len(g.InputShape()), seed)
	classes := tensor.Len(g.OutputShape())
	targets = make([]float32, n*classes)
	for i := range n {
		targets[i*classes+r.IntN(classes)] = 1
	}
	return input, targets
}

// slope is the derivative of the loss along direction, by central differences of
// width h.
func slope(t *testing.T, tr *Trainer, v *Variable, h float64, direction, input, targets []float32) float64 {
	t.Helper()
	before := slices.Clone(v.Value)
	at := func(h float64) float64 {
		for i := range v.Value {
			v.Value[i] = before[i] + float32(h)*direction[i]
		}
		tr.SetSteps(0) // the same is dropped
		loss, err := tr.Step(t.Context(), input, targets, make([]float32, len(targets)))
		if err != nil {
			t.Fatal(err)
		}
		return loss
	}
	up, down := at(h), at(-h)
	copy(v.Value, before)
	return (up - down) / (2 * h)
}

func TestGradients(t *testing.T) {
	losses := map[string]Loss{
		"softmax": SoftmaxCrossEntropy{LabelSmoothing: 0.1, ClassWeights: []float64{1, 2, 0.5, 1.5, 1, 1, 1, 1}},
		"binary":  BinaryCrossEntropy{},
	}
	for name, build := range everyLayer {
		for lossName, loss := range losses {
			for _, batchStatistics := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/batchStatistics=%v", name, lossName, batchStatistics), func(t *testing.T) {
					testGradients(t, build(), TrainerOptions{Loss: loss, BatchStatistics: batchStatistics, Seed: 3})
				})
			}
		}
	}
}

// testGradients compares the slopes of the loss in random directions with differences.
func testGradients(t *testing.T, g *Graph, o TrainerOptions) {
	tr, err := NewTrainer(g, randomWeights(g, 1), o)
	if err != nil {
		t.Fatal(err)
	}
	input, targets := makeBatch(g, 11, 5)
	tr.SetSteps(0)
	if _, err := tr.Step(t.Context(), input, targets, make([]float32, len(targets))); err != nil {
		t.Fatal(err)
	}
	if len(tr.Variables()) == 0 {
		t.Fatal("nothing is trained")
	}
	r := rand.New(rand.NewPCG(9, 9))
	gradients := cloneGradients(tr)
	for _, v := range tr.Variables() {
		for range 3 {
			direction, want, size := make([]float32, len(v.Value)), 0.0, 0.0
			for i, g := range gradients[v.Name] {
				direction[i] = float32(r.NormFloat64() / math.Sqrt(float64(len(direction))))
				want += float64(direction[i] * g)
				size += float64(g) * float64(g)
			}
			// A wide difference may cross the kink of a ReLU, a narrow one has few digits left:
			// one of the two has to agree.
			tolerance := 0.02*math.Sqrt(size/float64(len(direction))) + 5e-4
			wide := slope(t, tr, v, 1e-3, direction, input, targets)
			if math.Abs(wide-want) <= tolerance {
				continue
			}
			if narrow := slope(t, tr, v, 1e-4, direction, input, targets); math.Abs(narrow-want) > tolerance {
				t.Errorf("%s: slope %v and %v by differences, %v by the gradient (of size %v)",
					v.Name, wide, narrow, want, math.Sqrt(size))
			}
		}
	}
}

// cloneGradients returns copies of the variables' gradients by name.
func cloneGradients(tr *Trainer) map[string][]float32 {
	all := map[string][]float32{}
	for _, v := range tr.Variables() {
		all[v.Name] = slices.Clone(v.Gradient)
	}
	return all
}

// TestTrainerForwardIsPlan checks that with stored statistics and without dropout a training step
// computes what a Plan does.
func TestTrainerForwardIsPlan(t *testing.T) {
	for name, build := range everyLayer {
		if name == "dropout" {
			continue
		}
		g := build().dropFinalActivation()
		w := randomWeights(g, 1)
		p, err := Compile(g, w, Options{})
		if err != nil {
			t.Fatal(err)
		}
		tr, err := NewTrainer(g, w, TrainerOptions{Loss: BinaryCrossEntropy{}})
		if err != nil {
			t.Fatal(err)
		}
		input, targets := makeBatch(g, 9, 5)
		want, got := make([]float32, len(targets)), make([]float32, len(targets))
		if err := p.Run(t.Context(), input, want); err != nil {
			t.Fatal(err)
		}
		if _, err := tr.Step(t.Context(), input, targets, got); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: logits %v…, want %v…", name, got[:3], want[:3])
		}
	}
}

// TestTrainerThreads checks that any number of threads gives the same bits.
func TestTrainerThreads(t *testing.T) {
	for name, build := range everyLayer {
		for _, batchStatistics := range []bool{false, true} {
			var want [][]float32
			for threads := 1; threads <= 5; threads++ {
				g := build()
				tr, err := NewTrainer(g, randomWeights(g, 1),
					TrainerOptions{Threads: threads, Loss: BinaryCrossEntropy{}, BatchStatistics: batchStatistics})
				if err != nil {
					t.Fatal(err)
				}
				input, targets := makeBatch(g, 13, 5)
				if _, err := tr.Step(t.Context(), input, targets, make([]float32, len(targets))); err != nil {
					t.Fatal(err)
				}
				var got [][]float32
				for _, v := range append(tr.Variables(), tr.Statistics()...) {
					got = append(got, v.Value, v.Gradient)
				}
				if want == nil {
					want = got
				} else if !slices.EqualFunc(got, want, slices.Equal[[]float32]) {
					t.Errorf("%s: %d threads give another gradient than one", name, threads)
				}
			}
		}
	}
}

// TestTrainerFrozen checks that with only the last layers trained their gradients are those of
// training all, and that the layers below run as a Plan.
func TestTrainerFrozen(t *testing.T) {
	for name, build := range everyLayer {
		if name == "dropout" {
			continue // a cut network numbers its dropouts differently
		}
		g := build()
		input, targets := makeBatch(g, 9, 5)
		gradients := func(trainable func(Param) bool) map[string][]float32 {
			tr, err := NewTrainer(g, randomWeights(g, 1),
				TrainerOptions{Loss: BinaryCrossEntropy{}, Trainable: trainable})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tr.Step(t.Context(), input, targets, make([]float32, len(targets))); err != nil {
				t.Fatal(err)
			}
			return cloneGradients(tr)
		}
		want := gradients(nil)
		params := g.Params()
		for first := range params {
			chosen := map[string]bool{}
			for _, p := range params[first:] {
				chosen[p.Name] = p.Trainable
			}
			if !slices.ContainsFunc(params[first:], func(p Param) bool { return p.Trainable }) {
				continue
			}
			for n, got := range gradients(func(p Param) bool { return chosen[p.Name] }) {
				compareGradients(t, fmt.Sprintf("%s from parameter %d on: %s", name, first, n), got, want[n])
			}
		}
	}
}

func compareGradients(t *testing.T, name string, got, want []float32) {
	t.Helper()
	for i := range got {
		if math.Abs(float64(got[i]-want[i])) > 1e-5*(1+math.Abs(float64(want[i]))) {
			t.Fatalf("%s: gradient %d is %v, want %v", name, i, got[i], want[i])
		}
	}
}

func TestTrainerStopped(t *testing.T) {
	g := everyLayer["dense"]()
	tr, err := NewTrainer(g, randomWeights(g, 1), TrainerOptions{Loss: BinaryCrossEntropy{}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	input, targets := makeBatch(g, 3, 1)
	if _, err := tr.Step(ctx, input, targets, make([]float32, len(targets))); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// TestProductsInBlocks compares the gradients of 1×1 convolutions over a map of several blocks with
// those computed by hand, which is possible because all layers up to the mean are linear.
func TestProductsInBlocks(t *testing.T) {
	const side, channels, filters = 33, 72, 80
	b := NewBuilder(side, side, 3)
	x := b.Conv("first", b.Input(), channels, 1, 1, Same, WithBias())
	x = b.Conv("second", x, filters, 1, 1, Same, WithBias())
	g := b.Build(b.Dense("classifier", b.GlobalAveragePool(x), 4))
	w := randomWeights(g, 3)
	tr, err := NewTrainer(g, w, TrainerOptions{Loss: SoftmaxCrossEntropy{}})
	if err != nil {
		t.Fatal(err)
	}
	input, targets := makeBatch(g, 1, 4)
	if _, err := tr.Step(t.Context(), input, targets, make([]float32, 4)); err != nil {
		t.Fatal(err)
	}
	values, gradients := map[string][]float32{}, map[string][]float32{}
	for _, v := range tr.Variables() {
		values[v.Name], gradients[v.Name] = v.Value, v.Gradient
	}
	mean := make([]float64, 3)
	for i, v := range input {
		mean[i%3] += float64(v) / (side * side)
	}
	outer := func(a, b []float64) (all []float32) {
		for _, a := range a {
			for _, b := range b {
				all = append(all, float32(a*b))
			}
		}
		return all
	}
	middle, firstBias, secondBias := make([]float64, channels), make([]float64, channels), make([]float64, filters)
	for f := range secondBias {
		secondBias[f] = float64(gradients["second/bias"][f])
	}
	for c := range middle {
		middle[c] = float64(values["first/bias"][c])
		for i, m := range mean {
			middle[c] += m * float64(values["first/kernel"][i*channels+c])
		}
		for f, v := range secondBias {
			firstBias[c] += v * float64(values["second/kernel"][c*filters+f])
		}
	}
	same(t, "second/kernel", gradients["second/kernel"], outer(middle, secondBias))
	same(t, "first/kernel", gradients["first/kernel"], outer(mean, firstBias))
}
