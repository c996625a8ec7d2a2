//go:build !small

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"garb/features"
	"garb/model"
	"garb/picture"
	"garb/queue"
	"garb/results"
	"garb/store"
	"garb/train"
)

const queueWorkHelp = `Take pictures of a job, compute them on all cores and store the results, until the job is
complete. Start as many workers as you like, on any machine that can read the pictures.
A worker needs the model of the job: it opens the one that put named, or --model, and
refuses to work if its digest is another.

If a worker is killed, others take over its pictures. Ctrl-C hands the pictures back that
are not finished. A picture that cannot be read becomes a dead letter with its error; if
the store fails for a while, the picture is tried again later.

--wait keeps the worker waiting for more pictures, and for the job.`

const queueWorkExamples = `  garb queue work
  garb queue work --job shop --threads 4
  garb queue work --nats nats://nats:4222 --job shop --model /models/shop.safetensors --wait`

// queueWorkFlags holds the flags of queue work.
type queueWorkFlags struct {
	queueFlags
	model   string
	threads int
	wait    bool
}

func newQueueWorkCommand() *cobra.Command {
	var f queueWorkFlags
	command := &cobra.Command{
		Use:     "work [flags]",
		Short:   "Compute the pictures of a job",
		Long:    queueWorkHelp,
		Example: queueWorkExamples,
		Args: func(c *cobra.Command, args []string) error {
			if f.threads < 0 {
				return fmt.Errorf("--threads %d: it must not be negative", f.threads)
			}
			return errors.Join(refuseArguments(c, args), f.validate(c))
		},
		RunE: func(c *cobra.Command, _ []string) error {
			f.options.Existing = !f.wait
			return f.run(c, func(ctx context.Context, q *queue.Queue) error { return f.work(c, q) })
		},
	}
	flags := command.Flags()
	f.add(flags)
	flags.StringVar(&f.model, "model", "",
		"model or weights with the digest of the job (default what garb queue put was given)")
	flags.IntVar(&f.threads, "threads", 0, "pictures to compute at a time (default one for each core)")
	flags.BoolVar(&f.wait, "wait", false, "wait for more pictures when the job is complete")
	return command
}

func (f *queueWorkFlags) work(c *cobra.Command, q *queue.Queue) error {
	ctx := c.Context()
	j, err := f.findJob(c, q)
	if err != nil {
		return err
	}
	w, err := f.newWorker(ctx, j)
	if err != nil {
		return err
	}
	if w.Digest != j.Digest {
		return &queue.DigestError{Job: j.Name, Have: w.Digest, Want: j.Digest}
	}
	s := store.New(store.Default())
	defer s.Close()
	w.Source = pictureSource{s, findLimits(j)}
	w.Describe = func(err error) results.Failure { return describeFailure(err) }
	stop := showQueueProgress(c, q, j.Name)
	began := time.Now()
	report, err := q.Work(ctx, j.Name, w)
	stop()
	statusErr := f.sayReport(c, q, report, time.Since(began))
	if err == nil {
		err = statusErr
	}
	return err
}

// findJob returns the job, and with --wait waits until there is one.
func (f *queueWorkFlags) findJob(c *cobra.Command, q *queue.Queue) (queue.Job, error) {
	ctx := c.Context()
	for said := false; ; said = true {
		j, err := q.Job(ctx, f.job)
		var unknown *queue.UnknownJobError
		if !f.wait || !errors.As(err, &unknown) {
			return j, err
		}
		if !said {
			say(c, "%v; waiting for it", err)
		}
		select {
		case <-ctx.Done():
			return j, ctx.Err()
		case <-time.After(2 * time.Second):
		}
	}
}

// sayReport prints what this worker did and what is left. Its error is that of the status.
func (f *queueWorkFlags) sayReport(c *cobra.Command, q *queue.Queue, r queue.WorkReport, took time.Duration) error {
	say(c, "this worker: %s done, %d dead, in %.1f s", count(r.Done, "picture"), r.Dead, took.Seconds())
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Context()), 10*time.Second) // damage is found in less
	defer cancel()
	s, err := q.Status(ctx, f.job)
	if err != nil {
		return err
	}
	switch {
	case s.Left() > 0:
		say(c, "job %s: %d of %d pictures left; continue with garb queue work", f.job, s.Left(), s.Put)
	case s.Dead > 0:
		say(c, "job %s is complete, with %s: see garb queue status --dead", f.job, count(s.Dead, "dead letter"))
	default:
		say(c, "job %s is complete: %s", f.job, count(s.Done, "picture"))
	}
	return nil
}

