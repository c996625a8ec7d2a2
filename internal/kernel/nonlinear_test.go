package kernel

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// SELU's parameters, Klambauer et al. 2017.
const seluAlpha, seluScale = 1.6732632423543772, 1.0507009873554805

// nonlinearities are the functions of one slice, with their parameters.
type nonlinearity struct {
	name     string
	run      func(dst, src []float32)
	f        unaryFunction
	a, b     float64 // parameters of its definition
	ulps     float64 // the largest error
	cancels  bool    // has a root, where its terms cancel
	gradient bool
}

var nonlinearities = []nonlinearity{
	{"Exp", Exp, expUnary, 0, 0, 1.5, false, false},
	{"Sigmoid", Sigmoid, sigmoidUnary, 0, 0, 2.5, false, false},
	{"SigmoidGradient", SigmoidGradient, sigmoidGradientUnary, 0, 0, 5, false, true},
	{"Swish", Swish, swishUnary, 0, 0, 2.5, false, false},
	{"SwishGradient", SwishGradient, swishGradientUnary, 0, 0, 5, true, true},
	{"HardSigmoid", HardSigmoid, hardSigmoidUnary, 0, 0, 1.5, false, false},
	{"HardSigmoidGradient", HardSigmoidGradient, hardSigmoidGradientUnary, 0, 0, 0.5, false, true},
	{"HardSwish", HardSwish, hardSwishUnary, 0, 0, 2.5, false, false},
	{"HardSwishGradient", HardSwishGradient, hardSwishGradientUnary, 0, 0, 1.5, false, true},
	{"GELU", GELU, geluUnary, 0, 0, 4.5, false, false},
	{"GELUGradient", GELUGradient, geluGradientUnary, 0, 0, 5, true, true},
	{"GELUTanh", GELUTanh, geluTanhUnary, 0, 0, 4.5, false, false},
	{"GELUTanhGradient", GELUTanhGradient, geluTanhGradientUnary, 0, 0, 5, true, true},
	{"Tanh", Tanh, tanhUnary, 0, 0, 2.75, false, false},
	{"TanhGradient", TanhGradient, tanhGradientUnary, 0, 0, 5, false, true},
	{"SELU", func(dst, src []float32) { ELU(dst, src, seluAlpha, seluScale) }, eluUnary,
		single(seluScale), single(seluAlpha) * single(seluScale), 2.5, false, false},
	{"SELUGradient", func(dst, src []float32) { ELUGradient(dst, src, seluAlpha, seluScale) }, eluGradientUnary,
		single(seluScale), single(seluAlpha) * single(seluScale), 5, false, true},
	{"ELU", func(dst, src []float32) { ELU(dst, src, 1, 1) }, eluUnary, 1, 1, 2.5, false, false},
	{"ELUGradient", func(dst, src []float32) { ELUGradient(dst, src, 1, 1) }, eluGradientUnary, 1, 1, 5, false, true},
	{"Softplus", Softplus, softplusUnary, 0, 0, 2.5, false, false},
	{"SoftplusGradient", SoftplusGradient, softplusGradientUnary, 0, 0, 2.5, false, true},
	{"Mish", Mish, mishUnary, 0, 0, 4.5, false, false},
	{"MishGradient", MishGradient, mishGradientUnary, 0, 0, 7, true, true},
	{"LeakyReLU", func(dst, src []float32) { LeakyReLU(dst, src, 0.1) }, leakyReLUUnary,
		single(0.1), 0, 0.5, false, false},
	{"LeakyReLUGradient", func(dst, src []float32) { LeakyReLUGradient(dst, src, 0.1) }, leakyReLUGradientUnary,
		single(0.1), 0, 0.5, false, true},
	{"Scale", func(dst, src []float32) {
		copy(dst, src)
		Scale(dst, 0.3)
	}, scaleUnary, single(0.3), 0, 0.5, false, false},
}

func single(x float64) float64 { return float64(float32(x)) }

