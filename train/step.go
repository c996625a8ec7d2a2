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

// picturesPerEpoch returns the number of training pictures that an epoch shows.
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

// drawOrder draws the order in which an epoch shows the training pictures. With n pictures, the
// number i + k·n stands for view k of picture i: each view is augmented differently.
func (r *run) drawOrder(epoch int) []int {
	random := rand.New(rand.NewPCG(r.Config.Seed, uint64(epoch)))
	n := len(r.train.set.Samples)
	order := random.Perm(n)
	if r.sampling == nil {
		return order
	}
	// Systematic sampling: shares are laid side by side on a line, and every point at a
	// distance of 1 from the last draws the picture that it falls on. So the number of draws
	// of a picture is its share, rounded up or down at random.
	var drawn []int
	from := random.Float64()
	for _, i := range order {
		to := from + r.sampling[i]
		for k := range int(math.Floor(to)) - int(math.Floor(from)) {
			drawn = append(drawn, i+k*n)
		}
		from = to
	}
	// Rounding errors of the sum may draw one too many or too few.
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

// sample returns the training picture that a number of an order stands for.
func (r *run) sample(number int) dataset.Sample {
	return r.train.set.Samples[number%len(r.train.set.Samples)]
}

// stepBuffers is the memory of a step.
type stepBuffers struct{ inputs, targets, logits []float32 }

func (r *run) newStepBuffers() *stepBuffers {
	n, outputs := r.Config.Batch, r.outputs()
	return &stepBuffers{make([]float32, n*r.train.length()), make([]float32, n*outputs), make([]float32, n*outputs)}
}

// batchSamples returns the training pictures of a step, as numbers of an order.
func (r *run) batchSamples(order []int, step int) []int {
	rest := order[step*r.Config.Batch:]
	return rest[:min(r.Config.Batch, len(rest))]
}

// trainStep trains the network on one batch of pictures. It returns their mean loss, which is NaN if
// the weights are not finite any more, and the number of right answers.
func (r *run) trainStep(
	ctx context.Context, b *stepBuffers, samples []int, rate float64,
) (loss float64, right int, err error) {
	n, outputs := len(samples), r.outputs()
	in, to, out := b.inputs[:n*r.train.length()], b.targets[:n*outputs], b.logits[:n*outputs]
	for i, sample := range samples {
		r.writeTarget(to[i*outputs:][:outputs], r.sample(sample).Label)
	}
	if err = r.train.load(ctx, r.epoch(), r.Step, samples, in, to); err != nil {
		return 0, 0, err
	}
	if err = r.teach(ctx, in, to); err != nil {
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

// trainEpoch does the remaining steps of the current epoch.
func (r *run) trainEpoch(ctx context.Context, p Progress, s *speed) error {
	order, b := r.drawOrder(r.epoch()), r.newStepBuffers()
	for r.Step < r.stepsPerEpoch() {
		began := time.Now()
		samples, rate := r.batchSamples(order, r.Step), r.learningRate(r.Step)
		loss, right, err := r.trainStep(ctx, b, samples, rate)
		if err != nil {
			return r.saveIfInterrupted(ctx, fmt.Errorf("training: epoch %d, step %d: %w", r.epoch(), r.Step+1, err))
		}
		if math.IsNaN(loss) || math.IsInf(loss, 0) {
			return &DivergedError{r.epoch(), r.Step + 1, rate, r.bestCheckpoint()}
		}
		r.Loss += float64(loss * float64(len(samples)))
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

// speed measures how fast this process trains.
type speed struct {
	began    time.Time
	pictures int
}

// progress reports the progress of the current epoch.
func (r *run) progress(s *speed) Step {
	perSecond := float64(s.pictures) / time.Since(s.began).Seconds()
	remaining := (r.Config.Epochs-r.epoch()+1)*r.picturesPerEpoch() - r.Seen
	return Step{
		Epoch: r.epoch(), Epochs: r.Config.Epochs, Step: r.Step, Steps: r.stepsPerEpoch(),
		Loss: r.Loss / float64(r.Seen), Accuracy: float64(r.Right) / float64(r.Seen),
		PicturesPerSecond: perSecond, Remaining: time.Duration(float64(remaining) / perSecond * float64(time.Second)),
	}
}
