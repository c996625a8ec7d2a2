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

// OutOfFold configures out-of-fold probabilities: the pictures are divided into folds, and for each
// fold a linear softmax classifier is trained on the features of the other folds, and predicts the
// classes of that fold. It is trained by AdamW on standardized features with a cosine schedule.
type OutOfFold struct {
	Folds int `json:"folds"`
	// Repeats is the number of random divisions into folds, over which the probabilities are
	// averaged.
	Repeats int    `json:"repeats"`
	Seed    uint64 `json:"seed"` // of the divisions and of the order of pictures
	Epochs  int    `json:"epochs"`
	// MinSteps is the minimum number of steps: small data sets are trained for more epochs.
	MinSteps     int     `json:"min_steps"`
	Batch        int     `json:"batch"`
	LearningRate float64 `json:"learning_rate"`
	WeightDecay  float64 `json:"weight_decay"`
}

// DefaultOutOfFold returns 5 repeats of 5 folds, and training settings chosen by the cross-entropy
// over 5 folds of the small clothing set's training split: see docs/labels.md.
func DefaultOutOfFold() OutOfFold {
	return OutOfFold{
		Folds: 5, Repeats: 5, Seed: 1,
		Epochs: 20, MinSteps: 800, Batch: 64, LearningRate: 3e-3, WeightDecay: 3,
	}
}

// Validate reports settings that cannot work.
func (o OutOfFold) Validate() error {
	if err := checkBounds([]bound{
		{"folds", float64(o.Folds), interval{2, 100, false, false}},
		{"repeats", float64(o.Repeats), interval{1, 100, false, false}},
		{"epochs", float64(o.Epochs), atLeastOne},
		{"minimum number of steps", float64(o.MinSteps), interval{0, 100_000, false, false}},
		{"batch size", float64(o.Batch), interval{1, maxBatch, false, false}},
		{"learning rate", o.LearningRate, positive},
		{"weight decay", o.WeightDecay, notNegative},
	}...); err != nil {
		return err
	}
	if o.LearningRate*o.WeightDecay >= 1 {
		return fmt.Errorf("learning rate %v and weight decay %v: their product must be below 1",
			o.LearningRate, o.WeightDecay)
	}
	return nil
}

// ErrTooFewGroups is wrapped by the error about pictures that cannot be divided into folds.
var ErrTooFewGroups = errors.New("too few groups for folds")

// ErrNotFinite is wrapped by the error about features or settings with which the loss becomes
// infinite or NaN.
var ErrNotFinite = errors.New("the loss is not a number")

// Steps returns the number of times that Probabilities calls done.
func (o OutOfFold) Steps() int { return o.Repeats * o.Folds }

// Probabilities returns the class probabilities of each picture, by classifiers that were trained on
// neither the picture nor any other of its group. features has a row for each picture, and labels
// its class, below classes. groups[i] is the name of picture i's group; nil makes each picture a group
// of its own. If all pictures of a class are in one group, the classifiers for that group do not
// know the class. done, if not nil, is called Steps times, from several goroutines. The same input
// gives the same probabilities on one kind of CPU.
//
// It returns the errors of Validate and ctx, and errors that wrap ErrTooFewGroups or ErrNotFinite.
// It panics if the lengths of features, labels and groups differ.
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
			return nil, fmt.Errorf("%w: %d pictures are in fewer than two groups", ErrTooFewGroups, len(labels))
		}
		err := forEach(ctx, o.Folds, func(f int) error {
			defer done()
			train, predict := separate(fold, f)
			if len(predict) == 0 {
				return nil // there are fewer groups than folds
			}
			random := rand.New(rand.NewPCG(o.Seed, uint64(repeat*o.Folds+f)))
			c := foldClassifier{OutOfFold: o, inputs: standardize(features, train), classes: classes}
			if err := c.train(ctx, random, labels, train); err != nil {
				return err
			}
			return c.addProbabilities(ctx, predict, probabilities)
		})
		if err != nil {
			return nil, err
		}
	}
	return probabilities, nil
}

// separate returns the pictures of all folds but one, and those of that one.
func separate(fold []int, one int) (others, inFold []int) {
	for i, f := range fold {
		if f == one {
			inFold = append(inFold, i)
		} else {
			others = append(others, i)
		}
	}
	return others, inFold
}

// divide returns the fold of each picture. It assigns whole groups, the largest first and groups of
// the same size in random order, each to the fold that lacks its classes most. If each picture is a
// group, the folds' counts of each class differ by at most one.
func (o OutOfFold) divide(repeat int, labels []int, classes int, groups []string) []int {
	members := groupMembers(len(labels), groups)
	random := rand.New(rand.NewPCG(o.Seed, 0x6f6f66<<32+uint64(repeat))) // a stream that nothing else uses
	random.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	slices.SortStableFunc(members, func(a, b []int) int { return len(b) - len(a) })

	totals := make([]float64, classes)
	for _, label := range labels {
		totals[label]++
	}
	counts, sizes := make([][]float64, o.Folds), make([]int, o.Folds)
	for f := range counts {
		counts[f] = make([]float64, classes)
	}
	fold := make([]int, len(labels))
	group := make([]float64, classes) // the group's number of pictures of each class
	for _, pictures := range members {
		clear(group)
		for _, i := range pictures {
			group[labels[i]]++
		}
		best := chooseFold(counts, sizes, group, totals)
		for _, i := range pictures {
			fold[i] = best
		}
		sizes[best] += len(pictures)
		for c, n := range group {
			counts[best][c] += n
		}
	}
	return fold
}