// ulpAt returns the distance of float32 numbers near x.
func ulpAt(x float64) float64 {
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

// findWorst returns the largest error in units in the last place, and where it is.
func (f nonlinearity) findWorst(t *testing.T, all, got []float32, want []float64) (worst float64, at float32) {
	t.Helper()
	for i, w := range want {
		x, g := all[i], got[i]
		switch {
		case x != x || math.IsInf(float64(x), 0) || math.IsInf(single(w), 0):
			if g != float32(w) && (x == x || g == g) {
				t.Fatalf("%v: %s(%v) = %v, want %v", level, f.name, x, g, float32(w))
			}
		case f.cancels && x < 0 && x > -4 && math.Abs(float64(g)-w) <= 0x1p-23:
		default:
			if off := math.Abs(float64(g)-w) / ulpAt(w); !(off <= worst) {
				worst, at = off, x
			}
		}
	}
	return worst, at
}

// TestNonlinearAccuracy compares each function with its definition in float64, and the
// levels with assembly with one another.
func TestNonlinearAccuracy(t *testing.T) {
	all := sweep()
	for _, f := range nonlinearities {
		want := make([]float64, len(all))
		for i, x := range all {
			want[i] = definitions[f.f].f(float64(x), f.a, f.b)
		}
		results := map[Level][]float32{}
		for _, l := range levels() {
			use(t, l)
			got := make([]float32, len(all))
			for i := range got {
				got[i] = 1
			}
			f.run(got, all)
			results[l] = got
			worst, at := f.findWorst(t, all, got, want)
			t.Logf("%v: %s is at most %.2f ulp off, at %v", l, f.name, worst, at)
			if limit := map[bool]float64{true: 0.501, false: f.ulps}[!l.complete()]; !(worst <= limit) {
				t.Errorf("%v: %s is %.2f ulp off at %v, want at most %v", l, f.name, worst, at, limit)
			}
		}
		if results[AVX512] != nil {
			for i, g := range results[AVX2] {
				if wide := results[AVX512][i]; math.Float32bits(g) != math.Float32bits(wide) {
					t.Fatalf("%s(%v) is %v with AVX2 and %v with AVX-512", f.name, all[i], g, wide)
				}
			}
		}
	}
}

// TestNonlinearGolden compares the definitions with figures of testdata/nonlinear.py.
func TestNonlinearGolden(t *testing.T) {
	text, err := os.ReadFile("testdata/nonlinear.json")
	if err != nil {
		t.Fatal(err)
	}
	var figures map[string][]float64
	if err := json.Unmarshal(text, &figures); err != nil {
		t.Fatal(err)
	}
	checked := 1 // x
	for _, f := range nonlinearities {
		for i, want := range figures[f.name] {
			x := figures["x"][i]
			got := definitions[f.f].f(x, f.a, f.b)
			if math.Abs(got-want) > 1e-11*math.Abs(want)+1e-60 {
				t.Errorf("%s(%v) = %v, want %v", f.name, x, got, want)
			}
		}
		if figures[f.name] != nil {
			checked++
		}
	}
	if checked != len(figures) {
		t.Errorf("%d rows of %d were compared", checked, len(figures))
	}
}

// TestNonlinearPlace checks that the result for a value depends neither on its position nor on the
// slice's length, that nothing beside the slice is written, and that the source does not change.
func TestNonlinearPlace(t *testing.T) {
	eachLevel(t, func(t *testing.T, l Level) {
		rapid.Check(t, func(r *rapid.T) {
			f := nonlinearities[rapid.IntRange(0, len(nonlinearities)-1).Draw(r, "function")]
			src := drawValues(r, rapid.IntRange(0, 100).Draw(r, "n"))
			dst := newGuarded(len(src))
			copy(dst.values, drawValues(r, len(src)))
			before, want := slices.Clone(src), slices.Clone(dst.values)
			for i := range src {
				f.run(want[i:][:1], src[i:][:1])
			}
			f.run(dst.values, src)
			dst.check(r)
			if i := differentBits(want, dst.values); i >= 0 {
				r.Fatalf("%s: value %d of %d is %v, alone %v", f.name, i, len(src), dst.values[i], want[i])
			}
			if i := differentBits(before, src); i >= 0 {
				r.Fatalf("%s changed value %d of its source", f.name, i)
			}
			for i := range src {
				want[i] = src[i]
				f.run(want[i:][:1], want[i:][:1])
			}
			f.run(src, src)
			if i := differentBits(want, src); i >= 0 {
				r.Fatalf("%s in place: value %d of %d is %v, alone %v", f.name, i, len(src), src[i], want[i])
			}
		})
	})
}

// TestNonlinearGradient checks that the gradient functions multiply the gradient by the derivative
// that they give for ones.
func TestNonlinearGradient(t *testing.T) {
	eachLevel(t, func(t *testing.T, l Level) {
		src, gradient := operands(100)
		for _, f := range nonlinearities {
			if definitions[f.f].gradient != f.gradient {
				t.Errorf("%s is taken for a gradient: %v", f.name, !f.gradient)
			}
			if !f.gradient {
				continue
			}
			factors := make([]float32, len(src))
			for i := range factors {
				factors[i] = 1
			}
			f.run(factors, src)
			got := slices.Clone(gradient)
			f.run(got, src)
			for i, factor := range factors {
				factors[i] = gradient[i] * factor
			}
			if err := sameBits(factors, got); err != nil {
				t.Errorf("%s: want and got: %v", f.name, err)
			}
		}
	})
}

// drawValues draws n numbers, between guards, of which many are odd.
func drawValues(r *rapid.T, n int) []float32 {
	v := newGuarded(n).values
	for i := range v {
		switch rapid.IntRange(0, 3).Draw(r, "kind") {
		case 0:
			v[i] = rapid.SampledFrom(odd).Draw(r, "odd")
		case 1:
			v[i] = math.Float32frombits(rapid.Uint32().Draw(r, "bits"))
		default:
			v[i] = rapid.Float32Range(-20, 20).Draw(r, "value")
		}
	}
	return v
}

// differentBits returns the first place where a and b differ, or -1. Two NaN are equal.
func differentBits(a, b []float32) int {
	for i, v := range a {
		if math.Float32bits(v) != math.Float32bits(b[i]) && (v == v || b[i] == b[i]) {
			return i
		}
	}
	return -1
}

func TestNonlinearShortSource(t *testing.T) {
	eachLevel(t, func(t *testing.T, l Level) {
		for _, f := range nonlinearities {
			if f.name == "Scale" {
				continue
			}
			f.run(make([]float32, 9), make([]float32, 10))
			mustPanic(t, "shorter", func() { f.run(make([]float32, 9), make([]float32, 8, 20)) })
		}
	})
}

func TestNonlinearAllocatesNothing(t *testing.T) {
	eachLevel(t, func(t *testing.T, l Level) {
		for _, f := range nonlinearities {
			if n := testing.AllocsPerRun(10, func() {
				var a, b [100]float32
				f.run(a[:], b[:])
			}); n > 2 { // the arrays, since f.run is no direct call
				t.Errorf("%s: %v allocations a run", f.name, n)
			}
		}
		if n := testing.AllocsPerRun(10, func() {
			var a, b [100]float32
			Swish(a[:], b[:])
			MultiplyRows(a[:], b[:], b[:10])
		}); n != 0 {
			t.Errorf("%v allocations a run", n)
		}
	})
}

func BenchmarkNonlinear(b *testing.B) {
	for _, l := range levels() {
		for _, f := range nonlinearities {
			b.Run(l.String()+"/"+f.name, func(b *testing.B) {
				use(b, l)
				dst, src := make([]float32, 1<<12), random(newRand(1), 1<<12)
				for i := range src {
					src[i] *= 8
				}
				b.SetBytes(int64(4 * len(src)))
				for b.Loop() {
					f.run(dst, src)
				}
			})
		}
	}
}
