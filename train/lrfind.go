package train

import (
	"context"
	"io"
	"math"

	"garb/report"
)

// Rate is a step of FindLearningRate.
type Rate struct {
	LearningRate float64 `json:"learning_rate"`
	Loss         float64 `json:"loss"` // a moving average over the steps so far
}

// Search holds the settings of FindLearningRate.
type Search struct {
	Low, High float64 // learning rates of the first and the last step
	Steps     int
}

// DefaultSearch returns a search from a learning rate that is far too low to one that is far too
// high.
func DefaultSearch() Search { return Search{Low: 1e-6, High: 10, Steps: 150} }

// Validate reports settings that cannot work.
func (s Search) Validate() error {
	return checkBounds([]bound{
		{"lowest learning rate", s.Low, positive},
		{"highest learning rate", s.High, interval{s.Low, math.MaxFloat64, true, false}},
		{"steps of the search", float64(s.Steps), interval{10, math.MaxFloat64, false, false}},
	}...)
}

const (
	lossDecay = 0.95 // of the loss's moving average
	lossLimit = 4    // the search ends when the loss is this many times its minimum
)

// FindLearningRate searches for a value of Config.LearningRate by the range test of Smith 2017
// ("Cyclical Learning Rates"): it trains for some steps, multiplies the learning rate by the same
// factor after each, and records the loss. It returns the curve, and the rate at which the loss
// falls most steeply, 0 if it never falls. The search ends early when the loss exceeds four times
// its minimum. It skips the probe before fine-tuning, and writes nothing in the run's folder.
func FindLearningRate(
	ctx context.Context, c Config, s Search, p Progress,
) (curve []Rate, proposed float64, err error) {
	if err = s.Validate(); err != nil {
		return nil, 0, err
	}
	c.ProbeEpochs, c.ProbeLearningRate = 0, 0
	r, err := prepare(ctx, c, p)
	if err != nil {
		return nil, 0, err
	}
	b := r.newStepBuffers()
	average, smallest := 0.0, math.Inf(1)
	order := r.drawOrder(1)
	for i := range s.Steps {
		if r.Step == r.stepsPerEpoch() {
			r.History, r.Step = append(r.History, Epoch{}), 0
			order = r.drawOrder(r.epoch())
		}
		rate := s.Low * math.Pow(s.High/s.Low, float64(i)/float64(s.Steps-1))
		loss, _, err := r.trainStep(ctx, b, r.batchSamples(order, r.Step), rate)
		if err != nil {
			return nil, 0, err
		}
		r.Step++
		average = float64(lossDecay*average) + float64((1-lossDecay)*loss)
		smooth := average / (1 - math.Pow(lossDecay, float64(i+1)))
		if math.IsNaN(smooth) || math.IsInf(smooth, 0) || smooth > lossLimit*smallest {
			break
		}
		smallest = min(smallest, smooth)
		curve = append(curve, Rate{rate, smooth})
		if p.Step != nil {
			p.Step(Step{Epoch: 1, Epochs: 1, Step: i + 1, Steps: s.Steps, Loss: smooth})
		}
	}
	return curve, findSteepest(curve), nil
}

// findSteepest returns the learning rate at which the loss falls most per logarithm of the rate,
// over a tenth of the curve; 0 if it does not fall.
func findSteepest(curve []Rate) float64 {
	width := max(2, len(curve)/10)
	best, fall := 0.0, 0.0
	for i := width; i < len(curve); i++ {
		a, b := curve[i-width], curve[i]
		if f := (a.Loss - b.Loss) / math.Log(b.LearningRate/a.LearningRate); f > fall {
			best, fall = math.Sqrt(a.LearningRate*b.LearningRate), f
		}
	}
	return best
}

// PlotRates draws the result of FindLearningRate as SVG.
func PlotRates(w io.Writer, curve []Rate, proposed float64) error {
	s := report.Series{Name: "loss"}
	for _, r := range curve {
		s.X, s.Y = append(s.X, r.LearningRate), append(s.Y, r.Loss)
	}
	return report.Chart{
		Title: "Loss while the learning rate grows", XLabel: "learning rate", YLabel: "loss",
		Series: []report.Series{s}, LogX: true, MarkX: proposed,
	}.WriteSVG(w)
}
