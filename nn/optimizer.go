package nn

import (
	"fmt"
	"math"
	"runtime"
	"sync"

	"garb/tensor"
)

// Optimizer changes variables by their gradients. It belongs to the variables of one Trainer, and
// keeps state for each.
type Optimizer interface {
	// Update does one step. The variables are the same, in the same order, each time.
	Update(variables []*Variable, learningRate float64)
	// State returns the optimizer's state, under names that Restore knows. The tensors share its
	// memory.
	State(variables []*Variable) tensor.Map
	// Restore restores what State returned. Errors are *WeightError.
	Restore(variables []*Variable, w Weights) error
}

// SGD is stochastic gradient descent, with Keras's momentum:
//
//	v ← momentum·v − rate·g;  w ← w + v, or with Nesterov  w ← w + momentum·v − rate·g
type SGD struct {
	Momentum float64 // from 0 to below 1
	Nesterov bool

	velocity [][]float32
}

// Adam is the optimizer of Kingma & Ba 2015, with Keras's constants:
//
//	m ← β₁m + (1−β₁)g;  v ← β₂v + (1−β₂)g²
//	w ← w − rate·√(1−β₂ᵗ)/(1−β₁ᵗ)·m/(√v + ε)
//
// With WeightDecay it is AdamW (Loshchilov & Hutter 2019): before that,
// w ← w − rate·WeightDecay·w.
type Adam struct {
	WeightDecay float64
	// Decays selects the variables that decay; nil: all, as in Keras.
	Decays func(*Variable) bool

	step         uint64
	mean, square [][]float32
}

const (
	adamBeta1   = 0.9
	adamBeta2   = 0.999
	adamEpsilon = 1e-7 // Keras's; the paper has 1e-8
)

// Update does one step of SGD.
func (o *SGD) Update(variables []*Variable, learningRate float64) {
	remember(&o.velocity, variables)
	momentum := float32(o.Momentum)
	for i, v := range variables {
		rate := float32(v.rate(learningRate))
		splitWork(len(v.Value), func(low, high int) {
			w, g, velocity := v.Value[low:high], v.Gradient[low:high], o.velocity[i][low:high]
			for j := range w {
				step := float32(rate * g[j])
				velocity[j] = float32(momentum*velocity[j]) - step
				if o.Nesterov {
					w[j] += float32(momentum*velocity[j]) - step
				} else {
					w[j] += velocity[j]
				}
			}
		})
	}
}

// Update does one step of Adam.
func (o *Adam) Update(variables []*Variable, learningRate float64) {
	remember(&o.mean, variables)
	remember(&o.square, variables)
	o.step++
	t := float64(o.step)
	root, bias := math.Sqrt(1-math.Pow(adamBeta2, t)), 1-math.Pow(adamBeta1, t)
	for i, v := range variables {
		rate := float32(v.rate(learningRate) * root / bias) // the order determines the bits
		keep := float32(1)
		if o.Decays == nil || o.Decays(v) {
			keep = float32(1 - float64(v.rate(learningRate)*o.WeightDecay))
		}
		splitWork(len(v.Value), func(low, high int) {
			w, g := v.Value[low:high], v.Gradient[low:high]
			mean, square := o.mean[i][low:high][:len(w)], o.square[i][low:high][:len(w)]
			for j, d := range g[:len(w)] {
				m := mean[j] + float32((1-adamBeta1)*(d-mean[j]))
				s := square[j] + float32((1-adamBeta2)*(float32(d*d)-square[j]))
				mean[j], square[j] = m, s
				w[j] = float32(w[j]*keep) - float32(rate*m)/(float32(math.Sqrt(float64(s)))+adamEpsilon)
			}
		})
	}
}

// remember allocates state for each of the variables, unless it exists.
func remember(memory *[][]float32, variables []*Variable) {
	if *memory != nil {
		return
	}
	for _, v := range variables {
		*memory = append(*memory, make([]float32, len(v.Value)))
	}
}

// splitWork calls f with parts of [0,n), on all cores if n is large.
func splitWork(n int, f func(low, high int)) {
	const piece = 1 << 17
	if n <= piece {
		f(0, n)
		return
	}
	cores := min(runtime.GOMAXPROCS(0), (n+piece-1)/piece)
	var wait sync.WaitGroup
	for c := range cores {
		wait.Go(func() { f(c*n/cores, (c+1)*n/cores) })
	}
	wait.Wait()
}

// State returns the velocities.
func (o *SGD) State(variables []*Variable) tensor.Map {
	remember(&o.velocity, variables)
	m := tensor.Map{}
	store(m, "velocity", variables, o.velocity)
	return m
}

