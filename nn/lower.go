package nn

import (
	"fmt"
	"slices"

	"garb/internal/kernel"
	"garb/tensor"
)

// lowering turns a graph into stages. A convolution or dense layer is postponed
// until its result is needed, so that the batch-norm, addition and activation
// that follow it can be fused into it.
type lowering struct {
	graph     *Graph
	purpose   purpose
	consumers []int // number of nodes that read a node; the output counts as one

	stages  []stage
	lengths []int // of each value, in values for one image
	value   []int // node → value that holds its result, or -1

	pending        []*stage // node → stage that will produce it
	concatenations map[pair]int
	reluInput      []int // node → node whose ReLU it is, not computed so far, or -1
}

// purpose says what the stages are for. The zero value is inference.
type purpose struct {
	training bool // dropout drops
	// batchStatistics selects the batch-norms that use the batch's statistics; nil: none.
	batchStatistics func(*node) bool
}

// lower returns the stages of a graph, or a *LayerError if the graph computes nothing.
func lower(g *Graph, p purpose) (*lowering, error) {
	n := len(g.nodes)
	l := &lowering{
		graph: g, purpose: p, consumers: make([]int, n), value: make([]int, n),
		pending: make([]*stage, n), reluInput: make([]int, n), concatenations: map[pair]int{},
	}
	for i := range g.nodes {
		l.value[i], l.reluInput[i] = -1, -1
		for _, in := range g.nodes[i].Inputs {
			l.consumers[in]++
		}
	}
	l.consumers[g.output]++
	l.value[0] = l.newValue(tensor.Len(g.nodes[0].shape))
	for i := 1; i < n; i++ {
		g.nodes[i].operation().lower(l, i)
	}
	l.materialize(g.output)
	if l.value[g.output] == 0 {
		return nil, g.errorAt(g.output, "the network's output is its input")
	}
	return l, nil
}

// errorAt returns an error about a node.
func (g *Graph) errorAt(i int, format string, args ...any) error {
	return &LayerError{i, g.nodes[i].Name, g.nodes[i].Op, fmt.Sprintf(format, args...)}
}

func (l *lowering) newValue(length int) int {
	l.lengths = append(l.lengths, length)
	return len(l.lengths) - 1
}

// materialize makes sure that a node's result is computed and returns its value.
func (l *lowering) materialize(node int) int {
	switch {
	case l.value[node] >= 0:
	case l.pending[node] != nil:
		l.finish(node, l.pending[node])
	case l.reluInput[node] >= 0:
		l.emit(node, newClamping(kernel.ReLU), l.reluInput[node])
	default: // a pad that no window has absorbed
		n := &l.graph.nodes[node]
		l.emit(node, newBorder(n), n.Inputs[0])
	}
	return l.value[node]
}

// postpone postpones the computation of node i from the result of node in.
func (l *lowering) postpone(i, in int, c computation) {
	l.pending[i] = &stage{computation: c, in: l.materialize(in), second: -1, at: i}
}

// postponeReadingReLU does what postpone does for a computation that can apply a ReLU to its input.
// It reports whether there is one that has not been computed yet.
func (l *lowering) postponeReadingReLU(i, in int, c computation) bool {
	source := l.reluInput[in]
	if source < 0 || l.value[in] >= 0 {
		l.postpone(i, in, c)
		return false
	}
	l.pending[i] = &stage{computation: c, in: l.materialize(source), second: -1, at: i}
	return true
}

// emit appends the computation of node i from one or two others.
func (l *lowering) emit(i int, c computation, inputs ...int) {
	s := &stage{computation: c, in: l.materialize(inputs[0]), second: -1, at: i}
	if len(inputs) > 1 {
		s.second = l.materialize(inputs[1])
	}
	l.finish(i, s)
}

// finish appends the stage that computes node i.
func (l *lowering) finish(i int, s *stage) {
	n := &l.graph.nodes[i]
	flat := len(n.shape) == 1
	for _, in := range n.inputs {
		flat = flat && len(in) == 1
	}
	l.value[i] = l.append(s, tensor.Len(n.shape), flat)
}

// append appends a stage whose output has length values and returns its value.
func (l *lowering) append(s *stage, length int, flat bool) int {
	s.out, s.flat = l.newValue(length), flat
	l.stages = append(l.stages, *s)
	return s.out
}

// openStage returns the stage that will produce node, and its epilogue, if the next node can be
// fused into it: no other node reads it and no activation ends it. Otherwise it returns nil.
func (l *lowering) openStage(node int) (*stage, *epilogue) {
	s := l.pending[node]
	if s == nil || l.value[node] >= 0 || l.consumers[node] != 1 {
		return nil, nil
	}
	e := s.computation.(fusible).fusedEpilogue()
	if e.activation != kernel.Identity {
		return nil, nil
	}
	return s, e
}

// activate fuses an activation, node i, into the stage before, and reports whether it could.
func (l *lowering) activate(i int, a kernel.Activation) bool {
	s, e := l.openStage(l.graph.nodes[i].Inputs[0])
	if s == nil {
		return false
	}
	e.activation = a
	l.pending[i] = s
	return true
}

// alias makes node another name for the result of its input.
func (l *lowering) alias(node, in int) {
	if s, _ := l.openStage(in); s != nil {
		l.pending[node] = s
		return
	}
	l.value[node] = l.materialize(in)
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

// allFinite reports whether no value is infinite or NaN: only then v−v is 0.
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
