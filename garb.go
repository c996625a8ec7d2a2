// Package garb tells which garment is in a picture.
//
//	classifier, err := garb.Default(garb.Options{})
//	...
//	predictions, err := classifier.Classify(ctx, jpegBytes)
//	fmt.Println(predictions[0].Class, predictions[0].Probability)
//
// A model is a file, the folder of a training run, or a name that is built in:
// "clothing", ten kinds of garment, "garments", seventeen of them, and "imagenet", the 1000
// classes of ImageNet.
package garb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"garb/backbone"
	"garb/nn"
	"garb/picture"
	"garb/tensor"
	"garb/weights"
)

// Version is garb's version.
const Version = "0.1.0"

// imageNetBackbone is the built-in network, under its name in package weights.
const imageNetBackbone = "efficientnet-lite0"

// ErrNotModel is wrapped by errors about files that are no model.
var ErrNotModel = errors.New("not a model")

// ModelError says that a model cannot be used.
type ModelError struct {
	Model string // as it was asked for
	Err   error
}

func (e *ModelError) Error() string { return fmt.Sprintf("model %s: %v", e.Model, e.Err) }

// Unwrap returns the cause.
func (e *ModelError) Unwrap() error { return e.Err }

// Options of a Classifier or Extractor.
type Options struct {
	// Threads is the largest number of cores that one answer uses; 0 means all.
	Threads int
	// Limits of a picture; the zero value means picture.DefaultLimits.
	Limits picture.Limits
	// Size is the side of the pictures, in pixels, that Open has a model answer on; 0
	// means the model's own. Most networks take any size, yet answer best near that
	// which they were trained for, and are calibrated for their own alone.
	Size int
	// Accept is the acceptance, from 0 to 1, from which a picture is accepted; nil means
	// the model's own threshold, and 0 accepts all. It is an error, ErrNoAcceptance, to set
	// another for a model that does not judge, as with a Size other than the model's: its
	// acceptance was not measured on such pictures.
	Accept *float64
}

// resized is a preprocessing at the side that o asks for.
func (o Options) resized(s picture.Spec) picture.Spec {
	if o.Size != 0 {
		s.Width, s.Height = o.Size, o.Size
	}
	return s
}

func (o Options) limits() picture.Limits {
	if o.Limits == (picture.Limits{}) {
		return picture.DefaultLimits()
	}
	return o.Limits
}

// Prediction is one class with how sure the model is of it.
type Prediction struct {
	Class       string  `json:"class"`
	Probability float64 `json:"probability"` // see Model.Probabilities
	Logit       float32 `json:"logit"`
	// Of ImageNet's classes: the WordNet identifier and the place in the network's
	// output.
	WNID  string `json:"wnid,omitempty"`
	Index *int   `json:"index,omitempty"`
}

// Classifier answers what is in a picture. It may be used by many goroutines.
type Classifier struct {
	*Extractor
	name, digest string
	classes      []Prediction // without probability and logit
	head         *head
	judge        *judge // nil if the model does not judge
	networks     networks
	weights      nn.Weights // of networks.whole
	mapper       func() (*mapper, error)
	model        *Model
}

// Default opens the built-in clothing classifier.
func Default(o Options) (*Classifier, error) { return Open(DefaultModel, o) }

// Open opens a model: the path of a model file, the folder of a training run
// (its best checkpoint), or the name of a built-in model. It checks the file, its
// weights and its golden logits; errors are *ModelError.
func Open(model string, o Options) (*Classifier, error) {
	c, err := open(model, o)
	if err != nil {
		return nil, &ModelError{model, err}
	}
	return c, nil
}

func open(model string, o Options) (*Classifier, error) {
	if model == ImageNet {
		return openImageNet(o)
	}
	if data, ok := builtInFile(model); ok {
		f, err := tensor.Decode(data)
		if err != nil {
			return nil, err
		}
		return newClassifier(model, f, o)
	}
	path, err := modelFile(model)
	if err != nil {
		return nil, err
	}
	f, err := tensor.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return newClassifier(strings.TrimSuffix(filepath.Base(path), ".safetensors"), f, o)
}

