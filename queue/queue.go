// Package queue spreads the pictures of a job over many workers, with NATS JetStream.
//
//	q, err := queue.Open(ctx, queue.Options{Dir: "garb-queue"})
//	err = q.Create(ctx, queue.Job{Name: "shop", Task: queue.Classify, Model: "clothing", Digest: digest})
//	report, err := q.Put(ctx, "shop", pictures, queue.PutOptions{})
//	err = q.Work(ctx, "shop", worker) // in as many processes as you like
//	for row, err := range q.Results(ctx, "shop", false) { … }
//
// A job has two streams. One is the log of the pictures that were put, in batches. Its only
// consumer hands the batches to the workers, and hands a batch out again if its worker dies.
// The other stream has one result for each batch. The server refuses a second result for the
// same batch, however late it comes. So each picture has exactly one row, whatever fails.
package queue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Options says where the queue is.
type Options struct {
	// Dir is the folder of a queue on this machine. The first process that opens it runs the
	// server. If that process ends, another one that has the queue open takes over.
	Dir string
	// Existing makes it a *NoQueueError if Dir has no queue; otherwise Open makes one.
	Existing bool
	// Listen is the address, such as 0.0.0.0:4222, at which the server of Dir also accepts other
	// machines; "" means a free port of this machine only.
	Listen string
	// MaxBytes bounds the size of Dir; 0 means that only the disk does.
	MaxBytes int64

	// URL is the address of a NATS server or cluster with JetStream, instead of Dir.
	URL         string
	Token       string // for URL and Listen; "" means none for URL and a random one for Listen
	Credentials string // file with the credentials of a NATS user, for URL
	Replicas    int    // copies that a cluster keeps of a new job; 0 means 1

	// Patience is how long to wait for a server that does not answer; 0 means two minutes.
	Patience time.Duration
	// Warn, unless nil, is called with what the queue recovers from, such as a full disk. Calls
	// can be concurrent.
	Warn func(error)
}

// defaultPatience is enough for a server to restart, or for a cluster to elect a leader.
const defaultPatience = 2 * time.Minute

// Validate reports options that do not go together.
func (o Options) Validate() error {
	switch {
	case o.Dir == "" && o.URL == "":
		return errors.New("a queue needs a folder or the address of a NATS server")
	case o.Dir != "" && o.URL != "":
		return errors.New("a queue is in a folder or on a NATS server, not both")
	case o.URL != "" && (o.Listen != "" || o.MaxBytes != 0 || o.Existing):
		return errors.New("a NATS server has its own folder, address and limits")
	case o.Dir != "" && (o.Credentials != "" || o.Replicas > 1):
		return errors.New("a queue in a folder has no credentials and no replicas")
	case o.Credentials != "" && o.Token != "":
		return errors.New("a NATS server takes a token or credentials, not both")
	case o.Replicas < 0 || o.Replicas > 5:
		return fmt.Errorf("%d replicas: JetStream keeps 1 to 5", o.Replicas)
	case o.MaxBytes < 0 || o.Patience < 0:
		return errors.New("the limits of a queue must not be negative")
	}
	return nil
}

// Queue is an open queue. Its methods are safe for concurrent use.
type Queue struct {
	options Options
	nc      *nats.Conn
	js      jetstream.JetStream
	host    *host // nil for a server of its own
	stop    context.CancelFunc
	running sync.WaitGroup
	streams sync.Map // openStream by name
}

// Open opens a queue. Close it, so that another process can take over its folder at once.
func Open(ctx context.Context, o Options) (*Queue, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Patience == 0 {
		o.Patience = defaultPatience
	}
	if o.Warn == nil {
		o.Warn = func(error) {}
	}
	keeping, stop := context.WithCancel(context.WithoutCancel(ctx))
	q := &Queue{options: o, stop: stop}
	var err error
	if o.Dir != "" {
		err = q.openFolder(ctx, keeping)
	} else {
		err = q.openServer(ctx)
	}
	if err == nil {
		q.js, err = jetstream.New(q.nc)
	}
	if err == nil && o.URL != "" {
		err = q.checkJetStream(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, q.Close())
	}
	return q, nil
}

// openServer connects to a NATS server.
func (q *Queue) openServer(ctx context.Context) error {
	options := connectionOptions()
	if q.options.Token != "" {
		options = append(options, nats.Token(q.options.Token))
	}
	if q.options.Credentials != "" {
		options = append(options, nats.UserCredentials(q.options.Credentials))
	}
	nc, err := nats.Connect(q.options.URL, options...)
	if err != nil {
		return fmt.Errorf("%s: cannot connect to the NATS server: %w", q.options.URL, err)
	}
	q.nc = nc
	return ctx.Err()
}

// connectionOptions returns the options that all connections share.
func connectionOptions() []nats.Option {
	return []nats.Option{
		nats.Name("garb"),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(200 * time.Millisecond),
		nats.IgnoreAuthErrorAbort(), // the token of a folder changes with its server
	}
}

// checkJetStream reports a NATS server without JetStream.
func (q *Queue) checkJetStream(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err := q.js.AccountInfo(ctx)
	if errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) {
		return fmt.Errorf("%s: JetStream is off: start the server with -js, or set jetstream in its configuration",
			q.options.URL)
	}
	if err != nil {
		return fmt.Errorf("%s: JetStream does not answer: %w", q.options.URL, err)
	}
	return nil
}

// Close closes the connection, and stops the server if this process runs it.
func (q *Queue) Close() error {
	q.stop()
	q.running.Wait()
	if q.nc != nil {
		q.nc.FlushTimeout(2 * time.Second) // acknowledgements in flight; lost ones do no harm
		q.nc.Close()
	}
	if q.host != nil {
		return q.host.close()
	}
	return nil
}

// Address returns the address at which other machines reach the server, "" if they cannot or if
// another process runs it.
func (q *Queue) Address() string {
	if q.host == nil || q.options.Listen == "" {
		return ""
	}
	return q.host.clientURL()
}

// retry calls f until it succeeds, fails for good, or has failed for longer than the patience. A
// full disk is a *FullError, at once.
func (q *Queue) retry(ctx context.Context, f func(context.Context) error) error {
	const most = 5 * time.Second
	wait := 50 * time.Millisecond
	began := time.Now()
	for {
		attempt, cancel := context.WithTimeout(ctx, most)
		err := f(attempt)
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !isTransient(err):
			return q.explain(err)
		case time.Since(began) > q.options.Patience:
			return &NoAnswerError{q.place(), err}
		}
		if time.Since(began) > spaceCheck {
			if full := q.checkSpace(); full != nil {
				return full
			}
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
		wait = min(2*wait, most)
	}
}

// place returns where the queue is, for errors.
func (q *Queue) place() string {
	if q.options.Dir != "" {
		return q.options.Dir
	}
	return q.options.URL
}

// sleep waits for a time, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
