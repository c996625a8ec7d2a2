package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// coldTime measures the time from starting garb to its end, with one picture to
// classify. The files are in the page cache: one unmeasured run comes first.
func coldTime(ctx context.Context, b *bench) (result, error) {
	return b.cold(ctx, milliseconds, func(elapsed time.Duration, _ int64) float64 {
		return float64(elapsed.Nanoseconds()) / 1e6
	})
}

// coldMemory measures the peak resident memory of such a process.
func coldMemory(ctx context.Context, b *bench) (result, error) {
	return b.cold(ctx, megabytes, func(_ time.Duration, peak int64) float64 { return float64(peak) / 1e6 })
}

func (b *bench) cold(ctx context.Context, unit string, figure func(time.Duration, int64) float64) (result, error) {
	if _, err := os.Stat(b.garb); err != nil {
		return result{Skipped: fmt.Sprintf("there is no %s: run make build, or name garb with -garb", b.garb)}, nil
	}
	photo, err := b.picture(ctx, smallPicture)
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
		peak, err := peakBytes(command.ProcessState)
		if absent := (*absentError)(nil); errors.As(err, &absent) && unit == megabytes {
			return result{Skipped: absent.reason}, nil
		}
		if i > 0 {
			figures = append(figures, figure(elapsed, peak))
		}
	}
	r := result{Unit: unit, Same: true}
	r.Garb.summarize(figures)
	return r, nil
}
