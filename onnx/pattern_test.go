package onnx

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"garb/nn"
	"garb/tensor"
)

// run runs a network on a picture.
func run(t *testing.T, n *nn.Network, input []float32) []float32 {
	t.Helper()
	g, err := nn.NewGraph(n.Layers)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := nn.Compile(g, n.Tensors, nn.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	output := make([]float32, tensor.Len(g.OutputShape()))
	if err := plan.Run(t.Context(), input, output); err != nil {
		t.Fatal(err)
	}
	return output
}

// operations returns those of a network between its input and the mean of soundSketch.
func operations(n *nn.Network) string {
	var all []string
	for _, l := range n.Layers[1:] {
		if !strings.HasPrefix(string(l.Op), "Global") && l.Op != nn.OpFlatten {
			all = append(all, string(l.Op))
		}
	}
	return strings.Join(all, " ")
}

// activationSketch is an activation in the operators that exporters write for it. Constants are
// written as numbers; x is the picture.
type activationSketch struct {
	name  string
	nodes string // "output = Operator input input; …"
	// want are the layers, and f what they compute.
	want string
	f    func(float64) float64
}

func gelu(x float64) float64 { return x * (1 + math.Erf(x/math.Sqrt2)) / 2 }
func geluTanh(x float64) float64 {
	return x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))) / 2
}
func swish(x float64) float64     { return x / (1 + math.Exp(-x)) }
func hardSwish(x float64) float64 { return x * min(max(x+3, 0), 6) / 6 }
func mish(x float64) float64      { return x * math.Tanh(math.Log1p(math.Exp(x))) }

const erfHalf = "d = Div x 1.4142135381698608; e = Erf d; a = Add e 1; "

