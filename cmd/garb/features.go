package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"garb/backbone"
	"garb/dataset"
	"garb/features"
	"garb/shard"
	"garb/train"
)

const featuresHelp = `Compute the features of a data set: the vectors that a frozen backbone passes to the head.
The result is a safetensors file for garb train --features, which then only trains the
head. It gives the same model, to the bit, as computing them itself.

` + dataHelp + `

All splits are read, with the preprocessing and the limits of garb train. Give the same
--backbone, --size and so on to both commands: garb train refuses features of others. A
vector is found by the SHA-256 of its picture, so pictures may be moved, renamed, merged
and split again. Vectors that an earlier run computed come from the cache.

` + shardHelp

const featuresExamples = `  garb features --data pictures --out features.safetensors
  garb train --data pictures --features features.safetensors
  garb features --data pictures --backbone xception --size 150 --out xception.safetensors
  garb features --data pictures --shard 3/100 --out features.safetensors   # on each of 100 machines
  garb merge 'features.safetensors-*-of-00100' --out features.safetensors`

// featuresFlags holds the flags of features.
type featuresFlags struct {
	config  train.Config
	network backboneFlags
	output  outputFlags
}

func newFeaturesCommand() *cobra.Command {
	f := &featuresFlags{config: train.Default()}
	command := &cobra.Command{
		Use:     "features --data DATA --out FILE [flags]",
		Short:   "Compute the features of a data set, for training",
		Long:    featuresHelp,
		Example: featuresExamples,
		Args:    func(c *cobra.Command, args []string) error { return f.validate(args) },
		RunE:    func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	c, flags := &f.config, command.Flags()
	flags.Var(newDataSourcesFlag(c), "data", "data set: a folder, a table or an archive; repeatable, as for garb train")
	flags.Var(newTrainSourcesFlag(c), "train-data", "additional data set, used for training only; repeatable")
	flags.Var(newOtherSourcesFlag(c), "other", "folder of pictures that show none of the classes; repeatable")
	data := dataFlags{&c.DataOptions, &c.Strict}
	data.add(command)
	f.network.add(command, c.Backbone)
	f.output.add(flags, "`FILE` to write, ending in .safetensors")
	return command
}

// validate completes the settings, and reports arguments and flags that are wrong or missing.
func (f *featuresFlags) validate(args []string) error {
	c := &f.config
	switch {
	case len(args) > 0:
		return fmt.Errorf("features takes its data set as --data, not as the argument %q", args[0])
	case c.Data == "":
		return errors.New("features needs --data: a folder of pictures, a table or an archive")
	case f.output.out == "":
		return errors.New("features needs --out: the file to write")
	}
	_, spec, err := f.network.resolve()
	if err != nil {
		return err
	}
	c.Backbone, c.Weights, c.FeaturesAt = f.network.backbone, f.network.weights, f.network.featuresAt
	c.Preprocessing, c.Out = spec, f.output.out
	if a, err := backbone.Lookup(c.Backbone); err == nil && !a.Pretrained() && c.Weights == "" {
		return fmt.Errorf("--backbone %s has no pretrained weights, so its features are meaningless", c.Backbone)
	}
	return c.Validate()
}

func (f *featuresFlags) run(c *cobra.Command) (err error) {
	e, err := train.OpenFeatures(c.Context(), f.config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	samples, tally, err := train.Pictures(c.Context(), f.config, train.Progress{
		Data: func(d *dataset.Data, _ *dataset.Splits) { sayNotes(c, d) },
	})
	if err != nil {
		return err
	}
	meta := features.Meta{Key: e.Key(), Columns: e.FeatureCount()}
	if f.output.shard.isSet() {
		var all []source
		for _, s := range samples {
			all = append(all, source{name: s.Path})
		}
		h := shard.Header{
			Kind: "features", Shard: f.output.shard.Shard, List: shard.DigestList(listNames(all)), Total: len(all),
			Model: e.Key().Weights,
		}
		from, to := h.Range(len(samples))
		say(c, "shard %v: %s of %d", h.Shard, count(to-from, "picture"), len(samples))
		samples, meta.Part = samples[from:to], h.String()
	}
	w := features.Create(f.output.name(), meta)
	defer w.Discard()
	used, err := extractFeatures(c, e, samples, tally, w)
	if err != nil {
		return err
	}
	if used == 0 && !f.output.shard.isSet() {
		printSkips(c, tally)
		return fmt.Errorf("%s was not written: no picture could be read", f.output.name())
	}
	rows, err := w.Close(c.Context())
	if err != nil {
		return fmt.Errorf("%s was not written: %w", f.output.name(), err)
	}
	printSkips(c, tally)
	n := e.Counts()
	say(c, "features: %d from the cache, %d computed", n.Cached, n.Computed)
	fmt.Fprintf(openTextOut(c), "wrote %s: %s of %d values\n", escape(f.output.name()), count(int(rows), "vector"),
		meta.Columns)
	data := dataFlags{&f.config.DataOptions, &f.config.Strict}
	return data.close(c, used, tally)
}

// extractFeatures adds the features of pictures to a file, and returns the number of those that could
// be read.
func extractFeatures(c *cobra.Command, e *train.FeatureExtractor, samples []dataset.Sample, tally *dataset.Tally,
	w *features.Writer) (int, error) {
	bar := newCounter(c, "pictures", len(samples))
	defer bar.finish()
	ctx, fail := context.WithCancelCause(c.Context())
	defer fail(nil)
	failures := make([]error, len(samples))
	err := dataset.Each(ctx, len(samples), func(i int) {
		defer bar.add(1)
		data, err := samples[i].Read(e.Limits())
		if err != nil {
			failures[i] = err
			return
		}
		d := features.Sum(data)
		v, err := e.Extract(ctx, data, d)
		if err != nil {
			failures[i] = fmt.Errorf("%s: %w", samples[i].Path, err)
			return
		}
		if err := w.Add(d, v); err != nil {
			fail(err) // no fault of the picture: the disk may be full
		}
	})
	if err != nil {
		return 0, context.Cause(ctx)
	}
	used := len(samples)
	for i, err := range failures {
		if err != nil {
			used--
			tally.Add(dataset.FindReason(err), samples[i].Path, err.Error())
		}
	}
	return used, nil
}
