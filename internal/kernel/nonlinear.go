package kernel

import "math"

// The functions in this file apply a nonlinear function f to each value of a slice,
// dst[i] = f(src[i]), or multiply a gradient by its derivative, dst[i] *= f'(src[i]):
// then dst turns from the gradient by f's result into the gradient by its argument.
//
// All of them panic if src is shorter than dst, and ignore further values of src. The
// slices may be the same, but must not overlap otherwise. They allocate nothing.
//
// They are defined for every float32: NaN stays NaN, and at ±Inf a function has its
// limit, so Swish(−Inf) is −0. At a bend the derivative is that of the lower side for
// ELU and LeakyReLU, and that outside for HardSigmoid and HardSwish.
//
// With assembly each result differs from the exact one by at most 2.5 units in the last
// place (ulp), denormal results included; 4.5 for GELU and Mish, 2.75 for Tanh. Each
// factor f'(src[i]) differs by at most 5 ulp, 7 for Mish; near a root, where its terms
// cancel, by 2⁻²³. The portable level computes in float64 and rounds once. A value's
// result does not depend on its position, and has the same bits with AVX2 and AVX-512.

// Exp sets dst[i] = e^src[i]: +Inf above 88.72, 0 below −103.97.
func Exp(dst, src []float32) { applyUnary(expUnary, dst, src, 0, 0) }

// Sigmoid sets dst[i] = σ(src[i]) = 1/(1 + e^−src[i]).
func Sigmoid(dst, src []float32) { applyUnary(sigmoidUnary, dst, src, 0, 0) }

// SigmoidGradient sets dst[i] *= σ'(src[i]).
func SigmoidGradient(dst, src []float32) { applyUnary(sigmoidGradientUnary, dst, src, 0, 0) }

// Swish sets dst[i] = src[i]·σ(src[i]), a function also called SiLU.
func Swish(dst, src []float32) { applyUnary(swishUnary, dst, src, 0, 0) }

// SwishGradient sets dst[i] *= swish'(src[i]).
func SwishGradient(dst, src []float32) { applyUnary(swishGradientUnary, dst, src, 0, 0) }

// HardSigmoid sets dst[i] = min(max(src[i]/6 + 1/2, 0), 1).
func HardSigmoid(dst, src []float32) { applyUnary(hardSigmoidUnary, dst, src, 0, 0) }

// HardSigmoidGradient sets dst[i] *= 1/6 between −3 and 3, and 0 elsewhere.
func HardSigmoidGradient(dst, src []float32) { applyUnary(hardSigmoidGradientUnary, dst, src, 0, 0) }

// HardSwish sets dst[i] = src[i]·min(max(src[i]/6 + 1/2, 0), 1).
func HardSwish(dst, src []float32) { applyUnary(hardSwishUnary, dst, src, 0, 0) }

// HardSwishGradient sets dst[i] *= src[i]/3 + 1/2 between −3 and 3, 0 below and 1 above.
func HardSwishGradient(dst, src []float32) { applyUnary(hardSwishGradientUnary, dst, src, 0, 0) }

// GELU sets dst[i] = src[i]·Φ(src[i]), with Φ(x) = (1 + erf(x/√2))/2.
func GELU(dst, src []float32) { applyUnary(geluUnary, dst, src, 0, 0) }

// GELUGradient sets dst[i] *= Φ(src[i]) + src[i]·φ(src[i]), with φ = Φ'.
func GELUGradient(dst, src []float32) { applyUnary(geluGradientUnary, dst, src, 0, 0) }

// GELUTanh sets dst[i] = x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))/2 for x = src[i], the
// approximation of GELU by Hendrycks & Gimpel 2016.
func GELUTanh(dst, src []float32) { applyUnary(geluTanhUnary, dst, src, 0, 0) }

// GELUTanhGradient multiplies dst by the derivative of GELUTanh.
func GELUTanhGradient(dst, src []float32) { applyUnary(geluTanhGradientUnary, dst, src, 0, 0) }

// Tanh sets dst[i] = tanh(src[i]).
func Tanh(dst, src []float32) { applyUnary(tanhUnary, dst, src, 0, 0) }

// TanhGradient sets dst[i] *= 1 − tanh²(src[i]).
func TanhGradient(dst, src []float32) { applyUnary(tanhGradientUnary, dst, src, 0, 0) }

