package kernel

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// The matrices of F(2×2, 3×3), as the paper has them.
var (
	winogradB = [][]float64{{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, 1, 0, -1}} // Bᵀ
	winogradA = [][]float64{{1, 1, 1, 0}, {0, 1, -1, -1}}                              // Aᵀ
	winogradG = [][]float64{{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}}   // G
)

// conjugate returns m·x·mᵀ, and the sum of the absolute values of what it adds for each.
func conjugate(m [][]float64, x func(i, j int) float64) (values, magnitudes [][]float64) {
	for i := range m {
		values, magnitudes = append(values, make([]float64, len(m))), append(magnitudes, make([]float64, len(m)))
		for j := range m {
			for k, a := range m[i] {
				for l, b := range m[j] {
					values[i][j] += a * x(k, l) * b
					magnitudes[i][j] += math.Abs(a * x(k, l) * b)
				}
			}
		}
	}
	return values, magnitudes
}

// winogradCase is a row of tiles.
type winogradCase struct {
	channels, rows, positions        int
	lineGap, pixelGap, planeGap, gap int // beside what must be there
	bias, residual                   bool
	activation                       Activation
}

func (s winogradCase) String() string {
	return fmt.Sprintf("%d channels, %d×%d, gaps %d %d %d %d", s.channels, s.rows, s.positions,
		s.lineGap, s.pixelGap, s.planeGap, s.gap)
}

func (s winogradCase) tiles() int { return (s.positions + 1) / 2 }

// newWinograd returns a row of tiles whose map has width positions, in guarded memory.
func (s winogradCase) newWinograd(rows, width int) *Winograd {
	r := newRand(s.channels, s.rows, s.positions, s.lineGap)
	w := &Winograd{Channels: s.channels, Pixel: s.channels + s.pixelGap, Pitch: s.channels + s.gap}
	w.Line, w.Plane = width*w.Pixel+s.lineGap, s.tiles()*w.Pitch+s.planeGap
	w.Map = random(r, (rows-1)*w.Line+(width-1)*w.Pixel+s.channels)
	w.Planes = random(r, 15*w.Plane+(s.tiles()-1)*w.Pitch+s.channels)
	return w
}

// fill sets a slice to known values, to see what is written.
func fill(v []float32) guarded {
	g := newGuarded(len(v))
	for i := range g.values {
		g.values[i] = guard
	}
	return g
}

// checkSpread compares the planes of parts of the map, each m·part·mᵀ.
func (s winogradCase) checkSpread(t tester, m [][]float64, run func(w *Winograd, count int)) {
	t.Helper()
	size := len(m[0])
	w := s.newWinograd(size, 2*s.tiles()+size-2)
	planes := fill(w.Planes)
	w.Planes = planes.values
	run(w, s.tiles())
	planes.check(t)
	written := 0
	for tile := range s.tiles() {
		for c := range s.channels {
			want, magnitude := conjugate(m, func(i, j int) float64 {
				return float64(w.Map[i*w.Line+(2*tile+j)*w.Pixel+c])
			})
			for p := range 16 {
				got := w.Planes[p*w.Plane+tile*w.Pitch+c]
				if !(math.Abs(float64(got)-want[p/4][p%4]) <= sumError(4, magnitude[p/4][p%4])) {
					t.Fatalf("%v: plane %d of tile %d, channel %d: %v, want %v", s, p, tile, c, got, want[p/4][p%4])
				}
				written++
			}
		}
	}
	checkUnwritten(t, w.Planes, written)
}

// transposed returns the transpose of a matrix.
func transposed(m [][]float64) [][]float64 {
	to := make([][]float64, len(m[0]))
	for i := range to {
		for _, row := range m {
			to[i] = append(to[i], row[i])
		}
	}
	return to
}

func (s winogradCase) checkOutput(t tester) {
	t.Helper()
	w := s.newWinograd(s.rows, s.positions)
	r := newRand(s.channels, 7)
	e := WinogradEpilogue{Activation: s.activation}
	if s.bias {
		e.Bias = random(r, s.channels)
	}
	if s.residual {
		e.Residual = random(r, len(w.Map))
	}
	out := fill(w.Map)
	w.Map = out.values
	w.Output(s.rows, s.positions, e)
	out.check(t)
	written := 0
	for y := range s.rows {
		for x := range s.positions {
			for c := range s.channels {
				values, magnitudes := conjugate(winogradA, func(i, j int) float64 {
					return float64(w.Planes[(4*i+j)*w.Plane+x/2*w.Pitch+c])
				})
				want, magnitude := values[y][x%2], magnitudes[y][x%2]
				at := y*w.Line + x*w.Pixel + c
				add := func(v float32) { want, magnitude = want+float64(v), magnitude+math.Abs(float64(v)) }
				if s.bias {
					add(e.Bias[c])
				}
				if s.residual {
					add(e.Residual[at])
				}
				got := w.Map[at]
				if !(math.Abs(float64(got)-activated(want, s.activation)) <= sumError(9, magnitude)) {
					t.Fatalf("%v: output %d,%d, channel %d: %v, want %v", s, y, x, c, got,
						activated(want, s.activation))
				}
				written++
			}
		}
	}
	checkUnwritten(t, w.Map, written)
}

