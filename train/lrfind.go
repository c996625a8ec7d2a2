package train

import (
	"context"
	"fmt"
	"io"
	"math"

	"garb/report"
)

// Rate is a step of FindLearningRate.
type Rate struct {
	LearningRate float64 `json:"learning_rate"`
	Loss         float64 `json:"loss"` // a moving average over the steps so far
}

// Search says how FindLearningRate goes about it.
type Search struct {
	Low, High float64 // learning rates, of the first step and the last
	Steps     int
}

// DefaultSearch goes from where nothing moves to where everything breaks.
func DefaultSearch() Search { return Search{Low: 1e-6, High: 10, Steps: 150} }

// Validate reports a search that cannot be.
func (s Search) Validate() error {
	const leastSteps = 10
	switch {
	case !(s.Low > 0 && s.High > s.Low) || math.IsInf(s.High, 0):
		return fmt.Errorf("a search from the learning rate %g to %g: the first must be positive, and the last larger",
			s.Low,
			s.High)
	case s.Steps < leastSteps:
		return fmt.Errorf("a search of %d steps: it takes at least %d", s.Steps, leastSteps)
	}
	return nil
}

const (
	// rateMemory is the share of the moving average that a step keeps.
	rateMemory = 0.95
	// rateBreak is how many times the smallest loss so far ends the search.
	rateBreak = 4
)

// FindLearningRate trains for some steps while the learning rate grows by the same
// factor in each, and watches the loss (Smith 2017, "Cyclical Learning Rates"). It
// returns the curve, and the rate to propose: where the loss falls most steeply. It
// ends early once the loss is four times its smallest. The run's folder is not
// touched; proposed is 0 if the loss never fell. The rate is that of Config.LearningRate:
// a probe before fine-tuning is left out.
func FindLearningRate(ctx context.Context, c Config, s Search, p Progress) (curve []Rate, proposed float64,
	err error) {
	if err := s.Validate(); err != nil {
		return nil, 0, err
	}
	c.ProbeEpochs, c.ProbeLearningRate = 0, 0
	r, err := prepare(ctx, c, p)
	if err != nil {
		return nil, 0, err
	}
	b := r.newBatch()
	average, smallest := 0.0, math.Inf(1)
	order := r.order(1)
	for i := range s.Steps {
		if r.Step == r.stepsPerEpoch() {
			r.History, r.Step = append(r.History, Epoch{}), 0
			order = r.order(r.epoch())
		}
		rate := s.Low * math.Pow(s.High/s.Low, float64(i)/float64(s.Steps-1))
		loss, _, err := r.step(ctx, b, r.samples(order, r.Step), rate)
		if err != nil {
			return nil, 0, err
		}
		r.Step++
		average = rateMemory*average + (1-rateMemory)*loss
		smooth := average / (1 - math.Pow(rateMemory, float64(i+1)))
		if math.IsNaN(smooth) || math.IsInf(smooth, 0) || smooth > rateBreak*smallest {
			break
		}
		smallest = min(smallest, smooth)
		curve = append(curve, Rate{rate, smooth})
		if p.Step != nil {
			p.Step(Step{Epoch: 1, Epochs: 1, Step: i + 1, Steps: s.Steps, Loss: smooth})
		}
	}
	return curve, steepest(curve), nil
}

// steepest returns the rate at which the loss falls most for a factor in the rate,
// over a tenth of the curve; 0 if it does not fall.
func steepest(curve []Rate) float64 {
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

// PlotRates draws what FindLearningRate found, as SVG.
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
