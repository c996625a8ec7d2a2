package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"garb/nn"
)

func (r *run) stepsPerEpoch() int {
	return (len(r.train.set.Samples) + r.Config.Batch - 1) / r.Config.Batch
}

// order is the order in which an epoch shows the training pictures.
func (r *run) order(epoch int) []int {
	return rand.New(rand.NewPCG(r.Config.Seed, uint64(epoch))).Perm(len(r.train.set.Samples))
}

// target writes the target of a label.
func (r *run) target(row []float32, label int) {
	if r.Config.Binary {
		row[0] = float32(label)
		return
	}
	clear(row)
	row[label] = 1
}

// answersRight reports whether the logits say what the targets, mixed or not, say.
func answersRight(logits, targets []float32) bool {
	if len(logits) == 1 {
		return (logits[0] > 0) == (targets[0] > 0.5)
	}
	return largest(logits) == largest(targets)
}

func largest(values []float32) int {
	best := 0
	for i, v := range values {
		if v > values[best] {
			best = i
		}
	}
	return best
}

// batch is the memory of a step.
type batch struct{ inputs, targets, logits []float32 }

func (r *run) newBatch() *batch {
	n, outputs := r.Config.Batch, r.outputs()
	return &batch{make([]float32, n*r.train.length()), make([]float32, n*outputs), make([]float32, n*outputs)}
}

// samples are the training pictures of a step.
func (r *run) samples(order []int, step int) []int {
	left := order[step*r.Config.Batch:]
	return left[:min(r.Config.Batch, len(left))]
}

// step shows the network some pictures and changes its weights. It returns their mean
// loss, which is NaN if the weights are not finite numbers any more, and how many were
// right.
func (r *run) step(ctx context.Context, b *batch, samples []int, rate float64) (loss float64, right int, err error) {
	n, outputs := len(samples), r.outputs()
	in, to, out := b.inputs[:n*r.train.length()], b.targets[:n*outputs], b.logits[:n*outputs]
	for i, sample := range samples {
		r.target(to[i*outputs:][:outputs], r.train.set.Samples[sample].Label)
	}
	if err := r.train.load(ctx, r.epoch(), r.Step, samples, in, to); err != nil {
		return 0, 0, err
	}
	if err := r.teach(ctx, in, to); err != nil {
		return 0, 0, err
	}
	loss, err = r.trainer.Step(ctx, in, to, out)
	if errors.Is(err, nn.ErrNotFinite) {
		return math.NaN(), 0, nil
	}
	if err != nil || math.IsNaN(loss) || math.IsInf(loss, 0) {
		return loss, 0, err
	}
	if r.Config.ClipNorm > 0 {
		nn.ClipGlobalNorm(r.variables, r.Config.ClipNorm)
	}
	r.optimizer.Update(r.variables, rate)
	if r.average != nil {
		r.average.Update(r.variables)
	}
	for i := range samples {
		if answersRight(out[i*outputs:][:outputs], to[i*outputs:][:outputs]) {
			right++
		}
	}
	return loss, right, nil
}

// epochOf does the steps that are left of the epoch under way.
func (r *run) epochOf(ctx context.Context, p Progress, s *speed) error {
	order, b := r.order(r.epoch()), r.newBatch()
	for r.Step < r.stepsPerEpoch() {
		began := time.Now()
		samples, rate := r.samples(order, r.Step), r.rate(r.Step)
		loss, right, err := r.step(ctx, b, samples, rate)
		if err != nil {
			return r.stopped(ctx, fmt.Errorf("training: epoch %d, step %d: %w", r.epoch(), r.Step+1, err))
		}
		if math.IsNaN(loss) || math.IsInf(loss, 0) {
			return &DivergedError{r.epoch(), r.Step + 1, rate, r.best()}
		}
		r.Loss += loss * float64(len(samples))
		r.Right += right
		r.Seen += len(samples)
		r.Step++
		r.Elapsed += time.Since(began)
		s.pictures += len(samples)
		if p.Step != nil {
			p.Step(r.progress(s))
		}
	}
	return nil
}

// speed is how fast this process trains.
type speed struct {
	began    time.Time
	pictures int
}

func (r *run) progress(s *speed) Step {
	perSecond := float64(s.pictures) / time.Since(s.began).Seconds()
	left := (r.Config.Epochs-r.epoch()+1)*len(r.train.set.Samples) - r.Seen
	return Step{
		Epoch: r.epoch(), Epochs: r.Config.Epochs, Step: r.Step, Steps: r.stepsPerEpoch(),
		Loss: r.Loss / float64(r.Seen), Accuracy: float64(r.Right) / float64(r.Seen),
		PicturesPerSecond: perSecond, Remaining: time.Duration(float64(left) / perSecond * float64(time.Second)),
	}
}
