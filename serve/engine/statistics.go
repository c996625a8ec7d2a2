package engine

import (
	"sync/atomic"
	"time"
)

// Duration is how often something happened, and how long it took in all.
type Duration struct {
	Count int64
	Total time.Duration
}

// BatchStatistics are the statistics of the batches of one size.
type BatchStatistics struct {
	Size  int
	Infer Duration
}

// Statistics are what an engine has done so far, without warming up. Each picture counts as a request.
type Statistics struct {
	LastInference time.Time // zero if there was none
	Executions    int64     // batches that were computed
	// Success and Fail are the times from a picture's place in the queue to its answer or error.
	Success, Fail Duration
	// Queue, Decode and Infer are the parts of the times of pictures that the model computed. Each
	// picture of a batch counts the whole batch's time as Infer.
	Queue, Decode, Infer Duration
	// Cached are the answers from the cache, and the times of finding them there.
	Cached  Duration
	Batches []BatchStatistics // of the sizes that occurred, the smallest first
}

// counter counts a Duration.
type counter struct{ count, total atomic.Int64 }

func (c *counter) add(took time.Duration) {
	c.count.Add(1)
	c.total.Add(int64(took))
}

func (c *counter) load() Duration { return Duration{c.count.Load(), time.Duration(c.total.Load())} }

// counters count Statistics.
type counters struct {
	last                                atomic.Int64 // in milliseconds since 1970; 0 if there was none
	executions                          atomic.Int64
	success, fail, queue, decode, infer counter
	cached                              counter
	batches                             []counter // by their sizes, from 1
}

func newCounters(maxBatch int) *counters { return &counters{batches: make([]counter, maxBatch)} }

func (c *counters) countBatch(size int, took time.Duration) {
	c.executions.Add(1)
	c.batches[size-1].add(took)
}

// countComputed counts the parts of a picture's time that the model has computed.
func (c *counters) countComputed(a *Answer) {
	c.queue.add(a.Wait)
	c.infer.add(a.Inference)
}

// countAnswer counts an answer or an error.
func (c *counters) countAnswer(err error, took time.Duration) {
	c.last.Store(time.Now().UnixMilli())
	if err != nil {
		c.fail.add(took)
		return
	}
	c.success.add(took)
}

// Statistics returns what the engine has done so far.
func (e *Engine) Statistics() Statistics {
	c := e.counters
	s := Statistics{
		Executions: c.executions.Load(), Success: c.success.load(), Fail: c.fail.load(),
		Queue: c.queue.load(), Decode: c.decode.load(), Infer: c.infer.load(),
		Cached: c.cached.load(),
	}
	if last := c.last.Load(); last != 0 {
		s.LastInference = time.UnixMilli(last)
	}
	for i := range c.batches {
		if d := c.batches[i].load(); d.Count > 0 {
			s.Batches = append(s.Batches, BatchStatistics{i + 1, d})
		}
	}
	return s
}

// notify passes a sample to the observer, if there is one.
func (e *Engine) notify(s Sample) {
	if f := e.observer.Load(); f != nil {
		(*f)(s)
	}
}
