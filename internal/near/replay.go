package near

import (
	"fmt"
	"math"
	"testing"

	"garb/nn"
	"garb/tensor"
)

// The differences from Keras that issue and design allow.
const (
	lossTolerance   = 1e-4
	weightTolerance = 1e-3
)

// Replay trains g as a case says, from the weights that the script began with;
// pretrained may be nil. It returns what differs from Keras, and the largest
// differences of a loss and of a weight.
func Replay(t testing.TB, s Steps, g *nn.Graph, pretrained nn.Weights) (wrong []string, lossOff, weightOff float64) {
	t.Helper()
	w := tensor.Map{}
	for i, p := range g.Params() {
		if pretrained != nil {
			if v, err := pretrained.Tensor(p.Name); err == nil && p.Name[:10] != "classifier" {
				w[p.Name] = v
				continue
			}
		}
		w[p.Name] = Parameter(p.Name, p.Shape, i+1)
	}
	return ReplayFrom(t, s, g, w)
}

// ReplayFrom is Replay from given weights. Where Keras's own float32 says how far rounding
// leads, more than twenty times as far is a difference.
func ReplayFrom(t testing.TB, s Steps, g *nn.Graph, w nn.Weights) (wrong []string, lossOff, weightOff float64) {
	t.Helper()
	side, classes := g.InputShape()[0], tensor.Len(g.OutputShape())
	var loss nn.Loss = nn.SoftmaxCrossEntropy{LabelSmoothing: s.Smoothing, ClassWeights: s.Weights}
	if classes == 1 {
		loss = nn.BinaryCrossEntropy{}
	}
	o := nn.TrainerOptions{Loss: loss, BatchStatistics: s.Statistics}
	if s.Head {
		o.Trainable = func(p nn.Param) bool { return p.Name[:6] == "inner1" || p.Name[:6] == "classi" }
	}
	trainer, err := nn.NewTrainer(g, w, o)
	if err != nil {
		t.Fatal(err)
	}
	var optimizer nn.Optimizer = &nn.Adam{WeightDecay: s.Decay}
	if s.Optimizer == "sgd" {
		optimizer = &nn.SGD{Momentum: s.Momentum, Nesterov: s.Nesterov}
	}
	lossLimit, weightLimit := lossTolerance, weightTolerance
	if s.Off > 0 {
		lossLimit = min(lossLimit, max(1e-5, 20*s.Off))
		weightLimit = min(weightLimit, max(1e-5, 20*s.WeightsOff))
	}
	for step, want := range s.Losses {
		targets := make([]float32, s.Batch*classes)
		for i, label := range Labels(s.Batch, classes, step) {
			if classes == 1 {
				targets[i] = float32(label)
			} else {
				targets[i*classes+label] = 1
			}
		}
		got, err := trainer.Step(t.Context(), PictureBatch(s.Batch, side, step), targets,
			make([]float32, len(targets)))
		if err != nil {
			t.Fatal(err)
		}
		if s.Clip > 0 {
			nn.ClipGlobalNorm(trainer.Variables(), s.Clip)
		}
		optimizer.Update(trainer.Variables(), s.Rate)
		off := math.Abs(got - want)
		if lossOff = max(lossOff, off); !(off <= lossLimit) {
			wrong = append(wrong, fmt.Sprintf("loss of step %d is %v, Keras's %v", step+1, got, want))
		}
	}
	for name, want := range s.Parameters {
		v, err := trainer.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		norm := 0.0
		for _, x := range v.Data {
			norm += float64(x) * float64(x)
		}
		if norm = math.Sqrt(norm); !(math.Abs(norm-want.Norm) <= weightLimit*(1+want.Norm)) {
			wrong = append(wrong, fmt.Sprintf("%s has the norm %v, Keras's %v", name, norm, want.Norm))
		}
		for i, x := range Sampled(v.Data, len(want.Values)) {
			off := math.Abs(x - want.Values[i])
			if weightOff = max(weightOff, off); !(off <= weightLimit) {
				wrong = append(wrong, fmt.Sprintf("%s, value %d is %v, Keras's %v", name, i, x, want.Values[i]))
			}
		}
	}
	return wrong, lossOff, weightOff
}
