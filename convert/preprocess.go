package convert

import (
	"fmt"
	"strings"

	"garb/nn"
	"garb/picture"
)

// preprocessing says how a family of networks wants the levels of a picture, 0 to 255, prepared.
// Files of weights do not state it.
type preprocessing struct {
	name      string
	mean, std [3]float32 // of red, green and blue
	blueFirst bool       // the network takes the channels as blue, green, red
	prefixes  []string   // of the names of the family's networks
}

// repeat returns v for each channel.
func repeat(v float32) [3]float32 { return [3]float32{v, v, v} }

// noPreprocessing is that of networks that prepare their pictures themselves, as EfficientNet's
// files do.
var noPreprocessing = preprocessing{name: "none", std: repeat(1),
	prefixes: []string{"efficientnetb", "efficientnetv2", "mobilenetv3", "convnext"}}

// preprocessings are those of keras.applications (its preprocess_input: modes "tf", "caffe"
// and "torch") and of EfficientNet-Lite (tensorflow/tpu, efficientnet_lite_builder.py).
var preprocessings = []preprocessing{
	noPreprocessing,
	{name: "rescale", std: repeat(255)},
	{name: "efficientnet-lite", mean: repeat(127), std: repeat(128),
		prefixes: []string{"efficientnet-lite", "efficientnet_lite"}},
	{name: "xception", mean: repeat(127.5), std: repeat(127.5), prefixes: []string{"xception"}},
	{name: "mobilenet", mean: repeat(127.5), std: repeat(127.5),
		prefixes: []string{"mobilenet_", "mobilenet", "inception", "nasnet"}},
	{name: "resnet50", mean: [3]float32{123.68, 116.779, 103.939}, std: repeat(1), blueFirst: true,
		prefixes: []string{"resnet50", "resnet101", "resnet152", "vgg16", "vgg19"}},
	{name: "densenet", mean: [3]float32{0.485 * 255, 0.456 * 255, 0.406 * 255},
		std:      [3]float32{0.229 * 255, 0.224 * 255, 0.225 * 255},
		prefixes: []string{"densenet"}},
}

// aliases are other names by which people know preprocessings.
var aliases = map[string]string{
	"mobilenetv2": "mobilenet", "vgg16": "resnet50", "vgg19": "resnet50", "caffe": "resnet50", "tf": "xception",
	"torch": "densenet", "densenet121": "densenet", "efficientnet": "none", "efficientnetb0": "none",
	"small-cnn": "rescale",
}

// Preprocessings returns the names for Options.Preprocess.
func Preprocessings() []string {
	var names []string
	for _, p := range preprocessings {
		names = append(names, p.name)
	}
	return names
}

// lookupPreprocessing returns the preprocessing with this name or alias.
func lookupPreprocessing(name string) (preprocessing, error) {
	if other, ok := aliases[name]; ok {
		name = other
	}
	for _, p := range preprocessings {
		if p.name == name {
			return p, nil
		}
	}
	return preprocessing{}, fmt.Errorf("there is no preprocessing %q; choose one of %s", name,
		strings.Join(Preprocessings(), ", "))
}

// recognize returns the preprocessing of a network by the names of the network and its parts, and
// the name that decided. The longest prefix wins: mobilenetv3 is not a mobilenet.
func recognize(names []string) (found preprocessing, network string, ok bool) {
	length := 0
	for _, name := range names {
		for _, p := range preprocessings {
			for _, prefix := range p.prefixes {
				if len(prefix) > length && strings.HasPrefix(strings.ToLower(name), prefix) {
					found, network, length = p, name, len(prefix)
				}
			}
		}
	}
	return found, network, length > 0
}

// applyTo returns the preprocessing of pictures of the network's size. Another order of channels,
// which a Spec cannot express, it adds to the network as its first layer.
func (p preprocessing) applyTo(n *nn.Network, filter picture.Filter) picture.Spec {
	in := n.Layers[0].Shape
	spec := picture.Spec{Width: in[1], Height: in[0], Filter: filter, Fit: picture.Stretch, Grey: in[2] == 1,
		Mean: p.mean, Std: p.std}
	if !p.blueFirst || spec.Grey {
		return spec
	}
	layers := []nn.Layer{n.Layers[0], {Op: nn.OpSelect, Inputs: []int{0}, Channels: []int{2, 1, 0}}}
	for _, l := range n.Layers[1:] {
		inputs := make([]int, len(l.Inputs))
		for i, in := range l.Inputs {
			inputs[i] = in + 1
		}
		l.Inputs = inputs
		layers = append(layers, l)
	}
	n.Layers = layers
	return spec
}
