package nn

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"garb/tensor"

	"pgregory.net/rapid"
)

// randomWeights draws every parameter of a graph; variances are positive.
func randomWeights(g *Graph, seed uint64) tensor.Map {
	random := rand.New(rand.NewPCG(seed, 1))
	w := tensor.Map{}
	for _, p := range g.Params() {
		t := tensor.New(p.Shape...)
		fanIn := max(1, tensor.Len(p.Shape)/p.Shape[len(p.Shape)-1])
		for i := range t.Data {
			t.Data[i] = float32(random.NormFloat64() / math.Sqrt(float64(fanIn)))
			if !p.Trainable {
				t.Data[i] = random.Float32() + 0.5
			}
		}
		w[p.Name] = t
	}
	return w
}

func randomValues(n int, seed uint64) []float32 {
	random := rand.New(rand.NewPCG(seed, 2))
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(random.NormFloat64())
	}
	return v
}

func compile(t testing.TB, g *Graph, w Weights, threads int) *Plan {
	t.Helper()
	p, err := Compile(g, w, Options{Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func run1(t testing.TB, p *Plan, input []float32) []float32 {
	t.Helper()
	n := len(input) / tensor.Len(p.InputShape())
	output := make([]float32, n*tensor.Len(p.OutputShape()))
	if err := p.Run(context.Background(), input, output); err != nil {
		t.Fatal(err)
	}
	return output
}

// checkAgainstNaive compares a Plan's answer with the definition's. Float32 sums
// of some thousand terms of size 1 are off by about 1e-5.
func checkAgainstNaive(t testing.TB, g *Graph) {
	t.Helper()
	w := randomWeights(g, 7)
	input := randomValues(tensor.Len(g.InputShape()), 8)
	got, want := run1(t, compile(t, g, w, 2), input), naive(g, w, input)
	for i := range want {
		if d := math.Abs(float64(got[i]) - want[i]); !(d <= 1e-4*(1+math.Abs(want[i]))) {
			t.Fatalf("value %d of %d is %v, want %v", i, len(want), got[i], want[i])
		}
	}
}

// networks are graphs that together use every layer and every fusion.
var networks = map[string]func() *Graph{
	"conv same stride 2": func() *Graph {
		b := NewBuilder(11, 8, 3)
		return b.Build(b.Conv("c", b.Input(), 20, 3, 2, Same, WithBias()))
	},
	"norms of maps": func() *Graph { // large enough that threads share a layer
		b := NewBuilder(50, 48, 3)
		x := b.LayerNorm("l", b.Conv("c", b.Input(), 36, 1, 1, Same, WithBias()), 1e-6)
		x = b.ReLU(b.GroupNorm("g", x, 9, 1e-5))
		x = b.GroupNorm("i", b.Multiply(x, b.Conv("m", x, 1, 1, 1, Same)), 36, 1e-3)
		y := b.Upsample(b.Upsample(b.Crop(x, 10, 15, 12, 12), 2, 1, true), 1, 2, false)
		x = b.Maximum(b.CropChannels(x, 1, 3),
			b.Minimum(b.CropChannels(y, 4, 0), b.CropChannels(b.GlobalAveragePool(x), 2, 2)))
		x = b.Maximum(b.Resize(x, 60, 64, true), b.Resize(x, 60, 64, false))
		x = b.LayerNorm("f", b.GlobalAveragePool(x), 1e-3)
		return b.Build(b.GroupNorm("h", x, 4, 1e-3))
	},
	"norm after a sum": func() *Graph {
		b := NewBuilder(5, 6, 4)
		x := b.Add(b.Input(), b.Conv("c", b.Input(), 4, 3, 1, Same, WithBias()))
		return b.Build(b.ReLU(b.BatchNorm("n", x, 1e-3)))
	},
	"conv valid 2x5": func() *Graph {
		b := NewBuilder(9, 12, 4)
		return b.Build(b.ConvRect("c", b.Input(), 33, 2, 5, 3, Valid))
	},
	"conv kernel larger than picture": func() *Graph {
		b := NewBuilder(2, 3, 4)
		return b.Build(b.Conv("c", b.Input(), 5, 7, 1, Same))
	},
	"conv 1x1 stride 2": func() *Graph {
		b := NewBuilder(9, 7, 5)
		return b.Build(b.Conv("c", b.Input(), 17, 1, 2, Same))
	},
	"groups": func() *Graph { // as in ResNeXt, with a squeeze in between
		b := NewBuilder(13, 10, 32)
		x := b.ReLU(b.BatchNorm("a/bn", b.Conv("a", b.Input(), 48, 3, 2, Same, WithGroups(4)), 1e-3))
		x = b.ReLU(b.BatchNorm("b/bn", b.Conv("b", x, 48, 3, 1, Same, WithGroups(6), WithBias()), 1e-3))
		y := b.BatchNorm("c/bn", b.Conv("c", x, 48, 1, 1, Same, WithGroups(3)), 1e-3)
		x = b.ReLU6(b.Add(x, y))
		x = b.ReLU(b.BatchNorm("d/bn", b.Conv("d", x, 96, 3, 1, Same, WithGroups(48)), 1e-3))
		x = b.ReLU(b.Conv("e", x, 512, 3, 1, Valid, WithGroups(2)))
		return b.Build(b.Conv("f", x, 8, 2, 1, Same, WithGroups(4))) // of adjacent windows that are 4 KiB apart
	},
	"gaps": func() *Graph {
		b := NewBuilder(15, 12, 5)
		x := b.ReLU(b.Conv("a", b.Input(), 20, 3, 1, Same, WithDilation(2, 2)))
		x = b.ReLU(b.BatchNorm("b/bn", b.DepthwiseConv("b", x, 3, 1, Same, WithDilation(3, 2)), 1e-3))
		y := b.BatchNorm("c/bn", b.Conv("c", x, 20, 3, 1, Same, WithGroups(4), WithDilation(1, 2)), 1e-3)
		return b.Build(b.ReLU(b.Add(x, y)))
	},
	"inverted residual": func() *Graph {
		b := NewBuilder(13, 10, 8)
		x := b.ReLU6(b.BatchNorm("e/bn", b.Conv("e", b.Input(), 48, 1, 1, Same), 1e-3))
		x = b.ReLU6(b.BatchNorm("d/bn", b.DepthwiseConv("d", x, 5, 1, Same), 1e-3))
		x = b.BatchNorm("p/bn", b.Conv("p", x, 8, 1, 1, Same), 1e-3)
		return b.Build(b.Add(x, b.Input()))
	},
	"xception block": func() *Graph {
		b := NewBuilder(15, 15, 6)
		x := b.BatchNorm("a/bn", b.SeparableConv("a", b.ReLU(b.Input()), 24, 3, 1, Same), 1e-3)
		x = b.BatchNorm("b/bn", b.SeparableConv("b", b.ReLU(x), 24, 3, 1, Same, WithBias()), 1e-3)
		x = b.MaxPool(x, 3, 2, Same)
		x = b.Add(x, b.BatchNorm("s/bn", b.Conv("s", b.Input(), 24, 1, 2, Same), 1e-3))
		y := b.BatchNorm("c/bn", b.SeparableConv("c", b.ReLU(x), 24, 3, 2, Valid), 1e-3)
		_ = y
		return b.Build(b.Add(x, b.BatchNorm("e/bn", b.SeparableConv("e", b.ReLU(x), 24, 3, 1, Same), 1e-3)))
	},
	"classifier": func() *Graph {
		b := NewBuilder(10, 10, 3)
		x := b.ReLU(b.Conv("c", b.Input(), 16, 3, 1, Valid, WithBias()))
		x = b.GlobalAveragePool(b.AveragePool(x, 3, 2, Same))
		x = b.ReLU(b.BatchNorm("d/bn", b.Dense("d", b.Dropout(x, 0.2), 40), 1e-3))
		return b.Build(b.Softmax(b.Dense("e", x, 7, WithBias())))
	},
	"small cnn": func() *Graph {
		b := NewBuilder(12, 12, 3)
		x := b.ReLU(b.Conv("c", b.Input(), 8, 3, 1, Valid, WithBias()))
		x = b.ReLU(b.Dense("d", b.Flatten(b.MaxPool(x, 2, 2, Valid)), 9, WithBias()))
		return b.Build(b.Sigmoid(b.Dense("e", x, 1, WithBias())))
	},
	"unfused": func() *Graph {
		b := NewBuilder(6, 7, 5)
		x := b.BatchNorm("n", b.Input(), 1e-3)
		y := b.ReLU6(x)
		z := b.ReLU(b.Add(x, y))
		z = b.Add(z, z)
		return b.Build(b.Dropout(b.Softmax(b.Flatten(b.Sigmoid(z))), 0.1))
	},
	"flat layers on the batch": func() *Graph {
		b := NewBuilder(3, 3, 4)
		x := b.GlobalAveragePool(b.Input())
		y := b.Dense("a", x, 4)
		x = b.Add(b.BatchNorm("n", x, 1e-3), b.ReLU(y))
		return b.Build(b.ReLU(b.Add(x, y)))
	},
	"squeeze and excitation": func() *Graph {
		b := NewBuilder(9, 8, 3)
		x := b.Swish(b.BatchNorm("c/bn", b.Conv("c", b.Scale("s", b.Input()), 24, 3, 2, Same), 1e-3))
		y := b.Reshape(b.GlobalAveragePool(x), 1, 1, 24)
		y = b.Sigmoid(b.Conv("e", b.Swish(b.Conv("r", y, 6, 1, 1, Same, WithBias())), 24, 1, 1, Same, WithBias()))
		z := b.Multiply(y, x)
		z = b.Multiply(b.Multiply(z, b.Dense("w", b.GlobalMaxPool(z), 24)), x)
		return b.Build(b.Tanh(b.BatchNorm("n", b.Scale("t", b.GlobalAveragePool(z)), 1e-3)))
	},
	"dense block": func() *Graph {
		b := NewBuilder(8, 8, 3)
		x := b.ReLU(b.Conv("c", b.Pad(b.Input(), 3, 2, 1, 0, false), 8, 3, 2, Valid))
		x = b.MaxPool(b.Pad(x, 1, 1, 1, 1, true), 3, 2, Valid)
		for _, name := range []string{"1", "2"} {
			y := b.LeakyReLU(b.BatchNorm(name+"/bn", x, 1e-3), 0.2)
			x = b.Concat(x, b.Conv(name, y, 5, 3, 1, Same))
		}
		x = b.Concat(x, b.ReLU(x), b.Scale("s", x))
		return b.Build(b.AveragePool(x, 2, 2, Valid))
	},
	"flat layers of converted networks": func() *Graph {
		b := NewBuilder(3, 3, 4)
		x := b.GlobalAveragePool(b.Input())
		y := b.Tanh(b.Dense("a", x, 5))
		z := b.Concat(y, b.Scale("s", x), b.LeakyReLU(y, 0.1))
		z = b.Multiply(z, b.Swish(z))
		return b.Build(b.Reshape(b.ReLU(z), 14))
	},
	"global max": func() *Graph {
		b := NewBuilder(5, 4, 3)
		return b.Build(b.Dense("d", b.GlobalMaxPool(b.LeakyReLU(b.Conv("c", b.Input(), 6, 3, 1, Same), 0.1)), 4))
	},
	"relu read by several": func() *Graph {
		b := NewBuilder(8, 8, 16)
		x := b.ReLU(b.Input())
		y := b.DepthwiseConv("d", x, 3, 1, Same, WithBias())
		return b.Build(b.Add(b.Add(x, y), b.Conv("c", x, 16, 1, 1, Valid)))
	},
}

func TestPlanComputesTheDefinition(t *testing.T) {
	for name, network := range networks {
		t.Run(name, func(t *testing.T) { checkAgainstNaive(t, network()) })
	}
}

// TestBatches checks that a picture's values do not depend on the others in its batch.
func TestBatches(t *testing.T) {
	for name, network := range networks {
		g := network()
		p := compile(t, g, randomWeights(g, 5), 2)
		const n = 3
		inputLen, outputLen := tensor.Len(g.InputShape()), tensor.Len(g.OutputShape())
		inputs := randomValues(n*inputLen, 6)
		together := run1(t, p, inputs)
		for i := range n {
			alone := run1(t, p, inputs[i*inputLen:][:inputLen])
			if !slices.Equal(alone, together[i*outputLen:][:outputLen]) {
				t.Errorf("%s: picture %d has another answer in a batch", name, i)
			}
		}
	}
}

func TestConvolutionsOfAnyShape(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		size := rapid.IntRange(1, 6)
		kernelHeight, kernelWidth := size.Draw(rt, "kernel height"), size.Draw(rt, "kernel width")
		one := rapid.IntRange(1, 4)
		groups := one.Draw(rt, "groups")
		l := Layer{
			Op: OpConv, Name: "c", Inputs: []int{0}, Height: kernelHeight, Width: kernelWidth, Groups: groups,
			Units: groups * rapid.IntRange(1, 40/groups).Draw(rt, "filters"), Same: rapid.Bool().Draw(rt, "same"),
			Bias: true,
		}
		l.SetStrides(one.Draw(rt, "stride"), one.Draw(rt, "stride width"))
		l.SetDilations(one.Draw(rt, "dilation"), one.Draw(rt, "dilation width"))
		h, w := l.Reach()
		h += rapid.IntRange(0, 9).Draw(rt, "more height")
		w += rapid.IntRange(0, 9).Draw(rt, "more width")
		c := groups * rapid.IntRange(1, 20/groups).Draw(rt, "channels")
		if l.Same && rapid.Bool().Draw(rt, "small") {
			h, w = size.Draw(rt, "height"), size.Draw(rt, "width")
		}
		layers := []Layer{{Op: OpInput, Shape: []int{h, w, c}}, l, {Op: OpReLU, Inputs: []int{1}}}
		g, err := NewGraph(layers)
		if err != nil {
			rt.Fatal(err)
		}
		weights, input := randomWeights(g, 1), randomValues(h*w*c, 2)
		got, want := run1(t, compile(t, g, weights, 2), input), naive(g, weights, input)
		for i := range want {
			if d := math.Abs(float64(got[i]) - want[i]); !(d <= 1e-4*(1+math.Abs(want[i]))) {
				rt.Fatalf("value %d is %v, want %v", i, got[i], want[i])
			}
		}
	})
}

func TestSameBitsForAnyThreadsAndBatch(t *testing.T) {
	for name, network := range networks {
		t.Run(name, func(t *testing.T) {
			g := network()
			w := randomWeights(g, 3)
			inputLen := tensor.Len(g.InputShape())
			input := randomValues(7*inputLen, 4)
			var want []float32 // one image at a time, one thread
			single := compile(t, g, w, 1)
			for i := range 7 {
				want = append(want, run1(t, single, input[i*inputLen:][:inputLen])...)
			}
			for _, threads := range []int{1, 2, 3, 5} {
				p := compile(t, g, w, threads)
				for _, n := range []int{1, 2, 3, 7} {
					got := run1(t, p, input[:n*inputLen])
					if !slices.Equal(got, want[:len(got)]) {
						t.Errorf("%d threads, batch of %d: other bits", threads, n)
					}
				}
			}
		})
	}
}

func TestPlanIsSharedByGoroutines(t *testing.T) {
	g := networks["inverted residual"]()
	p := compile(t, g, randomWeights(g, 5), 2)
	input := randomValues(3*tensor.Len(g.InputShape()), 6)
	want := run1(t, p, input)
	var wait sync.WaitGroup
	for range 8 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for range 50 {
				output := make([]float32, len(want))
				if err := p.Run(context.Background(), input, output); err != nil || !slices.Equal(output, want) {
					t.Errorf("a concurrent run answers otherwise (%v)", err)
					return
				}
			}
		}()
	}
	wait.Wait()
}

