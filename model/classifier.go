// Package model reads and writes garb's model files, and classifies pictures with them. Most programs
// need only package garb. This package gives access to the parts: training, evaluation, reports and
// the service use it.
package model

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
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

// imageNetBackbone is the name of the built-in network in package weights.
const imageNetBackbone = "efficientnet-lite0"

// ErrNotModel is wrapped by errors about files that are not a model.
var ErrNotModel = errors.New("not a model")

// ErrNoClasses is wrapped by the error about a file that has weights but no classes: it is not a model,
// but a backbone to train on. It wraps ErrNotModel.
var ErrNoClasses = fmt.Errorf("%w: the file has weights but no classes", ErrNotModel)

// Error says that a model cannot be used.
type Error struct {
	Model string // the reference that Open was called with
	Err   error
}

func (e *Error) Error() string { return fmt.Sprintf("model %s: %v", e.Model, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Options are the options of a Classifier or Extractor.
type Options struct {
	// Threads is the largest number of cores that one answer uses; 0 means all.
	Threads int
	// Limits of a picture; the zero value means picture.DefaultLimits.
	Limits picture.Limits
	// Size is the side of the model's input in pixels; 0 means the model's own size. Most
	// networks take any size, but work best near the size that they were trained for, and
	// their probabilities are calibrated for that size only.
	Size int
	// Accept is the acceptance threshold, from 0 to 1; nil means the model's own, and 0
	// accepts all pictures. Other values are an error, ErrNoAcceptance, for a model without
	// acceptance. A model at another Size than its own has none, since its acceptance was
	// not measured on such pictures.
	Accept *float64
}

// resize returns the preprocessing at the size of the options.
func (o Options) resize(s picture.Spec) picture.Spec {
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

// Prediction is a class and its probability.
type Prediction struct {
	Class       string  `json:"class"`
	Probability float64 `json:"probability"` // see Description.Probabilities
	Logit       float32 `json:"logit"`
	Index       int     `json:"-"` // of the class in the model's classes
}

// ListedPrediction is a prediction as the commands and the service list it: with the identifiers of an
// ImageNet class, since some of these classes have the same name.
type ListedPrediction struct {
	Prediction
	WNID  string `json:"wnid,omitempty"`  // WordNet identifier, such as "n04370456"
	Index *int   `json:"index,omitempty"` // of the class in the network's output
}

// List returns predictions of the classifier with the identifiers of ImageNet classes.
func (c *Classifier) List(predictions []Prediction) []ListedPrediction {
	listed := make([]ListedPrediction, len(predictions))
	for i, p := range predictions {
		listed[i].Prediction = p
		if wnid := c.WNID(p.Index); wnid != "" {
			listed[i].WNID, listed[i].Index = wnid, &listed[i].Prediction.Index
		}
	}
	return listed
}

// WNID returns the WordNet identifier of a class by its index, "" if the model's classes are not
// ImageNet's.
func (c *Classifier) WNID(class int) string {
	if c.wnids == nil {
		return ""
	}
	return c.wnids[class]
}

// Classifier classifies pictures. It may be used by several goroutines.
type Classifier struct {
	*Extractor
	name, digest string
	wnids        []string // of the classes, if they are ImageNet's
	head         *head
	judge        *judge // nil if the model has no acceptance
	networks     networks
	weights      nn.Weights // of networks.whole
	mapper       func() (*mapper, error)
	description  *Description
}

// Default opens the built-in clothing classifier.
func Default(o Options) (*Classifier, error) { return Open(DefaultName, o) }

// Open opens a model by the path of its file, the folder of a training run (for its best checkpoint),
// or the name of a built-in model. It checks the file, its weights and its golden logits. Errors are
// *Error.
func Open(name string, o Options) (*Classifier, error) {
	c, err := open(name, o)
	if err != nil {
		return nil, &Error{name, err}
	}
	return c, nil
}

func open(name string, o Options) (*Classifier, error) {
	if name == ImageNet {
		return openImageNet(o)
	}
	if data, ok := builtInFile(name); ok {
		return decode(name, data, o)
	}
	path, err := findFile(name)
	if err != nil {
		return nil, err
	}
	f, err := tensor.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return newClassifier(strings.TrimSuffix(filepath.Base(path), ".safetensors"), f, o)
}

// OpenBytes opens the model in the bytes of a model file, which it does not retain. It checks them like
// Open; errors are *Error.
func OpenBytes(data []byte, o Options) (*Classifier, error) {
	const name = "bytes"
	c, err := decode(name, data, o)
	if err != nil {
		return nil, &Error{name, err}
	}
	return c, nil
}

func decode(name string, data []byte, o Options) (*Classifier, error) {
	f, err := tensor.Decode(data)
	if err != nil {
		return nil, err
	}
	return newClassifier(name, f, o)
}

// maxFileBytes limits a model file that is read into memory, like the limit of tensor.ReadFile.
const maxFileBytes = 2 << 30

// OpenFS opens a model file or the folder of a training run in a file system. It checks the model like
// Open; errors are *Error.
func OpenFS(fsys fs.FS, name string, o Options) (*Classifier, error) {
	c, err := openFS(fsys, name, o)
	if err != nil {
		return nil, &Error{name, err}
	}
	return c, nil
}

func openFS(fsys fs.FS, name string, o Options) (*Classifier, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		if name, err = bestCheckpoint(fsys, name); err != nil {
			return nil, err
		}
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFileBytes {
		return nil, fmt.Errorf("the file is larger than %d bytes", maxFileBytes)
	}
	return decode(strings.TrimSuffix(path.Base(name), ".safetensors"), data, o)
}

// findFile returns the path of a model's file.
func findFile(name string) (string, error) {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("there is no such file or run, and the built-in models are %s: %w",
			strings.Join(BuiltInNames(), ", "), fs.ErrNotExist)
	case err != nil:
		return "", err
	case !info.IsDir():
		return name, nil
	}
	return BestCheckpoint(name)
}

// BestCheckpoint returns the path of the best checkpoint in a run's folder. A run writes a checkpoint
// when an epoch is the best so far, as checkpoints/NAME_{epoch}_{validation accuracy}.safetensors, so
// the best one is that of the latest epoch.
func BestCheckpoint(run string) (string, error) {
	best, err := bestCheckpoint(os.DirFS(run), ".")
	if err != nil {
		return "", err
	}
	return filepath.Join(run, filepath.FromSlash(best)), nil
}

func bestCheckpoint(fsys fs.FS, run string) (string, error) {
	folder := path.Join(run, "checkpoints")
	files, err := fs.ReadDir(fsys, folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	best, bestEpoch := "", -1
	for _, f := range files {
		parts := strings.Split(f.Name(), "_")
		if len(parts) < 3 || path.Ext(f.Name()) != ".safetensors" {
			continue
		}
		if epoch, err := strconv.Atoi(parts[len(parts)-2]); err == nil && epoch > bestEpoch {
			best, bestEpoch = path.Join(folder, f.Name()), epoch
		}
	}
	if best == "" {
		return "", fmt.Errorf("%w: the folder has no checkpoints/*.safetensors, as the folder of a training run has",
			ErrNotModel)
	}
	return best, nil
}

// newClassifier opens the model in a file.
func newClassifier(name string, f *tensor.File, o Options) (*Classifier, error) {
	m, ok, err := decodeDescription(f)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, ErrNoClasses
	}
	if err = m.checkTensors(f); err != nil {
		return nil, err
	}
	base := f
	if m.BackboneDigest != "" {
		if base, err = openBackbone(m); err != nil {
			return nil, err
		}
	}
	c, err := m.compile(base, f, o)
	if err != nil {
		return nil, err
	}
	for _, g := range m.Golden {
		var got Golden
		if got, err = c.computeGolden(context.Background(), g.Picture); err == nil {
			err = checkGolden(g, got.Logits)
		}
		if err != nil {
			return nil, err
		}
	}
	spec := o.resize(m.Preprocessing)
	resized := spec != m.Preprocessing
	if resized {
		m.Preprocessing, m.Coverage = spec, nil // the coverage holds for the model's own size only
		if c, err = m.compile(base, f, o); err != nil {
			return nil, err
		}
	}
	c.name, c.digest = name, f.Digest()
	return c, c.setThreshold(o.Accept, resized)
}

// compile returns the classifier of a model with the weights of its backbone and its head, without a
// name and digest.
func (m *Description) compile(base, top nn.Weights, o Options) (*Classifier, error) {
	n, err := m.buildNetworks(m.Preprocessing)
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
		description: m}, nil
}

// computeGolden computes the model's outputs for golden picture n.
func (c *Classifier) computeGolden(ctx context.Context, n int) (Golden, error) {
	input := make([]float32, c.spec.ValueCount())
	c.spec.Tensor(DrawGoldenPicture(n), input)
	features, err := c.features(ctx, input)
	if err != nil {
		return Golden{}, err
	}
	logits, err := c.head.runOne(ctx, features)
	return Golden{n, logits}, err
}

// openBackbone opens the backbone weights that a model refers to by digest.
func openBackbone(m *Description) (*tensor.File, error) {
	if m.BackboneDigest == garmentsDigest && m.Architecture == imageNetBackbone {
		return tensor.Decode(garmentsFile)
	}
	f, err := weights.Open(m.Architecture)
	if err != nil {
		return nil, fmt.Errorf("the weights of its backbone %s are not available: %w", m.Architecture, err)
	}
	if digest := weights.Digest(m.Architecture, f); digest != m.BackboneDigest {
		return nil, fmt.Errorf("it needs weights of its backbone %s with the digest %s, but the available ones have %s",
			m.Architecture, m.BackboneDigest, digest)
	}
	return f, nil
}

// openImageNet opens the built-in network with its own classifier.
func openImageNet(o Options) (*Classifier, error) {
	f, ok := weights.BuiltIn(imageNetBackbone)
	if !ok {
		return nil, ErrNotModel
	}
	a, err := backbone.Lookup(imageNetBackbone)
	if err != nil {
		return nil, err
	}
	m := &Description{Format: FormatVersion, Architecture: a.Name, Preprocessing: o.resize(a.Spec)}
	var wnids []string
	for _, class := range weights.ImageNetClasses() {
		m.Classes, wnids = append(m.Classes, class.Name), append(wnids, class.WNID)
	}
	c, err := m.compile(f, f, o)
	if err != nil {
		return nil, err
	}
	c.name, c.digest, c.wnids = ImageNet, weights.Digest(imageNetBackbone, f), wnids
	return c, c.setThreshold(o.Accept, false)
}

// Name returns the name of a built-in model, or that of the model's file without its extension.
func (c *Classifier) Name() string { return c.name }

// Digest returns the digest of the model's file: "sha256:" and 64 digits.
func (c *Classifier) Digest() string { return c.digest }

// Classes returns the classes in the order of the logits.
func (c *Classifier) Classes() []string { return slices.Clone(c.description.Classes) }

// Description returns the description in the model's file.
func (c *Classifier) Description() Description { return *c.description }

// Classify returns the predictions for an encoded picture: all classes, the most probable first. Errors
// are *picture.Error or ctx's.
func (c *Classifier) Classify(ctx context.Context, data []byte) ([]Prediction, error) {
	features, err := c.Embed(ctx, data)
	if err != nil {
		return nil, err
	}
	logits, err := c.head.runOne(ctx, features)
	if err != nil {
		return nil, err
	}
	return c.Predictions(logits[:len(c.description.Classes)]), nil
}

// Logits computes the logits of inputs, in the order of Classes. Inputs are as Spec().Tensor writes
// them, one after another. The error is ctx's. It panics if the lengths do not match.
func (c *Classifier) Logits(ctx context.Context, inputs, logits []float32) error {
	features := make([]float32, len(logits)/len(c.description.Classes)*c.FeatureCount())
	if err := c.Features(ctx, inputs, features); err != nil {
		return err
	}
	return c.HeadLogits(ctx, features, logits)
}

// HeadLogits computes the logits of feature vectors, as Features writes them, one after another: the
// backbone is not needed again. The error is ctx's. It panics if the lengths do not match.
func (c *Classifier) HeadLogits(ctx context.Context, features, logits []float32) error {
	classes, outputs := len(c.description.Classes), c.head.outputs
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

// Predictions returns the predictions for the logits of a picture: all classes, the most probable
// first.
func (c *Classifier) Predictions(logits []float32) []Prediction {
	probabilities := c.description.Probabilities(logits)
	predictions := make([]Prediction, len(logits))
	for i, class := range Ranking(logits) {
		predictions[i] = Prediction{c.description.Classes[class], probabilities[class], logits[class], class}
	}
	return predictions
}
