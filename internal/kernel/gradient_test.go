package kernel

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// testOuter checks all levels against the definition, and those with assembly
// against each other.
func testOuter(t tester, rows, columns, count, padA, padB int, sums bool) {
	t.Helper()
	r := newRand(rows, columns, count)
	before, sumsBefore := random(r, rows*columns), random(r, columns)
	a, b := random(r, (count-1)*(rows+padA)+rows), random(r, (count-1)*(columns+padB)+columns)
	var vector, vectorSums []float32
	defer func(before Level) { level = before }(level)
	for _, level = range levels() {
		dst, total := newGuarded(rows*columns), newGuarded(columns)
		copy(dst.values, before)
		copy(total.values, sumsBefore)
		o := Outer{
			Dst: dst.values, A: a, AStride: rows + padA, B: b, BStride: columns + padB,
			Rows: rows, Columns: columns, Scratch: make([]float32, OuterScratchLen),
		}
		if sums {
			o.Sums = total.values
		}
		o.Run(count)
		dst.check(t)
		total.check(t)
		for n := range columns {
			term := func(k int) float64 { return float64(b[k*o.BStride+n]) }
			if !sums {
				term = func(int) float64 { return 0 }
			}
			checkSum(t, fmt.Sprintf("sum %d", n), total.values[n], sumsBefore[n], count, term)
			for m := range rows {
				checkSum(t, fmt.Sprintf("dst[%d,%d]", m, n), dst.values[m*columns+n], before[m*columns+n], count,
					func(k int) float64 { return float64(a[k*o.AStride+m]) * float64(b[k*o.BStride+n]) })
			}
		}
		if !level.complete() {
			continue
		}
		if vector == nil {
			vector, vectorSums = slices.Clone(dst.values), slices.Clone(total.values)
		} else if err := sameBits(append(vector, vectorSums...), append(dst.values, total.values...)); err != nil {
			t.Fatalf("AVX2 and %v: %v", level, err)
		}
	}
}

// checkSum compares a value with what it was before plus count terms.
func checkSum(t tester, name string, got, before float32, count int, term func(k int) float64) {
	t.Helper()
	want, magnitude := float64(before), math.Abs(float64(before))
	for k := range count {
		v := term(k)
		want, magnitude = want+v, magnitude+math.Abs(v)
	}
	if !(math.Abs(float64(got)-want) <= sumError(count, magnitude)) {
		t.Fatalf("%v: %s is %v, want %v", level, name, got, want)
	}
}

func TestOuter(t *testing.T) {
	for _, rows := range []int{1, 3, 6, 7, 14, 15, 29} {
		for _, columns := range []int{1, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 48, 70} {
			for _, count := range []int{1, 2, 127, 128, 129, 300} {
				testOuter(t, rows, columns, count, rows%3, columns%5, count%2 == 1)
			}
		}
	}
	// Several groups of panels, and more products than a pass has.
	testOuter(t, 17, 550, 256, 1, 2, true)
	testOuter(t, 5, 300, 600, 0, 0, true)
}

func TestOuterAnyShape(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		draw := func(name string, low, high int) int { return rapid.IntRange(low, high).Draw(r, name) }
		testOuter(r, draw("rows", 1, 60), draw("columns", 1, 100), draw("count", 1, 280),
			draw("padA", 0, 9), draw("padB", 0, 9), rapid.Bool().Draw(r, "sums"))
	})
}

// exact is a sum in float64, and that of the terms' magnitudes.
type exact struct{ sum, magnitude float64 }

func (e *exact) add(v float64) { e.sum += v; e.magnitude += math.Abs(v) }

// exactGradients sums the gradients by the definition of the convolution.
func exactGradients(d *Depthwise, gradient, kernelBefore, biasBefore []float32) (kernel, bias, input []exact) {
	kernel, input, bias = make([]exact, len(d.Kernel)), make([]exact, len(d.Src)), make([]exact, d.Channels)
	for i, v := range kernelBefore {
		kernel[i].add(float64(v))
	}
	for i, v := range biasBefore {
		bias[i].add(float64(v))
	}
	for at, g := range gradient {
		c, x, y := at%d.Channels, at/d.Channels%d.DstWidth, at/d.Channels/d.DstWidth
		bias[c].add(float64(g))
		for i := range d.KernelHeight {
			for j := range d.KernelWidth {
				v, u := y*d.Stride+i-d.PadTop, x*d.Stride+j-d.PadLeft
				if v < 0 || v >= d.SrcHeight || u < 0 || u >= d.SrcWidth {
					continue
				}
				src, tap := (v*d.SrcWidth+u)*d.Channels+c, (i*d.KernelWidth+j)*d.Channels+c
				in := d.Src[src]
				if d.ReLUInput {
					in = max(in, 0)
				}
				kernel[tap].add(float64(g) * float64(in))
				input[src].add(float64(g) * float64(d.Kernel[tap]))
			}
		}
	}
	return kernel, bias, input
}

