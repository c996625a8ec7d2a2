package kernel

import "math"

// Activation is the nonlinear function applied when a result is written. NaN stays
// NaN.
type Activation uint8

// Activations.
const (
	Identity Activation = iota
	ReLU                // max(v, 0)
	ReLU6               // min(max(v, 0), 6)
)

// bounds returns low and high so that the activation is min(max(v, low), high).
func (a Activation) bounds() (low, high float32) {
	switch a {
	case ReLU:
		return 0, float32(math.Inf(1))
	case ReLU6:
		return 0, 6
	}
	return float32(math.Inf(-1)), float32(math.Inf(1))
}

// Matrix is a right-hand side of Gemm: rows × columns values, packed into panels of adjacent
// columns so that the micro-kernel reads it from front to back. Between calls of Set it may be
// shared. It is packed for one level and always used with that level's kernels.
type Matrix struct {
	Rows, Columns int
	// PanelColumns is the number of columns in every panel but the last.
	PanelColumns int

	level Level
	// data holds the panels one after another, each row by row. Unless the level is Generic, the
	// last panel is filled up with zeros to a multiple of 8 columns.
	data []float32
}

// Panels returns the number of panels.
func (m *Matrix) Panels() int { return (m.Columns + m.PanelColumns - 1) / m.PanelColumns }

// panel returns panel p: its first column, its number of columns, and its rows.
func (m *Matrix) panel(p int) (column, columns int, data []float32) {
	column = p * m.PanelColumns
	return column, min(m.PanelColumns, m.Columns-column), m.data[column*m.Rows:]
}

// panelColumns is the number of columns in a panel of each level: micro-kernels process two
// vectors, and with NEON and SIMD128 one, which leaves registers for more rows.
var panelColumns = [...]int{Generic: 16, AVX2: 16, AVX512: 32, NEON: 8, SIMD128: 8}

func newMatrix(rows, columns int, level Level) *Matrix {
	m := &Matrix{Rows: rows, Columns: columns, PanelColumns: panelColumns[level], level: level}
	m.data = make([]float32, rows*m.paddedColumns(columns)) // a full panel has no padding
	return m
}

func (m *Matrix) set(b []float32) {
	for p := range m.Panels() {
		column, width, to := m.panel(p)
		for k := range m.Rows {
			copy(to[k*m.paddedColumns(width):], b[k*m.Columns+column:][:width])
		}
	}
}

func (m *Matrix) setTransposed(b, scale []float32) {
	for p := range m.Panels() {
		column, width, dst := m.panel(p)
		stride := m.paddedColumns(width)
		j := 0
		for ; j+8 <= width; j += 8 {
			m.setEightColumns(dst[j:], stride, b[(column+j)*m.Rows:], scale)
		}
		for ; j < width; j++ {
			for k, v := range b[(column+j)*m.Rows:][:m.Rows] {
				if scale != nil {
					v *= scale[k]
				}
				dst[k*stride+j] = v
			}
		}
	}
}

// setEightColumns sets eight columns of a panel to the first eight rows of b at once, so
// that adjacent values are written together.
func (m *Matrix) setEightColumns(dst []float32, stride int, b, scale []float32) {
	var rows [8][]float32
	for i := range rows {
		rows[i] = b[i*m.Rows:][:m.Rows]
	}
	for k := range m.Rows {
		eight := (*[8]float32)(dst[k*stride:])
		for i := range rows {
			eight[i] = rows[i][k]
		}
		if scale != nil {
			for i := range eight {
				eight[i] *= scale[k]
			}
		}
	}
}

// paddedColumns returns the length of a panel's row with padding.
func (m *Matrix) paddedColumns(columns int) int {
	if m.level == Generic {
		return columns
	}
	return (columns + 7) / 8 * 8
}

// scaleColumns multiplies each column by its factor; nil means 1 for all.
func (m *Matrix) scaleColumns(scale []float32) {
	if scale == nil {
		return
	}
	for p := range m.Panels() {
		column, width, rows := m.panel(p)
		for k := range m.Rows {
			row := rows[k*m.paddedColumns(width):][:width]
			for j, s := range scale[column:][:width] {
				row[j] *= s
			}
		}
	}
}

// Gemm is a matrix product with its epilogue:
//
//	dst[i,j] = act(bias[j] + Σ_s Σ_k a[i·AStride + s·SegmentStride + k] · B[s·SegmentLen+k, j] + residual[i,j])
//
// for s in [0,Segments), k in [0,SegmentLen). With one segment it is a plain product.
// A convolution has one segment per kernel row: row i is output column i, AStride the
// stride times the input channels, SegmentLen the kernel's width times the input
// channels, and SegmentStride the length of one input row.
//
// The sum runs over s and k in that order, starting from the bias or zero; the
// residual is added last. The assembly adds each product without rounding it first.
// So a value's bits do not depend on the tile or the thread that computed it, and
// AVX2 and AVX-512 give the same bits.
type Gemm struct {
	Dst       []float32
	DstStride int // between rows of dst, in values

	A             []float32
	AStride       int // between rows of A, in values; rows may overlap
	Segments      int
	SegmentLen    int
	SegmentStride int

	B    *Matrix   // Rows = Segments·SegmentLen
	Bias []float32 // one value per column, or nil

	Residual       []float32 // nil, or added before the activation; may be Dst itself
	ResidualStride int

	Activation Activation

	// Scratch is nil, or ScratchLen values that make Run faster.
	Scratch []float32
}

