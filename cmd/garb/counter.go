package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

// counter shows how much of a long job is done: with a bar on a terminal, otherwise with a
// line at every quarter. Its methods are safe for concurrent use.
type counter struct {
	out   io.Writer
	name  string
	total int

	bar   *bar // nil if lines are printed instead
	began time.Time

	mu   sync.Mutex
	done int
}

// newCounter starts a counter on the standard error of a command, unless --quiet silences
// it.
func newCounter(command *cobra.Command, name string, total int) *counter {
	c := &counter{out: openProgress(command), name: name, total: total, began: time.Now()}
	c.bar = newBar(c.out, c.formatLine)
	return c
}

// newCheckCounter starts a counter of the vectors of files whose content is checked. It shows nothing
// if they are so few that this takes less than a second.
func newCheckCounter(command *cobra.Command, vectors int) *counter {
	if vectors < 100_000 {
		return &counter{out: io.Discard, total: vectors}
	}
	return newCounter(command, "vectors checked", vectors)
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

// formatLine returns the bar with the average speed and the estimated remaining time.
func (c *counter) formatLine() string {
	c.mu.Lock()
	done := c.done
	c.mu.Unlock()
	share := float64(done) / float64(max(c.total, 1))
	text := fmt.Sprintf("%s %d / %d %s", c.name, done, c.total, drawBar(share, 48))
	if done == 0 {
		return text
	}
	speed := float64(done) / time.Since(c.began).Seconds()
	return fmt.Sprintf("%s %.0f/s %v", text, speed, estimateRemaining(c.began, share))
}
