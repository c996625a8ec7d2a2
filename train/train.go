// Package train makes a classifier from a folder of pictures: features of a frozen
// backbone, computed once and kept, and a softmax head trained on them.
package train

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"garb"
	"garb/backbone"
	"garb/dataset"
	"garb/internal/safefile"
	"garb/picture"
	"garb/tensor"
	"garb/weights"
)

// Config is what a run is made of.
type Config struct {
	Data     string `json:"data"`     // folder with train, validation and, if need be, test
	Backbone string `json:"backbone"` // name of an architecture
	// Weights of the backbone: a name or file for weights.Open; empty for the
	// backbone's own.
	Weights       string       `json:"weights,omitempty"`
	Preprocessing picture.Spec `json:"preprocessing"`
	LearningRate  float64      `json:"learning_rate"` // of Adam
	Epochs        int          `json:"epochs"`
	Batch         int          `json:"batch"`
	Seed          uint64       `json:"seed"`
	Out           string       `json:"out"` // folder of the run
}

// Default returns the course's settings where it has them: Adam with 0.001, batches
// of 32; and of epochs as many as make no difference any more.
func Default() Config {
	return Config{Backbone: "efficientnet-lite0", LearningRate: 1e-3, Epochs: 30, Batch: 32, Seed: 1}
}

// Validate reports settings that cannot work.
func (c Config) Validate() error {
	switch {
	case c.Data == "":
		return errors.New("no data set is named")
	case c.Out == "":
		return errors.New("no folder for the run is named")
	case !(c.LearningRate > 0) || math.IsInf(c.LearningRate, 0):
		return fmt.Errorf("learning rate %v: it is a positive number", c.LearningRate)
	case c.Epochs <= 0:
		return fmt.Errorf("%d epochs: there is at least one", c.Epochs)
	case c.Batch <= 0:
		return fmt.Errorf("batches of %d: there is at least one picture", c.Batch)
	}
	return c.Preprocessing.Validate()
}

// Epoch is a row of history.csv.
type Epoch struct {
	Epoch                                              int
	Loss, Accuracy, ValidationLoss, ValidationAccuracy float64
	LearningRate                                       float64
	Duration                                           time.Duration
	Best                                               bool // better than all before
}

// Result is what a run came to.
type Result struct {
	Best       Epoch
	Checkpoint string // path of the best epoch's model
	Test       float64
	TestCount  int     // 0 if there is no test split
	TestRight  int     // of TestCount
	Skipped    []error // of pictures that could not be read
}

// Progress is told how a run goes; any function may be nil.
type Progress struct {
	// Features is called once with the number of pictures of all splits; it returns
	// what to call for each, from several goroutines.
	Features func(total int) (done func())
	Epoch    func(Epoch)
}

// errNoPictures says that a split has nothing to learn from.
var errNoPictures = errors.New("none of the pictures could be read")

// Run trains. The order of its steps is the package's: data set, features, head,
// checkpoint, test. Interrupted, it returns ctx's error and leaves the checkpoints
// that it has written. The same settings, pictures and weights give the same
// model, to the bit on one kind of CPU.
func Run(ctx context.Context, c Config, p Progress) (*Result, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("training: %w", err)
	}
	if _, err := garb.BestCheckpoint(c.Out); err == nil {
		return nil, fmt.Errorf("%s holds the checkpoints of another run; choose another folder with --out, or remove it", c.Out)
	}
	splits, err := dataset.OpenSplits(c.Data)
	if err != nil {
		return nil, err
	}
	base, err := openBackbone(c)
	if err != nil {
		return nil, err
	}
	data, err := computeSplits(ctx, base, splits, p)
	if err != nil {
		return nil, err
	}
	run, err := newRun(c, base, splits.Train.Classes, data)
	if err != nil {
		return nil, err
	}
	result, err := run.fit(ctx, p)
	if err != nil {
		return nil, err
	}
	for _, f := range []*features{data.train, data.validation, data.test} {
		if f != nil {
			result.Skipped = append(result.Skipped, f.skipped...)
		}
	}
	return result, nil
}

