package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"garb/model"
	"garb/picture"
	"garb/serve/observe"
)

// Errors of requests that are refused.
var (
	ErrFull     = errors.New("the queue is full; try again in a second")
	ErrStopping = errors.New("the service is shutting down; try again, and another instance may respond")
)

// Config holds the settings of the engines of a service.
type Config struct {
	// Queue is the largest number of pictures in progress, including those that are being
	// decoded or classified; requests with more are refused at once.
	Queue int
	// MaxBatch is the largest number of pictures that a model computes as a batch.
	MaxBatch int
	// Workers is the number of batches that a model computes at a time, and Decoders the
	// number of pictures that are decoded at a time; 0 means the number of cores.
	Workers, Decoders int
	// Limits limits each picture.
	Limits picture.Limits
	// CacheBytes is the size of the cache of answers; 0 means none.
	CacheBytes int64
	// Embeddings adds the feature vectors to answers, of models that have them.
	Embeddings bool
}

// DefaultConfig returns the default settings.
func DefaultConfig() Config {
	return Config{Queue: 256, MaxBatch: 4, Limits: picture.DefaultLimits()}
}

// Validate reports settings that cannot work.
func (c Config) Validate() error {
	for _, b := range []struct {
		setting      string
		value, least int
	}{
		{"queue", c.Queue, 1},
		{"batch size", c.MaxBatch, 1},
		{"workers", c.Workers, 0},
		{"decoders", c.Decoders, 0},
	} {
		if b.value < b.least {
			return fmt.Errorf("%s %d: must be at least %d", b.setting, b.value, b.least)
		}
	}
	if c.CacheBytes < 0 {
		return fmt.Errorf("the size of the cache of answers is %d bytes; it must be at least 0", c.CacheBytes)
	}
	return c.Limits.Validate()
}

// withDefaults replaces 0 by the number of cores where that is its meaning.
func (c Config) withDefaults() Config {
	for _, n := range []*int{&c.Workers, &c.Decoders} {
		if *n == 0 {
			*n = runtime.GOMAXPROCS(0)
		}
	}
	return c
}

// Scheduler lets pictures into the queue, decodes them and runs them through the engines of their
// models, within limits for all models together.
type Scheduler struct {
	config   atomic.Pointer[Config]
	metrics  *observe.Metrics
	decoders chan struct{} // holds a token for each picture that is being decoded
	cores    *cores
	depth    atomic.Int64 // pictures in progress
	draining atomic.Bool
	stopping atomic.Bool
	stopped  chan struct{} // closed by Stop
	cache    *cache        // nil if there is none
}

// NewScheduler returns a scheduler. Config must be valid.
func NewScheduler(c Config, m *observe.Metrics) *Scheduler {
	c = c.withDefaults()
	s := &Scheduler{
		metrics: m, decoders: make(chan struct{}, c.Decoders), cores: newCores(max(c.Workers, c.Decoders)),
		cache: newCache(c.CacheBytes), stopped: make(chan struct{}),
	}
	s.config.Store(&c)
	return s
}

// Apply changes the queue's length and the limits of pictures; the other settings stay. The configuration
// must be valid.
func (s *Scheduler) Apply(c Config) {
	now := *s.config.Load()
	now.Queue, now.Limits = c.Queue, c.Limits
	s.config.Store(&now)
}

// Limits returns the limits of each picture.
func (s *Scheduler) Limits() picture.Limits { return s.config.Load().Limits }

// Depth returns the number of pictures in progress.
func (s *Scheduler) Depth() int { return int(s.depth.Load()) }

// Drain says that the service will stop soon: it is not ready any more, but still takes pictures.
func (s *Scheduler) Drain() { s.draining.Store(true) }

// Draining reports whether Drain or Stop was called.
func (s *Scheduler) Draining() bool { return s.draining.Load() || s.stopping.Load() }

