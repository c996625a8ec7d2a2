package nn

import (
	"fmt"
	"math"
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
	reluOf  []int   // node → node whose ReLU it is, not computed so far, or -1
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
		pending: make([]*step, n), reluOf: make([]int, n),
	}
	for i := range g.nodes {
		l.value[i], l.reluOf[i] = -1, -1
		for _, in := range g.nodes[i].inputs {
			l.consumers[in]++
		}
	}
	l.consumers[g.output]++
	l.value[0] = l.newValue(tensor.Len(g.nodes[0].shape))
	for i := 1; i < n; i++ {
		l.node(i)
	}
	l.force(g.output)
	if l.value[g.output] == 0 {
		last := g.nodes[g.output]
		return nil, &LayerError{g.output, last.name, describe(last).Op, "the output of the network is its input"}
	}
	return l, nil
}

func (l *lowering) newValue(length int) int {
	l.lengths = append(l.lengths, length)
	return len(l.lengths) - 1
}

// force makes sure that a node's result is computed, and returns its value.
func (l *lowering) force(node int) int {
	if l.value[node] >= 0 {
		return l.value[node]
	}
	if s := l.pending[node]; s != nil {
		l.emit(node, s)
	} else {
		source := l.reluOf[node]
		l.emit(node, &step{kind: stepActivate, in: l.force(source), residual: -1, activation: kernel.ReLU})
	}
	return l.value[node]
}

// emit appends the step that computes a node.
func (l *lowering) emit(node int, s *step) {
	shape := l.graph.nodes[node].shape
	s.out = l.newValue(tensor.Len(shape))
	s.flat = len(shape) == 1 && s.kind != stepGlobalAverage && s.kind != stepGlobalMax && s.kind != stepPool
	if s.flat && s.kind == stepMatrix {
		s.flat = s.rows == 1
	}
	l.value[node] = s.out
	if s.at == 0 {
		s.at = node
	}
	l.steps = append(l.steps, *s)
}

// fusible returns the step that will produce node, if what follows can become a
// part of it: nobody else reads the node and no activation closes it.
func (l *lowering) fusible(node int) *step {
	s := l.pending[node]
	if s == nil || l.value[node] >= 0 || l.consumers[node] != 1 || s.activation != kernel.Identity {
		return nil
	}
	return s
}

// alias makes node another name for the result of its input.
func (l *lowering) alias(node, in int) {
	if s := l.fusible(in); s != nil {
		l.pending[node] = s
		return
	}
	l.value[node] = l.force(in)
}

func (l *lowering) node(i int) {
	n := &l.graph.nodes[i]
	switch op := n.op.(type) {
	case conv:
		l.conv(i, op)
	case depthwiseConv:
		l.depthwise(i, op)
	case dense:
		l.dense(i, op)
	case batchNorm:
		l.batchNorm(i, op)
	case activation:
		l.activation(i, op)
	case add:
		l.add(i)
	case pool:
		l.pool(i, op)
	case globalPool:
		in := l.graph.nodes[n.inputs[0]].shape
		s := &step{kind: stepGlobalAverage, in: l.force(n.inputs[0]), residual: -1, rows: in[0] * in[1], columns: in[2]}
		if !op.average {
			s.kind = stepGlobalMax
		}
		l.emit(i, s)
	case scale:
		s := l.perChannel(i)
		s.layer, s.load = n, loadScale
		l.pending[i] = s
	case multiply:
		x, y := n.inputs[0], n.inputs[1]
		channels := n.shape[len(n.shape)-1]
		l.emit(i, &step{kind: stepMultiply, in: l.force(x), residual: l.force(y),
			rows: tensor.Len(n.shape) / channels, columns: channels, depth: tensor.Len(l.graph.nodes[y].shape)})
	case concat:
		l.concat(i)
	case pad:
		in := l.graph.nodes[n.inputs[0]].shape
		s := &step{kind: stepPad, in: l.force(n.inputs[0]), residual: -1,
			height: in[0], width: in[1], channels: in[2], outHeight: n.shape[0], outWidth: n.shape[1], columns: in[2],
			padTop: op.above, padLeft: op.left}
		if op.lowest {
			s.fill = -math.MaxFloat32
		}
		l.emit(i, s)
	case flatten, reshape:
		// A pending step has its shape from its own node, so it is computed there.
		l.value[i] = l.force(n.inputs[0])
	case dropout:
		if !l.purpose.training || op.rate == 0 {
			l.alias(i, n.inputs[0])
			return
		}
		l.emit(i, &step{kind: stepDropout, in: l.force(n.inputs[0]), residual: -1, rate: op.rate})
	default:
		panic(fmt.Sprintf("nn: layer %T cannot be compiled", op))
	}
}

