package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"garb/model"
	"garb/nn"
	"garb/tensor"
)

// OutOfFold configures out-of-fold probabilities: the pictures are divided into folds, and
// for each fold a linear softmax classifier is trained on the features of the other folds,
// and answers for that fold. It is trained by AdamW on standardised features with a cosine
// schedule.
type OutOfFold struct {
	Folds int `json:"folds"`
	// Repeats is the number of divisions, each drawn anew; the probabilities are averaged.
	Repeats int    `json:"repeats"`
	Seed    uint64 `json:"seed"` // of the divisions and the order of pictures
	Epochs  int    `json:"epochs"`
	// MinSteps is the least number of steps: few pictures are shown in more epochs.
	MinSteps     int     `json:"min_steps"`
	Batch        int     `json:"batch"`
	LearningRate float64 `json:"learning_rate"`
	WeightDecay  float64 `json:"weight_decay"`
}

// DefaultOutOfFold returns 5 repeats of 5 folds, and training settings chosen by the
// cross-entropy over 5 folds of the small clothing set's training split: docs/labels.md
// has the figures.
func DefaultOutOfFold() OutOfFold {
	return OutOfFold{Folds: 5, Repeats: 5, Seed: 1, Epochs: 20, MinSteps: 800, Batch: 64, LearningRate: 3e-3,
		WeightDecay: 3}
}

// Validate reports settings that cannot work.
func (o OutOfFold) Validate() error {
	const maxFolds, maxRepeats, maxMinSteps = 100, 100, 100_000
	positive := func(v float64) bool { return v > 0 && !math.IsInf(v, 0) }
	switch {
	case o.Folds < 2 || o.Folds > maxFolds:
		return fmt.Errorf("%d folds: there are from 2 to %d", o.Folds, maxFolds)
	case o.Repeats < 1 || o.Repeats > maxRepeats:
		return fmt.Errorf("%d repeats: there are from 1 to %d", o.Repeats, maxRepeats)
	case o.Epochs <= 0 || o.MinSteps < 0 || o.MinSteps > maxMinSteps || o.Batch <= 0 || o.Batch > 4096:
		return fmt.Errorf("%d epochs, at least %d steps, batches of %d: epochs are positive, the least number of steps "+
			"is from 0 to %d, and a batch has from 1 to 4096 pictures",
			o.Epochs, o.MinSteps, o.Batch, maxMinSteps)
	case !positive(o.LearningRate) || !(o.WeightDecay >= 0) || o.LearningRate*o.WeightDecay >= 1:
		return fmt.Errorf("learning rate %v, weight decay %v: the rate is positive, the decay is not negative, "+
			"and their product is below 1",
			o.LearningRate, o.WeightDecay)
	}
	return nil
}

// ErrTooFewGroups is wrapped by errors about pictures that cannot be divided into folds.
var ErrTooFewGroups = errors.New("too few groups for folds")

// ErrNotFinite is wrapped by the error about features, or settings, with which the loss
// becomes infinite or NaN.
var ErrNotFinite = errors.New("the loss is not a number")

// Steps returns how often Probabilities calls done.
func (o OutOfFold) Steps() int { return o.Repeats * o.Folds }

// Probabilities returns for each picture its probabilities of the classes, from
// classifiers that saw neither the picture nor another picture of its group. features has
// a row for each picture, labels its class in [0,classes). groups[i] names the group of
// picture i; nil: every picture is a group by itself. A class all of whose pictures are in
// one group is unknown to the classifiers that answer for that group. done, if not nil, is
// called Steps times, from several goroutines. The same input gives the same probabilities
// on one kind of CPU.
//
// Errors are Validate's, ctx's, or wrap ErrTooFewGroups or ErrNotFinite. Probabilities
// panics if the lengths differ.
func (o OutOfFold) Probabilities(
	ctx context.Context, features [][]float32, labels []int, classes int, groups []string, done func(),
) ([][]float64, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("out-of-fold probabilities: %w", err)
	}
	if len(features) != len(labels) || groups != nil && len(groups) != len(labels) {
		panic("train: lengths of features, labels and groups differ")
	}
	if done == nil {
		done = func() {}
	}
	probabilities := make([][]float64, len(labels))
	for i := range probabilities {
		probabilities[i] = make([]float64, classes)
	}
	for repeat := range o.Repeats {
		fold := o.divide(repeat, labels, classes, groups)
		if len(fold) == 0 || slices.Min(fold) == slices.Max(fold) {
			return nil, fmt.Errorf("%w: %d pictures are in less than two groups", ErrTooFewGroups, len(labels))
		}
		err := inParallel(ctx, o.Folds, func(f int) error {
			defer done()
			var seen, held []int
			for i := range labels {
				if fold[i] == f {
					held = append(held, i)
				} else {
					seen = append(seen, i)
				}
			}
			if len(held) == 0 {
				return nil // fewer groups than folds
			}
			seed := rand.NewPCG(o.Seed, uint64(repeat*o.Folds+f))
			return o.answer(ctx, rand.New(seed), standardise(features, seen), labels, classes, seen, held,
				probabilities)
		})
		if err != nil {
			return nil, err
		}
	}
	return probabilities, nil
}