// checkUnwritten fails if more than written values are no guards.
func checkUnwritten(t tester, values []float32, written int) {
	t.Helper()
	for _, v := range values {
		if v != guard {
			written--
		}
	}
	if written != 0 {
		t.Fatalf("%d values were written where none belongs", -written)
	}
}

func TestWinograd(t *testing.T) {
	eachLevel(t, func(t *testing.T, _ Level) {
		rapid.Check(t, func(t *rapid.T) {
			gap := rapid.IntRange(0, 3)
			s := winogradCase{
				channels: rapid.IntRange(1, 50).Draw(t, "channels"),
				rows:     rapid.IntRange(1, 2).Draw(t, "rows"), positions: rapid.IntRange(1, 7).Draw(t, "positions"),
				lineGap: gap.Draw(t, "line gap"), pixelGap: gap.Draw(t, "pixel gap"),
				planeGap: gap.Draw(t, "plane gap"), gap: gap.Draw(t, "gap"),
				bias: rapid.Bool().Draw(t, "bias"), residual: rapid.Bool().Draw(t, "residual"),
				activation: Activation(rapid.IntRange(0, 2).Draw(t, "activation")),
			}
			s.checkSpread(t, winogradB, (*Winograd).Input)
			s.checkSpread(t, transposed(winogradA), (*Winograd).Gradient)
			s.checkOutput(t)
		})
	})
}

// TestWinogradLevels checks that the transforms have the same bits at every level, also for special
// values, and that the residual may be the destination.
func TestWinogradLevels(t *testing.T) {
	var want [3][]float32
	eachLevel(t, func(t *testing.T, l Level) {
		s := winogradCase{channels: 45, rows: 2, positions: 5}
		in, gradient, out := s.newWinograd(4, 8), s.newWinograd(2, 6), s.newWinograd(2, 5)
		for i := range in.Map {
			if i%3 == 0 {
				in.Map[i] = odd[i/3%len(odd)]
			}
		}
		copy(gradient.Map, in.Map)
		in.Input(3)
		gradient.Gradient(3)
		out.Output(2, 5, WinogradEpilogue{Bias: in.Map, Residual: out.Map, Activation: ReLU6})
		for i, got := range [][]float32{in.Planes, out.Map, gradient.Planes} {
			if want[i] == nil {
				want[i] = got
			}
			if err := sameBits(want[i], got); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestWinogradConvolution checks that kernel, transforms and sums together compute a convolution.
func TestWinogradConvolution(t *testing.T) {
	r := newRand(3)
	s := winogradCase{channels: 1, rows: 2, positions: 2}
	w := s.newWinograd(4, 4)
	taps := random(r, 9)
	planes, _ := conjugate(winogradG, func(i, j int) float64 { return float64(taps[3*i+j]) })
	w.Input(1)
	for p := range 16 {
		w.Planes[p*w.Plane] *= float32(planes[p/4][p%4])
	}
	out := *w
	out.Map = make([]float32, len(w.Map))
	out.Output(2, 2, WinogradEpilogue{})
	for y := range 2 {
		for x := range 2 {
			want := 0.0
			for i := range 3 {
				for j := range 3 {
					want += float64(w.Map[(y+i)*w.Line+x+j]) * float64(taps[3*i+j])
				}
			}
			if got := float64(out.Map[y*out.Line+x]); math.Abs(got-want) > 1e-6 {
				t.Errorf("output %d,%d is %v, want %v", y, x, got, want)
			}
		}
	}
}

func TestWinogradPanics(t *testing.T) {
	s := winogradCase{channels: 3, rows: 2, positions: 4}
	for name, run := range map[string]func(w *Winograd){
		"map":       func(w *Winograd) { w.Map = w.Map[1:]; w.Output(2, 4, WinogradEpilogue{}) },
		"planes":    func(w *Winograd) { w.Planes = w.Planes[1:]; w.Output(2, 4, WinogradEpilogue{}) },
		"rows":      func(w *Winograd) { w.Output(3, 4, WinogradEpilogue{}) },
		"bias":      func(w *Winograd) { w.Output(2, 4, WinogradEpilogue{Bias: w.Map[:2]}) },
		"residual":  func(w *Winograd) { w.Output(2, 4, WinogradEpilogue{Residual: w.Map[1:]}) },
		"windows":   func(w *Winograd) { w.Input(2) },
		"gradients": func(w *Winograd) { w.Gradient(3) },
		"channels":  func(w *Winograd) { w.Channels = 0; w.Output(2, 4, WinogradEpilogue{}) },
		"pixel":     func(w *Winograd) { w.Pixel = 2; w.Output(2, 4, WinogradEpilogue{}) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("it did not panic")
				}
			}()
			run(s.newWinograd(2, 4))
		})
	}
}
