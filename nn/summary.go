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
// with each window of k and stride s: r += (k−1)·j, j *= s (Araujo et al., Computing
// Receptive Fields of Convolutional Neural Networks, 2019).
func (g *Graph) Summary() []LayerSummary {
	all := make([]LayerSummary, len(g.nodes))
	steps := make([]int, len(g.nodes)) // between neighbours
	layers, known := g.Layers(), map[string]bool{}
	for i, n := range g.nodes {
		s := LayerSummary{Layer: layers[i], Shape: slices.Clone(n.shape)}
		for _, p := range n.params {
			if !known[p.Name] {
				known[p.Name] = true
				s.Params += tensor.Len(p.Shape)
			}
		}
		s.ReceptiveField, steps[i] = 1, 1
		whole := false
		for j, in := range n.Inputs {
			from := all[in]
			if j == 0 {
				s.ReceptiveField, steps[i] = from.ReceptiveField, steps[in]
			}
			whole = whole || from.ReceptiveField == 0
			s.ReceptiveField, steps[i] = max(s.ReceptiveField, from.ReceptiveField), max(steps[i], steps[in])
		}
		l := n.Layer
		op := n.operation()
		s.MultiplyAdds = op.multiplyAdds(l, n.inputs, n.shape)
		whole = whole || op.traits().whole
		if window := max(l.Height, l.Width); window > 0 {
			s.ReceptiveField += (window - 1) * steps[i]
			steps[i] *= l.Stride
		}
		if factor := max(l.Rows, l.Columns); factor > 1 { // neighbours are closer
			if l.Linear {
				s.ReceptiveField += steps[i]
			}
			steps[i] = max(1, steps[i]/factor)
		}
		if whole {
			s.ReceptiveField = 0
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
