package nn

import (
	"fmt"
	"slices"
	"strings"
)

// OpSelect selects channels: see Builder.Select.
const OpSelect Op = "Select"

// Select selects channels in the given order: 2, 1, 0 turns red, green, blue into blue, green, red.
// A channel may be selected several times or not at all.
func (b *Builder) Select(x Value, channels ...int) Value {
	return b.layer(Layer{Op: OpSelect, Channels: channels}, x)
}

type selectChannels struct{ unary }

func (selectChannels) settings(l Layer) Layer { return Layer{Channels: slices.Clone(l.Channels)} }

func (selectChannels) shape(l Layer, in [][]int) ([]int, error) {
	last := len(in[0]) - 1
	if len(l.Channels) == 0 || len(l.Channels) > maxSetting {
		return nil, fmt.Errorf("it selects %d channels; it may be from 1 to %d", len(l.Channels), maxSetting)
	}
	for _, c := range l.Channels {
		if c < 0 || c >= in[0][last] {
			return nil, fmt.Errorf("it selects channel %d of %d, counted from 0", c, in[0][last])
		}
	}
	shape := slices.Clone(in[0])
	shape[last] = len(l.Channels)
	return shape, nil
}

func (selectChannels) text(l Layer) string {
	const most = 8
	shown := fmt.Sprint(l.Channels[:min(len(l.Channels), most)])
	if len(l.Channels) > most {
		shown = strings.TrimSuffix(shown, "]") + " …]"
	}
	return " " + shown
}

func (selectChannels) lower(l *lowering, i int) {
	n := &l.graph.nodes[i]
	in := n.inputs[0]
	l.emit(i, &selector{rows: n.positions(), inChannels: in[len(in)-1], channels: n.Channels}, n.Inputs[0])
}

// selector selects channels of each row.
type selector struct {
	scratchless
	rows, inChannels int
	channels         []int
}

func (s *selector) extent(n int) extent {
	return extent{rows: n * s.rows, panels: 1, work: 8 * n * s.rows * len(s.channels)}
}

func (s *selector) compute(b *buffers, p piece) {
	for i := p.low; i < p.high; i++ {
		out, in := b.out[i*len(s.channels):][:len(s.channels)], b.in[i*s.inChannels:][:s.inChannels]
		for j, c := range s.channels {
			out[j] = in[c]
		}
	}
}

func (s *selector) backward(b *backBuffers) {
	b.clearIn()
	for i := range b.n * s.rows {
		gradient, in := b.gradient[i*len(s.channels):][:len(s.channels)], b.inGradient[i*s.inChannels:][:s.inChannels]
		for j, c := range s.channels {
			in[c] += gradient[j]
		}
	}
}
