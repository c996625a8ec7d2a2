package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"garb/results"
)

// claim is a batch that this worker has taken.
type claim struct {
	batch
	m       jetstream.Msg
	first   uint64 // batch in which the pictures were put
	attempt int    // 0, or how often dead letters were put in again
	mark    mark
	careful bool   // workers have died with it
	release func() // ends the extension of its deadline; nil before it starts
}

// carefulAfter is the number of times that a worker may vanish with a batch before the next
// one takes its pictures one at a time.
const carefulAfter = 2

// handle computes a batch and publishes its result, or hands it back. An error ends the
// worker: the server does not answer.
func (r *run) handle(ctx context.Context, m jetstream.Msg) error {
	c, err := r.claim(ctx, m)
	if err != nil && ctx.Err() != nil {
		return r.decline(m)
	}
	if c == nil {
		return err
	}
	c.release = r.keepClaim(m)
	defer c.release()
	rows, err := r.computeBatch(ctx, c)
	var unread *unreadError
	switch {
	case ctx.Err() != nil:
		return r.handBack(c, 0)
	case errors.As(err, &unread):
		c.mark.Failed++
		delays := r.worker.Delays
		r.q.options.Warn(fmt.Errorf("%w; it is tried again later", unread))
		return r.handBack(c, delays[min(c.mark.Failed, len(delays))-1])
	case err != nil:
		return err
	}
	stored, err := r.publishResult(ctx, c, rows)
	if err != nil && ctx.Err() != nil {
		return r.handBack(c, 0)
	}
	if err != nil {
		return err
	}
	if stored {
		done, dead := countRows(rows)
		r.done.Add(int64(done))
		r.dead.Add(int64(dead))
		r.worker.Done(done, dead)
	}
	return r.acknowledge(m)
}

// acknowledge tells the server that a batch is finished. If that is lost, the batch comes back
// and is acknowledged again, since it has a result.
func (r *run) acknowledge(m jetstream.Msg) error {
	if err := m.Ack(); err != nil && !isTransient(err) {
		return fmt.Errorf("cannot acknowledge a batch: %w", err)
	}
	return nil
}

// claim parses a batch. It returns nil if there is nothing to do.
func (r *run) claim(ctx context.Context, m jetstream.Msg) (*claim, error) {
	about, err := m.Metadata()
	if err != nil {
		return nil, err
	}
	b, err := parseBatch(m.Data())
	if err != nil {
		r.q.options.Warn(fmt.Errorf("message %d of job %q is not a batch of this version of garb: %w",
			about.Sequence.Stream, r.job.Name, err))
		return nil, m.TermWithReason("not a batch")
	}
	c := &claim{batch: b, m: m, first: about.Sequence.Stream, mark: mark{Current: none}}
	if b.Of != 0 {
		c.first, c.attempt = b.Of, b.Attempt
	}
	if about.NumDelivered == 1 {
		return c, nil
	}
	has, err := r.hasResult(ctx, c)
	if err != nil {
		return nil, err
	}
	if has {
		return nil, r.acknowledge(m)
	}
	if c.mark, err = r.readMark(ctx, c); err != nil {
		return nil, err
	}
	c.careful = int(about.NumDelivered)-1-c.mark.Returned >= carefulAfter
	return c, nil
}

// hasResult reports whether another worker has published the result of the batch.
func (r *run) hasResult(ctx context.Context, c *claim) (bool, error) {
	_, err := r.q.readResult(ctx, r.job.Name, c.first, c.attempt)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	return err == nil, err
}

// keepClaim extends the deadline of a batch until stop is called.
func (r *run) keepClaim(m jetstream.Msg) (stop func()) {
	ended := make(chan struct{})
	var beats sync.WaitGroup
	beats.Go(func() {
		tick := time.NewTicker(r.job.deadline() / 3)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				m.InProgress() // if one is lost, the next one is in time
			case <-ended:
				return
			}
		}
	})
	return sync.OnceFunc(func() {
		close(ended)
		beats.Wait()
	})
}

