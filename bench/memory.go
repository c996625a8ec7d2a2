package main

import (
	"context"
	"errors"
)

// fineTuneMemory measures the peak resident memory of a worker that has done some
// training steps.
func fineTuneMemory(ctx context.Context, b *bench) (result, error) {
	const steps = 3
	r := result{Unit: megabytes, Same: true}
	s := fineTuned("")
	var err error
	if s.Weights, err = b.weights(ctx, s.Architecture); err != nil {
		return r, err
	}
	if s.Input, err = b.input(s); err != nil {
		return r, err
	}
	worker, err := startWorker(ctx, s.Threads, b.self, workerArgument)
	if err != nil {
		return r, err
	}
	defer worker.stop()
	for _, request := range []request{{Op: "prepare", Subject: &s}, {Op: "time", Repeats: steps}} {
		if _, err := worker.ask(request); err != nil {
			return r, err
		}
	}
	worker.stop()
	peak, err := peakBytes(worker.command.ProcessState)
	if absent := (*absentError)(nil); errors.As(err, &absent) {
		return result{Skipped: absent.reason}, nil
	}
	r.Garb.summarize([]float64{float64(peak) / 1e6})
	return r, err
}
