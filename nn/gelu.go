package nn

import "garb/internal/kernel"

// The Gaussian error linear unit and its usual approximation: see the Builder's methods.
const (
	OpGELU     Op = "GELU"
	OpGELUTanh Op = "GELUTanh"
)

// GELU adds x·Φ(x) = x·(1 + erf(x/√2))/2 (Hendrycks & Gimpel 2016).
func (b *Builder) GELU(x Value) Value { return b.layer(Layer{Op: OpGELU}, x) }

// GELUTanh adds x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))/2, which approximates GELU.
func (b *Builder) GELUTanh(x Value) Value { return b.layer(Layer{Op: OpGELUTanh}, x) }

var (
	gelu     = valueFunction(kernel.GELU, kernel.GELUGradient)
	geluTanh = valueFunction(kernel.GELUTanh, kernel.GELUTanhGradient)
)
