package nn

import "math"

// OpSigmoid is the logistic function: see Builder.Sigmoid.
const OpSigmoid Op = "Sigmoid"

// Sigmoid is 1/(1+e^−x).
func (b *Builder) Sigmoid(x Value) Value { return b.layer(Layer{Op: OpSigmoid}, x) }

var sigmoid = function{
	compute: func(_ Layer, dst, src []float32) {
		for i, v := range src {
			dst[i] = float32(1 / (1 + math.Exp(-float64(v))))
		}
	},
	back: func(_ Layer, gradient, _, out []float32) {
		for i, v := range out {
			gradient[i] *= v * (1 - v)
		}
	},
}
