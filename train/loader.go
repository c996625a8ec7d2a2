package train

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"garb/augment"
	"garb/dataset"
	"garb/model"
	"garb/picture"
)

// loader loads inputs of the network: pictures, or the features that a frozen backbone extracts
// from them.
type loader interface {
	// length returns the number of values of an input.
	length() int
	// load writes the inputs of samples, as an epoch shows them, one after another. It may mix
	// them, and then mixes their targets likewise.
	load(ctx context.Context, epoch, step int, samples []int, inputs, targets []float32) error
}

// scanResult describes the pictures of a set that can be read.
type scanResult struct {
	digests []string
	kept    []int // their indices in the set that was scanned
}

// scanPictures reads every picture of a set on all cores, calls look with it and drops the pictures
// that cannot be read or for which look returns an error; tally counts them. done is called for
// each picture.
func scanPictures(ctx context.Context, set *dataset.Set, l picture.Limits, tally *dataset.Tally, done func(),
	look func(data []byte, digest string) error) (*dataset.Set, scanResult, error) {
	type result struct {
		digest string
		err    error
	}
	results := make([]result, len(set.Samples))
	err := set.Each(ctx, func(i int) {
		defer done()
		data, err := set.Samples[i].Read(l)
		if err == nil {
			results[i].digest = fmt.Sprintf("%x", sha256.Sum256(data))
			if err = look(data, results[i].digest); err != nil {
				err = fmt.Errorf("%s: %w", set.Samples[i].Path, err)
			}
		}
		results[i].err = err
	})
	if err != nil {
		return nil, scanResult{}, err
	}
	kept := &dataset.Set{Folder: set.Folder, Classes: set.Classes}
	var s scanResult
	var first error
	for i, r := range results {
		if r.err != nil {
			first = cmp.Or(first, r.err)
			tally.Add(dataset.FindReason(r.err), set.Samples[i].Path, r.err.Error())
			continue
		}
		kept.Samples = append(kept.Samples, set.Samples[i])
		s.digests = append(s.digests, r.digest)
		s.kept = append(s.kept, i)
	}
	if len(kept.Samples) == 0 {
		return nil, scanResult{}, fmt.Errorf("%s: %w; the first: %w", set.Folder, errNoPictures, first)
	}
	return kept, s, nil
}

// tryDecode returns a function for scanPictures that decodes pictures for a network and drops the
// result.
func tryDecode(ctx context.Context, spec picture.Spec, limits picture.Limits) func([]byte, string) error {
	return func(data []byte, _ string) error {
		_, _, err := spec.Decode(ctx, data, limits)
		return err
	}
}

// forEach calls do with each number below n, on all cores, and returns their errors in order.
func forEach(ctx context.Context, n int, do func(i int) error) error {
	errs := make([]error, n)
	if err := dataset.Each(ctx, n, func(i int) { errs[i] = do(i) }); err != nil {
		return err
	}
	return errors.Join(errs...)
}

// views loads training pictures, augmented if that is enabled.
type views struct {
	*augment.Views
	values, classes int
}

func (v views) length() int { return v.values }

func (v views) load(ctx context.Context, epoch, step int, samples []int, inputs, targets []float32) error {
	err := forEach(ctx, len(samples), func(i int) error {
		return v.Load(ctx, epoch, samples[i], inputs[i*v.values:][:v.values])
	})
	if err == nil {
		v.Mix(epoch, step, inputs, targets, v.classes)
	}
	return err
}

// pictures loads pictures without augmentation.
type pictures struct {
	set    *dataset.Set
	spec   picture.Spec
	limits picture.Limits
}

func (p pictures) length() int { return p.spec.ValueCount() }

func (p pictures) load(ctx context.Context, _, _ int, samples []int, inputs, _ []float32) error {
	return forEach(ctx, len(samples), func(i int) error {
		s := p.set.Samples[samples[i]]
		data, err := s.Read(p.limits)
		if err != nil {
			return err
		}
		if _, err := p.spec.Load(ctx, data, p.limits, inputs[i*p.length():][:p.length()]); err != nil {
			return fmt.Errorf("%s: %w", s.Path, err)
		}
		return nil
	})
}

// vectors loads features that are computed already.
type vectors [][]float32

func (v vectors) length() int { return len(v[0]) }

func (v vectors) load(_ context.Context, _, _ int, samples []int, inputs, _ []float32) error {
	offset := 0
	for _, s := range samples {
		offset += copy(inputs[offset:], v[s%len(v)])
	}
	return nil
}

// viewFeatures loads the features of views. It extracts them for each batch, or keeps those of a
// number of views of each picture, which epochs show in turn.
type viewFeatures struct {
	views     views
	extractor *model.Extractor
	kept      [][][]float32 // by view and sample; nil until it is computed
	inputs    []float32
}

func (v *viewFeatures) length() int { return v.extractor.FeatureCount() }

func (v *viewFeatures) load(ctx context.Context, epoch, step int, samples []int, inputs, targets []float32) error {
	if len(v.kept) > 0 {
		epoch = (epoch-1)%len(v.kept) + 1
		kept := v.kept[epoch-1]
		if !slices.ContainsFunc(samples, func(s int) bool { return kept[s%len(kept)] == nil }) {
			return vectors(kept).load(ctx, epoch, step, samples, inputs, targets)
		}
	}
	if n := len(samples) * v.views.values; len(v.inputs) < n {
		v.inputs = make([]float32, n)
	}
	raw := v.inputs[:len(samples)*v.views.values]
	if err := v.views.load(ctx, epoch, step, samples, raw, targets); err != nil {
		return err
	}
	if err := v.extractor.Features(ctx, raw, inputs); err != nil {
		return err
	}
	if len(v.kept) > 0 {
		for i, s := range samples {
			v.kept[epoch-1][s%len(v.kept[epoch-1])] = slices.Clone(inputs[i*v.length():][:v.length()])
		}
	}
	return nil
}
