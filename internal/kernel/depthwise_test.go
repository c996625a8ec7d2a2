package kernel

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// window is the shape of a depthwise convolution for tests.
type window struct {
	height, width, channels          int
	kernelHeight, kernelWidth        int
	stride                           int
	padTop, padLeft, padEnd, padLast int // padEnd below, padLast to the right
	bias, relu                       bool
	activation                       Activation
}

// same returns the window of a square kernel that TensorFlow's SAME padding gives.
func same(height, width, channels, kernel, stride int) window {
	pads := func(size int) (before, after int) {
		all := max(0, ((size+stride-1)/stride-1)*stride+kernel-size)
		return all / 2, all - all/2
	}
	w := window{height: height, width: width, channels: channels, kernelHeight: kernel, kernelWidth: kernel,
		stride: stride, bias: true}
	w.padTop, w.padEnd = pads(height)
	w.padLeft, w.padLast = pads(width)
	return w
}

// outputs returns the shape of the result, not positive if the kernel does not
// fit.
func (w window) outputs() (height, width int) {
	h, v := w.height+w.padTop+w.padEnd-w.kernelHeight, w.width+w.padLeft+w.padLast-w.kernelWidth
	if h < 0 || v < 0 {
		return 0, 0
	}
	return h/w.stride + 1, v/w.stride + 1
}

func newDepthwise(w window) (*Depthwise, guarded) {
	r := newRand(w.height, w.width, w.channels, w.kernelHeight, w.kernelWidth, w.stride)
	outHeight, outWidth := w.outputs()
	dst := newGuarded(outHeight * outWidth * w.channels)
	d := &Depthwise{
		Dst: dst.values, DstHeight: outHeight, DstWidth: outWidth,
		Src: random(r, w.height*w.width*w.channels), SrcHeight: w.height, SrcWidth: w.width,
		Channels: w.channels, KernelHeight: w.kernelHeight, KernelWidth: w.kernelWidth,
		Stride: w.stride, PadTop: w.padTop, PadLeft: w.padLeft,
		Kernel:    random(r, w.kernelHeight*w.kernelWidth*w.channels),
		ReLUInput: w.relu, Activation: w.activation,
	}
	if w.bias {
		d.Bias = random(r, w.channels)
	}
	return d, dst
}

// checkDepthwise compares Dst with the definition in float64.
func checkDepthwise(t tester, d *Depthwise) {
	t.Helper()
	for at, got := range d.Dst {
		c, x, y := at%d.Channels, at/d.Channels%d.DstWidth, at/d.Channels/d.DstWidth
		sum, magnitude := 0.0, 0.0
		add := func(v float64) { sum, magnitude = sum+v, magnitude+math.Abs(v) }
		for i := range d.KernelHeight {
			for j := range d.KernelWidth {
				sy, sx := y*d.Stride+i-d.PadTop, x*d.Stride+j-d.PadLeft
				if sy < 0 || sy >= d.SrcHeight || sx < 0 || sx >= d.SrcWidth {
					continue
				}
				v := d.Src[(sy*d.SrcWidth+sx)*d.Channels+c]
				if d.ReLUInput {
					v = max(v, 0)
				}
				add(float64(v) * float64(d.Kernel[(i*d.KernelWidth+j)*d.Channels+c]))
			}
		}
		if d.Bias != nil {
			add(float64(d.Bias[c]))
		}
		want := activated(sum, d.Activation)
		if !(math.Abs(float64(got)-want) <= sumError(d.KernelHeight*d.KernelWidth, magnitude)) {
			t.Fatalf("dst[%d,%d,%d] = %v, want %v", y, x, c, got, want)
		}
	}
}

// testDepthwise checks all levels against the definition, and those that round alike
// against each other.
func testDepthwise(t tester, w window) {
	t.Helper()
	d, guards := newDepthwise(w)
	first := map[bool][]float32{} // of the levels that fuse, and of those that do not
	defer func(before Level) { level = before }(level)
	for _, level = range levels() {
		for i := range d.Dst {
			d.Dst[i] = guard
		}
		d.Run(0, d.DstHeight)
		guards.check(t)
		checkDepthwise(t, d)
		if want, ok := first[level.complete()]; !ok {
			first[level.complete()] = slices.Clone(d.Dst)
		} else if i := differentBits(want, d.Dst); i >= 0 {
			t.Fatalf("%+v: value %d is %v at %v, and %v before", w, i, d.Dst[i], level, want[i])
		}
	}
}

func TestDepthwise(t *testing.T) {
	n := 0
	for _, kernel := range []int{1, 2, 3, 4, 5, 7} {
		for _, stride := range []int{1, 2, 3} {
			for _, height := range []int{1, 2, 6} {
				for _, width := range []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 14, 15, 17} {
					for _, channels := range []int{1, 3, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 72} {
						w := same(height, width, channels, kernel, stride)
						n++
						w.relu, w.bias, w.activation = n%2 == 0, n%5 > 0, Activation(n%3)
						testDepthwise(t, w)
					}
				}
			}
		}
	}
}

