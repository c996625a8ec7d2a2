package queue

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// intake asks the server for batches, one at a time. A request stays open until a batch answers it or the server ends
// it. If this worker ended it, a batch that the server sends at that moment would reach nobody until its deadline.
type intake struct {
	run     *run
	request jetstream.MessageBatch // the open request, or nil
	expiry  time.Duration          // of the last request
	wait    time.Duration
}

// How long next waits: until a batch of this worker ends, which may be the last of the job; then shortly, until the
// server has noted that; and longer and longer when other workers have the last batches.
const (
	firstWait = 5 * time.Millisecond
	longWait  = 2 * time.Second
)

// The time after which the server ends a request. It grows while no batch comes. A worker that is stopped waits for
// the end of its request.
const (
	firstExpiry = 50 * time.Millisecond
	longExpiry  = time.Second
)

// next returns the next batch. The error is nats.ErrTimeout if there is none for now.
func (n *intake) next(ctx context.Context) (jetstream.Msg, error) {
	limited, cancel := context.WithCancel(ctx)
	defer cancel()
	n.run.wake.Store(&cancel) // before busy is read, so that the end of the last batch is not missed
	wait, busy := max(n.wait, firstWait), n.run.busy.Load() > 0
	if busy {
		wait = longWait
	}
	defer time.AfterFunc(wait, cancel).Stop()
	m, err := n.receive(limited)
	switch {
	case err == nil:
		n.wait = 0
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case limited.Err() != nil:
		n.wait = min(2*wait, longWait)
		if busy {
			n.wait = 0
		}
		return nil, nats.ErrTimeout
	}
	return m, err
}

// receive returns the batch that answers the open request, or one that it makes. It makes another one when the
// server has ended that.
func (n *intake) receive(ctx context.Context) (jetstream.Msg, error) {
	for {
		if n.request == nil {
			n.expiry = min(max(firstExpiry, 2*n.expiry), longExpiry)
			request, err := n.run.consumer.Fetch(1, jetstream.FetchMaxWait(n.expiry))
			if err != nil {
				return nil, err
			}
			n.request = request
		}
		select {
		case m, answered := <-n.request.Messages():
			err := n.request.Error()
			n.request = nil
			switch {
			case answered:
				n.expiry = 0
				return m, nil
			case errors.Is(err, jetstream.ErrConsumerDeleted), errors.Is(err, jetstream.ErrBadRequest):
				return nil, err
			case err != nil: // such as a server that stops, or that has too many requests
				<-ctx.Done()
				return nil, ctx.Err()
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// close waits for the end of the request, and hands back a batch that has answered it meanwhile.
func (n *intake) close() {
	if n.request == nil {
		return
	}
	if m, answered := <-n.request.Messages(); answered {
		n.run.decline(m)
	}
	n.request = nil
}

// closeWait bounds each step of handing back a batch, in case the server does not answer.
const closeWait = 5 * time.Second
