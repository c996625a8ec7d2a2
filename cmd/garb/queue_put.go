//go:build !small

package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"garb/dataset"
	"garb/model"
	"garb/queue"
	"garb/store"
	"garb/train"
)

const queuePutHelp = `Add pictures to a job: files, all pictures below folders, objects by their URLs, such as
s3://bucket/picture.jpg, and all below a prefix, such as s3://bucket/pictures/. Pictures
that the job has already are not added again. If put is interrupted, repeat it. A picture
that was changed is added again: the job then has one row for each version of it.

The first put creates the job and stores how it is computed: the task, the model with its
digest, and the limits. Later ones need not repeat that.

--task classify computes what garb classify --json prints, --task embed what
garb embed --json prints, and --task features the features that garb train --features
reads. For features, choose the backbone as for garb train.

--retry-dead puts the dead letters in again, which are the pictures that could not be read.`

const queuePutExamples = `  garb queue put photos/
  garb queue put --job shop --model runs/mine --top 1 s3://pictures/2026/
  garb queue put --job vectors --task embed photos/
  garb queue put --job training --task features --backbone xception --size 150 pictures/train
  garb queue put --job shop --retry-dead`

// queuePutFlags holds the flags of queue put.
type queuePutFlags struct {
	queueFlags
	task, model string
	top, batch  int
	accept      acceptFlag
	accepted    limitFlags
	network     backboneFlags
	retryDead   bool
}

func newQueuePutCommand() *cobra.Command {
	var f queuePutFlags
	command := &cobra.Command{
		Use:     "put [flags] PICTURE|DIR|URL ...",
		Short:   "Add pictures to a job",
		Long:    queuePutHelp,
		Example: queuePutExamples,
		Args:    func(c *cobra.Command, args []string) error { return f.validate(c, args) },
		RunE:    func(c *cobra.Command, args []string) error { return f.put(c, args) },
	}
	flags := command.Flags()
	f.add(flags)
	flags.IntVar(&f.options.Replicas, "replicas", 0,
		"copies of a new job that the servers of --nats keep, 1 to 5 (default 1)")
	flags.StringVar(&f.task, "task", string(queue.Classify), "what to compute: classify, embed or features")
	addModelFlag(flags, &f.model)
	flags.IntVar(&f.top, "top", 3, "number of classes in a result (top-k)")
	flags.IntVar(&f.batch, "batch", 32, "number of pictures that a worker takes at a time")
	addAcceptFlag(flags, &f.accept)
	f.accepted.add(flags)
	f.network.add(command, "")
	flags.BoolVar(&f.retryDead, "retry-dead", false, "put the dead letters of the job in again")
	addStrictFlag(command)
	return command
}

// Flags that the job stores: those of each task, and those of one task only.
var (
	jobFlags     = []string{"task", "model", "batch", "max-pixels", "truncated"}
	onlyClassify = []string{"top", "accept"}
	onlyFeatures = []string{
		"backbone", "weights", "features-at", "preprocess", "size", "channels", "resize", orientationName,
	}
)

// findGiven returns the first of some flags that is given, or "".
func findGiven(c *cobra.Command, names ...string) string {
	for _, name := range names {
		if c.Flags().Changed(name) {
			return name
		}
	}
	return ""
}

// changesJob reports whether a flag is given that the job stores.
func (f *queuePutFlags) changesJob(c *cobra.Command) bool {
	return findGiven(c, slices.Concat(jobFlags, onlyClassify, onlyFeatures)...) != ""
}

// validateTask reports flags of another task.
func (f *queuePutFlags) validateTask(c *cobra.Command) error {
	task := queue.Task(f.task)
	if name := findGiven(c, onlyClassify...); name != "" && task != queue.Classify {
		return fmt.Errorf("--%s is for --task classify", name)
	}
	if name := findGiven(c, onlyFeatures...); name != "" && task != queue.Features {
		return fmt.Errorf("--%s is for --task features", name)
	}
	if task == queue.Features && c.Flags().Changed("model") {
		return errors.New("--task features takes a --backbone, not a --model")
	}
	return nil
}