// Stop makes the scheduler refuse further pictures with ErrStopping.
func (s *Scheduler) Stop() {
	if s.stopping.CompareAndSwap(false, true) {
		close(s.stopped)
	}
}

// Stopped returns a channel that Stop closes.
func (s *Scheduler) Stopped() <-chan struct{} { return s.stopped }

// Stopping reports whether Stop was called.
func (s *Scheduler) Stopping() bool { return s.stopping.Load() }

// Options are the options of a classification.
type Options struct {
	// Explain asks for an activation map of the class with the index Class; -1 means the most
	// probable class.
	Explain bool
	Class   int
	// Threshold is the lowest acceptance of accepted pictures, from 0 to 1; nil means the model's.
	Threshold *float64
}

// Answer is a model's answer about a picture.
type Answer struct {
	model.Answer
	Outputs []float32 // the model's outputs, which begin with the logits
	Logits  []float32 // of the classes
	// Embedding is the feature vector, nil if there is none, see Config.Embeddings.
	Embedding []float32
	// Heat is the activation map, nil if there is none, and Width and Height the size of the
	// picture that it belongs to, upright.
	Heat          *model.ActivationMap
	Width, Height int
	Format        string // of the encoded picture, such as "jpeg"

	Decode, Wait, Inference time.Duration
}

// Refused reports whether the model judges that the picture shows none of its classes.
func (a *Answer) Refused() bool { return a.Judged && !a.Accepted }

// Probabilities returns the probabilities in the order of the model's classes.
func (a *Answer) Probabilities() []float32 {
	all := make([]float32, len(a.Logits))
	for i, class := range model.Rank(a.Logits) {
		all[class] = float32(a.Predictions[i].Probability)
	}
	return all
}

// Classify classifies encoded pictures in parallel. It returns an answer or an error for each picture,
// and an error for all if the queue is full (ErrFull), the service is stopping (ErrStopping) or ctx has
// ended.
func (s *Scheduler) Classify(
	ctx context.Context, e *Engine, pictures [][]byte, options Options,
) ([]*Answer, []error, error) {
	return s.answerEach(ctx, e, len(pictures), func(i int) (*Answer, error) {
		return s.recall(ctx, e, pictures[i], options)
	})
}

// Compute is Classify for preprocessed values, one picture after another. It keeps them: the engine
// may read them after ctx has ended.
func (s *Scheduler) Compute(ctx context.Context, e *Engine, values []float32) ([]*Answer, []error, error) {
	length := e.Spec().ValueCount()
	return s.answerEach(ctx, e, len(values)/length, func(i int) (*Answer, error) {
		a, input := &Answer{}, values[i*length:][:length]
		err := s.compute(e, &job{ctx: ctx, cores: s.cores, input: input}, a)
		if err == nil {
			e.counters.countComputed(a)
			e.notify(Sample{Input: input, Answer: a, Others: s.Depth() - 1})
		}
		return s.finish(e, a, Options{}, err)
	})
}

// admit takes places in the queue for n pictures, or fails at once. release frees them.
func (s *Scheduler) admit(n int) (release func(), err error) {
	if s.stopping.Load() {
		s.metrics.CountRejected(observe.RejectedStopping)
		return nil, ErrStopping
	}
	if s.depth.Add(int64(n)) > int64(s.config.Load().Queue) {
		s.depth.Add(int64(-n))
		s.metrics.CountRejected(observe.RejectedFull)
		return nil, ErrFull
	}
	return func() { s.depth.Add(int64(-n)) }, nil
}

// answerEach admits n pictures and calls do for each of them, in parallel if there are several. A
// panic of do becomes an error.
func (s *Scheduler) answerEach(
	ctx context.Context, e *Engine, n int, do func(i int) (*Answer, error),
) ([]*Answer, []error, error) {
	release, err := s.admit(n)
	if err != nil {
		return nil, nil, err
	}
	defer release()
	answers, errs := make([]*Answer, n), make([]error, n)
	work := func(i int) {
		began := time.Now()
		errs[i] = e.recoverPanic(func() (err error) {
			answers[i], err = do(i)
			return err
		})
		e.counters.countAnswer(errs[i], time.Since(began))
	}
	if n == 1 {
		work(0)
		return answers, errs, ctx.Err()
	}
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() { work(i) })
	}
	wait.Wait()
	return answers, errs, ctx.Err()
}

