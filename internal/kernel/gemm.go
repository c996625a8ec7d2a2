package kernel

// Activation is the non-linearity applied when a result is written.
type Activation uint8

const (
	Identity Activation = iota
	ReLU                // max(v, 0)
	ReLU6               // min(max(v, 0), 6)
)

// Matrix is a right-hand side of Gemm: rows × columns values, packed once into
// panels of adjacent columns so that the micro-kernel reads it front to back.
// It is immutable and may be shared. The packing belongs to the CPU level that
// was active when it was made.
type Matrix struct {
	Rows, Columns int
	// PanelColumns is the number of columns in every panel but the last.
	PanelColumns int
	data         []float32
}

// Panels returns the number of panels.
func (b *Matrix) Panels() int { return (b.Columns + b.PanelColumns - 1) / b.PanelColumns }

// Gemm is a matrix product with its epilogue:
//
//	dst[i,j] = act(bias[j] + Σ_s Σ_k a[i·AStride + s·SegmentStride + k] · B[s·SegmentLen+k, j] + residual[i,j])
//
// for s in [0,Segments), k in [0,SegmentLen). One segment is a plain product;
// a convolution has one segment for each kernel row: row i is output column i,
// AStride the stride times the input channels, SegmentLen the kernel's width
// times the input channels, and SegmentStride the length of one input row.
//
// The sum runs over s and k in that order by fused multiply-add, starting from
// zero; then bias, then residual are added. So a value's bits depend on neither
// the tile nor the thread that computed it.
type Gemm struct {
	Dst       []float32
	DstStride int // between rows of dst, in values

	A             []float32
	AStride       int // between rows of A, in values; rows may overlap
	Segments      int
	SegmentLen    int
	SegmentStride int

	B    *Matrix   // Rows = Segments·SegmentLen
	Bias []float32 // one value a column, or nil

	Residual       []float32 // nil, or added before the activation; may be Dst itself
	ResidualStride int

	Activation Activation
}

// Run computes rows [rowLow,rowHigh) of the panels [panelLow,panelHigh) of B.
// Disjoint ranges may run at the same time. It allocates nothing.
func (g *Gemm) Run(rowLow, rowHigh, panelLow, panelHigh int) {
	runGemm(g, rowLow, rowHigh, panelLow, panelHigh)
}

// gemmGeneric is the reference: the definition above, one dst row at a time.
func gemmGeneric(g *Gemm, rowLow, rowHigh, panelLow, panelHigh int) {
	var sums [genericPanel]float32
	for p := panelLow; p < panelHigh; p++ {
		column := p * g.B.PanelColumns
		width := min(g.B.PanelColumns, g.B.Columns-column)
		panel := g.B.data[p*g.B.PanelColumns*g.B.Rows:]
		for i := rowLow; i < rowHigh; i++ {
			acc := sums[:width]
			clear(acc)
			k := 0
			for s := 0; s < g.Segments; s++ {
				a := g.A[i*g.AStride+s*g.SegmentStride:][:g.SegmentLen]
				for _, v := range a {
					row := panel[k*width:][:len(acc)]
					for j := range acc {
						acc[j] += v * row[j]
					}
					k++
				}
			}
			if g.Bias != nil {
				for j, v := range g.Bias[column:][:width] {
					acc[j] += v
				}
			}
			if g.Residual != nil {
				for j, v := range g.Residual[i*g.ResidualStride+column:][:width] {
					acc[j] += v
				}
			}
			activate(g.Dst[i*g.DstStride+column:][:width], acc, g.Activation)
		}
	}
}

// genericPanel is the panel width of the portable kernel, in columns.
const genericPanel = 16

// packGeneric lays b out panel after panel, each row by row, without padding.
func packGeneric(b []float32, rows, columns int) *Matrix {
	m := &Matrix{Rows: rows, Columns: columns, PanelColumns: genericPanel, data: make([]float32, rows*columns)}
	to := m.data
	for low := 0; low < columns; low += genericPanel {
		width := min(genericPanel, columns-low)
		for k := 0; k < rows; k++ {
			copy(to[:width], b[k*columns+low:])
			to = to[width:]
		}
	}
	return m
}

// activate writes act(src) to dst; they may be the same slice.
func activate(dst, src []float32, a Activation) {
	switch a {
	case Identity:
		copy(dst, src)
	case ReLU:
		for i, v := range src {
			dst[i] = max(v, 0)
		}
	case ReLU6:
		for i, v := range src {
			dst[i] = min(max(v, 0), 6)
		}
	}
}
