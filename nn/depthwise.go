package nn

import (
	"slices"

	"garb/internal/kernel"
	"garb/tensor"
)

// OpDepthwiseConv is a convolution of each channel by itself: see Builder.DepthwiseConvRect.
const OpDepthwiseConv Op = "DepthwiseConv"

// DepthwiseConv convolves each channel with its own square kernel:
// out[y,x,c] = Σ_ij in[y·s+i, x·s+j, c]·kernel[i,j,c,0].
// Parameter: "kernel" [size size channels 1].
func (b *Builder) DepthwiseConv(name string, x Value, size, stride int, padding Padding, options ...ConvOption) Value {
	return b.DepthwiseConvRect(name, x, size, size, stride, padding, options...)
}

// DepthwiseConvRect adds a DepthwiseConv with kernels of any height and width.
func (b *Builder) DepthwiseConvRect(
	name string, x Value, kernelHeight, kernelWidth, stride int, padding Padding, options ...ConvOption,
) Value {
	return b.weightedLayer(Layer{
		Op: OpDepthwiseConv, Name: name, Height: kernelHeight, Width: kernelWidth, Stride: stride,
		Same: padding == Same,
	}, x, options)
}

type depthwiseConv struct{ windowed }

func (depthwiseConv) settings(l Layer) Layer {
	s := windowed{}.settings(l)
	s.Bias = l.Bias
	return s
}

func (depthwiseConv) shape(l Layer, in [][]int) ([]int, error) {
	height, width, err := l.slideOver(in[0])
	if err != nil {
		return nil, err
	}
	return []int{height, width, in[0][2]}, nil
}

func (depthwiseConv) params(l Layer, in [][]int) []Param {
	return listKernelAndBias(l, in[0][2], Param{"kernel", []int{l.Height, l.Width, in[0][2], 1}, true})
}

func (depthwiseConv) multiplyAdds(l Layer, _ [][]int, out []int) int {
	return tensor.Len(out) * l.Height * l.Width
}

func (depthwiseConv) lower(l *lowering, i int) {
	w, in := l.absorbPad(i, false)
	l.postponeDepthwise(i, in, w, 1)
}

// postponeDepthwise postpones node i, a convolution of each channel of node in by itself. With
// several outputs per channel it reads a map in which each channel is repeated.
func (l *lowering) postponeDepthwise(i, in int, w window, outputs int) {
	n := &l.graph.nodes[i]
	closing := epilogue{layer: n, takesNorm: true}
	repeated := -1
	if outputs > 1 {
		r := &repeat{rows: w.height * w.width, columns: w.channels, times: outputs}
		s := &stage{computation: r, in: l.materialize(in), second: -1, at: i}
		repeated = l.append(s, w.height*w.width*w.channels*outputs, false)
		w.channels *= outputs
	}
	var c computation
	d := &depthwise{epilogue: closing, window: w}
	if c = d; !w.isContiguous() {
		c = &gappedDepthwise{epilogue: closing, window: w}
	}
	switch {
	case repeated >= 0:
		l.pending[i] = &stage{computation: c, in: repeated, second: -1, at: i}
	case w.isContiguous():
		d.reluInput = l.postponeReadingReLU(i, in, c)
	default:
		l.postpone(i, in, c)
	}
}

// depthwise is a depthwise convolution. With a 1×1 kernel it also computes a batch-norm or a Scale
// that is not fused.
type depthwise struct {
	epilogue
	window
	reluInput bool // applies a ReLU to the input

	taps    []float32 // W′ [kernelHeight kernelWidth channels]
	flipped []float32 // for kernel.Depthwise.InputGradient
}

// newPerChannel returns node i as a depthwise convolution with a 1×1 kernel.
func newPerChannel(n *node) *depthwise {
	d := &depthwise{window: window{
		height: 1, width: 1, outHeight: 1, outWidth: 1, channels: n.channels(), kernelHeight: 1, kernelWidth: 1,
		strideHeight: 1, strideWidth: 1, dilationHeight: 1, dilationWidth: 1,
	}}
	if len(n.shape) == 3 {
		d.height, d.width, d.outHeight, d.outWidth = n.shape[0], n.shape[1], n.shape[0], n.shape[1]
	}
	return d
}

func (d *depthwise) extent(n int) extent {
	// A flat batch-norm has one row per image.
	return extent{rows: n * d.outHeight, panels: 1, work: 8 * n * d.outHeight * d.outWidth * d.channels}
}

func (d *depthwise) scratchLen() int { return 0 }

func (d *depthwise) load(w Weights) (err error) {
	d.taps, err = d.readTaps(w)
	return err
}

// readTaps returns W′, [height width channels].
func (e *epilogue) readTaps(w Weights) ([]float32, error) {
	values, err := e.readWeights(w)
	if err != nil || e.layer == nil {
		return e.scale, err
	}
	taps := slices.Clone(values)
	if e.scale != nil {
		kernel.MultiplyRows(taps, taps, e.scale)
	}
	return taps, nil
}

// imageKernel returns the kernel's arguments for one image.
func (d *depthwise) imageKernel(in, out []float32) kernel.Depthwise {
	return kernel.Depthwise{
		Dst: out, DstHeight: d.outHeight, DstWidth: d.outWidth,
		Src: in, SrcHeight: d.height, SrcWidth: d.width,
		Channels: d.channels, KernelHeight: d.kernelHeight, KernelWidth: d.kernelWidth,
		Stride: d.strideWidth, PadTop: d.padTop, PadLeft: d.padLeft,
		Kernel: d.taps, Bias: d.shift, ReLUInput: d.reluInput, Activation: d.activation,
	}
}

func (d *depthwise) compute(b *buffers, p piece) {
	c := d.imageKernel(b.in, b.out)
	if b.n > 1 { // flat: each image is a row
		c.DstHeight, c.SrcHeight = b.n, b.n
	}
	c.Run(p.low, p.high)
}

func (d *depthwise) bind(variable func(n *node, param int) *Variable) int {
	return d.epilogue.bind(variable, d.kernelHeight*d.kernelWidth*d.channels, d.channels)
}

func (d *depthwise) prepareBackward() {
	if d.flipped == nil {
		d.flipped = make([]float32, len(d.taps))
	}
	c := d.imageKernel(nil, nil)
	c.FlippedTaps(d.flipped)
}

func (d *depthwise) backScratchLen() int {
	c := d.imageKernel(nil, nil)
	return c.KernelGradientScratch() + d.height*d.width*d.channels
}

func (d *depthwise) masksInput() {}

// backward goes through the input rows, so that each is read from memory once for both gradients.
func (d *depthwise) backward(b *backBuffers) {
	d.maskGradient(b)
	byKernel, byShift := d.gradients(b.weights)
	c := d.imageKernel(b.in, b.out)
	to := b.inGradient
	if b.addIn {
		to = b.scratch[c.KernelGradientScratch():][:len(to)]
	}
	rowLen := d.width * d.channels
	for v := range d.height {
		if byKernel != nil {
			c.AddKernelGradient(byKernel, byShift, b.gradient, b.scratch, v, v+1)
		}
		if b.inGradient == nil {
			continue
		}
		c.InputGradient(to, b.gradient, d.flipped, v, v+1)
		in, row := b.in[v*rowLen:][:rowLen], to[v*rowLen:][:rowLen]
		if d.reluInput {
			kernel.ActivationGradient(row, in, kernel.ReLU)
		}
		if b.addIn {
			sum := b.inGradient[v*rowLen:][:rowLen]
			kernel.Add(sum, row, kernel.Identity)
			row = sum
		}
		kernel.ActivationGradient(row, in, b.maskIn)
	}
}
