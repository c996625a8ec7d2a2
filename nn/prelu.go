package nn

import "garb/internal/kernel"

// OpPReLU is a ReLU with learned slopes: see Builder.PReLU.
const OpPReLU Op = "PReLU"

// PReLU adds x above zero and slope[c]·x below (He et al. 2015). Parameter: "slope" [channels].
func (b *Builder) PReLU(name string, x Value) Value {
	return b.layer(Layer{Op: OpPReLU, Name: name}, x)
}

type pReLU struct{ unary }

func (pReLU) params(_ Layer, in [][]int) []Param {
	return []Param{{"slope", in[0][len(in[0])-1:], true}}
}

func (pReLU) traits() traits { return traits{pointwise: true} }

func (pReLU) lower(l *lowering, i int) {
	n := &l.graph.nodes[i]
	l.emit(i, &slopes{node: n, rows: n.positions(), columns: n.channels()}, n.Inputs[0])
}

// slopes multiplies negative values by one number per channel.
type slopes struct {
	scratchless
	node          *node
	rows, columns int
	slopes        []float32
	variable      *Variable
}

func (s *slopes) extent(n int) extent {
	return extent{rows: n * s.rows, panels: 1, work: 8 * n * s.rows * s.columns}
}

func (s *slopes) load(w Weights) (err error) {
	s.slopes, err = fetch(w, s.node.params[0])
	return err
}

func (s *slopes) compute(b *buffers, p piece) {
	kernel.PReLU(b.out[p.low*s.columns:p.high*s.columns], b.in[p.low*s.columns:p.high*s.columns], s.slopes)
}

func (s *slopes) bind(variable func(n *node, param int) *Variable) (gradientLen int) {
	if s.variable = variable(s.node, 0); s.variable != nil && s.variable.Trainable {
		return s.columns
	}
	return 0
}

func (s *slopes) prepareBackward() {}

func (s *slopes) backward(b *backBuffers) {
	if b.weights != nil {
		kernel.PReLUSlopesGradient(b.weights, b.gradient, b.in)
	}
	kernel.PReLUGradient(b.gradient, b.in, s.slopes)
	b.addInGradient(b.gradient)
}

func (s *slopes) collect(sum []float32) { s.variable.set(sum) }
