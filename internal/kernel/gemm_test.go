package kernel

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// product is a Gemm for tests: its B is kept as it was before packing.
type product struct {
	Gemm
	rows   int
	b      []float32
	guards guarded // of Dst
}

type shape struct {
	rows, columns        int
	segments, segmentLen int
	aStride, gap         int // gap: between the end of a segment and the next, in values
	bias, residual       bool
	activation           Activation
}

func (s shape) String() string {
	return fmt.Sprintf("%dx%dx%d/segments=%d,stride=%d,gap=%d,bias=%v,residual=%v,act=%d",
		s.rows, s.segments*s.segmentLen, s.columns, s.segments, s.aStride, s.gap, s.bias, s.residual, s.activation)
}

func newProduct(s shape) *product {
	r := newRand(s.rows, s.columns, s.segments, s.segmentLen)
	depth := s.segments * s.segmentLen
	step := s.segmentLen + s.gap
	p := &product{rows: s.rows, b: random(r, depth*s.columns)}
	dstStride := s.columns + 3
	p.guards = newGuarded((s.rows-1)*dstStride + s.columns)
	p.Gemm = Gemm{
		Dst: p.guards.values, DstStride: dstStride,
		A: random(r, (s.rows-1)*s.aStride+(s.segments-1)*step+s.segmentLen), AStride: s.aStride,
		Segments: s.segments, SegmentLen: s.segmentLen, SegmentStride: step,
		Activation: s.activation,
	}
	if s.bias {
		p.Bias = random(r, s.columns)
	}
	if s.residual {
		p.ResidualStride = s.columns + 1
		p.Residual = random(r, (s.rows-1)*p.ResidualStride+s.columns)
	}
	return p
}

// run computes all of the product at a level and returns Dst, gaps included.
func (p *product) run(t tester, l Level) []float32 {
	t.Helper()
	for i := range p.Dst {
		p.Dst[i] = guard
	}
	p.B = newMatrix(p.Segments*p.SegmentLen, len(p.b)/(p.Segments*p.SegmentLen), l)
	p.B.Set(p.b, nil)
	p.Run(0, p.rows, 0, p.B.Panels())
	p.guards.check(t)
	return slices.Clone(p.Dst)
}

// check compares got with the definition in float64, and makes sure that nothing
// between the rows was written.
func (p *product) check(t tester, got []float32) {
	t.Helper()
	columns := p.B.Columns
	for at, v := range got {
		i, j := at/p.DstStride, at%p.DstStride
		if j >= columns {
			if v != guard {
				t.Fatalf("row %d: the gap behind it was overwritten with %v", i, v)
			}
			continue
		}
		sum, magnitude := 0.0, 0.0
		add := func(v float64) { sum, magnitude = sum+v, magnitude+math.Abs(v) }
		for s := range p.Segments {
			for k := range p.SegmentLen {
				add(float64(p.A[i*p.AStride+s*p.SegmentStride+k]) * float64(p.b[(s*p.SegmentLen+k)*columns+j]))
			}
		}
		if p.Bias != nil {
			add(float64(p.Bias[j]))
		}
		if p.Residual != nil {
			add(float64(p.Residual[i*p.ResidualStride+j]))
		}
		want := activated(sum, p.Activation)
		if !(math.Abs(float64(v)-want) <= sumError(p.Segments*p.SegmentLen, magnitude)) {
			t.Fatalf("dst[%d,%d] = %v, want %v", i, j, v, want)
		}
	}
}

// testProduct checks all levels against the definition, and those that round alike
// against each other.
func testProduct(t tester, s shape) {
	t.Helper()
	p := newProduct(s)
	first := map[bool][]float32{} // of the levels that fuse, and of those that do not
	for _, l := range levels() {
		got := p.run(t, l)
		p.check(t, got)
		if want, ok := first[l.complete()]; !ok {
			first[l.complete()] = got
		} else if i := differentBits(want, got); i >= 0 {
			t.Fatalf("%v: value %d is %v at %v, and %v before", s, i, got[i], l, want[i])
		}
	}
}

