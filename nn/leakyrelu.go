package nn

import (
	"fmt"

	"garb/internal/kernel"
)

// OpLeakyReLU is a ReLU with a slope below zero: see Builder.LeakyReLU.
const OpLeakyReLU Op = "LeakyReLU"

// LeakyReLU adds x above zero and slope·x below.
func (b *Builder) LeakyReLU(x Value, slope float64) Value {
	return b.layer(Layer{Op: OpLeakyReLU, Slope: slope}, x)
}

type leakyReLUFunction struct{ function }

func (leakyReLUFunction) settings(l Layer) Layer { return Layer{Slope: l.Slope} }
func (leakyReLUFunction) text(l Layer) string    { return fmt.Sprintf(" %g", l.Slope) }

var leakyReLU = leakyReLUFunction{function{
	apply: func(l Layer, dst, src []float32) { kernel.LeakyReLU(dst, src, float32(l.Slope)) },
	differentiate: func(l Layer, gradient, in []float32) {
		kernel.LeakyReLUGradient(gradient, in, float32(l.Slope))
	},
}}
