package nn

import "math"

// OpTanh is the hyperbolic tangent: see Builder.Tanh.
const OpTanh Op = "Tanh"

// Tanh is the hyperbolic tangent.
func (b *Builder) Tanh(x Value) Value { return b.layer(Layer{Op: OpTanh}, x) }

var tanh = function{
	compute: func(_ Layer, dst, src []float32) {
		for i, v := range src {
			dst[i] = float32(math.Tanh(float64(v)))
		}
	},
	back: func(_ Layer, gradient, _, out []float32) {
		for i, v := range out {
			gradient[i] *= 1 - v*v
		}
	},
}
