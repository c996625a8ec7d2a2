package model

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"garb/backbone"
	"garb/nn"
	"garb/picture"
	"garb/tensor"
)

// networks are the whole network of a model, from a picture to logits, and its two parts: features, and
// the head that takes them. head is nil if the features are the logits.
type networks struct{ whole, features, head *nn.Graph }

// buildNetworks builds the networks of a model for pictures prepared by spec.
func (m *Description) buildNetworks(spec picture.Spec) (networks, error) {
	if err := spec.Validate(); err != nil {
		return networks{}, err
	}
	if m.Network == nil {
		a, err := backbone.Lookup(m.Architecture)
		if err != nil {
			return networks{}, err
		}
		if a, err = a.For(spec); err != nil {
			return networks{}, err
		}
		return networks{
			m.Head.NetworkGraph(a, spec.Height, spec.Width, m.outputs(), 0),
			a.Features(spec.Height, spec.Width),
			m.Head.Graph(a.FeatureCount, m.outputs(), 0),
		}, nil
	}
	layers := slices.Clone(m.Network)
	if len(layers) > 0 {
		layers[0].Shape = []int{spec.Height, spec.Width, spec.Channels()}
	}
	whole, err := nn.NewGraph(layers)
	if err != nil {
		return networks{}, fmt.Errorf("its network with pictures of %d × %d: %w", spec.Width, spec.Height, err)
	}
	if shape := whole.OutputShape(); len(shape) != 1 || shape[0] != m.outputs() {
		return networks{}, fmt.Errorf("its network has the output shape %s, but its %d classes need %d outputs",
			tensor.ShapeString(shape), len(m.Classes), m.outputs())
	}
	at := cmp.Or(m.FeaturesAt, findFeatures(whole))
	head, err := cutHead(whole, at)
	return networks{whole, whole.Upto(at), head}, err
}

// findFeatures returns the index of the layer whose output is a network's features: the last layer that
// looks at several places of the picture. What follows it is the head. If that computes nothing, the
// features are the network's output.
func findFeatures(g *nn.Graph) int {
	layers := g.Layers()
	if at := findLastSpatial(layers, g.Shapes()); at != findLastComputed(layers) {
		return at
	}
	return len(layers) - 1
}

// findLastSpatial returns the index of the last layer that looks at several places.
func findLastSpatial(layers []nn.Layer, shapes [][]int) int {
	onePlace := func(i int) bool { return len(shapes[i]) == 1 || shapes[i][0] == 1 && shapes[i][1] == 1 }
	at := len(layers) - 1
	for {
		l := layers[at]
		if !l.Op.Pointwise() && l.Op != nn.OpDense && (l.Op != nn.OpConv || l.Height != 1 || l.Width != 1) {
			return at
		}
		// The first computed layer cannot be in the head: the features would be the picture.
		in := layers[at].Inputs[0]
		if !onePlace(at) || !onePlace(in) || findLastComputed(layers[:in+1]) == 0 {
			return at
		}
		at = in
	}
}

// cutHead returns the part of a network after layer at as a network with the input [1 1 features]; nil if
// there is none. It is an error if the part is not a chain of layers.
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
			return nil, fmt.Errorf("layer %d, %s, has more inputs than the layer before it", at+1+i, l)
		}
		l.Inputs = []int{len(head) - 1}
		head = append(head, l)
	}
	return nn.NewGraph(head)
}

// Network returns the whole network with its weights, from an input, as Spec().Tensor writes it, to
// logits.
func (c *Classifier) Network() (*nn.Network, error) {
	n := &nn.Network{Layers: c.networks.whole.Layers(), Tensors: tensor.Map{}}
	for _, p := range c.networks.whole.Params() {
		t, err := c.weights.Tensor(p.Name)
		if err != nil {
			return nil, &Error{c.name, err}
		}
		n.Tensors[p.Name] = t
	}
	return n, nil
}

