package nn

import "fmt"

// OpLeakyReLU is a ReLU with a slope below zero: see Builder.LeakyReLU.
const OpLeakyReLU Op = "LeakyReLU"

// LeakyReLU is x above zero and slope·x below.
func (b *Builder) LeakyReLU(x Value, slope float64) Value {
	return b.layer(Layer{Op: OpLeakyReLU, Slope: slope}, x)
}

type leakyReLUFunction struct{ function }

func (leakyReLUFunction) settings(l Layer) Layer { return Layer{Slope: l.Slope} }
func (leakyReLUFunction) text(l Layer) string    { return fmt.Sprintf(" %g", l.Slope) }

var leakyReLU = leakyReLUFunction{function{
	compute: func(l Layer, dst, src []float32) {
		slope := float32(l.Slope)
		for i, v := range src {
			dst[i] = max(v, 0) + slope*min(v, 0)
		}
	},
	back: func(l Layer, gradient, in, _ []float32) {
		slope := float32(l.Slope)
		for i, v := range in {
			if v < 0 {
				gradient[i] *= slope
			}
		}
	},
}}