func TestRunAllocatesNothing(t *testing.T) {
	if underRace {
		t.Skip("sync.Pool forgets at random under the race detector")
	}
	for _, threads := range []int{1, 2} {
		for _, n := range []int{1, 4} {
			for name, runs := range map[string]int{"classifier": 200, "norms of maps": 20} {
				g := networks[name]()
				p := compile(t, g, randomWeights(g, 5), threads)
				input := randomValues(n*tensor.Len(g.InputShape()), 6)
				output := make([]float32, n*tensor.Len(g.OutputShape()))
				ctx := context.Background()
				if a := testing.AllocsPerRun(runs, func() { p.Run(ctx, input, output) }); a != 0 {
					t.Errorf("%s: %d threads, batch of %d: %v allocations a run", name, threads, n, a)
				}
			}
		}
	}
}

func TestRunObeysItsContext(t *testing.T) {
	g := networks["xception block"]()
	p := compile(t, g, randomWeights(g, 5), 2)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, n := range []int{1, 4} {
		err := p.Run(ctx, randomValues(n*tensor.Len(g.InputShape()), 6),
			make([]float32, n*tensor.Len(g.OutputShape())))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("batch of %d: error %v, want %v", n, err, context.Canceled)
		}
	}
	// A context that ends after some layers.
	counted := &countedContext{Context: context.Background(), left: 3}
	err := p.Run(counted, randomValues(tensor.Len(g.InputShape()), 6), make([]float32, tensor.Len(g.OutputShape())))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

