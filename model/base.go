package model

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"garb/backbone"
	"garb/nn"
	"garb/tensor"
	"garb/weights"
)

// Base is what training begins with: a backbone and where its weights are.
type Base struct {
	backbone.Architecture
	// Weights is a reference for OpenBackbone; "" if they are the architecture's own.
	Weights string
}

// FindBackbone finds the backbone in a file of weights, in a model as Open takes it, or in weights
// of keras.applications by their name. Of a
// network that is none of garb's it is the part before the classifier (see Architecture.Name
// and backbone.OwnName), or, with featuresAt, the part that ends with the layer of that name,
// which other backbones do not take. Errors are *Error.
func FindBackbone(path, featuresAt string) (Base, error) {
	refuse := func(err error) (Base, error) { return Base{}, &Error{path, err} }
	known := func(architecture, reference string, grey bool) (Base, error) {
		if featuresAt != "" {
			return refuse(fmt.Errorf("its backbone is %s, which has its features; a layer is chosen only of a "+
				"network that is none of garb's",
				architecture))
		}
		a, err := backbone.Lookup(architecture)
		if err != nil {
			return refuse(err)
		}
		a.Spec.Grey = grey
		return Base{a, reference}, nil
	}
	switch path {
	case Clothing, Garments: // one backbone
		return known(imageNetBackbone, Garments, false)
	case ImageNet:
		return known(imageNetBackbone, "", false)
	}
	file := path
	if s, ok := weights.Lookup(path); !ok || s.Application == nil {
		var err error
		if file, err = findFile(path); err != nil {
			return refuse(err)
		}
	}
	f, err := weights.Open(file)
	if err != nil {
		return refuse(err)
	}
	m, isModel, err := decodeDescription(f)
	switch {
	case err != nil:
		return refuse(err)
	case isModel && m.Network != nil:
		a, err := m.ownBackbone(f, featuresAt)
		if err != nil {
			return refuse(err)
		}
		return Base{a, file}, nil
	case isModel && m.BackboneDigest == garmentsDigest:
		return known(m.Architecture, Garments, m.Preprocessing.Grey)
	case isModel && m.BackboneDigest != "":
		return known(m.Architecture, "", m.Preprocessing.Grey)
	case isModel:
		return known(m.Architecture, file, m.Preprocessing.Grey)
	}
	architecture, _, ok := weights.Recognise(f)
	if !ok {
		return refuse(errors.New("it holds the weights of no network that garb has"))
	}
	return known(architecture, file, false)
}

// ownBackbone is the part of the model's own network that gives features.
func (m *Description) ownBackbone(f *tensor.File, featuresAt string) (backbone.Architecture, error) {
	var none backbone.Architecture
	whole, err := nn.NewGraph(m.Network)
	if err != nil {
		return none, err
	}
	layers := whole.Layers()
	at := m.beforeClassifier(whole)
	if featuresAt != "" {
		if at, err = layerNamed(layers, featuresAt); err != nil {
			return none, err
		}
	}
	graph := whole.Upto(at)
	if lastComputed(graph.Layers()) == 0 {
		return none, errors.New("there is no layer before its classifier: its features would be the picture")
	}
	for _, l := range graph.Layers() {
		if isHeadName(l.Name) {
			return none, fmt.Errorf("its layer %q has the name of a layer that a head gets: convert its file again",
				l.Name)
		}
	}
	for _, p := range graph.Params() {
		if !slices.Equal(f.Shape(p.Name), p.Shape) {
			return none, &nn.WeightError{Name: p.Name, Detail: "is not in the file as the network needs it"}
		}
	}
	return backbone.FromLayers(graph.Layers(), m.Preprocessing)
}

// beforeClassifier finds the layer whose output the classifier takes, which is the last layer
// with a kernel if it looks at one place. Of a network without names for its outputs, which
// may be features already, it is the last layer if there is no such classifier.
func (m *Description) beforeClassifier(g *nn.Graph) int {
	if m.FeaturesAt > 0 {
		return m.FeaturesAt
	}
	layers, shapes := g.Layers(), g.Shapes()
	for at := len(layers) - 1; at > 0; at = layers[at].Inputs[0] {
		l := layers[at]
		from := shapes[l.Inputs[0]]
		onePlace := len(from) == 1 || from[0] == 1 && from[1] == 1
		switch {
		case l.Op == nn.OpDense, l.Op == nn.OpConv && (onePlace || !m.Unnamed):
			return l.Inputs[0]
		case m.Unnamed && !l.Op.Pointwise() && l.Op != nn.OpSoftmax, len(l.Inputs) != 1:
			return len(layers) - 1
		}
	}
	return len(layers) - 1
}

// layerNamed finds the layer with parameters of a name.
func layerNamed(layers []nn.Layer, name string) (int, error) {
	var names []string
	for i, l := range layers {
		if l.Name == name && name != "" {
			return i, nil
		}
		if l.Name != "" {
			names = append(names, l.Name)
		}
	}
	const most = 5
	return 0, fmt.Errorf("there is no layer %q with weights; the last of %d are %s", name, len(names),
		strings.Join(names[max(0, len(names)-most):], ", "))
}

// isHeadName reports whether layers of heads have the name.
func isHeadName(name string) bool {
	var number int
	n, _ := fmt.Sscanf(name, "inner%d", &number)
	return name == backbone.ClassifierName || n == 1 && name == innerName(number-1)
}

// withoutHeadNames renames the layers that have names of a head's, and their tensors.
func withoutHeadNames(layers []nn.Layer, tensors tensor.Map) {
	names := map[string]bool{}
	for _, l := range layers {
		names[l.Name] = true
	}
	renamed := map[string]string{}
	for i, l := range layers {
		if !isHeadName(l.Name) {
			continue
		}
		if renamed[l.Name] == "" {
			to := l.Name + "_"
			for names[to] {
				to += "_"
			}
			names[to], renamed[l.Name] = true, to
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