// ELU sets dst[i] = scale·src[i] above zero and scale·alpha·(e^src[i] − 1) below. SELU is
// ELU with the alpha and scale of Klambauer et al. 2017.
func ELU(dst, src []float32, alpha, scale float32) {
	applyUnary(eluUnary, dst, src, float64(scale), float64(alpha)*float64(scale))
}

// ELUGradient sets dst[i] *= scale above zero, and scale·alpha·e^src[i] elsewhere.
func ELUGradient(dst, src []float32, alpha, scale float32) {
	applyUnary(eluGradientUnary, dst, src, float64(scale), float64(alpha)*float64(scale))
}

// Softplus sets dst[i] = log(1 + e^src[i]).
func Softplus(dst, src []float32) { applyUnary(softplusUnary, dst, src, 0, 0) }

// SoftplusGradient sets dst[i] *= σ(src[i]).
func SoftplusGradient(dst, src []float32) { applyUnary(softplusGradientUnary, dst, src, 0, 0) }

// Mish sets dst[i] = src[i]·tanh(log(1 + e^src[i])).
func Mish(dst, src []float32) { applyUnary(mishUnary, dst, src, 0, 0) }

// MishGradient sets dst[i] *= mish'(src[i]).
func MishGradient(dst, src []float32) { applyUnary(mishGradientUnary, dst, src, 0, 0) }

// LeakyReLU sets dst[i] = src[i] above zero and slope·src[i] below.
func LeakyReLU(dst, src []float32, slope float32) {
	applyUnary(leakyReLUUnary, dst, src, float64(slope), 0)
}

// LeakyReLUGradient sets dst[i] *= 1 above zero, and slope elsewhere.
func LeakyReLUGradient(dst, src []float32, slope float32) {
	applyUnary(leakyReLUGradientUnary, dst, src, float64(slope), 0)
}

// unaryFunction is a function of one slice with up to two parameters.
type unaryFunction uint8

const (
	expUnary unaryFunction = iota
	sigmoidUnary
	sigmoidGradientUnary
	swishUnary
	swishGradientUnary
	hardSigmoidUnary
	hardSigmoidGradientUnary
	hardSwishUnary
	hardSwishGradientUnary
	geluUnary
	geluGradientUnary
	geluTanhUnary
	geluTanhGradientUnary
	tanhUnary
	tanhGradientUnary
	eluUnary
	eluGradientUnary
	softplusUnary
	softplusGradientUnary
	mishUnary
	mishGradientUnary
	leakyReLUUnary
	leakyReLUGradientUnary
	scaleUnary
	unaryFunctions // the number of functions
)

// definition is a function as the portable level computes it, in float64, for every float32 x.
type definition struct {
	gradient bool // multiplies dst
	f        func(x, a, b float64) float64
}

var definitions = [...]definition{
	expUnary:                 {false, func(x, _, _ float64) float64 { return math.Exp(x) }},
	sigmoidUnary:             {false, func(x, _, _ float64) float64 { return sigmoid(x) }},
	sigmoidGradientUnary:     {true, func(x, _, _ float64) float64 { return sigmoid(x) * sigmoid(-x) }},
	swishUnary:               {false, func(x, _, _ float64) float64 { return limitBelow(x) * sigmoid(x) }},
	swishGradientUnary:       {true, func(x, _, _ float64) float64 { return swishDerivative(limitBoth(x)) }},
	hardSigmoidUnary:         {false, func(x, _, _ float64) float64 { return hardSigmoid(x) }},
	hardSigmoidGradientUnary: {true, func(x, _, _ float64) float64 { return hardSigmoidDerivative(x) }},
	hardSwishUnary:           {false, func(x, _, _ float64) float64 { return limitBelow(x) * hardSigmoid(x) }},
	hardSwishGradientUnary:   {true, func(x, _, _ float64) float64 { return hardSwishDerivative(x) }},
	geluUnary:                {false, func(x, _, _ float64) float64 { return limitBelow(x) * normalCDF(x) }},
	geluGradientUnary:        {true, func(x, _, _ float64) float64 { return geluDerivative(limitBoth(x)) }},
	geluTanhUnary:            {false, func(x, _, _ float64) float64 { return geluTanh(x) }},
	geluTanhGradientUnary:    {true, func(x, _, _ float64) float64 { return geluTanhDerivative(limitBoth(x)) }},
	tanhUnary:                {false, func(x, _, _ float64) float64 { return math.Tanh(x) }},
	tanhGradientUnary:        {true, func(x, _, _ float64) float64 { return 4 * sigmoid(2*x) * sigmoid(-2*x) }},
	eluUnary:                 {false, elu},
	eluGradientUnary:         {true, eluDerivative},
	softplusUnary:            {false, func(x, _, _ float64) float64 { return softplus(x) }},
	softplusGradientUnary:    {true, func(x, _, _ float64) float64 { return sigmoid(x) }},
	mishUnary:                {false, func(x, _, _ float64) float64 { return limitBelow(x) * math.Tanh(softplus(x)) }},
	mishGradientUnary:        {true, func(x, _, _ float64) float64 { return mishDerivative(limitBoth(x)) }},
	leakyReLUUnary:           {false, leakyReLU},
	leakyReLUGradientUnary:   {true, leakyReLUDerivative},
	scaleUnary:               {false, func(x, a, _ float64) float64 { return a * x }},
}