// base is the frozen backbone.
type base struct {
	extractor *garb.Extractor
	file      *tensor.File
	digest    string
	builtIn   bool // or pulled: a model may refer to it
}

func openBackbone(c Config) (*base, error) {
	a, err := backbone.Lookup(c.Backbone)
	if err != nil {
		return nil, err
	}
	reference := c.Weights
	if reference == "" {
		reference = c.Backbone
	}
	f, err := weights.Open(reference)
	if err != nil {
		return nil, err
	}
	e, err := garb.NewExtractor(a, f, c.Preprocessing, garb.Options{Threads: 1})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", reference, err)
	}
	own, builtIn := weights.BuiltIn(c.Backbone)
	digest := f.Digest()
	return &base{e, f, digest, builtIn && own.Digest() == digest}, nil
}

// data are the features of all splits.
type data struct {
	train, validation, test *features
	digest                  string
}

func computeSplits(ctx context.Context, b *base, s *dataset.Splits, p Progress) (*data, error) {
	cached, err := openCache(b.extractor, b.digest)
	if err != nil {
		return nil, err
	}
	var d data
	parts := []struct {
		set *dataset.Set
		to  **features
	}{{s.Train.Set, &d.train}, {s.Validation, &d.validation}, {s.Test, &d.test}}
	total := 0
	for _, part := range parts {
		if part.set != nil {
			total += len(part.set.Samples)
		}
	}
	done := func() {}
	if p.Features != nil {
		done = p.Features(total)
	}
	all := sha256.New()
	for _, part := range parts {
		if part.set == nil {
			continue
		}
		f, err := compute(ctx, b.extractor, cached, part.set, done)
		if err != nil {
			return nil, err
		}
		if len(f.vectors) == 0 {
			return nil, fmt.Errorf("%s: %w; the first: %w", part.set.Folder, errNoPictures, f.skipped[0])
		}
		for i, digest := range f.digests {
			fmt.Fprintf(all, "%s %s\n", digest, part.set.Classes[f.labels[i]])
		}
		fmt.Fprintln(all)
		*part.to = f
	}
	d.digest = fmt.Sprintf("sha256:%x", all.Sum(nil))
	return &d, nil
}

// run is a training under way.
type run struct {
	config  Config
	base    *base
	classes []string
	data    *data
	head    *head
	history []Epoch
}

func newRun(c Config, b *base, classes []string, d *data) (*run, error) {
	if err := os.MkdirAll(filepath.Join(c.Out, "checkpoints"), 0o755); err != nil {
		return nil, err
	}
	r := &run{config: c, base: b, classes: classes, data: d, head: newHead(b.extractor.FeatureCount(), len(classes))}
	return r, safefile.Write(filepath.Join(c.Out, "config.json"), func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(c)
	})
}

// fit goes through the epochs and keeps the best by validation accuracy; of equals
// that of the smaller loss.
func (r *run) fit(ctx context.Context, p Progress) (*Result, error) {
	random := rand.New(rand.NewPCG(r.config.Seed, 0))
	optimiser := newAdam(len(r.head.parameters), r.config.LearningRate)
	result := &Result{}
	var best []float32
	for n := 1; n <= r.config.Epochs; n++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		began := time.Now()
		e := Epoch{Epoch: n, LearningRate: r.config.LearningRate}
		e.Loss, e.Accuracy = r.head.epoch(r.data.train, optimiser, r.config.Batch, random)
		e.ValidationLoss, e.ValidationAccuracy = r.head.measure(r.data.validation)
		e.Duration = time.Since(began)
		if math.IsNaN(e.Loss) || math.IsInf(e.Loss, 0) {
			return nil, fmt.Errorf("training: the loss of epoch %d is not a number; use a smaller learning rate than %v", n, r.config.LearningRate)
		}
		b := result.Best
		e.Best = b.Epoch == 0 || e.ValidationAccuracy > b.ValidationAccuracy ||
			e.ValidationAccuracy == b.ValidationAccuracy && e.ValidationLoss < b.ValidationLoss
		if e.Best {
			result.Best, best = e, slices.Clone(r.head.parameters)
			path, err := r.save(ctx, e)
			if err != nil {
				return nil, err
			}
			result.Checkpoint = path
		}
		r.history = append(r.history, e)
		if err := r.writeHistory(); err != nil {
			return nil, err
		}
		if p.Epoch != nil {
			p.Epoch(e)
		}
	}
	if test := r.data.test; test != nil {
		r.head.parameters = best
		_, result.Test = r.head.measure(test)
		result.TestCount = len(test.vectors)
		result.TestRight = int(math.Round(result.Test * float64(result.TestCount)))
	}
	return result, nil
}