func TestGemm(t *testing.T) {
	rows := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 27, 28, 29, 43}
	columns := []int{1, 7, 8, 9, 10, 15, 16, 17, 23, 24, 25, 31, 32, 33, 40, 47, 48, 49, 63, 64, 65, 100}
	depths := []int{1, 2, 3, 4, 5, 7, 8, 9, 13, 24}
	for a, m := range rows {
		for b, n := range columns {
			for c, k := range depths {
				s := shape{rows: m, columns: n, segments: 1, segmentLen: k, aStride: k}
				s.bias, s.residual, s.activation = (a+b+c)%2 == 0, (a+c)%3 == 0, Activation((a+b)%3)
				testProduct(t, s)
			}
		}
	}
}

// TestGemmConvolution checks the forms that a convolution takes: rows of A overlap,
// and segments lie an input row apart.
func TestGemmConvolution(t *testing.T) {
	for _, s := range []shape{
		{rows: 112, columns: 32, segments: 3, segmentLen: 9, aStride: 6, gap: 675 - 9, bias: true, activation: ReLU6},
		{rows: 148, columns: 32, segments: 3, segmentLen: 9, aStride: 3, gap: 450 - 9, bias: true, activation: ReLU},
		{rows: 37, columns: 64, segments: 3, segmentLen: 96, aStride: 32, gap: 149*32 - 96, bias: true},
		{rows: 20, columns: 33, segments: 7, segmentLen: 5, aStride: 1, gap: 40, residual: true},
		{rows: 20, columns: 18, segments: 2, segmentLen: 4, aStride: 0, gap: 0}, // every row of A the same
	} {
		t.Run(s.String(), func(t *testing.T) { testProduct(t, s) })
	}
}

func TestGemmAnyShape(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := shape{
			rows:       rapid.IntRange(1, 64).Draw(r, "rows"),
			columns:    rapid.IntRange(1, 100).Draw(r, "columns"),
			segments:   rapid.IntRange(1, 4).Draw(r, "segments"),
			segmentLen: rapid.IntRange(1, 40).Draw(r, "segmentLen"),
			aStride:    rapid.IntRange(0, 90).Draw(r, "aStride"),
			gap:        rapid.IntRange(0, 50).Draw(r, "gap"),
			bias:       rapid.Bool().Draw(r, "bias"),
			residual:   rapid.Bool().Draw(r, "residual"),
			activation: rapid.SampledFrom([]Activation{Identity, ReLU, ReLU6}).Draw(r, "activation"),
		}
		testProduct(r, s)
	})
}

// TestGemmRanges checks that a value has the same bits in whatever part it is computed, and that a
// part writes nothing else.
func TestGemmRanges(t *testing.T) {
	eachLevel(t, func(t *testing.T, l Level) {
		p := newProduct(shape{rows: 31, columns: 75, segments: 1, segmentLen: 21, aStride: 21, bias: true,
			residual: true})
		whole := p.run(t, l)
		panels := p.B.Panels()
		for rowLow := 0; rowLow <= p.rows; rowLow += 5 {
			for rowHigh := rowLow; rowHigh <= p.rows; rowHigh++ {
				for panelLow := range panels {
					panelHigh := panelLow + 1 + rowHigh%(panels-panelLow)
					for i := range p.Dst {
						p.Dst[i] = guard
					}
					p.Run(rowLow, rowHigh, panelLow, panelHigh)
					p.guards.check(t)
					p.checkRange(t, whole, rowLow, rowHigh, panelLow, panelHigh)
				}
			}
		}
	})
}

// checkRange checks that Dst has the values of whole inside the ranges, and guards outside.
func (p *product) checkRange(t *testing.T, whole []float32, rowLow, rowHigh, panelLow, panelHigh int) {
	t.Helper()
	for at, v := range p.Dst {
		i, j := at/p.DstStride, at%p.DstStride
		want := float32(guard)
		if i >= rowLow && i < rowHigh && j < p.B.Columns &&
			j >= panelLow*p.B.PanelColumns && j < panelHigh*p.B.PanelColumns {
			want = whole[at]
		}
		if math.Float32bits(v) != math.Float32bits(want) {
			t.Fatalf("rows [%d,%d) panels [%d,%d): dst[%d,%d] = %v, want %v",
				rowLow, rowHigh, panelLow, panelHigh, i, j, v, want)
		}
	}
}

