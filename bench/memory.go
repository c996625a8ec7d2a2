package main

import "context"

// measureTrainingMemory measures the peak resident memory of a worker that has done some
// training steps.
func measureTrainingMemory(ctx context.Context, b *bench) (result, error) {
	const steps = 3
	r := result{Unit: megabytes, Same: true}
	s := newTrainingSubject("")
	var err error
	if s.Weights, err = b.exportWeights(ctx, s.Architecture); err != nil {
		return r, err
	}
	if s.Input, err = b.writeInput(s); err != nil {
		return r, err
	}
	worker, err := startWorker(ctx, s.Threads, b.self, workerArgument)
	if err != nil {
		return r, err
	}
	defer worker.stop()
	for _, r := range []request{{Op: "prepare", Subject: &s}, {Op: "time", Repeats: steps}} {
		if _, err = worker.ask(r); err != nil {
			return result{}, err
		}
	}
	worker.stop()
	peak, err := readPeak(worker.command.ProcessState)
	if err != nil {
		return skipRow(err)
	}
	r.Garb.summarize([]float64{float64(peak) / 1e6})
	return r, nil
}
