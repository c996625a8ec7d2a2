package nn

import "garb/internal/kernel"

// The activations that kernels apply as they store: see the Builder's methods.
const (
	OpReLU  Op = "ReLU"
	OpReLU6 Op = "ReLU6"
)

// ReLU adds max(x, 0).
func (b *Builder) ReLU(x Value) Value { return b.layer(Layer{Op: OpReLU}, x) }

// ReLU6 adds min(max(x, 0), 6).
func (b *Builder) ReLU6(x Value) Value { return b.layer(Layer{Op: OpReLU6}, x) }

type relu struct{ unary }

func (relu) traits() traits { return traits{pointwise: true} }

func (relu) lower(l *lowering, i int) {
	if l.activate(i, kernel.ReLU) {
		return
	}
	in := l.graph.nodes[i].Inputs[0]
	l.materialize(in)
	l.reluInput[i] = in // a depthwise convolution applies it as it reads
}

type relu6 struct{ unary }

func (relu6) traits() traits { return traits{pointwise: true} }

func (relu6) lower(l *lowering, i int) {
	if !l.activate(i, kernel.ReLU6) {
		l.emit(i, newClamping(kernel.ReLU6), l.graph.nodes[i].Inputs[0])
	}
}

// clamping is a ReLU or ReLU6 that could not be fused.
type clamping struct {
	scratchless
	epilogue
}

func newClamping(a kernel.Activation) *clamping { return &clamping{epilogue: epilogue{activation: a}} }

func (*clamping) extent(int) extent { return single }

func (c *clamping) compute(b *buffers, _ piece) { kernel.Activate(b.out, b.in, c.activation) }

func (c *clamping) backward(b *backBuffers) {
	c.maskGradient(b)
	b.addInGradient(b.gradient)
}
