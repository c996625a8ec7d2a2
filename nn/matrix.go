package nn

import "garb/internal/kernel"

// matrixProduct multiplies rows × depth by depth × columns: a dense layer or a 1×1 convolution.
type matrixProduct struct {
	epilogue
	rows, depth, columns int

	matrix     *kernel.Matrix // W′
	transposed *kernel.Matrix
}

func (m *matrixProduct) takesBatch() {}
func (m *matrixProduct) masksInput() {}

func (m *matrixProduct) extent(n int) extent {
	rows := n * m.rows
	return extent{rows: rows, panels: m.matrix.Panels(), work: rows * m.depth * m.columns, rowValues: m.depth}
}

func (m *matrixProduct) scratchLen() int {
	if m.rows > 1 {
		return kernel.ScratchLen(m.depth)
	}
	return 0
}

func (m *matrixProduct) load(w Weights) error {
	values, err := m.readWeights(w)
	if err != nil {
		return err
	}
	m.matrix = pack(m.matrix, values, m.depth, m.columns, m.scale)
	return nil
}

// pack packs a kernel, into the memory of m unless that is nil.
func pack(m *kernel.Matrix, values []float32, depth, columns int, scale []float32) *kernel.Matrix {
	if m == nil {
		return kernel.Pack(values, depth, columns, scale)
	}
	m.Set(values, scale)
	return m
}

func (m *matrixProduct) compute(b *buffers, p piece) {
	g := kernel.Gemm{
		Dst: b.out, DstStride: m.columns,
		A: b.in, AStride: m.depth, Segments: 1, SegmentLen: m.depth, SegmentStride: m.depth,
		B: m.matrix, Bias: m.shift, Activation: m.activation, Scratch: b.scratch,
	}
	if b.second != nil {
		g.Residual, g.ResidualStride = b.second, m.columns
	}
	g.Run(p.low, p.high, p.panelLow, p.panelHigh)
}

func (m *matrixProduct) bind(variable func(n *node, param int) *Variable) int {
	return m.epilogue.bind(variable, m.depth*m.columns, m.columns)
}

func (m *matrixProduct) prepareBackward() {
	m.transposed = packTransposed(m.transposed, m.kernel.Value, m.depth, m.columns, m.scale)
}

// packTransposed does what pack does for the transposed kernel: columns × depth.
func packTransposed(m *kernel.Matrix, values []float32, depth, columns int, scale []float32) *kernel.Matrix {
	if m == nil {
		return kernel.PackTransposed(values, columns, depth, scale)
	}
	m.SetTransposed(values, scale)
	return m
}

func (m *matrixProduct) backScratchLen() int {
	return kernel.OuterScratchLen + kernel.ScratchLen(m.columns)
}

// backward goes through blocks of rows, so that each is read from memory once for all gradients.
func (m *matrixProduct) backward(b *backBuffers) {
	byKernel, byShift := m.gradients(b.weights)
	const blockValues, blockUnit = 96 << 10, 256 // of three matrices, in the second-level cache
	rows := b.n * m.rows
	block := max(blockUnit, blockValues/(m.depth+m.columns)/blockUnit*blockUnit)
	for row, blocks := 0, (rows+block-1)/block; blocks > 0; blocks-- {
		n := (rows - row + blocks - 1) / blocks
		g := b.gradient[row*m.columns:][:n*m.columns]
		if !b.masked {
			kernel.ActivationGradient(g, b.out[row*m.columns:], m.activation)
		}
		if b.secondGradient != nil {
			addOrCopy(b.secondGradient[row*m.columns:][:n*m.columns], g, b.addSecond)
		}
		if byKernel != nil {
			o := kernel.Outer{
				Dst: byKernel, Sums: byShift, Rows: m.depth, Columns: m.columns,
				A: b.in[row*m.depth:], AStride: m.depth, B: g, BStride: m.columns,
				Scratch: b.scratch[:kernel.OuterScratchLen],
			}
			o.Run(n)
		}
		if b.inGradient != nil {
			to := b.inGradient[row*m.depth:][:n*m.depth]
			multiplyTransposed(to, g, m.transposed, n, m.depth, m.columns, b.addIn, b.scratch[kernel.OuterScratchLen:])
			kernel.ActivationGradient(to, b.in[row*m.depth:], b.maskIn)
		}
		row += n
	}
}

// multiplyTransposed writes or adds gradient·W′ᵀ, of n rows, to dst.
func multiplyTransposed(
	dst, gradient []float32, transposed *kernel.Matrix, n, depth, columns int, add bool, scratch []float32,
) {
	g := kernel.Gemm{
		Dst: dst, DstStride: depth,
		A: gradient, AStride: columns, Segments: 1, SegmentLen: columns, SegmentStride: columns,
		B: transposed, Scratch: scratch,
	}
	if add {
		g.Residual, g.ResidualStride = dst, depth
	}
	g.Run(0, n, 0, transposed.Panels())
}