// validate reports flags and arguments that do not go together.
func (f *queuePutFlags) validate(c *cobra.Command, args []string) error {
	switch {
	case len(args) == 0 && !f.retryDead:
		return errors.New("put needs a picture, a folder of pictures, or a URL such as s3://bucket/pictures/")
	case f.retryDead && f.changesJob(c):
		return errors.New("--retry-dead keeps the settings of the job; omit the other flags")
	case f.top < 1:
		return fmt.Errorf("--top %d: it must be at least 1", f.top)
	case f.batch < 1:
		return fmt.Errorf("--batch %d: it must be at least 1", f.batch)
	}
	j := queue.Job{Name: f.job, Task: queue.Task(f.task), Batch: f.batch}
	return cmp.Or(f.queueFlags.validate(c), j.Validate(), f.validateTask(c))
}

func (f *queuePutFlags) put(c *cobra.Command, args []string) error {
	return f.run(c, func(ctx context.Context, q *queue.Queue) error {
		if f.retryDead {
			n, err := q.RetryDead(ctx, f.job)
			if err != nil {
				return err
			}
			say(c, "put %s in again", count(n, "dead letter"))
			if len(args) == 0 {
				return nil
			}
		}
		if err := f.create(c, q); err != nil {
			return err
		}
		return f.putPictures(c, q, args)
	})
}

// create creates the job unless it exists and no flag wants it otherwise.
func (f *queuePutFlags) create(c *cobra.Command, q *queue.Queue) error {
	if !f.changesJob(c) {
		_, err := q.Job(c.Context(), f.job)
		var unknown *queue.UnknownJobError
		if !errors.As(err, &unknown) {
			return err
		}
	}
	j, err := f.describeJob(c.Context())
	if err != nil {
		return err
	}
	return q.Create(c.Context(), j)
}

// describeJob returns the job that the flags describe. It opens the model for its digest.
func (f *queuePutFlags) describeJob(ctx context.Context) (queue.Job, error) {
	j := queue.Job{
		Name: f.job, Task: queue.Task(f.task), Model: f.model, Batch: f.batch,
		MaxPixels: f.accepted.maxPixels, KeepTruncated: f.accepted.keepTruncated,
	}
	if j.Task == queue.Features {
		return f.describeFeatures(ctx, j)
	}
	if j.Task == queue.Classify {
		j.Top, j.Accept = f.top, f.accept.threshold
	}
	classifier, err := model.Open(f.model, model.Options{Accept: f.accept.threshold})
	if err != nil {
		return j, err
	}
	j.Digest = classifier.Digest()
	return j, nil
}

// describeFeatures completes a job that computes features.
func (f *queuePutFlags) describeFeatures(ctx context.Context, j queue.Job) (queue.Job, error) {
	if f.network.backbone == "" {
		f.network.backbone = train.Default().Backbone
	}
	_, spec, err := f.network.resolve()
	if err != nil {
		return j, err
	}
	j.Model, j.Weights = f.network.backbone, f.network.weights
	j.FeaturesAt, j.Preprocessing = f.network.featuresAt, &spec
	e, err := train.OpenFeatures(ctx, configureFeatures(j))
	if err != nil {
		return j, err
	}
	defer e.Close()
	if j.Key, err = json.Marshal(e.Key()); err != nil {
		return j, err
	}
	j.Digest = digestKey(j.Key)
	return j, nil
}

// configureFeatures returns the training settings that a job's features are for.
func configureFeatures(j queue.Job) train.Config {
	config := train.Default()
	config.Backbone, config.Weights, config.FeaturesAt = j.Model, j.Weights, j.FeaturesAt
	config.Preprocessing = *j.Preprocessing
	config.DataOptions.MaxPixels, config.DataOptions.KeepTruncated = j.MaxPixels, j.KeepTruncated
	return config
}

