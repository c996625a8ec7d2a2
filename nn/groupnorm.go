package nn

import (
	"fmt"
	"math"

	"garb/internal/kernel"
)

// OpGroupNorm normalizes groups of channels over all positions: see Builder.GroupNorm.
const OpGroupNorm Op = "GroupNorm"

// GroupNorm divides the channels into groups of adjacent ones and normalizes each by the mean and
// variance of all its values (Wu & He 2018): out = gamma·(in − mean)/√(variance + epsilon) + beta.
// With as many groups as channels it is instance normalization. Parameters: "gamma", "beta", each
// [channels].
func (b *Builder) GroupNorm(name string, x Value, groups int, epsilon float64) Value {
	return b.layer(Layer{Op: OpGroupNorm, Name: name, Groups: groups, Epsilon: epsilon}, x)
}

type groupNorm struct{ affineNorm }

func (groupNorm) settings(l Layer) Layer { return Layer{Groups: l.Groups, Epsilon: l.Epsilon} }

func (groupNorm) shape(l Layer, in [][]int) ([]int, error) {
	if channels := in[0][len(in[0])-1]; l.Groups < 1 || channels%l.Groups != 0 {
		return nil, fmt.Errorf("%d groups of %d channels", l.Groups, channels)
	}
	return in[0], l.checkEpsilon()
}

func (groupNorm) text(l Layer) string { return fmt.Sprintf(" %d", l.Groups) }
func (groupNorm) traits() traits      { return traits{whole: true} }

func (groupNorm) lower(l *lowering, i int) {
	n := &l.graph.nodes[i]
	l.emit(i, &groupNormalization{
		channelAffine: channelAffine{node: n}, rows: n.positions(), columns: n.channels(), groups: n.Groups,
	}, n.Inputs[0])
}

// groupNormalization normalizes groups of columns over all rows of an image.
type groupNormalization struct {
	channelAffine
	rows, columns, groups int
}

// extent counts groups, which threads can share.
func (g *groupNormalization) extent(n int) extent {
	return extent{rows: n * g.groups, panels: 1, work: 24 * n * g.rows * g.columns}
}

func (g *groupNormalization) scratchLen() int     { return 5 * g.columns }
func (g *groupNormalization) backScratchLen() int { return 7 * g.columns }

// eachImage calls f for each image of which a piece has groups, with the image's offset in the
// values and the channels of those groups.
func (g *groupNormalization) eachImage(p piece, f func(image, low, high int)) {
	size := g.columns / g.groups
	for low := p.low; low < p.high; {
		first := low % g.groups
		last := min(g.groups, first+p.high-low)
		f(low/g.groups*g.rows*g.columns, first*size, last*size)
		low += last - first
	}
}

// groupStatistics has the statistics of the channels of some groups, in a thread's scratch.
type groupStatistics struct {
	minusMean, inverse []float32 // of each channel; inverse is 1/√(variance + epsilon)
	row                []float32 // for a row
	sums               [2][]float32
}

// measure computes the statistics of the groups of channels from low to high.
func (g *groupNormalization) measure(in []float32, low, high int, scratch []float32) groupStatistics {
	n, size := high-low, g.columns/g.groups
	take := func() []float32 {
		part := scratch[:n]
		scratch = scratch[n:]
		return part
	}
	s := groupStatistics{minusMean: take(), inverse: take(), row: take(), sums: [2][]float32{take(), take()}}
	count := float64(g.rows * size)
	sums := g.sumRows(&s, func(to []float32, i int) { kernel.Add(to, in[i*g.columns+low:], kernel.Identity) })
	for c := 0; c < n; c += size {
		fill(s.minusMean[c:][:size], float32(-total(sums[c:][:size])/count))
	}
	sums = g.sumRows(&s, func(to []float32, i int) {
		copy(s.row, in[i*g.columns+low:])
		kernel.Add(s.row, s.minusMean, kernel.Identity)
		kernel.AddMultiply(to, s.row, s.row)
	})
	for c := 0; c < n; c += size {
		fill(s.inverse[c:][:size], float32(1/math.Sqrt(total(sums[c:][:size])/count+g.node.Epsilon)))
	}
	return s
}