// decline hands back a batch that this worker has not started. It also works after the context of
// the worker has ended.
func (r *run) decline(m jetstream.Msg) error {
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	c, err := r.claim(ctx, m)
	if c == nil {
		return err
	}
	return r.handBack(c, 0)
}

// handBack gives a batch to another worker, after a delay. It also works after the context of
// the worker has ended.
func (r *run) handBack(c *claim, delay time.Duration) error {
	c.mark.Returned++
	c.mark.Current = none
	r.returned.Add(1)
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	r.writeMark(ctx, c) // without it, on a full disk, the next worker may only be more careful than it has to be
	if c.release != nil {
		c.release() // an extension that comes after the rejection would undo it
	}
	r.reject(c.m, max(delay, time.Millisecond))
	return nil
}

// reject tells the server to hand out a batch again after a delay, and waits until it has noted that: a server that
// ends first would keep the batch until its deadline. It stores only a delay; it forgets a batch that is handed back
// without one if it ends before it hands the batch out again.
func (r *run) reject(m jetstream.Msg, delay time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	r.q.js.Conn().RequestWithContext(ctx, m.Reply(), fmt.Appendf(nil, `-NAK {"delay": %d}`, delay.Nanoseconds()))
}

// unreadError reports a picture that cannot be read for now.
type unreadError struct {
	picture string
	err     error
}

func (e *unreadError) Error() string { return fmt.Sprintf("%s: %v", e.picture, e.err) }
func (e *unreadError) Unwrap() error { return e.err }