func TestDepthwiseAnyShape(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		draw := func(name string, low, high int) int { return rapid.IntRange(low, high).Draw(r, name) }
		w := window{
			height: draw("height", 1, 12), width: draw("width", 1, 20), channels: draw("channels", 1, 70),
			kernelHeight: draw("kernelHeight", 1, 6), kernelWidth: draw("kernelWidth", 1, 6),
			stride: draw("stride", 1, 4),
			bias:   rapid.Bool().Draw(r, "bias"), relu: rapid.Bool().Draw(r, "relu"),
			activation: rapid.SampledFrom([]Activation{Identity, ReLU, ReLU6}).Draw(r, "activation"),
		}
		w.padTop, w.padEnd = draw("padTop", 0, w.kernelHeight-1), draw("padEnd", 0, w.kernelHeight-1)
		w.padLeft, w.padLast = draw("padLeft", 0, w.kernelWidth-1), draw("padLast", 0, w.kernelWidth-1)
		if h, _ := w.outputs(); h == 0 {
			r.Skip("the kernel is larger than the padded picture")
		}
		testDepthwise(r, w)
	})
}

// TestDepthwiseRows checks that a row has the same bits in whatever part it is computed, and that a
// part writes nothing else.
func TestDepthwiseRows(t *testing.T) {
	eachLevel(t, func(t *testing.T, l Level) {
		d, guards := newDepthwise(same(9, 11, 40, 5, 2))
		d.Run(0, d.DstHeight)
		whole := slices.Clone(d.Dst)
		row := d.DstWidth * d.Channels
		for low := 0; low <= d.DstHeight; low++ {
			for high := low; high <= d.DstHeight; high++ {
				for i := range d.Dst {
					d.Dst[i] = guard
				}
				d.Run(low, high)
				guards.check(t)
				for at, v := range d.Dst {
					want := float32(guard)
					if at >= low*row && at < high*row {
						want = whole[at]
					}
					if v != want {
						t.Fatalf("rows [%d,%d): value %d is %v, want %v", low, high, at, v, want)
					}
				}
			}
		}
	})
}

// TestDepthwisePosition checks that a constant picture gives one value, to the bit, wherever the
// window lies inside the picture: the kernels of the border and of the middle sum in the same
// order.
func TestDepthwisePosition(t *testing.T) {
	eachLevel(t, func(t *testing.T, l Level) {
		for _, kernel := range []int{3, 5} {
			for _, stride := range []int{1, 2} {
				for width := kernel; width < 24; width++ {
					w := same(kernel, width, 33, kernel, stride)
					w.padTop, w.padEnd, w.padLeft, w.padLast = 0, 0, 0, 0
					d, _ := newDepthwise(w)
					pixel := d.Src[:d.Channels]
					for at := range d.Src {
						d.Src[at] = pixel[at%d.Channels]
					}
					d.Run(0, 1)
					for at, v := range d.Dst {
						if v != d.Dst[at%d.Channels] {
							t.Fatalf("kernel %d stride %d width %d: output %d channel %d is %v, the first %v",
								kernel, stride, width, at/d.Channels, at%d.Channels, v, d.Dst[at%d.Channels])
						}
					}
				}
			}
		}
	})
}

// testDepthwiseNotFinite puts value into channel 17 of position (5, 3) of a 3×3 convolution with
// positive weights, which gives want in its windows.
func testDepthwiseNotFinite(t *testing.T, w window, value, want float32) {
	t.Helper()
	d, _ := newDepthwise(w)
	for i, v := range d.Kernel {
		d.Kernel[i] = max(float32(math.Abs(float64(v))), 0.1)
	}
	d.Run(0, d.DstHeight)
	finite := slices.Clone(d.Dst)
	d.Src[(3*d.SrcWidth+5)*d.Channels+17] = value
	d.Run(0, d.DstHeight)
	for at, v := range d.Dst {
		ch, x, y := at%d.Channels, at/d.Channels%d.DstWidth, at/d.Channels/d.DstWidth
		expect := finite[at]
		if ch == 17 && y >= 2 && y <= 4 && x >= 4 && x <= 6 {
			expect = want
		}
		if v != expect && (v == v || expect == expect) {
			t.Fatalf("%v, %+v: dst[%d,%d,%d] = %v, want %v", value, w, y, x, ch, v, expect)
		}
	}
}

