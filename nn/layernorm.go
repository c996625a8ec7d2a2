package nn

import (
	"fmt"
	"math"
)

// OpLayerNorm normalizes the channels of each position: see Builder.LayerNorm.
const OpLayerNorm Op = "LayerNorm"

// LayerNorm normalizes each position of a map, or a flat value, by the mean and variance of its own
// channels (Ba et al. 2016): out = gamma·(in − mean)/√(variance + epsilon) + beta. Parameters:
// "gamma", "beta", each [channels].
func (b *Builder) LayerNorm(name string, x Value, epsilon float64) Value {
	return b.layer(Layer{Op: OpLayerNorm, Name: name, Epsilon: epsilon}, x)
}

// affineNorm has the methods of operations that normalize by the statistics of the picture itself
// and then scale and shift each channel.
type affineNorm struct{ unary }

func (affineNorm) params(_ Layer, in [][]int) []Param {
	c := in[0][len(in[0])-1:]
	return []Param{{"gamma", c, true}, {"beta", c, true}}
}

// maxEpsilon is above all sensible values.
const maxEpsilon = 1e6

func (l Layer) checkEpsilon() error {
	if !(l.Epsilon >= 0 && l.Epsilon < maxEpsilon) {
		return fmt.Errorf("an epsilon of %v", l.Epsilon)
	}
	return nil
}

type layerNorm struct{ affineNorm }

func (layerNorm) settings(l Layer) Layer { return Layer{Epsilon: l.Epsilon} }

func (layerNorm) shape(l Layer, in [][]int) ([]int, error) { return in[0], l.checkEpsilon() }

func (layerNorm) lower(l *lowering, i int) {
	n := &l.graph.nodes[i]
	l.emit(i, &rowNormalization{channelAffine: channelAffine{node: n}, rows: n.positions(), columns: n.channels()},
		n.Inputs[0])
}

// channelAffine has the parameters gamma and beta of a node.
type channelAffine struct {
	node              *node
	gamma, beta       []float32
	gammaVar, betaVar *Variable
}

func (a *channelAffine) load(w Weights) (err error) {
	if a.gamma, err = fetch(w, a.node.params[0]); err == nil {
		a.beta, err = fetch(w, a.node.params[1])
	}
	return err
}

func (a *channelAffine) bind(variable func(n *node, param int) *Variable) (gradientLen int) {
	a.gammaVar, a.betaVar = variable(a.node, 0), variable(a.node, 1)
	for _, v := range []*Variable{a.gammaVar, a.betaVar} {
		if v != nil && v.Trainable {
			return 2 * a.node.channels()
		}
	}
	return 0
}

func (a *channelAffine) prepareBackward() {}

func (a *channelAffine) collect(sum []float32) {
	channels := a.node.channels()
	a.gammaVar.set(sum[:channels])
	a.betaVar.set(sum[channels:])
}

// rowNormalization normalizes each row by itself.
type rowNormalization struct {
	scratchless
	channelAffine
	rows, columns int
}

func (r *rowNormalization) extent(n int) extent {
	return extent{rows: n * r.rows, panels: 1, work: 16 * n * r.rows * r.columns}
}

func (r *rowNormalization) compute(b *buffers, p piece) {
	for low := p.low * r.columns; low < p.high*r.columns; low += r.columns {
		in, out := b.in[low:][:r.columns], b.out[low:][:r.columns]
		mean, inverse := moments(in, r.node.Epsilon)
		gamma, beta := r.gamma[:len(in)], r.beta[:len(in)]
		for c, v := range in {
			out[c] = float32((v-mean)*inverse*gamma[c]) + beta[c]
		}
	}
}

// moments returns the mean of a row and 1/√(variance + epsilon). Each is computed as four sums,
// which do not wait for one another.
func moments(row []float32, epsilon float64) (mean, inverse float32) {
	n := float64(len(row))
	var s [4]float64
	rest := row
	for ; len(rest) >= 4; rest = rest[4:] {
		s[0] += float64(rest[0])
		s[1] += float64(rest[1])
		s[2] += float64(rest[2])
		s[3] += float64(rest[3])
	}
	for _, v := range rest {
		s[0] += float64(v)
	}
	centre := ((s[0] + s[1]) + (s[2] + s[3])) / n
	s, rest = [4]float64{}, row
	for ; len(rest) >= 4; rest = rest[4:] {
		a, b, c, d := float64(rest[0])-centre, float64(rest[1])-centre, float64(rest[2])-centre,
			float64(rest[3])-centre
		s[0] += float64(a * a)
		s[1] += float64(b * b)
		s[2] += float64(c * c)
		s[3] += float64(d * d)
	}
	for _, v := range rest {
		s[0] += float64((float64(v) - centre) * (float64(v) - centre))
	}
	variance := ((s[0] + s[1]) + (s[2] + s[3])) / n
	return float32(centre), float32(1 / math.Sqrt(variance+epsilon))
}

// backward computes inverse·(d − mean(d) − x̂·mean(d·x̂)) for each row, with the normalized values
// x̂ and the gradient times gamma as d.
func (r *rowNormalization) backward(b *backBuffers) {
	for low := 0; low < len(b.in); low += r.columns {
		in, g := b.in[low:][:r.columns], b.gradient[low:][:r.columns]
		mean, inverse := moments(in, r.node.Epsilon)
		var sum, product float64
		for c, v := range in {
			normalized := (v - mean) * inverse
			if b.weights != nil {
				b.weights[c] += float32(g[c] * normalized)
				b.weights[r.columns+c] += g[c]
			}
			g[c] *= r.gamma[c]
			sum += float64(g[c])
			product += float64(float64(g[c]) * float64(normalized))
		}
		meanGradient, meanProduct := float32(sum/float64(r.columns)), float32(product/float64(r.columns))
		for c, v := range in {
			g[c] = inverse * (g[c] - meanGradient - float32((v-mean)*inverse*meanProduct))
		}
	}
	b.addInGradient(b.gradient)
}