func (l *lowering) conv(i int, op conv) {
	n := &l.graph.nodes[i]
	in, out := l.graph.nodes[n.inputs[0]].shape, n.shape
	channels, filters := in[2], out[2]
	s := &step{
		kind: stepConv, in: l.force(n.inputs[0]), residual: -1,
		height: in[0], width: in[1], channels: channels,
		outHeight: out[0], outWidth: out[1], columns: filters,
		kernelHeight: op.kernelHeight, kernelWidth: op.kernelWidth, stride: op.stride,
		depth: op.kernelHeight * op.kernelWidth * channels,
		layer: n, load: loadMatrix, at: i,
	}
	s.padTop = op.padding.before(in[0], op.kernelHeight, op.stride)
	s.padLeft = op.padding.before(in[1], op.kernelWidth, op.stride)
	if op.kernelHeight == 1 && op.kernelWidth == 1 && op.stride == 1 {
		s.kind = stepMatrix
		s.rows = out[0] * out[1]
	}
	l.pending[i] = s
}

func (l *lowering) depthwise(i int, op depthwiseConv) {
	n := &l.graph.nodes[i]
	in, out := l.graph.nodes[n.inputs[0]].shape, n.shape
	s := &step{
		kind: stepDepthwise, residual: -1,
		height: in[0], width: in[1], channels: in[2],
		outHeight: out[0], outWidth: out[1], columns: in[2],
		kernelHeight: op.kernelHeight, kernelWidth: op.kernelWidth, stride: op.stride,
		layer: n, load: loadDepthwise, at: i,
	}
	s.padTop = op.padding.before(in[0], op.kernelHeight, op.stride)
	s.padLeft = op.padding.before(in[1], op.kernelWidth, op.stride)
	if source := l.reluOf[n.inputs[0]]; source >= 0 && l.value[n.inputs[0]] < 0 {
		s.in, s.reluInput = l.force(source), true
	} else {
		s.in = l.force(n.inputs[0])
	}
	l.pending[i] = s
}

func (l *lowering) dense(i int, op dense) {
	n := &l.graph.nodes[i]
	l.pending[i] = &step{
		kind: stepMatrix, in: l.force(n.inputs[0]), residual: -1,
		rows: 1, depth: tensor.Len(l.graph.nodes[n.inputs[0]].shape), columns: n.shape[0],
		layer: n, load: loadMatrix, at: i,
	}
}

func (l *lowering) batchNorm(i int, op batchNorm) {
	n := &l.graph.nodes[i]
	if of := l.purpose.batchStatistics; of != nil && of(n) {
		channels := n.shape[len(n.shape)-1]
		l.pending[i] = &step{kind: stepNormalize, in: l.force(n.inputs[0]), residual: -1,
			rows: tensor.Len(n.shape) / channels, columns: channels, norm: n, epsilon: op.epsilon}
		return
	}
	if s := l.fusible(n.inputs[0]); s != nil && s.residual < 0 && s.norm == nil && s.layer != nil && !isScale(s.layer) {
		s.norm, s.epsilon = n, op.epsilon
		l.pending[i] = s
		return
	}
	s := l.perChannel(i)
	s.norm, s.epsilon, s.load = n, op.epsilon, loadNorm
	l.pending[i] = s
}

func isScale(n *node) bool {
	_, ok := n.op.(scale)
	return ok
}

// perChannel is a layer that multiplies each channel and adds to it, on its own: a
// depthwise convolution with a 1×1 kernel.
func (l *lowering) perChannel(i int) *step {
	n := &l.graph.nodes[i]
	s := &step{
		kind: stepDepthwise, in: l.force(n.inputs[0]), residual: -1,
		height: 1, width: 1, outHeight: 1, outWidth: 1,
		channels: n.shape[len(n.shape)-1], columns: n.shape[len(n.shape)-1],
		kernelHeight: 1, kernelWidth: 1, stride: 1, at: i,
	}
	if len(n.shape) == 3 {
		s.height, s.width, s.outHeight, s.outWidth = n.shape[0], n.shape[1], n.shape[0], n.shape[1]
	}
	return s
}

// concat puts values together two by two.
func (l *lowering) concat(i int) {
	n := &l.graph.nodes[i]
	together := l.force(n.inputs[0])
	channels := func(node int) int {
		s := l.graph.nodes[node].shape
		return s[len(s)-1]
	}
	depth := channels(n.inputs[0])
	positions := tensor.Len(n.shape) / n.shape[len(n.shape)-1]
	for j, in := range n.inputs[1:] {
		s := &step{kind: stepConcat, in: together, residual: l.force(in), rows: positions, depth: depth, columns: depth +
			channels(in)}
		depth = s.columns
		if j == len(n.inputs)-2 {
			l.emit(i, s)
			return
		}
		s.out, s.at = l.newValue(positions*depth), i
		s.flat = len(n.shape) == 1
		together = s.out
		l.steps = append(l.steps, *s)
	}
}

