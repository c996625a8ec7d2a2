package train

import (
	"context"
	"fmt"
	"strconv"

	"garb/dataset"
	"garb/model"
)

// FeatureSet is the pictures of a set that can be read, with their features.
type FeatureSet struct {
	Set     *dataset.Set
	Vectors [][]float32 // of each sample of Set
	Digests []string    // SHA-256 of each sample's file, in hexadecimal
}

// Features computes the features that the backbone of c gives, with its weights and
// preprocessing, for the pictures of a set, on all cores. They come from the cache of
// features where an earlier call or training computed them. c's other settings do not
// matter. tally counts the pictures that cannot be read. done, if not nil, is called for
// each picture, from several goroutines. Errors are about the backbone or its weights,
// ctx's, or say that no picture can be read.
func Features(
	ctx context.Context, c Config, set *dataset.Set, tally *dataset.Tally, done func(),
) (*FeatureSet, error) {
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
	e, err := model.NewExtractor(r.architecture, r.weights, c.Preprocessing, model.Options{Threads: 1})
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
	v, kept, found, err := compute(ctx, e, cached, set, tally, done)
	if err != nil {
		return nil, err
	}
	return &FeatureSet{Set: kept, Vectors: v, Digests: found.digests}, nil
}

// Groups returns the name of each sample's group: samples that share Group, unless it is
// "", or whose files have the same bytes are in one group. So no copy of a picture is in
// another fold than the picture.
func (f *FeatureSet) Groups() []string {
	parent := make([]int, len(f.Digests))
	for i := range parent {
		parent[i] = i
	}
	root := func(i int) int {
		for parent[i] != i {
			parent[i] = parent[parent[i]]
			i = parent[i]
		}
		return i
	}
	first := map[string]int{}
	join := func(key string, i int) {
		if j, ok := first[key]; ok {
			parent[root(i)] = root(j)
		} else {
			first[key] = i
		}
	}
	for i, s := range f.Set.Samples {
		join("digest "+f.Digests[i], i)
		if s.Group != "" {
			join("group "+s.Group, i)
		}
	}
	groups := make([]string, len(parent))
	for i := range groups {
		groups[i] = strconv.Itoa(root(i))
	}
	return groups
}
