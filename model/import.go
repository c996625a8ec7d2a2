package model

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"garb/backbone"
	"garb/nn"
	"garb/picture"
	"garb/tensor"
)

// ErrNotClassifier is wrapped by errors about networks whose output is not one number for
// each class.
var ErrNotClassifier = errors.New("the network is not a classifier")

// FromNetwork returns a model of a network that another program made, which turns the inputs of
// spec into scores of the classes. It removes a softmax at the end, since models answer with
// logits. A single sigmoid of z, or a single logit z for two classes, becomes two logits, 0 and z,
// whose softmax is that sigmoid. Several sigmoids make a multi-label model.
//
// Without classes (nil) the outputs are numbered and may be a feature map, which is averaged over
// its positions. Such a model is a backbone to train on.
//
// The model needs golden logits before it is saved: see Model.SetGolden. An error wraps
// ErrNotClassifier, or is nn.NewGraph's.
func FromNetwork(n *nn.Network, classes []string, spec picture.Spec) (*Model, error) {
	g, err := nn.NewGraph(slices.Clone(n.Layers))
	if err != nil {
		return nil, err
	}
	if shape := g.InputShape(); len(shape) != 3 || shape[2] != spec.Channels() {
		return nil, fmt.Errorf("%w of pictures: its input has the shape %s, and pictures have three channels, or one "+
			"if they are grey", ErrNotClassifier, tensor.ShapeString(shape))
	}
	d := Description{Format: FormatVersion, Preprocessing: spec, Classes: classes, Unnamed: classes == nil}
	layers, tensors := g.Layers(), tensor.Map{} // without layers that the output does not need
	maps.Copy(tensors, n.Tensors)
	renameReserved(layers, tensors)
	layers, outputs, err := flattenOutput(layers, g.OutputShape(), d.Unnamed)
	if err != nil {
		return nil, err
	}
	values := Logits
	switch at := findLastComputed(layers); {
	case layers[at].Op == nn.OpSoftmax:
		layers, values = removeLayer(layers, at), Probabilities
	case layers[at].Op == nn.OpSigmoid && outputs > 1:
		layers, values, d.MultiLabel = removeLayer(layers, at), Probabilities, !d.Unnamed
	case layers[at].Op == nn.OpSigmoid:
		layers, values, outputs = appendTwoLogits(removeLayer(layers, at), tensors), Probability, 2
	case len(classes) == 2 && outputs == 1 && yieldsLogit(layers[at].Op):
		layers, values, outputs = appendTwoLogits(layers, tensors), Logit, 2
	}
	if !d.Unnamed {
		d.Signature = &Signature{Values: values}
	} else {
		for i := range outputs {
			d.Classes = append(d.Classes, fmt.Sprintf("output %d", i))
		}
	}
	if outputs != len(d.Classes) {
		return nil, fmt.Errorf("%w of %d classes: it has %d", ErrNotClassifier, len(d.Classes), outputs)
	}
	if g, err = nn.NewGraph(layers); err != nil {
		return nil, err
	}
	d.Network = g.Layers()
	m := &Model{d, tensor.Map{}}
	for _, p := range g.Params() {
		if t, ok := tensors[p.Name]; ok {
			m.Tensors[p.Name] = t
		}
	}
	return m, nil
}

// flattenOutput appends the layer that turns an output of the given shape into a vector, if it
// takes one, and returns the vector's length. Only the map of an unnamed network may have several
// positions, over which it is averaged.
func flattenOutput(layers []nn.Layer, shape []int, unnamed bool) ([]nn.Layer, int, error) {
	in := []int{len(layers) - 1}
	switch {
	case len(shape) == 1:
		return layers, shape[0], nil
	case unnamed && len(shape) == 3:
		return append(layers, nn.Layer{Op: nn.OpGlobalAveragePool, Inputs: in}), shape[2], nil
	case len(shape) == 3 && hasOnePosition(shape):
		return append(layers, nn.Layer{Op: nn.OpReshape, Inputs: in, Shape: shape[2:]}), shape[2], nil
	}
	return nil, 0, fmt.Errorf("%w: its output has the shape %s", ErrNotClassifier, tensor.ShapeString(shape))
}

// appendTwoLogits appends a layer that turns a single logit z into the logits 0 and z.
func appendTwoLogits(layers []nn.Layer, tensors tensor.Map) []nn.Layer {
	name := "binary"
	for tensors[name+"/kernel"] != nil {
		name += "_"
	}
	tensors[name+"/kernel"] = tensor.FromSlice([]float32{0, 1}, 1, 2)
	return append(layers, nn.Layer{Op: nn.OpDense, Name: name, Inputs: []int{len(layers) - 1}, Units: 2})
}

