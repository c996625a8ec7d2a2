package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"garb/train"
)

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, os.ErrNotExist)
}

// stepBar shows the progress of an epoch: with a bar on a terminal, otherwise with a line
// now and then.
type stepBar struct {
	out  io.Writer
	bar  *bar // nil if lines are printed instead
	last atomic.Pointer[train.Step]
	next time.Time
}

// lineInterval is the time between two lines without a terminal.
const lineInterval = 20 * time.Second

func newStepBar(command *cobra.Command, first train.Step) *stepBar {
	b := &stepBar{out: openProgress(command), next: time.Now().Add(lineInterval)}
	b.last.Store(&first)
	b.bar = newBar(b.out, func() string {
		s := b.last.Load()
		return fmt.Sprintf("epoch %d/%d %d / %d %s %s", s.Epoch, s.Epochs, s.Step, s.Steps,
			drawBar(float64(s.Step)/float64(max(s.Steps, 1)), 30), formatStep(*s))
	})
	return b
}

func formatStep(s train.Step) string {
	return fmt.Sprintf("loss %.4f  accuracy %.4f  %.0f pictures/s  %v left", s.Loss, s.Accuracy, s.PicturesPerSecond,
		s.Remaining.Round(time.Second))
}

func (b *stepBar) show(s train.Step) {
	b.last.Store(&s)
	if b.bar != nil {
		return
	}
	if now := time.Now(); now.After(b.next) {
		b.next = now.Add(lineInterval)
		fmt.Fprintf(b.out, "epoch %d/%d  step %d/%d  %s\n", s.Epoch, s.Epochs, s.Step, s.Steps, formatStep(s))
	}
}

func (b *stepBar) finish() {
	if b.bar != nil {
		b.bar.end(false)
	}
}
