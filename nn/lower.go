package nn

import (
	"fmt"
	"slices"

	"garb/internal/kernel"
	"garb/tensor"
)

// lowering turns a graph into steps. A convolution or dense layer is kept back
// until its result is needed, so that the batch-norm, addition and activation
// that follow it can become part of it.
type lowering struct {
	graph     *Graph
	purpose   purpose
	consumers []int // number of nodes that read a node; the output counts as one

	steps   []step
	lengths []int // of each value, in values for one image
	value   []int // node → value that holds its result, or -1

	pending []*step // node → step that will produce it
	joined  map[joint]int
	reluOf  []int // node → node whose ReLU it is, not computed so far, or -1
}

// purpose is what the steps are for; the zero value is to answer.
type purpose struct {
	training bool // dropout drops
	// batchStatistics chooses the batch-norms that use the batch's statistics; nil:
	// none.
	batchStatistics func(*node) bool
}

// lower fails with a *LayerError for a graph that computes nothing.
func lower(g *Graph, p purpose) (*lowering, error) {
	n := len(g.nodes)
	l := &lowering{
		graph: g, purpose: p, consumers: make([]int, n), value: make([]int, n),
		pending: make([]*step, n), reluOf: make([]int, n), joined: map[joint]int{},
	}
	for i := range g.nodes {
		l.value[i], l.reluOf[i] = -1, -1
		for _, in := range g.nodes[i].Inputs {
			l.consumers[in]++
		}
	}
	l.consumers[g.output]++
	l.value[0] = l.newValue(tensor.Len(g.nodes[0].shape))
	for i := 1; i < n; i++ {
		g.nodes[i].operation().lower(l, i)
	}
	l.force(g.output)
	if l.value[g.output] == 0 {
		return nil, g.refuse(g.output, "the output of the network is its input")
	}
	return l, nil
}

// refuse is an error about a node.
func (g *Graph) refuse(i int, format string, args ...any) error {
	return &LayerError{i, g.nodes[i].Name, g.nodes[i].Op, fmt.Sprintf(format, args...)}
}

func (l *lowering) newValue(length int) int {
	l.lengths = append(l.lengths, length)
	return len(l.lengths) - 1
}

// force makes sure that a node's result is computed, and returns its value.
func (l *lowering) force(node int) int {
	switch {
	case l.value[node] >= 0:
	case l.pending[node] != nil:
		l.finish(node, l.pending[node])
	case l.reluOf[node] >= 0:
		l.emit(node, clamp(kernel.ReLU), l.reluOf[node])
	default: // a pad, which no window has taken in
		n := &l.graph.nodes[node]
		l.emit(node, newBorder(n), n.Inputs[0])
	}
	return l.value[node]
}

// keep keeps the computation of node i, from the result of node in, back.
func (l *lowering) keep(i, in int, c computation) {
	l.pending[i] = &step{computation: c, in: l.force(in), second: -1, at: i}
}

// keepReadingReLU is keep for a computation that applies a ReLU as it reads, if there is one
// that is not computed so far; then it reports true.
func (l *lowering) keepReadingReLU(i, in int, c computation) bool {
	source := l.reluOf[in]
	if source < 0 || l.value[in] >= 0 {
		l.keep(i, in, c)
		return false
	}
	l.pending[i] = &step{computation: c, in: l.force(source), second: -1, at: i}
	return true
}

// emit appends the computation of node i from one or two others.
func (l *lowering) emit(i int, c computation, inputs ...int) {
	s := &step{computation: c, in: l.force(inputs[0]), second: -1, at: i}
	if len(inputs) > 1 {
		s.second = l.force(inputs[1])
	}
	l.finish(i, s)
}

// finish appends the step that computes node i.
func (l *lowering) finish(i int, s *step) {
	n := &l.graph.nodes[i]
	flat := len(n.shape) == 1
	for _, in := range n.inputs {
		flat = flat && len(in) == 1
	}
	l.value[i] = l.append(s, tensor.Len(n.shape), flat)
}

// append appends a step whose output has length values, and returns its value.
func (l *lowering) append(s *step, length int, flat bool) int {
	s.out, s.flat = l.newValue(length), flat
	l.steps = append(l.steps, *s)
	return s.out
}

// open returns the step that will produce node, and its epilogue, if what follows can become
// a part of it: nobody else reads the node and no activation closes it.
func (l *lowering) open(node int) (*step, *epilogue) {
	s := l.pending[node]
	if s == nil || l.value[node] >= 0 || l.consumers[node] != 1 {
		return nil, nil
	}
	e := s.computation.(fusible).closing()
	if e.activation != kernel.Identity {
		return nil, nil
	}
	return s, e
}

// activate makes an activation, node i, a part of the step before, and reports whether it
// could.
func (l *lowering) activate(i int, a kernel.Activation) bool {
	s, e := l.open(l.graph.nodes[i].Inputs[0])
	if s == nil {
		return false
	}
	e.activation = a
	l.pending[i] = s
	return true
}

// alias makes node another name for the result of its input.
func (l *lowering) alias(node, in int) {
	if s, _ := l.open(in); s != nil {
		l.pending[node] = s
		return
	}
	l.value[node] = l.force(in)
}

// fetch reads one of a node's parameters and checks its shape and that its
// values are finite.
func fetch(w Weights, p Param) ([]float32, error) {
	t, err := w.Tensor(p.Name)
	if err != nil {
		return nil, &WeightError{p.Name, "cannot be read", err}
	}
	if !slices.Equal(t.Shape, p.Shape) {
		return nil, &WeightError{p.Name, fmt.Sprintf("shape %s where the network needs %s",
			tensor.ShapeString(t.Shape), tensor.ShapeString(p.Shape)), nil}
	}
	if !allFinite(t.Data) {
		return nil, &WeightError{p.Name, "", ErrNotFinite}
	}
	return t.Data, nil
}

// allFinite reports whether no value is infinite or NaN: v−v is then 0.
func allFinite(values []float32) bool {
	var a, b, c, d float32
	for len(values) >= 4 {
		v := values[:4]
		a += v[0] - v[0]
		b += v[1] - v[1]
		c += v[2] - v[2]
		d += v[3] - v[3]
		values = values[4:]
	}
	for _, v := range values {
		a += v - v
	}
	return a+b+c+d == 0
}
