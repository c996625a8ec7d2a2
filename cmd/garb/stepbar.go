package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"garb/train"
)

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, os.ErrNotExist)
}

// stepBar shows how an epoch goes: a bar on a terminal, else a line now and then.
type stepBar struct {
	out  io.Writer
	bars *mpb.Progress
	bar  *mpb.Bar
	last atomic.Pointer[train.Step]
	next time.Time
}

// lineInterval is the time between two lines where there is no terminal.
const lineInterval = 20 * time.Second

func newStepBar(out io.Writer, first train.Step) *stepBar {
	b := &stepBar{out: out, next: time.Now().Add(lineInterval)}
	b.last.Store(&first)
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		b.bars = mpb.New(mpb.WithOutput(out), mpb.WithWidth(30), mpb.WithRefreshRate(200*time.Millisecond))
		b.bar = b.bars.AddBar(int64(first.Steps), mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(fmt.Sprintf("epoch %d/%d ", first.Epoch, first.Epochs)), decor.CountersNoUnit("%d / %d")),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return stepText(*b.last.Load()) })))
	}
	return b
}

func stepText(s train.Step) string {
	return fmt.Sprintf("loss %.4f  accuracy %.4f  %.0f pictures/s  %v left", s.Loss, s.Accuracy, s.PicturesPerSecond, s.Remaining.Round(time.Second))
}

func (b *stepBar) show(s train.Step) {
	b.last.Store(&s)
	if b.bar != nil {
		b.bar.SetCurrent(int64(s.Step))
		return
	}
	if now := time.Now(); now.After(b.next) {
		b.next = now.Add(lineInterval)
		fmt.Fprintf(b.out, "epoch %d/%d  step %d/%d  %s\n", s.Epoch, s.Epochs, s.Step, s.Steps, stepText(s))
	}
}

func (b *stepBar) finish() {
	if b.bar != nil {
		b.bar.Abort(true)
		b.bars.Wait()
	}
}
