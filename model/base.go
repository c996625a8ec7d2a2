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

// Base is a backbone to train on, and a reference to its weights.
type Base struct {
	backbone.Architecture
	// Weights is a reference for OpenBackbone; "" means the architecture's own weights.
	Weights string
}

// FindBackbone finds the backbone in a file of weights, in a model (see Open), or in weights of
// keras.applications by their name. If the network is not one of garb's, the backbone is the part
// before the classifier (see backbone.OwnName) or, with featuresAt, the part that ends with the layer
// of that name; featuresAt is an error for other networks. Errors are *Error.
func FindBackbone(path, featuresAt string) (Base, error) {
	base, err := findBackbone(path, featuresAt)
	if err != nil {
		return Base{}, &Error{path, err}
	}
	return base, nil
}

func findBackbone(path, featuresAt string) (Base, error) {
	known := func(architecture, reference string, grey bool) (Base, error) {
		if featuresAt != "" {
			return Base{}, fmt.Errorf("its backbone is %s, whose features are fixed; a layer can be chosen only in a "+
				"network that is not one of garb's", architecture)
		}
		a, err := backbone.Lookup(architecture)
		a.Spec.Grey = grey
		return Base{a, reference}, err
	}
	switch path {
	case Clothing, Garments: // they share a backbone
		return known(imageNetBackbone, Garments, false)
	case ImageNet:
		return known(imageNetBackbone, "", false)
	}
	file := path
	if s, ok := weights.Lookup(path); !ok || s.Application == nil {
		var err error
		if file, err = findFile(path); err != nil {
			return Base{}, err
		}
	}
	f, err := weights.Open(file)
	if err != nil {
		return Base{}, err
	}
	m, isModel, err := decodeDescription(f)
	switch {
	case err != nil:
		return Base{}, err
	case isModel && m.Network != nil:
		a, err := m.extractBackbone(f, featuresAt)
		return Base{a, file}, err
	case isModel && m.BackboneDigest == garmentsDigest:
		return known(m.Architecture, Garments, m.Preprocessing.Grey)
	case isModel && m.BackboneDigest != "":
		return known(m.Architecture, "", m.Preprocessing.Grey)
	case isModel:
		return known(m.Architecture, file, m.Preprocessing.Grey)
	}
	architecture, _, ok := weights.Recognise(f)
	if !ok {
		return Base{}, errors.New("it has no weights of a network that garb knows")
	}
	return known(architecture, file, false)
}

// extractBackbone returns the part of the model's own network that computes features.
func (m *Description) extractBackbone(f *tensor.File, featuresAt string) (backbone.Architecture, error) {
	var none backbone.Architecture
	whole, err := nn.NewGraph(m.Network)
	if err != nil {
		return none, err
	}
	end := m.findClassifierInput(whole)
	if featuresAt != "" {
		if end, err = findLayer(whole.Layers(), featuresAt); err != nil {
			return none, err
		}
	}
	graph := whole.Upto(end)
	if findLastComputed(graph.Layers()) == 0 {
		return none, errors.New("it has no layer before its classifier: the features would be the picture itself")
	}
	for _, l := range graph.Layers() {
		if isHeadName(l.Name) {
			return none, fmt.Errorf("its layer %q has a name that garb uses for heads: convert its file again", l.Name)
		}
	}
	for _, p := range graph.Params() {
		if !slices.Equal(f.Shape(p.Name), p.Shape) {
			return none, &nn.WeightError{Name: p.Name,
				Detail: "is missing in the file or has another shape than the network needs"}
		}
	}
	return backbone.Of(graph.Layers(), m.Preprocessing)
}

// findClassifierInput returns the layer whose output the classifier takes. The classifier is the last
// layer with a kernel, if it looks at one place. If a network without class names has no such
// classifier, its last layer is returned, since its outputs may be features already.
func (m *Description) findClassifierInput(g *nn.Graph) int {
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

// findLayer returns the index of the layer with parameters of a name.
func findLayer(layers []nn.Layer, name string) (int, error) {
	var names []string
	for i, l := range layers {
		if l.Name == name && name != "" {
			return i, nil
		}
		if l.Name != "" {
			names = append(names, l.Name)
		}
	}
	const shown = 5
	return 0, fmt.Errorf("there is no layer %q with weights; the last of %d are %s", name, len(names),
		strings.Join(names[max(0, len(names)-shown):], ", "))
}

// isHeadName reports whether a layer of a head may have the name.
func isHeadName(name string) bool {
	var number int
	n, _ := fmt.Sscanf(name, "inner%d", &number)
	return name == backbone.ClassifierName || n == 1 && name == innerName(number-1)
}

// renameHeadLayers renames the layers, and their tensors, that have a name of a head's layer.
func renameHeadLayers(layers []nn.Layer, tensors tensor.Map) {
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