// TestDepthwiseNotFinite checks that NaN and infinities in one position reach the windows that
// cover it and no others, and that weights outside the picture are not used.
func TestDepthwiseNotFinite(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	eachLevel(t, func(t *testing.T, l Level) {
		for _, c := range []struct {
			value float32
			relu  bool
			want  map[Activation]float32 // with positive weights
		}{
			{nan, false, map[Activation]float32{Identity: nan, ReLU: nan, ReLU6: nan}},
			{nan, true, map[Activation]float32{Identity: nan, ReLU: nan, ReLU6: nan}},
			{inf, false, map[Activation]float32{Identity: inf, ReLU: inf, ReLU6: 6}},
			{inf, true, map[Activation]float32{Identity: inf, ReLU: inf, ReLU6: 6}},
			{-inf, false, map[Activation]float32{Identity: -inf, ReLU: 0, ReLU6: 0}},
		} {
			for a, want := range c.want {
				w := same(7, 12, 20, 3, 1)
				w.relu, w.activation = c.relu, a
				testDepthwiseNotFinite(t, w, c.value, want)
			}
		}
		// The first row of the kernel lies above a picture of one row.
		w := same(1, 9, 20, 3, 1)
		d, _ := newDepthwise(w)
		d.Run(0, 1)
		finite := slices.Clone(d.Dst)
		for i := range 3 * d.Channels {
			d.Kernel[i] = nan
		}
		d.Run(0, 1)
		if err := sameBits(finite, d.Dst); err != nil {
			t.Errorf("with NaN weights outside the picture: %v", err)
		}
	})
}

func TestDepthwiseAllocatesNothing(t *testing.T) {
	eachLevel(t, func(t *testing.T, l Level) {
		made, _ := newDepthwise(same(9, 15, 40, 3, 1))
		if n := testing.AllocsPerRun(10, func() {
			d := *made // as a caller makes it
			d.Run(0, d.DstHeight)
		}); n != 0 {
			t.Errorf("%v allocations a run", n)
		}
	})
}

func TestDepthwisePanics(t *testing.T) {
	for _, c := range []struct {
		about  string
		change func(d *Depthwise)
	}{
		{"outside src", func(d *Depthwise) { d.Stride = 0 }},
		{"outside src", func(d *Depthwise) { d.Channels = 0 }},
		{"outside src", func(d *Depthwise) { d.KernelWidth = 0 }},
		{"outside src", func(d *Depthwise) { d.PadTop = 3 }},
		{"outside src", func(d *Depthwise) { d.PadLeft = -1 }},
		{"outside src", func(d *Depthwise) { d.DstWidth += 3 }},
		{"outside src", func(d *Depthwise) { d.SrcHeight = 0 }},
		{"rows outside dst", func(d *Depthwise) { d.DstHeight-- }},
		{"Dst is too short", func(d *Depthwise) { d.Dst = d.Dst[:len(d.Dst)-1] }},
		{"Src is too short", func(d *Depthwise) { d.Src = d.Src[:len(d.Src)-1] }},
		{"Kernel is too short", func(d *Depthwise) { d.Kernel = d.Kernel[:len(d.Kernel)-1] }},
		{"Bias is too short", func(d *Depthwise) { d.Bias = d.Bias[:len(d.Bias)-1] }},
	} {
		d, _ := newDepthwise(same(6, 7, 20, 3, 1))
		rows := d.DstHeight
		c.change(d)
		mustPanic(t, c.about, func() { d.Run(0, rows) })
	}
	d, _ := newDepthwise(same(6, 7, 20, 3, 1))
	mustPanic(t, "rows outside dst", func() { d.Run(-1, 2) })
}

func ExampleDepthwise() {
	d := Depthwise{
		Dst: make([]float32, 4), DstHeight: 1, DstWidth: 4,
		Src: []float32{1, 2, 3, 4}, SrcHeight: 1, SrcWidth: 4,
		Channels: 1, KernelHeight: 1, KernelWidth: 3, Stride: 1, PadLeft: 1,
		Kernel: []float32{1, 0, -1},
	}
	d.Run(0, 1)
	fmt.Println(d.Dst)
	// Output: [-2 -2 -2 3]
}

// depthwiseShapes are layers of EfficientNet-Lite0 at 224 and Xception at 299:
// height and width, channels, kernel, stride.
var depthwiseShapes = [][4]int{
	{112, 32, 3, 1}, {112, 96, 3, 2}, {56, 144, 3, 1}, {56, 144, 5, 2}, {28, 240, 5, 1},
	{28, 240, 3, 2}, {14, 480, 3, 1}, {14, 480, 5, 1}, {14, 672, 5, 1}, {14, 672, 5, 2},
	{7, 1152, 5, 1}, {7, 1152, 3, 1},
	{147, 128, 3, 1}, {74, 256, 3, 1}, {37, 728, 3, 1}, {19, 728, 3, 1}, {10, 1536, 3, 1},
}

func BenchmarkDepthwise(b *testing.B) {
	for _, s := range depthwiseShapes {
		b.Run(fmt.Sprintf("%dx%dx%d/k%ds%d", s[0], s[0], s[1], s[2], s[3]), func(b *testing.B) {
			w := same(s[0], s[0], s[1], s[2], s[3])
			w.activation = ReLU6
			d, _ := newDepthwise(w)
			for b.Loop() {
				d.Run(0, d.DstHeight)
			}
			reportGFLOPS(b, 2*len(d.Dst)*s[2]*s[2])
		})
	}
}
