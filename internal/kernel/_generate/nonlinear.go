package main

import (
	"fmt"
	"math"
	"strings"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The polynomials are minimax fits by Remez's exchange, their coefficients then rounded
// to float32; fit.py makes them and says how far off they are.
var (
	// (eʳ − 1 − r)/r² for |r| ≤ ln(2)/2: then eʳ is 2^-27.7 off, relative.
	expPolynomial = []float64{0.49999994, 0.1666652, 0.041668393, 0.008368772, 0.0013814502}
	// (atanh(f)/f − 1)/f² in f², for f² ≤ 1/9: then log(1+e) is 2^-27.4 off, relative.
	logPolynomial = []float64{0.3333321, 0.2001077, 0.14000815, 0.14006416}
	// The ratio of Mills, Φ(−a)/e^(−a²/2), divided by u = 1/(a+3), for 0 ≤ a ≤ 14.7, in
	// tailSlope·u + tailShift, which lies between −1 and 1: 2^-24.8 off, relative.
	tailPolynomial = []float64{0.8222395, 0.49095163, 0.17376207, 0.021936748, -0.0075012706,
		-0.0021267787, 0.00065914466, 0.00016262749, -8.4785025e-05, -7.324507e-06, 8.503662e-06}
)

const (
	tailSlope, tailShift = 7.2244897, -1.4081633
	// Beyond these bounds the results do not change: e^x there is 0 or infinite, x·e^x,
	// x·Φ(x) and so on round to 0.
	expLowest, expHighest = -104, 89
	lowest                = -110
	normalLowest          = -14.7
	tanhLowest            = -12 // of the x of GELU's approximation by tanh
	expm1Lowest           = -40 // e^x − 1 is −1 from −18 on
	// The approximation is x·σ(x·(slope1 + slope3·x²)): 2·√(2/π) and 0.044715 times that,
	// Hendrycks & Gimpel 2016.
	slope1 = 1.5957691216057308
	slope3 = 0.044715 * slope1
)

// parameters are vectors of a and b.
type parameters [2]values

// unary are the functions of one slice; x holds values of src, p the parameters. Each is
// given for every float32, infinities included, and keeps NaN.
var unary = []struct {
	name, doc  string
	value      func(s isa, x values, p parameters) values
	derivative bool
	parameters int // it has of a and b
}{
	{"exp", "e^src", exp, false, 0},
	{"sigmoid", "σ(src)", sigmoid, false, 0},
	{"sigmoidGradient", "dst·σ'(src)", sigmoidDerivative, true, 0},
	{"swish", "src·σ(src)", swish, false, 0},
	{"swishGradient", "dst·swish'(src)", swishDerivative, true, 0},
	{"hardSigmoid", "clamp(src/6 + 1/2, 0, 1)", hardSigmoid, false, 0},
	{"hardSigmoidGradient", "dst·hardSigmoid'(src)", hardSigmoidDerivative, true, 0},
	{"hardSwish", "src·hardSigmoid(src)", hardSwish, false, 0},
	{"hardSwishGradient", "dst·hardSwish'(src)", hardSwishDerivative, true, 0},
	{"gelu", "src·Φ(src)", gelu, false, 0},
	{"geluGradient", "dst·gelu'(src)", geluDerivative, true, 0},
	{"geluTanh", "GELU's approximation by tanh", geluTanh, false, 0},
	{"geluTanhGradient", "dst·geluTanh'(src)", geluTanhDerivative, true, 0},
	{"tanh", "tanh(src)", tanh, false, 0},
	{"tanhGradient", "dst·tanh'(src)", tanhDerivative, true, 0},
	{"elu", "a·src above zero and b·(e^src − 1) below", elu, false, 2},
	{"eluGradient", "dst·elu'(src)", eluDerivative, true, 2},
	{"softplus", "log(1 + e^src)", softplus, false, 0},
	{"softplusGradient", "dst·σ(src)", sigmoid, true, 0},
	{"mish", "src·tanh(log(1 + e^src))", mish, false, 0},
	{"mishGradient", "dst·mish'(src)", mishDerivative, true, 0},
	{"leakyReLU", "src above zero and a·src below", leakyReLU, false, 1},
	{"leakyReLUGradient", "dst·leakyReLU'(src)", leakyReLUDerivative, true, 1},
	{"scale", "a·src", scale, false, 1},
}

// binary are the functions of two slices.
var binary = []struct {
	name, doc string
	reads     bool // dst
	value     func(s isa, dst, x, y values) values
}{
	{"multiply", "x·y", false, func(s isa, _, x, y values) values { return s.multiply(x, y) }},
	{"addMultiply", "dst + x·y", true, func(s isa, dst, x, y values) values { return s.fma(x, y, dst) }},
	{"prelu", "x above zero and y·x below", false, func(s isa, _, x, y values) values {
		return s.choose(s.compare(x, greater, float(0)), x, s.multiply(x, y))
	}},
	{"preluGradient", "dst above zero of x and y·dst below", true, func(s isa, dst, x, y values) values {
		return s.multiply(dst, s.keepNaN(x, s.choose(s.compare(x, greater, float(0)), float(1), y)))
	}},
	{"preluSlopes", "dst + min(x, 0)·y", true, func(s isa, dst, x, y values) values {
		return s.fma(s.atMost(x, float(0)), y, dst)
	}},
}

// nonlinear generates the functions above.
func nonlinear(s isa) {
	for _, f := range unary {
		TEXT(f.name+s.name, NOSPLIT, "func(dst, src *float32, vectors int, part uintptr, a, b float32)")
		Pragma("noescape")
		Doc(fmt.Sprintf("%s%s sets dst to %s, for vectors of %d values and the part of one that the mask selects.",
			f.name, s.name, f.doc, s.bytes/4))
		dst, src := parameter("dst"), parameter("src")
		var p parameters
		for i, name := range []string{"a", "b"}[:f.parameters] {
			at, _ := Param(name).Resolve()
			p[i] = values{s.vector()}
			VBROADCASTSS(at.Addr, p[i][0])
		}
		s.loop([]reg.GPVirtual{dst, src}, func(n int, part *mask) {
			x := s.readAll(src, n, part)
			v := f.value(s, x, p)
			if f.derivative {
				v = s.multiply(s.readAll(dst, n, part), v)
			}
			s.writeAll(v, dst, part)
		})
	}
	for _, f := range binary {
		TEXT(f.name+s.name, NOSPLIT, "func(dst, x, y *float32, vectors int, part uintptr)")
		Pragma("noescape")
		Doc(fmt.Sprintf("%s%s sets dst to %s, for vectors of %d values and the part of one that the mask selects.",
			f.name, s.name, f.doc, s.bytes/4))
		at := []reg.GPVirtual{parameter("dst"), parameter("x"), parameter("y")}
		s.loop(at, func(n int, part *mask) {
			var v [3]values
			for i := range at {
				if i > 0 || f.reads {
					v[i] = s.readAll(at[i], n, part)
				}
			}
			s.writeAll(f.value(s, v[0], v[1], v[2]), at[0], part)
		})
	}
}

// readAll loads n vectors, or the selected part of one.
func (s isa) readAll(from reg.GPVirtual, n int, part *mask) values {
	v := make(values, n)
	for i := range v {
		v[i] = s.vector()
		s.read(Mem{Base: from, Disp: i * s.bytes}, v[i], part)
	}
	return v
}

func (s isa) writeAll(v values, to reg.GPVirtual, part *mask) {
	for i := range v {
		s.write(v[i], Mem{Base: to, Disp: i * s.bytes}, part)
	}
}

// loop runs body for all vectors, moving the addresses on, and then for the part of one
// if there is any; and returns. With AVX-512, which has the registers, body does two
// vectors at a time.
func (s isa) loop(at []reg.GPVirtual, body func(n int, part *mask)) {
	vectors := parameter("vectors")
	next := func(n int) {
		body(n, nil)
		for _, a := range at {
			ADDQ(Imm(uint64(n*s.bytes)), a)
		}
	}
	if s.wide {
		SUBQ(Imm(2), vectors)
		JLT(LabelRef("fewer"))
		Label("two")
		next(2)
		SUBQ(Imm(2), vectors)
		JGE(LabelRef("two"))
		Label("fewer")
		ADDQ(Imm(2), vectors)
		JZ(LabelRef("rest"))
		next(1)
	} else {
		TESTQ(vectors, vectors)
		JZ(LabelRef("rest"))
		Label("one")
		next(1)
		DECQ(vectors)
		JNZ(LabelRef("one"))
	}
	Label("rest")
	part, _ := Param("part").Resolve()
	CMPQ(part.Addr, Imm(0))
	JE(LabelRef("end"))
	m := s.loadMask(part.Addr)
	body(1, &m)
	Label("end")
	VZEROUPPER()
	RET()
}

// split returns a number as a sum of two of float32.
func split(v float64) (high, low number) {
	high = float(v)
	return high, float(v - float64(math.Float32frombits(uint32(high))))
}

// exponential is e^t as p·2ⁿ, with p = 1 + m = e^(t − n·ln 2) between √½ and √2.
type exponential struct {
	p, m values
	n    integer
}

// exponential computes e^(t+low); low is tiny beside t, or nil.
func (s isa) exponential(t, low values) exponential {
	high, rest := split(math.Ln2)
	n := s.nearest(t, float(math.Log2E))
	r := s.less(s.less(t, n.float, high), n.float, rest)
	if low != nil {
		r = s.add(r, low)
	}
	m := s.fma(s.multiply(r, r), s.polynomial(r, expPolynomial), r)
	return exponential{s.add(m, float(1)), m, n}
}

// beside returns e^t for use in a sum with numbers of about 1: it may be anything tiny
// where e^t is less than 2^-125.
func (s isa) beside(e exponential) values {
	if s.wide {
		return s.scale(e.p, e.n)
	}
	to := s.atLeast(e.n.float, float(-125))
	for i := range to {
		VCVTPS2DQ(to[i], to[i]) // NaN becomes −2³¹, and so p stays NaN
		VPSLLD(Imm(23), to[i], to[i])
		VPADDD(e.p[i], to[i], to[i]) // to the exponent
	}
	return to
}

// expm1 returns e^t − 1 for t from expm1Lowest to 0.
func (s isa) expm1(t values) values {
	e := s.exponential(t, nil)
	power := s.scale(s.fill(float(1)), e.n)
	return s.fma(power, e.m, s.subtract(power, float(1)))
}

func exp(s isa, x values, _ parameters) values {
	e := s.exponential(s.atMost(s.atLeast(x, float(expLowest)), float(expHighest)), nil)
	return s.scale(e.p, e.n)
}

// The functions made of σ are computed from e = e^t with t = −|x|, so that nothing
// overflows and no digits cancel: σ(x) is 1/(1+e) above zero, and e/(1+e) below. There
// the factor 2ⁿ of e comes last, so that tiny results are rounded once.

// logistic is what these functions need of x.
type logistic struct {
	negative condition
	t        values // −|x|, at least lowest
	exponential
	e, d values // e^t and 1 + e^t
}

// logistic computes e^slope(t) for t = −|x|. Slope returns t itself and a low part, or
// nil.
func (s isa) logistic(x values, low number, slope func(t values) (high, low values)) logistic {
	l := logistic{negative: s.negative(x), t: s.atLeast(s.or(x, signBit), low)}
	if slope == nil {
		l.exponential = s.exponential(l.t, nil)
	} else {
		l.exponential = s.exponential(slope(l.t))
	}
	l.e = s.beside(l.exponential)
	l.d = s.add(l.e, float(1))
	return l
}

// square returns (1 + e)² as 1 + e·(2 + e), rounded less than the square of the sum.
func (s isa) square(e values) values {
	return s.fma(e, s.add(e, float(2)), float(1))
}

// timesP returns v·p, rounded once, not twice.
func (s isa) timesP(v values, e exponential) values { return s.fma(v, e.m, v) }

func sigmoid(s isa, x values, _ parameters) values {
	l := s.logistic(x, float(lowest), nil)
	q := s.divide(s.choose(l.negative, l.p, s.fill(float(1))), l.d)
	return s.scaleWhere(l.negative, q, l.n)
}

// σ'(x) = e/(1+e)².
func sigmoidDerivative(s isa, x values, _ parameters) values {
	l := s.logistic(x, float(lowest), nil)
	return s.scale(s.divide(l.p, s.square(l.e)), l.n)
}

// timesSigma returns x·σ.
func (s isa) timesSigma(x values, l logistic) values {
	q := s.divide(s.choose(l.negative, s.timesP(l.t, l.exponential), x), l.d)
	return s.scaleWhere(l.negative, q, l.n)
}

// timesSigmaDerivative returns the derivative of x·σ(z(x)), with w = t·z'(t): above zero
// (1 + e − w·e)/(1+e)², and below e·(1 + e + w)/(1+e)².
func (s isa) timesSigmaDerivative(l logistic, w values) values {
	above, below := s.less(l.d, w, l.e), s.timesP(s.add(l.d, w), l.exponential)
	q := s.divide(s.choose(l.negative, below, above), s.square(l.e))
	return s.scaleWhere(l.negative, q, l.n)
}

func swish(s isa, x values, _ parameters) values {
	return s.timesSigma(x, s.logistic(x, float(lowest), nil))
}

func swishDerivative(s isa, x values, _ parameters) values {
	l := s.logistic(x, float(lowest), nil)
	return s.timesSigmaDerivative(l, l.t)
}

// geluTanhSlope returns t·(slope1 + slope3·t²) in twice the precision, as the error of an
// exponent is one of the result times the exponent.
func (s isa) geluTanhSlope(t values) (high, low values) {
	high1, low1 := split(slope1)
	high3, low3 := split(slope3)
	square := s.multiply(t, t)
	squareLow := s.fms(t, t, square)
	// product + productLow = slope3·t²
	factor := s.fill(high3)
	product := s.multiply(square, factor)
	productLow := s.fms(square, factor, product)
	productLow = s.fma(squareLow, factor, productLow)
	productLow = s.fmaNumber(square, low3, productLow)
	// sum + sumLow = slope1 + slope3·t², by Knuth's sum of two numbers
	sum := s.add(product, high1)
	part := s.subtract(sum, product)
	rest := s.subtract(product, s.subtract(sum, part))
	sumLow := s.add(s.subtract(s.fill(high1), part), rest)
	sumLow = s.add(s.add(sumLow, productLow), low1)
	high = s.multiply(t, sum)
	return high, s.fma(t, sumLow, s.fms(t, sum, high))
}

func geluTanh(s isa, x values, _ parameters) values {
	return s.timesSigma(x, s.logistic(x, float(tanhLowest), s.geluTanhSlope))
}

func geluTanhDerivative(s isa, x values, _ parameters) values {
	l := s.logistic(x, float(tanhLowest), s.geluTanhSlope)
	slope := s.fma(s.multiply(l.t, l.t), s.fill(float(3*slope3)), float(slope1))
	return s.timesSigmaDerivative(l, s.multiply(l.t, slope))
}

// normal is what the functions made of the normal distribution need of x.
type normal struct {
	negative condition
	t        values // −|x|, at least normalLowest
	exponential
	e, mills values // e^(−x²/2), and Φ(t) divided by that
}

func (s isa) normal(x values) normal {
	l := normal{negative: s.negative(x), t: s.atLeast(s.or(x, signBit), float(normalLowest))}
	square := s.multiply(l.t, l.t)
	squareLow := s.fms(l.t, l.t, square)
	l.exponential = s.exponential(s.multiply(square, float(-0.5)), s.multiply(squareLow, float(-0.5)))
	l.e = s.beside(l.exponential)
	// u + low = 1/(3 − t), with low for the roundings of the sum and the quotient.
	three, one := s.fill(float(3)), s.fill(float(1))
	sum := s.subtract(three, l.t)
	u := s.divide(one, sum)
	low := s.less(one, u, sum)
	low = s.fma(u, s.add(s.subtract(sum, three), l.t), low)
	low = s.multiply(low, u)
	slope := s.fill(float(tailSlope))
	q := s.polynomial(s.fma(low, slope, s.fma(u, slope, float(tailShift))), tailPolynomial)
	l.mills = s.fma(low, q, s.multiply(u, q))
	return l
}

// gelu computes x·Φ(x), with Φ(x) = 1 − Φ(−x) above zero.
func gelu(s isa, x values, _ parameters) values {
	l := s.normal(x)
	below := s.multiply(s.timesP(l.t, l.exponential), l.mills)
	above := s.multiply(x, s.less(s.fill(float(1)), l.e, l.mills))
	return s.scaleWhere(l.negative, s.choose(l.negative, below, above), l.n)
}

// geluDerivative computes Φ(x) + x·φ(x), with φ(x) = e^(−x²/2)/√(2π).
func geluDerivative(s isa, x values, _ parameters) values {
	l := s.normal(x)
	w := s.fmaNumber(l.t, float(1/math.Sqrt(2*math.Pi)), l.mills)
	below, above := s.timesP(w, l.exponential), s.less(s.fill(float(1)), l.e, w)
	return s.scaleWhere(l.negative, s.choose(l.negative, below, above), l.n)
}

func tanh(s isa, x values, _ parameters) values {
	t := s.or(x, signBit)
	m := s.expm1(s.atLeast(s.add(t, t), float(expm1Lowest)))
	q := s.divide(m, s.add(m, float(2)))
	return s.or(s.and(q, signless), s.and(x, signBit))
}

// tanhDerivative computes 4e/(1+e)² with e = e^(−2|x|).
func tanhDerivative(s isa, x values, _ parameters) values {
	l := s.logistic(s.add(x, x), float(lowest), nil)
	return s.scale(s.divide(s.multiply(l.p, float(4)), s.square(l.e)), l.n)
}

func elu(s isa, x values, p parameters) values {
	below := s.multiply(s.expm1(s.atLeast(x, float(expm1Lowest))), p[1])
	return s.choose(s.compare(x, greater, float(0)), s.multiply(x, p[0]), below)
}

func eluDerivative(s isa, x values, p parameters) values {
	e := s.exponential(s.atLeast(x, float(lowest)), nil)
	above := s.compare(x, greater, float(0))
	return s.keepNaN(x, s.choose(above, p[0], s.scale(s.multiply(e.p, p[1]), e.n)))
}

// softplus computes max(x, 0) + log(1 + e) with e = e^(−|x|), and log(1 + e) =
// 2·atanh(f) = e − f·(e − 2f²·(1/3 + f²/5 + …)) with f = e/(2+e).
func softplus(s isa, x values, _ parameters) values {
	l := s.exponential(s.atLeast(s.or(x, signBit), float(expLowest)), nil)
	e := s.scale(l.p, l.n)
	f := s.divide(e, s.add(e, float(2)))
	square := s.multiply(f, f)
	w := s.fmaNumber(s.multiply(square, s.polynomial(square, logPolynomial)), float(-2), e)
	return s.add(s.less(e, f, w), s.atLeast(x, float(0)))
}

// mish computes x·N/D, with N = e·(e+2) and D = N + 2 for e = e^x; above zero both times
// e^(−2x): N = 1 + 2e and D = N + 2e² for e = e^(−x).
func mish(s isa, x values, _ parameters) values {
	m := s.mish(x)
	below := s.multiply(s.timesP(m.t, m.exponential), m.plus2)
	q := s.divide(s.choose(m.negative, below, s.multiply(x, m.above)), m.divisor)
	return s.scaleWhere(m.negative, q, m.n)
}

type mishParts struct {
	logistic
	plus2, above, divisor values // e + 2, N above zero, D
}

func (s isa) mish(x values) mishParts {
	m := mishParts{logistic: s.logistic(x, float(lowest), nil)}
	m.plus2 = s.add(m.e, float(2))
	twice := s.add(m.e, m.e)
	m.above = s.add(twice, float(1))
	m.divisor = s.choose(m.negative, s.fma(m.e, m.plus2, float(2)), s.fma(m.e, twice, m.above))
	return m
}

// mishDerivative computes (N·D + 4x·e·(1+e))/D², above zero (N·D + 4x·e²·(1+e))/D².
func mishDerivative(s isa, x values, _ parameters) values {
	m := s.mish(x)
	w := s.multiply(s.multiply(m.t, float(4)), m.d)
	below := s.timesP(s.fma(m.plus2, m.divisor, w), m.exponential)
	above := s.less(s.multiply(m.above, m.divisor), w, s.multiply(m.e, m.e))
	q := s.divide(s.choose(m.negative, below, above), s.multiply(m.divisor, m.divisor))
	return s.scaleWhere(m.negative, q, m.n)
}

func hardSigmoid(s isa, x values, _ parameters) values {
	return s.sixth(s.atMost(s.atLeast(s.add(x, float(3)), float(0)), float(6)))
}

// sixth returns x/6, rounded nearly as a quotient is, but in less time.
func (s isa) sixth(x values) values {
	high, low := split(1.0 / 6)
	return s.fmaNumber(x, high, s.multiply(x, low))
}

func hardSigmoidDerivative(s isa, x values, _ parameters) values {
	within := s.compare(s.and(x, signless), less, float(3))
	return s.keepNaN(x, s.choose(within, float(1.0/6), s.fill(float(0))))
}

func hardSwish(s isa, x values, p parameters) values {
	return s.multiply(s.atLeast(x, float(-3)), hardSigmoid(s, x, p))
}

// hardSwishDerivative computes (2x+3)/6 between −3 and 3, 0 below and 1 above.
func hardSwishDerivative(s isa, x values, _ parameters) values {
	v := s.sixth(s.fmaNumber(x, float(2), s.fill(float(3))))
	v = s.choose(s.compare(x, notAtLeast, float(3)), v, s.fill(float(1)))
	return s.choose(s.compare(x, notAtMost, float(-3)), v, s.fill(float(0)))
}

func leakyReLU(s isa, x values, p parameters) values {
	return s.choose(s.compare(x, greater, float(0)), x, s.multiply(x, p[0]))
}

func leakyReLUDerivative(s isa, x values, p parameters) values {
	return s.keepNaN(x, s.choose(s.compare(x, greater, float(0)), float(1), p[0]))
}

func scale(s isa, x values, p parameters) values { return s.multiply(x, p[0]) }

// dispatchNonlinear writes the tables of the functions above.
func dispatchNonlinear(b *strings.Builder) {
	table(b, "unaryKernels has the functions of one slice.",
		"unaryKernels", "[unaryFunctions]func(dst, src *float32, vectors int, part uintptr, a, b float32)",
		func(s isa) {
			for _, f := range unary {
				fmt.Fprintf(b, "\t\t%sUnary: %s%s,\n", f.name, f.name, s.name)
			}
		})
	table(b, "binaryKernels has the functions of two slices.",
		"binaryKernels", "[binaryFunctions]func(dst, x, y *float32, vectors int, part uintptr)",
		func(s isa) {
			for _, f := range binary {
				fmt.Fprintf(b, "\t\t%sBinary: %s%s,\n", f.name, f.name, s.name)
			}
		})
}
