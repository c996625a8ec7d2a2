package nn

import "garb/internal/kernel"

// OpSwish is x times its logistic function: see Builder.Swish.
const OpSwish Op = "Swish"

// Swish computes x/(1+e^−x), also called SiLU.
func (b *Builder) Swish(x Value) Value { return b.layer(Layer{Op: OpSwish}, x) }

var swish = valueFunction(kernel.Swish, kernel.SwishGradient)
