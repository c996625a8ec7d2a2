// Package backbone holds the architectures that garb knows: one file each, and
// the table that pairs each with the preprocessing of its weights.
package backbone

import (
	"fmt"
	"slices"
	"strings"

	"garb/nn"
	"garb/picture"
)

// Architecture is a network that turns a picture into features.
type Architecture struct {
	Name string
	// Spec is the preprocessing that its pretrained weights expect.
	Spec picture.Spec
	// FeatureCount is the length of the feature vector.
	FeatureCount int
	// MinSide is the smallest height and width of an input, in pixels.
	MinSide int

	// featureMap is input to the [h w FeatureCount] whose mean the features are; nil if
	// they are made otherwise.
	featureMap func(b *nn.Builder, x nn.Value) nn.Value
	flat       func(b *nn.Builder, x nn.Value) nn.Value // input to [FeatureCount], without featureMap
	top        func(b *nn.Builder, features nn.Value) nn.Value
	layers     []nn.Layer // of a network that is none of the zoo's: see Of
}

// OwnName is the Name of an Architecture that is none of the zoo's.
const OwnName = "own"

// Of returns the architecture of a network that layers describe: from a picture to a feature
// vector, or to a feature map, whose mean over its positions the features are. It has no top.
// Its error is a *nn.LayerError.
func Of(layers []nn.Layer, spec picture.Spec) (Architecture, error) {
	g, err := nn.NewGraph(layers)
	if err != nil {
		return Architecture{}, err
	}
	shape := g.OutputShape()
	a := Architecture{Name: OwnName, Spec: spec, FeatureCount: shape[len(shape)-1], MinSide: 1, layers: g.Layers()}
	a.flat = func(b *nn.Builder, _ nn.Value) nn.Value {
		v, err := b.Append(a.layers)
		if err != nil {
			panic("backbone: " + err.Error()) // CheckSize tells before
		}
		if len(v.Shape()) == 3 {
			v = b.GlobalAveragePool(v)
		}
		return v
	}
	return a, nil
}

// Pretrained reports whether there are weights of the network to begin with; without
// them it is trained as a whole.
func (a Architecture) Pretrained() bool { return a.Name != smallCNNName }

// ClassifierName is the name of the dense layer that ends every network: its
// parameters are "classifier/kernel" and "classifier/bias".
const ClassifierName = "classifier"

// ImageNetClasses is the number of classes of an ImageNet top.
const ImageNetClasses = 1000

// zoo is the table of architectures. Input scales: EfficientNet-Lite,
// (x−127)/128 (tensorflow/tpu, efficientnet_lite_builder.py); Xception, x/127.5−1
// (keras-applications, mode "tf"), with load_img's nearest resize as its users
// have it; the homework's network, x/255; torchvision's as in torchvisionSpec.
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
		Spec: stretch(150, picture.Nearest, 0, 255),
		flat: smallCNNFeatures,
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

// torchvisionSpec is the preprocessing of torchvision's first weights
// (transforms/_presets.py, ImageClassification): the shorter side to 256 pixels, the middle
// 224 of both, and ImageNet's mean and standard deviation of each channel.
var torchvisionSpec = picture.Spec{
	Width: 224, Height: 224, Filter: picture.Bilinear, Fit: picture.Crop, CropRatio: 224.0 / 256,
	Mean: [3]float32{255 * 0.485, 255 * 0.456, 255 * 0.406}, Std: [3]float32{255 * 0.229, 255 * 0.224, 255 * 0.225},
}

// torchvisionMinSide is the side of an input of whose feature map one place is left.
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
		return a.flat(b, x)
	}
	return b.GlobalAveragePool(a.featureMap(b, x))
}

// imageNetTop ends a network in logits over the ImageNet classes.
func imageNetTop(dropout float64) func(*nn.Builder, nn.Value) nn.Value {
	return func(b *nn.Builder, features nn.Value) nn.Value {
		return b.Dense(ClassifierName, b.Dropout(features, dropout), ImageNetClasses, nn.WithBias())
	}
}

// All returns every architecture, in the order of the table.
func All() []Architecture { return append([]Architecture(nil), zoo...) }

// Lookup returns the architecture of a name, or an error that lists the names.
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

// Features is the network without its top: [height width channels] to a feature vector
// of FeatureCount values (globally average-pooled, but for small-cnn). It panics
// if a side is below MinSide.
func (a Architecture) Features(height, width int) *nn.Graph {
	b := a.builder(height, width)
	return b.Build(a.features(b))
}

// WithTop is the network with its own top: 1000 ImageNet logits, or for
// small-cnn one probability. It panics if a side is below MinSide.
func (a Architecture) WithTop(height, width int) *nn.Graph {
	b := a.builder(height, width)
	return b.Build(a.top(b, a.features(b)))
}

// CheckSize reports pictures that are too small for the network.
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
			err = fmt.Errorf("it would have %d features instead of %d", shape[len(shape)-1], a.FeatureCount)
		}
	}
	if err != nil {
		return fmt.Errorf("the network cannot take pictures of %d × %d pixels: %w", width, height, err)
	}
	return nil
}

// WithHead is the network with layers of the caller's on its features. It panics if
// a side is below MinSide.
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

// repeatsGrey reports whether the network was trained on colours and is shown grey: its
// three channels are then alike.
func (a Architecture) repeatsGrey() bool { return a.Spec.Grey && a.layers == nil && a.Pretrained() }

// For returns the network for pictures that spec prepares: of that size at least, and grey if
// they are. Of a network that was trained on colours each channel then has the level of grey,
// which is exact if all are prepared alike; otherwise it is an error, as is a network with
// layers of its own for the other number of channels.
func (a Architecture) For(spec picture.Spec) (Architecture, error) {
	if err := a.CheckSize(spec.Height, spec.Width); err != nil {
		return a, err
	}
	own := a.Spec
	a.Spec.Grey = spec.Grey
	switch {
	case own.Grey == spec.Grey:
	case a.layers != nil:
		return a, fmt.Errorf("the network takes pictures of %d channels, not of %d", own.Channels(), spec.Channels())
	case a.repeatsGrey() && !own.PreparesAlike():
		return a, fmt.Errorf("%s prepares each colour in its own way, which grey pictures have not; "+
			"take a backbone that prepares all alike, such as efficientnet-lite0", a.Name)
	}
	return a, nil
}
