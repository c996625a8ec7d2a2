package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// counter shows how much of a long work is done: a bar on a terminal, else a line
// at every quarter. Its methods may be called by several goroutines.
type counter struct {
	out   io.Writer
	name  string
	total int

	bars *mpb.Progress
	bar  *mpb.Bar

	mu   sync.Mutex
	done int
}

func newCounter(out io.Writer, name string, total int) *counter {
	c := &counter{out: out, name: name, total: total}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		c.bars = mpb.New(mpb.WithOutput(out), mpb.WithWidth(48), mpb.WithRefreshRate(100*time.Millisecond))
		c.bar = c.bars.AddBar(int64(total),
			mpb.PrependDecorators(decor.Name(name+" "), decor.CountersNoUnit("%d / %d")),
			mpb.AppendDecorators(decor.AverageSpeed(0, "%.0f/s"), decor.Name(" "), decor.AverageETA(decor.ET_STYLE_GO)))
	}
	return c
}

func (c *counter) add(n int) {
	if c.bar != nil {
		c.bar.IncrBy(n)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	before := 4 * c.done / max(c.total, 1)
	c.done += n
	if quarter := 4 * c.done / max(c.total, 1); quarter > before {
		fmt.Fprintf(c.out, "%s: %d of %d\n", c.name, c.done, c.total)
	}
}

// finish ends the bar, complete or not.
func (c *counter) finish() {
	if c.bar != nil {
		c.bar.Abort(false)
		c.bars.Wait()
	}
}
