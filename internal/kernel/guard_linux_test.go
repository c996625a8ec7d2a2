package kernel

import (
	"testing"

	"garb/internal/fence"
)

// fenced makes slices that end, or begin, where memory ends.
type fenced struct {
	t     *testing.T
	atEnd bool
}

// values returns a copy of v, nil for nil.
func (f fenced) values(v []float32) []float32 {
	f.t.Helper()
	if v == nil {
		return nil
	}
	c := fence.Make[float32](f.t, len(v), f.atEnd)
	copy(c, v)
	return c
}

// TestFences runs every kernel on memory that ends with its slices.
func TestFences(t *testing.T) {
	for _, atEnd := range []bool{false, true} {
		eachLevel(t, func(t *testing.T, l Level) {
			f := fenced{t, atEnd}
			f.testGemm(l)
			f.testDepthwise()
			f.testWinograd()
			f.testElementwise()
		})
	}
}

func (f fenced) testGemm(l Level) {
	for _, s := range []shape{
		{rows: 1, columns: 1, segments: 1, segmentLen: 1, aStride: 1, bias: true, residual: true},
		{rows: 3, columns: 9, segments: 1, segmentLen: 5, aStride: 5, bias: true, residual: true},
		{rows: 15, columns: 33, segments: 1, segmentLen: 7, aStride: 7, bias: true, residual: true},
		{rows: 29, columns: 47, segments: 3, segmentLen: 9, aStride: 6, gap: 30, bias: true, residual: true},
		{rows: 14, columns: 96, segments: 1, segmentLen: 16, aStride: 16, bias: true},
	} {
		p := newProduct(s)
		p.guards.values = f.values(p.Dst)
		p.Dst, p.A = p.guards.values, f.values(p.A)
		p.Bias, p.Residual = f.values(p.Bias), f.values(p.Residual)
		p.B = newMatrix(s.segments*s.segmentLen, s.columns, l)
		p.B.Set(p.b, nil)
		p.B.data = f.values(p.B.data)
		for i := range p.Dst {
			p.Dst[i] = guard
		}
		p.Run(0, s.rows, 0, p.B.Panels())
		p.check(f.t, p.Dst)
	}
}

func (f fenced) testDepthwise() {
	for _, kernel := range []int{1, 3, 5} {
		for _, stride := range []int{1, 2} {
			for _, width := range []int{1, 3, 7, 8, 13} {
				for _, channels := range []int{1, 9, 16, 24, 33} {
					d, _ := newDepthwise(same(4, width, channels, kernel, stride))
					d.Dst, d.Src = f.values(d.Dst), f.values(d.Src)
					d.Kernel, d.Bias = f.values(d.Kernel), f.values(d.Bias)
					d.Run(0, d.DstHeight)
					checkDepthwise(f.t, d)
				}
			}
		}
	}
}

func (f fenced) testWinograd() {
	for _, channels := range []int{1, 9, 16, 40} {
		for _, rows := range []int{1, 2} {
			s := winogradCase{channels: channels, rows: rows, positions: 5}
			w := s.newWinograd(4, 8)
			w.Map, w.Planes = f.values(w.Map), f.values(w.Planes)
			w.Input(3)
			w = s.newWinograd(2, 6)
			w.Map, w.Planes = f.values(w.Map), f.values(w.Planes)
			w.Gradient(3)
			w = s.newWinograd(rows, 5)
			w.Map, w.Planes = f.values(w.Map), f.values(w.Planes)
			w.Output(rows, 5, WinogradEpilogue{Bias: f.values(w.Map[:channels]), Residual: f.values(w.Map)})
		}
	}
}

func (f fenced) testElementwise() {
	for _, n := range lengths[1:] {
		a, b := operands(n)
		a, b = f.values(a), f.values(b)
		Max(a, b)
		Add(a, b, ReLU6)
		Activate(a, b, ReLU)
		FromHalf(a, fence.Make[byte](f.t, 2*n, f.atEnd))
		for _, g := range nonlinearities {
			g.run(a, b)
		}
		for _, p := range products {
			p.run(a, b, b)
		}
		MultiplyRows(a, b, b[:1])
	}
}
