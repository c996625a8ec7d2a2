package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// measureColdTime measures the time from the start of garb to its end, with one picture to classify.
// A run before them, which is not measured, brings the files into the page cache.
func measureColdTime(ctx context.Context, b *bench) (result, error) {
	return b.measureCold(ctx, milliseconds, func(elapsed time.Duration, _ int64) float64 {
		return float64(elapsed.Nanoseconds()) / 1e6
	})
}

// measureColdMemory measures the peak resident memory of such a process.
func measureColdMemory(ctx context.Context, b *bench) (result, error) {
	return b.measureCold(ctx, megabytes, func(_ time.Duration, peak int64) float64 { return float64(peak) / 1e6 })
}

// measureCold starts garb as often as was chosen. Of each run's time and peak memory, pick takes one.
func (b *bench) measureCold(ctx context.Context, unit string, pick func(time.Duration, int64) float64) (result, error) {
	if _, err := os.Stat(b.garb); err != nil {
		return result{Skipped: fmt.Sprintf("there is no %s: run make build, or name garb with -garb", b.garb)}, nil
	}
	photo, err := b.findPicture(ctx, smallPicture)
	if err != nil {
		return result{}, err
	}
	var figures []float64
	for i := range b.starts + 1 {
		command := exec.CommandContext(ctx, b.garb, "classify", photo)
		start := time.Now()
		answer, err := command.CombinedOutput()
		elapsed := time.Since(start)
		if err != nil {
			return result{}, fmt.Errorf("garb classify: %w\n%s", err, answer)
		}
		peak, err := readPeak(command.ProcessState)
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
