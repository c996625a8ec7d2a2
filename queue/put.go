package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// PutReport counts what Put did.
type PutReport struct {
	Added   int // pictures that the job did not have
	Known   int // pictures that it had
	Refused int // pictures whose names do not fit in a message
}

// PutOptions are options of Put.
type PutOptions struct {
	// Refuse, unless nil, is called with each picture that is refused.
	Refuse func(*TooLongError)
	// Progress, unless nil, is called after each group of batches.
	Progress func(PutReport)
}

// window is the number of batches that are published before Put waits for the server to
// confirm them all. It bounds what Put keeps in memory and what the server has to take at once.
const window = 64

// messageReserve is what a message has beside its body: subject and headers, in bytes.
const messageReserve = 1024

// Put adds pictures to a job. Pictures that the job has already, in the same version, are
// only counted, however long ago they were put. If Put fails, repeat it: it adds the rest. Put
// keeps 16 bytes in memory for each picture of the job.
func (q *Queue) Put(ctx context.Context, job string, pictures iter.Seq2[Picture, error], o PutOptions) (
	PutReport, error) {
	j, err := q.Job(ctx, job)
	if err != nil {
		return PutReport{}, err
	}
	p := &putter{q: q, job: j, id: nuid.Next(), known: map[key]bool{}, options: o, limit: q.messageLimit()}
	if err := p.catchUp(ctx); err != nil {
		return PutReport{}, err
	}
	for picture, err := range pictures {
		if ctx.Err() != nil {
			return p.report, ctx.Err()
		}
		if err != nil {
			return p.report, errors.Join(err, p.flush(ctx))
		}
		if err := p.add(ctx, picture); err != nil {
			return p.report, err
		}
	}
	if err := p.flush(ctx); err != nil {
		return p.report, err
	}
	if err := q.sync(job); err != nil {
		return p.report, err
	}
	return p.report, q.notePut(ctx, job, p.last)
}

// messageLimit returns the largest body of a message.
func (q *Queue) messageLimit() int { return max(int(q.nc.MaxPayload())-messageReserve, 0) }

// putter collects pictures in batches and publishes them. Each message of the log names the
// sequence number of the one before and, in a window, its ID, so that the server refuses it if
// another process has put pictures in between, and refuses to store it twice.
type putter struct {
	q       *Queue
	job     Job
	id      string
	limit   int
	options PutOptions
	report  PutReport

	known map[key]bool // pictures of the job: those in the log and those in waiting
	last  uint64       // sequence number up to which the log is known
	total int          // pictures in the log up to there

	waiting []Picture // not yet in the log
	bytes   int       // of the batch that is being filled
	filled  int       // pictures in the batch that is being filled
	starts  []int     // where batches start in waiting
}

// add adds a picture to the waiting ones, and publishes them if they are enough.
func (p *putter) add(ctx context.Context, picture Picture) error {
	size := measure(picture)
	if size+len(picture.Dir) > p.limit {
		p.report.Refused++
		if p.options.Refuse != nil {
			p.options.Refuse(&TooLongError{picture.Name, size, p.limit})
		}
		return nil
	}
	k := picture.key()
	if p.known[k] {
		p.report.Known++
		return nil
	}
	if p.startsBatch(picture, size) {
		if len(p.starts) == window {
			if err := p.flush(ctx); err != nil {
				return err
			}
			if p.known[k] { // another process has put it meanwhile
				p.report.Known++
				return nil
			}
		}
		p.starts = append(p.starts, len(p.waiting))
		p.filled, p.bytes = 0, 64+2*len(picture.Dir)
	}
	p.known[k] = true
	p.waiting = append(p.waiting, picture)
	p.filled++
	p.bytes += size
	return nil
}

// startsBatch reports whether a picture does not fit in the last batch.
func (p *putter) startsBatch(picture Picture, size int) bool {
	return len(p.starts) == 0 || p.filled == p.job.Batch || p.bytes+size > p.limit ||
		p.waiting[len(p.waiting)-1].Dir != picture.Dir
}

// measure returns the number of bytes that a picture takes in a message.
func measure(p Picture) int {
	data, err := json.Marshal(entry{p.Name, p.Version, maxBatch})
	if err != nil {
		panic(fmt.Sprintf("queue: %v", err)) // strings and numbers always have a JSON form
	}
	return len(data) + 1
}

