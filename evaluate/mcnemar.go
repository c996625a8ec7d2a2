package evaluate

import "math"

// McNemar returns the two-sided p-value of McNemar's exact test that two classifiers are equally
// often right on the same pictures. onlyA is the number of pictures that only the first got right, and
// onlyB of those that only the second got right. If the classifiers are equally good, each such picture
// is as likely to be of one kind as of the other:
//
//	p = min(1, 2·Σ_{k ≤ min(onlyA,onlyB)} C(n,k)/2ⁿ),   n = onlyA + onlyB
func McNemar(onlyA, onlyB int) float64 {
	n, fewer := onlyA+onlyB, min(onlyA, onlyB)
	lgamma := func(x int) float64 { v, _ := math.Lgamma(float64(x) + 1); return v }
	sum := 0.0
	for k := 0; k <= fewer; k++ {
		sum += math.Exp(lgamma(n) - lgamma(k) - lgamma(n-k) - float64(float64(n)*math.Ln2))
	}
	return min(1, 2*sum)
}