func TestGemmResidualMayBeDst(t *testing.T) {
	eachLevel(t, func(t *testing.T, l Level) {
		p := newProduct(shape{rows: 17, columns: 41, segments: 1, segmentLen: 12, aStride: 12, bias: true,
			activation: ReLU})
		p.ResidualStride = p.DstStride
		p.Residual = random(newRand(7), len(p.Dst))
		want := p.run(t, l)
		copy(p.Dst, p.Residual)
		p.Residual = p.Dst
		p.Run(0, p.rows, 0, p.B.Panels())
		for at := range want {
			if at%p.DstStride < p.B.Columns && p.Dst[at] != want[at] {
				t.Fatalf("value %d: %v, with a residual of its own %v", at, p.Dst[at], want[at])
			}
		}
	})
}

func TestGemmScratch(t *testing.T) {
	if n := ScratchLen(1023); n != 0 {
		t.Errorf("ScratchLen(1023) = %d, want 0", n)
	}
	eachLevel(t, func(t *testing.T, l Level) {
		// Rows of A that reach to the next and that do not; a stride that needs no copy.
		for _, c := range [][2]int{{1024, 1000}, {1024, 20}, {2048, 2048}, {100, 100}} {
			stride := c[0]
			p := newProduct(shape{rows: 61, columns: 100, segments: 1, segmentLen: c[1], aStride: stride, bias: true})
			want := p.run(t, l)
			scratch := newGuarded(max(ScratchLen(stride), 10))
			p.Scratch = scratch.values
			got := p.run(t, l)
			scratch.check(t)
			if err := sameBits(want, got); err != nil {
				t.Errorf("stride %d: without scratch and with it: %v", stride, err)
			}
		}
	})
}

// TestGemmNotFinite checks that NaN and infinities reach the values that the definition says, and
// no others.
func TestGemmNotFinite(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	eachLevel(t, func(t *testing.T, l Level) {
		for _, c := range []struct {
			value float32
			want  map[Activation]float32 // of the row that meets it, times a positive weight
		}{
			{nan, map[Activation]float32{Identity: nan, ReLU: nan, ReLU6: nan}},
			{inf, map[Activation]float32{Identity: inf, ReLU: inf, ReLU6: 6}},
			{-inf, map[Activation]float32{Identity: -inf, ReLU: 0, ReLU6: 0}},
		} {
			for a, want := range c.want {
				testGemmNotFinite(t, l, a, c.value, want)
			}
		}
	})
}

// testGemmNotFinite puts value into row 9 of A and positive values into B, which gives want in
// row 9 of Dst.
func testGemmNotFinite(t *testing.T, l Level, a Activation, value, want float32) {
	t.Helper()
	p := newProduct(shape{rows: 16, columns: 50, segments: 1, segmentLen: 11, aStride: 11, bias: true,
		residual: true, activation: a})
	for i, v := range p.b {
		p.b[i] = max(float32(math.Abs(float64(v))), 0.1)
	}
	finite := p.run(t, l)
	p.A[9*p.AStride+5] = value
	for at, v := range p.run(t, l) {
		i, j := at/p.DstStride, at%p.DstStride
		expect := finite[at]
		if i == 9 && j < p.B.Columns {
			expect = want
		}
		if v != expect && (v == v || expect == expect) {
			t.Fatalf("%v with activation %d: dst[%d,%d] = %v, want %v", value, a, i, j, v, expect)
		}
	}
}

