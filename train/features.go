package train

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"garb/dataset"
	"garb/features"
	"garb/model"
	"garb/tensor"
)

// FeatureExtractor returns the features that a run with a frozen backbone uses: from
// Config.Features and the cache if they have them, else computed and kept for the cache. It is safe
// for concurrent use.
type FeatureExtractor struct {
	*model.Extractor
	key    features.Key
	cache  *features.Cache
	files  []*features.File
	counts struct{ stored, cached, computed atomic.Int64 }
}

// FeatureCounts says where the features of pictures come from.
type FeatureCounts struct {
	Stored   int // in Config.Features
	Cached   int
	Computed int
}

// OpenFeatures opens what extracts features by the backbone of c, with its weights, preprocessing
// and limits; c's other settings do not matter, except Features. Each call of Extract uses one
// thread. Errors include *features.KeyError for files of other features, *features.ChangedError for
// files that were changed after they were written, and ctx's.
func OpenFeatures(ctx context.Context, c Config) (*FeatureExtractor, error) {
	r := &run{runState: runState{Config: c}, frozen: true}
	var err error
	if r.architecture, err = c.architecture(); err != nil {
		return nil, err
	}
	if c.startsFromScratch() {
		return nil, fmt.Errorf("%s has no pretrained weights: its features are random", c.Backbone)
	}
	if err = r.openWeights(); err != nil {
		return nil, err
	}
	return r.openFeatures(ctx, 1, Progress{})
}

// openFeatures opens the extractor of a run's features.
func (r *run) openFeatures(ctx context.Context, threads int, p Progress) (*FeatureExtractor, error) {
	c := r.Config
	e, err := model.NewExtractor(r.architecture, r.weights, c.Preprocessing,
		model.Options{Threads: threads, Limits: c.DataOptions.Limits()})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Backbone, err)
	}
	f, err := newFeatureExtractor(e, r.backboneDigest(), c.Features)
	if err != nil {
		return nil, err
	}
	if err = f.checkFiles(ctx, p); err != nil {
		f.closeFiles()
		return nil, err
	}
	return f, nil
}

// newFeatureExtractor opens the cache and the files with features of an extractor.
func newFeatureExtractor(e *model.Extractor, weightsDigest string, files []string) (*FeatureExtractor, error) {
	f := &FeatureExtractor{Extractor: e, key: features.NewKey(e, weightsDigest)}
	for _, path := range files {
		file, err := features.Open(path)
		if err == nil {
			f.files = append(f.files, file)
			err = file.CheckKey(f.key, e.FeatureCount())
		}
		if err != nil {
			f.closeFiles()
			return nil, err
		}
	}
	var err error
	if f.cache, err = features.OpenCache(f.key, e.FeatureCount()); err != nil {
		f.closeFiles()
		return nil, err
	}
	return f, nil
}

// checkFiles checks the content of the files with features.
func (f *FeatureExtractor) checkFiles(ctx context.Context, p Progress) error {
	if len(f.files) == 0 {
		return nil
	}
	total := 0
	for _, file := range f.files {
		total += int(file.Rows())
	}
	var checked func(vectors int)
	if p.FeatureFiles != nil {
		checked = p.FeatureFiles(total)
	}
	for _, file := range f.files {
		if err := file.Check(ctx, checked); err != nil {
			return err
		}
	}
	return nil
}

// backboneDigest returns a digest that identifies the features of a backbone.
func (r *run) backboneDigest() string {
	digest := r.weights.(*tensor.File).Digest()
	if r.Config.FeaturesAt != "" {
		digest += " at " + r.Config.FeaturesAt
	}
	return digest
}

// Key returns the key of the features, for files of them.
func (f *FeatureExtractor) Key() features.Key { return f.key }

// Extract returns the features of an encoded picture, whose digest is features.Sum(data). Errors are
// *picture.Error, those of reading Config.Features, or ctx's.
func (f *FeatureExtractor) Extract(ctx context.Context, data []byte, d features.Digest) ([]float32, error) {
	for _, file := range f.files {
		v, ok, err := file.Lookup(d)
		if err != nil {
			return nil, err
		}
		if ok {
			f.counts.stored.Add(1)
			return v, nil
		}
	}
	if v, ok := f.cache.Get(d); ok {
		f.counts.cached.Add(1)
		return v, nil
	}
	v, err := f.Embed(ctx, data)
	if err == nil {
		f.cache.Put(d, v)
		f.counts.computed.Add(1)
	}
	return v, err
}

// Counts returns the numbers of the pictures so far.
func (f *FeatureExtractor) Counts() FeatureCounts {
	return FeatureCounts{int(f.counts.stored.Load()), int(f.counts.cached.Load()), int(f.counts.computed.Load())}
}

// Save saves what was computed to the cache.
func (f *FeatureExtractor) Save() error { return f.cache.Save() }

// Close saves what was computed to the cache, and closes the files.
func (f *FeatureExtractor) Close() error { return errors.Join(f.Save(), f.closeFiles()) }

func (f *FeatureExtractor) closeFiles() error {
	var errs []error
	for _, file := range f.files {
		errs = append(errs, file.Close())
	}
	f.files = nil
	return errors.Join(errs...)
}

// computeFeatures returns the feature vectors of the pictures of a set that can be read, and the set
// of these pictures. done is called for each picture.
func computeFeatures(ctx context.Context, f *FeatureExtractor, set *dataset.Set, tally *dataset.Tally, done func()) (
	vectors, *dataset.Set, scanResult, error) {
	var mu sync.Mutex
	found := map[string][]float32{}
	var failed error // to read features, which is no fault of the picture
	kept, s, err := scanPictures(ctx, set, f.Limits(), tally, done, func(data []byte, digest string) error {
		v, err := f.Extract(ctx, data, features.Sum(data))
		mu.Lock()
		defer mu.Unlock()
		if format := new(features.FormatError); errors.As(err, &format) {
			failed = err
		}
		found[digest] = v
		return err
	})
	// The vectors computed before an interruption are saved for the next run.
	if err = errors.Join(failed, err, f.Save()); err != nil {
		return nil, nil, s, err
	}
	var v vectors
	for _, digest := range s.digests {
		v = append(v, found[digest])
	}
	return v, kept, s, nil
}

// Pictures lists the pictures of all splits and sources that a run of c reads, in order, and the
// files that it skips.
func Pictures(ctx context.Context, c Config, p Progress) ([]dataset.Sample, *dataset.Tally, error) {
	all, err := openPools(ctx, c, p)
	if err != nil {
		return nil, nil, err
	}
	var samples []dataset.Sample
	for _, part := range []pool{all.train, all.validation, all.test, all.otherValidation, all.otherTest} {
		samples = append(samples, part.set.Samples...)
	}
	return samples, all.tally, nil
}
