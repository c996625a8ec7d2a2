package nn

import "garb/internal/kernel"

// OpHardSigmoid is a sigmoid of straight lines: see Builder.HardSigmoid.
const OpHardSigmoid Op = "HardSigmoid"

// HardSigmoid computes min(max(x/6 + 1/2, 0), 1).
func (b *Builder) HardSigmoid(x Value) Value { return b.layer(Layer{Op: OpHardSigmoid}, x) }

var hardSigmoid = valueFunction(kernel.HardSigmoid, kernel.HardSigmoidGradient)
