package model

import (
	"cmp"
	"fmt"
	"slices"

	"garb/backbone"
	"garb/nn"
	"garb/picture"
	"garb/tensor"
)

// networks are the parts of a model's network: whole, from the picture to the outputs, computes
// the same as features followed by head. head is nil if the features are the outputs.
type networks struct{ whole, features, head *nn.Graph }

// buildNetworks builds the networks for pictures that spec prepares.
func (d *Description) buildNetworks(spec picture.Spec) (networks, error) {
	if err := spec.Validate(); err != nil {
		return networks{}, err
	}
	if d.Network == nil {
		a, err := backbone.Lookup(d.Architecture)
		if err != nil {
			return networks{}, err
		}
		if a, err = a.Adapt(spec); err != nil {
			return networks{}, err
		}
		return networks{
			whole:    d.Head.NetworkGraph(a, spec.Height, spec.Width, d.outputCount(), 0),
			features: a.Features(spec.Height, spec.Width),
			head:     d.Head.Graph(a.FeatureCount, d.outputCount(), 0),
		}, nil
	}
	layers := slices.Clone(d.Network)
	if len(layers) > 0 {
		layers[0].Shape = []int{spec.Height, spec.Width, spec.Channels()}
	}
	whole, err := nn.NewGraph(layers)
	if err != nil {
		return networks{}, fmt.Errorf("its network for pictures of %d × %d: %w", spec.Width, spec.Height, err)
	}
	if shape := whole.OutputShape(); len(shape) != 1 || shape[0] != d.outputCount() {
		return networks{}, fmt.Errorf("its network has outputs of the shape %s, and its %d classes need %d outputs",
			tensor.ShapeString(shape), len(d.Classes), d.outputCount())
	}
	at := cmp.Or(d.FeaturesAt, findFeatures(whole))
	head, err := cutHead(whole, at)
	return networks{whole, whole.Upto(at), head}, err
}

// findFeatures returns the index of the layer whose output is a network's features: the last
// layer that combines several positions of the picture. The layers after it are the head. If
// they compute nothing, the features are the network's outputs.
func findFeatures(g *nn.Graph) int {
	layers := g.Layers()
	if at := findLastSpatial(layers, g.Shapes()); at != findLastComputed(layers) {
		return at
	}
	return len(layers) - 1
}

// findLastSpatial returns the index of the last layer that combines several positions, or of the
// first layer that computes anything if there is none: the features are never the picture.
func findLastSpatial(layers []nn.Layer, shapes [][]int) int {
	at := len(layers) - 1
	for {
		l := layers[at]
		if !l.Op.Pointwise() && l.Op != nn.OpDense && (l.Op != nn.OpConv || l.Height != 1 || l.Width != 1) {
			return at
		}
		in := l.Inputs[0]
		if !hasOnePosition(shapes[at]) || !hasOnePosition(shapes[in]) || findLastComputed(layers[:in+1]) == 0 {
			return at
		}
		at = in
	}
}

// hasOnePosition reports whether a layer's output of this shape has a single position.
func hasOnePosition(shape []int) bool {
	return len(shape) == 1 || shape[0] == 1 && shape[1] == 1
}

// findLastComputed returns the index of the last layer that does more than reshape its input.
func findLastComputed(layers []nn.Layer) int {
	at := len(layers) - 1
	for layers[at].Op.View() {
		at = layers[at].Inputs[0]
	}
	return at
}

// cutHead returns the part of a network after layer at as a network with the input
// [1 1 features]; nil if there is none. The error says that the part is not a chain of layers.
func cutHead(g *nn.Graph, at int) (*nn.Graph, error) {
	layers, shape := g.Layers(), g.Shapes()[at]
	if at == len(layers)-1 {
		return nil, nil
	}
	head := []nn.Layer{{Op: nn.OpInput, Shape: []int{1, 1, tensor.Len(shape)}}}
	if len(shape) == 1 {
		head = append(head, nn.Layer{Op: nn.OpFlatten, Inputs: []int{0}})
	}
	for i, l := range layers[at+1:] {
		if !slices.Equal(l.Inputs, []int{at + i}) {
			return nil, fmt.Errorf("layer %d, %s, takes more than the output of the layer before it", at+1+i, l)
		}
		l.Inputs = []int{len(head) - 1}
		head = append(head, l)
	}
	return nn.NewGraph(head)
}
