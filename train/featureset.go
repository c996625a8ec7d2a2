package train

import (
	"context"
	"fmt"

	"garb"
	"garb/dataset"
)

// FeatureSet is the pictures of a set that can be read, with their features.
type FeatureSet struct {
	Set     *dataset.Set
	Vectors [][]float32 // of each sample of Set
	Digests []string    // SHA-256 of each sample's file, in hexadecimal
	Skipped []error     // of the pictures that cannot be read
}

// Features computes the features that the backbone of c gives, with its weights and
// preprocessing, for the pictures of a set, on all cores. They come from the cache of
// features where an earlier call or training computed them. Of c's other settings none
// matters. done, if not nil, is called for each picture, from several goroutines. Errors
// are about the backbone or its weights, ctx's, or say that no picture can be read.
func Features(ctx context.Context, c Config, set *dataset.Set, done func()) (*FeatureSet, error) {
	r := &run{position: position{Config: c}, frozen: true}
	var err error
	if r.architecture, err = c.architecture(); err != nil {
		return nil, err
	}
	if c.scratch() {
		return nil, fmt.Errorf("%s has no pretrained weights: its features say nothing", c.Backbone)
	}
	if err := r.openWeights(); err != nil {
		return nil, err
	}
	// One thread each: there are many pictures.
	e, err := garb.NewExtractor(r.architecture, r.weights, c.Preprocessing, garb.Options{Threads: 1})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Backbone, err)
	}
	cached, err := openCache(e, r.backboneDigest())
	if err != nil {
		return nil, err
	}
	if done == nil {
		done = func() {}
	}
	v, kept, found, err := compute(ctx, e, cached, set, done)
	if err != nil {
		return nil, err
	}
	return &FeatureSet{Set: kept, Vectors: v, Digests: found.digests, Skipped: found.skipped}, nil
}