// yieldsLogit reports whether the output of an operation may be a logit: it can be any number,
// unlike that of an activation function.
func yieldsLogit(op nn.Op) bool {
	return op == nn.OpDense || op == nn.OpConv || op == nn.OpGlobalAveragePool
}

// CountClasses returns the number of classes that FromNetwork takes for a network: 2 for one that
// ends in a single sigmoid or logit, otherwise the number of its outputs.
func CountClasses(n *nn.Network) (int, error) {
	g, err := nn.NewGraph(n.Layers)
	if err != nil {
		return 0, err
	}
	layers, outputs := g.Layers(), tensor.Len(g.OutputShape())
	if last := layers[findLastComputed(layers)].Op; outputs == 1 && (last == nn.OpSigmoid || yieldsLogit(last)) {
		return 2, nil
	}
	return outputs, nil
}

// removeLayer removes the layer that computes a network's output, after which there are only
// layers that reshape.
func removeLayer(layers []nn.Layer, at int) []nn.Layer {
	if at == len(layers)-1 {
		return layers[:at] // its input is the layer before: nothing else needs that one
	}
	layers[at] = nn.Layer{Op: nn.OpDropout, Inputs: layers[at].Inputs}
	return layers
}

// isHeadName reports whether a name is reserved for the layers of heads.
func isHeadName(name string) bool {
	var number int
	n, _ := fmt.Sscanf(name, "inner%d", &number)
	return name == backbone.ClassifierName || n == 1 && name == innerName(number-1)
}

// renameReserved renames layers whose names are reserved for heads, and their tensors.
func renameReserved(layers []nn.Layer, tensors tensor.Map) {
	taken := map[string]bool{}
	for _, l := range layers {
		taken[l.Name] = true
	}
	renamed := map[string]string{}
	for i, l := range layers {
		if !isHeadName(l.Name) {
			continue
		}
		if renamed[l.Name] == "" {
			name := l.Name + "_"
			for taken[name] {
				name += "_"
			}
			taken[name], renamed[l.Name] = true, name
		}
		layers[i].Name = renamed[l.Name]
	}
	for name, t := range tensors {
		at := strings.LastIndexByte(name, '/')
		if at < 0 || renamed[name[:at]] == "" {
			continue
		}
		delete(tensors, name)
		tensors[renamed[name[:at]]+name[at:]] = t
	}
}

// RebuildOn returns a model of FromNetwork, whose golden logits are set, in the form of models
// that garb trains: one of garb's backbones, given by its name and weights, and a head. ok is
// false if that is impossible, because its head has other layers than dense ones, or if the
// answers differ.
func (m *Model) RebuildOn(ctx context.Context, architecture string, weights tensor.Map) (rebuilt *Model, ok bool) {
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
	rebuilt = &Model{Description{Format: m.Format, Architecture: architecture, Classes: m.Classes,
		Preprocessing: m.Preprocessing, Temperature: m.Temperature, MultiLabel: m.MultiLabel,
		Signature: m.Signature}, tensor.Map{}}
	for _, p := range a.Features(m.Preprocessing.Height, m.Preprocessing.Width).Params() {
		rebuilt.Tensors[p.Name] = weights[p.Name]
	}
	if !rebuilt.takeHead(m, m.Network[findFeatures(whole)+1:]) || rebuilt.SetGolden(ctx, nil) != nil {
		return nil, false
	}
	return rebuilt, m.Golden[0].compare(rebuilt.Golden[0].Logits) == nil
}

// takeHead gives the model the head that consists of the given layers of another. It reports
// whether a head can have them: dense layers, and ReLU and dropout between these. It does not
// check which layers have a ReLU, since wrong ones change the golden logits.
func (m *Model) takeHead(from *Model, layers []nn.Layer) bool {
	var dense []nn.Layer
	for _, l := range layers {
		switch l.Op {
		case nn.OpDense:
			dense = append(dense, l)
		case nn.OpDropout, nn.OpReLU:
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
		m.Tensors[name+"/bias"] = from.Tensors[l.Name+"/bias"]
		if !l.Bias {
			m.Tensors[name+"/bias"] = tensor.New(l.Units)
		}
	}
	return len(dense) > 0
}
