package convert

import (
	"fmt"
	"strings"

	"garb/nn"
	"garb/picture"
)

// preprocessing describes how a family of networks scales pixel values from 0 to 255. Files of weights do
// not store it.
type preprocessing struct {
	name      string
	mean, std [3]float32 // of red, green and blue
	// blueFirst networks take the channels as blue, green, red.
	blueFirst bool
	// models are the prefixes of the names of networks that were trained with it.
	models []string
}

// same returns the same value for red, green and blue.
func same(v float32) [3]float32 { return [3]float32{v, v, v} }

// preprocessings are those of keras.applications (preprocess_input with the modes "tf", "caffe" and
// "torch") and of EfficientNet-Lite (tensorflow/tpu, efficientnet_lite_builder.py). The first is for
// networks that preprocess pictures themselves, as EfficientNet in Keras does.
var preprocessings = []preprocessing{
	{name: "none", std: same(1), models: []string{"efficientnetb", "efficientnetv2", "mobilenetv3", "convnext"}},
	{name: "rescale", std: same(255)},
	{name: "efficientnet-lite", mean: same(127), std: same(128),
		models: []string{"efficientnet-lite", "efficientnet_lite"}},
	{name: "xception", mean: same(127.5), std: same(127.5), models: []string{"xception"}},
	{name: "mobilenet", mean: same(127.5), std: same(127.5),
		models: []string{"mobilenet_", "mobilenet", "inception", "nasnet"}},
	{name: "resnet50", mean: [3]float32{123.68, 116.779, 103.939}, std: same(1), blueFirst: true,
		models: []string{"resnet50", "resnet101", "resnet152", "vgg16", "vgg19"}},
	{name: "densenet", mean: [3]float32{0.485 * 255, 0.456 * 255, 0.406 * 255},
		std:    [3]float32{0.229 * 255, 0.224 * 255, 0.225 * 255},
		models: []string{"densenet"}},
}

// aliases are other names of preprocessings.
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

// findPreprocessing returns the preprocessing of a name or alias.
func findPreprocessing(name string) (preprocessing, error) {
	if other, ok := aliases[name]; ok {
		name = other
	}
	for _, p := range preprocessings {
		if p.name == name {
			return p, nil
		}
	}
	return preprocessing{}, fmt.Errorf("there is no preprocessing %q; the preprocessings are %s", name,
		strings.Join(Preprocessings(), ", "))
}

// recognise finds the preprocessing of a network by the names of the network and its parts. The longest
// prefix counts: mobilenetv3 is not a mobilenet.
func recognise(names []string) (found preprocessing, by string, ok bool) {
	length := 0
	for _, name := range names {
		for _, p := range preprocessings {
			for _, m := range p.models {
				if len(m) > length && strings.HasPrefix(strings.ToLower(name), m) {
					found, by, length = p, name, len(m)
				}
			}
		}
	}
	return found, by, length > 0
}

// apply returns the preprocessing of pictures of the network's size. The order of channels, which a Spec
// does not have, becomes the network's first layer.
func (p preprocessing) apply(n *nn.Network, filter picture.Filter) picture.Spec {
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