// ErrNotClassifier is wrapped by errors about networks whose output is not one number for each class.
var ErrNotClassifier = errors.New("the network is not a classifier")

// FromNetwork returns a model of a network of another program, which computes scores of the classes for
// pictures prepared by spec. It removes a softmax at the network's end, since models compute logits. A
// sigmoid of a single output z, or a single logit z of two classes, becomes the logits 0 and z, whose
// softmax is that sigmoid. Several sigmoids make a multi-label model. Without classes (nil) the outputs
// are numbered, and may be a feature map, which is averaged over its positions: such a model is a
// backbone to train on. Before it is saved, the model needs golden logits: see Model.SetGolden. Errors
// wrap ErrNotClassifier or are those of nn.NewGraph.
func FromNetwork(n *nn.Network, classes []string, spec picture.Spec) (*Model, error) {
	layers, tensors := slices.Clone(n.Layers), tensor.Map{}
	for name, t := range n.Tensors {
		tensors[name] = t
	}
	g, err := nn.NewGraph(layers)
	if err != nil {
		return nil, err
	}
	if shape := g.InputShape(); len(shape) != 3 || shape[2] != spec.Channels() {
		return nil, fmt.Errorf("%w of pictures: its input has the shape %s, but a picture has three channels, "+
			"or one if "+
			"it is grey", ErrNotClassifier, tensor.ShapeString(shape))
	}
	layers = g.Layers() // without those that the output does not need
	renameHeadLayers(layers, tensors)
	shape, unnamed := g.OutputShape(), classes == nil
	if unnamed && len(shape) == 3 {
		layers = append(layers, nn.Layer{Op: nn.OpGlobalAveragePool, Inputs: []int{len(layers) - 1}})
		shape = shape[2:]
	}
	if outputs := tensor.Len(shape); len(shape) == 3 && shape[0] == 1 && shape[1] == 1 {
		layers = append(layers, nn.Layer{Op: nn.OpReshape, Inputs: []int{len(layers) - 1}, Shape: []int{outputs}})
	} else if len(shape) != 1 {
		return nil, fmt.Errorf("%w: its output has the shape %s", ErrNotClassifier, tensor.ShapeString(shape))
	}
	multiLabel := false
	switch at := findLastComputed(layers); {
	case layers[at].Op == nn.OpSoftmax:
		layers = removeLayer(layers, at)
	case layers[at].Op == nn.OpSigmoid:
		if outputs := tensor.Len(shape); outputs != 1 {
			layers, multiLabel = removeLayer(layers, at), !unnamed
			break
		}
		layers, shape = appendTwoLogits(removeLayer(layers, at), tensors), []int{2}
	case len(classes) == 2 && tensor.Len(shape) == 1 && isLogit(layers[at].Op):
		layers, shape = appendTwoLogits(layers, tensors), []int{2}
	}
	if unnamed {
		for i := range tensor.Len(shape) {
			classes = append(classes, fmt.Sprintf("output %d", i))
		}
	}
	if outputs := tensor.Len(shape); outputs != len(classes) {
		return nil, fmt.Errorf("%w of %d classes: it has %d outputs", ErrNotClassifier, len(classes), outputs)
	}
	if g, err = nn.NewGraph(layers); err != nil {
		return nil, err
	}
	m := &Model{Description{
		Format: FormatVersion, Network: g.Layers(), Classes: classes, Preprocessing: spec,
		Unnamed: unnamed, MultiLabel: multiLabel,
	}, tensor.Map{}}
	for _, p := range g.Params() {
		if t, ok := tensors[p.Name]; ok {
			m.Tensors[p.Name] = t
		}
	}
	return m, nil
}

// appendTwoLogits appends a layer that computes the logits 0 and z from the single logit z.
func appendTwoLogits(layers []nn.Layer, tensors tensor.Map) []nn.Layer {
	name := "binary"
	for tensors[name+"/kernel"] != nil {
		name += "_"
	}
	tensors[name+"/kernel"] = tensor.FromSlice([]float32{0, 1}, 1, 2)
	return append(layers, nn.Layer{Op: nn.OpDense, Name: name, Inputs: []int{len(layers) - 1}, Units: 2})
}

