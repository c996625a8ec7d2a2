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

// How long next waits: short while a batch of this worker may be the last of the job, so that the
// worker ends soon after it, and longer when other workers have the last batches.
const (
	shortWait = 200 * time.Millisecond
	longWait  = 2 * time.Second
)

// next returns the next batch. The error is nats.ErrTimeout if there is none for now.
func (n *intake) next(ctx context.Context) (jetstream.Msg, error) {
	if n.messages == nil {
		var err error
		if n.messages, err = n.run.consumer.Messages(jetstream.PullMaxMessages(1)); err != nil {
			return nil, err
		}
	}
	if n.run.busy.Load() > 0 {
		n.wait = shortWait
	}
	limited, cancel := context.WithTimeout(ctx, max(n.wait, shortWait))
	defer cancel()
	m, err := n.messages.Next(jetstream.NextContext(limited))
	switch {
	case err == nil:
		n.wait = shortWait
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case limited.Err() != nil:
		n.wait = min(2*n.wait, longWait)
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
