package queue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"garb/picture"
	"garb/results"
)

// Source reads pictures from where they are.
type Source interface {
	// Read returns the bytes of a picture. An error is tried again later, unless it is
	// fs.ErrNotExist, fs.ErrPermission, a *picture.Error or a *PermanentError.
	Read(ctx context.Context, p Picture) ([]byte, error)
}

// Worker says how to work on a job.
type Worker struct {
	// Digest is the digest of the model that Compute uses. It must be the job's.
	Digest string
	Source Source
	// Compute returns the row of a picture. Several goroutines call it at a time. It need not
	// set the fields Picture, Index and Failure. An error is the picture's: it becomes a dead
	// letter, and the others go on.
	Compute func(ctx context.Context, p Picture, data []byte) (Row, error)
	// Describe returns an error as it is stored with a picture; nil means DescribeError.
	Describe func(error) results.Failure

	Threads int // pictures that are computed at a time; 0 means one for each core
	Readers int // pictures that are read or wait for a thread; 0 means 8 and two for each thread
	// Wait keeps the worker waiting for more pictures when none are left.
	Wait bool
	// Attempts is how often the batch of a picture that cannot be read for now is handed out
	// before the picture becomes a dead letter; 0 means 10, in about twenty minutes.
	Attempts int
	// ReadTimeout bounds the time to read one picture; 0 means a minute.
	ReadTimeout time.Duration
	// Delays are the waits before another attempt; nil means 1 s, 5 s, 15 s, … up to 5 minutes.
	Delays []time.Duration

	// Done, unless nil, is called after each batch with the numbers of its results and of its
	// dead letters. Calls can be concurrent.
	Done func(done, dead int)
}

const defaultAttempts = 10

var defaultDelays = []time.Duration{
	time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute,
}

func (w Worker) withDefaults() Worker {
	if w.Threads == 0 {
		w.Threads = runtime.GOMAXPROCS(0)
	}
	if w.Readers == 0 {
		w.Readers = 8 + 2*w.Threads
	}
	if w.Describe == nil {
		w.Describe = DescribeError
	}
	if w.Attempts == 0 {
		w.Attempts = defaultAttempts
	}
	if w.ReadTimeout == 0 {
		w.ReadTimeout = time.Minute
	}
	if w.Delays == nil {
		w.Delays = defaultDelays
	}
	if w.Done == nil {
		w.Done = func(int, int) {}
	}
	return w
}

// DescribeError returns an error with the kinds of package picture, or not_found, denied,
// timeout or unreadable.
func DescribeError(err error) results.Failure {
	kind := picture.KindOf(err)
	switch {
	case kind != "":
	case errors.Is(err, fs.ErrNotExist):
		kind = "not_found"
	case errors.Is(err, fs.ErrPermission):
		kind = "denied"
	case errors.Is(err, context.DeadlineExceeded):
		kind = "timeout"
	default:
		kind = "unreadable"
	}
	return results.Failure{Kind: kind, Message: err.Error()}
}

// isPermanent reports whether another attempt to read a picture is useless.
func isPermanent(err error) bool {
	var permanent *PermanentError
	var bad *picture.Error
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.As(err, &permanent) ||
		errors.As(err, &bad)
}

// WorkReport counts what a worker did.
type WorkReport struct {
	Done, Dead int // pictures
	Returned   int // batches that were handed back: unreadable for now, or not finished when the worker was stopped
}

// run is a call of Work.
type run struct {
	q        *Queue
	job      Job
	worker   Worker
	id       string
	consumer jetstream.Consumer
	marks    jetstream.KeyValue

	readers chan struct{} // a place for each picture in memory
	threads chan struct{} // a place for each picture that is computed
	// alone is locked for a batch whose worker has died before, so that it is the only one that
	// can kill this worker. All other batches share it.
	alone sync.RWMutex

	batches sync.WaitGroup
	busy    atomic.Int64
	wake    atomic.Pointer[context.CancelFunc] // ends the wait for a batch
	failed  chan error                         // the first error that ends the worker

	done, dead, returned atomic.Int64

	idle struct { // since when this worker waits for others, and where they were then
		since time.Time
		floor uint64
	}
}

