package peertest

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"garb/nn"
	"garb/tensor"
)

// The largest differences from Keras that are allowed.
const (
	lossTolerance   = 1e-4
	weightTolerance = 1e-3
)

// Replay trains g as the case s says, starting with the weights that the script started
// with. Tensors that pretrained has replace those, except the classifier's; pretrained may
// be nil. Replay returns the same as ReplayFrom.
func Replay(t testing.TB, s Steps, g *nn.Graph, pretrained nn.Weights) (mismatches []string, lossOff,
	weightOff float64) {
	t.Helper()
	w := tensor.Map{}
	for i, p := range g.Params() {
		if pretrained != nil && !strings.HasPrefix(p.Name, "classifier") {
			if v, err := pretrained.Tensor(p.Name); err == nil {
				w[p.Name] = v
				continue
			}
		}
		w[p.Name] = generateWeights(p.Name, p.Shape, i+1)
	}
	return ReplayFrom(t, s, g, w)
}

// ReplayFrom trains g as the case s says, starting with w. It returns a message for each
// mismatch with Keras, and the largest differences of a loss and of a weight. Where s says
// how much rounding changed Keras's own results, twenty times that is the tolerance.
func ReplayFrom(t testing.TB, s Steps, g *nn.Graph, w nn.Weights) (mismatches []string, lossOff, weightOff float64) {
	t.Helper()
	lossLimit, weightLimit := lossTolerance, weightTolerance
	if s.Off > 0 {
		lossLimit = min(lossLimit, max(1e-5, 20*s.Off))
		weightLimit = min(weightLimit, max(1e-5, 20*s.WeightsOff))
	}
	trainer, losses := s.train(t, g, w)
	for step, want := range s.Losses {
		off := math.Abs(losses[step] - want)
		if lossOff = max(lossOff, off); !(off <= lossLimit) {
			mismatches = append(mismatches, fmt.Sprintf("the loss of step %d is %v, Keras's is %v", step+1,
				losses[step], want))
		}
	}
	for name, want := range s.Parameters {
		v, err := trainer.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		if norm := euclideanNorm(v.Data); !(math.Abs(norm-want.Norm) <= weightLimit*(1+want.Norm)) {
			mismatches = append(mismatches, fmt.Sprintf("%s has the norm %v, Keras's has %v", name, norm, want.Norm))
		}
		for i, x := range sample(v.Data, len(want.Values)) {
			off := math.Abs(x - want.Values[i])
			if weightOff = max(weightOff, off); !(off <= weightLimit) {
				mismatches = append(mismatches, fmt.Sprintf("%s: value %d is %v, Keras's is %v", name, i, x,
					want.Values[i]))
			}
		}
	}
	return mismatches, lossOff, weightOff
}

// train does the steps of the case, and returns the trainer and the loss of each step.
func (s Steps) train(t testing.TB, g *nn.Graph, w nn.Weights) (*nn.Trainer, []float64) {
	t.Helper()
	side, classes := g.InputShape()[0], tensor.Len(g.OutputShape())
	options := nn.TrainerOptions{
		Loss:            nn.SoftmaxCrossEntropy{LabelSmoothing: s.Smoothing, ClassWeights: s.Weights},
		BatchStatistics: s.Statistics,
	}
	if classes == 1 {
		options.Loss = nn.BinaryCrossEntropy{}
	}
	if s.Head {
		options.Trainable = func(p nn.Param) bool {
			return strings.HasPrefix(p.Name, "inner1") || strings.HasPrefix(p.Name, "classifier")
		}
	}
	trainer, err := nn.NewTrainer(g, w, options)
	if err != nil {
		t.Fatal(err)
	}
	var optimizer nn.Optimizer = &nn.Adam{WeightDecay: s.Decay}
	if s.Optimizer == "sgd" {
		optimizer = &nn.SGD{Momentum: s.Momentum, Nesterov: s.Nesterov}
	}
	losses := make([]float64, len(s.Losses))
	for step := range losses {
		targets := encodeTargets(generateLabels(s.Batch, classes, step), classes)
		losses[step], err = trainer.Step(t.Context(), generatePictures(s.Batch, side, step), targets,
			make([]float32, len(targets)))
		if err != nil {
			t.Fatal(err)
		}
		if s.Clip > 0 {
			nn.ClipGlobalNorm(trainer.Variables(), s.Clip)
		}
		optimizer.Update(trainer.Variables(), s.Rate)
	}
	return trainer, losses
}

// encodeTargets returns the labels one-hot, or as they are if one output tells two classes
// apart.
func encodeTargets(labels []int, classes int) []float32 {
	targets := make([]float32, len(labels)*classes)
	for i, label := range labels {
		if classes == 1 {
			targets[i] = float32(label)
		} else {
			targets[i*classes+label] = 1
		}
	}
	return targets
}

func euclideanNorm(values []float32) float64 {
	sum := 0.0
	for _, x := range values {
		sum += float64(x) * float64(x)
	}
	return math.Sqrt(sum)
}