// digestKey returns a digest of everything that features depend on.
func digestKey(key []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(key)) }

// putPictures lists the pictures of the arguments and puts them.
func (f *queuePutFlags) putPictures(c *cobra.Command, q *queue.Queue, args []string) error {
	s := store.New(store.Default())
	defer s.Close()
	tally := &dataset.Tally{}
	failures := 0
	report, err := q.Put(c.Context(), f.job, listPictures(c, s, args, tally, &failures), queue.PutOptions{
		Refuse: func(err *queue.TooLongError) {
			failures++
			reportError(c.ErrOrStderr(), err.Name, err)
		},
	})
	say(c, "put %s into job %s; it had %d already", count(report.Added, "picture"), f.job, report.Known)
	switch {
	case err != nil && (report.Added > 0 || c.Context().Err() != nil):
		say(c, "repeat the command to put the rest")
		return err
	case err != nil:
		return err
	}
	return closePut(c, report.Added+report.Known, failures, tally)
}

// closePut ends put: it prints what was skipped, and fails if an argument could not be read.
func closePut(c *cobra.Command, pictures, failures int, tally *dataset.Tally) error {
	if len(tally.Skips()) > 0 {
		say(c, "%s", tally.Summary(pictures))
	}
	if failures > 0 {
		return errReported
	}
	if isSet(c, strictFlag) {
		return tally.Strict()
	}
	return nil
}

// listPictures lists the pictures of the arguments: paths, patterns and URLs. An argument that
// cannot be listed is reported and counted, and does not stop the others.
func listPictures(c *cobra.Command, s *store.Store, args []string, tally *dataset.Tally,
	failures *int) iter.Seq2[queue.Picture, error] {
	return func(yield func(queue.Picture, error) bool) {
		dir, err := os.Getwd()
		if err != nil {
			yield(queue.Picture{}, err)
			return
		}
		fail := func(name string, err error) {
			*failures++
			reportError(c.ErrOrStderr(), name, err)
		}
		for _, expanded := range expandLocations(args) {
			if expanded.err != nil {
				fail(expanded.name, expanded.err)
				continue
			}
			listed := 0
			for object, err := range listArgument(c.Context(), s, expanded.name, tally) {
				switch {
				case c.Context().Err() != nil:
					yield(queue.Picture{}, c.Context().Err())
					return
				case err != nil:
					fail(expanded.name, err)
					listed++
				default:
					listed++
					if !yield(newPicture(object, dir), nil) {
						return
					}
				}
			}
			if listed == 0 {
				fail(expanded.name, errors.New("it contains no pictures"))
			}
		}
	}
}

// newPicture returns the picture of an object. A relative path is relative to dir.
func newPicture(object store.Object, dir string) queue.Picture {
	p := queue.Picture{Name: object.URL, Version: object.Version}
	if !store.IsURL(object.URL) {
		p.Dir = dir
	}
	return p
}

// expandLocations expands patterns of paths. URLs stay as they are.
func expandLocations(args []string) []source {
	var all []source
	for _, arg := range args {
		if store.IsURL(arg) {
			all = append(all, source{name: arg})
		} else {
			all = append(all, expand([]string{arg})...)
		}
	}
	return all
}

// listArgument lists a folder or URL, or the pictures of an archive or a table.
func listArgument(ctx context.Context, s *store.Store, name string, tally *dataset.Tally) iter.Seq2[store.Object,
	error] {
	info, err := os.Stat(name)
	if store.IsURL(name) || err == nil && info.IsDir() {
		return s.List(ctx, name, tally)
	}
	return func(yield func(store.Object, error) bool) {
		paths, err := dataset.PicturesIn(ctx, name, addCacheFolder(dataset.Options{}), tally)
		if err != nil {
			yield(store.Object{}, err)
			return
		}
		for _, path := range paths {
			for object, err := range s.List(ctx, path, tally) {
				if !yield(object, err) {
					return
				}
			}
		}
	}
}
