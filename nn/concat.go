package nn

import (
	"fmt"
	"slices"

	"garb/internal/kernel"
	"garb/tensor"
)

// OpConcat concatenates channels: see Builder.Concat.
const OpConcat Op = "Concat"

// Concat concatenates the channels of values: [h w c1], [h w c2] become [h w c1+c2].
func (b *Builder) Concat(values ...Value) Value { return b.layer(Layer{Op: OpConcat}, values...) }

type concat struct{ unary }

func (concat) arity() int { return -1 }

func (concat) shape(_ Layer, in [][]int) ([]int, error) {
	shape := slices.Clone(in[0])
	last := len(shape) - 1
	for _, s := range in[1:] {
		if len(s) != len(shape) || !slices.Equal(s[:last], shape[:last]) {
			return nil, fmt.Errorf("Concat of %s and %s", tensor.ShapeString(in[0]), tensor.ShapeString(s))
		}
		if shape[last] += s[last]; shape[last] > maxValues {
			return nil, fmt.Errorf("its output would have %d channels", shape[last])
		}
	}
	return shape, nil
}

// lower concatenates values two by two, and none twice: in a DenseNet, where each layer
// concatenates all earlier ones, every value is copied once.
func (concat) lower(l *lowering, i int) {
	n := &l.graph.nodes[i]
	together, channels := l.materialize(n.Inputs[0]), l.graph.nodes[n.Inputs[0]].channels()
	for _, in := range n.Inputs[1:] {
		j := pair{together, l.materialize(in)}
		s := &concatenation{rows: n.positions(), first: channels, second: l.graph.nodes[in].channels()}
		channels += s.second
		value, ok := l.concatenations[j]
		if !ok {
			step := &stage{computation: s, in: j.first, second: j.second, at: i}
			value = l.append(step, n.positions()*channels, len(n.shape) == 1)
			l.concatenations[j] = value
		}
		together = value
	}
	l.value[i] = together
}

// pair is two values, concatenated in this order.
type pair struct{ first, second int }

// concatenation concatenates each row of two values.
type concatenation struct {
	scratchless
	rows, first, second int // the numbers of channels
}

func (j *concatenation) extent(n int) extent {
	return extent{rows: n * j.rows, panels: 1, work: 8 * n * j.rows * (j.first + j.second)}
}

func (j *concatenation) compute(b *buffers, p piece) {
	for i := p.low; i < p.high; i++ {
		dst := b.out[i*(j.first+j.second):][:j.first+j.second]
		copy(dst, b.in[i*j.first:][:j.first])
		copy(dst[j.first:], b.second[i*j.second:])
	}
}

func (j *concatenation) backward(b *backBuffers) {
	b.clearIn()
	b.clearSecond()
	for i := range b.n * j.rows {
		g := b.gradient[i*(j.first+j.second):][:j.first+j.second]
		if b.inGradient != nil {
			kernel.Add(b.inGradient[i*j.first:][:j.first], g, kernel.Identity)
		}
		if b.secondGradient != nil {
			kernel.Add(b.secondGradient[i*j.second:][:j.second], g[j.first:], kernel.Identity)
		}
	}
}
