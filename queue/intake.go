package queue

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// intake asks the server for batches, one at a time. A request stays open until a batch
// answers it, so that a batch that comes late is not lost.
type intake struct {
	run      *run
	messages jetstream.MessagesContext // nil before the first request
	wait     time.Duration
}

// How long next waits: until a batch of this worker ends, which may be the last of the job; then shortly, until the
// server has noted that; and longer and longer when other workers have the last batches.
const (
	firstWait = 5 * time.Millisecond
	longWait  = 2 * time.Second
	staleWait = 200 * time.Millisecond // after which a request is taken for lost if the server has batches
)

// next returns the next batch. The error is nats.ErrTimeout if there is none for now.
func (n *intake) next(ctx context.Context) (jetstream.Msg, error) {
	if n.messages == nil {
		var err error
		if n.messages, err = n.run.consumer.Messages(jetstream.PullMaxMessages(1)); err != nil {
			return nil, err
		}
	}
	limited, cancel := context.WithCancel(ctx)
	defer cancel()
	n.run.wake.Store(&cancel) // before busy is read, so that the end of the last batch is not missed
	wait, busy := max(n.wait, firstWait), n.run.busy.Load() > 0
	if busy {
		wait = longWait
	}
	defer time.AfterFunc(wait, cancel).Stop()
	m, err := n.messages.Next(jetstream.NextContext(limited))
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
	case errors.Is(err, jetstream.ErrMsgIteratorClosed):
		n.messages = nil
	}
	return m, err
}

// close ends the request, and hands back a batch that has answered it meanwhile.
func (n *intake) close() {
	if n.messages == nil {
		return
	}
	n.messages.Drain()
	for {
		m, err := n.messages.Next(jetstream.NextMaxWait(closeWait))
		if err != nil {
			break
		}
		n.run.decline(m)
	}
	n.messages = nil
}

// closeWait bounds how long the end of a worker waits for a server that does not answer.
const closeWait = 5 * time.Second
