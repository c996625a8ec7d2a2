package serve

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"garb/model"
	"garb/picture"
)

// Classifier is what the service asks of a model; a *model.Classifier is one.
type Classifier interface {
	Digest() string
	Classes() []string
	Spec() picture.Spec
	// OutputCount is the length of a row of Outputs: the number of classes, and one more if the
	// model judges whether a picture shows any of them.
	OutputCount() int
	// Outputs writes a row of outputs for each input, one after another: the logits of the
	// classes, and behind them that of the acceptance if the model judges.
	Outputs(ctx context.Context, inputs, rows []float32) error
	// AcceptanceThreshold is the acceptance from which a picture is accepted, from 0 to 1.
	AcceptanceThreshold() float64
	// Answer returns what the model says of a picture with this row of outputs.
	Answer(row []float32) model.Answer
	// List returns predictions with what identifies ImageNet's classes.
	List(predictions []model.Prediction) []model.ListedPrediction
	ActivationMap(ctx context.Context, input []float32, class int) (*model.ActivationMap, error)
}

// engine computes the inputs of one model. Each of its workers takes its share of what is
// waiting, up to maxBatch inputs, computes them together and takes again: so a lone input
// never waits for others, and the more wait, the larger the batches are.
type engine struct {
	model    Classifier
	classes  int
	outputs  int // of one input
	workers  int
	maxBatch int
	metrics  *metrics
	name     string

	waiting chan *job
	ended   chan struct{}
	users   sync.WaitGroup
	inputs  sync.Pool // of []float32 of one input
}

// job is one input on its way through an engine.
type job struct {
	ctx     context.Context
	input   []float32
	outputs []float32 // a row of the model's
	explanation
	heat *model.ActivationMap

	queued    time.Time
	wait      time.Duration // in the queue
	inference time.Duration
	done      chan error // of one
}

// explanation is an activation map that is asked for, or not.
type explanation struct {
	explain bool
	class   int // whose; -1: that of the most probable class
}

func newEngine(name string, model Classifier, c Config, m *metrics) *engine {
	e := &engine{
		model: model, classes: len(model.Classes()), outputs: model.OutputCount(),
		workers: c.Workers, maxBatch: c.MaxBatch, metrics: m, name: name,
		waiting: make(chan *job, c.Queue), ended: make(chan struct{}),
	}
	length := model.Spec().ValueCount()
	e.inputs.New = func() any { v := make([]float32, length); return &v }
	var running sync.WaitGroup
	for range e.workers {
		running.Go(e.run)
	}
	go func() {
		running.Wait()
		close(e.ended)
	}()
	return e
}

// judges reports whether the model says if a picture shows any of its classes.
func (e *engine) judges() bool { return e.outputs > e.classes }

// retire ends the engine once all who use it have done so.
func (e *engine) retire() {
	e.users.Wait()
	close(e.waiting)
	<-e.ended
}

// infer computes one input, whose outputs, and map if it is asked for, are then in the
// job. The error is that of the job's context, or the model's. After the context's the
// engine may still read the input for a while, so that nobody may write to it.
func (e *engine) infer(j *job) error {
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

// run is a worker: it computes until waiting is closed.
func (e *engine) run() {
	var inputs, rows []float32
	for first := range e.waiting {
		batch := e.batch(first)
		if len(batch) == 0 {
			continue
		}
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
		ctx, cancel := ofAll(batch)
		began := time.Now()
		err := e.guarded(func() error { return e.model.Outputs(ctx, in, out) })
		cancel()
		took := time.Since(began)
		e.metrics.batch(e.name, len(batch))
		for i, j := range batch {
			j.inference = took
			if err == nil {
				j.outputs = append(j.outputs[:0], out[i*outputs:][:outputs]...)
				e.explain(j)
			}
			// One who has left does not make the others' error.
			if jobErr := j.ctx.Err(); jobErr != nil {
				j.done <- jobErr
			} else {
				j.done <- err
			}
		}
	}
}

// batch takes a share of what waits beside the first, and leaves those out whose clients
// have gone.
func (e *engine) batch(first *job) []*job {
	var batch []*job
	add := func(j *job) {
		j.wait = time.Since(j.queued)
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

// explain adds the map of a job that asks for one; without it, the answer stands.
func (e *engine) explain(j *job) {
	if !j.explain {
		return
	}
	// What goes wrong here costs the map, not the answer.
	_ = e.guarded(func() (err error) {
		class := j.class
		if class < 0 {
			class = model.Rank(j.outputs[:e.classes])[0]
		}
		j.heat, err = e.model.ActivationMap(j.ctx, j.input, class)
		return err
	})
}

// errPanic says that answering failed in a way that nobody expected.
var errPanic = errors.New("the model failed")

// guarded makes an error of a panic: one request must not end the engine.
func (e *engine) guarded(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			e.metrics.panics.Inc()
			err = fmt.Errorf("%w: %v", errPanic, r)
		}
	}()
	return do()
}

// ofAll is a context that ends when those of all jobs have: then nobody waits for the
// batch any more.
func ofAll(batch []*job) (context.Context, context.CancelFunc) {
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
