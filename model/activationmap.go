package model

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"garb/nn"
	"garb/tensor"
)

// ErrNoActivationMap says that a network's features are not an average over positions, so nothing
// tells where in a picture it sees a class.
var ErrNoActivationMap = errors.New("the network has no class activation maps: its features are not an average " +
	"over positions")

// ActivationMap says where in a picture a network sees a class. Its positions are
// spread evenly over the input.
type ActivationMap struct {
	Height, Width int
	// Values has a value for each position, rows from top to bottom: positive for evidence of
	// the class, negative for evidence against it.
	Values []float32
}

// ActivationMap returns where in an input, which Spec().Tensor wrote, the evidence for a class is:
// the class activation map of Zhou et al. 2016,
//
//	map[y,x] = Σ_k w[k]·F[y,x,k]
//
// with the last feature map F and the class's column w of the last layer. The average of the map
// is the class's logit without its bias. If there are layers between the features and the last
// layer, w is the gradient of the logit with respect to the features at this input. If the
// features are all values of F and not averages over its positions, w is the average of that
// gradient over the positions (Selvaraju et al. 2017).
//
// Errors are ErrNoActivationMap, or ctx's. It panics if there is no such class.
func (c *Classifier) ActivationMap(ctx context.Context, input []float32, class int) (*ActivationMap, error) {
	if class < 0 || class >= len(c.description.Classes) {
		panic(fmt.Sprintf("model: class %d of %d", class, len(c.description.Classes)))
	}
	m, err := c.compileMapper()
	if err != nil {
		return nil, err
	}
	return m.draw(ctx, input, class)
}

// mapper computes activation maps.
type mapper struct {
	plan    *nn.Plan  // to the last feature map
	rest    *nn.Graph // from there to the logits
	weights nn.Weights
	flat    bool // the features are all values of the map, not one for each channel
}

// newMapper compiles a network for activation maps.
func newMapper(whole *nn.Graph, w nn.Weights, o Options) (*mapper, error) {
	layers, shapes := whole.Layers(), whole.Shapes()
	at := findLastSpatial(layers, shapes)
	switch layers[at].Op {
	case nn.OpAveragePool, nn.OpMaxPool:
		if shape := shapes[at]; shape[0]*shape[1] > 1 { // it pools windows, not the whole map
			return nil, ErrNoActivationMap
		}
	case nn.OpGlobalAveragePool, nn.OpGlobalMaxPool, nn.OpFlatten:
	default:
		return nil, ErrNoActivationMap
	}
	last := layers[at].Inputs[0]
	if last == 0 || len(shapes[last]) != 3 {
		return nil, ErrNoActivationMap
	}
	rest, err := cutAfter(whole, last)
	if err != nil {
		return nil, err
	}
	plan, err := nn.Compile(whole.Upto(last), w, nn.Options{Threads: o.Threads})
	return &mapper{plan, rest, w, layers[at].Op == nn.OpFlatten}, err
}

// cutAfter returns the part of a network after layer at, which takes that layer's output, a
// feature map, as its input. No later layer may take the output of an earlier one than at.
func cutAfter(g *nn.Graph, at int) (*nn.Graph, error) {
	rest := []nn.Layer{{Op: nn.OpInput, Shape: g.Shapes()[at]}}
	for _, l := range g.Layers()[at+1:] {
		l.Inputs = slices.Clone(l.Inputs)
		for i := range l.Inputs {
			l.Inputs[i] -= at
		}
		rest = append(rest, l)
	}
	return nn.NewGraph(rest)
}

// draw returns the activation map of a class.
func (m *mapper) draw(ctx context.Context, input []float32, class int) (*ActivationMap, error) {
	shape := m.plan.OutputShape()
	positions, channels := shape[0]*shape[1], shape[2]
	featureMap := make([]float32, positions*channels)
	if err := m.plan.Run(ctx, input, featureMap); err != nil {
		return nil, err
	}
	gradient, err := m.computeGradient(ctx, featureMap, class)
	if err != nil {
		return nil, err
	}
	w, share := make([]float32, channels), float32(1)
	if m.flat {
		share /= float32(positions)
	}
	for i, v := range gradient {
		w[i%channels] += float32(v * share)
	}
	drawn := &ActivationMap{Height: shape[0], Width: shape[1], Values: make([]float32, positions)}
	for i := range drawn.Values {
		for c, v := range featureMap[i*channels:][:channels] {
			drawn.Values[i] += float32(v * w[c])
		}
	}
	return drawn, nil
}

// computeGradient returns the gradient of a class's logit with respect to the feature map.
func (m *mapper) computeGradient(ctx context.Context, featureMap []float32, class int) ([]float32, error) {
	d, err := nn.NewDifferentiator(m.rest, m.weights)
	if err != nil {
		return nil, err
	}
	direction := make([]float32, tensor.Len(m.rest.OutputShape()))
	direction[class] = 1
	gradient := make([]float32, len(featureMap))
	err = d.Gradient(ctx, featureMap, direction, make([]float32, len(direction)), gradient)
	return gradient, err
}
