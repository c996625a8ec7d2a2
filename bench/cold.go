package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// measureColdTime measures the time from the start of garb to its end, with one picture to classify.
func measureColdTime(ctx context.Context, b *bench) (result, error) {
	return b.measureCold(ctx, milliseconds, pickTime)
}

// measureColdMemory measures the peak resident memory of such a process.
func measureColdMemory(ctx context.Context, b *bench) (result, error) {
	return b.measureCold(ctx, megabytes, pickMemory)
}

// pickTime returns the time of a run, in milliseconds.
func pickTime(elapsed time.Duration, _ int64) float64 { return float64(elapsed.Nanoseconds()) / 1e6 }

// pickMemory returns the peak memory of a run, in 10⁶ bytes.
func pickMemory(_ time.Duration, peak int64) float64 { return float64(peak) / 1e6 }

// measureCold starts garb as often as was chosen. Of each run's time and peak memory, pick takes one.
func (b *bench) measureCold(ctx context.Context, unit string, pick func(time.Duration, int64) float64) (result, error) {
	if _, err := os.Stat(b.garb); err != nil {
		return result{Skipped: fmt.Sprintf("there is no %s: run make build, or name garb with -garb", b.garb)}, nil
	}
	photo, err := b.findPicture(ctx, smallPicture)
	if err != nil {
		return result{}, err
	}
	return b.measureStarts(unit, pick, func() (time.Duration, *os.ProcessState, error) {
		command := exec.CommandContext(ctx, b.garb, "classify", photo)
		start := time.Now()
		answer, err := command.CombinedOutput()
		elapsed := time.Since(start)
		if err != nil {
			return 0, nil, fmt.Errorf("garb classify: %w\n%s", err, answer)
		}
		return elapsed, command.ProcessState, nil
	})
}

// measureStarts calls start, which runs a process, as often as was chosen, and once before, which is
// not measured and brings the files into the page cache. Of each run's time and peak memory, pick takes
// one.
func (b *bench) measureStarts(unit string, pick func(time.Duration, int64) float64,
	start func() (time.Duration, *os.ProcessState, error)) (result, error) {
	var figures []float64
	for i := range b.starts + 1 {
		elapsed, state, err := start()
		if err != nil {
			return result{}, err
		}
		peak, err := readPeak(state)
		if err != nil && unit == megabytes {
			return skipRow(err)
		}
		if i > 0 {
			figures = append(figures, pick(elapsed, peak))
		}
	}
	r := result{Unit: unit, Same: true}
	r.Garb.summarize(figures)
	return r, nil
}
