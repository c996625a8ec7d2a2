// Package engine runs models for a service: a bounded queue, decoding, batches, answers.
//
//	pictures → place in the queue → decode → batch → logits → answers
//
// Decoding and inference are separate: each has a limit on what is processed at a time.
package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"garb/model"
	"garb/nn"
	"garb/picture"
	"garb/serve/observe"
)

// Classifier is what the service needs of a model; *model.Classifier implements it.
type Classifier interface {
	Digest() string
	Classes() []string
	Spec() picture.Spec
	// OutputCount returns the length of a row of Outputs: the number of classes, and one more if
	// the model has acceptance.
	OutputCount() int
	// Outputs writes a row of outputs for each input, one after another: the logits of the
	// classes, followed by that of the acceptance if the model has it.
	Outputs(ctx context.Context, inputs, rows []float32) error
	// AcceptanceThreshold returns the lowest acceptance of accepted pictures, from 0 to 1.
	AcceptanceThreshold() float64
	// Answer returns the answer about a picture with this row of outputs.
	Answer(row []float32) model.Answer
	// Signature returns what the model calls its input and its output, and what the output holds.
	Signature() model.Signature
	// SignatureOutput returns the output of the signature for a row of Outputs.
	SignatureOutput(row []float32) []float32
	// List returns predictions with the identifiers of ImageNet's classes.
	List(predictions []model.Prediction) []model.ListedPrediction
	ActivationMap(ctx context.Context, input []float32, class int) (*model.ActivationMap, error)
	// MemoryBytes estimates the memory of the model once it has answered this number of concurrent
	// calls of Outputs, each with a batch of pictures.
	MemoryBytes(calls, batch int) int64
}

// embedder computes outputs in two steps, the first of which gives the feature vectors. Together they are
// as much work as Outputs. *model.Classifier implements it.
type embedder interface {
	FeatureCount() int
	Features(ctx context.Context, inputs, features []float32) error
	HeadOutputs(ctx context.Context, features, rows []float32) error
}

// Engine runs one model. Each of its workers repeatedly takes its share of the waiting inputs, up to
// MaxBatch, and computes them as a batch. So a single input never waits for others, and batches grow
// with the queue.
type Engine struct {
	Classifier
	name     string // of the model, for metrics
	classes  int
	outputs  int // of one input
	workers  int
	maxBatch int
	embedder embedder // nil if answers have no embeddings
	metrics  *observe.Metrics
	counters *counters
	observer atomic.Pointer[func(Sample)]

	waiting chan *job
	ended   chan struct{}
	users   sync.WaitGroup
	inputs  sync.Pool // of []float32 of one input
}

// job is one input for an engine, and its result.
type job struct {
	ctx     context.Context
	cores   *cores // nil takes none
	input   []float32
	outputs []float32 // the row of the model's outputs
	// embedding is the feature vector, nil if there is none.
	embedding []float32
	warmUp    bool // not counted in the statistics
	explain   bool
	class     int // to explain; -1 means the most probable class
	heat      *model.ActivationMap

	queued    time.Time
	wait      time.Duration // in the queue
	inference time.Duration
	done      chan error // receives the job's error once
}

// New starts the engine of a model, which has this name in metrics. The caller ends it with Retire.
func New(name string, classifier Classifier, c Config, m *observe.Metrics) *Engine {
	c = c.withDefaults()
	e := &Engine{
		Classifier: classifier, name: name, classes: len(classifier.Classes()), outputs: classifier.OutputCount(),
		workers: c.Workers, maxBatch: c.MaxBatch, metrics: m, counters: newCounters(c.MaxBatch),
		waiting: make(chan *job, c.Queue), ended: make(chan struct{}),
	}
	if c.Embeddings {
		e.embedder, _ = classifier.(embedder)
	}
	length := classifier.Spec().ValueCount()
	e.inputs.New = func() any { v := make([]float32, length); return &v }
	var running sync.WaitGroup
	for range e.workers {
		running.Go(e.work)
	}
	go func() {
		running.Wait()
		close(e.ended)
	}()
	return e
}

