package train

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"

	"garb/augment"
	"garb/backbone"
	"garb/dataset"
	"garb/model"
	"garb/nn"
	"garb/picture"
	"garb/tensor"
)

// newRun prepares a run and its folder.
func newRun(ctx context.Context, c Config, p Progress) (*run, error) {
	r, err := prepare(ctx, c, p)
	if err != nil {
		return nil, err
	}
	return r, r.createFiles()
}

// createFiles creates the run's folder and writes its settings.
func (r *run) createFiles() error {
	if err := os.MkdirAll(filepath.Join(r.Config.Out, "checkpoints"), 0o755); err != nil {
		return err
	}
	return r.writeConfig()
}

// BinaryClassesError says that a binary network is to be trained on a data set that does not have
// two classes.
type BinaryClassesError struct {
	Data    string
	Classes int
}

func (e *BinaryClassesError) Error() string {
	return fmt.Sprintf("a binary network needs two classes, and %s has %d", e.Data, e.Classes)
}

// prepare reads the data sets, opens the backbone and builds the network. It writes nothing in the
// run's folder.
func prepare(ctx context.Context, c Config, p Progress) (*run, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("training: %w", err)
	}
	all, err := openPools(ctx, c, p)
	if err != nil {
		return nil, err
	}
	r := &run{runState: runState{Config: c}, classes: all.classes, frozen: !c.FineTune.Enabled(), tally: all.tally}
	switch {
	case len(r.classes) < 2:
		return nil, fmt.Errorf("%s has only one class, %s: add pictures of another", c.Data, r.classes[0])
	case c.Binary && len(r.classes) != 2:
		return nil, &BinaryClassesError{c.Data, len(r.classes)}
	}
	if r.architecture, err = c.architecture(); err != nil {
		return nil, err
	}
	if err := errors.Join(r.openTeachers(), r.openWeights()); err != nil {
		return nil, err
	}
	if err := r.openData(ctx, all, p); err != nil {
		return nil, err
	}
	if err := r.checkCoverage(); err != nil {
		return nil, err
	}
	return r, r.build()
}

// openWeights opens the backbone's weights. A backbone without pretrained weights gets random ones.
func (r *run) openWeights() error {
	c := r.Config
	spec := c.Preprocessing
	features := r.architecture.Features(spec.Height, spec.Width)
	if c.startsFromScratch() {
		r.weights = drawInitialWeights(features, c.Seed)
		return nil
	}
	reference := c.Weights
	if reference == "" {
		reference = c.Backbone
	}
	f, err := model.OpenBackbone(reference)
	if err != nil {
		return err
	}
	if r.architecture.Name == backbone.OwnName {
		r.OwnDigest = f.Digest()
	}
	if digest := f.Digest(); r.frozen && model.HasBuiltInBackbone(c.Backbone, digest) {
		r.digest = digest
	}
	r.weights = f
	return nil
}

// openData reads the pictures of all splits. With a frozen backbone it computes their features,
// unless training pictures are augmented; otherwise it only checks which pictures can be read.
func (r *run) openData(ctx context.Context, o *pools, p Progress) error {
	parts := []struct {
		from     pool
		to       *split
		required bool
	}{
		{o.train, &r.train, true}, {o.validation, &r.validation, true}, {o.test, &r.test, false},
		{o.otherValidation, &r.otherValidation, false}, {o.otherTest, &r.otherTest, false},
	}
	total := 0
	for _, part := range parts {
		total += len(part.from.set.Samples)
	}
	f, err := r.openExtractor(ctx, p)
	if err != nil {
		return err
	}
	if f != nil {
		defer f.closeFiles()
	}
	done := func() {}
	if p.Pictures != nil {
		done = p.Pictures(total)
	}
	digest := sha256.New()
	for _, part := range parts {
		if !part.required && len(part.from.set.Samples) == 0 {
			continue
		}
		augmented := part.to == &r.train && r.Config.Augment.Enabled()
		if err := r.openSplit(ctx, part.from, part.to, f, augmented, done); err != nil {
			return err
		}
		for i, d := range part.to.digests {
			fmt.Fprintf(digest, "%s %s\n", d, r.className(part.to.set.Samples[i].Label))
		}
		fmt.Fprintln(digest)
		r.used += len(part.to.digests)
	}
	if f != nil && p.Features != nil {
		p.Features(f.Counts())
	}
	if p.Scanned != nil {
		p.Scanned(r.used, r.tally)
	}
	if r.Config.Strict {
		if err := r.tally.Strict(); err != nil {
			return err
		}
	}
	if err := r.checkOther(); err != nil {
		return err
	}
	r.Data = fmt.Sprintf("sha256:%x", digest.Sum(nil))
	r.sampling = r.computeShares()
	return r.openViews(ctx, f)
}

// openExtractor returns what extracts the features of pictures; nil unless the backbone is frozen.
func (r *run) openExtractor(ctx context.Context, p Progress) (*FeatureExtractor, error) {
	if !r.frozen {
		return nil, nil
	}
	threads := 1 // pictures are processed in parallel
	if r.Config.Augment.Enabled() {
		threads = 0 // batches are processed one at a time
	}
	return r.openFeatures(ctx, threads, p)
}