// TestPackKeepsNothing checks that a matrix does not change with the slice that it was packed from,
// and keeps the level that it was packed for.
func TestPackKeepsNothing(t *testing.T) {
	eachLevel(t, func(t *testing.T, l Level) {
		p := newProduct(shape{rows: 5, columns: 40, segments: 1, segmentLen: 6, aStride: 6})
		want := p.run(t, l)
		p.B = Pack(p.b, 6, 40, nil)
		clear(p.b)
		for _, other := range levels() {
			use(t, other)
			p.Run(0, p.rows, 0, p.B.Panels())
			if err := sameBits(want, p.Dst); err != nil {
				t.Errorf("with level %v active: %v", other, err)
			}
		}
	})
}

func TestGemmAllocatesNothing(t *testing.T) {
	eachLevel(t, func(t *testing.T, l Level) {
		p := newProduct(shape{rows: 33, columns: 50, segments: 1, segmentLen: 1024, aStride: 1024, bias: true,
			residual: true})
		p.run(t, l)
		p.Scratch = make([]float32, ScratchLen(1024))
		if n := testing.AllocsPerRun(10, func() {
			g := p.Gemm // as a caller makes it
			g.Run(0, p.rows, 0, g.B.Panels())
		}); n != 0 {
			t.Errorf("%v allocations a run", n)
		}
	})
}

func TestGemmPanics(t *testing.T) {
	good := func() *product {
		p := newProduct(shape{rows: 9, columns: 40, segments: 2, segmentLen: 6, aStride: 12, bias: true,
			residual: true})
		p.B = Pack(p.b, 12, 40, nil)
		return p
	}
	good().Run(0, 9, 0, good().B.Panels())
	for _, c := range []struct {
		about  string
		change func(p *product)
	}{
		{"segments", func(p *product) { p.SegmentLen = 5 }},
		{"segments", func(p *product) { p.Segments = 0 }},
		{"segments", func(p *product) { p.Segments, p.SegmentLen = -2, -6 }},
		{"A is too short", func(p *product) { p.A = p.A[:len(p.A)-1] }},
		{"A is too short", func(p *product) { p.AStride++ }},
		{"A is too short", func(p *product) { p.AStride = -1 }},
		{"A is too short", func(p *product) { p.SegmentStride = -1 }},
		{"A is too short", func(p *product) { p.A = nil }},
		{"Dst is too short", func(p *product) { p.Dst = p.Dst[:len(p.Dst)-1] }},
		{"Dst is too short", func(p *product) { p.DstStride = 39 }},
		{"Bias is too short", func(p *product) { p.Bias = p.Bias[:39] }},
		{"Residual is too short", func(p *product) { p.Residual = p.Residual[:len(p.Residual)-1] }},
		{"Residual is too short", func(p *product) { p.ResidualStride = 0 }},
	} {
		p := good()
		c.change(p)
		mustPanic(t, c.about, func() { p.Run(0, 9, 0, p.B.Panels()) })
	}
	p := good()
	for _, r := range [][4]int{{-1, 9, 0, 1}, {0, 9, -1, 1}, {0, 9, 0, p.B.Panels() + 1}} {
		mustPanic(t, "range", func() { p.Run(r[0], r[1], r[2], r[3]) })
	}
	mustPanic(t, "too short", func() { p.Run(0, 10, 0, 1) })
	for _, r := range [][4]int{{0, 0, 0, 1}, {5, 5, 0, 1}, {0, 9, 1, 1}} { // empty ranges do nothing
		clear(p.Dst)
		p.Run(r[0], r[1], r[2], r[3])
		if slices.ContainsFunc(p.Dst, func(v float32) bool { return v != 0 }) {
			t.Errorf("an empty range %v wrote", r)
		}
	}
}

func ExampleGemm() {
	b := Pack([]float32{
		1, 2, 3,
		4, 5, 6,
	}, 2, 3, nil)
	g := Gemm{
		Dst: make([]float32, 2*3), DstStride: 3,
		A: []float32{
			1, 0,
			1, -1,
		}, AStride: 2, Segments: 1, SegmentLen: 2,
		B: b, Bias: []float32{10, 0, 2}, Activation: ReLU,
	}
	g.Run(0, 2, 0, b.Panels())
	fmt.Println(g.Dst)
	// Output: [11 2 5 7 0 0]
}