// recall takes the answer about a picture from the cache. If it is not there, it classifies the picture.
func (s *Scheduler) recall(ctx context.Context, e *Engine, data []byte, options Options) (*Answer, error) {
	if s.cache == nil {
		a, err := s.classify(ctx, e, data, options)
		return s.finish(e, a, options, err)
	}
	key := newCacheKey(e, data, options)
	began := time.Now()
	known, ok := s.cache.find(key)
	s.metrics.CountCache(ok)
	if ok {
		e.counters.cached.add(time.Since(began))
		return s.finish(e, &known, options, nil)
	}
	a, err := s.classify(ctx, e, data, options)
	if err == nil {
		s.cache.add(key, *a)
	}
	return s.finish(e, a, options, err)
}

// finish applies the options to an answer, and counts it.
func (s *Scheduler) finish(e *Engine, a *Answer, options Options, err error) (*Answer, error) {
	if err != nil {
		return nil, err
	}
	if a.Judged && options.Threshold != nil {
		a.Accepted = a.Acceptance >= *options.Threshold
	}
	s.metrics.CountPrediction(e.name, a.Predictions[0].Class)
	if a.Refused() {
		s.metrics.CountRefusal(e.name)
	}
	return a, nil
}

// classify decodes a picture, once it has its place in the queue, and classifies it with the model.
func (s *Scheduler) classify(ctx context.Context, e *Engine, data []byte, options Options) (*Answer, error) {
	began := time.Now()
	select {
	case s.decoders <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := s.cores.acquireDecoding(ctx); err != nil {
		<-s.decoders
		return nil, err
	}
	a := &Answer{Wait: time.Since(began)}
	observe.AddSpan(ctx, "queue", began, time.Now())
	began = time.Now()
	decoding, span := observe.Start(ctx, "decode")
	input := e.inputs.Get().(*[]float32)
	info, err := func() (picture.Info, error) {
		defer func() { <-s.decoders }()
		defer s.cores.release()
		if err := ctx.Err(); err != nil {
			return picture.Info{}, err
		}
		return e.Spec().Load(decoding, data, s.Limits(), *input)
	}()
	observe.End(span, err)
	if err != nil {
		e.inputs.Put(input)
		return nil, err
	}
	a.Decode = time.Since(began)
	j := &job{ctx: ctx, cores: s.cores, input: *input, explain: options.Explain, class: options.Class}
	if err = s.compute(e, j, a); err != nil {
		return nil, err
	}
	e.counters.countComputed(a)
	e.counters.decode.add(a.Decode)
	e.notify(Sample{Picture: data, Input: *input, Answer: a, Others: s.Depth() - 1})
	e.inputs.Put(input)
	a.Heat = j.heat
	a.Width, a.Height = info.Upright()
	a.Format = string(info.Format)
	s.metrics.ObserveStage(ctx, observe.StageDecode, a.Decode)
	return a, nil
}

// compute runs the model on an input, and completes the answer.
func (s *Scheduler) compute(e *Engine, j *job, a *Answer) error {
	if err := e.infer(j); err != nil {
		return err
	}
	a.Outputs, a.Logits, a.Answer = j.outputs, j.outputs[:e.classes], e.Answer(j.outputs)
	a.Embedding = j.embedding
	a.Wait, a.Inference = a.Wait+j.wait, j.inference
	s.metrics.ObserveStage(j.ctx, observe.StageQueue, a.Wait)
	s.metrics.ObserveStage(j.ctx, observe.StageInference, a.Inference)
	return nil
}
