package kernel

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

// lengths are those round each cutoff: vectors of 8 values, taken two at a time.
var lengths = []int{0, 1, 2, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 32, 33, 40, 63, 64, 65, 100, 1000, 1001}

// odd are values that comparisons treat in their own way.
var odd = []float32{
	0, float32(math.Copysign(0, -1)), 6, float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()),
	math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32, -math.SmallestNonzeroFloat32,
}

// operands returns two slices with odd values in every combination of the first
// places, and ordinary ones behind.
func operands(n int) (a, b []float32) {
	r := newRand(n)
	a, b = random(r, n), random(r, n)
	for i := range n / 2 {
		a[i], b[i] = odd[i%len(odd)], odd[i/len(odd)%len(odd)]
	}
	for i := n / 2; i < n; i++ {
		a[i], b[i] = 8*a[i], 8*b[i]
	}
	return a, b
}

func TestElementwise(t *testing.T) {
	each := func(a, b []float32, f func(a, b float32) float32) []float32 {
		result := make([]float32, len(a))
		for i := range a {
			result[i] = f(a[i], b[i])
		}
		return result
	}
	act := func(v float32, a Activation) float32 {
		if v != v {
			return v
		}
		return float32(activated(float64(v), a))
	}
	eachLevel(t, func(t *testing.T, l Level) {
		for _, n := range lengths {
			a, b := operands(n)
			before := slices.Clone(b)
			run := func(name string, want []float32, f func(dst []float32)) {
				t.Helper()
				dst := newGuarded(n)
				copy(dst.values, a)
				f(dst.values)
				dst.check(t)
				if err := sameBits(want, dst.values); err != nil {
					t.Errorf("%s of %d values: want and got: %v", name, n, err)
				}
			}
			run("Max", each(a, b, func(a, b float32) float32 {
				if a != a || b != b {
					return float32(math.NaN())
				}
				return max(a, b)
			}), func(dst []float32) { Max(dst, b) })
			run("Scale", each(a, b, func(a, _ float32) float32 { return a * 0.3 }),
				func(dst []float32) { Scale(dst, 0.3) })
			for _, activation := range []Activation{Identity, ReLU, ReLU6} {
				name := fmt.Sprintf(" with activation %d", activation)
				run("Add"+name, each(a, b, func(a, b float32) float32 { return act(a+b, activation) }),
					func(dst []float32) { Add(dst, b, activation) })
				run("Activate"+name, each(b, b, func(b, _ float32) float32 { return act(b, activation) }),
					func(dst []float32) { Activate(dst, b, activation) })
				run("Activate in place"+name, each(a, a, func(a, _ float32) float32 { return act(a, activation) }),
					func(dst []float32) { Activate(dst, dst, activation) })
			}
			if err := sameBits(before, b); err != nil {
				t.Errorf("a source of %d values was changed: %v", n, err)
			}
		}
	})
}

// TestElementwiseShortSource checks that the source may be longer than the destination, but not
// shorter.
func TestElementwiseShortSource(t *testing.T) {
	eachLevel(t, func(t *testing.T, l Level) {
		dst := make([]float32, 9)
		for name, f := range map[string]func(src []float32){
			"Max":      func(src []float32) { Max(dst, src) },
			"Add":      func(src []float32) { Add(dst, src, ReLU) },
			"Activate": func(src []float32) { Activate(dst, src, ReLU) },
		} {
			f(make([]float32, 10))
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s accepts a source of 8 values for 9", name)
					}
				}()
				f(make([]float32, 8))
			}()
		}
	})
}

func TestElementwiseAllocatesNothing(t *testing.T) {
	eachLevel(t, func(t *testing.T, l Level) {
		a, b := operands(100)
		half := make([]byte, 200)
		if n := testing.AllocsPerRun(10, func() {
			Max(a, b)
			Add(a, b, ReLU6)
			Activate(a, b, ReLU)
			Scale(a, 0.5)
			FromHalf(a, half)
		}); n != 0 {
			t.Errorf("%v allocations a run", n)
		}
	})
}

func BenchmarkElementwise(b *testing.B) {
	for _, n := range []int{24, 128, 728, 1 << 16} {
		dst, src := make([]float32, n), make([]float32, n)
		half := make([]byte, 2*n)
		for _, f := range []struct {
			name string
			run  func()
		}{
			{"Max", func() { Max(dst, src) }},
			{"Add", func() { Add(dst, src, ReLU) }},
			{"Activate", func() { Activate(dst, src, ReLU) }},
			{"Scale", func() { Scale(dst, 1) }},
			{"FromHalf", func() { FromHalf(dst, half) }},
		} {
			b.Run(fmt.Sprintf("%s/%d", f.name, n), func(b *testing.B) {
				b.SetBytes(int64(4 * n))
				for b.Loop() {
					f.run()
				}
			})
		}
	}
}
