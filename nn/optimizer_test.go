package nn

import (
	"math"
	"slices"
	"testing"
)

func variable(values ...float32) *Variable {
	return &Variable{Param: Param{Name: "v", Shape: []int{len(values)}, Trainable: true}, Value: values,
		Gradient: make([]float32, len(values))}
}

// TestAdamByHand checks two steps against algorithm 1 of the paper, with the bias correction in the
// rate as in Keras.
func TestAdamByHand(t *testing.T) {
	v := variable(1)
	o := &Adam{}
	v.Gradient[0] = 2
	o.Update([]*Variable{v}, 0.1)
	// mean 0.2, square 0.004, rate 0.1·√0.001/0.1 = 0.0316228: 0.0316228·0.2/0.0632456 = 0.1
	if math.Abs(float64(v.Value[0])-0.9) > 1e-6 {
		t.Errorf("after a step %v, want 0.9", v.Value[0])
	}
	v.Gradient[0] = -1
	o.Update([]*Variable{v}, 0.1)
	// mean 0.08, square 0.004996, rate 0.1·√0.001999/0.19 = 0.0235317
	want := 0.9 - 0.0235317*0.08/math.Sqrt(0.004996)
	if math.Abs(float64(v.Value[0])-want) > 1e-5 {
		t.Errorf("after two steps %v, want %v", v.Value[0], want)
	}
}

// TestSGDByHand checks two steps: the velocity is −0.2, then −0.1−0.2·0.5.
func TestSGDByHand(t *testing.T) {
	for nesterov, want := range map[bool][2]float64{false: {0.8, 0.8 - 0.2}, true: {1 - 0.1 - 0.2, 0.7 - 0.1 - 0.1}} {
		v := variable(1)
		o := &SGD{Momentum: 0.5, Nesterov: nesterov}
		for i, gradient := range []float32{2, 1} {
			v.Gradient[0] = gradient
			o.Update([]*Variable{v}, 0.1)
			if math.Abs(float64(v.Value[0])-want[i]) > 1e-6 {
				t.Errorf("Nesterov %v, step %d: %v, want %v", nesterov, i+1, v.Value[0], want[i])
			}
		}
	}
}

func TestClipGlobalNorm(t *testing.T) {
	a, b := variable(0, 0), variable(0)
	copy(a.Gradient, []float32{3, 0})
	b.Gradient[0] = 4
	if norm := ClipGlobalNorm([]*Variable{a, b}, 10); norm != 5 || a.Gradient[0] != 3 {
		t.Errorf("norm %v, gradient %v", norm, a.Gradient)
	}
	if norm := ClipGlobalNorm([]*Variable{a, b}, 1); norm != 5 || math.Abs(float64(a.Gradient[0])-0.6) > 1e-6 ||
		math.Abs(float64(b.Gradient[0])-0.8) > 1e-6 {
		t.Errorf("norm %v, gradients %v %v", norm, a.Gradient, b.Gradient)
	}
}

// TestStateRestores checks that Restore takes what State returns, also for large variables.
func TestStateRestores(t *testing.T) {
	const n = 1<<18 + 3 // in pieces
	for name, build := range map[string]func() Optimizer{
		"adam": func() Optimizer { return &Adam{} }, "adamw": func() Optimizer { return &Adam{WeightDecay: 0.1} },
		"sgd": func() Optimizer { return &SGD{Momentum: 0.9} },
	} {
		v := variable(randomValues(n, 1)...)
		vs := []*Variable{v}
		o, a := build(), &Average{Decay: 0.9}
		step := func(o Optimizer, a *Average, vs []*Variable, seed uint64) {
			copy(vs[0].Gradient, randomValues(n, seed))
			o.Update(vs, 0.01)
			a.Update(vs)
		}
		step(o, a, vs, 2)
		step(o, a, vs, 3)
		w := variable(slices.Clone(v.Value)...)
		ws := []*Variable{w}
		again, average := build(), &Average{Decay: 0.9}
		if err := again.Restore(ws, o.State(vs)); err != nil {
			t.Fatal(err)
		}
		if err := average.Restore(ws, a.State(vs)); err != nil {
			t.Fatal(err)
		}
		step(o, a, vs, 4)
		step(again, average, ws, 4)
		if !slices.Equal(v.Value, w.Value) || !slices.Equal(a.values[0], average.values[0]) {
			t.Errorf("%s: after Restore another step does something else", name)
		}
		if err := again.Restore(ws, a.State(vs)); err == nil {
			t.Errorf("%s took the state of something else", name)
		}
	}
}

func TestSchedules(t *testing.T) {
	near := func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }
	if s := Constant(3); s(0, 9) != 3 || s(8, 9) != 3 {
		t.Error("constant")
	}
	if s := StepDecay(1, 0.1, 4); s(3, 9) != 1 || !near(s(4, 9), 0.1) || !near(s(8, 9), 0.01) {
		t.Error("step")
	}
	s := Cosine(2, 0.1, 10)
	if s(0, 110) != 0 || s(5, 110) != 1 || s(10, 110) != 2 || !near(s(60, 110), 2*(0.1+0.9/2)) ||
		!near(s(110, 110), 0.2) || !near(s(500, 110), 0.2) {
		t.Error("cosine")
	}
	s = OneCycle(1)
	if !near(s(0, 100), 1.0/25) || !near(s(29, 100), 1) || !near(s(99, 100), 1/25e4) {
		t.Errorf("one-cycle: %v %v %v", s(0, 100), s(29, 100), s(99, 100))
	}
	for i := range 100 {
		if v := s(i, 100); v < 0 || v > 1 {
			t.Errorf("one-cycle: %v in step %d", v, i)
		}
	}
	for steps := range 4 { // of the shortest runs
		for i := range steps {
			for _, s := range []Schedule{StepDecay(1, 0.5, 0), Cosine(1, 0, 0), OneCycle(1)} {
				if v := s(i, steps); !(v >= 0 && v <= 1) {
					t.Errorf("%v in step %d of %d", v, i, steps)
				}
			}
		}
	}
}

// TestRateFactor checks that a factor acts like a larger learning rate, also on weight decay, and
// that 0 and 1 change no bit.
func TestRateFactor(t *testing.T) {
	for name, make := range map[string]func() Optimizer{
		"sgd":   func() Optimizer { return &SGD{Momentum: 0.9, Nesterov: true} },
		"adamw": func() Optimizer { return &Adam{WeightDecay: 0.1} },
	} {
		after := func(factor, rate float64) float32 {
			v, o := variable(1), make()
			v.RateFactor = factor
			for _, gradient := range []float32{0.3, -0.2, 0.7} {
				v.Gradient[0] = gradient
				o.Update([]*Variable{v}, rate)
			}
			return v.Value[0]
		}
		plain := after(0, 0.02)
		if got := after(1, 0.02); got != plain {
			t.Errorf("%s: a factor of 1 leads to %v, none to %v", name, got, plain)
		}
		if got := after(0.25, 0.08); got != plain {
			t.Errorf("%s: a quarter of the rate 0.08 leads to %v, 0.02 to %v", name, got, plain)
		}
	}
}
