package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

// counter shows how much of a long job is done: a bar on a terminal, else a line at
// every quarter. Its methods may be called by several goroutines.
type counter struct {
	out   io.Writer
	name  string
	total int

	bar   *bar // nil where lines are written instead
	began time.Time

	mu   sync.Mutex
	done int
}

// newCounter shows how much of total is done on the standard error of a command,
// unless --quiet silences it.
func newCounter(command *cobra.Command, name string, total int) *counter {
	c := &counter{out: progressTo(command), name: name, total: total, began: time.Now()}
	c.bar = newBar(c.out, c.line)
	return c
}

func (c *counter) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := 4 * c.done / max(c.total, 1)
	c.done += n
	if c.bar != nil {
		return
	}
	if quarter := 4 * c.done / max(c.total, 1); quarter > before {
		fmt.Fprintf(c.out, "%s: %d of %d\n", c.name, c.done, c.total)
	}
}

// finish ends the bar, complete or not.
func (c *counter) finish() {
	if c.bar != nil {
		c.bar.end(true)
	}
}

// line is what a terminal shows: with the speed so far, and the time left at that speed.
func (c *counter) line() string {
	c.mu.Lock()
	done := c.done
	c.mu.Unlock()
	share := float64(done) / float64(max(c.total, 1))
	text := fmt.Sprintf("%s %d / %d %s", c.name, done, c.total, drawBar(share, 48))
	if done == 0 {
		return text
	}
	return text + fmt.Sprintf(" %.0f/s %v", float64(done)/time.Since(c.began).Seconds(), estimateRemaining(c.began, share))
}
