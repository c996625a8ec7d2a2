package nn

import "garb/internal/kernel"

// OpSigmoid is the logistic function: see Builder.Sigmoid.
const OpSigmoid Op = "Sigmoid"

// Sigmoid computes 1/(1+e^−x).
func (b *Builder) Sigmoid(x Value) Value { return b.layer(Layer{Op: OpSigmoid}, x) }

var sigmoid = valueFunction(kernel.Sigmoid, kernel.SigmoidGradient)
