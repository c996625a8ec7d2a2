package nn

import (
	"context"
	"slices"
	"time"

	"garb/tensor"
)

// LayerSummary is what a layer costs and sees.
type LayerSummary struct {
	Layer  Layer
	Shape  []int // of the output, without the batch axis
	Params int   // values of its parameters, counted where shared ones come first
	// MultiplyAdds are those of convolutions and dense layers for one input.
	MultiplyAdds int
	// ReceptiveField is the side of the square of the input that one value of the output
	// depends on, in pixels, as if the input had no border; 0 is the whole input.
	ReceptiveField int
}

// Summary lists the graph's layers, the input first.
//
// Along a path the receptive field r and the step j between neighbours, in pixels, grow
// with each window that reaches over k and stride s: r += (k−1)·j, j *= s (Araujo et al.,
// Computing Receptive Fields of Convolutional Neural Networks, 2019), down and along a row.
func (g *Graph) Summary() []LayerSummary {
	all := make([]LayerSummary, len(g.nodes))
	// Rows and columns: of the receptive field, and between neighbours.
	fields, steps := make([][2]int, len(g.nodes)), make([][2]int, len(g.nodes))
	layers, known := g.Layers(), map[string]bool{}
	for i, n := range g.nodes {
		s := LayerSummary{Layer: layers[i], Shape: slices.Clone(n.shape)}
		for _, p := range n.params {
			if !known[p.Name] {
				known[p.Name] = true
				s.Params += tensor.Len(p.Shape)
			}
		}
		fields[i], steps[i] = [2]int{1, 1}, [2]int{1, 1}
		whole := false
		for j, in := range n.Inputs {
			if j == 0 {
				fields[i], steps[i] = fields[in], steps[in]
			}
			whole = whole || all[in].ReceptiveField == 0
			for axis := range 2 {
				fields[i][axis] = max(fields[i][axis], fields[in][axis])
				steps[i][axis] = max(steps[i][axis], steps[in][axis])
			}
		}
		l := n.Layer
		op := n.operation()
		s.MultiplyAdds = op.multiplyAdds(l, n.inputs, n.shape)
		whole = whole || op.traits().whole
		if l.Height > 0 {
			height, width := l.Reach()
			down, along := l.Strides()
			fields[i][0] += (height - 1) * steps[i][0]
			fields[i][1] += (width - 1) * steps[i][1]
			steps[i][0] *= down
			steps[i][1] *= along
		}
		if l.Rows > 0 { // a map of another size: neighbours are closer, or farther apart
			for axis := range 2 {
				in, out := n.inputs[0][axis], n.shape[axis]
				if l.Linear && in != out {
					fields[i][axis] += steps[i][axis]
				}
				steps[i][axis] = max(1, steps[i][axis]*in/out)
			}
		}
		if !whole {
			s.ReceptiveField = max(fields[i][0], fields[i][1])
		}
		all[i] = s
	}
	return all
}

// Profile computes one input so many times, and returns the time that each layer of the
// plan's graph took in the fastest of them. A layer that is computed as a part of another,
// as a batch-norm or an activation after a convolution, takes none. The error is ctx's.
func (p *Plan) Profile(ctx context.Context, input []float32, rounds int) ([]time.Duration, error) {
	r := p.runs.Get().(*run)
	defer p.runs.Put(r)
	output := make([]float32, tensor.Len(p.outputShape))
	r.measured = make([]time.Duration, len(p.steps))
	defer func() { r.measured = nil }()
	best := make([]time.Duration, len(p.steps))
	for round := range rounds {
		t := p.teams.Get().(*team)
		err := r.all(ctx, t, input, output, 1)
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
	for i := range p.steps {
		times[p.steps[i].at] += best[i]
	}
	return times, nil
}
