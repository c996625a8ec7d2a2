package train

import (
	"context"
	"strconv"

	"garb/dataset"
)

// FeatureSet holds the pictures of a set that can be read, and their features.
type FeatureSet struct {
	Set     *dataset.Set
	Vectors [][]float32 // of each sample of Set
	Digests []string    // SHA-256 of each sample's file, in hexadecimal
}

// Features computes the features of a set's pictures by the backbone of c, with its weights and
// preprocessing, on all cores; c's other settings do not matter. Features that an earlier call or
// run computed come from the cache. tally counts the pictures that cannot be read. done, if not
// nil, is called for each picture, from several goroutines. It returns ctx's error, and an error if
// the backbone or its weights cannot be used or no picture can be read.
func Features(
	ctx context.Context, c Config, set *dataset.Set, tally *dataset.Tally, done func(),
) (*FeatureSet, error) {
	f, err := OpenFeatures(ctx, c)
	if err != nil {
		return nil, err
	}
	defer f.closeFiles()
	if done == nil {
		done = func() {}
	}
	v, kept, found, err := computeFeatures(ctx, f, set, tally, done)
	if err != nil {
		return nil, err
	}
	return &FeatureSet{Set: kept, Vectors: v, Digests: found.digests}, nil
}

// Groups returns the name of each sample's group. Samples with the same Group, unless it is "",
// and samples whose files have the same bytes are in one group, so that copies of a picture end up
// in the same fold.
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
