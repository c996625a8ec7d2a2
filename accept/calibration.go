package accept

import (
	"fmt"
	"math"
	"slices"

	"garb/internal/elementary"
)

// Calibration maps a score to an acceptance: 1/(1+e^−(Slope·score+Offset)).
type Calibration struct {
	Slope  float64 `json:"slope"`
	Offset float64 `json:"offset"`
}

// Logit returns the logit of the acceptance: Slope·score+Offset.
func (c Calibration) Logit(score float64) float64 { return float64(c.Slope*score) + c.Offset }

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
func Logistic(v float64) float64 { return 1 / (1 + elementary.Exp(-v)) }

// Validate returns an error unless both numbers are finite and the slope is not negative.
func (c Calibration) Validate() error {
	if !(c.Slope >= 0) || math.IsInf(c.Slope, 0) || math.IsNaN(c.Offset) || math.IsInf(c.Offset, 0) {
		return fmt.Errorf("invalid calibration: slope %v, offset %v", c.Slope, c.Offset)
	}
	return nil
}

// Fit returns the calibration by logistic regression of accepted against others on the score
// (Platt 1999), with the targets (n+1)/(n+2) and 1/(n+2) of Lin, Lin and Weng 2007, which keep
// it finite when the scores separate the groups. Both groups have the same total weight, so a
// picture with an acceptance of .5 is as likely from one as from the other. If the scores of
// accepted are not larger than those of others, the slope is 0 and each acceptance .5. Neither
// group may be empty.
func Fit(accepted, others []float64) Calibration {
	center, spread := moments(slices.Concat(accepted, others))
	var all examples
	add := func(scores []float64, target float64) {
		for _, s := range scores {
			all = append(all, example{(s - center) / spread, target, 1 / (2 * float64(len(scores)))})
		}
	}
	n, m := float64(len(accepted)), float64(len(others))
	add(accepted, (n+1)/(n+2))
	add(others, 1/(m+2))
	a, b := all.regress()
	if !(a > 0) {
		return Calibration{}
	}
	return Calibration{Slope: a / spread, Offset: b - a*center/spread}
}

// example is a picture of a logistic regression.
type example struct{ score, target, weight float64 }

type examples []example

// loss returns Σ w·(log(1+e^v) − t·v) with v = a·s+b, which is convex.
func (all examples) loss(a, b float64) float64 {
	sum := 0.0
	for _, e := range all {
		v := float64(a*e.score) + b
		sum += float64(e.weight * (max(v, 0) + math.Log1p(elementary.Exp(-math.Abs(v))) - float64(e.target*v)))
	}
	return sum
}

// regress returns the a and b of the smallest loss.
func (all examples) regress() (a, b float64) {
	for range 200 { // Newton's method, which converges in about ten steps
		const ridge = 1e-12 // makes the equations solvable if all scores are equal
		ga, gb, haa, hab, hbb := 0.0, 0.0, ridge, 0.0, ridge
		for _, e := range all {
			p := Logistic(float64(a*e.score) + b)
			g, h := float64(e.weight*(p-e.target)), e.weight*p*(1-p)
			ga, gb = ga+float64(g*e.score), gb+g
			haa, hab, hbb = haa+float64(h*e.score*e.score), hab+float64(h*e.score), hbb+float64(h)
		}
		if math.Hypot(ga, gb) < 1e-10 {
			break
		}
		determinant := float64(haa*hbb) - float64(hab*hab)
		da, db := -(float64(hbb*ga)-float64(hab*gb))/determinant, -(float64(haa*gb)-float64(hab*ga))/determinant
		step, before := 1.0, all.loss(a, b)
		for step > 1e-10 && !(all.loss(a+float64(step*da), b+float64(step*db)) <= before) {
			step /= 2
		}
		if step <= 1e-10 {
			break
		}
		a, b = a+float64(step*da), b+float64(step*db)
	}
	return a, b
}

// FitAlone gives shareAlone of the pictures an acceptance of at least .5, and halfAlone of them
// at least .95.
const (
	shareAlone = 0.95
	halfAlone  = 0.5
)

// FitAlone returns a calibration fitted without other pictures: 95 % of accepted get an
// acceptance of at least .5, and half of them at least .95. Such an acceptance is not a
// probability: it says how typical a picture is of the classes. accepted must not be empty.
func FitAlone(accepted []float64) Calibration {
	sorted := slices.Sorted(slices.Values(accepted))
	low, half := quantile(sorted, shareAlone), quantile(sorted, halfAlone)
	_, spread := moments(accepted)
	slope := math.Log(0.95/0.05) / max(half-low, 1e-3*spread)
	return Calibration{Slope: slope, Offset: -slope * low}
}

// moments returns the mean and the standard deviation of values; a deviation of 0 becomes 1.
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
