package nn

import (
	"cmp"
	"fmt"

	"garb/internal/kernel"
	"garb/tensor"
)

// OpConv is a convolution: see Builder.ConvRect.
const OpConv Op = "Conv"

// ConvOption changes a convolution or dense layer from its default.
type ConvOption func(*Layer)

// WithBias adds a bias to each output channel: parameter "bias" [filters].
func WithBias() ConvOption { return func(l *Layer) { l.Bias = true } }

// WithGroups divides a convolution's channels and filters into as many groups of adjacent ones. A
// filter sees only the channels of its group. The kernel is [height width channels/groups filters].
func WithGroups(groups int) ConvOption { return func(l *Layer) { l.Groups = groups } }

// WithDilation dilates a convolution's kernel: adjacent taps are height rows and width columns
// apart, and kernel[i,j] is applied to in[y·s+i·height, x·s+j·width].
func WithDilation(height, width int) ConvOption {
	return func(l *Layer) { l.SetDilations(height, width) }
}

// weightedLayer adds a layer with a kernel.
func (b *Builder) weightedLayer(l Layer, x Value, options []ConvOption) Value {
	for _, set := range options {
		set(&l)
	}
	return b.layer(l, x)
}

// Conv adds a square convolution: out[y,x,f] = Σ_ijc in[y·s+i, x·s+j, c]·kernel[i,j,c,f].
// Parameter: "kernel" [size size channels filters].
func (b *Builder) Conv(name string, x Value, filters, size, stride int, padding Padding, options ...ConvOption) Value {
	return b.ConvRect(name, x, filters, size, size, stride, padding, options...)
}

// ConvRect adds a convolution with a kernel of any height and width.
func (b *Builder) ConvRect(
	name string, x Value, filters, kernelHeight, kernelWidth, stride int, padding Padding, options ...ConvOption,
) Value {
	return b.weightedLayer(Layer{
		Op: OpConv, Name: name, Units: filters,
		Height: kernelHeight, Width: kernelWidth, Stride: stride, Same: padding == Same,
	}, x, options)
}

// SeparableConv adds a DepthwiseConv, named name/depthwise, followed by a 1×1 Conv to filters
// channels, named name/pointwise, which takes the options.
func (b *Builder) SeparableConv(
	name string, x Value, filters, size, stride int, padding Padding, options ...ConvOption,
) Value {
	x = b.DepthwiseConv(name+"/depthwise", x, size, stride, padding)
	return b.Conv(name+"/pointwise", x, filters, 1, 1, Valid, options...)
}

type conv struct{ windowed }

func (conv) settings(l Layer) Layer {
	s := windowed{}.settings(l)
	s.Units, s.Bias = l.Units, l.Bias
	if l.Groups > 1 {
		s.Groups = l.Groups
	}
	return s
}

func (conv) shape(l Layer, in [][]int) ([]int, error) {
	if l.Units <= 0 {
		return nil, fmt.Errorf("it has %d filters", l.Units)
	}
	height, width, err := l.slideOver(in[0])
	if err != nil {
		return nil, err
	}
	n := l.groups()
	if in[0][2]%n != 0 || l.Units%n != 0 {
		return nil, fmt.Errorf("%d groups do not divide %d channels and %d filters", n, in[0][2], l.Units)
	}
	if n == in[0][2] { // its input is repeated: see postponeDepthwise
		if err := checkShape([]int{in[0][0], in[0][1], l.Units}); err != nil {
			return nil, fmt.Errorf("%d filters for each channel of %d rows and %d columns", l.Units/n, in[0][0],
				in[0][1])
		}
	}
	return []int{height, width, l.Units}, nil
}

// groups returns the number of groups of a convolution.
func (l Layer) groups() int { return cmp.Or(l.Groups, 1) }

func (conv) params(l Layer, in [][]int) []Param {
	kernel := []int{l.Height, l.Width, in[0][2] / l.groups(), l.Units}
	return listKernelAndBias(l, l.Units, Param{"kernel", kernel, true})
}

// listKernelAndBias lists a layer's kernel, and its bias if it has one.
func listKernelAndBias(l Layer, channels int, kernel Param) []Param {
	if l.Bias {
		return []Param{kernel, {"bias", []int{channels}, true}}
	}
	return []Param{kernel}
}

func (conv) multiplyAdds(l Layer, in [][]int, out []int) int {
	return tensor.Len(out) * l.Height * l.Width * in[0][2] / l.groups()
}

func (conv) text(l Layer) string {
	text := windowed{}.text(l) + fmt.Sprintf(", %d", l.Units)
	if l.Groups > 1 {
		text += fmt.Sprintf(" in %d groups", l.Groups)
	}
	return text
}

func (conv) lower(l *lowering, i int) {
	n := &l.graph.nodes[i]
	closing := epilogue{layer: n, takesNorm: true, takesSecond: true}
	w, in := l.absorbPad(i, false)
	filters, groups := n.Units, n.groups()
	switch {
	case groups > 1 && groups == w.channels:
		l.postponeDepthwise(i, in, w, filters/groups)
	case groups == 1 && n.Height == 1 && n.Width == 1 && w.strideHeight == 1 && w.strideWidth == 1:
		l.postpone(i, in, &matrixProduct{epilogue: closing, rows: w.outHeight * w.outWidth, depth: w.channels,
			columns: filters})
	case groups == 1 && w.dilationWidth == 1:
		depth := w.kernelHeight * w.kernelWidth * w.channels
		c := convolution{epilogue: closing, window: w, depth: depth, columns: filters}
		switch {
		case winogradFits(w, filters):
			l.postpone(i, in, newWinograd(c))
		case c.isGathered():
			l.postpone(i, in, &gatheredConvolution{c})
		default:
			l.postpone(i, in, &c)
		}
	default:
		l.postpone(i, in, newGrouped(closing, w, groups, filters))
	}
}

