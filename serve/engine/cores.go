package engine

import (
	"container/list"
	"context"
	"sync"
)

// cores are the cores that decoding and inference share. Without sharing, both would compete for the same
// cores, and all pictures would take longer. Inference comes first: its pictures are nearly done, so the
// time that pictures take varies less. Among equals, the one that waits longest is next.
//
// The zero value has no cores; see newCores.
type cores struct {
	mu        sync.Mutex
	free      int
	inference list.List // of chan struct{}, which is closed when a core is handed over
	decoding  list.List
}

func newCores(n int) *cores { return &cores{free: n} }

// acquireInference takes a core for a batch. It waits until one is free.
func (c *cores) acquireInference() { _ = c.acquire(context.Background(), &c.inference) }

// acquireDecoding takes a core for decoding a picture. It waits until one is free that no batch waits for, or
// until ctx ends, whose error it returns.
func (c *cores) acquireDecoding(ctx context.Context) error { return c.acquire(ctx, &c.decoding) }

func (c *cores) acquire(ctx context.Context, queue *list.List) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	if c.free > 0 { // then nobody waits
		c.free--
		c.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	place := queue.PushBack(turn)
	c.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-turn: // the core came at the last moment
		c.hand()
	default:
		queue.Remove(place)
	}
	return ctx.Err()
}

// release returns a core.
func (c *cores) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hand()
}

// hand hands a core to whoever is next. The caller holds the lock.
func (c *cores) hand() {
	for _, queue := range []*list.List{&c.inference, &c.decoding} {
		if first := queue.Front(); first != nil {
			close(queue.Remove(first).(chan struct{}))
			return
		}
	}
	c.free++
}
