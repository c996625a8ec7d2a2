package kernel

// Outer adds products of the rows of two matrices to a third:
//
//	dst[m,n] += Σ_k a[k,m] · b[k,n]       sums[n] += Σ_k b[k,n]
//
// which is dst += aᵀ·b. With a layer's input a and the gradient b of its output, dst is
// the gradient of its weights and sums that of its bias. Each value is one chain of
// additions over k; the assembly adds each product without rounding it first. So its bits
// are the same with AVX2 and AVX-512, and do not depend on how k is divided into calls.
type Outer struct {
	Dst       []float32 // [Rows Columns]
	Sums      []float32 // [Columns], or nil
	A         []float32 // count rows of Rows values, AStride apart
	AStride   int
	B         []float32 // count rows of Columns values, BStride apart
	BStride   int
	Rows      int
	Columns   int
	Scratch   []float32 // OuterScratchLen values
	dummySums [2 * maxLanes]float32
}

const (
	// maxLanes is the number of values in the largest vector.
	maxLanes = 16
	// outerBlock is the number of products in a pass. A packed tile of a then takes a third of the
	// first-level cache (48 KiB, or half of 32).
	outerBlock = 256
	// outerPanelValues is the number of values of packed panels of b in a group: half of a core's
	// second-level cache (1 MiB on Zen 4).
	outerPanelValues = 128 << 10
	// OuterScratchLen is the length of an Outer's Scratch.
	OuterScratchLen = outerPanelValues + outerBlock*maxLanes
)

// Run adds count products. It allocates nothing. It panics if a slice is too short.
func (o *Outer) Run(count int) {
	if count == 0 {
		return
	}
	switch {
	case o.Rows <= 0 || o.Columns <= 0 || o.AStride < 0 || o.BStride < 0:
		panic("kernel: Outer without rows or columns")
	case len(o.Dst) < o.Rows*o.Columns:
		panic("kernel: Outer Dst is too short")
	case o.Sums != nil && len(o.Sums) < o.Columns:
		panic("kernel: Outer Sums is too short")
	case len(o.A) < (count-1)*o.AStride+o.Rows:
		panic("kernel: Outer A is too short")
	case len(o.B) < (count-1)*o.BStride+o.Columns:
		panic("kernel: Outer B is too short")
	case len(o.Scratch) < OuterScratchLen:
		panic("kernel: Outer Scratch is too short")
	}
	for low, blocks := 0, (count+outerBlock-1)/outerBlock; blocks > 0; blocks-- {
		n := (count - low + blocks - 1) / blocks
		if level == Generic {
			outerGeneric(o, low, n)
		} else {
			outerVector(o, low, n)
		}
		low += n
	}
}

// outerGeneric computes Outer by its definition, as the reference.
func outerGeneric(o *Outer, low, count int) {
	for k := low; k < low+count; k++ {
		a, b := o.A[k*o.AStride:][:o.Rows], o.B[k*o.BStride:][:o.Columns]
		for m, v := range a {
			dst := o.Dst[m*o.Columns:][:len(b)]
			for n, g := range b {
				dst[n] += float32(v * g)
			}
		}
		if o.Sums != nil {
			sums := o.Sums[:len(b)]
			for n, g := range b {
				sums[n] += g
			}
		}
	}
}
