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
	if err := os.MkdirAll(filepath.Join(c.Out, "checkpoints"), 0o755); err != nil {
		return nil, err
	}
	return r, r.writeConfig()
}

// prepare reads the data set, opens the backbone and prepares the network.
func prepare(ctx context.Context, c Config, p Progress) (*run, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("training: %w", err)
	}
	all, err := openPools(ctx, c, p)
	if err != nil {
		return nil, err
	}
	r := &run{position: position{Config: c}, classes: all.classes, frozen: c.FineTune == "none", tally: all.tally}
	switch {
	case len(r.classes) < 2:
		return nil, fmt.Errorf("%s has one class, %s: there is nothing to tell apart; add pictures of another",
			c.Data, r.classes[0])
	case c.Binary && len(r.classes) != 2:
		return nil, fmt.Errorf("--binary tells two classes apart, and %s has %d", c.Data, len(r.classes))
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

// openWeights opens the backbone's weights, or makes those of one that has none.
func (r *run) openWeights() error {
	c := r.Config
	spec := c.Preprocessing
	features := r.architecture.Features(spec.Height, spec.Width)
	if c.scratch() {
		r.weights = initial(features, c.Seed)
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

// backboneDigest is what the features of a backbone are kept under.
func (r *run) backboneDigest() string {
	digest := r.weights.(*tensor.File).Digest()
	if r.Config.FeaturesAt != "" {
		digest += " at " + r.Config.FeaturesAt
	}
	return digest
}

// openData reads the pictures of all splits: with a frozen backbone to features, else to
// know which can be read.
func (r *run) openData(ctx context.Context, o *pools, p Progress) error {
	parts := []struct {
		from pool
		to   *split
	}{
		{o.train, &r.train}, {o.validation, &r.validation}, {o.test, &r.test},
		{o.otherValidation, &r.otherValidation}, {o.otherTest, &r.otherTest},
	}
	total := 0
	for _, part := range parts {
		total += len(part.from.set.Samples)
	}
	done := func() {}
	if p.Pictures != nil {
		done = p.Pictures(total)
	}
	limits := picture.DefaultLimits()
	spec, viewed := r.Config.Preprocessing, r.Config.viewSpec()
	var extractor *model.Extractor
	var cached *cache
	if r.frozen {
		threads := 1 // pictures are many
		if r.Config.Augment.Enabled() {
			threads = 0 // batches come one at a time
		}
		var err error
		if extractor, err = model.NewExtractor(r.architecture, r.weights, spec, model.Options{Threads: threads}); err != nil {
			return fmt.Errorf("%s: %w", r.Config.Backbone, err)
		}
		if cached, err = openCache(extractor, r.backboneDigest()); err != nil {
			return err
		}
	}
	all := sha256.New()
	for i, part := range parts {
		if i >= 2 && len(part.from.set.Samples) == 0 {
			continue
		}
		var found scan
		var err error
		if r.frozen && (i > 0 || !r.Config.Augment.Enabled()) {
			var v vectors
			v, part.to.set, found, err = compute(ctx, extractor, cached, part.from.set, r.tally, done)
			part.to.source = v
		} else {
			part.to.set, found, err = scanned(ctx, part.from.set, limits, r.tally, done,
				func(data []byte, _ string) error {
					_, err := picture.Decode(ctx, data, limits)
					return err
				})
			part.to.source = pictures{part.to.set, spec, limits}
		}
		if err != nil {
			return err
		}
		part.to.digests = found.digests
		for _, at := range found.kept {
			part.to.from = append(part.to.from, part.from.from[at])
		}
		for j, digest := range found.digests {
			fmt.Fprintf(all, "%s %s\n", digest, r.className(part.to.set.Samples[j].Label))
		}
		fmt.Fprintln(all)
		r.used += len(found.digests)
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
	r.Data = fmt.Sprintf("sha256:%x", all.Sum(nil))
	r.sampling = r.shares()
	if _, known := r.train.source.(vectors); known {
		return nil
	}
	changed, err := augment.New(r.Config.Augment, viewed, dataset.Training{Set: r.train.set}, r.Config.Seed, limits)
	if err != nil {
		return err
	}
	if err := r.setBackgrounds(ctx, changed, limits); err != nil {
		return err
	}
	v := views{changed, viewed.ValueCount(), r.outputs()}
	r.train.source = v
	if r.frozen {
		f := &viewFeatures{views: v, extractor: extractor}
		for range r.Config.CachedViews {
			f.kept = append(f.kept, make([][]float32, len(r.train.set.Samples)))
		}
		r.train.source = f
	}
	return nil
}

// otherName stands for pictures of none of the classes in the digest of a run's data: no
// class can have this name.
const otherName = "\x00other"

// className names a label.
func (r *run) className(label int) string {
	if label == len(r.classes) {
		return otherName
	}
	return r.classes[label]
}

// build prepares the network and what trains it.
func (r *run) build() error {
	c := r.Config
	w := nn.Overlay{Top: initial(c.head().Graph(r.architecture.FeatureCount, r.outputs(), 0), c.Seed),
		Below: r.weights}
	r.graph = r.network(c.Preprocessing, r.outputs(), 0)
	graph := r.network(c.viewSpec(), r.outputs(), c.Dropout)
	if !reflect.DeepEqual(graph.Params(), r.graph.Params()) {
		return fmt.Errorf("the weights of %s depend on the size of its pictures: leave the train size away",
			c.Backbone)
	}
	var trainable func(nn.Param) bool
	var err error
	if !r.frozen {
		trainable, err = c.trainable(r.architecture.Features(c.Preprocessing.Height, c.Preprocessing.Width))
		if err != nil {
			return err
		}
	}
	if r.probing() {
		trainable = headOnly(r.architecture.Features(c.Preprocessing.Height, c.Preprocessing.Width))
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

// network is what is trained, for pictures prepared by spec: the head if the backbone
// is frozen, else both.
func (r *run) network(spec picture.Spec, outputs int, dropout float64) *nn.Graph {
	head := r.Config.head()
	if r.frozen {
		return head.Graph(r.architecture.FeatureCount, outputs, dropout)
	}
	return head.NetworkGraph(r.architecture, spec.Height, spec.Width, outputs, dropout)
}

// initial gives a network's parameters their first values, as Keras does: kernels
// uniform in ±√(6/(inputs+outputs)) (Glorot & Bengio 2010), batch-norms and biases
// such that they do nothing.
func initial(g *nn.Graph, seed uint64) tensor.Map {
	random := rand.New(rand.NewPCG(seed, 0x6721)) // a stream of its own
	m := tensor.Map{}
	for _, p := range g.Params() {
		t := tensor.New(p.Shape...)
		m[p.Name] = t
		if axes := len(p.Shape); axes > 1 {
			window := tensor.Len(p.Shape[:axes-2])
			limit := math.Sqrt(6 / float64(window*(p.Shape[axes-2]+p.Shape[axes-1])))
			for i := range t.Data {
				t.Data[i] = float32((2*random.Float64() - 1) * limit)
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
