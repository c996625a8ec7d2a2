package nn

// function is a function of each value: an activation that is no part of a kernel.
type function struct {
	unary
	// compute sets dst[i] = f(src[i]) for a layer's settings.
	compute func(l Layer, dst, src []float32)
	// back multiplies gradient[i] by f′(in[i]).
	back func(l Layer, gradient, in []float32)
}

// valueFunction is a function without settings.
func valueFunction(compute, back func(dst, src []float32)) function {
	return function{
		compute: func(_ Layer, dst, src []float32) { compute(dst, src) },
		back:    func(_ Layer, gradient, in []float32) { back(gradient, in) },
	}
}

func (function) traits() traits { return traits{pointwise: true} }

func (f function) lower(l *lowering, i int) {
	n := &l.graph.nodes[i]
	l.emit(i, &applying{rows: n.positions(), columns: n.channels(), layer: n.Layer, function: f}, n.Inputs[0])
}

// applying applies a function to each value.
type applying struct {
	plain
	rows, columns int
	layer         Layer
	function      function
}

func (a *applying) extent(n int) extent {
	return extent{rows: n * a.rows, panels: 1, work: 8 * n * a.rows * a.columns}
}

func (a *applying) run(b *buffers, p piece) {
	a.function.compute(a.layer, b.out[p.low*a.columns:p.high*a.columns], b.in[p.low*a.columns:p.high*a.columns])
}

func (a *applying) back(b *backBuffers) {
	a.function.back(a.layer, b.gradient, b.in)
	b.handIn(b.gradient)
}
