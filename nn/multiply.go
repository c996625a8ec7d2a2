package nn

import "garb/internal/kernel"

// OpMultiply is a product: see Builder.Multiply.
const OpMultiply Op = "Multiply"

// Multiply adds the product of two values. A value with a single row, column or channel is
// repeated: [h w c] takes [1 1 c], [c] or [h w 1].
func (b *Builder) Multiply(x, y Value) Value { return b.layer(Layer{Op: OpMultiply}, x, y) }

var multiply = pairwise{
	apply: kernel.Multiply,
	addGradients: func(dx, dy, gradient, x, y []float32) {
		if dx != nil {
			kernel.AddMultiply(dx, gradient, y)
		}
		if dy != nil {
			kernel.AddMultiply(dy, gradient, x)
		}
	},
}
