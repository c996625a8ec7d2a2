package nn

import (
	"math"

	"garb/internal/kernel"
)

// statistics are those of a batch, of a batch-norm that normalises by them: per
// channel.
type statistics struct {
	batchMean, inverse []float64 // inverse is 1/√(variance+ε)
	factor, shift      []float32 // out = in·factor + shift
	// The mean over the batch of the gradient, and of it times the normalised input.
	meanGradient, meanProduct []float64
}

// batchNormMomentum is the share of the stored statistics that a step keeps:
// Keras's default.
const batchNormMomentum = 0.99

// eachPart runs a function over all images of the batch, in parts.
type eachPart func(do func(m *threadMemory, part, low, high int))

// measure computes the mean and variance of a batch-norm's input over the batch,
// first one, then the other, and updates the stored ones.
func (t *Trainer) measure(s *trainStep, each eachPart) {
	c := s.columns
	count := float64(t.n * s.rows)
	s.batchMean = t.sums(each, c, 1, func(sums [][]float64, m *threadMemory, low, high int) {
		eachRow(t.value(m.workspace, s.in, low, high), c, func(row []float32) {
			for i, v := range row {
				sums[0][i] += float64(v)
			}
		})
	})[0]
	for i := range s.batchMean {
		s.batchMean[i] /= count
	}
	variance := t.sums(each, c, 1, func(sums [][]float64, m *threadMemory, low, high int) {
		eachRow(t.value(m.workspace, s.in, low, high), c, func(row []float32) {
			for i, v := range row {
				d := float64(v) - s.batchMean[i]
				sums[0][i] += d * d
			}
		})
	})[0]
	s.inverse, s.factor, s.shift = make([]float64, c), make([]float32, c), make([]float32, c)
	for i := range variance {
		variance[i] /= count
		s.inverse[i] = 1 / math.Sqrt(variance[i]+s.epsilon)
		factor := float64(s.gamma.Value[i]) * s.inverse[i]
		s.factor[i] = float32(factor)
		s.shift[i] = float32(float64(s.beta.Value[i]) - s.batchMean[i]*factor)
		move := func(stored *Variable, now float64) {
			stored.Value[i] = float32(batchNormMomentum*float64(stored.Value[i]) + (1-batchNormMomentum)*now)
		}
		move(s.mean, s.batchMean[i])
		move(s.variance, variance[i])
	}
}

// sums adds up count sums of c channels over the parts of the batch, in their order.
func (t *Trainer) sums(each eachPart, c, count int, add func(sums [][]float64, m *threadMemory, low, high int)) [][]float64 {
	parts := make([][][]float64, t.partCount)
	each(func(m *threadMemory, part, low, high int) {
		parts[part] = make([][]float64, count)
		for i := range parts[part] {
			parts[part][i] = make([]float64, c)
		}
		add(parts[part], m, low, high)
	})
	for _, part := range parts[1:] {
		for i, sums := range part {
			for k, v := range sums {
				parts[0][i][k] += v
			}
		}
	}
	return parts[0]
}

func eachRow(values []float32, columns int, do func(row []float32)) {
	for low := 0; low < len(values); low += columns {
		do(values[low:][:columns])
	}
}

// normalize computes one image.
func (s *trainStep) normalize(out, in []float32) {
	for low := 0; low < len(in); low += s.columns {
		to, from := out[low:][:s.columns], in[low:][:s.columns]
		for i, f := range s.factor {
			to[i] = from[i]*f + s.shift[i]
		}
	}
	kernel.Activate(out, out, s.activation)
}

// measureGradient sums what the gradient by the input needs of the whole batch:
// with x̂ the normalised input, Σ g and Σ g·x̂, which are also the gradients by beta
// and gamma. The gradient is taken through the activation on the way.
func (t *Trainer) measureGradient(s *trainStep, each eachPart) {
	sums := t.sums(each, s.columns, 2, func(sums [][]float64, m *threadMemory, low, high int) {
		gradient, out := t.gradient(m.workspace, s.out, low, high), t.value(m.workspace, s.out, low, high)
		in := t.value(m.workspace, s.in, low, high)
		kernel.ActivationGradient(gradient, out, s.activation)
		for at := 0; at < len(in); at += s.columns {
			for i, g := range gradient[at:][:s.columns] {
				sums[0][i] += float64(g)
				sums[1][i] += float64(g) * (float64(in[at+i]) - s.batchMean[i]) * s.inverse[i]
			}
		}
	})
	raw := t.raw[0][s.rawOffset:]
	count := float64(t.n * s.rows)
	for i := range s.columns {
		raw[i], raw[s.columns+i] = float32(sums[1][i]), float32(sums[0][i])
		sums[0][i] /= count
		sums[1][i] /= count
	}
	s.meanGradient, s.meanProduct = sums[0], sums[1]
}

// normalizeBackward is, of one image, gamma·inverse·(g − mean(g) − x̂·mean(g·x̂)).
func (s *trainStep) normalizeBackward(b *backBuffers) {
	if b.inGradient == nil {
		return
	}
	for at := 0; at < len(b.in); at += s.columns {
		for i, g := range b.gradient[at:][:s.columns] {
			normalized := (float64(b.in[at+i]) - s.batchMean[i]) * s.inverse[i]
			b.gradient[at+i] = float32(float64(s.factor[i]) * (float64(g) - s.meanGradient[i] - normalized*s.meanProduct[i]))
		}
	}
	hand(b.inGradient, b.gradient, s.addInput)
}