// isLogit reports whether the single output of an operation may be a logit, and not the result of an
// activation function.
func isLogit(op nn.Op) bool {
	return op == nn.OpDense || op == nn.OpConv || op == nn.OpGlobalAveragePool
}

// CountClasses returns the number of classes that FromNetwork needs for a network: 2 if it ends in a
// single sigmoid or logit, else the number of its outputs.
func CountClasses(n *nn.Network) (int, error) {
	g, err := nn.NewGraph(n.Layers)
	if err != nil {
		return 0, err
	}
	layers, outputs := g.Layers(), tensor.Len(g.OutputShape())
	if last := layers[findLastComputed(layers)].Op; outputs == 1 && (last == nn.OpSigmoid || isLogit(last)) {
		return 2, nil
	}
	return outputs, nil
}

// findLastComputed returns the index of the last layer that is not just another view of its input.
func findLastComputed(layers []nn.Layer) int {
	at := len(layers) - 1
	for layers[at].Op.View() {
		at = layers[at].Inputs[0]
	}
	return at
}

// removeLayer removes the layer that computes a network's output.
func removeLayer(layers []nn.Layer, at int) []nn.Layer {
	if at == len(layers)-1 {
		return layers[:at] // its input is the layer before it
	}
	layers[at] = nn.Layer{Op: nn.OpDropout, Inputs: layers[at].Inputs}
	return layers
}

// OnBackbone returns a converted model, whose golden logits are set, in the form of models that garb
// trains: as one of garb's backbones with a head. base are the backbone's weights. ok is false if that
// is impossible: if the head has other layers than dense ones, or the golden logits differ.
func (m *Model) OnBackbone(ctx context.Context, architecture string, base tensor.Map) (on *Model, ok bool) {
	a, err := backbone.Lookup(architecture)
	if err != nil || len(m.Golden) == 0 {
		return nil, false
	}
	if a, err = a.For(m.Preprocessing); err != nil {
		return nil, false
	}
	whole, err := nn.NewGraph(m.Network)
	if err != nil {
		return nil, false
	}
	on = &Model{Description{Format: m.Format, Architecture: architecture, Classes: m.Classes,
		Preprocessing: m.Preprocessing, Temperature: m.Temperature, MultiLabel: m.MultiLabel}, tensor.Map{}}
	for _, p := range a.Features(m.Preprocessing.Height, m.Preprocessing.Width).Params() {
		on.Tensors[p.Name] = base[p.Name]
	}
	if !on.copyHead(m, m.Network[findFeatures(whole)+1:]) || on.SetGolden(ctx, nil) != nil {
		return nil, false
	}
	return on, checkGolden(m.Golden[0], on.Golden[0].Logits) == nil
}

// copyHead gives the model a head with the dense layers among layers of another model. It reports whether
// there are any, and no other layers than what may be between them.
func (m *Model) copyHead(from *Model, layers []nn.Layer) bool {
	var dense []nn.Layer
	for _, l := range layers {
		switch l.Op {
		case nn.OpDense:
			dense = append(dense, l)
		case nn.OpDropout, nn.OpReLU: // a ReLU in another place would change the golden logits
		default:
			return false
		}
	}
	for i, l := range dense {
		name := backbone.ClassifierName
		if i < len(dense)-1 {
			m.Head.Inner = append(m.Head.Inner, l.Units)
			name = innerName(i)
		}
		m.Tensors[name+"/kernel"] = from.Tensors[l.Name+"/kernel"]
		m.Tensors[name+"/bias"] = tensor.New(l.Units)
		if l.Bias {
			m.Tensors[name+"/bias"] = from.Tensors[l.Name+"/bias"]
		}
	}
	return len(dense) > 0
}
