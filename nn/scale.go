package nn

// OpScale multiplies each channel and adds to it: see Builder.Scale.
const OpScale Op = "Scale"

// Scale multiplies each channel by a number and adds another: out = scale[c]·in + offset[c].
// Parameters: "scale", "offset", each [channels], which are not trained.
func (b *Builder) Scale(name string, x Value) Value {
	return b.layer(Layer{Op: OpScale, Name: name}, x)
}

type scale struct{ unary }

func (scale) params(_ Layer, in [][]int) []Param {
	c := in[0][len(in[0])-1:]
	return []Param{{"scale", c, false}, {"offset", c, false}}
}

func (scale) traits() traits { return traits{pointwise: true} }

func (scale) lower(l *lowering, i int) {
	n := &l.graph.nodes[i]
	d := newPerChannel(n)
	d.layer = n
	l.postpone(i, n.Inputs[0], d)
}