// save writes the head at hand as a model.
func (r *run) save(ctx context.Context, e Epoch) (string, error) {
	c := r.config
	tensors := tensor.Map{
		backbone.ClassifierName + "/kernel": tensor.FromSlice(r.head.kernel(), r.head.features, r.head.classes),
		backbone.ClassifierName + "/bias":   tensor.FromSlice(r.head.bias(), r.head.classes),
	}
	compiled, err := garb.NewHead(tensors, r.head.features, r.head.classes)
	if err != nil {
		return "", err
	}
	golden, err := compiled.Golden(ctx, r.base.extractor, 0)
	if err != nil {
		return "", err
	}
	m := garb.Model{
		Format: garb.FormatVersion, Architecture: c.Backbone, Classes: r.classes, Preprocessing: c.Preprocessing,
		Golden: []garb.Golden{golden},
		Training: &garb.Training{
			Garb: garb.Version, DataDigest: r.data.digest,
			Pictures: [3]int{len(r.data.train.vectors), len(r.data.validation.vectors), r.data.testCount()},
			Seed:     c.Seed, LearningRate: c.LearningRate, Batch: c.Batch, Epochs: c.Epochs,
			Epoch: e.Epoch, Accuracy: e.Accuracy, Validation: e.ValidationAccuracy,
		},
	}
	if r.base.builtIn {
		m.BackboneDigest = r.base.digest
	} else if err := r.addBackbone(tensors); err != nil {
		return "", err
	}
	name := fmt.Sprintf("%s_%02d_%.3f.safetensors", filepath.Base(c.Out), e.Epoch, e.ValidationAccuracy)
	path := filepath.Join(c.Out, "checkpoints", name)
	return path, m.Save(path, tensors)
}

func (d *data) testCount() int {
	if d.test == nil {
		return 0
	}
	return len(d.test.vectors)
}

// addBackbone adds the backbone's tensors to those of a model that is to stand
// alone.
func (r *run) addBackbone(tensors tensor.Map) error {
	a, err := backbone.Lookup(r.config.Backbone)
	if err != nil {
		return err
	}
	spec := r.config.Preprocessing
	for _, p := range a.Features(spec.Height, spec.Width).Params() {
		t, err := r.base.file.Tensor(p.Name)
		if err != nil {
			return err
		}
		tensors[p.Name] = t
	}
	return nil
}

// writeHistory writes history.csv, with Keras's names for the columns.
func (r *run) writeHistory() error {
	return safefile.Write(filepath.Join(r.config.Out, "history.csv"), func(w io.Writer) error {
		var b strings.Builder
		b.WriteString("epoch,loss,accuracy,val_loss,val_accuracy,learning_rate,seconds\n")
		for _, e := range r.history {
			fmt.Fprintf(&b, "%d,%.6f,%.6f,%.6f,%.6f,%g,%.3f\n", e.Epoch, e.Loss, e.Accuracy,
				e.ValidationLoss, e.ValidationAccuracy, e.LearningRate, e.Duration.Seconds())
		}
		_, err := io.WriteString(w, b.String())
		return err
	})
}
