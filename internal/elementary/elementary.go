// Package elementary computes the exponential function and the logarithm with the same bits on every machine.
// math.Exp and math.Log do not: some processors have assembly for them, which rounds differently.
package elementary

import "math"

// ln2 is split into a part whose product with an exponent is exact, because its last 21 bits are zero, and the rest.
const (
	ln2High = 0x1.62e42fefap-1
	ln2Low  = 0x1.cf79abc9e3b39p-40
)

const (
	// largestExponent is ln of the largest float64, and smallestExponent is less than ln of half the smallest.
	largestExponent  = 0x1.62e42fefa39efp+9
	smallestExponent = -746
)

// expTerms is the number of terms of the series of eˣ: the next one is less than 2⁻⁵⁵ for |x| ≤ ln(2)/2.
const expTerms = 14

// inverseFactorials has 1/n! for n < expTerms.
var inverseFactorials = func() (inverse [expTerms]float64) {
	factorial := 1.0
	for n := range inverse {
		inverse[n] = 1 / factorial
		factorial *= float64(n + 1)
	}
	return inverse
}()

// Exp returns eˣ. The error is less than 1 unit in the last place, and more only in subnormal results.
//
// It writes x as k·ln(2) + r with |r| ≤ ln(2)/2, and computes 2ᵏ·(1 + r + r²/2! + …). The conversions keep
// the compiler from fusing multiplications and additions.
func Exp(x float64) float64 {
	switch {
	case math.IsNaN(x) || x > largestExponent:
		return x + math.Inf(1) // NaN stays NaN
	case x < smallestExponent:
		return 0
	}
	k := math.RoundToEven(x * math.Log2E)
	high, low := x-float64(k*ln2High), float64(k*ln2Low)
	r := high - low
	rest := (high - r) - low // what the rounding of r lost
	series := inverseFactorials[expTerms-1]
	for n := expTerms - 2; n >= 2; n-- {
		series = float64(series*r) + inverseFactorials[n]
	}
	series = float64(float64(r*r)*series) + rest
	return math.Ldexp(1+(r+series), int(k))
}

// logTerms is the number of terms of the series of atanh: the next one is less than 2⁻⁵⁵ of the first.
const logTerms = 11

// Log returns the natural logarithm of x, NaN for a negative x, and −∞ for 0. The error is less than 1 unit in
// the last place.
//
// It writes x as 2ᵉ·m with √½ ≤ m < √2, and computes ln(m) as 2·atanh(s) = 2·(s + s³/3 + s⁵/5 + …), where
// s = (m−1)/(m+1).
func Log(x float64) float64 {
	switch {
	case math.IsNaN(x) || math.IsInf(x, 1):
		return x
	case x < 0:
		return math.NaN()
	case x == 0:
		return math.Inf(-1)
	}
	m, exponent := math.Frexp(x)
	if m < math.Sqrt2/2 {
		m, exponent = 2*m, exponent-1
	}
	e, f := float64(exponent), m-1
	s := f / (2 + f)
	square := float64(s * s)
	series := 0.0
	for n := logTerms - 1; n >= 1; n-- {
		series = float64(series*square) + 2/float64(2*n+1)
	}
	series = float64(series * square)
	// 2·s = f − s·f, and s·f = f²/2 − s·f²/2: so the large terms are exact, or almost.
	half := float64(f * f / 2)
	tail := float64(s*(half+series)) + float64(e*ln2Low)
	return float64(e*ln2High) - ((half - tail) - f)
}
