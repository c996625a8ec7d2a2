package nn

import "garb/internal/kernel"

// OpSoftplus is a smooth ReLU: see Builder.Softplus.
const OpSoftplus Op = "Softplus"

// Softplus computes ln(1 + e^x).
func (b *Builder) Softplus(x Value) Value { return b.layer(Layer{Op: OpSoftplus}, x) }

var softplus = valueFunction(kernel.Softplus, kernel.SoftplusGradient)
