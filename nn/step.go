package nn

import (
	"math"

	"garb/internal/kernel"
)

// stepKind says what a step computes.
type stepKind uint8

const (
	stepMatrix        stepKind = iota // rows × depth times depth × columns: dense layers and 1×1 convolutions
	stepConv                          // any other convolution
	stepDepthwise                     // depthwise convolution
	stepPool                          // maximum or average
	stepGlobalAverage                 // mean over all positions
	stepActivate                      // ReLU or ReLU6 that could not be fused
	stepAdd                           // sum that could not be fused
	stepSigmoid
	stepSoftmax
	// Of converted networks, which are not trained:
	stepGlobalMax
	stepFunction // LeakyReLU, Swish, Tanh
	stepMultiply
	stepConcat
	stepPad
	// Only in training:
	stepDropout
	stepNormalize // batch-norm with the batch's statistics
)

// step is one compiled layer. The shape fields are those of one image.
type step struct {
	kind              stepKind
	in, residual, out int // values; residual is -1 if there is none
	at                int // the node whose work it is; what is fused with it is a part of that
	// flat steps have neither a feature map in nor out.
	flat bool

	height, width, channels int
	outHeight, outWidth     int
	rows, depth, columns    int // of a matrix product: rows × depth times depth × columns

	kernelHeight, kernelWidth, stride, padTop, padLeft int

	reluInput, average bool
	activation         kernel.Activation

	matrix *kernel.Matrix
	taps   []float32 // depthwise kernel [kernelHeight kernelWidth channels]
	bias   []float32
	scale  []float32 // of the norm that is folded into matrix or taps, nil without

	// How the step is compiled: load reads its parameters, those of layer with norm,
	// if any, folded into them.
	load    func(*step, Weights) error
	layer   *node
	norm    *node
	epsilon float64
	rate    float64 // of dropout

	function activation // of stepFunction
	fill     float32    // of stepPad

	tasks tasks // for one image
}

// tasks is how a step is cut into pieces that threads take one after another:
// rows of its output, and for matrix products groups of columns too.
type tasks struct {
	count        int
	rowTasks     int
	rowsEach     int
	panelsEach   int
	rows, panels int
}

const (
	// tileRows is a multiple of the micro-kernels' rows (14 with AVX-512, 6 with
	// AVX2): cuts at its multiples leave no partial tile in between.
	tileRows = 42
	// cacheValues is how much of the left matrix a task reads: it is read once
	// for each panel, so it should stay in a core's second-level cache.
	cacheValues = 48 << 10
	// tasksEach is the number of tasks a thread gets: enough that one who starts
	// late or is slowed down does not hold up the others.
	tasksEach = 4
	// smallTask is a number of multiply-adds that is not worth cutting: about
	// ten microseconds.
	smallTask = 1 << 19
)

// split cuts the work on n images.
func (s *step) split(n, threads int) { s.tasks = s.cut(n, threads) }

// cut returns the pieces of a step for n images; n is not 1 only for flat steps.
func (s *step) cut(n, threads int) tasks {
	t := tasks{panels: 1, panelsEach: 1}
	work := 0 // multiply-adds
	switch s.kind {
	case stepMatrix:
		t.rows, t.panels = n*s.rows, s.matrix.Panels()
		work = t.rows * s.depth * s.columns
	case stepConv:
		t.rows = s.outHeight
		work = s.outHeight * s.outWidth * s.depth * s.columns
	case stepDepthwise:
		t.rows = n * s.outHeight // a flat batch-norm has one row an image
		work = 8 * n * s.outHeight * s.outWidth * s.columns
	case stepFunction, stepMultiply, stepConcat:
		t.rows = n * s.rows
		work = 8 * t.rows * s.columns
	case stepPool:
		t.rows = s.outHeight
		work = 8 * s.outHeight * s.outWidth * s.columns
	default:
		t.rows, t.rowsEach, t.rowTasks, t.count = 1, 1, 1, 1
		return t
	}
	pieces := 1
	if threads > 1 {
		pieces = max(1, min(tasksEach*threads, work/smallTask))
	}
	t.rowsEach = (t.rows + pieces - 1) / pieces
	t.panelsEach = t.panels
	if s.kind == stepMatrix {
		t.rowsEach = min(t.rowsEach, max(1, cacheValues/s.depth))
		t.rowsEach = min((t.rowsEach+tileRows-1)/tileRows*tileRows, t.rows)
	}
	t.rowTasks = (t.rows + t.rowsEach - 1) / t.rowsEach
	if columnTasks := min(t.panels, (pieces+t.rowTasks-1)/t.rowTasks); columnTasks > 1 {
		t.panelsEach = (t.panels + columnTasks - 1) / columnTasks
	}
	t.count = t.rowTasks * ((t.panels + t.panelsEach - 1) / t.panelsEach)
	return t
}