// countedContext ends when it has been asked a number of times.
type countedContext struct {
	context.Context
	left int
}

func (c *countedContext) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

func TestCompileRefusesBadWeights(t *testing.T) {
	g := networks["classifier"]()
	for name, spoil := range map[string]func(tensor.Map){
		"missing":            func(w tensor.Map) { delete(w, "e/bias") },
		"other shape":        func(w tensor.Map) { w["c/kernel"] = tensor.New(3, 3, 3, 17) },
		"NaN":                func(w tensor.Map) { w["c/kernel"].Data[5] = float32(math.NaN()) },
		"infinite":           func(w tensor.Map) { w["d/bn/gamma"].Data[1] = float32(math.Inf(-1)) },
		"negative variance":  func(w tensor.Map) { w["d/bn/moving_variance"].Data[0] = -1 },
		"NaN in the last 3":  func(w tensor.Map) { d := w["e/bias"].Data; d[len(d)-1] = float32(math.NaN()) },
		"flat kernel's rank": func(w tensor.Map) { w["e/kernel"].Shape = []int{len(w["e/kernel"].Data)} },
	} {
		w := randomWeights(g, 5)
		spoil(w)
		_, err := Compile(g, w, Options{})
		var weightError *WeightError
		if !errors.As(err, &weightError) {
			t.Errorf("%s: error %v, want a WeightError", name, err)
		}
	}
}

func TestBuilderPanics(t *testing.T) {
	for name, build := range map[string]func(b *Builder){
		"window does not fit": func(b *Builder) { b.Conv("c", b.Input(), 4, 9, 1, Valid) },
		"name taken": func(b *Builder) {
			b.Conv("c", b.Input(), 4, 1, 1, Same)
			b.Conv("c", b.Input(), 4, 1, 1, Same)
		},
		"dense on a map":    func(b *Builder) { b.Dense("d", b.Input(), 3) },
		"add of two shapes": func(b *Builder) { b.Add(b.Input(), b.Flatten(b.Input())) },
		"another builder":   func(b *Builder) { b.ReLU(NewBuilder(1, 1, 1).Input()) },
		"dropout of all":    func(b *Builder) { b.Dropout(b.Input(), 1) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			build(NewBuilder(8, 8, 3))
		})
	}
}
