package engine

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// waiting returns how many wait for a core.
func (c *cores) waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inference.Len() + c.decoding.Len()
}

// TestCoresOrder checks that batches get a core before pictures to decode, and both in the order in which they
// came; that waiting ends with a context; and that a core is not lost when both happen at a time.
func TestCoresOrder(t *testing.T) {
	c := newCores(1)
	c.acquireInference()
	order := make(chan string)
	var all sync.WaitGroup
	begin := func(name string, acquire func()) {
		before := c.waiting()
		all.Go(func() {
			acquire()
			order <- name
			c.release()
		})
		for c.waiting() == before {
			runtime.Gosched()
		}
	}
	decode := func() {
		if err := c.acquireDecoding(t.Context()); err != nil {
			t.Error(err)
		}
	}
	begin("decode 1", decode)
	begin("decode 2", decode)
	begin("batch 1", c.acquireInference)
	begin("batch 2", c.acquireInference)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() { gone <- c.acquireDecoding(ctx) }()
	for c.waiting() < 5 {
		runtime.Gosched()
	}
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("a canceled wait: %v", err)
	}
	if err := c.acquireDecoding(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
	c.release()
	for _, want := range []string{"batch 1", "batch 2", "decode 1", "decode 2"} {
		if got := <-order; got != want {
			t.Errorf("%s comes before %s", got, want)
		}
	}
	all.Wait()
	if c.free != 1 || c.waiting() != 0 {
		t.Errorf("%d cores are free, %d wait", c.free, c.waiting())
	}
}

// TestCoresLimit lets many acquire and give up at random: there are never more at work than cores, and none is
// lost.
func TestCoresLimit(t *testing.T) {
	const n = 3
	c := newCores(n)
	var busy atomic.Int64
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(i)))
			for range 300 {
				ctx, cancel := context.WithCancel(t.Context())
				if random.IntN(3) == 0 {
					go cancel()
				}
				if i%2 == 0 {
					c.acquireInference()
				} else if c.acquireDecoding(ctx) != nil {
					cancel()
					continue
				}
				if now := busy.Add(1); now > n {
					t.Errorf("%d at work", now)
				}
				runtime.Gosched()
				busy.Add(-1)
				c.release()
				cancel()
			}
		})
	}
	all.Wait()
	if c.free != n || c.waiting() != 0 {
		t.Errorf("%d of %d cores are free, %d wait", c.free, n, c.waiting())
	}
}
