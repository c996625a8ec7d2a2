package nn

import "math"

// Schedule returns the learning rate of a step, counted from 0, of so many in all. It is a pure
// function, so that a training can be resumed anywhere.
type Schedule func(step, steps int) float64

// Constant returns a schedule with the same rate throughout.
func Constant(rate float64) Schedule { return func(int, int) float64 { return rate } }

// StepDecay returns a schedule that multiplies the rate by factor after every so many steps.
func StepDecay(rate, factor float64, every int) Schedule {
	return func(step, _ int) float64 { return rate * math.Pow(factor, float64(step/max(every, 1))) }
}

// Cosine returns a schedule that rises linearly from 0 to rate over the first warmUp steps, then
// falls along half a cosine to final·rate (Loshchilov & Hutter 2017), as Keras's CosineDecay with a
// warm-up target does.
func Cosine(rate, final float64, warmUp int) Schedule {
	return func(step, steps int) float64 {
		if step < warmUp {
			return rate * float64(step) / float64(warmUp)
		}
		done := math.Min(float64(step-warmUp)/float64(max(steps-warmUp, 1)), 1)
		return rate * (final + float64((1-final)*(1+math.Cos(math.Pi*done))/2))
	}
}

// OneCycle returns a schedule that rises along half a cosine from rate/25 to rate over the first 30
// % of the steps, then falls along another to rate/250,000: the policy of Smith & Topin 2018 with
// the constants of fast.ai and PyTorch.
func OneCycle(rate float64) Schedule {
	const rise, start, final = 0.3, 1.0 / 25, 1.0 / 25e4
	between := func(from, to, done float64) float64 { return to + float64((from-to)*(1+math.Cos(math.Pi*done))/2) }
	return func(step, steps int) float64 {
		peak := float64(rise*float64(steps)) - 1
		last := float64(max(steps-1, 1))
		if at := float64(step); at <= peak {
			return rate * between(start, 1, at/math.Max(peak, 1))
		}
		return rate * between(1, final, math.Min((float64(step)-peak)/(last-peak), 1))
	}
}
