package nn

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// OpDropout sets values to zero in training: see Builder.Dropout.
const OpDropout Op = "Dropout"

// Dropout sets values to zero at random with probability rate in training, and
// changes nothing in a Plan. The rate is 0 ≤ rate < 1.
func (b *Builder) Dropout(x Value, rate float64) Value {
	return b.layer(Layer{Op: OpDropout, Rate: rate}, x)
}

type dropout struct{ unary }

func (dropout) settings(l Layer) Layer { return Layer{Rate: l.Rate} }

func (dropout) shape(l Layer, in [][]int) ([]int, error) {
	if !(l.Rate >= 0 && l.Rate < 1) {
		return nil, fmt.Errorf("rate %v; it is from 0 to below 1", l.Rate)
	}
	return in[0], nil
}

func (dropout) text(l Layer) string {
	if l.Rate == 0 {
		return ""
	}
	return fmt.Sprintf(" %g", l.Rate)
}

func (dropout) traits() traits { return traits{view: true, pointwise: true} }

func (dropout) lower(l *lowering, i int) {
	n := &l.graph.nodes[i]
	if !l.purpose.training || n.Rate == 0 {
		l.alias(i, n.Inputs[0])
		return
	}
	l.emit(i, &dropoutMask{rate: n.Rate}, n.Inputs[0])
}

// dropoutMask sets values to zero at random and divides the others by the share that is kept
// (inverted dropout).
type dropoutMask struct {
	scratchless
	rate float64
}

func (*dropoutMask) extent(int) extent { return single }

func (d *dropoutMask) compute(b *buffers, _ piece) { d.drop(b.out, b.in, b.draw) }

func (d *dropoutMask) backward(b *backBuffers) {
	d.drop(b.gradient, b.gradient, b.draw)
	b.addInGradient(b.gradient)
}

func (d *dropoutMask) drop(dst, src []float32, seed dropoutSeed) {
	random := rand.NewPCG(seed.seed, seed.place)
	scale := float32(1 / (1 - d.rate))
	threshold := uint32(math.Round(d.rate * (1 << 32)))
	var bits uint64
	for i, v := range src {
		if i%2 == 0 {
			bits = random.Uint64()
		} else {
			bits >>= 32
		}
		if uint32(bits) < threshold {
			dst[i] = 0
		} else {
			dst[i] = v * scale
		}
	}
}