// sumRows sums what add adds for each row. Blocks of rows have sums of their own, so that small
// numbers are not added to large ones.
func (g *groupNormalization) sumRows(s *groupStatistics, add func(to []float32, row int)) []float32 {
	const block = 64
	all, part := s.sums[0], s.sums[1]
	clear(all)
	for i := 0; i < g.rows; i += block {
		clear(part)
		for j := i; j < min(i+block, g.rows); j++ {
			add(part, j)
		}
		kernel.Add(all, part, kernel.Identity)
	}
	return all
}

func total(values []float32) (sum float64) {
	for _, v := range values {
		sum += float64(v)
	}
	return sum
}

func fill(values []float32, v float32) {
	for i := range values {
		values[i] = v
	}
}

func (g *groupNormalization) compute(b *buffers, p piece) {
	g.eachImage(p, func(image, low, high int) {
		in, out := b.in[image:], b.out[image:]
		s := g.measure(in, low, high, b.scratch)
		factor := s.inverse
		kernel.Multiply(factor, factor, g.gamma[low:high])
		for i := range g.rows {
			row := out[i*g.columns+low:][:high-low]
			copy(row, in[i*g.columns+low:])
			kernel.Add(row, s.minusMean, kernel.Identity)
			kernel.Multiply(row, row, factor)
			kernel.Add(row, g.beta[low:high], kernel.Identity)
		}
	})
}

// backward computes inverse·(d − mean(d) − x̂·mean(d·x̂)), with the normalized values x̂, the
// gradient times gamma as d, and means over a group.
func (g *groupNormalization) backward(b *backBuffers) {
	size := g.columns / g.groups
	count := float64(g.rows * size)
	for image := 0; image < len(b.in); image += g.rows * g.columns {
		in, gradient := b.in[image:], b.gradient[image:]
		s := g.measure(in, 0, g.columns, b.scratch)
		byGamma, byBeta := b.scratch[5*g.columns:][:g.columns], b.scratch[6*g.columns:][:g.columns]
		at := func(i int) []float32 { return gradient[i*g.columns:][:g.columns] }
		copy(byBeta, g.sumRows(&s, func(to []float32, i int) { kernel.Add(to, at(i), kernel.Identity) }))
		copy(byGamma, g.sumRows(&s, func(to []float32, i int) {
			g.normalize(&s, in, i)
			kernel.AddMultiply(to, at(i), s.row)
		}))
		if b.weights != nil {
			addTo(b.weights[:g.columns], byGamma)
			addTo(b.weights[g.columns:], byBeta)
		}
		if b.inGradient == nil {
			continue
		}
		kernel.Multiply(byGamma, byGamma, g.gamma)
		kernel.Multiply(byBeta, byBeta, g.gamma)
		for c := 0; c < g.columns; c += size {
			fill(byGamma[c:][:size], float32(total(byGamma[c:][:size])/count))
			fill(byBeta[c:][:size], float32(total(byBeta[c:][:size])/count))
		}
		for i := range g.rows {
			g.normalize(&s, in, i)
			for c, v := range at(i) {
				centred := float32(g.gamma[c]*v) - byBeta[c] - float32(s.row[c]*byGamma[c])
				gradient[i*g.columns+c] = s.inverse[c] * centred
			}
		}
	}
	b.addInGradient(b.gradient)
}

// normalize sets s.row to normalized row i of an image. s has the statistics of all groups.
func (g *groupNormalization) normalize(s *groupStatistics, in []float32, i int) {
	copy(s.row, in[i*g.columns:])
	kernel.Add(s.row, s.minusMean, kernel.Identity)
	kernel.Multiply(s.row, s.row, s.inverse)
}
