package nn

import "garb/internal/kernel"

// OpHardSwish is x times its hard sigmoid: see Builder.HardSwish.
const OpHardSwish Op = "HardSwish"

// HardSwish computes x·min(max(x/6 + 1/2, 0), 1), also called hard SiLU.
func (b *Builder) HardSwish(x Value) Value { return b.layer(Layer{Op: OpHardSwish}, x) }

var hardSwish = valueFunction(kernel.HardSwish, kernel.HardSwishGradient)
