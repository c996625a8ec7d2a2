package nn

import "garb/internal/kernel"

// OpMish is x times the hyperbolic tangent of its softplus: see Builder.Mish.
const OpMish Op = "Mish"

// Mish computes x·tanh(ln(1 + e^x)).
func (b *Builder) Mish(x Value) Value { return b.layer(Layer{Op: OpMish}, x) }

var mish = valueFunction(kernel.Mish, kernel.MishGradient)
