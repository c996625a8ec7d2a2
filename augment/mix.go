package augment

import (
	"fmt"
	"math"
	"math/rand/v2"

	"garb/picture"
)

// Mix makes mixtures of the pictures of one batch, in place, if Mixup or CutMix is
// on, and does nothing if not. inputs are n pictures [n Height Width 3], each as
// Load gives it; targets are the probabilities of their classes [n classes], which
// become mixtures in the same shares: rows keep their sums.
//
// The batch falls at random into pairs, and each pair draws a share λ from
// Beta(α, α). Mixup leaves each picture λ of itself and 1−λ of its partner. CutMix
// exchanges a rectangle between the two, of 1−λ of the area around a random pixel
// and cut off at the picture's edge; λ is then what is left. Of an odd number one
// picture stays as it is.
//
// The mixtures depend on the seed, the epoch and the step alone. Mix panics if the
// lengths do not fit together.
func (v *Views) Mix(epoch, step int, inputs, targets []float32, classes int) {
	size := v.spec.ValueCount()
	if classes <= 0 || len(targets)%classes != 0 || len(inputs) != len(targets)/classes*size {
		panic(fmt.Sprintf("augment: %d values and %d targets of %d classes, for pictures of %d values", len(inputs),
			len(targets), classes, size))
	}
	if v.config.Mixup == 0 && v.config.CutMix == 0 {
		return
	}
	r := v.stream(ofBatches, epoch, step)
	cut := r.Float64() < 0.5
	if v.config.Mixup == 0 || v.config.CutMix == 0 {
		cut = v.config.Mixup == 0
	}
	order := r.Perm(len(targets) / classes)
	for ; len(order) >= 2; order = order[2:] {
		a, b := inputs[order[0]*size:][:size], inputs[order[1]*size:][:size]
		var own float64
		if cut {
			own = exchange(a, b, v.spec, beta(r, v.config.CutMix), r)
		} else {
			own = beta(r, v.config.Mixup)
			blend(a, b, float32(own))
		}
		blend(targets[order[0]*classes:][:classes], targets[order[1]*classes:][:classes], float32(own))
	}
}

// blend gives a and b each the share own of itself and the rest of the other.
func blend(a, b []float32, own float32) {
	for i, x := range a {
		y := b[i]
		a[i], b[i] = own*x+(1-own)*y, own*y+(1-own)*x
	}
}

// exchange exchanges a rectangle of 1−own of the area, less what lies outside,
// between two inputs of a spec, and returns the share of each that remains.
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

// beta draws from Beta(α, α): x/(x+y) of two gamma variates, in logarithms, since
// for small α both are often too small for a float64.
func beta(r *rand.Rand, alpha float64) float64 {
	return 1 / (1 + math.Exp(logGamma(r, alpha)-logGamma(r, alpha)))
}

// logGamma draws the logarithm of a variate of Gamma(α, 1): Marsaglia & Tsang 2000
// at α+1, times U^(1/α) for what that is too large.
func logGamma(r *rand.Rand, alpha float64) float64 {
	d := alpha + 1 - 1./3
	c := 1 / math.Sqrt(9*d)
	for {
		x := r.NormFloat64()
		w := 1 + c*x
		if w <= 0 {
			continue
		}
		w *= w * w
		// 1−U is from (0, 1], whose logarithm is finite.
		if math.Log(1-r.Float64()) < x*x/2+d-d*w+d*math.Log(w) {
			return math.Log(d*w) + math.Log(1-r.Float64())/alpha
		}
	}
}