func (l *lowering) activation(i int, op activation) {
	n := &l.graph.nodes[i]
	in := n.inputs[0]
	switch op.function {
	case relu, relu6:
		act := kernel.ReLU
		if op.function == relu6 {
			act = kernel.ReLU6
		}
		if s := l.fusible(in); s != nil {
			s.activation = act
			l.pending[i] = s
			return
		}
		if op.function == relu {
			l.force(in)
			l.reluOf[i] = in // a depthwise convolution applies it as it reads
			return
		}
		l.emit(i, &step{kind: stepActivate, in: l.force(in), residual: -1, activation: act})
	case leakyReLU, swish, tanh:
		columns := n.shape[len(n.shape)-1]
		l.emit(i, &step{kind: stepFunction, in: l.force(in), residual: -1, function: op,
			rows: tensor.Len(n.shape) / columns, columns: columns})
	case sigmoid:
		l.emit(i, &step{kind: stepSigmoid, in: l.force(in), residual: -1})
	case softmax:
		columns := n.shape[len(n.shape)-1]
		l.emit(i, &step{kind: stepSoftmax, in: l.force(in), residual: -1,
			rows: tensor.Len(n.shape) / columns, columns: columns})
	}
}

func (l *lowering) add(i int) {
	n := &l.graph.nodes[i]
	// The later of the two is the one not computed so far, as a rule.
	for _, j := range []int{1, 0} {
		s := l.fusible(n.inputs[j])
		if s == nil || s.kind == stepDepthwise || s.kind == stepNormalize || s.residual >= 0 || n.inputs[0] == n.inputs[1] {
			continue
		}
		s.residual = l.force(n.inputs[1-j])
		l.pending[i] = s
		return
	}
	l.emit(i, &step{kind: stepAdd, in: l.force(n.inputs[0]), residual: l.force(n.inputs[1])})
}

func (l *lowering) pool(i int, op pool) {
	n := &l.graph.nodes[i]
	in, out := l.graph.nodes[n.inputs[0]].shape, n.shape
	s := &step{
		kind: stepPool, in: l.force(n.inputs[0]), residual: -1, average: op.average,
		height: in[0], width: in[1], channels: in[2],
		outHeight: out[0], outWidth: out[1], columns: in[2],
		kernelHeight: op.size, kernelWidth: op.size, stride: op.stride,
	}
	s.padTop = op.padding.before(in[0], op.size, op.stride)
	s.padLeft = op.padding.before(in[1], op.size, op.stride)
	l.emit(i, s)
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

// affine returns what a batch-norm does after a layer with the given bias:
// out = scale·x + shift. Without batch-norm scale is nil, and shift the bias.
func affine(s *step, w Weights, bias []float32) (scale, shift []float32, err error) {
	if s.norm == nil {
		return nil, bias, nil
	}
	var p [4][]float32
	for i := range p {
		if p[i], err = fetch(w, s.norm.params[i]); err != nil {
			return nil, nil, err
		}
	}
	gamma, beta, mean, variance := p[0], p[1], p[2], p[3]
	scale, shift = make([]float32, len(gamma)), make([]float32, len(gamma))
	for c := range gamma {
		v := float64(variance[c]) + s.epsilon
		if !(v > 0) {
			return nil, nil, &WeightError{s.norm.params[3].Name, "holds a variance that is not positive", nil}
		}
		factor := float64(gamma[c]) / math.Sqrt(v)
		scale[c] = float32(factor)
		before := -float64(mean[c])
		if bias != nil {
			before += float64(bias[c])
		}
		shift[c] = float32(float64(beta[c]) + before*factor)
	}
	return scale, shift, nil
}

// kernelAndAffine reads a layer's kernel and what is added and multiplied after it.
func kernelAndAffine(s *step, w Weights) (values, scale, shift []float32, err error) {
	n := s.layer
	if values, err = fetch(w, n.params[0]); err != nil {
		return
	}
	var bias []float32
	if len(n.params) == 2 {
		if bias, err = fetch(w, n.params[1]); err != nil {
			return
		}
	}
	scale, shift, err = affine(s, w, bias)
	return
}

// loadMatrix packs the kernel of a convolution or dense layer, into the memory of the
// one before if there was one.
func loadMatrix(s *step, w Weights) error {
	values, scale, shift, err := kernelAndAffine(s, w)
	if err != nil {
		return err
	}
	s.scale, s.bias = scale, shift
	if s.matrix == nil {
		s.matrix = kernel.Pack(values, s.depth, s.columns, scale)
	} else {
		s.matrix.Set(values, scale)
	}
	return nil
}

func loadDepthwise(s *step, w Weights) error {
	values, scale, shift, err := kernelAndAffine(s, w)
	if err != nil {
		return err
	}
	s.taps, s.scale, s.bias = slices.Clone(values), scale, shift
	for i := range s.taps {
		if scale != nil {
			s.taps[i] *= scale[i%s.channels]
		}
	}
	return nil
}

// loadNorm makes the 1×1 kernel of a batch-norm that stands alone.
func loadNorm(s *step, w Weights) error {
	scale, shift, err := affine(s, w, nil)
	if err != nil {
		return err
	}
	s.taps, s.scale, s.bias = scale, scale, shift
	return nil
}

// loadScale makes that of a Scale.
func loadScale(s *step, w Weights) (err error) {
	if s.taps, err = fetch(w, s.layer.params[0]); err != nil {
		return err
	}
	s.bias, err = fetch(w, s.layer.params[1])
	return err
}