// Judges reports whether the model has acceptance: whether it judges if a picture shows any of its
// classes.
func (e *Engine) Judges() bool { return e.outputs > e.classes }

// Waiting returns the number of inputs that wait for a worker.
func (e *Engine) Waiting() int { return len(e.waiting) }

// Use marks the engine as used until release is called: Retire waits for that.
func (e *Engine) Use() (release func()) {
	e.users.Add(1)
	return e.users.Done
}

// Retire ends the engine once it is not used any more. It must not be used afterwards.
func (e *Engine) Retire() {
	e.users.Wait()
	close(e.waiting)
	<-e.ended
}

// Ended returns a channel that is closed when the engine has ended.
func (e *Engine) Ended() <-chan struct{} { return e.ended }

// WarmUp computes an input, so that the first request does not pay for what is prepared once.
func (e *Engine) WarmUp(ctx context.Context, input []float32) error {
	return e.infer(&job{ctx: ctx, input: input, warmUp: true})
}

// Run returns the answer about an input. It is for answers that no client gets, so it is not counted as
// a prediction, and not observed.
func (e *Engine) Run(ctx context.Context, input []float32) (model.Answer, error) {
	j := &job{ctx: ctx, input: input}
	var a model.Answer
	err := e.recoverPanic(func() error {
		if err := e.infer(j); err != nil {
			return err
		}
		a = e.Answer(j.outputs)
		return nil
	})
	return a, err
}

// MemoryBytes estimates the memory that the engine takes under load.
func (e *Engine) MemoryBytes() int64 {
	input := 4 * int64(e.Spec().ValueCount())
	return e.Classifier.MemoryBytes(e.workers, e.maxBatch) + int64(e.workers)*int64(e.maxBatch)*input
}

// Workers returns the number of batches that the engine computes at a time.
func (e *Engine) Workers() int { return e.workers }

// MaxBatch returns the largest number of inputs of a batch.
func (e *Engine) MaxBatch() int { return e.maxBatch }

// Sample is a picture that an engine has answered.
type Sample struct {
	Picture []byte    // encoded; nil if the request had preprocessed values
	Input   []float32 // preprocessed
	Answer  *Answer
	Others  int // further pictures that the service is processing
}

// Observe makes the engine call f after each answer, before the client has it; nil ends that. f must
// return at once, and must not keep the slices of the sample.
func (e *Engine) Observe(f func(Sample)) {
	if f == nil {
		e.observer.Store(nil)
		return
	}
	e.observer.Store(&f)
}

// infer computes a job's outputs, and its activation map if it needs one. It returns the error of the
// model or of the job's context. In the latter case the engine may still read the input for a while,
// so it must not be written to.
func (e *Engine) infer(j *job) error {
	j.queued, j.done = time.Now(), make(chan error, 1)
	select {
	case e.waiting <- j:
	case <-j.ctx.Done():
		return j.ctx.Err()
	}
	select {
	case err := <-j.done:
		return err
	case <-j.ctx.Done():
		return j.ctx.Err()
	}
}

// work computes batches until waiting is closed.
func (e *Engine) work() {
	var inputs, rows []float32
	for first := range e.waiting {
		if first.cores != nil {
			first.cores.acquireInference() // meanwhile further inputs may arrive
		}
		inputs, rows = e.computeBatch(e.collectBatch(first), inputs, rows)
		if first.cores != nil {
			first.cores.release()
		}
	}
}

