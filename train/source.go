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

// source gives the network's inputs, of the training pictures or of those to judge
// by: pictures, or the features that a frozen backbone makes of them.
type source interface {
	// length is the number of values of an input.
	length() int
	// load writes the inputs of samples, as an epoch shows them, one after another,
	// and their targets, which it may mix.
	load(ctx context.Context, epoch, step int, samples []int, inputs, targets []float32) error
}

// scan is what is found out of the pictures of a set before they are used.
type scan struct {
	digests []string // of the pictures that can be read
	kept    []int    // their places in the set that was read
}

// scanned reads every picture of a set with look, on all cores, and drops those that
// cannot be read, which tally counts. done is called for each picture.
func scanned(ctx context.Context, set *dataset.Set, l picture.Limits, tally *dataset.Tally, done func(),
	look func(data []byte, digest string) error) (*dataset.Set, scan, error) {
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
		return nil, scan{}, err
	}
	kept := &dataset.Set{Folder: set.Folder, Classes: set.Classes}
	var s scan
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
		return nil, scan{}, fmt.Errorf("%s: %w; the first: %w", set.Folder, errNoPictures, first)
	}
	return kept, s, nil
}

// inParallel calls do for [0,n) on all cores, and returns their errors in this order.
func inParallel(ctx context.Context, n int, do func(i int) error) error {
	errs := make([]error, n)
	if err := dataset.Each(ctx, n, func(i int) { errs[i] = do(i) }); err != nil {
		return err
	}
	return errors.Join(errs...)
}

// views are training pictures, changed or as they are.
type views struct {
	*augment.Views
	values, classes int
}

func (v views) length() int { return v.values }

func (v views) load(ctx context.Context, epoch, step int, samples []int, inputs, targets []float32) error {
	err := inParallel(ctx, len(samples), func(i int) error {
		return v.Load(ctx, epoch, samples[i], inputs[i*v.values:][:v.values])
	})
	if err == nil {
		v.Mix(epoch, step, inputs, targets, v.classes)
	}
	return err
}

// pictures are pictures to judge by: never changed.
type pictures struct {
	set    *dataset.Set
	spec   picture.Spec
	limits picture.Limits
}

func (p pictures) length() int { return p.spec.ValueCount() }

func (p pictures) load(ctx context.Context, _, _ int, samples []int, inputs, _ []float32) error {
	return inParallel(ctx, len(samples), func(i int) error {
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

// vectors are features that are known.
type vectors [][]float32

func (v vectors) length() int { return len(v[0]) }

func (v vectors) load(_ context.Context, _, _ int, samples []int, inputs, _ []float32) error {
	at := 0
	for _, s := range samples {
		at += copy(inputs[at:], v[s%len(v)])
	}
	return nil
}

// viewFeatures are the features of views: computed for each batch, or of so many
// views of each picture kept and taken in turn.
type viewFeatures struct {
	views
	extractor *model.Extractor
	kept      [][][]float32 // view, sample; nil where it is not computed so far
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