// groupMembers returns the pictures of each group, in the order of the groups' first pictures; nil
// groups make each picture a group.
func groupMembers(pictures int, groups []string) [][]int {
	var members [][]int
	index := map[string]int{}
	for i := range pictures {
		if groups == nil {
			members = append(members, []int{i})
			continue
		}
		g, ok := index[groups[i]]
		if !ok {
			g = len(members)
			index[groups[i]] = g
			members = append(members, nil)
		}
		members[g] = append(members[g], i)
	}
	return members
}

// chooseFold returns the fold to add a group to: the one where it increases
// Σ_c count[fold][c]²/total[c] least, which is smallest if all folds have equal shares of the
// classes. Of equal folds it chooses the smallest.
func chooseFold(counts [][]float64, sizes []int, group, totals []float64) int {
	best, least := 0, math.Inf(1)
	for f := range counts {
		increase := 0.0
		for c, n := range group {
			if n > 0 {
				increase += n * (2*counts[f][c] + n) / totals[c]
			}
		}
		if increase < least-1e-12 || increase < least+1e-12 && sizes[f] < sizes[best] {
			best, least = f, increase
		}
	}
	return best
}

// standardizedFeatures are features scaled to mean 0 and standard deviation 1.
type standardizedFeatures struct {
	features    [][]float32
	mean, scale []float32
}

// standardize scales features by the mean and standard deviation over some of the pictures.
func standardize(features [][]float32, pictures []int) standardizedFeatures {
	n, count := len(features[pictures[0]]), float64(len(pictures))
	mean, square := make([]float64, n), make([]float64, n)
	for _, i := range pictures {
		for j, v := range features[i] {
			mean[j] += float64(v) / count
		}
	}
	for _, i := range pictures {
		for j, v := range features[i] {
			d := float64(v) - mean[j]
			square[j] += d * d / count
		}
	}
	s := standardizedFeatures{features, make([]float32, n), make([]float32, n)}
	for j := range n {
		s.mean[j] = float32(mean[j])
		if square[j] > 0 { // a constant feature becomes 0
			s.scale[j] = float32(1 / math.Sqrt(square[j]))
		}
	}
	return s
}

// load writes the features of some pictures one after another.
func (s standardizedFeatures) load(to []float32, pictures []int) {
	for r, i := range pictures {
		row := to[r*len(s.mean):][:len(s.mean)]
		for j, v := range s.features[i] {
			row[j] = (v - s.mean[j]) * s.scale[j]
		}
	}
}

// foldClassifier is the classifier that predicts the classes of one fold.
type foldClassifier struct {
	OutOfFold
	inputs  standardizedFeatures
	classes int

	graph   *nn.Graph
	trainer *nn.Trainer
}

// train trains the classifier on some of the pictures.
func (f *foldClassifier) train(ctx context.Context, random *rand.Rand, labels, pictures []int) (err error) {
	count := len(f.inputs.mean)
	f.graph = model.Head{}.Graph(count, f.classes, 0)
	zero := tensor.Map{} // a convex problem needs no random start
	for _, p := range f.graph.Params() {
		zero[p.Name] = tensor.New(p.Shape...)
	}
	options := nn.TrainerOptions{Threads: 1, Loss: nn.SoftmaxCrossEntropy{}}
	if f.trainer, err = nn.NewTrainer(f.graph, zero, options); err != nil {
		return err
	}
	variables := f.trainer.Variables()
	optimizer := &nn.Adam{WeightDecay: f.WeightDecay, Decays: func(v *nn.Variable) bool { return len(v.Shape) > 1 }}
	schedule := nn.Cosine(f.LearningRate, 0, 0)
	inputs, logits := make([]float32, f.Batch*count), make([]float32, f.Batch*f.classes)
	targets := make([]float32, f.Batch*f.classes)
	order := slices.Clone(pictures)
	perEpoch := (len(order) + f.Batch - 1) / f.Batch
	epochs := max(f.Epochs, (f.MinSteps+perEpoch-1)/perEpoch)
	step := 0
	for epoch := range epochs {
		random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for batch := range slices.Chunk(order, f.Batch) {
			n := len(batch)
			f.inputs.load(inputs, batch)
			clear(targets)
			for r, i := range batch {
				targets[r*f.classes+labels[i]] = 1
			}
			var loss float64
			loss, err = f.trainer.Step(ctx, inputs[:n*count], targets[:n*f.classes], logits[:n*f.classes])
			var weights *nn.WeightError
			if errors.As(err, &weights) || err == nil && (math.IsNaN(loss) || math.IsInf(loss, 0)) {
				return fmt.Errorf("out-of-fold probabilities: %w in epoch %d, at the learning rate %v",
					ErrNotFinite, epoch+1, f.LearningRate)
			}
			if err != nil {
				return err
			}
			optimizer.Update(variables, schedule(step, perEpoch*epochs))
			step++
		}
	}
	return nil
}

// addProbabilities adds the class probabilities of some pictures, divided by the number of repeats.
func (f *foldClassifier) addProbabilities(ctx context.Context, pictures []int, to [][]float64) error {
	plan, err := nn.Compile(f.graph, f.trainer, nn.Options{Threads: 1})
	if err != nil {
		return err
	}
	count := len(f.inputs.mean)
	inputs, logits := make([]float32, f.Batch*count), make([]float32, f.Batch*f.classes)
	for batch := range slices.Chunk(pictures, f.Batch) {
		n := len(batch)
		f.inputs.load(inputs, batch)
		if err := plan.Run(ctx, inputs[:n*count], logits[:n*f.classes]); err != nil {
			return err
		}
		for r, i := range batch {
			for j, p := range model.Softmax(logits[r*f.classes:][:f.classes]) {
				to[i][j] += p / float64(f.Repeats)
			}
		}
	}
	return nil
}