// computeBatch computes a batch of jobs, which may be empty. inputs and rows are memory, which it returns,
// larger if need be.
func (e *Engine) computeBatch(batch []*job, inputs, rows []float32) (_, _ []float32) {
	if len(batch) == 0 {
		return inputs, rows
	}
	ctx, cancel := joinContexts(batch)
	ctx, span := observe.StartBatch(ctx, e.name, contexts(batch))
	length, outputs := len(batch[0].input), e.outputs
	if len(batch) > 1 && len(inputs) < e.maxBatch*length {
		inputs = make([]float32, e.maxBatch*length)
	}
	if len(rows) < len(batch)*outputs {
		rows = make([]float32, e.maxBatch*outputs)
	}
	in, out := batch[0].input, rows[:len(batch)*outputs]
	if len(batch) > 1 {
		in = inputs[:len(batch)*length]
		for i, j := range batch {
			copy(in[i*length:], j.input)
		}
	}
	began := time.Now()
	computing, inference := observe.Start(ctx, "inference")
	var features []float32
	err := e.recoverPanic(func() (err error) {
		features, err = e.computeOutputs(computing, in, out)
		return err
	})
	took := time.Since(began)
	observe.End(inference, err)
	observe.End(span, err)
	cancel()
	e.metrics.CountBatch(e.name, len(batch))
	if err == nil && !batch[0].warmUp {
		e.counters.countBatch(len(batch), took)
	}
	for i, j := range batch {
		j.inference = took
		if err == nil {
			j.outputs = append(j.outputs[:0], out[i*outputs:][:outputs]...)
			j.embedding = slices.Clone(features[i*len(features)/len(batch):][:len(features)/len(batch)])
			e.explain(j)
		}
		// An ended context is the error of its own job only.
		if jobErr := j.ctx.Err(); jobErr != nil {
			j.done <- jobErr
		} else {
			j.done <- err
		}
	}
	return inputs, rows
}

// computeOutputs writes a row of outputs for each input. It returns the feature vectors of the inputs, one
// after another, if answers have embeddings.
func (e *Engine) computeOutputs(ctx context.Context, inputs, rows []float32) (features []float32, err error) {
	if e.embedder == nil {
		return nil, e.Outputs(ctx, inputs, rows)
	}
	features = make([]float32, len(rows)/e.outputs*e.embedder.FeatureCount())
	if err = e.embedder.Features(ctx, inputs, features); err != nil {
		return nil, err
	}
	return features, e.embedder.HeadOutputs(ctx, features, rows)
}

// collectBatch returns the first job and a share of the waiting ones, without those whose context has
// ended.
func (e *Engine) collectBatch(first *job) []*job {
	var batch []*job
	add := func(j *job) {
		now := time.Now()
		j.wait = now.Sub(j.queued)
		observe.AddSpan(j.ctx, "queue", j.queued, now)
		if err := j.ctx.Err(); err != nil {
			j.done <- err
			return
		}
		batch = append(batch, j)
	}
	most := min(e.maxBatch, 1+len(e.waiting)/e.workers)
	add(first)
	for len(batch) < most {
		select {
		case j, open := <-e.waiting:
			if !open {
				return batch
			}
			add(j)
		default:
			return batch
		}
	}
	return batch
}

// explain computes the activation map of a job that needs one.
func (e *Engine) explain(j *job) {
	if !j.explain {
		return
	}
	// An error here costs the map, not the answer.
	_ = e.recoverPanic(func() (err error) {
		class := j.class
		if class < 0 {
			class = nn.Argmax(j.outputs[:e.classes])
		}
		j.heat, err = e.ActivationMap(j.ctx, j.input, class)
		return err
	})
}

// ErrPanic is the error of a panic while a request was processed.
var ErrPanic = errors.New("the model failed")

// recoverPanic calls do and turns a panic into an error: one request must not end the engine.
func (e *Engine) recoverPanic(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			e.metrics.CountPanic()
			err = fmt.Errorf("%w: %v", ErrPanic, r)
		}
	}()
	return do()
}

// contexts returns the contexts of jobs.
func contexts(batch []*job) []context.Context {
	all := make([]context.Context, len(batch))
	for i, j := range batch {
		all[i] = j.ctx
	}
	return all
}

// joinContexts returns a context that ends when the contexts of all jobs have: then no client waits
// for the batch any more.
func joinContexts(batch []*job) (context.Context, context.CancelFunc) {
	if len(batch) == 1 {
		return context.WithCancel(batch[0].ctx)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var left atomic.Int64
	left.Store(int64(len(batch)))
	var stops []func() bool
	for _, j := range batch {
		stops = append(stops, context.AfterFunc(j.ctx, func() {
			if left.Add(-1) == 0 {
				cancel()
			}
		}))
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		cancel()
	}
}
