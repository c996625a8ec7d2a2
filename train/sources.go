package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"garb/dataset"
	"garb/weights"
)

// Source is a further data set of a run, or a set of pictures of none of the classes.
type Source struct {
	Path string `json:"path"`
	// Weight is how often an epoch shows each training picture: 2 shows each twice, and 0.5
	// shows half of them, drawn again in each epoch.
	Weight float64 `json:"weight"`
	// TrainOnly uses the data set for training only: all of its pictures or, if it has splits,
	// those of its train split.
	TrainOnly bool `json:"train_only,omitempty"`
}

// maxWeight bounds how often an epoch shows a picture.
const maxWeight = 1000

func (s Source) validate() error {
	if s.Path == "" {
		return errors.New("a data set has no path")
	}
	return checkBounds(bound{"weight of " + s.Path + ",", s.Weight, interval{0, maxWeight, true, false}})
}

// validateSources checks the data sets' weights, and that options for a single data set are not used
// with several.
func (c Config) validateSources() error {
	weight := bound{"weight of " + c.Data + ",", c.DataWeight, interval{0, maxWeight, false, false}}
	if err := checkBounds(weight); err != nil {
		return err
	}
	for _, s := range slices.Concat(c.Sources, c.Other) {
		if err := s.validate(); err != nil {
			return err
		}
	}
	if o := c.DataOptions; len(c.Sources) > 0 && (o.Labels != "" || o.Images != "") {
		return errors.New("a table of labels or a folder of images works with one data set only, and there are " +
			"several: name the table itself as the data set")
	}
	return nil
}

// sources returns the data sets of a run, Config.Data first.
func (c Config) sources() []Source {
	first := Source{Path: c.Data, Weight: c.DataWeight}
	if first.Weight == 0 {
		first.Weight = 1
	}
	return append([]Source{first}, c.Sources...)
}

// sourceNames returns short names of sources: see shortNames.
func sourceNames(all []Source) []string {
	var paths []string
	for _, s := range all {
		paths = append(paths, filepath.ToSlash(filepath.Clean(s.Path)))
	}
	return shortNames(paths)
}

// shortNames shortens paths to their last elements, as few as make all names different.
func shortNames(paths []string) []string {
	names := make([]string, len(paths))
	for elements := 1; ; elements++ {
		seen, longest := map[string]bool{}, 0
		for i, p := range paths {
			parts := strings.Split(p, "/")
			longest = max(longest, len(parts))
			names[i] = strings.Join(parts[max(0, len(parts)-elements):], "/")
			seen[names[i]] = true
		}
		if len(seen) == len(paths) || elements >= longest {
			return names
		}
	}
}

// pool holds the pictures of one split of all sources, before they are read.
type pool struct {
	set  *dataset.Set
	from []int // index of each sample's source
}

// add adds the pictures of a source. label translates its labels to the pool's classes.
func (p *pool) add(set *dataset.Set, source int, label func(int) int) {
	if set == nil {
		return
	}
	for _, s := range set.Samples {
		s.Label = label(s.Label)
		p.set.Samples = append(p.set.Samples, s)
		p.from = append(p.from, source)
	}
}

// pools holds the pictures of all splits of a run, before they are read.
type pools struct {
	classes                 []string
	train, validation, test pool
	// otherValidation and otherTest are the pictures of none of the classes that are not
	// trained on.
	otherValidation, otherTest pool
	tally                      *dataset.Tally
}

// openPools lists the pictures of a run's data sets, and divides each data set by itself.
func openPools(ctx context.Context, c Config, p Progress) (*pools, error) {
	options := c.DataOptions
	if options.Cache == "" {
		home, err := weights.Home()
		if err != nil {
			return nil, err
		}
		options.Cache = filepath.Join(home, dataset.CacheFolder)
	}
	sources := c.sources()
	all, splits := make([]*dataset.Data, len(sources)), make([]*dataset.Splits, len(sources))
	for i, s := range sources {
		d, err := readSource(ctx, s, options, len(sources) == 1)
		if err != nil {
			return nil, err
		}
		all[i] = d
		if splits[i], err = divide(d, s, c.Split, len(sources) == 1); err != nil {
			return nil, err
		}
		if p.Data != nil {
			p.Data(d, splits[i])
		}
	}
	classes, err := dataset.Unite(all...)
	if err != nil {
		return nil, err
	}
	empty := func() pool { return pool{set: &dataset.Set{Folder: c.Data, Classes: classes}} }
	o := &pools{classes, empty(), empty(), empty(), empty(), empty(), &dataset.Tally{}}
	for i, d := range all {
		label := func(l int) int { l, _ = slices.BinarySearch(classes, d.Classes[l]); return l }
		if len(all) == 1 {
			classes, o.classes = d.Classes, d.Classes
			label = func(l int) int { return l }
		}
		o.train.add(splits[i].Train.Set, i, label)
		o.validation.add(splits[i].Validation, i, label)
		o.test.add(splits[i].Test, i, label)
		o.tally.Merge(&d.Tally)
	}
	for _, name := range c.DataOptions.Classes {
		if !slices.ContainsFunc(all, func(d *dataset.Data) bool { return d.HasClass(name) }) {
			return nil, fmt.Errorf("no data set has the class %q", name)
		}
	}
	if err := o.checkClasses(); err != nil {
		return nil, err
	}
	if err := o.addOther(ctx, c, options); err != nil {
		return nil, err
	}
	return o, nil
}