// flush publishes the waiting pictures and waits until the server has stored them.
func (p *putter) flush(ctx context.Context) error {
	began := time.Now()
	for len(p.waiting) > 0 {
		err := p.publish(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			p.report.Added += len(p.waiting)
			p.waiting, p.starts = p.waiting[:0], p.starts[:0]
		case isFull(err):
			// Some of the batches may be stored: count them.
			if countErr := p.catchUp(ctx); countErr != nil && !isFull(countErr) {
				return errors.Join(p.q.explain(err), countErr)
			}
			return p.q.explain(err)
		case !isConflict(err) && !isTransient(err):
			return fmt.Errorf("cannot put pictures: %w", err)
		case time.Since(began) > p.q.options.Patience:
			return &NoAnswerError{p.q.place(), err}
		default: // the log has changed, or the server has: see what it has stored
			if err := p.catchUp(ctx); err != nil {
				return err
			}
		}
	}
	if p.options.Progress != nil {
		p.options.Progress(p.report)
	}
	return nil
}

// publish publishes the waiting batches at once, and waits for all acknowledgements.
func (p *putter) publish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	total, id := p.total, ""
	var acks []jetstream.PubAckFuture
	for i, start := range p.starts {
		end := len(p.waiting)
		if i+1 < len(p.starts) {
			end = p.starts[i+1]
		}
		total += end - start
		m, err := p.encode(p.waiting[start:end], total)
		if err != nil {
			return err
		}
		options := []jetstream.PublishOpt{jetstream.WithExpectLastSequence(p.last + uint64(i))}
		if i > 0 { // another process may have taken the sequence number of the batch before
			options = append(options, jetstream.WithExpectLastMsgID(id))
		}
		id = nuid.Next()
		ack, err := p.q.js.PublishMsgAsync(m, append(options, jetstream.WithMsgID(id))...)
		if err != nil {
			return err
		}
		acks = append(acks, ack)
	}
	var last uint64
	for _, ack := range acks {
		select {
		case a := <-ack.Ok():
			last = a.Sequence
		case err := <-ack.Err():
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	p.last, p.total = last, total
	return nil
}

// encode returns a message with a batch.
func (p *putter) encode(pictures []Picture, total int) (*nats.Msg, error) {
	b := batch{Dir: pictures[0].Dir}
	for i, picture := range pictures {
		b.Pictures = append(b.Pictures, entry{picture.Name, picture.Version, i})
	}
	data, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	m := nats.NewMsg(putSubject(p.job.Name))
	m.Data = data
	m.Header.Set(picturesHeader, strconv.Itoa(len(pictures)))
	m.Header.Set(totalHeader, strconv.Itoa(total))
	m.Header.Set(putHeader, p.id)
	return m, nil
}

// catchUp reads what the log has gained. Waiting pictures that are in it by now are no longer
// waiting: either this call of Put has stored them without learning so, or another process has.
func (p *putter) catchUp(ctx context.Context) error {
	stored := map[key]bool{}
	err := p.q.scan(ctx, pictureStream(p.job.Name), scanOptions{after: p.last, bodies: true},
		func(m scanned) error {
			p.last = m.sequence
			b, err := parseBatch(m.data)
			if err != nil || b.Of != 0 {
				return nil //nolint:nilerr // workers report messages that are not garb's
			}
			if p.total, err = readCount(m.header, totalHeader); err != nil {
				return err
			}
			own := m.header.Get(putHeader) == p.id
			for i := range b.Pictures {
				k := b.picture(i).key()
				p.known[k] = true
				stored[k] = true
				if own {
					p.report.Added++
				}
			}
			return nil
		})
	if err != nil {
		return err
	}
	p.dropStored(stored)
	return nil
}

// dropStored drops the waiting pictures that are stored, and forms batches of the others.
func (p *putter) dropStored(stored map[key]bool) {
	before := p.waiting
	p.waiting, p.starts = nil, nil
	for _, picture := range before {
		if stored[picture.key()] {
			continue
		}
		size := measure(picture)
		if p.startsBatch(picture, size) {
			p.starts = append(p.starts, len(p.waiting))
			p.filled, p.bytes = 0, 64+2*len(picture.Dir)
		}
		p.waiting = append(p.waiting, picture)
		p.filled++
		p.bytes += size
	}
}
