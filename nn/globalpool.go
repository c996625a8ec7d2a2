package nn

import "garb/internal/kernel"

// The poolings over all positions: see the Builder's methods.
const (
	OpGlobalAveragePool Op = "GlobalAveragePool"
	OpGlobalMaxPool     Op = "GlobalMaxPool"
)

// GlobalAveragePool takes the mean of each channel over all positions: [h w c]
// becomes [c].
func (b *Builder) GlobalAveragePool(x Value) Value { return b.layer(Layer{Op: OpGlobalAveragePool}, x) }

// GlobalMaxPool takes the largest value of each channel: [h w c] becomes [c].
func (b *Builder) GlobalMaxPool(x Value) Value { return b.layer(Layer{Op: OpGlobalMaxPool}, x) }

type globalPool struct{ unary }

func (globalPool) shape(_ Layer, in [][]int) ([]int, error) {
	if err := checkMap(in[0]); err != nil {
		return nil, err
	}
	return in[0][2:], nil
}

func (globalPool) traits() traits { return traits{whole: true} }

type (
	globalAveragePool struct{ globalPool }
	globalMaxPool     struct{ globalPool }
)

func (globalAveragePool) lower(l *lowering, i int) {
	l.emit(i, &meanOverPositions{positions: newPositions(l.graph, i)}, l.graph.nodes[i].Inputs[0])
}

func (globalMaxPool) lower(l *lowering, i int) {
	l.emit(i, &largestOverPositions{positions: newPositions(l.graph, i)}, l.graph.nodes[i].Inputs[0])
}

// positions is a stage that reduces all positions to one.
type positions struct {
	scratchless
	rows, columns int
}

func newPositions(g *Graph, i int) positions {
	in := g.nodes[i].inputs[0]
	return positions{rows: in[0] * in[1], columns: in[2]}
}

func (p *positions) extent(int) extent                     { return single }
func (p *positions) row(values []float32, i int) []float32 { return values[i*p.columns:][:p.columns] }

type meanOverPositions struct{ positions }

func (m *meanOverPositions) compute(b *buffers, _ piece) {
	clear(b.out)
	for i := range m.rows {
		kernel.Add(b.out, m.row(b.in, i), kernel.Identity)
	}
	kernel.Scale(b.out, 1/float32(m.rows))
}

func (m *meanOverPositions) backward(b *backBuffers) {
	kernel.Scale(b.gradient, 1/float32(m.rows))
	for i := range m.rows {
		addOrCopy(m.row(b.inGradient, i), b.gradient, b.addIn)
	}
}

type largestOverPositions struct{ positions }

func (m *largestOverPositions) compute(b *buffers, _ piece) {
	copy(b.out, m.row(b.in, 0))
	for i := 1; i < m.rows; i++ {
		kernel.Max(b.out, m.row(b.in, i))
	}
}

func (m *largestOverPositions) backward(b *backBuffers) {
	b.clearIn()
	for i := range m.rows {
		giveToLargest(m.row(b.inGradient, i), m.row(b.in, i), b.gradient, b.out)
	}
}