// readSource reads a data set. Unless it is alone, it need not have all classes of the options.
func readSource(ctx context.Context, s Source, options dataset.Options, alone bool) (*dataset.Data, error) {
	if len(options.Classes) > 0 && !alone {
		all := options
		all.Classes = nil
		d, err := dataset.Read(ctx, s.Path, all)
		if err != nil {
			return nil, err
		}
		options.Classes = slices.DeleteFunc(slices.Clone(options.Classes),
			func(name string) bool { return !d.HasClass(name) })
		if len(options.Classes) == 0 {
			return nil, fmt.Errorf("%s has none of the requested classes: it has %s", d.Path,
				strings.Join(d.Classes, ", "))
		}
	}
	return dataset.Read(ctx, s.Path, options)
}

// divide returns the splits of a source. Unless it is alone, a split may lack classes: checkClasses
// looks for them in all sources together.
func divide(d *dataset.Data, s Source, rule dataset.SplitRule, alone bool) (*dataset.Splits, error) {
	switch {
	case s.TrainOnly:
		if err := d.Err(); err != nil {
			return nil, err
		}
		set := d.Part(dataset.Train)
		if set == nil {
			set = d.Part("")
		}
		if set == nil {
			return nil, fmt.Errorf("%s has no training pictures", d.Path)
		}
		return &dataset.Splits{Train: dataset.Training{Set: set}, Validation: &dataset.Set{}}, nil
	case alone:
		return d.Split(rule)
	}
	if err := d.Err(); err != nil {
		return nil, err
	}
	splits, problems := d.Divide(rule)
	for _, p := range problems {
		if p.Refused && p.Kind != dataset.ProblemClasses {
			return nil, p
		}
	}
	return splits, nil
}

// checkClasses checks that each class has training pictures, and that there are validation pictures.
func (o *pools) checkClasses() error {
	if len(o.validation.set.Samples) == 0 {
		return errors.New("no data set has pictures for validation")
	}
	count := make([]int, len(o.classes))
	for _, s := range o.train.set.Samples {
		count[s.Label]++
	}
	if missing := slices.Index(count, 0); missing >= 0 {
		return fmt.Errorf("no data set has training pictures of %q", o.classes[missing])
	}
	return nil
}

// computeShares returns how often an epoch shows each training picture, on average; nil if it shows
// each once. The shares sum to a whole number.
//
// A picture's share starts as its source's weight. BalanceSampling b multiplies the shares of each
// class of a source, whose sum is n, by n^(−b), and rescales the source to its previous sum; other
// pictures have no class and keep their share. BalanceSources does the same with whole sources
// instead of classes, except sources of other pictures.
func (r *run) computeShares() []float64 {
	c := r.Config
	sources, classes := append(c.sources(), c.Other...), len(r.classes)
	shares, plain := make([]float64, len(r.train.set.Samples)), c.BalanceSampling == 0 && c.BalanceSources == 0
	total := 0.0
	for i := range shares {
		shares[i] = sources[r.train.from[i]].Weight
		plain = plain && shares[i] == 1
		total += shares[i]
	}
	if plain {
		return nil
	}
	source := func(i int) int { return r.train.from[i] }
	if c.BalanceSampling > 0 {
		balance(shares, c.BalanceSampling, func(i int) int {
			if label := r.train.set.Samples[i].Label; label < classes {
				return source(i)*classes + label
			}
			return -1
		}, source)
	}
	if c.BalanceSources > 0 {
		balance(shares, c.BalanceSources, func(i int) int {
			if source(i) < len(c.sources()) {
				return source(i)
			}
			return -1
		}, func(int) int { return 0 })
	}
	scale := math.Max(1, math.Round(total)) / total
	for i := range shares {
		shares[i] *= scale
	}
	return shares
}

// balance multiplies the shares of each group by the group's sum to the power −exponent, then
// rescales each whole, which consists of groups, to its previous sum. group and whole return the
// numbers of a picture's group and whole; a picture whose group is negative keeps its share.
func balance(shares []float64, exponent float64, group, whole func(i int) int) {
	sums, before, after := map[int]float64{}, map[int]float64{}, map[int]float64{}
	for i, s := range shares {
		sums[group(i)] += s
	}
	for i, s := range shares {
		if g := group(i); g >= 0 {
			before[whole(i)] += s
			shares[i] = s * math.Pow(sums[g], -exponent)
			after[whole(i)] += shares[i]
		}
	}
	for i := range shares {
		if group(i) >= 0 {
			shares[i] *= before[whole(i)] / after[whole(i)]
		}
	}
}

// meanOverSources returns the mean of a figure over data sets.
func meanOverSources(figures []SourceFigures, figure func(SourceFigures) float64) float64 {
	sum := 0.0
	for _, f := range figures {
		sum += figure(f)
	}
	return sum / float64(len(figures))
}

// SourceFigures are the validation figures of one data set.
type SourceFigures struct {
	Name     string  `json:"name"`
	Count    int     `json:"count"`
	Loss     float64 `json:"loss"`
	Accuracy float64 `json:"accuracy"`
}
