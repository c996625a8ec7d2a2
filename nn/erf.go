package nn

import "math"

// OpErf is the error function: see Builder.Erf.
const OpErf Op = "Erf"

// Erf adds the error function, 2/√π·∫₀ˣ e^−t² dt, with which older exporters compute GELU.
func (b *Builder) Erf(x Value) Value { return b.layer(Layer{Op: OpErf}, x) }

var erf = valueFunction(
	func(dst, src []float32) {
		for i, v := range src {
			dst[i] = float32(math.Erf(float64(v)))
		}
	},
	func(dst, src []float32) {
		for i, v := range src {
			dst[i] *= float32(2 / math.SqrtPi * math.Exp(-float64(v)*float64(v)))
		}
	},
)
