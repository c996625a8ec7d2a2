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

// Base is the backbone that a training begins with, and the place of its weights.
type Base struct {
	backbone.Architecture
	// Weights is a reference for OpenBackbone; "" means the architecture's own weights.
	Weights string
}

// FindBackbone finds the backbone in a file of weights, in a model as Open takes it, or in the
// weights of keras.applications with the given name.
//
// If the network is not one of garb's, the backbone is the part before its classifier (see
// backbone.OwnName). featuresAt then may name the layer that the backbone ends with; for one of
// garb's networks it must be "". Errors are *Error.
func FindBackbone(path, featuresAt string) (Base, error) {
	base, err := findBackbone(path, featuresAt)
	if err != nil {
		return Base{}, &Error{path, err}
	}
	return base, nil
}

func findBackbone(path, featuresAt string) (Base, error) {
	known := knownBackbone{featuresAt: featuresAt}
	switch path {
	case Clothing, Garments: // they share a backbone
		return known.lookup(imageNetBackbone, Garments)
	case ImageNet:
		return known.lookup(imageNetBackbone, "")
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
	d, isModel, err := decodeDescription(f)
	if err != nil {
		return Base{}, err
	}
	if !isModel {
		architecture, _, ok := weights.Recognise(f)
		if !ok {
			return Base{}, errors.New("its weights are not those of a network that garb has")
		}
		return known.lookup(architecture, file)
	}
	if d.Network != nil {
		a, err := d.cutBackbone(f, featuresAt)
		return Base{a, file}, err
	}
	known.grey = d.Preprocessing.Grey
	switch d.BackboneDigest {
	case "":
		return known.lookup(d.Architecture, file)
	case garmentsDigest:
		return known.lookup(d.Architecture, Garments)
	}
	return known.lookup(d.Architecture, "")
}

// knownBackbone is a backbone that is one of garb's.
type knownBackbone struct {
	featuresAt string
	grey       bool // its pictures are grey
}

// lookup returns the backbone with the weights of a reference.
func (k knownBackbone) lookup(architecture, reference string) (Base, error) {
	if k.featuresAt != "" {
		return Base{}, fmt.Errorf("its backbone is %s, whose features are fixed; a layer can be chosen only in "+
			"networks that are not garb's", architecture)
	}
	a, err := backbone.Lookup(architecture)
	if err != nil {
		return Base{}, err
	}
	a.Spec.Grey = k.grey
	return Base{a, reference}, nil
}

// cutBackbone returns the part of the model's own network that computes the features. f has the
// weights.
func (d *Description) cutBackbone(f *tensor.File, featuresAt string) (backbone.Architecture, error) {
	var none backbone.Architecture
	whole, err := nn.NewGraph(d.Network)
	if err != nil {
		return none, err
	}
	at := d.findClassifierInput(whole)
	if featuresAt != "" {
		if at, err = findLayer(whole.Layers(), featuresAt); err != nil {
			return none, err
		}
	}
	graph := whole.Upto(at)
	if findLastComputed(graph.Layers()) == 0 {
		return none, errors.New("no layer comes before its classifier, so its features would be the picture itself")
	}
	for _, l := range graph.Layers() {
		if isHeadName(l.Name) {
			return none, fmt.Errorf("the name of its layer %q is reserved for heads; convert its file again", l.Name)
		}
	}
	for _, p := range graph.Params() {
		if !slices.Equal(f.Shape(p.Name), p.Shape) {
			return none, &nn.WeightError{Name: p.Name, Detail: "they are missing or have another shape"}
		}
	}
	return backbone.FromLayers(graph.Layers(), d.Preprocessing)
}

// findClassifierInput returns the index of the layer whose output is the classifier's input. The
// classifier is the last layer with a kernel, if it looks at one position. The outputs of an
// unnamed network may be features: if it has no such classifier, the result is its last layer.
func (d *Description) findClassifierInput(g *nn.Graph) int {
	if d.FeaturesAt > 0 {
		return d.FeaturesAt
	}
	layers, shapes := g.Layers(), g.Shapes()
	for at := len(layers) - 1; at > 0; at = layers[at].Inputs[0] {
		l := layers[at]
		onePosition := hasOnePosition(shapes[l.Inputs[0]])
		switch {
		case l.Op == nn.OpDense, l.Op == nn.OpConv && (onePosition || !d.Unnamed):
			return l.Inputs[0]
		case d.Unnamed && !l.Op.Pointwise() && l.Op != nn.OpSoftmax, len(l.Inputs) != 1:
			return len(layers) - 1
		}
	}
	return len(layers) - 1
}

// findLayer returns the index of the layer with this name. Only layers with weights have names.
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
	const most = 5
	return 0, fmt.Errorf("there is no layer %q with weights; the last of %d are %s", name, len(names),
		strings.Join(names[max(0, len(names)-most):], ", "))
}

// HasBuiltInBackbone reports whether every garb of this version has the backbone weights with
// this digest, so that a model's file may leave them out.
func HasBuiltInBackbone(architecture, digest string) bool {
	if digest == garmentsDigest {
		return architecture == imageNetBackbone
	}
	f, ok := weights.BuiltIn(architecture)
	return ok && weights.Digest(architecture, f) == digest
}

// OpenBackbone opens a backbone's weights: those of the built-in model Clothing or Garments, or
// what weights.Open opens.
func OpenBackbone(reference string) (*tensor.File, error) {
	switch reference {
	case Clothing, Garments:
		return tensor.Decode(garmentsFile)
	}
	return weights.Open(reference)
}

// openBackboneByDigest opens the weights that a model's file leaves out.
func openBackboneByDigest(architecture, digest string) (*tensor.File, error) {
	if digest == garmentsDigest && architecture == imageNetBackbone {
		return tensor.Decode(garmentsFile)
	}
	f, err := weights.Open(architecture)
	if err != nil {
		return nil, fmt.Errorf("the weights of its backbone %s are not available: %w", architecture, err)
	}
	if available := weights.Digest(architecture, f); available != digest {
		return nil, fmt.Errorf("it was trained on other weights of %s: their digest is %s, and that of the available "+
			"ones is %s", architecture, digest, available)
	}
	return f, nil
}