// newWorker opens the model of a job.
func (f *queueWorkFlags) newWorker(ctx context.Context, j queue.Job) (queue.Worker, error) {
	w := queue.Worker{Threads: f.threads, Wait: f.wait}
	if j.Task == queue.Features {
		if f.model != "" {
			j.Weights = f.model
		}
		e, err := train.OpenFeatures(ctx, configureFeatures(j))
		if err != nil {
			return w, err
		}
		key, err := json.Marshal(e.Key())
		w.Digest, w.Compute = digestKey(key), computeFeatures(e)
		return w, err
	}
	reference := j.Model
	if f.model != "" {
		reference = f.model
	}
	c, err := model.Open(reference, model.Options{Threads: 1, Limits: findLimits(j), Accept: j.Accept})
	if err != nil {
		return w, err
	}
	w.Digest = c.Digest()
	if j.Task == queue.Embed {
		w.Compute = computeEmbeddings(c)
	} else {
		w.Compute = computeAnswers(c, j.Top)
	}
	return w, nil
}

// findLimits returns the limits of a job's pictures.
func findLimits(j queue.Job) picture.Limits {
	f := limitFlags{maxPixels: j.MaxPixels, keepTruncated: j.KeepTruncated}
	return f.limits()
}

// computeAnswers returns a function that computes lines of classify --json.
func computeAnswers(c *model.Classifier, top int) func(context.Context, queue.Picture, []byte) (queue.Row, error) {
	answer := newTimedAnswerer(c)
	answers := results.NewAnswers(c, top, false)
	return func(ctx context.Context, p queue.Picture, data []byte) (queue.Row, error) {
		a, err := answer(ctx, data)
		if err != nil {
			return queue.Row{}, err
		}
		line, err := json.Marshal(answers.Row(p.Name, a.Answer))
		return queue.Row{Line: line}, err
	}
}

// computeEmbeddings returns a function that computes feature vectors.
func computeEmbeddings(c *model.Classifier) func(context.Context, queue.Picture, []byte) (queue.Row, error) {
	return func(ctx context.Context, _ queue.Picture, data []byte) (queue.Row, error) {
		v, err := c.Embed(ctx, data)
		return queue.Row{Vector: v}, err
	}
}

// computeFeatures returns a function that computes what garb train --features reads.
func computeFeatures(e *train.FeatureExtractor) func(context.Context, queue.Picture, []byte) (queue.Row, error) {
	return func(ctx context.Context, _ queue.Picture, data []byte) (queue.Row, error) {
		digest := features.Sum(data)
		v, err := e.Extract(ctx, data, digest)
		return queue.Row{Vector: v, SHA256: digest.String()}, err
	}
}

// pictureSource reads pictures from files and object stores.
type pictureSource struct {
	store  *store.Store
	limits picture.Limits
}

// Read implements queue.Source. A picture that was changed after it was put is an error, because
// its result would be that of another picture.
func (s pictureSource) Read(ctx context.Context, p queue.Picture) ([]byte, error) {
	if store.IsURL(p.Name) {
		data, err := s.store.ReadVersion(ctx, p.Name, p.Version, s.limits.MaxBytes)
		if errors.Is(err, store.ErrChanged) {
			return nil, &queue.PermanentError{Err: errors.New("it was changed after it was put; put it again")}
		}
		for _, kind := range []error{
			store.ErrNotFound, store.ErrDenied, store.ErrTooLarge, store.ErrRedirect, store.ErrURL, store.ErrScheme,
		} {
			if errors.Is(err, kind) {
				return nil, &queue.PermanentError{Err: err}
			}
		}
		return data, err
	}
	path := p.Location()
	data, err := source{name: path}.read(nil, s.limits)
	if err != nil || p.Version == "" {
		return data, err
	}
	for object, err := range s.store.List(ctx, path, nil) {
		if err == nil && object.Version != p.Version {
			return nil, &queue.PermanentError{Err: errors.New("the file was changed after it was put; put it again")}
		}
	}
	return data, nil
}

// progressInterval is the time between two looks at the whole job.
const progressInterval = time.Second

// showQueueProgress shows how far the whole job is until stop is called.
func showQueueProgress(c *cobra.Command, q *queue.Queue, job string) (stop func()) {
	ctx, cancel := context.WithCancel(c.Context())
	first, err := q.Progress(ctx, job)
	finished := int(first.Share * float64(first.Put))
	if err != nil || first.Put == finished {
		return cancel
	}
	shown := newCounter(c, "job "+job, first.Put-finished)
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(progressInterval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if p, err := q.Progress(ctx, job); err == nil {
				shown.update(int(p.Share*float64(p.Put))-finished, p.Put-finished)
			}
		}
	})
	return func() {
		cancel()
		watching.Wait()
		shown.finish()
	}
}

// update sets how much is done of a total that can grow.
func (c *counter) update(done, total int) {
	c.mu.Lock()
	before := c.done
	c.total = total
	c.mu.Unlock()
	c.add(max(done-before, 0))
}