// testDepthwiseGradient checks both gradients at all levels against sums over the
// definition of the convolution.
func testDepthwiseGradient(t tester, w window) {
	t.Helper()
	d, _ := newDepthwise(w)
	r := newRand(w.height, w.width, w.channels, 3)
	gradient := random(r, len(d.Dst))
	kernelBefore, biasBefore := random(r, len(d.Kernel)), random(r, d.Channels)
	kernelWant, biasWant, srcWant := exactGradients(d, gradient, kernelBefore, biasBefore)
	compare := func(what string, got []float32, want []exact, count int) {
		t.Helper()
		for i, v := range got {
			if !(math.Abs(float64(v)-want[i].sum) <= sumError(count, want[i].magnitude)) {
				t.Fatalf("%v %+v: %s %d is %v, want %v", level, w, what, i, v, want[i].sum)
			}
		}
	}
	var vector []float32
	defer func(before Level) { level = before }(level)
	for _, level = range levels() {
		kernelGot, biasGot, srcGot := newGuarded(len(d.Kernel)), newGuarded(d.Channels), newGuarded(len(d.Src))
		copy(kernelGot.values, kernelBefore)
		copy(biasGot.values, biasBefore)
		half, scratch := d.SrcHeight/2, make([]float32, d.KernelGradientScratch())
		d.AddKernelGradient(kernelGot.values, biasGot.values, gradient, scratch, 0, half)
		d.AddKernelGradient(kernelGot.values, biasGot.values, gradient, scratch, half, d.SrcHeight)
		flipped := make([]float32, len(d.Kernel))
		d.FlippedTaps(flipped)
		d.InputGradient(srcGot.values, gradient, flipped, 0, half)
		d.InputGradient(srcGot.values, gradient, flipped, half, d.SrcHeight)
		for _, g := range []guarded{kernelGot, biasGot, srcGot} {
			g.check(t)
		}
		count := d.DstHeight*d.DstWidth + d.KernelHeight*d.KernelWidth
		compare("of the kernel", kernelGot.values, kernelWant, count)
		compare("of the bias", biasGot.values, biasWant, count)
		compare("of the input", srcGot.values, srcWant, count)
		all := slices.Concat(kernelGot.values, biasGot.values, srcGot.values)
		if !level.complete() {
			continue
		}
		if vector == nil {
			vector = all
		} else if err := sameBits(vector, all); err != nil {
			t.Fatalf("%+v: AVX2 and %v: %v", w, level, err)
		}
	}
}

func TestDepthwiseGradient(t *testing.T) {
	n := 0
	for _, kernel := range []int{1, 2, 3, 5} {
		for _, stride := range []int{1, 2, 3} {
			for _, height := range []int{1, 2, 6} {
				for _, width := range []int{1, 2, 5, 8, 9} {
					for _, channels := range []int{1, 7, 8, 16, 31, 33, 72} {
						w := same(height, width, channels, kernel, stride)
						n++
						w.relu = n%2 == 0
						testDepthwiseGradient(t, w)
					}
				}
			}
		}
	}
}

func TestDepthwiseGradientAnyShape(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		draw := func(name string, low, high int) int { return rapid.IntRange(low, high).Draw(r, name) }
		w := window{
			height: draw("height", 1, 12), width: draw("width", 1, 20), channels: draw("channels", 1, 70),
			kernelHeight: draw("kernelHeight", 1, 6), kernelWidth: draw("kernelWidth", 1, 6),
			stride: draw("stride", 1, 4),
			bias:   true, relu: rapid.Bool().Draw(r, "relu"),
		}
		w.padTop, w.padEnd = draw("padTop", 0, w.kernelHeight-1), draw("padEnd", 0, w.kernelHeight-1)
		w.padLeft, w.padLast = draw("padLeft", 0, w.kernelWidth-1), draw("padLast", 0, w.kernelWidth-1)
		if h, _ := w.outputs(); h == 0 {
			r.Skip("the kernel is larger than the padded picture")
		}
		testDepthwiseGradient(r, w)
	})
}

func TestActivationGradient(t *testing.T) {
	nan := float32(math.NaN())
	out := []float32{-1, 0, 1e-30, 3, 6, 7, nan, 5.9999995, 2}
	eachLevel(t, func(t *testing.T, _ Level) {
		for a, want := range map[Activation][]float32{
			Identity: {1, 1, 1, 1, 1, 1, 1, 1, 1},
			ReLU:     {0, 0, 1, 1, 1, 1, 0, 1, 1},
			ReLU6:    {0, 0, 1, 1, 0, 0, 0, 1, 1},
		} {
			got := slices.Repeat([]float32{1}, len(out))
			ActivationGradient(got, out, a)
			if !slices.Equal(got, want) {
				t.Errorf("activation %d: %v, want %v", a, got, want)
			}
		}
	})
}

// BenchmarkOuter measures the gradients of EfficientNet-Lite0's weights with four pictures.
func BenchmarkOuter(b *testing.B) {
	for _, s := range []struct{ positions, in, out int }{
		{12544, 16, 96}, {3136, 96, 24}, {3136, 24, 144}, {784, 40, 240}, {196, 480, 80}, {196, 112, 672},
		{49, 1152, 192}, {49, 320, 1280},
	} {
		count := 4 * s.positions
		o := Outer{
			Dst: make([]float32, s.in*s.out), Sums: make([]float32, s.out), Rows: s.in, Columns: s.out,
			A: make([]float32, count*s.in), AStride: s.in, B: make([]float32, count*s.out), BStride: s.out,
			Scratch: make([]float32, OuterScratchLen),
		}
		b.Run(fmt.Sprintf("%dx%dx%d", count, s.in, s.out), func(b *testing.B) {
			for b.Loop() {
				o.Run(count)
			}
			b.ReportMetric(2*float64(count*s.in*s.out)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}