// ScratchLen returns the length of Scratch that helps with rows of A of the given
// stride. Rows a multiple of 4 KiB apart map to the same few lines of the first-level
// cache, so that a tile's rows evict each other; such a tile is copied to rows with
// another stride. For other strides ScratchLen returns 0.
func ScratchLen(aStride int) int {
	if aStride%cacheWay != 0 {
		return 0
	}
	return maxTileRows * (aStride + scratchPad)
}

const (
	// cacheWay is the number of values in one way of the first-level data cache,
	// 4 KiB on amd64.
	cacheWay = 1024
	// scratchPad moves each row by one cache line.
	scratchPad = 16
	// maxTileRows is the number of rows of the largest micro-kernel.
	maxTileRows = 14
)

// Run computes rows [rowLow,rowHigh) of the panels [panelLow,panelHigh) of B.
// Disjoint ranges may run at the same time. It allocates nothing. It panics if a
// slice is too short for the ranges.
func (g *Gemm) Run(rowLow, rowHigh, panelLow, panelHigh int) {
	if rowLow >= rowHigh || panelLow >= panelHigh {
		return
	}
	g.checkLengths(rowLow, rowHigh, panelLow, panelHigh)
	if g.B.level == Generic {
		gemmGeneric(g, rowLow, rowHigh, panelLow, panelHigh)
	} else {
		gemmVector(g, rowLow, rowHigh, panelLow, panelHigh)
	}
}

// checkLengths panics if something outside the slices would be read or written, which the assembly
// does not check.
func (g *Gemm) checkLengths(rowLow, rowHigh, panelLow, panelHigh int) {
	columns := min(panelHigh*g.B.PanelColumns, g.B.Columns)
	last := rowHigh - 1
	switch {
	case rowLow < 0 || panelLow < 0 || panelHigh > g.B.Panels():
		panic("kernel: Gemm range outside the matrices")
	case g.Segments <= 0 || g.SegmentLen <= 0 || g.Segments*g.SegmentLen != g.B.Rows:
		panic("kernel: Gemm segments do not make up the rows of B")
	case g.AStride < 0 || g.SegmentStride < 0 || len(g.A) < last*g.AStride+(g.Segments-1)*g.SegmentStride+g.SegmentLen:
		panic("kernel: Gemm A is too short")
	case g.DstStride < columns || len(g.Dst) < last*g.DstStride+columns:
		panic("kernel: Gemm Dst is too short")
	case g.Bias != nil && len(g.Bias) < columns:
		panic("kernel: Gemm Bias is too short")
	case g.Residual != nil && (g.ResidualStride < columns || len(g.Residual) < last*g.ResidualStride+columns):
		panic("kernel: Gemm Residual is too short")
	}
}

// gemmGeneric computes Gemm by its definition, one row of a panel at a time, as the reference.
func gemmGeneric(g *Gemm, rowLow, rowHigh, panelLow, panelHigh int) {
	for p := panelLow; p < panelHigh; p++ {
		column, width, panel := g.B.panel(p)
		for i := rowLow; i < rowHigh; i++ {
			gemmRowGeneric(g, i, column, width, panel)
		}
	}
}

func gemmRowGeneric(g *Gemm, i, column, width int, panel []float32) {
	var sums [16]float32 // a panel's columns
	acc := sums[:width]
	if g.Bias != nil {
		copy(acc, g.Bias[column:])
	}
	k := 0
	for s := range g.Segments {
		for _, v := range g.A[i*g.AStride+s*g.SegmentStride:][:g.SegmentLen] {
			row := panel[k*width:][:len(acc)]
			for j := range acc {
				acc[j] += float32(v * row[j]) // the conversion forbids Go to fuse, as it may on arm64
			}
			k++
		}
	}
	if g.Residual != nil {
		for j, v := range g.Residual[i*g.ResidualStride+column:][:width] {
			acc[j] += v
		}
	}
	activate(g.Dst[i*g.DstStride+column:][:width], acc, g.Activation)
}

// activate writes act(src) to dst; they may be the same slice.
func activate(dst, src []float32, a Activation) {
	low, high := a.bounds()
	for i, v := range src {
		dst[i] = min(max(v, low), high)
	}
}
