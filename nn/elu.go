package nn

import (
	"fmt"

	"garb/internal/kernel"
)

// The exponential linear units: see the Builder's methods.
const (
	OpELU  Op = "ELU"
	OpSELU Op = "SELU"
)

// ELU adds x above zero and alpha·(e^x − 1) below (Clevert et al. 2015). alpha is the layer's
// Slope.
func (b *Builder) ELU(x Value, alpha float64) Value {
	return b.layer(Layer{Op: OpELU, Slope: alpha}, x)
}

// SELU adds 1.0507·x above zero and 1.0507·1.6733·(e^x − 1) below: the scale and alpha of Klambauer
// et al. 2017, rounded as in Keras and ONNX.
func (b *Builder) SELU(x Value) Value { return b.layer(Layer{Op: OpSELU}, x) }

// SELU's scale and alpha.
const (
	SELUScale = 1.05070098735548049342
	SELUAlpha = 1.67326324235437728481
)

type eluFunction struct{ function }

func (eluFunction) settings(l Layer) Layer { return Layer{Slope: l.Slope} }
func (eluFunction) text(l Layer) string    { return fmt.Sprintf(" %g", l.Slope) }

var (
	elu = eluFunction{function{
		apply: func(l Layer, dst, src []float32) { kernel.ELU(dst, src, float32(l.Slope), 1) },
		differentiate: func(l Layer, gradient, in []float32) {
			kernel.ELUGradient(gradient, in, float32(l.Slope), 1)
		},
	}}
	selu = valueFunction(
		func(dst, src []float32) { kernel.ELU(dst, src, SELUAlpha, SELUScale) },
		func(dst, src []float32) { kernel.ELUGradient(dst, src, SELUAlpha, SELUScale) },
	)
)