// scratchLen is the number of values that a thread needs while it works.
func (s *step) scratchLen() int {
	switch {
	case s.kind == stepMatrix && s.rows > 1:
		return kernel.ScratchLen(s.depth)
	case s.kind == stepConv && s.padded():
		return s.kernelHeight * s.lineLen()
	case s.kind == stepPool:
		return s.width * s.channels
	}
	return 0
}

// padded reports whether a window of the convolution reaches over the border.
func (s *step) padded() bool {
	return s.padTop > 0 || s.padLeft > 0 ||
		(s.outHeight-1)*s.stride+s.kernelHeight > s.height ||
		(s.outWidth-1)*s.stride+s.kernelWidth > s.width
}

// lineLen is the number of values in an input row with its padding.
func (s *step) lineLen() int {
	return ((s.outWidth-1)*s.stride + s.kernelWidth) * s.channels
}

// buffers are the slices that a step works on: those of n images.
type buffers struct {
	n                 int
	in, residual, out []float32
	tasks             tasks
}

// run does one task.
func (s *step) run(b *buffers, task int, scratch []float32) {
	t := &b.tasks
	rowTask := task % t.rowTasks
	rowLow := rowTask * t.rowsEach
	rowHigh := min(rowLow+t.rowsEach, t.rows)
	panelLow := task / t.rowTasks * t.panelsEach
	panelHigh := min(panelLow+t.panelsEach, t.panels)
	switch s.kind {
	case stepMatrix:
		g := kernel.Gemm{
			Dst: b.out, DstStride: s.columns,
			A: b.in, AStride: s.depth, Segments: 1, SegmentLen: s.depth, SegmentStride: s.depth,
			B: s.matrix, Bias: s.bias, Activation: s.activation, Scratch: scratch,
		}
		if b.residual != nil {
			g.Residual, g.ResidualStride = b.residual, s.columns
		}
		g.Run(rowLow, rowHigh, panelLow, panelHigh)
	case stepConv:
		for y := rowLow; y < rowHigh; y++ {
			s.convRow(b, y, scratch)
		}
	case stepDepthwise:
		d := s.depthwise(b.in, b.out)
		if b.n > 1 { // flat: each image is a row
			d.DstHeight, d.SrcHeight = b.n, b.n
		}
		d.Run(rowLow, rowHigh)
	case stepPool:
		for y := rowLow; y < rowHigh; y++ {
			s.poolRow(b, y, scratch)
		}
	case stepGlobalAverage:
		clear(b.out)
		for i := range s.rows {
			kernel.Add(b.out, b.in[i*s.columns:][:s.columns], kernel.Identity)
		}
		kernel.Scale(b.out, 1/float32(s.rows))
	case stepGlobalMax:
		copy(b.out, b.in[:s.columns])
		for i := 1; i < s.rows; i++ {
			kernel.Max(b.out, b.in[i*s.columns:][:s.columns])
		}
	case stepFunction:
		s.function.apply(b.out[rowLow*s.columns:rowHigh*s.columns], b.in[rowLow*s.columns:])
	case stepMultiply:
		s.multiply(b, rowLow, rowHigh)
	case stepConcat:
		for i := rowLow; i < rowHigh; i++ {
			dst := b.out[i*s.columns:][:s.columns]
			copy(dst, b.in[i*s.depth:][:s.depth])
			copy(dst[s.depth:], b.residual[i*(s.columns-s.depth):])
		}
	case stepPad:
		s.pad(b.out, b.in)
	case stepActivate:
		kernel.Activate(b.out, b.in, s.activation)
	case stepAdd:
		copy(b.out, b.in)
		kernel.Add(b.out, b.residual, s.activation)
	case stepSigmoid:
		for i, v := range b.in {
			b.out[i] = float32(1 / (1 + math.Exp(-float64(v))))
		}
	case stepSoftmax:
		for low := 0; low < len(b.in); low += s.columns {
			softmaxRow(b.out[low:][:s.columns], b.in[low:][:s.columns])
		}
	}
}

