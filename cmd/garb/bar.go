package main

import (
	"io"
	"strings"
	"sync"
	"time"
)

// refresh is the time between two redraws of a bar.
const refresh = 100 * time.Millisecond

// bar is a progress line on a terminal that is redrawn until it ends.
type bar struct {
	out   *screen
	draw  func() string // returns the line
	ended chan struct{}
	drawn sync.WaitGroup
}

// newBar starts a bar. It returns nil if out cannot redraw a line; then the caller prints
// lines now and then.
func newBar(out io.Writer, draw func() string) *bar {
	terminal := detectTerminal(out)
	if !terminal.redraws {
		return nil
	}
	b := &bar{out: openScreen(out), draw: draw, ended: make(chan struct{})}
	b.drawn.Go(func() {
		tick := time.NewTicker(refresh)
		defer tick.Stop()
		for {
			b.out.drawBar(truncate(b.draw(), terminal.columns()-1))
			select {
			case <-tick.C:
			case <-b.ended:
				return
			}
		}
	})
	return b
}

// end draws the bar for the last time and keeps its line, or removes it.
func (b *bar) end(keep bool) {
	close(b.ended)
	b.drawn.Wait()
	if keep {
		b.out.endBar(b.draw() + "\n")
		return
	}
	b.out.endBar("")
}

// drawBar returns a bar of width characters with a share done, from 0 to 1.
func drawBar(share float64, width int) string {
	done := int(min(max(share, 0), 1) * float64(width))
	if done == width {
		return "[" + strings.Repeat("=", width) + "]"
	}
	return "[" + strings.Repeat("=", done) + ">" + strings.Repeat("-", width-done-1) + "]"
}

// estimateRemaining estimates the remaining time of a job from its start and the share that
// is done, which must be above 0.
func estimateRemaining(began time.Time, share float64) time.Duration {
	return time.Duration(float64(time.Since(began)) * (1 - share) / share).Round(time.Second)
}

// truncate shortens a line to a number of characters; 0 or less means no limit.
func truncate(line string, columns int) string {
	if runes := []rune(line); columns > 0 && len(runes) > columns {
		return string(runes[:columns])
	}
	return line
}
