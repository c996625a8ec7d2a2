// Package backbone has the architectures that garb knows, one file each, and a
// table that pairs each with the preprocessing of its weights.
package backbone

import (
	"fmt"
	"slices"
	"strings"

	"garb/nn"
	"garb/picture"
)

// Architecture is a network that turns a picture into a feature vector.
type Architecture struct {
	Name string
	// Spec is the preprocessing that its pretrained weights expect.
	Spec picture.Spec
	// FeatureCount is the length of the feature vector.
	FeatureCount int
	// MinSide is the smallest height and width of an input, in pixels.
	MinSide int

	// featureMap builds the part from the input to the [h w FeatureCount] feature map, whose mean
	// over all positions is the feature vector. It is nil for a network without one.
	featureMap func(b *nn.Builder, x nn.Value) nn.Value
	// vector builds the part from the input to the feature vector if featureMap is nil.
	vector func(b *nn.Builder, x nn.Value) nn.Value
	top    func(b *nn.Builder, features nn.Value) nn.Value
	layers []nn.Layer // of a network from FromLayers
}

// OwnName is the Name of an Architecture from FromLayers.
const OwnName = "own"

// FromLayers returns the architecture of a network that layers describe. Its output is a
// feature vector, or a feature map whose mean over all positions is the feature vector. The
// architecture has no top. The error is a *nn.LayerError.
func FromLayers(layers []nn.Layer, spec picture.Spec) (Architecture, error) {
	g, err := nn.NewGraph(layers)
	if err != nil {
		return Architecture{}, err
	}
	shape := g.OutputShape()
	a := Architecture{Name: OwnName, Spec: spec, FeatureCount: shape[len(shape)-1], MinSide: 1, layers: g.Layers()}
	a.vector = func(b *nn.Builder, _ nn.Value) nn.Value {
		v, err := b.Append(a.layers)
		if err != nil {
			panic("backbone: " + err.Error()) // CheckSize returns this error first
		}
		if len(v.Shape()) == 3 {
			v = b.GlobalAveragePool(v)
		}
		return v
	}
	return a, nil
}

// Pretrained reports whether there are pretrained weights of the network. Without them it is
// trained as a whole.
func (a Architecture) Pretrained() bool { return a.Name != smallCNNName }

// ClassifierName is the name of the dense layer at the end of every network. Its parameters are
// "classifier/kernel" and "classifier/bias".
const ClassifierName = "classifier"

// ImageNetClasses is the number of outputs of a top for ImageNet.
const ImageNetClasses = 1000

// zoo is the table of architectures. Input scales: EfficientNet-Lite,
// (x−127)/128 (tensorflow/tpu, efficientnet_lite_builder.py); Xception, x/127.5−1
// (keras-applications, mode "tf"), resized as by Keras's load_img, to the nearest
// pixel; small-cnn, x/255; torchvision's networks, torchvisionSpec.
var zoo = append(liteArchitectures(),
	Architecture{
		Name: "xception", FeatureCount: xceptionFeatures, MinSide: xceptionMinSide,
		Spec:       stretch(299, picture.Nearest, 127.5, 127.5),
		featureMap: xceptionFeatureMap, top: imageNetTop(0),
	},
	Architecture{
		Name: "mobilenet-v2", FeatureCount: mobileNetV2Features, MinSide: torchvisionMinSide,
		Spec:       torchvisionSpec,
		featureMap: mobileNetV2FeatureMap, top: imageNetTop(mobileNetV2Dropout),
	},
	resNetArchitecture("resnet18", resNet18),
	resNetArchitecture("resnet50", resNet50),
	Architecture{
		Name: smallCNNName, FeatureCount: smallCNNUnits, MinSide: 4,
		Spec:   stretch(150, picture.Nearest, 0, 255),
		vector: smallCNNFeatures,
		top: func(b *nn.Builder, features nn.Value) nn.Value {
			return b.Sigmoid(b.Dense(ClassifierName, features, 1, nn.WithBias()))
		},
	},
)

func liteArchitectures() []Architecture {
	var all []Architecture
	for i, v := range liteVariants {
		all = append(all, Architecture{
			Name: fmt.Sprintf("efficientnet-lite%d", i), FeatureCount: liteHead, MinSide: 32,
			Spec:       stretch(v.size, picture.Bicubic, 127, 128),
			featureMap: v.featureMap, top: imageNetTop(v.dropout),
		})
	}
	return all
}

// torchvisionSpec is the preprocessing of torchvision's first weights (transforms/_presets.py,
// ImageClassification): resize the shorter side to 256 pixels, crop the middle 224 × 224, and
// normalize with ImageNet's mean and standard deviation per channel.
var torchvisionSpec = picture.Spec{
	Width: 224, Height: 224, Filter: picture.Bilinear, Fit: picture.Crop, CropRatio: 224.0 / 256,
	Mean: [3]float32{255 * 0.485, 255 * 0.456, 255 * 0.406}, Std: [3]float32{255 * 0.229, 255 * 0.224, 255 * 0.225},
}

