package accept

import (
	"fmt"
	"math"
	"slices"
)

// Calibration turns a score into an acceptance: 1/(1+e^−(Slope·score+Offset)).
type Calibration struct {
	Slope  float64 `json:"slope"`
	Offset float64 `json:"offset"`
}

// Logit returns the logit of the acceptance: Slope·score+Offset.
func (c Calibration) Logit(score float64) float64 { return c.Slope*score + c.Offset }

// Acceptance returns the acceptance of a score, from 0 to 1.
func (c Calibration) Acceptance(score float64) float64 { return Logistic(c.Logit(score)) }

// Acceptances returns the acceptance of each score.
func (c Calibration) Acceptances(scores []float64) []float64 {
	all := make([]float64, len(scores))
	for i, s := range scores {
		all[i] = c.Acceptance(s)
	}
	return all
}

// Logistic returns 1/(1+e^−v).
func Logistic(v float64) float64 { return 1 / (1 + math.Exp(-v)) }

// Validate reports a calibration that cannot be: its numbers are finite, and a larger
// score is no less accepted.
func (c Calibration) Validate() error {
	if !(c.Slope >= 0) || math.IsInf(c.Slope, 0) || math.IsNaN(c.Offset) || math.IsInf(c.Offset, 0) {
		return fmt.Errorf("a calibration with slope %v and offset %v", c.Slope, c.Offset)
	}
	return nil
}

// Fit returns the calibration by logistic regression of accepted against others on the
// score (Platt 1999), with the targets (n+1)/(n+2) and 1/(n+2) of Lin, Lin and Weng 2007,
// which keep it finite when a score tells all apart. Both groups have the same weight in
// all, so an acceptance of .5 is as likely of either. The slope is 0, and each acceptance
// .5, if the scores of accepted are no larger than those of others. Neither may be empty.
func Fit(accepted, others []float64) Calibration {
	center, spread := moments(slices.Concat(accepted, others))
	type example struct{ score, target, weight float64 }
	var all []example
	add := func(scores []float64, sign float64) {
		n := float64(len(scores))
		target := 1 / (n + 2)
		if sign > 0 {
			target = (n + 1) / (n + 2)
		}
		for _, s := range scores {
			all = append(all, example{(s - center) / spread, target, 1 / (2 * n)})
		}
	}
	add(accepted, 1)
	add(others, -1)
	// The loss Σ w·(log(1+e^v) − t·v), v = a·s+b, is convex.
	loss := func(a, b float64) float64 {
		sum := 0.0
		for _, e := range all {
			v := a*e.score + b
			sum += e.weight * (max(v, 0) + math.Log1p(math.Exp(-math.Abs(v))) - e.target*v)
		}
		return sum
	}
	a, b := 0.0, 0.0
	for range 200 { // Newton's method; it converges in some ten steps
		const ridge = 1e-12 // lets the equations be solved where all scores are equal
		ga, gb, haa, hab, hbb := 0.0, 0.0, ridge, 0.0, ridge
		for _, e := range all {
			p := Logistic(a*e.score + b)
			g, h := e.weight*(p-e.target), e.weight*p*(1-p)
			ga, gb = ga+g*e.score, gb+g
			haa, hab, hbb = haa+h*e.score*e.score, hab+h*e.score, hbb+h
		}
		if math.Hypot(ga, gb) < 1e-10 {
			break
		}
		determinant := haa*hbb - hab*hab
		da, db := -(hbb*ga-hab*gb)/determinant, -(haa*gb-hab*ga)/determinant
		step, before := 1.0, loss(a, b)
		for step > 1e-10 && !(loss(a+step*da, b+step*db) <= before) {
			step /= 2
		}
		if step <= 1e-10 {
			break
		}
		a, b = a+step*da, b+step*db
	}
	if !(a > 0) {
		return Calibration{}
	}
	return Calibration{Slope: a / spread, Offset: b - a*center/spread}
}

// The shares that FitAlone fits: it accepts the first, with .5, and gives the second .95.
const (
	shareAlone = 0.95
	halfAlone  = 0.5
)

// FitAlone returns a calibration where there are no other pictures to compare with: 95 %
// of accepted get at least .5, and half of them at least .95. What it says is how usual a
// picture is among those of the classes; it is no probability. accepted must not be empty.
func FitAlone(accepted []float64) Calibration {
	sorted := slices.Sorted(slices.Values(accepted))
	low, half := quantile(sorted, shareAlone), quantile(sorted, halfAlone)
	_, spread := moments(accepted)
	slope := math.Log(0.95/0.05) / max(half-low, 1e-3*spread)
	return Calibration{Slope: slope, Offset: -slope * low}
}

// moments returns the mean and the standard deviation, 1 if that is 0.
func moments(values []float64) (mean, deviation float64) {
	for _, v := range values {
		mean += v / float64(len(values))
	}
	for _, v := range values {
		deviation += (v - mean) * (v - mean) / float64(len(values))
	}
	if deviation = math.Sqrt(deviation); !(deviation > 0) {
		return mean, 1
	}
	return mean, deviation
}