// modelFile finds the file of a model.
func modelFile(model string) (string, error) {
	info, err := os.Stat(model)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("there is no such file or run, and the built-in models are %s: %w",
			strings.Join(BuiltInModels(), ", "), fs.ErrNotExist)
	case err != nil:
		return "", err
	case !info.IsDir():
		return model, nil
	}
	return BestCheckpoint(model)
}

// BestCheckpoint returns the best checkpoint in a run's folder. Checkpoints are
// written when an epoch is better than all before, as
// checkpoints/NAME_{epoch}_{validation accuracy}.safetensors: so it is the one of
// the latest epoch.
func BestCheckpoint(run string) (string, error) {
	folder := filepath.Join(run, "checkpoints")
	files, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	best, bestEpoch := "", -1
	for _, f := range files {
		parts := strings.Split(f.Name(), "_")
		if len(parts) < 3 || filepath.Ext(f.Name()) != ".safetensors" {
			continue
		}
		if epoch, err := strconv.Atoi(parts[len(parts)-2]); err == nil && epoch > bestEpoch {
			best, bestEpoch = filepath.Join(folder, f.Name()), epoch
		}
	}
	if best == "" {
		return "",
			fmt.Errorf("%w: the folder has no checkpoints/*.safetensors; give a model file or the folder of a "+
				"finished run", ErrNotModel)
	}
	return best, nil
}

// newClassifier opens the model in a file.
func newClassifier(name string, f *tensor.File, o Options) (*Classifier, error) {
	m, ok, err := decodeModel(f)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil,
			fmt.Errorf("%w: the file has weights but no classes; train a model on them with garb train, or use "+
				"garb embed --weights", ErrNotModel)
	}
	if err := m.checkTensors(f); err != nil {
		return nil, err
	}
	base := f
	if m.BackboneDigest != "" {
		if base, err = findBackbone(m); err != nil {
			return nil, err
		}
	}
	c, err := m.compile(base, f, o)
	if err != nil {
		return nil, err
	}
	for _, g := range m.Golden {
		got, err := c.golden(context.Background(), g.Picture)
		if err != nil {
			return nil, err
		}
		if err := checkGolden(g, got.Logits); err != nil {
			return nil, err
		}
	}
	spec := o.resized(m.Preprocessing)
	resized := spec != m.Preprocessing
	if resized {
		m.Preprocessing, m.Coverage = spec, nil // whose promise is for the model's own size
		if c, err = m.compile(base, f, o); err != nil {
			return nil, err
		}
	}
	c.name, c.digest = name, f.Digest()
	for _, class := range m.Classes {
		c.classes = append(c.classes, Prediction{Class: class})
	}
	return c, c.setThreshold(o.Accept, resized)
}

// compile makes the classifier of a model with the weights of its backbone and its head. It
// has neither name nor digest, and no classes.
func (m *Model) compile(base, top nn.Weights, o Options) (*Classifier, error) {
	n, err := m.networks(m.Preprocessing)
	if err != nil {
		return nil, err
	}
	e, err := newExtractor(n.features, base, m.Preprocessing, o)
	if err != nil {
		return nil, err
	}
	h, err := newHead(n.head, top, m.outputs())
	if err != nil {
		return nil, err
	}
	w := nn.Overlay{Top: top, Below: base}
	j, err := m.newJudge(w, e.count)
	if err != nil {
		return nil, err
	}
	return &Classifier{Extractor: e, head: h, judge: j, networks: n, weights: w, mapper: newMapper(n.whole, w, o),
		model: m}, nil
}

// golden returns what the model answers to golden picture n.
func (c *Classifier) golden(ctx context.Context, n int) (Golden, error) {
	input := make([]float32, c.spec.ValueCount())
	c.spec.Tensor(GoldenPicture(n), input)
	features, err := c.features(ctx, input)
	if err != nil {
		return Golden{}, err
	}
	logits, err := c.head.one(ctx, features)
	return Golden{n, logits}, err
}