// divide returns the fold of each picture. Groups go, largest first, each to the fold
// where its classes are furthest from their share; groups of one size come in an order
// drawn by the seed. With a picture a group, every class is spread to within one picture.
func (o OutOfFold) divide(repeat int, labels []int, classes int, groups []string) []int {
	type group struct{ members []int }
	var all []group
	index := map[string]int{}
	for i := range labels {
		if groups == nil {
			all = append(all, group{[]int{i}})
			continue
		}
		g, ok := index[groups[i]]
		if !ok {
			g = len(all)
			index[groups[i]] = g
			all = append(all, group{})
		}
		all[g].members = append(all[g].members, i)
	}
	random := rand.New(rand.NewPCG(o.Seed, 0x6f6f66<<32+uint64(repeat))) // a stream of its own
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	slices.SortStableFunc(all, func(a, b group) int { return len(b.members) - len(a.members) })

	totals := make([]float64, classes)
	for _, label := range labels {
		totals[label]++
	}
	counts, sizes := make([][]float64, o.Folds), make([]int, o.Folds)
	for f := range counts {
		counts[f] = make([]float64, classes)
	}
	fold := make([]int, len(labels))
	own := make([]float64, classes)
	for _, g := range all {
		clear(own)
		for _, i := range g.members {
			own[labels[i]]++
		}
		best, least := 0, math.Inf(1)
		for f := range o.Folds {
			// By how much the group raises Σ_c count[f][c]²/total[c], which is smallest when
			// all folds have equal shares.
			rise := 0.0
			for c, n := range own {
				if n > 0 {
					rise += n * (2*counts[f][c] + n) / totals[c]
				}
			}
			if rise < least-1e-12 || rise < least+1e-12 && sizes[f] < sizes[best] {
				best, least = f, rise
			}
		}
		for _, i := range g.members {
			fold[i] = best
		}
		sizes[best] += len(g.members)
		for c, n := range own {
			counts[best][c] += n
		}
	}
	return fold
}

// standardised are features of mean 0 and deviation 1 over some of the pictures.
type standardised struct {
	features    [][]float32
	mean, scale []float32
}

// standardise takes mean and deviation of each feature over the pictures seen.
func standardise(features [][]float32, seen []int) standardised {
	n := len(features[seen[0]])
	mean, square := make([]float64, n), make([]float64, n)
	for _, i := range seen {
		for j, v := range features[i] {
			mean[j] += float64(v) / float64(len(seen))
		}
	}
	for _, i := range seen {
		for j, v := range features[i] {
			d := float64(v) - mean[j]
			square[j] += d * d / float64(len(seen))
		}
	}
	s := standardised{features, make([]float32, n), make([]float32, n)}
	for j := range n {
		s.mean[j] = float32(mean[j])
		if square[j] > 0 { // a feature that never changes says nothing
			s.scale[j] = float32(1 / math.Sqrt(square[j]))
		}
	}
	return s
}

// load writes the rows of some pictures one after another.
func (s standardised) load(to []float32, pictures []int) {
	for r, i := range pictures {
		row := to[r*len(s.mean):][:len(s.mean)]
		for j, v := range s.features[i] {
			row[j] = (v - s.mean[j]) * s.scale[j]
		}
	}
}

// answer trains on the pictures seen, and adds the probabilities of those held out, divided
// by the number of repeats.
func (o OutOfFold) answer(
	ctx context.Context, random *rand.Rand, x standardised, labels []int, classes int, seen, held []int,
	to [][]float64,
) error {
	count := len(x.mean)
	graph := model.Head{}.Graph(count, classes, 0)
	zero := tensor.Map{} // a convex problem needs no random start
	for _, p := range graph.Params() {
		zero[p.Name] = tensor.New(p.Shape...)
	}
	trainer, err := nn.NewTrainer(graph, zero, nn.TrainerOptions{Threads: 1, Loss: nn.SoftmaxCrossEntropy{}})
	if err != nil {
		return err
	}
	variables := trainer.Variables()
	optimizer := &nn.Adam{WeightDecay: o.WeightDecay, Decays: func(v *nn.Variable) bool { return len(v.Shape) > 1 }}
	perEpoch := (len(seen) + o.Batch - 1) / o.Batch
	schedule := nn.Cosine(o.LearningRate, 0, 0)
	inputs, logits := make([]float32, o.Batch*count), make([]float32, o.Batch*classes)
	targets := make([]float32, o.Batch*classes)
	order := slices.Clone(seen)
	epochs := max(o.Epochs, (o.MinSteps+perEpoch-1)/perEpoch)
	step := 0
	for epoch := range epochs {
		random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for batch := range slices.Chunk(order, o.Batch) {
			n := len(batch)
			x.load(inputs, batch)
			clear(targets)
			for r, i := range batch {
				targets[r*classes+labels[i]] = 1
			}
			loss, err := trainer.Step(ctx, inputs[:n*count], targets[:n*classes], logits[:n*classes])
			var weights *nn.WeightError
			if errors.As(err, &weights) || err == nil && (math.IsNaN(loss) || math.IsInf(loss, 0)) {
				return fmt.Errorf("out-of-fold probabilities: %w in epoch %d, at the learning rate %v",
					ErrNotFinite, epoch+1, o.LearningRate)
			}
			if err != nil {
				return err
			}
			rate := schedule(step, perEpoch*epochs)
			step++
			optimizer.Update(variables, rate)
		}
	}
	plan, err := nn.Compile(graph, trainer, nn.Options{Threads: 1})
	if err != nil {
		return err
	}
	for batch := range slices.Chunk(held, o.Batch) {
		n := len(batch)
		x.load(inputs, batch)
		if err := plan.Run(ctx, inputs[:n*count], logits[:n*classes]); err != nil {
			return err
		}
		for r, i := range batch {
			for j, p := range model.Softmax(logits[r*classes:][:classes]) {
				to[i][j] += p / float64(o.Repeats)
			}
		}
	}
	return nil
}
