package kernel

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// products are the functions of two slices and their definitions for one value: rows says
// that y is one row.
var products = []struct {
	name   string
	run    func(dst, x, y []float32)
	define func(dst, x, y float32) float32
	rows   bool
}{
	{"Multiply", Multiply, func(_, x, y float32) float32 { return x * y }, false},
	{"AddMultiply", AddMultiply, func(dst, x, y float32) float32 {
		if !level.complete() {
			return dst + float32(x*y)
		}
		return fused(x, y, dst)
	}, false},
	{"MultiplyRows", MultiplyRows, func(_, x, y float32) float32 { return x * y }, true},
	{"PReLU", PReLU, func(_, x, y float32) float32 {
		if x > 0 {
			return x
		}
		return x * y
	}, true},
	{"PReLUGradient", PReLUGradient, func(dst, x, y float32) float32 {
		switch {
		case x != x:
			return x
		case x > 0:
			return dst
		}
		return dst * y
	}, true},
}

// fused returns x·y + z, rounded once to float32: the product is exact in float64, and
// their sum is rounded to odd there, which the second rounding does not feel.
func fused(x, y, z float32) float32 {
	product, addend := float64(x)*float64(y), float64(z)
	sum := product + addend
	part := sum - addend
	rest := (addend - (sum - part)) + (product - part)
	if bits := math.Float64bits(sum); rest != 0 && rest == rest && !math.IsInf(sum, 0) && bits&1 == 0 {
		if (rest > 0) == (sum > 0) {
			bits++
		} else {
			bits--
		}
		sum = math.Float64frombits(bits)
	}
	return float32(sum)
}

func TestProducts(t *testing.T) {
	eachLevel(t, func(t *testing.T, l Level) {
		rapid.Check(t, func(r *rapid.T) {
			f := products[rapid.IntRange(0, len(products)-1).Draw(r, "function")]
			n := rapid.IntRange(0, 100).Draw(r, "n")
			width := n
			if f.rows {
				width = rapid.IntRange(1, 40).Draw(r, "channels")
				n = width * rapid.IntRange(0, 12).Draw(r, "rows")
			}
			x, y := drawValues(r, n), drawValues(r, width)
			dst := newGuarded(n)
			copy(dst.values, drawValues(r, n))
			want := slices.Clone(dst.values)
			inPlace := slices.Clone(x)
			for i := range want {
				want[i] = f.define(want[i], x[i], y[i%width])
				inPlace[i] = f.define(x[i], x[i], y[i%width])
			}
			f.run(dst.values, x, y)
			dst.check(r)
			if i := differentBits(want, dst.values); i >= 0 {
				r.Fatalf("%s: value %d of %d is %v, want %v", f.name, i, n, dst.values[i], want[i])
			}
			f.run(x, x, y)
			if i := differentBits(inPlace, x); i >= 0 {
				r.Fatalf("%s in place: value %d of %d is %v, want %v", f.name, i, n, x[i], inPlace[i])
			}
		})
	})
}

func TestPReLUSlopesGradient(t *testing.T) {
	eachLevel(t, func(t *testing.T, l Level) {
		rapid.Check(t, func(r *rapid.T) {
			width := rapid.IntRange(1, 40).Draw(r, "channels")
			n := width * rapid.IntRange(0, 12).Draw(r, "rows")
			gradient, src := drawValues(r, n), drawValues(r, n+3)
			sums := newGuarded(width)
			copy(sums.values, drawValues(r, width))
			want := slices.Clone(sums.values)
			for i, g := range gradient {
				below := min(src[i], 0)
				if !l.complete() {
					want[i%width] += float32(below * g)
				} else {
					want[i%width] = fused(below, g, want[i%width])
				}
			}
			PReLUSlopesGradient(sums.values, gradient, src)
			sums.check(r)
			if err := sameBits(want, sums.values); err != nil {
				r.Fatalf("%d values of %d channels: want and got: %v", n, width, err)
			}
		})
	})
	PReLUSlopesGradient(nil, nil, nil)
	makeValues := func(n int) []float32 { return make([]float32, n) }
	mustPanic(t, "whole rows", func() { PReLUSlopesGradient(makeValues(5), makeValues(12), makeValues(12)) })
	mustPanic(t, "whole rows", func() { PReLUSlopesGradient(nil, makeValues(12), makeValues(12)) })
	mustPanic(t, "shorter", func() { PReLUSlopesGradient(makeValues(4), makeValues(12), makeValues(11)) })
}

// TestProductsWideRows checks rows that are copied for several at once, and those that are not.
func TestProductsWideRows(t *testing.T) {
	eachLevel(t, func(t *testing.T, l Level) {
		for _, width := range []int{1, 127, 128, 129, 256, 257, 1000} {
			for _, rows := range []int{1, 2, 3, 300} {
				r := newRand(width, rows)
				x, row := random(r, width*rows), random(r, width)
				dst := newGuarded(len(x))
				MultiplyRows(dst.values, x, row)
				dst.check(t)
				for i, v := range dst.values {
					if v != x[i]*row[i%width] {
						t.Fatalf("%d rows of %d: value %d is %v, want %v", rows, width, i, v, x[i]*row[i%width])
					}
				}
				sums, want := slices.Clone(x), slices.Clone(x)
				AddMultiplyRows(sums, x, row)
				for low := 0; low < len(x); low += width {
					AddMultiply(want[low:][:width], x[low:], row)
				}
				if !slices.Equal(sums, want) {
					t.Fatalf("%d rows of %d: sums %v, want %v", rows, width, sums, want)
				}
			}
		}
	})
}

func TestProductPanics(t *testing.T) {
	eachLevel(t, func(t *testing.T, l Level) {
		makeValues := func(n int) []float32 { return make([]float32, n, 100) }
		for _, f := range products {
			f.run(makeValues(12), makeValues(13), makeValues(12))
			f.run(nil, nil, nil)
			mustPanic(t, "shorter", func() { f.run(makeValues(12), makeValues(11), makeValues(12)) })
			if f.rows {
				mustPanic(t, "whole rows", func() { f.run(makeValues(12), makeValues(12), makeValues(5)) })
				mustPanic(t, "whole rows", func() { f.run(makeValues(12), makeValues(12), makeValues(13)) })
				mustPanic(t, "whole rows", func() { f.run(makeValues(12), makeValues(12), nil) })
			} else {
				mustPanic(t, "shorter", func() { f.run(makeValues(12), makeValues(12), makeValues(11)) })
			}
		}
	})
}

func BenchmarkProducts(b *testing.B) {
	for _, l := range levels() {
		for _, f := range products {
			b.Run(l.String()+"/"+f.name, func(b *testing.B) {
				use(b, l)
				dst, x, y := make([]float32, 1<<12), make([]float32, 1<<12), make([]float32, 1<<12)
				if f.rows {
					y = y[:32]
				}
				b.SetBytes(int64(4 * len(x)))
				for b.Loop() {
					f.run(dst, x, y)
				}
			})
		}
	}
}
