package nn

import (
	"context"
	"slices"
	"time"

	"garb/tensor"
)

// LayerSummary has the cost and the receptive field of a layer.
type LayerSummary struct {
	Layer  Layer
	Shape  []int // of the output, without the batch axis
	Params int   // values of its parameters; shared ones count for the first layer
	// MultiplyAdds counts those of convolutions and dense layers for one input.
	MultiplyAdds int
	// ReceptiveField is the side, in pixels, of the square of the input that one value of the
	// output depends on, as if the input had no border; 0 is the whole input.
	ReceptiveField int
}

// Summary summarizes the graph's layers, the input first.
func (g *Graph) Summary() []LayerSummary {
	all, fields := make([]LayerSummary, len(g.nodes)), make([]receptiveField, len(g.nodes))
	layers, known := g.Layers(), map[string]bool{}
	for i := range g.nodes {
		n := &g.nodes[i]
		s := LayerSummary{Layer: layers[i], Shape: slices.Clone(n.shape)}
		for _, p := range n.params {
			if !known[p.Name] {
				known[p.Name] = true
				s.Params += tensor.Len(p.Shape)
			}
		}
		s.MultiplyAdds = n.operation().multiplyAdds(n.Layer, n.inputs, n.shape)
		fields[i] = n.receptiveField(fields)
		if !fields[i].whole {
			s.ReceptiveField = max(fields[i].size[0], fields[i].size[1])
		}
		all[i] = s
	}
	return all
}

// receptiveField is the part of the input that a value depends on, in pixels, vertically and
// horizontally.
type receptiveField struct {
	size     [2]int
	distance [2]int // between the fields of neighbours
	whole    bool   // the value depends on the whole input
}

// receptiveField returns the node's field, given those of the nodes before it. The size r and
// the distance j grow with each window that covers k and has stride s: r += (k−1)·j, j *= s
// (Araujo et al., Computing Receptive Fields of Convolutional Neural Networks, 2019).
func (n *node) receptiveField(fields []receptiveField) receptiveField {
	f := receptiveField{size: [2]int{1, 1}, distance: [2]int{1, 1}, whole: n.operation().traits().whole}
	for _, in := range n.Inputs {
		f.whole = f.whole || fields[in].whole
		for axis := range 2 {
			f.size[axis] = max(f.size[axis], fields[in].size[axis])
			f.distance[axis] = max(f.distance[axis], fields[in].distance[axis])
		}
	}
	if n.Height > 0 {
		height, width := n.Reach()
		strideHeight, strideWidth := n.Strides()
		f.size[0] += (height - 1) * f.distance[0]
		f.size[1] += (width - 1) * f.distance[1]
		f.distance[0] *= strideHeight
		f.distance[1] *= strideWidth
	}
	if n.Rows > 0 { // the map is resized
		for axis := range 2 {
			in, out := n.inputs[0][axis], n.shape[axis]
			if n.Linear && in != out {
				f.size[axis] += f.distance[axis]
			}
			f.distance[axis] = max(1, f.distance[axis]*in/out)
		}
	}
	return f
}

// Profile computes one input a number of times and returns the time that each layer of the
// plan's graph took in the fastest of them. A layer that is fused into another one, such as a
// batch-norm or an activation after a convolution, takes none. The error is that of ctx.
func (p *Plan) Profile(ctx context.Context, input []float32, rounds int) ([]time.Duration, error) {
	r := p.executions.Get().(*execution)
	defer p.executions.Put(r)
	output := make([]float32, tensor.Len(p.outputShape))
	r.measured = make([]time.Duration, len(p.stages))
	defer func() { r.measured = nil }()
	best := make([]time.Duration, len(p.stages))
	for round := range rounds {
		t := p.teams.Get().(*team)
		err := r.execute(ctx, t, input, output, 1)
		if t.disband() {
			p.teams.Put(t)
		}
		if err != nil {
			return nil, err
		}
		for i, took := range r.measured {
			if round == 0 || took < best[i] {
				best[i] = took
			}
		}
	}
	times := make([]time.Duration, p.layers)
	for i := range p.stages {
		times[p.stages[i].at] += best[i]
	}
	return times, nil
}
