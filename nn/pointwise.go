package nn

// function is a function of each value: an activation that kernels do not fuse.
type function struct {
	unary
	// apply sets dst[i] = f(src[i]) for a layer's settings.
	apply func(l Layer, dst, src []float32)
	// differentiate multiplies gradient[i] by f′(in[i]).
	differentiate func(l Layer, gradient, in []float32)
}

// valueFunction is a function without settings.
func valueFunction(compute, back func(dst, src []float32)) function {
	return function{
		apply:         func(_ Layer, dst, src []float32) { compute(dst, src) },
		differentiate: func(_ Layer, gradient, in []float32) { back(gradient, in) },
	}
}

func (function) traits() traits { return traits{pointwise: true} }

func (f function) lower(l *lowering, i int) {
	n := &l.graph.nodes[i]
	l.emit(i, &functionStage{rows: n.positions(), columns: n.channels(), layer: n.Layer, function: f}, n.Inputs[0])
}

// functionStage applies a function to each value.
type functionStage struct {
	scratchless
	rows, columns int
	layer         Layer
	function      function
}

func (a *functionStage) extent(n int) extent {
	return extent{rows: n * a.rows, panels: 1, work: 8 * n * a.rows * a.columns}
}

func (a *functionStage) compute(b *buffers, p piece) {
	a.function.apply(a.layer, b.out[p.low*a.columns:p.high*a.columns], b.in[p.low*a.columns:p.high*a.columns])
}

func (a *functionStage) backward(b *backBuffers) {
	a.function.differentiate(a.layer, b.gradient, b.in)
	b.addInGradient(b.gradient)
}