// Restore restores the velocities.
func (o *SGD) Restore(variables []*Variable, w Weights) error {
	remember(&o.velocity, variables)
	return restore(w, "velocity", variables, o.velocity)
}

// State returns the moving averages and the number of steps.
func (o *Adam) State(variables []*Variable) tensor.Map {
	remember(&o.mean, variables)
	remember(&o.square, variables)
	m := tensor.Map{"step": countTensor(o.step)}
	store(m, "mean", variables, o.mean)
	store(m, "square", variables, o.square)
	return m
}

// Restore restores the moving averages and the number of steps.
func (o *Adam) Restore(variables []*Variable, w Weights) error {
	remember(&o.mean, variables)
	remember(&o.square, variables)
	var err error
	if o.step, err = fetchCount(w, "step"); err != nil {
		return err
	}
	if err := restore(w, "mean", variables, o.mean); err != nil {
		return err
	}
	return restore(w, "square", variables, o.square)
}

// countTensor returns a number of steps as two values, its lower 24 bits and the rest, which are
// both exact.
func countTensor(n uint64) *tensor.Tensor {
	return tensor.FromSlice([]float32{float32(n & (1<<24 - 1)), float32(n >> 24)}, 2)
}

func fetchCount(w Weights, name string) (uint64, error) {
	parts, err := fetch(w, Param{Name: name, Shape: []int{2}})
	if err != nil {
		return 0, err
	}
	return uint64(parts[0]) | uint64(parts[1])<<24, nil
}

func store(m tensor.Map, prefix string, variables []*Variable, memory [][]float32) {
	for i, v := range variables {
		m[prefix+"/"+v.Name] = tensor.FromSlice(memory[i], v.Shape...)
	}
}

func restore(w Weights, prefix string, variables []*Variable, memory [][]float32) error {
	for i, v := range variables {
		values, err := fetch(w, Param{Name: prefix + "/" + v.Name, Shape: v.Shape})
		if err != nil {
			return err
		}
		copy(memory[i], values)
	}
	return nil
}

// ClipGlobalNorm scales the gradients of all variables by one factor so that the root of the sum of
// their squares is at most limit (Pascanu et al. 2013). It returns the norm before scaling.
func ClipGlobalNorm(variables []*Variable, limit float64) float64 {
	if !(limit > 0) {
		panic(fmt.Sprintf("nn: gradients clipped to a norm of %v", limit))
	}
	sum := 0.0
	for _, v := range variables {
		for _, g := range v.Gradient {
			sum += float64(float64(g) * float64(g))
		}
	}
	norm := math.Sqrt(sum)
	if norm <= limit {
		return norm
	}
	factor := float32(limit / norm)
	for _, v := range variables {
		for i := range v.Gradient {
			v.Gradient[i] *= factor
		}
	}
	return norm
}

// Average is an exponential moving average of weights, which usually classifies better than the
// weights of the last step (Polyak & Juditsky 1992):
//
//	a ← d·a + (1−d)·w,   d = min(Decay, (1+steps)/(10+steps))
//
// The second term makes it forget the first steps quickly.
type Average struct {
	Decay float64 // from 0 to below 1

	steps  uint64
	values [][]float32
}

// Update adds the weights of one more step. The first call begins with them.
func (a *Average) Update(variables []*Variable) {
	if a.values == nil {
		for _, v := range variables {
			a.values = append(a.values, append([]float32(nil), v.Value...))
		}
	}
	a.steps++
	n := float64(a.steps)
	take := float32(1 - math.Min(a.Decay, (1+n)/(10+n)))
	for i, v := range variables {
		splitWork(len(v.Value), func(low, high int) {
			to, from := a.values[i][low:high], v.Value[low:high]
			for j := range to {
				to[j] += float32(take * (from[j] - to[j]))
			}
		})
	}
}

// Over returns weights with the averages in place of the variables. The tensors share memory with a
// and w.
func (a *Average) Over(w Weights, variables []*Variable) Weights {
	averages := tensor.Map{}
	if a.values != nil {
		for i, v := range variables {
			averages[v.Name] = tensor.FromSlice(a.values[i], v.Shape...)
		}
	}
	return Overlay{averages, w}
}

// State returns the averages and the number of steps.
func (a *Average) State(variables []*Variable) tensor.Map {
	m := tensor.Map{"average/steps": countTensor(a.steps)}
	if a.values != nil {
		store(m, "average", variables, a.values)
	}
	return m
}

// Restore restores the averages and the number of steps.
func (a *Average) Restore(variables []*Variable, w Weights) error {
	var err error
	if a.steps, err = fetchCount(w, "average/steps"); err != nil || a.steps == 0 {
		return err
	}
	remember(&a.values, variables)
	return restore(w, "average", variables, a.values)
}
