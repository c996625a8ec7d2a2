package nn

import "math"

// OpSwish is x times its logistic function: see Builder.Swish.
const OpSwish Op = "Swish"

// Swish is x/(1+e^−x), also called SiLU.
func (b *Builder) Swish(x Value) Value { return b.layer(Layer{Op: OpSwish}, x) }

var swish = function{
	compute: func(_ Layer, dst, src []float32) {
		for i, v := range src {
			dst[i] = v / (1 + exp(-v))
		}
	},
	// With s the logistic function of x: s + x·s·(1−s) = s·(1 + x − f(x)).
	back: func(_ Layer, gradient, in, out []float32) {
		for i, v := range in {
			gradient[i] *= (1 + v - out[i]) / (1 + exp(-v))
		}
	},
}

// exp is e^x to about two units in the last place, in a third of math.Exp's time. Beyond
// what float32 holds it is the nearest that it does: x/(1+exp(−x)) stays finite.
func exp(x float32) float32 {
	x = min(max(x, -87), 88)
	// x = k·ln 2 + r with |r| ≤ ln 2 / 2; ln 2 in two parts, so that k·ln 2 is exact enough.
	const high, low = 0.693359375, -2.12194440e-4
	k := float32(math.RoundToEven(float64(x * math.Log2E)))
	r := x - k*high - k*low
	// e^r by its series, whose next term is below 2e-7 of the result.
	p := 1 + r*(1+r*(1./2+r*(1./6+r*(1./24+r*(1./120+r*(1./720))))))
	return p * math.Float32frombits(uint32(int32(k)+127)<<23)
}
