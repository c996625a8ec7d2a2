package serve

import (
	"context"
	"slices"
	"sync"
	"time"
)

// cores are the places for what computes, of all models together: a picture holds one while
// it is decoded, a batch while a network computes it. More work than there are cores would
// share them and all of it end late; so each runs to its end, and a free place goes to a
// network before a decoder: the pictures that came first leave first.
type cores struct {
	mu                 sync.Mutex
	free               int
	networks, decoders []chan struct{} // who waits, in the order in which they came
}

// longDecoding is when a decoder gives its place back and shares the cores with the others:
// a few pictures that take seconds must not stop all that take milliseconds.
const longDecoding = 50 * time.Millisecond

func newCores(n int) *cores { return &cores{free: n} }

// network waits for a place, and returns what gives it back.
func (c *cores) network() (leave func()) {
	_ = c.take(context.Background(), &c.networks) // such a context never ends
	return c.leave
}

// decoder waits for a place, until ctx ends at most, and returns what gives it back.
func (c *cores) decoder(ctx context.Context) (leave func(), err error) {
	if err := c.take(ctx, &c.decoders); err != nil {
		return nil, err
	}
	long := time.AfterFunc(longDecoding, c.leave)
	return func() {
		if long.Stop() {
			c.leave()
		}
	}, nil
}

func (c *cores) take(ctx context.Context, line *[]chan struct{}) error {
	c.mu.Lock()
	if c.free > 0 {
		c.free--
		c.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	*line = append(*line, turn)
	c.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(*line, turn); i >= 0 {
		*line = slices.Delete(*line, i, i+1)
	} else {
		c.pass() // its turn came as it left
	}
	return ctx.Err()
}

func (c *cores) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pass()
}

// pass hands a place to who is next; the lock is held.
func (c *cores) pass() {
	for _, line := range []*[]chan struct{}{&c.networks, &c.decoders} {
		if len(*line) > 0 {
			close((*line)[0])
			*line = slices.Delete(*line, 0, 1)
			return
		}
	}
	c.free++
}
