// Package garb tells which garment is in a picture.
//
//	classifier, err := garb.Default()
//	...
//	answer, err := classifier.Classify(ctx, garb.FromBytes(jpeg))
//	fmt.Println(answer.Class, answer.Probability)
//
// A model is a file, the folder of a training run, or a built-in name: "clothing" knows ten
// kinds of garment, "garments" seventeen, and "imagenet" the 1000 classes of ImageNet.
//
// docs/library.md leads from the first answer to training, serving and data sets.
package garb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"

	"golang.org/x/sync/errgroup"

	"garb/model"
	"garb/picture"
)

// Version is garb's version (semver.org).
const Version = model.Version

// The names of the built-in models, for Open.
const (
	Clothing = model.Clothing // ten kinds of garment
	Garments = model.Garments // seventeen kinds of garment
	ImageNet = model.ImageNet // the 1000 classes of ImageNet
)

// ModelError is the error of a model that cannot be used.
type ModelError = model.Error

// ErrNoAcceptance is wrapped by the error of Open if WithThreshold is given for a model that
// cannot tell whether a picture shows any of its classes.
var ErrNoAcceptance = model.ErrNoAcceptance

// Option changes how a model answers.
type Option func(*model.Options)

// WithThreads bounds the number of cores that one answer uses. The default, 0, means all.
func WithThreads(threads int) Option { return func(o *model.Options) { o.Threads = threads } }

// WithLimits bounds what a picture may cost. The default is picture.DefaultLimits.
func WithLimits(limits picture.Limits) Option { return func(o *model.Options) { o.Limits = limits } }

// WithSize sets the height and width, in pixels, that pictures are resized to. The default is
// the model's own size, at which it answers best and for which alone its probabilities,
// acceptance and sets of classes were measured: at another size it has no acceptance.
func WithSize(pixels int) Option { return func(o *model.Options) { o.Size = pixels } }

// WithThreshold sets the acceptance, from 0 to 1, from which a picture is accepted; 0 accepts
// every picture. The default is the model's own threshold. Opening a model that has no
// acceptance with a threshold above 0 fails with ErrNoAcceptance.
func WithThreshold(acceptance float64) Option {
	return func(o *model.Options) { o.Accept = &acceptance }
}

// Classifier says which class a picture shows. Many goroutines may use it at a time.
type Classifier struct{ model *model.Classifier }

// Default opens the built-in model "clothing".
func Default(options ...Option) (*Classifier, error) { return Open(Clothing, options...) }

// Open opens a model by its name: a built-in name, the path of a model file, or the folder of a
// training run, of which it takes the best checkpoint. It checks the file, its weights and its
// answers to golden pictures. Errors are *ModelError.
func Open(name string, options ...Option) (*Classifier, error) {
	return wrap(model.Open(name, collect(options)))
}

// OpenBytes opens the model in the bytes of a model file. Errors are *ModelError.
func OpenBytes(data []byte, options ...Option) (*Classifier, error) {
	return wrap(model.OpenBytes(data, collect(options)))
}

// OpenFS opens a model file, or the folder of a training run, in a file system, such as an
// embed.FS. Errors are *ModelError.
func OpenFS(fsys fs.FS, name string, options ...Option) (*Classifier, error) {
	return wrap(model.OpenFS(fsys, name, collect(options)))
}

func wrap(c *model.Classifier, err error) (*Classifier, error) {
	if err != nil {
		return nil, err
	}
	return &Classifier{c}, nil
}

func collect(options []Option) (o model.Options) {
	for _, set := range options {
		set(&o)
	}
	return o
}

// Name returns the model's name: that of a built-in model, or of its file without the ending.
func (c *Classifier) Name() string { return c.model.Name() }

// Digest returns the digest of the model's file: "sha256:" and 64 hexadecimal digits.
func (c *Classifier) Digest() string { return c.model.Digest() }

// Classes returns the classes, in the order of Prediction.Index.
func (c *Classifier) Classes() []string { return c.model.Classes() }

// Threshold returns the acceptance from which a picture is accepted, 0 for a model that has
// no acceptance.
func (c *Classifier) Threshold() float64 { return c.model.AcceptanceThreshold() }

// Model returns what the packages evaluate, explain, convert and serve work with.
func (c *Classifier) Model() *model.Classifier { return c.model }

// Prediction is one class with its probability.
type Prediction struct {
	Class       string  `json:"class"`
	Index       int     `json:"index"` // the class's place in Classifier.Classes
	Probability float64 `json:"probability"`
	Logit       float32 `json:"logit"` // the network's output, before temperature and softmax
}

// Answer is what a model says of a picture.
type Answer struct {
	Class       string  `json:"class"` // the most probable class
	Probability float64 `json:"probability"`
	// Accepted is whether the picture shows any of the classes, as far as the model can tell:
	// whether Acceptance, from 0 to 1, reaches the threshold. A model without acceptance
	// accepts every picture with 1.
	Accepted   bool    `json:"accepted"`
	Acceptance float64 `json:"acceptance"`
	// Refusal says what a picture is that is not accepted, such as "not clothing"; otherwise "".
	Refusal string `json:"refusal,omitempty"`
	// Predictions has every class, the most probable first.
	Predictions []Prediction `json:"predictions"`
	// Set has the classes among which the right one is with the probability that the model
	// was fitted to (conformal prediction), the most probable first. It is nil for a model
	// without such a rule.
	Set []string `json:"set,omitempty"`
	// Labels has the classes with a probability above one half if the model is a multi-label
	// model, possibly none. It is nil for other models.
	Labels []string `json:"labels,omitempty"`
	// Embedding is the feature vector that the model's head decided by. It belongs to the
	// caller, and is left out of the answer as JSON.
	Embedding []float32 `json:"-"`
	// ModelDigest is the digest of the model that answered: see Classifier.Digest.
	ModelDigest string `json:"model_digest"`
}