// torchvisionMinSide is the side of the smallest input, whose feature map is 1 × 1.
const torchvisionMinSide = 32

func resNetArchitecture(name string, r resNet) Architecture {
	return Architecture{
		Name: name, FeatureCount: r.features(), MinSide: torchvisionMinSide, Spec: torchvisionSpec,
		featureMap: r.featureMap, top: imageNetTop(0),
	}
}

func stretch(side int, filter picture.Filter, mean, std float32) picture.Spec {
	return picture.Spec{
		Width: side, Height: side, Filter: filter, Fit: picture.Stretch,
		Mean: [3]float32{mean, mean, mean}, Std: [3]float32{std, std, std},
	}
}

func (a Architecture) features(b *nn.Builder) nn.Value {
	x := b.Input()
	if a.repeatsGrey() {
		x = b.Concat(x, x, x)
	}
	if a.featureMap == nil {
		return a.vector(b, x)
	}
	return b.GlobalAveragePool(a.featureMap(b, x))
}

// imageNetTop returns a top of ImageNet logits behind dropout.
func imageNetTop(dropout float64) func(*nn.Builder, nn.Value) nn.Value {
	return func(b *nn.Builder, features nn.Value) nn.Value {
		return b.Dense(ClassifierName, b.Dropout(features, dropout), ImageNetClasses, nn.WithBias())
	}
}

// All returns every architecture, in the order of the table.
func All() []Architecture { return append([]Architecture(nil), zoo...) }

// Lookup returns the architecture with the given name, or an error that lists the names.
func Lookup(name string) (Architecture, error) {
	var names []string
	for _, a := range zoo {
		if a.Name == name {
			return a, nil
		}
		names = append(names, a.Name)
	}
	return Architecture{}, fmt.Errorf("no backbone is named %q; there are %s", name, strings.Join(names, ", "))
}

// Features builds the network without its top, from [height width channels] to a vector of
// FeatureCount features. It panics if a side is below MinSide.
func (a Architecture) Features(height, width int) *nn.Graph {
	b := a.builder(height, width)
	return b.Build(a.features(b))
}

// WithTop builds the network with its own top: 1000 ImageNet logits, or one probability for
// small-cnn. It panics if a side is below MinSide.
func (a Architecture) WithTop(height, width int) *nn.Graph {
	b := a.builder(height, width)
	return b.Build(a.top(b, a.features(b)))
}

// CheckSize returns an error if pictures of this size are too small for the network.
func (a Architecture) CheckSize(height, width int) error {
	if width < a.MinSide || height < a.MinSide {
		return fmt.Errorf("%s takes pictures of at least %d × %d pixels, not %d × %d", a.Name, a.MinSide, a.MinSide,
			width, height)
	}
	if a.layers == nil {
		return nil
	}
	layers := slices.Clone(a.layers)
	layers[0].Shape = []int{height, width, layers[0].Shape[2]}
	g, err := nn.NewGraph(layers)
	if err == nil {
		if shape := g.OutputShape(); shape[len(shape)-1] != a.FeatureCount {
			err = fmt.Errorf("it gives %d features instead of %d", shape[len(shape)-1], a.FeatureCount)
		}
	}
	if err != nil {
		return fmt.Errorf("the network cannot take pictures of %d × %d pixels: %w", width, height, err)
	}
	return nil
}

// WithHead builds the network with the caller's layers behind its features. It panics if a side is
// below MinSide.
func (a Architecture) WithHead(height, width int, head func(b *nn.Builder, features nn.Value) nn.Value) *nn.Graph {
	b := a.builder(height, width)
	return b.Build(head(b, a.features(b)))
}

func (a Architecture) builder(height, width int) *nn.Builder {
	if err := a.CheckSize(height, width); err != nil {
		panic("backbone: " + err.Error())
	}
	return nn.NewBuilder(height, width, a.Spec.Channels())
}

// repeatsGrey reports whether a network that was trained on colours takes grey pictures: its three
// channels are then equal.
func (a Architecture) repeatsGrey() bool { return a.Spec.Grey && a.layers == nil && a.Pretrained() }

// Adapt returns the network for pictures that spec prepares, of that size or larger. If the
// pictures are grey and the network was trained on colours, each of its channels takes the grey
// level. That is exact if the network prepares all channels alike, and an error if not. It is also
// an error if a network from FromLayers has another number of channels.
func (a Architecture) Adapt(spec picture.Spec) (Architecture, error) {
	if err := a.CheckSize(spec.Height, spec.Width); err != nil {
		return a, err
	}
	own := a.Spec
	a.Spec.Grey = spec.Grey
	switch {
	case own.Grey == spec.Grey:
	case a.layers != nil:
		return a, fmt.Errorf("the network takes pictures of %d channels, not %d", own.Channels(), spec.Channels())
	case a.repeatsGrey() && !own.PreparesAlike():
		return a, fmt.Errorf("%s normalizes each colour differently and cannot take grey pictures; "+
			"use a backbone that normalizes all alike, such as efficientnet-lite0", a.Name)
	}
	return a, nil
}
