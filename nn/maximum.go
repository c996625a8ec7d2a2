package nn

import "garb/internal/kernel"

// The larger and the smaller of two values: see the Builder's methods.
const (
	OpMaximum Op = "Maximum"
	OpMinimum Op = "Minimum"
)

// Maximum adds the larger of two values, element by element. A value with a single row, column or
// channel is repeated, as in Add.
func (b *Builder) Maximum(x, y Value) Value { return b.layer(Layer{Op: OpMaximum}, x, y) }

// Minimum adds the smaller of two values, element by element, with Maximum's rules.
func (b *Builder) Minimum(x, y Value) Value { return b.layer(Layer{Op: OpMinimum}, x, y) }

var (
	maximum = pairwise{
		apply: func(dst, x, y []float32) {
			copy(dst, x)
			kernel.Max(dst, y)
		},
		addGradients: passToChosen(func(x, y float32) bool { return x >= y }),
	}
	minimum = pairwise{
		apply: func(dst, x, y []float32) {
			for i, v := range x[:len(dst)] {
				dst[i] = min(v, y[i])
			}
		},
		addGradients: passToChosen(func(x, y float32) bool { return x <= y }),
	}
)

// passToChosen passes each gradient on to the value that was chosen; of equal ones to the first, as
// in TensorFlow.
func passToChosen(first func(x, y float32) bool) func(dx, dy, gradient, x, y []float32) {
	return func(dx, dy, gradient, x, y []float32) {
		for i, g := range gradient {
			to := dy
			if first(x[i], y[i]) {
				to = dx
			}
			if to != nil {
				to[i] += g
			}
		}
	}
}