// openSplit reads the pictures of a split: to features if there is an extractor and the split is
// not augmented. done is called for each picture.
func (r *run) openSplit(
	ctx context.Context, from pool, to *split, f *FeatureExtractor, augmented bool, done func(),
) error {
	var found scanResult
	var err error
	if f != nil && !augmented {
		var v vectors
		v, to.set, found, err = computeFeatures(ctx, f, from.set, r.tally, done)
		to.loader = v
	} else {
		spec, limits := r.Config.Preprocessing, r.Config.DataOptions.Limits()
		to.set, found, err = scanPictures(ctx, from.set, limits, r.tally, done, tryDecode(ctx, spec, limits))
		to.loader = pictures{to.set, spec, limits}
	}
	if err != nil {
		return err
	}
	to.digests = found.digests
	for _, i := range found.kept {
		to.from = append(to.from, from.from[i])
	}
	return nil
}

// openViews makes the training split load augmented views, unless it has features already.
func (r *run) openViews(ctx context.Context, f *FeatureExtractor) error {
	if _, known := r.train.loader.(vectors); known {
		return nil
	}
	spec, limits := r.Config.viewSpec(), r.Config.DataOptions.Limits()
	augmented, err := augment.New(r.Config.Augment, spec, dataset.Training{Set: r.train.set}, r.Config.Seed, limits)
	if err != nil {
		return err
	}
	if err := r.setBackgrounds(ctx, augmented, limits); err != nil {
		return err
	}
	v := views{augmented, spec.ValueCount(), r.outputs()}
	r.train.loader = v
	if f != nil {
		cached := &viewFeatures{views: v, extractor: f.Extractor}
		for range r.Config.CachedViews {
			cached.kept = append(cached.kept, make([][]float32, len(r.train.set.Samples)))
		}
		r.train.loader = cached
	}
	return nil
}

// otherClassName stands for pictures of none of the classes in the digest of a run's data. No
// class can have this name.
const otherClassName = "\x00other"

// className returns the name of a label.
func (r *run) className(label int) string {
	if label == len(r.classes) {
		return otherClassName
	}
	return r.classes[label]
}

// build builds the network, its trainer, optimizer and schedule.
func (r *run) build() error {
	c := r.Config
	w := nn.Overlay{Top: drawInitialWeights(c.head().Graph(r.architecture.FeatureCount, r.outputs(), 0), c.Seed),
		Below: r.weights}
	r.graph = r.buildNetwork(c.Preprocessing, r.outputs(), 0)
	graph := r.buildNetwork(c.viewSpec(), r.outputs(), c.Dropout)
	if !reflect.DeepEqual(graph.Params(), r.graph.Params()) {
		return fmt.Errorf("the weights of %s depend on the size of its pictures: it cannot have a train size",
			c.Backbone)
	}
	var trainable func(nn.Param) bool
	var err error
	if !r.frozen {
		trainable, err = c.FineTune.selectParams(r.architecture.Features(c.Preprocessing.Height, c.Preprocessing.Width))
		if err != nil {
			return err
		}
	}
	if r.probing() {
		trainable = selectHead(r.architecture.Features(c.Preprocessing.Height, c.Preprocessing.Width))
	}
	r.trainer, err = nn.NewTrainer(graph, w, nn.TrainerOptions{
		Loss: c.loss(len(r.classes), r.train.set.Samples), Trainable: trainable, BatchStatistics: c.BatchStatistics,
		Seed: c.Seed,
	})
	if err != nil {
		return fmt.Errorf("%s: %w", c.Backbone, err)
	}
	r.variables = r.trainer.Variables()
	r.decayRates()
	r.optimizer, r.schedule = c.optimizer(), c.schedule(r.stepsPerEpoch())
	if c.Average > 0 {
		r.average = &nn.Average{Decay: c.Average}
	}
	return nil
}

// buildNetwork returns what is trained: the head if the backbone is frozen, else the whole network
// for pictures prepared by spec.
func (r *run) buildNetwork(spec picture.Spec, outputs int, dropout float64) *nn.Graph {
	head := r.Config.head()
	if r.frozen {
		return head.Graph(r.architecture.FeatureCount, outputs, dropout)
	}
	return head.NetworkGraph(r.architecture, spec.Height, spec.Width, outputs, dropout)
}

// drawInitialWeights returns initial values of a network's parameters, as Keras does: kernels
// uniform in ±√(6/(inputs+outputs)) (Glorot & Bengio 2010), batch-norms as the identity, biases 0.
func drawInitialWeights(g *nn.Graph, seed uint64) tensor.Map {
	random := rand.New(rand.NewPCG(seed, 0x6721)) // a stream that nothing else uses
	m := tensor.Map{}
	for _, p := range g.Params() {
		t := tensor.New(p.Shape...)
		m[p.Name] = t
		if axes := len(p.Shape); axes > 1 {
			window := tensor.Len(p.Shape[:axes-2])
			limit := math.Sqrt(6 / float64(window*(p.Shape[axes-2]+p.Shape[axes-1])))
			for i := range t.Data {
				t.Data[i] = float32((2*float64(random.Float64()) - 1) * limit)
			}
			continue
		}
		switch filepath.Base(p.Name) {
		case "gamma", "moving_variance":
			for i := range t.Data {
				t.Data[i] = 1
			}
		}
	}
	return m
}