// multiply computes the rows [low,high) of a product; the second factor has as many rows,
// or one that is that of all.
func (s *step) multiply(b *buffers, low, high int) {
	for i := low; i < high; i++ {
		dst, x, y := b.out[i*s.columns:][:s.columns], b.in[i*s.columns:][:s.columns], b.residual
		if s.depth != s.columns || s.rows == 1 {
			y = y[i*s.columns:]
		}
		y = y[:len(dst)]
		for c, v := range x {
			dst[c] = v * y[c]
		}
	}
}

// pad copies a feature map into the middle of a larger one.
func (s *step) pad(dst, src []float32) {
	for i := range dst {
		dst[i] = s.fill
	}
	rowLen := s.width * s.channels
	for y := range s.height {
		copy(dst[((y+s.padTop)*s.outWidth+s.padLeft)*s.channels:], src[y*rowLen:][:rowLen])
	}
}

// depthwise is the convolution of one image.
func (s *step) depthwise(in, out []float32) kernel.Depthwise {
	return kernel.Depthwise{
		Dst: out, DstHeight: s.outHeight, DstWidth: s.outWidth,
		Src: in, SrcHeight: s.height, SrcWidth: s.width,
		Channels: s.channels, KernelHeight: s.kernelHeight, KernelWidth: s.kernelWidth,
		Stride: s.stride, PadTop: s.padTop, PadLeft: s.padLeft,
		Kernel: s.taps, Bias: s.bias, ReLUInput: s.reluInput, Activation: s.activation,
	}
}

// convRow computes one output row. Each row of the kernel is one segment of the
// product; where windows reach over the border, the input rows are first copied
// beside zeros.
func (s *step) convRow(b *buffers, y int, scratch []float32) {
	rowLen := s.width * s.channels
	top := y*s.stride - s.padTop
	g := kernel.Gemm{
		Dst: b.out[y*s.outWidth*s.columns:], DstStride: s.columns,
		AStride:  s.stride * s.channels,
		Segments: s.kernelHeight, SegmentLen: s.kernelWidth * s.channels,
		B: s.matrix, Bias: s.bias, Activation: s.activation,
	}
	if s.padded() {
		lineLen := s.lineLen()
		for i := range s.kernelHeight {
			line := scratch[i*lineLen:][:lineLen]
			if top+i < 0 || top+i >= s.height {
				clear(line)
				continue
			}
			left := min(s.padLeft*s.channels, lineLen)
			clear(line[:left])
			n := copy(line[left:], b.in[(top+i)*rowLen:][:rowLen])
			clear(line[left+n:])
		}
		g.A, g.SegmentStride = scratch[:s.kernelHeight*lineLen], lineLen
	} else {
		g.A, g.SegmentStride = b.in[top*rowLen:], rowLen
	}
	if b.residual != nil {
		g.Residual, g.ResidualStride = b.residual[y*s.outWidth*s.columns:], s.columns
	}
	g.Run(0, s.outWidth, 0, s.matrix.Panels())
}

// poolRow computes one output row: first down each column of the input rows,
// then along the row.
func (s *step) poolRow(b *buffers, y int, scratch []float32) {
	rowLen := s.width * s.channels
	top := y*s.stride - s.padTop
	low, high := max(top, 0), min(top+s.kernelHeight, s.height)
	column := scratch[:rowLen]
	copy(column, b.in[low*rowLen:])
	for i := low + 1; i < high; i++ {
		s.combine(column, b.in[i*rowLen:][:rowLen])
	}
	for x := range s.outWidth {
		left := x*s.stride - s.padLeft
		first, last := max(left, 0), min(left+s.kernelWidth, s.width)
		dst := b.out[(y*s.outWidth+x)*s.columns:][:s.columns]
		copy(dst, column[first*s.channels:])
		for j := first + 1; j < last; j++ {
			s.combine(dst, column[j*s.channels:][:s.channels])
		}
		if s.average {
			kernel.Scale(dst, 1/float32((high-low)*(last-first)))
		}
	}
}

func (s *step) combine(dst, src []float32) {
	if s.average {
		kernel.Add(dst, src, kernel.Identity)
	} else {
		kernel.Max(dst, src)
	}
}

// softmaxRow sets dst[c] = e^(src[c]−max)/Σ_k e^(src[k]−max).
func softmaxRow(dst, src []float32) {
	largest := src[0]
	for _, v := range src {
		largest = max(largest, v)
	}
	sum := 0.0
	for i, v := range src {
		e := math.Exp(float64(v - largest))
		dst[i] = float32(e)
		sum += e
	}
	for i := range dst {
		dst[i] = float32(float64(dst[i]) / sum)
	}
}