var activationSketches = []activationSketch{
	{"0.5 last", erfHalf + "m = Mul x a; y = Mul m 0.5", "GELU", gelu},
	{"0.5 last, on the left", erfHalf + "m = Mul a x; y = Mul 0.5 m", "GELU", gelu},
	{"0.5 first", "h = Mul 0.5 x; " + erfHalf + "y = Mul h a", "GELU", gelu},
	{"0.5 first, on the right", "h = Mul x 0.5; " + erfHalf + "y = Mul a h", "GELU", gelu},
	{"0.5 on the gate", erfHalf + "g = Mul a 0.5; y = Mul g x", "GELU", gelu},
	{"divided by 2", erfHalf + "m = Mul x a; y = Div m 2", "GELU", gelu},
	{"times 1/√2", "d = Mul x 0.7071067690849304; e = Erf d; a = Add 1 e; m = Mul x a; y = Mul m 0.5", "GELU", gelu},
	{"without 0.5", erfHalf + "y = Mul x a", "GELU Scale", func(x float64) float64 { return 2 * gelu(x) }},
	{"another slope", "d = Div x 1.41; e = Erf d; a = Add e 1; m = Mul x a; y = Mul m 0.5",
		"Scale Erf Scale Multiply Scale",
		func(x float64) float64 { return x * (1 + math.Erf(x/1.41)) / 2 }},
	{"another sum", "d = Div x 1.4142135381698608; e = Erf d; a = Add e 1.1; m = Mul x a; y = Mul m 0.5",
		"Scale Erf Scale Multiply Scale",
		func(x float64) float64 { return x * (1.1 + math.Erf(x/math.Sqrt2)) / 2 }},
	{"another factor", erfHalf + "r = Relu x; m = Mul r a; y = Mul m 0.5", "Scale Erf Scale ReLU Multiply Scale",
		func(x float64) float64 { return max(x, 0) * (1 + math.Erf(x/math.Sqrt2)) / 2 }},

	{"tanh", "h = Mul x 0.5; p = Pow x 3; q = Mul p 0.044715; s = Add x q; u = Mul s 0.7978845834732056; t = Tanh " +
		"u; a = Add t 1; y = Mul h a", "GELUTanh", geluTanh},
	{"tanh, 0.5 last", "p = Pow x 3; q = Mul 0.044715 p; s = Add q x; u = Mul 0.7978845834732056 s; t = Tanh u; a " +
		"= Add 1 t; m = Mul x a; y = Mul m 0.5",
		"GELUTanh", geluTanh},
	{"tanh by products", "p = Mul x x; q = Mul p x; r = Mul q 0.044715; s = Add x r; u = Mul s 0.7978845834732056; " +
		"t = Tanh u; a = Add t 1; m = Mul x a; y = Mul m 0.5",
		"GELUTanh", geluTanh},
	{"tanh, x outside", "p = Pow x 2; q = Mul p 0.044715; r = Add q 1; s = Mul x 0.7978845834732056; u = Mul r s; " +
		"t = Tanh u; a = Add t 1; m = Mul x a; y = Mul 0.5 m",
		"GELUTanh", geluTanh},
	{"tanh of another cubic", "p = Pow x 3; q = Mul p 0.05; s = Add x q; u = Mul s 0.7978845834732056; t = Tanh u; " +
		"a = Add t 1; m = Mul x a; y = Mul m 0.5",
		"Multiply Multiply Scale Add Scale Tanh Scale Multiply Scale",
		func(x float64) float64 { return x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.05*x*x*x))) / 2 }},

	{"Swish", "s = Sigmoid x; y = Mul x s", "Swish", swish},
	{"Swish turned", "s = Sigmoid x; y = Mul s x", "Swish", swish},
	{"Swish of another slope", "k = Mul x 1.702; s = Sigmoid k; y = Mul s x", "Scale Sigmoid Multiply",
		func(x float64) float64 { return x / (1 + math.Exp(-1.702*x)) }},
	{"HardSwish of an operator", "s = HardSigmoid x alpha=0.16666667; y = Mul s x", "HardSwish", hardSwish},
	{"HardSwish, 6 last", "s = Add x 3; c = Clip s 0 6; m = Mul x c; y = Div m 6", "HardSwish", hardSwish},
	{"HardSwish, 6 first", "s = Add x 3; c = Clip s 0 6; d = Div c 6; y = Mul x d", "HardSwish", hardSwish},
	{"HardSwish by a factor", "s = Add x 3; c = Clip s 0 6; d = Mul c 0.16666667; y = Mul d x", "HardSwish",
		hardSwish},
	{"HardSwish from 0 to 1", "k = Div x 6; s = Add k 0.5; c = Clip s 0 1; y = Mul c x", "HardSwish", hardSwish},
	{"HardSigmoid", "s = Add x 3; c = Clip s 0 6; y = Div c 6", "HardSigmoid",
		func(x float64) float64 { return min(max(x+3, 0), 6) / 6 }},
	{"another HardSwish", "s = Add x 2; c = Clip s 0 6; m = Mul x c; y = Div m 6", "Scale ReLU6 Multiply Scale",
		func(x float64) float64 { return x * min(max(x+2, 0), 6) / 6 }},
	{"another HardSigmoid", "s = Add x 3; c = Clip s 0 6; y = Div c 5", "Scale ReLU6 Scale",
		func(x float64) float64 { return min(max(x+3, 0), 6) / 5 }},
	{"Mish", "s = Softplus x; t = Tanh s; y = Mul x t", "Mish", mish},
	{"Softplus, itself from 20 on", "s = Softplus x; g = Greater x 20; y = Where g x s", "Softplus",
		func(x float64) float64 { return math.Log1p(math.Exp(x)) }},
	{"Mish, itself from 20 on", "s = Softplus x; g = Greater x 20; w = Where g x s; t = Tanh w; y = Mul x t", "Mish",
		mish},
	{"squared", "y = Pow x 2", "Multiply", func(x float64) float64 { return x * x }},
	{"cubed", "y = Pow x 3", "Multiply Multiply", func(x float64) float64 { return x * x * x }},
	{"undone", "h = Mul x 2; y = Mul h 0.5", "", func(x float64) float64 { return x }},
}

// appendSketch appends the nodes of an activationSketch's text.
func appendSketch(s *sketch, text string) {
	numbers := map[string]bool{}
	for _, line := range strings.Split(text, "; ") {
		words := strings.Fields(line)
		var names []string
		var attributes []message
		for _, w := range words[3:] {
			var v float64
			if name, number, ok := strings.Cut(w, "="); ok {
				fmt.Sscan(number, &v)
				attributes = append(attributes, floatAttribute(name, v))
				continue
			}
			if n, _ := fmt.Sscan(w, &v); n == 1 {
				if !numbers[w] {
					s.weights = append(s.weights, encodeTensor(w, typeFloat, []int{}, v))
				}
				numbers[w] = true
			}
			names = append(names, w)
		}
		s.nodes = append(s.nodes, operation{words[2], words[0], names, words[0], attributes}.encode())
	}
}

