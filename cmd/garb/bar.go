package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// refresh is the time between two drawings of a bar.
const refresh = 100 * time.Millisecond

// bar is a line of a terminal that shows how much of a work is done, drawn again and
// again until it ends.
type bar struct {
	out   io.Writer
	draw  func() string // makes the line
	ended chan struct{}
	drawn sync.WaitGroup
}

// newBar begins a bar, if out is a terminal; else it is nil.
func newBar(out io.Writer, draw func() string) *bar {
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	b := &bar{out: out, draw: draw, ended: make(chan struct{})}
	b.drawn.Go(func() {
		tick := time.NewTicker(refresh)
		defer tick.Stop()
		for {
			line := b.draw()
			if columns, _, err := term.GetSize(int(f.Fd())); err == nil {
				line = cut(line, columns-1)
			}
			fmt.Fprintf(out, "\r%s\x1b[K", line)
			select {
			case <-tick.C:
			case <-b.ended:
				return
			}
		}
	})
	return b
}

// end draws the bar for the last time, and leaves its line or removes it.
func (b *bar) end(leave bool) {
	close(b.ended)
	b.drawn.Wait()
	if leave {
		fmt.Fprintf(b.out, "\r%s\x1b[K\n", b.draw())
		return
	}
	fmt.Fprint(b.out, "\r\x1b[K")
}

// filled is a bar of so many characters with a share of it done.
func filled(share float64, width int) string {
	done := int(min(max(share, 0), 1) * float64(width))
	if done == width {
		return "[" + strings.Repeat("=", width) + "]"
	}
	return "[" + strings.Repeat("=", done) + ">" + strings.Repeat("-", width-done-1) + "]"
}

// remaining is the time that a work begun at a time still takes, at its speed so far, of
// which a share above 0 is done.
func remaining(began time.Time, share float64) time.Duration {
	return time.Duration(float64(time.Since(began)) * (1 - share) / share).Round(time.Second)
}

// cut shortens a line to so many characters.
func cut(line string, columns int) string {
	if runes := []rune(line); columns > 0 && len(runes) > columns {
		return string(runes[:columns])
	}
	return line
}
