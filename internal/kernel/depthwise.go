package kernel

// Depthwise is a depthwise convolution over one image in h, w, c order:
//
//	dst[y,x,c] = act(bias[c] + Σ_i Σ_j in(src[y·Stride+i−PadTop, x·Stride+j−PadLeft, c]) · kernel[i,j,c])
//
// where positions outside src count as zero, and in is max(v,0) if ReLUInput is
// set and v otherwise. The sum runs over i and j in that order, starting from
// the bias or zero. Padding is skipped, never read. As in Gemm a
// value's bits depend only on the level being the portable one or not.
type Depthwise struct {
	Dst                 []float32
	DstHeight, DstWidth int

	Src                 []float32
	SrcHeight, SrcWidth int

	Channels                  int
	KernelHeight, KernelWidth int
	Stride                    int
	PadTop, PadLeft           int

	Kernel []float32 // [KernelHeight KernelWidth Channels]
	Bias   []float32 // [Channels], or nil

	ReLUInput  bool
	Activation Activation
}

// Run computes the output rows [rowLow,rowHigh). Disjoint ranges may run at the
// same time. It allocates nothing. It panics if a slice does not have the length
// that the shape says.
func (d *Depthwise) Run(rowLow, rowHigh int) {
	d.checkLengths(rowLow, rowHigh)
	if level == Generic {
		depthwiseGeneric(d, rowLow, rowHigh)
	} else {
		depthwiseVector(d, rowLow, rowHigh, level)
	}
}

// checkLengths makes sure that nothing outside the slices is read or written: the
// assembly does not look. Every window must reach into src.
func (d *Depthwise) checkLengths(rowLow, rowHigh int) {
	inside := func(size, src, kernel, pad int) bool {
		return pad >= 0 && pad < kernel && size > 0 && (size-1)*d.Stride-pad < src
	}
	switch {
	case d.Stride <= 0 || d.Channels <= 0 || d.KernelHeight <= 0 || d.KernelWidth <= 0 ||
		!inside(d.DstHeight, d.SrcHeight, d.KernelHeight, d.PadTop) ||
		!inside(d.DstWidth, d.SrcWidth, d.KernelWidth, d.PadLeft):
		panic("kernel: Depthwise windows lie outside src")
	case rowLow < 0 || rowHigh > d.DstHeight:
		panic("kernel: Depthwise rows outside dst")
	case len(d.Dst) < d.DstHeight*d.DstWidth*d.Channels:
		panic("kernel: Depthwise Dst is too short")
	case len(d.Src) < d.SrcHeight*d.SrcWidth*d.Channels:
		panic("kernel: Depthwise Src is too short")
	case len(d.Kernel) < d.KernelHeight*d.KernelWidth*d.Channels:
		panic("kernel: Depthwise Kernel is too short")
	case d.Bias != nil && len(d.Bias) < d.Channels:
		panic("kernel: Depthwise Bias is too short")
	}
}

// depthwiseGeneric is the reference: the definition above.
func depthwiseGeneric(d *Depthwise, rowLow, rowHigh int) {
	c := d.Channels
	for y := rowLow; y < rowHigh; y++ {
		top := y*d.Stride - d.PadTop
		iLow, iHigh := max(0, -top), min(d.KernelHeight, d.SrcHeight-top)
		for x := 0; x < d.DstWidth; x++ {
			left := x*d.Stride - d.PadLeft
			jLow, jHigh := max(0, -left), min(d.KernelWidth, d.SrcWidth-left)
			dst := d.Dst[(y*d.DstWidth+x)*c:][:c]
			if d.Bias != nil {
				copy(dst, d.Bias)
			} else {
				clear(dst)
			}
			for i := iLow; i < iHigh; i++ {
				for j := jLow; j < jHigh; j++ {
					src := d.Src[((top+i)*d.SrcWidth+left+j)*c:][:len(dst)]
					w := d.Kernel[(i*d.KernelWidth+j)*c:][:len(dst)]
					if d.ReLUInput {
						for k := range dst {
							dst[k] += max(src[k], 0) * w[k]
						}
					} else {
						for k := range dst {
							dst[k] += src[k] * w[k]
						}
					}
				}
			}
			activate(dst, dst, d.Activation)
		}
	}
}
