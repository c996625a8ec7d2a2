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

// networks are those of a model: features then head compute what whole does, from a
// picture to logits. head is nil if the features are the logits.
type networks struct{ whole, features, head *nn.Graph }

// networks builds a model's for pictures prepared by spec.
func (m *Description) networks(spec picture.Spec) (networks, error) {
	if err := spec.Validate(); err != nil {
		return networks{}, err
	}
	if m.Network == nil {
		a, err := backbone.Lookup(m.Architecture)
		if err != nil {
			return networks{}, err
		}
		if a, err = a.Adapt(spec); err != nil {
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
		return networks{}, fmt.Errorf("its network for pictures of %d × %d: %w", spec.Width, spec.Height, err)
	}
	if shape := whole.OutputShape(); len(shape) != 1 || shape[0] != m.outputs() {
		return networks{}, fmt.Errorf("its network ends in %s, and it has %d classes, which need %d outputs",
			tensor.ShapeString(shape), len(m.Classes), m.outputs())
	}
	at := cmp.Or(m.FeaturesAt, findFeatures(whole))
	head, err := cutHead(whole, at)
	return networks{whole, whole.Upto(at), head}, err
}

// findFeatures finds a network's features: the output of the last layer that looks at
// several places of the picture. What follows is the head, one layer after another. If
// that computes nothing, the features are the network's output.
func findFeatures(g *nn.Graph) int {
	layers := g.Layers()
	if at := lastPlural(layers, g.Shapes()); at != lastComputed(layers) {
		return at
	}
	return len(layers) - 1
}

// lastPlural finds the last layer that looks at several places.
func lastPlural(layers []nn.Layer, shapes [][]int) int {
	onePlace := func(i int) bool { return len(shapes[i]) == 1 || shapes[i][0] == 1 && shapes[i][1] == 1 }
	at := len(layers) - 1
	for {
		l := layers[at]
		if !l.Op.Pointwise() && l.Op != nn.OpDense && !(l.Op == nn.OpConv && l.Height == 1 && l.Width == 1) {
			return at
		}
		// The first computed layer cannot be in the head: the features would be the picture.
		in := layers[at].Inputs[0]
		if !onePlace(at) || !onePlace(in) || lastComputed(layers[:in+1]) == 0 {
			return at
		}
		at = in
	}
}

// cutHead returns the part of a network after layer at, as a network of its own whose input is
// [1 1 features]; nil if there is none. Its error says that the part is no chain of layers.
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

// Network returns the whole network, from an input, as Spec().Tensor gives it, to logits,
// with its weights: to be written to a file of another format, or looked into.
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

// ErrNotClassifier is wrapped by errors about networks whose output is not one number for
// each class.
var ErrNotClassifier = errors.New("the network is no classifier")

// FromNetwork makes a model of a network that another program made, which turns an input, as
// spec prepares it, into scores of the classes. A softmax at the network's end is removed,
// since models answer by logits. One sigmoid of z, or a single logit z where there are two
// classes, becomes the logits 0 and z of two classes, whose softmax is that sigmoid. Several
// sigmoids make a multi-label model. Without classes (nil) the outputs are numbered and may be
// a feature map, which is averaged over its positions: such a model is a backbone to train on.
// Before it is saved it needs golden logits: see Model.SetGolden. An error wraps
// ErrNotClassifier, or is nn.NewGraph's.
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
		return nil,
			fmt.Errorf("%w of pictures: its input is %s, and pictures have three channels, or one of grey",
				ErrNotClassifier, tensor.ShapeString(shape))
	}
	layers = g.Layers() // without those that the output does not need
	withoutHeadNames(layers, tensors)
	shape, unnamed := g.OutputShape(), classes == nil
	if unnamed && len(shape) == 3 {
		layers = append(layers, nn.Layer{Op: nn.OpGlobalAveragePool, Inputs: []int{len(layers) - 1}})
		shape = shape[2:]
	}
	if outputs := tensor.Len(shape); len(shape) == 3 && shape[0] == 1 && shape[1] == 1 {
		layers = append(layers, nn.Layer{Op: nn.OpReshape, Inputs: []int{len(layers) - 1}, Shape: []int{outputs}})
	} else if len(shape) != 1 {
		return nil, fmt.Errorf("%w: it ends in %s", ErrNotClassifier, tensor.ShapeString(shape))
	}
	multiLabel := false
	switch at := lastComputed(layers); {
	case layers[at].Op == nn.OpSoftmax:
		layers = without(layers, at)
	case layers[at].Op == nn.OpSigmoid:
		if outputs := tensor.Len(shape); outputs != 1 {
			layers, multiLabel = without(layers, at), !unnamed
			break
		}
		layers, shape = twoLogits(without(layers, at), tensors), []int{2}
	case len(classes) == 2 && tensor.Len(shape) == 1 && isLogit(layers[at].Op):
		layers, shape = twoLogits(layers, tensors), []int{2}
	}
	if unnamed {
		for i := range tensor.Len(shape) {
			classes = append(classes, fmt.Sprintf("output %d", i))
		}
	}
	if outputs := tensor.Len(shape); outputs != len(classes) {
		return nil, fmt.Errorf("%w of %d classes: it has %d", ErrNotClassifier, len(classes), outputs)
	}
	if g, err = nn.NewGraph(layers); err != nil {
		return nil, err
	}
	m := &Model{Description{Format: FormatVersion, Network: g.Layers(), Classes: classes, Preprocessing: spec,
		Unnamed: unnamed, MultiLabel: multiLabel}, tensor.Map{}}
	for _, p := range g.Params() {
		if t, ok := tensors[p.Name]; ok {
			m.Tensors[p.Name] = t
		}
	}
	return m, nil
}

