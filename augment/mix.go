package augment

import (
	"fmt"
	"math"
	"math/rand/v2"

	"garb/picture"
)

// Mix mixes the pictures of one batch in place if Mixup or CutMix is on; otherwise it does
// nothing. inputs are n pictures [n Height Width Channels], as Load writes them; targets are
// the probabilities of their classes [n classes], which are mixed in the same shares, so that
// rows keep their sums.
//
// Mix divides the batch at random into pairs, and draws a share λ from Beta(α, α) for each.
// Mixup makes each picture λ of itself plus 1−λ of its partner. CutMix exchanges a rectangle
// between the two: 1−λ of the area, around a random pixel, and cut off at the picture's
// edge; λ becomes the share that remains. In a batch of odd size one picture stays as it is.
//
// The result depends only on the seed, the epoch and the step. Mix panics if the lengths do
// not match.
func (v *Views) Mix(epoch, step int, inputs, targets []float32, classes int) {
	size := v.spec.ValueCount()
	if classes <= 0 || len(targets)%classes != 0 || len(inputs) != len(targets)/classes*size {
		panic(fmt.Sprintf("augment: %d values and %d targets for %d classes, with pictures of %d values", len(inputs),
			len(targets), classes, size))
	}
	if v.config.Mixup == 0 && v.config.CutMix == 0 {
		return
	}
	r := v.stream(forBatches, epoch, step)
	cut := r.Float64() < 0.5
	if v.config.Mixup == 0 || v.config.CutMix == 0 {
		cut = v.config.Mixup == 0
	}
	order := r.Perm(len(targets) / classes)
	for ; len(order) >= 2; order = order[2:] {
		a, b := inputs[order[0]*size:][:size], inputs[order[1]*size:][:size]
		var own float64
		if cut {
			own = exchange(a, b, v.spec, drawBeta(r, v.config.CutMix), r)
		} else {
			own = drawBeta(r, v.config.Mixup)
			blend(a, b, float32(own))
		}
		blend(targets[order[0]*classes:][:classes], targets[order[1]*classes:][:classes], float32(own))
	}
}

// blend makes a and b each a mixture of the share own of itself and the rest of the other.
func blend(a, b []float32, own float32) {
	for i, x := range a {
		y := b[i]
		a[i], b[i] = float32(own*x)+float32((1-own)*y), float32(own*y)+float32((1-own)*x)
	}
}

// exchange exchanges a rectangle of 1−own of the area, cut off at the edges, between two
// inputs, and returns the share of each that remains.
func exchange(a, b []float32, spec picture.Spec, own float64, r *rand.Rand) float64 {
	width, height, channels := spec.Width, spec.Height, spec.Channels()
	side := math.Sqrt(1 - own)
	span := func(length int) (from, to int) {
		centre, half := r.IntN(length), int(side*float64(length)/2)
		return max(centre-half, 0), min(centre+half, length)
	}
	left, right := span(width)
	top, bottom := span(height)
	for y := top; y < bottom; y++ {
		from, to := channels*(y*width+left), channels*(y*width+right)
		p, q := a[from:to], b[from:to]
		for i, x := range p {
			p[i], q[i] = q[i], x
		}
	}
	return 1 - float64((right-left)*(bottom-top))/float64(width*height)
}

// drawBeta draws from Beta(α, α): x/(x+y) for two gamma variates, computed in logarithms,
// since for small α both are often too small for a float64. gonum's sampler would draw other
// numbers from the same seed, and so change recorded runs.
func drawBeta(r *rand.Rand, alpha float64) float64 {
	return 1 / (1 + math.Exp(drawLogGamma(r, alpha)-drawLogGamma(r, alpha)))
}

// drawLogGamma draws the logarithm of a variate of Gamma(α, 1): one of Gamma(α+1, 1) by
// Marsaglia & Tsang 2000, times U^(1/α).
func drawLogGamma(r *rand.Rand, alpha float64) float64 {
	d := alpha + 1 - 1./3
	c := 1 / math.Sqrt(9*d)
	for {
		x := r.NormFloat64()
		w := 1 + float64(c*x)
		if w <= 0 {
			continue
		}
		w *= w * w
		// 1−U is in (0, 1], so its logarithm is finite.
		if math.Log(1-float64(r.Float64())) < float64(x*x/2)+d-float64(d*w)+float64(d*math.Log(w)) {
			return math.Log(d*w) + math.Log(1-float64(r.Float64()))/alpha
		}
	}
}
