package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"garb/dataset"
	"garb/nn"
)

// picturesPerEpoch is the number of training pictures that an epoch shows.
func (r *run) picturesPerEpoch() int {
	if r.sampling == nil {
		return len(r.train.set.Samples)
	}
	total := 0.0
	for _, s := range r.sampling {
		total += s
	}
	return int(math.Round(total))
}

func (r *run) stepsPerEpoch() int {
	return (r.picturesPerEpoch() + r.Config.Batch - 1) / r.Config.Batch
}

// order is the order in which an epoch shows the training pictures. Number i + k·n, of n
// pictures, stands for picture i, shown for time k: with other changes each time.
func (r *run) order(epoch int) []int {
	random := rand.New(rand.NewPCG(r.Config.Seed, uint64(epoch)))
	n := len(r.train.set.Samples)
	order := random.Perm(n)
	if r.sampling == nil {
		return order
	}
	// Systematic sampling: a comb with teeth at distance 1 over the shares laid side by
	// side takes each picture its share's times, rounded up or down at random.
	var drawn []int
	from := random.Float64()
	for _, i := range order {
		to := from + r.sampling[i]
		for k := range int(math.Floor(to)) - int(math.Floor(from)) {
			drawn = append(drawn, i+k*n)
		}
		from = to
	}
	// What is added up may be off by the last bit.
	for want := r.picturesPerEpoch(); len(drawn) != want; {
		if len(drawn) > want {
			drawn = drawn[:want]
		} else {
			drawn = append(drawn, order[0])
		}
	}
	random.Shuffle(len(drawn), func(i, j int) { drawn[i], drawn[j] = drawn[j], drawn[i] })
	return drawn
}

// sample is the training picture that a number in an order stands for.
func (r *run) sample(number int) dataset.Sample {
	return r.train.set.Samples[number%len(r.train.set.Samples)]
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
		r.target(to[i*outputs:][:outputs], r.sample(sample).Label)
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
	for i, sample := range samples {
		other := r.sample(sample).Label == len(r.classes)
		if r.answersRight(out[i*outputs:][:outputs], to[i*outputs:][:outputs], other) {
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
	left := (r.Config.Epochs-r.epoch()+1)*r.picturesPerEpoch() - r.Seen
	return Step{
		Epoch: r.epoch(), Epochs: r.Config.Epochs, Step: r.Step, Steps: r.stepsPerEpoch(),
		Loss: r.Loss / float64(r.Seen), Accuracy: float64(r.Right) / float64(r.Seen),
		PicturesPerSecond: perSecond, Remaining: time.Duration(float64(left) / perSecond * float64(time.Second)),
	}
}