func applyUnary(f unaryFunction, dst, src []float32, a, b float64) {
	if len(src) < len(dst) {
		panic("kernel: source is shorter than destination")
	}
	if level.complete() {
		unaryVectors(f, dst, src, float32(a), float32(b))
		return
	}
	d := definitions[f]
	for i, x := range src[:len(dst)] {
		v := float32(d.f(float64(x), a, b))
		if d.gradient {
			v *= dst[i]
		}
		dst[i] = v
	}
}

// far is beyond the range where the functions below reach their limits, but finite, so that no
// product of zero and infinity occurs.
const far = 1000

func limitBelow(x float64) float64 { return max(x, -far) }

func limitBoth(x float64) float64 { return min(max(x, -far), far) }

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func swishDerivative(x float64) float64 { return sigmoid(x) * (1 + float64(x*sigmoid(-x))) }

func hardSigmoid(x float64) float64 { return min(max(x+3, 0), 6) / 6 }

func hardSigmoidDerivative(x float64) float64 {
	switch {
	case x != x:
		return x
	case x > -3 && x < 3:
		return 1.0 / 6
	}
	return 0
}

func hardSwishDerivative(x float64) float64 {
	switch {
	case x <= -3:
		return 0
	case x >= 3:
		return 1
	}
	return (2*x + 3) / 6
}

// normalCDF computes the distribution function Φ of the normal distribution.
func normalCDF(x float64) float64 { return float64(math.Erfc(-x/math.Sqrt2) / 2) }

func geluDerivative(x float64) float64 {
	return normalCDF(x) + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi)
}

// geluTanhArgument returns twice the argument of tanh in GELUTanh: (1 + tanh(z/2))/2 = σ(z).
func geluTanhArgument(x float64) float64 {
	return 2 * math.Sqrt(2/math.Pi) * (x + float64(0.044715*x*x*x))
}

func geluTanh(x float64) float64 { return limitBelow(x) * sigmoid(geluTanhArgument(limitBoth(x))) }

func geluTanhDerivative(x float64) float64 {
	z, slope := geluTanhArgument(x), 2*math.Sqrt(2/math.Pi)*(1+float64(3*0.044715*x*x))
	return sigmoid(z) * (1 + float64(x*slope*sigmoid(-z)))
}

func elu(x, scale, scaledAlpha float64) float64 {
	if x > 0 {
		return scale * x
	}
	return scaledAlpha * math.Expm1(x)
}

func eluDerivative(x, scale, scaledAlpha float64) float64 {
	if x > 0 {
		return scale
	}
	return scaledAlpha * math.Exp(x)
}

func softplus(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

func mishDerivative(x float64) float64 {
	y := softplus(x)
	c := math.Cosh(y)
	return math.Tanh(y) + x*sigmoid(x)/(c*c)
}

func leakyReLU(x, slope, _ float64) float64 {
	if x > 0 {
		return x
	}
	return slope * x
}

func leakyReLUDerivative(x, slope, _ float64) float64 {
	switch {
	case x != x:
		return x
	case x > 0:
		return 1
	}
	return slope
}