// findBackbone finds the weights that a model refers to by digest.
func findBackbone(m *Model) (*tensor.File, error) {
	if m.BackboneDigest == garmentsDigest && m.Architecture == imageNetBackbone {
		return tensor.Decode(garmentsFile)
	}
	f, err := weights.Open(m.Architecture)
	if err != nil {
		return nil, fmt.Errorf("its backbone %s is not at hand: %w", m.Architecture, err)
	}
	if digest := weights.Digest(m.Architecture, f); digest != m.BackboneDigest {
		return nil,
			fmt.Errorf("its backbone %s has the digest %s, and the one at hand %s: it was trained with other weights",
				m.Architecture, m.BackboneDigest, digest)
	}
	return f, nil
}

// openImageNet opens the built-in network with its own top.
func openImageNet(o Options) (*Classifier, error) {
	f, ok := weights.BuiltIn(imageNetBackbone)
	if !ok {
		return nil, ErrNotModel
	}
	a, err := backbone.Lookup(imageNetBackbone)
	if err != nil {
		return nil, err
	}
	m := &Model{Format: FormatVersion, Architecture: a.Name, Preprocessing: o.resized(a.Spec)}
	named := weights.ImageNetClasses()
	classes := make([]Prediction, len(named))
	for i, c := range named {
		classes[i] = Prediction{Class: c.Name, WNID: c.WNID, Index: &named[i].Index}
		m.Classes = append(m.Classes, c.Name)
	}
	c, err := m.compile(f, f, o)
	if err != nil {
		return nil, err
	}
	c.name, c.digest, c.classes = ImageNet, weights.Digest(imageNetBackbone, f), classes
	return c, c.setThreshold(o.Accept, false)
}

// Name returns the model's name: that of a built-in model, or of the file without
// its ending.
func (c *Classifier) Name() string { return c.name }

// Digest returns the digest of the model's file: "sha256:" and 64 digits.
func (c *Classifier) Digest() string { return c.digest }

// Classes returns the classes in the order of the logits.
func (c *Classifier) Classes() []string { return slices.Clone(c.model.Classes) }

// Model returns what the model's file says of itself.
func (c *Classifier) Model() Model { return *c.model }

// Classify answers what is in an encoded picture: all classes, the most probable
// first. Its errors are *picture.Error, or ctx's.
func (c *Classifier) Classify(ctx context.Context, data []byte) ([]Prediction, error) {
	features, err := c.Embed(ctx, data)
	if err != nil {
		return nil, err
	}
	logits, err := c.head.one(ctx, features)
	if err != nil {
		return nil, err
	}
	return c.Predictions(logits[:len(c.classes)]), nil
}

// Logits writes the logits of inputs, as Spec().Tensor gives them one after another,
// to logits, in the order of Classes. The error is ctx's. It panics if the lengths do
// not fit.
func (c *Classifier) Logits(ctx context.Context, inputs, logits []float32) error {
	features := make([]float32, len(logits)/len(c.classes)*c.FeatureCount())
	if err := c.Features(ctx, inputs, features); err != nil {
		return err
	}
	return c.HeadLogits(ctx, features, logits)
}

// HeadLogits writes the logits of feature vectors, as Features gives them one after
// another: with these at hand it saves the network. The error is ctx's. It panics if the
// lengths do not fit.
func (c *Classifier) HeadLogits(ctx context.Context, features, logits []float32) error {
	classes, outputs := len(c.classes), c.head.outputs
	if outputs == classes {
		return c.head.run(ctx, features, logits)
	}
	raw := make([]float32, len(logits)/classes*outputs)
	if err := c.head.run(ctx, features, raw); err != nil {
		return err
	}
	for i := range len(logits) / classes {
		copy(logits[i*classes:][:classes], raw[i*outputs:])
	}
	return nil
}

// Predictions are what the model says of a picture with these logits, one for each
// class in their order: the most probable first.
func (c *Classifier) Predictions(logits []float32) []Prediction {
	probabilities := c.model.Probabilities(logits)
	predictions := make([]Prediction, len(logits))
	for i, class := range Ranking(logits) {
		predictions[i] = c.classes[class]
		predictions[i].Probability, predictions[i].Logit = probabilities[class], logits[class]
	}
	return predictions
}
