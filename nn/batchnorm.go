package nn

import (
	"cmp"
	"fmt"
	"math"

	"garb/internal/kernel"
)

// OpBatchNorm is batch normalization: see Builder.BatchNorm.
const OpBatchNorm Op = "BatchNorm"

// BatchNorm normalizes each channel with its stored statistics: out = gamma·(in −
// moving_mean)/√(moving_variance + epsilon) + beta. Parameters: "gamma", "beta", "moving_mean",
// "moving_variance", each [channels].
func (b *Builder) BatchNorm(name string, x Value, epsilon float64) Value {
	return b.layer(Layer{Op: OpBatchNorm, Name: name, Epsilon: epsilon}, x)
}

type batchNorm struct{ unary }

func (batchNorm) settings(l Layer) Layer { return Layer{Epsilon: l.Epsilon, Momentum: l.Momentum} }

func (b batchNorm) shape(l Layer, in [][]int) ([]int, error) {
	if !(l.Momentum >= 0 && l.Momentum <= 1) {
		return nil, fmt.Errorf("a momentum of %v; it must be from 0 to 1", l.Momentum)
	}
	return b.unary.shape(l, in)
}

func (batchNorm) params(_ Layer, in [][]int) []Param {
	c := in[0][len(in[0])-1:]
	return []Param{{"gamma", c, true}, {"beta", c, true}, {"moving_mean", c, false}, {"moving_variance", c, false}}
}

func (batchNorm) traits() traits { return traits{pointwise: true} }

func (batchNorm) lower(l *lowering, i int) {
	n := &l.graph.nodes[i]
	if usesBatch := l.purpose.batchStatistics; usesBatch != nil && usesBatch(n) {
		l.postpone(i, n.Inputs[0], &normalization{
			epilogue: epilogue{norm: n, masksItself: true}, rows: n.positions(), columns: n.channels(),
		})
		return
	}
	if s, e := l.openStage(n.Inputs[0]); s != nil && e.takesNorm {
		e.norm, e.takesNorm = n, false
		l.pending[i] = s
		return
	}
	d := newPerChannel(n)
	d.norm = n
	l.postpone(i, n.Inputs[0], d)
}

// normalization is a batch-norm that normalizes by the statistics of the batch, which happens only
// in training.
type normalization struct {
	scratchless
	epilogue
	rows, columns int
	gradientSum   []float32 // by gamma, then by beta

	batchMean, inverse []float64 // inverse is 1/√(variance+ε)
	factor, offset     []float32 // out = act(in·factor + offset)
	// The means over the batch of the gradient, and of the gradient times the normalized input.
	meanGradient, meanProduct []float64
}

// batchNormMomentum is the share of the stored statistics that a step keeps if the layer has no
// momentum: Keras's default.
const batchNormMomentum = 0.99

func (s *normalization) extent(int) extent { return single }

func (s *normalization) bind(variable func(n *node, param int) *Variable) int {
	return s.epilogue.bind(variable, s.columns, s.columns)
}

func (s *normalization) load(Weights) error { return nil }
func (s *normalization) prepareBackward()   {}

func (s *normalization) statistics() []*Variable { return []*Variable{s.mean, s.variance} }

// measure computes the mean and then the variance of the input over the batch, and updates the
// stored ones.
func (s *normalization) measure(t *Trainer, step *trainStage, each eachPart) {
	c := s.columns
	count := float64(t.n * s.rows)
	s.batchMean = t.sumParts(each, c, 1, func(sums [][]float64, m *threadMemory, low, high int) {
		eachRow(t.value(m.workspace, step.in, low, high), c, func(row []float32) {
			for i, v := range row {
				sums[0][i] += float64(v)
			}
		})
	})[0]
	for i := range s.batchMean {
		s.batchMean[i] /= count
	}
	variance := t.sumParts(each, c, 1, func(sums [][]float64, m *threadMemory, low, high int) {
		eachRow(t.value(m.workspace, step.in, low, high), c, func(row []float32) {
			for i, v := range row {
				d := float64(v) - s.batchMean[i]
				sums[0][i] += float64(d * d)
			}
		})
	})[0]
	momentum := cmp.Or(s.norm.Momentum, batchNormMomentum)
	s.inverse, s.factor, s.offset = make([]float64, c), make([]float32, c), make([]float32, c)
	for i := range variance {
		variance[i] /= count
		s.inverse[i] = 1 / math.Sqrt(variance[i]+s.norm.Epsilon)
		factor := float64(s.gamma.Value[i]) * s.inverse[i]
		s.factor[i] = float32(factor)
		s.offset[i] = float32(float64(s.beta.Value[i]) - float64(s.batchMean[i]*factor))
		move := func(stored *Variable, now float64) {
			stored.Value[i] = float32(float64(momentum*float64(stored.Value[i])) + float64((1-momentum)*now))
		}
		move(s.mean, s.batchMean[i])
		move(s.variance, variance[i])
	}
}

func (s *normalization) compute(b *buffers, _ piece) {
	for low := 0; low < len(b.in); low += s.columns {
		to, from := b.out[low:][:s.columns], b.in[low:][:s.columns]
		for i, f := range s.factor {
			to[i] = float32(from[i]*f) + s.offset[i]
		}
	}
	kernel.Activate(b.out, b.out, s.activation)
}

// measureGradient computes the sums over the batch that the gradient by the input needs: Σ g and Σ
// g·x̂ with the normalized input x̂, which are also the gradients by beta and gamma. It takes the
// gradient through the activation.
func (s *normalization) measureGradient(t *Trainer, step *trainStage, each eachPart) {
	sums := t.sumParts(each, s.columns, 2, func(sums [][]float64, m *threadMemory, low, high int) {
		gradient, out := t.gradient(m.workspace, step.out, low, high), t.value(m.workspace, step.out, low, high)
		in := t.value(m.workspace, step.in, low, high)
		kernel.ActivationGradient(gradient, out, s.activation)
		for at := 0; at < len(in); at += s.columns {
			for i, g := range gradient[at:][:s.columns] {
				sums[0][i] += float64(g)
				sums[1][i] += float64(float64(g) * (float64(in[at+i]) - s.batchMean[i]) * s.inverse[i])
			}
		}
	})
	count := float64(t.n * s.rows)
	s.gradientSum = make([]float32, 2*s.columns)
	for i := range s.columns {
		s.gradientSum[i], s.gradientSum[s.columns+i] = float32(sums[1][i]), float32(sums[0][i])
		sums[0][i] /= count
		sums[1][i] /= count
	}
	s.meanGradient, s.meanProduct = sums[0], sums[1]
}

// backward computes gamma·inverse·(g − mean(g) − x̂·mean(g·x̂)) for one image.
func (s *normalization) backward(b *backBuffers) {
	if b.inGradient == nil {
		return
	}
	for at := 0; at < len(b.in); at += s.columns {
		for i, g := range b.gradient[at:][:s.columns] {
			normalized := (float64(b.in[at+i]) - s.batchMean[i]) * s.inverse[i]
			centred := float64(g) - s.meanGradient[i] - float64(normalized*s.meanProduct[i])
			b.gradient[at+i] = float32(float64(s.factor[i]) * centred)
		}
	}
	b.addInGradient(b.gradient)
}

func (s *normalization) collect([]float32) {
	s.gamma.set(s.gradientSum[:s.columns])
	s.beta.set(s.gradientSum[s.columns:])
}