// twoLogits appends a layer that makes the logits 0 and z of a single one, z.
func twoLogits(layers []nn.Layer, tensors tensor.Map) []nn.Layer {
	name := "binary"
	for tensors[name+"/kernel"] != nil {
		name += "_"
	}
	tensors[name+"/kernel"] = tensor.FromSlice([]float32{0, 1}, 1, 2)
	return append(layers, nn.Layer{Op: nn.OpDense, Name: name, Inputs: []int{len(layers) - 1}, Units: 2})
}

// isLogit reports whether a single number that the operation makes may be a logit: it is any
// number, and not what a function made of one.
func isLogit(op nn.Op) bool {
	return op == nn.OpDense || op == nn.OpConv || op == nn.OpGlobalAveragePool
}

// CountClasses returns the number of classes that FromNetwork takes for a network: 2 for one that
// ends in a sigmoid or a single logit, otherwise as many as it has outputs.
func CountClasses(n *nn.Network) (int, error) {
	g, err := nn.NewGraph(n.Layers)
	if err != nil {
		return 0, err
	}
	layers, outputs := g.Layers(), tensor.Len(g.OutputShape())
	if last := layers[lastComputed(layers)].Op; outputs == 1 && (last == nn.OpSigmoid || isLogit(last)) {
		return 2, nil
	}
	return outputs, nil
}

// lastComputed is the last layer that is more than another view of the one before.
func lastComputed(layers []nn.Layer) int {
	at := len(layers) - 1
	for layers[at].Op.View() {
		at = layers[at].Inputs[0]
	}
	return at
}

// without takes the layer out that computes a network's output.
func without(layers []nn.Layer, at int) []nn.Layer {
	if at == len(layers)-1 {
		return layers[:at] // what it takes is the layer before: nothing else needs those
	}
	layers[at] = nn.Layer{Op: nn.OpDropout, Inputs: layers[at].Inputs}
	return layers
}

// OnBackbone rebuilds a converted model, whose golden logits are set, as one of garb's
// backbones of that name and a head, the form of models that garb trains. base are the
// backbone's weights. ok is false if it is another model: its head is not made of dense layers
// alone, or its answers differ.
func (m *Model) OnBackbone(ctx context.Context, architecture string, base tensor.Map) (on *Model, ok bool) {
	a, err := backbone.Lookup(architecture)
	if err != nil || len(m.Golden) == 0 {
		return nil, false
	}
	if a, err = a.Adapt(m.Preprocessing); err != nil {
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
	if !on.takeHead(m, m.Network[findFeatures(whole)+1:]) || on.SetGolden(ctx, nil) != nil {
		return nil, false
	}
	return on, checkGolden(m.Golden[0], on.Golden[0].Logits) == nil
}

// takeHead gives the model the head that the layers of another are. It reports whether they
// are dense layers, with what may be between these.
func (m *Model) takeHead(from *Model, layers []nn.Layer) bool {
	var dense []nn.Layer
	for _, l := range layers {
		switch l.Op {
		case nn.OpDense:
			dense = append(dense, l)
		case nn.OpDropout, nn.OpReLU: // which layers have a ReLU is not looked at; the golden logits tell
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
		m.Tensors[name+"/kernel"], m.Tensors[name+"/bias"] = from.Tensors[l.Name+"/kernel"], from.Tensors[l.Name+"/bias"]
		if !l.Bias {
			m.Tensors[name+"/bias"] = tensor.New(l.Units)
		}
	}
	return len(dense) > 0
}