// TestWrittenActivations checks that an activation that is written as several nodes is read as one
// layer, and computes the same up to rounding.
func TestWrittenActivations(t *testing.T) {
	for _, w := range activationSketches {
		s := soundSketch()
		after := s.nodes
		s.nodes = []message{sketchNode("Identity", "picture", "x")}
		appendSketch(&s, w.nodes)
		s.nodes = append(s.nodes, sketchNode("GlobalAveragePool", "y", "mean"))
		s.nodes = append(s.nodes, after[1:]...)
		s.input = valueInfo("picture", typeFloat, []int{3, 2, 1})
		n, _, err := Read(s.bytes(), DefaultLimits())
		if err != nil {
			t.Errorf("%s: %v", w.name, err)
			continue
		}
		if got := operations(n); got != w.want {
			t.Errorf("%s: %s, want %s", w.name, got, w.want)
		}
		for v := -7.0; v < 7; v += 0.37 {
			input := []float32{float32(v), 1, -2, float32(v), 1, -2}
			for i, got := range run(t, n, input) {
				want := w.f(float64(input[i]))
				if d := math.Abs(float64(got) - want); !(d <= 4e-6*max(1, math.Abs(want))) {
					t.Errorf("%s of %v is %v, want %v", w.name, input[i], got, want)
				}
			}
		}
	}
}

// TestReadInside checks that an activation's nodes stay separate if another node reads a value
// between them.
func TestReadInside(t *testing.T) {
	for _, w := range activationSketches {
		if w.want == "" || strings.Contains(w.want, " ") || w.name == "squared" {
			continue
		}
		for _, line := range strings.Split(w.nodes, "; ") {
			name, _, _ := strings.Cut(line, " ")
			if name == "y" || strings.Contains(line, " = Greater ") { // which nothing else may read
				continue
			}
			checkInside(t, w, name, line)
		}
	}
}

// checkInside checks an activation if another node reads the value name, which line computes.
func checkInside(t *testing.T, w activationSketch, name, line string) {
	t.Helper()
	s := soundSketch()
	s.nodes = []message{sketchNode("Identity", "picture", "x")}
	appendSketch(&s, strings.ReplaceAll(w.nodes, "y =", "z ="))
	s.nodes = append(s.nodes, sketchNode("Add", "z,"+name, "y"), sketchNode("GlobalAveragePool", "y", "mean"),
		sketchNode("Flatten", "mean", "out"))
	s.input = valueInfo("picture", typeFloat, []int{3, 1, 1})
	n, _, err := Read(s.bytes(), DefaultLimits())
	if err != nil {
		t.Fatalf("%s: %v", w.name, err)
	}
	// m is the whole but for a factor, and Softplus is a part of itself.
	if got := operations(n); name != "m" && w.want != "Softplus" &&
		slices.Contains(strings.Fields(got), w.want) {
		t.Errorf("%s with a reader of %s: %s", w.name, name, got)
	}
	// The answer is the sum of both.
	for _, v := range []float32{-3.5, -1, 0.25, 2, 4} {
		input := []float32{v, v, v}
		alone := soundSketch()
		alone.nodes = []message{sketchNode("Identity", "picture", "x")}
		appendSketch(&alone, w.nodes[:strings.Index(w.nodes, line)+len(line)])
		alone.nodes = append(alone.nodes, sketchNode("GlobalAveragePool", name, "mean"),
			sketchNode("Flatten", "mean", "out"))
		alone.input = s.input
		part, _, err := Read(alone.bytes(), DefaultLimits())
		if err != nil {
			t.Fatalf("%s: %v", w.name, err)
		}
		want := w.f(float64(v)) + float64(run(t, part, input)[0])
		if got := run(t, n, input)[0]; !(math.Abs(float64(got)-want) <= 1e-5*max(1, math.Abs(want))) {
			t.Errorf("%s with a reader of %s: %v of %v, want %v", w.name, name, got, v, want)
		}
	}
}

// TestUndoneOfShared checks that a bias behind factors that cancel out is not moved to a
// convolution that another node reads as well.
func TestUndoneOfShared(t *testing.T) {
	s := soundSketch()
	prepend(sketchNode("Conv", "x,w", "v"))(&s)
	after := s.nodes[1:]
	s.nodes = s.nodes[:1:1]
	s.weights = []message{encodeTensor("w", typeFloat, []int{3, 3, 1, 1}, 1, 2, 3, 4, 5, 6, 7, 8, 9)}
	appendSketch(&s, "h = Mul v 2; u = Mul h 0.5; z = Add u 1; y = Sub z v")
	s.nodes = append(s.nodes, after...)
	n, _, err := Read(s.bytes(), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range run(t, n, slices.Repeat([]float32{1}, 3*8*8)) {
		if v != 1 {
			t.Errorf("%v, want 1", v)
		}
	}
}