// String returns the answer for people: "t-shirt, 99.0 %" or "not clothing".
func (a Answer) String() string {
	if !a.Accepted {
		return a.Refusal
	}
	return fmt.Sprintf("%s, %.1f %%", a.Class, 100*a.Probability)
}

// PictureError is the error of one picture of a batch.
type PictureError struct {
	Index int // the picture's place in the batch
	Err   error
}

func (e *PictureError) Error() string { return fmt.Sprintf("picture %d: %v", e.Index, e.Err) }

// Unwrap returns the cause: a *picture.Error, or what a reader returned.
func (e *PictureError) Unwrap() error { return e.Err }

// Classify says what a picture shows. The error is a *picture.Error if the picture cannot be
// decoded or is beyond the limits, what its reader returned, or that of ctx.
func (c *Classifier) Classify(ctx context.Context, p Picture) (Answer, error) {
	answers, err := c.ClassifyBatch(ctx, []Picture{p})
	var unreadable *PictureError
	if errors.As(err, &unreadable) {
		err = unreadable.Err
	}
	return answers[0], err
}

// batchSize is the number of pictures that go through the network together: enough to share
// each reading of the weights, and few enough for their inputs to take some ten megabytes.
const batchSize = 16

// ClassifyBatch says what each of some pictures shows: answers[i] is that to pictures[i]. It is
// faster than one call each. One bad picture does not spoil the others: the answer to it is
// zero, and the error joins a *PictureError for each such picture. If ctx ends, the error is
// that of ctx and the answers are zero from some picture on.
func (c *Classifier) ClassifyBatch(ctx context.Context, pictures []Picture) ([]Answer, error) {
	answers := make([]Answer, len(pictures))
	inputs := make([]float32, min(batchSize, len(pictures))*c.model.Spec().ValueCount())
	var failed []error
	for low := 0; low < len(pictures); low += batchSize {
		high := min(low+batchSize, len(pictures))
		for i, err := range c.classify(ctx, answers[low:high], pictures[low:high], inputs) {
			if err != nil {
				failed = append(failed, &PictureError{low + i, err})
			}
		}
		if err := ctx.Err(); err != nil {
			return answers, err
		}
	}
	return answers, errors.Join(failed...)
}

// classify writes the answers to pictures that go through the network together, and returns
// the error of each. inputs has room for their inputs.
func (c *Classifier) classify(ctx context.Context, answers []Answer, pictures []Picture, inputs []float32) []error {
	spec, errs := c.model.Spec(), make([]error, len(pictures))
	values := spec.ValueCount()
	var decoding errgroup.Group
	decoding.SetLimit(runtime.GOMAXPROCS(0))
	panics := make([]any, len(pictures))
	for i, p := range pictures {
		decoding.Go(func() error {
			defer func() { panics[i] = recover() }()
			errs[i] = p.prepare(ctx, spec, c.model.Limits(), inputs[i*values:][:values])
			return nil
		})
	}
	_ = decoding.Wait() // errs has them all
	for _, p := range panics {
		if p != nil {
			panic(p) // of a caller's reader, in the caller's goroutine
		}
	}
	var good []int
	for i, err := range errs {
		if err == nil {
			copy(inputs[len(good)*values:][:values], inputs[i*values:][:values])
			good = append(good, i)
		}
	}
	features := make([]float32, len(good)*c.model.FeatureCount())
	rows := make([]float32, len(good)*c.model.OutputCount())
	err := c.model.Features(ctx, inputs[:len(good)*values], features)
	if err == nil {
		err = c.model.HeadOutputs(ctx, features, rows)
	}
	for n, i := range good {
		if errs[i] = err; err == nil {
			row := rows[n*c.model.OutputCount():][:c.model.OutputCount()]
			answers[i] = c.answer(row, features[n*c.model.FeatureCount():][:c.model.FeatureCount()])
		}
	}
	return errs
}

// answer returns the answer with the network's outputs for a picture.
func (c *Classifier) answer(row, embedding []float32) Answer {
	from := c.model.Answer(row)
	a := Answer{
		Class: from.Predictions[0].Class, Probability: from.Predictions[0].Probability,
		Accepted: from.Accepted, Acceptance: from.Acceptance,
		Predictions: make([]Prediction, len(from.Predictions)), Set: from.Set, Labels: from.Labels,
		Embedding: append([]float32(nil), embedding...), ModelDigest: c.model.Digest(),
	}
	if !a.Accepted {
		a.Refusal = from.Refusal
	}
	for i, p := range from.Predictions {
		a.Predictions[i] = Prediction{p.Class, p.Index, p.Probability, p.Logit}
	}
	return a
}
