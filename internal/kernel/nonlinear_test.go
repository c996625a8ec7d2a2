package kernel

import (
	"math"
	"testing"
)

// SELU's parameters, Klambauer et al. 2017.
const seluAlpha, seluScale = 1.6732632423543772, 1.0507009873554805

// nonlinearities are the functions of one slice, with their parameters.
var nonlinearities = []struct {
	name     string
	run      func(dst, src []float32)
	f        unaryFunction
	a, b     float64 // parameters of its definition
	ulps     float64 // the largest error
	cancels  bool    // has a root, where its terms cancel
	gradient bool
}{
	{"Exp", Exp, expUnary, 0, 0, 1.5, false, false},
	{"Sigmoid", Sigmoid, sigmoidUnary, 0, 0, 2.5, false, false},
	{"SigmoidGradient", SigmoidGradient, sigmoidGradientUnary, 0, 0, 4, false, true},
	{"Swish", Swish, swishUnary, 0, 0, 2.5, false, false},
	{"SwishGradient", SwishGradient, swishGradientUnary, 0, 0, 4, true, true},
	{"HardSigmoid", HardSigmoid, hardSigmoidUnary, 0, 0, 1.5, false, false},
	{"HardSigmoidGradient", HardSigmoidGradient, hardSigmoidGradientUnary, 0, 0, 0.5, false, true},
	{"HardSwish", HardSwish, hardSwishUnary, 0, 0, 2.5, false, false},
	{"HardSwishGradient", HardSwishGradient, hardSwishGradientUnary, 0, 0, 1.5, false, true},
	{"GELU", GELU, geluUnary, 0, 0, 4.5, false, false},
	{"GELUGradient", GELUGradient, geluGradientUnary, 0, 0, 4.5, true, true},
	{"GELUTanh", GELUTanh, geluTanhUnary, 0, 0, 2.5, false, false},
	{"GELUTanhGradient", GELUTanhGradient, geluTanhGradientUnary, 0, 0, 4, true, true},
	{"Tanh", Tanh, tanhUnary, 0, 0, 2.75, false, false},
	{"TanhGradient", TanhGradient, tanhGradientUnary, 0, 0, 4, false, true},
	{"SELU", func(dst, src []float32) { ELU(dst, src, seluAlpha, seluScale) }, eluUnary,
		single(seluScale), single(seluAlpha) * single(seluScale), 2.5, false, false},
	{"SELUGradient", func(dst, src []float32) { ELUGradient(dst, src, seluAlpha, seluScale) }, eluGradientUnary,
		single(seluScale), single(seluAlpha) * single(seluScale), 4, false, true},
	{"ELU", func(dst, src []float32) { ELU(dst, src, 1, 1) }, eluUnary, 1, 1, 2.5, false, false},
	{"ELUGradient", func(dst, src []float32) { ELUGradient(dst, src, 1, 1) }, eluGradientUnary, 1, 1, 4, false, true},
	{"Softplus", Softplus, softplusUnary, 0, 0, 2.5, false, false},
	{"SoftplusGradient", SoftplusGradient, softplusGradientUnary, 0, 0, 2.5, false, true},
	{"Mish", Mish, mishUnary, 0, 0, 4, false, false},
	{"MishGradient", MishGradient, mishGradientUnary, 0, 0, 6, true, true},
	{"LeakyReLU", func(dst, src []float32) { LeakyReLU(dst, src, 0.1) }, leakyReLUUnary, single(0.1), 0, 0.5, false, false},
	{"LeakyReLUGradient", func(dst, src []float32) { LeakyReLUGradient(dst, src, 0.1) }, leakyReLUGradientUnary,
		single(0.1), 0, 0.5, false, true},
	{"Scale", func(dst, src []float32) {
		copy(dst, src)
		Scale(dst, 0.3)
	}, scaleUnary, single(0.3), 0, 0.5, false, false},
}

func single(x float64) float64 { return float64(float32(x)) }

// ulpOf returns the distance of float32 numbers near x.
func ulpOf(x float64) float64 {
	_, e := math.Frexp(x)
	return math.Ldexp(1, max(e-24, -149))
}

// sweep returns numbers from all of float32, denormals, infinities and NaN among them,
// and more where functions bend and have roots.
func sweep() []float32 {
	var all []float32
	const stride = 9973 // a prime
	for bits := uint64(0); bits < 1<<32; bits += stride {
		all = append(all, math.Float32frombits(uint32(bits)))
	}
	r := newRand(17)
	for range 100_000 {
		all = append(all, float32(8*r.NormFloat64()), 120*(2*r.Float32()-1))
	}
	all = append(all, odd...)
	for _, x := range []float32{-104, -103.28, -103.97, -87.34, -88.03, -3, 3, 88.72, 88.73, -14.36, -1.278, -0.7518} {
		for i := range uint32(200) {
			all = append(all, math.Float32frombits(math.Float32bits(x)+i-100))
		}
	}
	return all
}

// TestNonlinearAccuracy compares each function with its definition in float64.
func TestNonlinearAccuracy(t *testing.T) {
	all := sweep()
	for _, f := range nonlinearities {
		want := make([]float64, len(all))
		for i, x := range all {
			want[i] = definitions[f.f].f(float64(x), f.a, f.b)
		}
		got := make([]float32, len(all))
		for _, l := range levels() {
			use(t, l)
			for i := range got {
				got[i] = 1
			}
			f.run(got, all)
			worst, at, failures := 0.0, float32(0), 0
			for i, w := range want {
				x, g := all[i], float64(got[i])
				if x != x || w != w || g != g || math.IsInf(g, 0) || math.IsInf(w, 0) {
					if same := x != x && g != g || x == x && g == single(w); !same {
						t.Errorf("%v: %s(%v) = %v, want %v", l, f.name, x, g, w)
						failures++
					}
				} else {
					off := math.Abs(g - w)
					if f.cancels && x < 0 && x > -4 && off <= 0x1p-24 {
						continue
					}
					if off /= ulpOf(w); off > worst {
						worst, at = off, x
					}
				}
				if failures > 5 {
					t.FailNow()
				}
			}
			t.Logf("%v: %s is at most %.2f ulp off, at %v", l, f.name, worst, at)
			if worst > f.ulps {
				t.Errorf("%v: %s is %.2f ulp off at %v, want at most %v", l, f.name, worst, at, f.ulps)
			}
		}
	}
}