// gemmShapes are products of EfficientNet-Lite0 at 224 and Xception at 299: rows,
// depth, columns.
var gemmShapes = [][3]int{
	{12544, 32, 16}, {12544, 16, 96}, {3136, 96, 24}, {3136, 24, 144}, {3136, 144, 24},
	{784, 144, 40}, {784, 40, 240}, {784, 240, 40}, {196, 240, 80}, {196, 80, 480},
	{196, 480, 80}, {196, 480, 112}, {196, 112, 672}, {196, 672, 112}, {49, 672, 192},
	{49, 192, 1152}, {49, 1152, 192}, {49, 1152, 320}, {49, 320, 1280}, {1, 1280, 1000},
	{21609, 64, 128}, {21609, 128, 128}, {5476, 256, 256}, {1369, 728, 728}, {361, 728, 728}, {100, 728, 1024},
	{100, 1024, 1536}, {100, 1536, 2048},
}

func BenchmarkGemm(b *testing.B) {
	for _, s := range gemmShapes {
		rows, depth, columns := s[0], s[1], s[2]
		b.Run(fmt.Sprintf("%dx%dx%d", rows, depth, columns), func(b *testing.B) {
			r := newRand(s[:]...)
			g := Gemm{
				Dst: make([]float32, rows*columns), DstStride: columns,
				A: random(r, rows*depth), AStride: depth, Segments: 1, SegmentLen: depth,
				B: Pack(random(r, depth*columns), depth, columns, nil), Bias: random(r, columns), Activation: ReLU6,
				Scratch: make([]float32, ScratchLen(depth)),
			}
			each := max(1, 49152/depth/42) * 42 // rows that keep A in the second-level cache, as nn cuts them
			for b.Loop() {
				for low := 0; low < rows; low += each {
					g.Run(low, min(low+each, rows), 0, g.B.Panels())
				}
			}
			reportGFLOPS(b, 2*rows*depth*columns)
		})
	}
}

// BenchmarkGemmConvolution runs the networks' first convolutions, a row of the
// picture at a time.
func BenchmarkGemmConvolution(b *testing.B) {
	for _, c := range []struct{ size, channels, stride, columns, out int }{
		{224, 3, 2, 32, 112}, {299, 3, 2, 32, 149}, {149, 32, 1, 64, 147},
	} {
		b.Run(fmt.Sprintf("3x3x%dx%d", c.channels, c.columns), func(b *testing.B) {
			r := newRand(c.size)
			line := (c.size + 1) * c.channels
			picture := random(r, line*(c.size+1))
			depth := 9 * c.channels
			g := Gemm{
				Dst: make([]float32, c.out*c.columns), DstStride: c.columns,
				AStride: c.stride * c.channels, Segments: 3, SegmentLen: 3 * c.channels, SegmentStride: line,
				B: Pack(random(r, depth*c.columns), depth, c.columns, nil), Bias: random(r, c.columns),
				Activation: ReLU6,
			}
			for b.Loop() {
				for y := range c.out {
					g.A = picture[y*c.stride*line:]
					g.Run(0, c.out, 0, g.B.Panels())
				}
			}
			reportGFLOPS(b, 2*c.out*c.out*depth*c.columns)
		})
	}
}

// reportGFLOPS reports the speed of a benchmark whose turn takes operations
// additions and multiplications.
func reportGFLOPS(b *testing.B, operations int) {
	b.ReportMetric(float64(operations)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}

func TestPackScales(t *testing.T) {
	// 37 columns: a full panel, and a part of one that is padded.
	const rows, columns = 3, 37
	b, scale := make([]float32, rows*columns), make([]float32, columns)
	scaled := make([]float32, len(b))
	for i := range b {
		b[i], scale[i%columns] = float32(i+1), float32(i%columns)-4
		scaled[i] = b[i] * scale[i%columns]
	}
	if !slices.Equal(Pack(b, rows, columns, scale).data, Pack(scaled, rows, columns, nil).data) {
		t.Error("Pack with a scale is not Pack of the scaled matrix")
	}
}