// convolution is a convolution over all channels that is not a plain matrix product. Each row of
// the kernel, which is not dilated, is one segment of a product. Where windows reach over the
// border, input rows are first copied between zeros.
type convolution struct {
	epilogue
	window
	depth, columns int // of the product

	matrix     *kernel.Matrix // W′
	transposed *kernel.Matrix
}

func (c *convolution) extent(int) extent {
	return extent{rows: c.outHeight, panels: 1, work: c.outHeight * c.outWidth * c.depth * c.columns}
}

func (c *convolution) scratchLen() int {
	if c.isPadded() {
		return c.kernelHeight * c.lineLen()
	}
	return 0
}

func (c *convolution) load(w Weights) error {
	values, err := c.readWeights(w)
	if err != nil {
		return err
	}
	c.matrix = pack(c.matrix, values, c.depth, c.columns, c.scale)
	return nil
}

func (c *convolution) compute(b *buffers, p piece) {
	for y := p.low; y < p.high; y++ {
		c.row(b, y)
	}
}

func (c *convolution) row(b *buffers, y int) {
	rowLen := c.width * c.channels
	top := y*c.strideHeight - c.padTop
	g := kernel.Gemm{
		Dst: b.out[y*c.outWidth*c.columns:], DstStride: c.columns,
		AStride:  c.strideWidth * c.channels,
		Segments: c.kernelHeight, SegmentLen: c.kernelWidth * c.channels,
		B: c.matrix, Bias: c.shift, Activation: c.activation,
	}
	if c.isPadded() {
		lineLen := c.lineLen()
		for i := range c.kernelHeight {
			line := b.scratch[i*lineLen:][:lineLen]
			v := top + i*c.dilationHeight
			if v < 0 || v >= c.height {
				clear(line)
				continue
			}
			left := min(c.padLeft*c.channels, lineLen)
			clear(line[:left])
			n := copy(line[left:], b.in[v*rowLen:][:rowLen])
			clear(line[left+n:])
		}
		g.A, g.SegmentStride = b.scratch[:c.kernelHeight*lineLen], lineLen
	} else {
		g.A, g.SegmentStride = b.in[top*rowLen:], c.dilationHeight*rowLen
	}
	if b.second != nil {
		g.Residual, g.ResidualStride = b.second[y*c.outWidth*c.columns:], c.columns
	}
	g.Run(0, c.outWidth, 0, c.matrix.Panels())
}

func (c *convolution) bind(variable func(n *node, param int) *Variable) int {
	return c.epilogue.bind(variable, c.depth*c.columns, c.columns)
}

func (c *convolution) prepareBackward() {
	c.transposed = packTransposed(c.transposed, c.kernel.Value, c.depth, c.columns, c.scale)
}

func (c *convolution) backScratchLen() int {
	return c.kernelHeight*c.lineLen() + kernel.OuterScratchLen + c.outWidth*c.depth + kernel.ScratchLen(c.columns)
}

// backward goes through the output rows. A row of the kernel is one product in each direction, as
// in row.
func (c *convolution) backward(b *backBuffers) {
	c.maskGradient(b)
	byKernel, byShift := c.gradients(b.weights)
	rowLen, lineLen, segment := c.width*c.channels, c.lineLen(), c.kernelWidth*c.channels
	lines := b.scratch[:c.kernelHeight*lineLen]
	outer := b.scratch[len(lines):][:kernel.OuterScratchLen]
	columns := b.scratch[len(lines)+len(outer):][:c.outWidth*c.depth]
	rest := b.scratch[len(lines)+len(outer)+len(columns):]
	left := c.padLeft * c.channels
	inside := min(rowLen, lineLen-left)
	b.clearIn()
	for y := range c.outHeight {
		g := b.gradient[y*c.outWidth*c.columns:][:c.outWidth*c.columns]
		top := y*c.strideHeight - c.padTop
		if byKernel != nil {
			sums := byShift
			for i := range c.kernelHeight {
				line := lines[:lineLen]
				clear(line)
				if v := top + i*c.dilationHeight; v >= 0 && v < c.height {
					copy(line[left:][:inside], b.in[v*rowLen:])
				} else if sums == nil {
					continue
				}
				o := kernel.Outer{
					Dst: byKernel[i*segment*c.columns:], Sums: sums, Rows: segment, Columns: c.columns,
					A: line, AStride: c.strideWidth * c.channels, B: g, BStride: c.columns, Scratch: outer,
				}
				o.Run(c.outWidth)
				sums = nil
			}
		}
		if b.inGradient == nil {
			continue
		}
		multiplyTransposed(columns, g, c.transposed, c.outWidth, c.depth, c.columns, false, rest)
		for i := range c.kernelHeight {
			v := top + i*c.dilationHeight
			if v < 0 || v >= c.height {
				continue
			}
			line := lines[:lineLen]
			clear(line)
			for x := range c.outWidth {
				kernel.Add(line[x*c.strideWidth*c.channels:][:segment], columns[x*c.depth+i*segment:], kernel.Identity)
			}
			kernel.Add(b.inGradient[v*rowLen:][:inside], line[left:], kernel.Identity)
		}
	}
}