// Work takes batches of a job and publishes their results, until all pictures of the job have
// one or ctx ends. Then it hands back the batches that it has not finished. It returns a
// *DigestError if its model is not the job's.
func (q *Queue) Work(ctx context.Context, job string, w Worker) (WorkReport, error) {
	j, err := q.Job(ctx, job)
	if err != nil {
		return WorkReport{}, err
	}
	if w.Digest != j.Digest {
		return WorkReport{}, &DigestError{job, w.Digest, j.Digest}
	}
	w = w.withDefaults()
	r := &run{
		q: q, job: j, worker: w, id: nuid.Next(),
		readers: make(chan struct{}, w.Readers), threads: make(chan struct{}, w.Threads),
		failed: make(chan error, 1),
	}
	if err = r.connect(ctx); err != nil {
		return WorkReport{}, err
	}
	working, cancel := context.WithCancel(ctx)
	err = r.takeAll(working)
	if err != nil {
		cancel() // hands the other batches back
	}
	r.batches.Wait()
	cancel()
	select {
	case failure := <-r.failed:
		err = failure
	default:
	}
	if syncErr := q.sync(job); err == nil {
		err = syncErr
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return WorkReport{int(r.done.Load()), int(r.dead.Load()), int(r.returned.Load())}, err
}

// connect finds the marks of the job and its consumer, which it creates the first time.
func (r *run) connect(ctx context.Context) error {
	if _, err := r.q.stream(ctx, resultStream(r.job.Name)); err != nil { // for checkJob
		return err
	}
	err := r.q.retry(ctx, func(ctx context.Context) error {
		var err error
		r.consumer, err = r.q.js.CreateConsumer(ctx, pictureStream(r.job.Name), jetstream.ConsumerConfig{
			Durable: consumerName, AckPolicy: jetstream.AckExplicitPolicy, AckWait: r.job.deadline(),
			MaxDeliver: -1, MaxAckPending: -1,
		})
		if err != nil {
			return err
		}
		r.marks, err = r.q.js.KeyValue(ctx, markBucket(r.job.Name))
		return err
	})
	return r.q.explainConsumer(pictureStream(r.job.Name), err)
}

// takeAll takes batches until none are left.
func (r *run) takeAll(ctx context.Context) error {
	requests := &intake{run: r}
	if err := r.takeFrom(ctx, requests); err != nil {
		requests.close()
		return err
	}
	go requests.close() // hands back a batch that is put at this moment; the caller need not wait for that
	return nil
}

// takeFrom takes batches from requests until none are left.
func (r *run) takeFrom(ctx context.Context, requests *intake) error {
	// Enough batches to keep all readers busy, and one more.
	slots := make(chan struct{}, 1+(r.worker.Readers+r.job.Batch-1)/r.job.Batch)
	answered := time.Now() // when the server last answered
	for {
		select {
		case slots <- struct{}{}:
		case err := <-r.failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
		m, err := requests.next(ctx)
		switch {
		case err == nil:
			answered = time.Now()
			r.start(ctx, m, slots)
			continue
		case errors.Is(err, nats.ErrTimeout):
			var finished bool
			if finished, err = r.isFinished(ctx); finished && err == nil {
				return nil
			}
		}
		<-slots
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			answered = time.Now()
		case isTransient(err):
			if time.Since(answered) > r.q.options.Patience {
				if r.q.checkSpace() == nil {
					return &NoAnswerError{r.q.place(), err}
				}
				answered = time.Now() // the batches of this worker wait for space, too
			}
			sleep(ctx, hostCheck)
		default:
			return fmt.Errorf("cannot take a batch of job %q: %w", r.job.Name, err)
		}
	}
}

// start handles a batch in the background, and frees its slot at the end.
func (r *run) start(ctx context.Context, m jetstream.Msg, slots <-chan struct{}) {
	r.busy.Add(1)
	r.batches.Go(func() {
		defer func() { <-slots }()
		defer func() {
			if wake := r.wake.Load(); r.busy.Add(-1) == 0 && wake != nil {
				(*wake)()
			}
		}()
		if err := r.handle(ctx, m); err != nil && ctx.Err() == nil {
			select {
			case r.failed <- err:
			default:
			}
		}
	})
}

// isFinished reports whether no batch is left, neither here nor with other workers.
func (r *run) isFinished(ctx context.Context) (bool, error) {
	attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	info, err := r.consumer.Info(attempt)
	if err != nil {
		return false, err
	}
	if r.busy.Load() > 0 {
		return false, nil
	}
	if info.NumPending > 0 || info.NumAckPending > 0 {
		// Others have the batches that are left, or the server cannot read them.
		r.warnIdle(info)
		return false, r.q.checkMessage(attempt, pictureStream(r.job.Name), info.AckFloor.Stream+1)
	}
	if r.worker.Wait {
		return false, nil
	}
	return true, r.q.checkJob(ctx, r.job.Name)
}

// idleDeadlines is the number of deadlines without progress after which warnIdle speaks.
const idleDeadlines = 4

// warnIdle warns if other workers have all batches that are left and finish none for a long time. A batch can
// take that long; but the server also waits for workers that never were if the file with its state is
// damaged.
func (r *run) warnIdle(info *jetstream.ConsumerInfo) {
	if r.idle.since.IsZero() || info.AckFloor.Stream != r.idle.floor {
		r.idle.since, r.idle.floor = time.Now(), info.AckFloor.Stream
	}
	if time.Since(r.idle.since) < idleDeadlines*r.job.deadline() {
		return
	}
	r.idle.since = time.Now()
	text := fmt.Sprintf("other workers have the last %d batches of job %q, and do not finish them", info.NumAckPending,
		r.job.Name)
	if r.q.host != nil {
		text += "; if there is no other worker, end this one and remove the folder " +
			filepath.Join(r.q.options.Dir, consumerFolder(pictureStream(r.job.Name)))
	}
	r.q.options.Warn(errors.New(text))
}
