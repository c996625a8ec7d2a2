package nn

import (
	"math"

	"garb/internal/elementary"
)

// OpSoftmax turns logits into probabilities: see Builder.Softmax.
const OpSoftmax Op = "Softmax"

// Softmax adds e^x[c]/Σ_k e^x[k] over the last axis.
func (b *Builder) Softmax(x Value) Value { return b.layer(Layer{Op: OpSoftmax}, x) }

type softmax struct{ unary }

func (softmax) lower(l *lowering, i int) {
	l.emit(i, &softmaxRows{columns: l.graph.nodes[i].channels()}, l.graph.nodes[i].Inputs[0])
}

// softmaxRows is the softmax of each row.
type softmaxRows struct {
	scratchless
	columns int
}

func (*softmaxRows) extent(int) extent { return single }

func (s *softmaxRows) compute(b *buffers, _ piece) {
	for low := 0; low < len(b.in); low += s.columns {
		logits, out := b.in[low:][:s.columns], b.out[low:]
		logSum := LogSumExp(logits, 1)
		for c, v := range logits {
			out[c] = float32(elementary.Exp(float64(v) - logSum))
		}
	}
}

func (s *softmaxRows) backward(b *backBuffers) {
	for low := 0; low < len(b.out); low += s.columns {
		p, g := b.out[low:][:s.columns], b.gradient[low:][:s.columns]
		dot := float32(0)
		for c, v := range p {
			dot += float32(v * g[c])
		}
		for c, v := range p {
			g[c] = v * (g[c] - dot)
		}
	}
	b.addInGradient(b.gradient)
}

// Argmax returns the index of the largest value, the first of equal ones. NaN counts as less than
// every number; values must not be empty.
func Argmax(values []float32) int {
	best := 0
	for i, v := range values {
		if v > values[best] || values[best] != values[best] && v == v {
			best = i
		}
	}
	return best
}

// LogSumExp returns ln Σ_c e^(values[c]/temperature) without overflow. It is NaN if a value is, and
// −∞ without values.
func LogSumExp(values []float32, temperature float64) float64 {
	largest := math.Inf(-1)
	for _, v := range values {
		largest = math.Max(largest, float64(v)/temperature)
	}
	if math.IsInf(largest, -1) {
		return largest
	}
	sum := 0.0
	for _, v := range values {
		sum += elementary.Exp(float64(v)/temperature - largest)
	}
	return largest + elementary.Log(sum)
}