// computeBatch returns a row for each picture of a batch.
func (r *run) computeBatch(ctx context.Context, c *claim) ([]Row, error) {
	if c.careful {
		r.alone.Lock()
		defer r.alone.Unlock()
		return r.computeCarefully(ctx, c)
	}
	r.alone.RLock()
	defer r.alone.RUnlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rows, errs := make([]Row, len(c.Pictures)), make([]error, len(c.Pictures))
	var pictures sync.WaitGroup
	for i := range c.Pictures {
		select {
		case r.readers <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		pictures.Go(func() {
			defer func() { <-r.readers }()
			if rows[i], errs[i] = r.computePicture(ctx, c, i); errs[i] != nil {
				cancel()
			}
		})
	}
	pictures.Wait()
	for _, err := range errs {
		var unread *unreadError
		if errors.As(err, &unread) {
			return nil, unread
		}
	}
	return rows, ctx.Err()
}

// computePicture reads a picture and returns its row. The error is ctx's or an *unreadError.
func (r *run) computePicture(ctx context.Context, c *claim, i int) (Row, error) {
	p := c.picture(i)
	row := Row{Picture: p.Name, Index: c.Pictures[i].Index}
	data, err := r.read(ctx, p)
	switch {
	case ctx.Err() != nil:
		return row, ctx.Err()
	case err != nil && !isPermanent(err) && c.mark.Failed+1 < r.worker.Attempts:
		return row, &unreadError{p.Name, err}
	case err == nil:
		select {
		case r.threads <- struct{}{}:
		case <-ctx.Done():
			return row, ctx.Err()
		}
		var computed Row
		computed, err = r.worker.Compute(ctx, p, data)
		<-r.threads
		if ctx.Err() != nil {
			return row, ctx.Err()
		}
		computed.Picture, computed.Index, computed.Failure = row.Picture, row.Index, nil
		if err == nil {
			return computed, nil
		}
	}
	failure := r.worker.Describe(err)
	row.Failure = &failure
	return row, nil
}

// read reads a picture within the time limit, even if the source ignores ctx. Such a read is
// abandoned.
func (r *run) read(ctx context.Context, p Picture) ([]byte, error) {
	limited, cancel := context.WithTimeout(ctx, r.worker.ReadTimeout)
	defer cancel()
	type outcome struct {
		data []byte
		err  error
	}
	done := make(chan outcome, 1)
	go func() {
		data, err := r.worker.Source.Read(limited, p)
		done <- outcome{data, err}
	}()
	select {
	case o := <-done:
		return o.data, o.err
	case <-limited.Done():
		return nil, limited.Err()
	}
}

// countRows counts the results and the dead letters.
func countRows(rows []Row) (done, dead int) {
	for _, row := range rows {
		if row.Failure != nil {
			dead++
		} else {
			done++
		}
	}
	return done, dead
}

// publishResult publishes the rows of a batch. It reports false if another worker has published
// them before.
func (r *run) publishResult(ctx context.Context, c *claim, rows []Row) (bool, error) {
	messages, err := r.encodeResult(c, rows)
	if err != nil {
		return false, err
	}
	for i, m := range messages {
		err := r.publish(ctx, m)
		if i == len(messages)-1 && isTaken(err) {
			return false, nil
		}
		if err != nil && !isTaken(err) { // a part that is taken was stored by an earlier try of this call
			return false, err
		}
	}
	return true, nil
}

// encodeResult returns the messages of a result. The last one makes it valid: the parts before
// it count only if it names them. A row that fits in no message becomes a dead letter.
func (r *run) encodeResult(c *claim, rows []Row) ([]*nats.Msg, error) {
	limit := r.q.messageLimit()
	var groups []result
	size := limit
	for i, row := range rows {
		data, err := json.Marshal(row)
		if err == nil && len(data) > limit-messageReserve {
			message := fmt.Sprintf("the result takes %d bytes; the server accepts messages of %d", len(data), limit)
			row = Row{Picture: row.Picture, Index: row.Index, Failure: &results.Failure{Kind: "too_large",
				Message: message}}
			rows[i] = row
			data, err = json.Marshal(row)
		}
		if err != nil {
			return nil, err
		}
		if size+len(data)+1 > limit-messageReserve {
			groups = append(groups, result{})
			size = 0
		}
		group := &groups[len(groups)-1]
		group.Rows = append(group.Rows, row)
		size += len(data) + 1
	}
	main := result{Rows: groups[0].Rows}
	if len(groups) > 1 {
		main.Writer, main.Parts = r.id, len(groups)-1
	}
	var messages []*nats.Msg
	for i, part := range groups[1:] {
		m, err := newMessage(partSubject(r.job.Name, c.first, c.attempt, r.id, i), part)
		if err != nil {
			return nil, err
		}
		messages = append(messages, m)
	}
	m, err := newMessage(resultSubject(r.job.Name, c.first, c.attempt), main)
	if err != nil {
		return nil, err
	}
	done, dead := 0, 0
	for _, group := range groups {
		a, b := countRows(group.Rows)
		done, dead = done+a, dead+b
	}
	m.Header.Set(doneHeader, strconv.Itoa(done))
	m.Header.Set(deadHeader, strconv.Itoa(dead))
	return append(messages, m), nil
}

func newMessage(subject string, body any) (*nats.Msg, error) {
	m := nats.NewMsg(subject)
	var err error
	m.Data, err = json.Marshal(body)
	return m, err
}

// fullWait is the time between two attempts to store a result on a full disk.
const fullWait = time.Second

// publish publishes a message and waits until the server has stored it. It waits for space as
// long as ctx allows, because the work would be lost otherwise.
func (r *run) publish(ctx context.Context, m *nats.Msg) error {
	warned := false
	for {
		err := r.q.retry(ctx, func(ctx context.Context) error {
			_, err := r.q.js.PublishMsg(ctx, m, jetstream.WithRetryAttempts(0))
			return err
		})
		if !isFull(err) {
			return err
		}
		if !warned {
			r.q.options.Warn(err)
			warned = true
		}
		if err := sleep(ctx, fullWait); err != nil {
			return err
		}
	}
}
