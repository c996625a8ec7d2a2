package nn

import "garb/internal/kernel"

// OpTanh is the hyperbolic tangent: see Builder.Tanh.
const OpTanh Op = "Tanh"

// Tanh computes the hyperbolic tangent.
func (b *Builder) Tanh(x Value) Value { return b.layer(Layer{Op: OpTanh}, x) }

var tanh = valueFunction(kernel.Tanh, kernel.TanhGradient)
