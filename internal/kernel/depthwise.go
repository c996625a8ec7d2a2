package kernel

// Depthwise is a depthwise convolution over one image in h, w, c order:
//
//	dst[y,x,c] = act(bias[c] + Σ_i Σ_j in(src[y·Stride+i−PadTop, x·Stride+j−PadLeft, c]) · kernel[i,j,c])
//
// where positions outside src count as zero, and in(v) is max(v,0) if ReLUInput is
// set and v otherwise. The sum runs over i and j in that order, starting from the
// bias or zero. Padding is skipped, never read. As in Gemm, AVX2 and AVX-512 give
// the same bits.
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

// Run computes the output rows [rowLow,rowHigh). Disjoint ranges may run at the same time. It
// allocates nothing. It panics if a slice does not have the length of its shape.
func (d *Depthwise) Run(rowLow, rowHigh int) {
	d.checkLengths(rowLow, rowHigh)
	if level == Generic {
		depthwiseGeneric(d, rowLow, rowHigh)
	} else {
		depthwiseVector(d, rowLow, rowHigh, level)
	}
}

// checkLengths panics if something outside the slices would be read or written, which the assembly
// does not check, or if a window does not reach into src.
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

// depthwiseGeneric computes Depthwise by its definition, as the reference.
func depthwiseGeneric(d *Depthwise, rowLow, rowHigh int) {
	for y := rowLow; y < rowHigh; y++ {
		for x := range d.DstWidth {
			depthwiseOutputGeneric(d, y, x)
		}
	}
}

func depthwiseOutputGeneric(d *Depthwise, y, x int) {
	c, top, left := d.Channels, y*d.Stride-d.PadTop, x*d.Stride-d.PadLeft
	dst := d.Dst[(y*d.DstWidth+x)*c:][:c]
	if d.Bias != nil {
		copy(dst, d.Bias)
	} else {
		clear(dst)
	}
	for i := max(0, -top); i < min(d.KernelHeight, d.SrcHeight-top); i++ {
		for j := max(0, -left); j < min(d.KernelWidth, d.SrcWidth-left); j++ {
			src := d.Src[((top+i)*d.SrcWidth+left+j)*c:][:len(dst)]
			w := d.Kernel[(i*d.KernelWidth+j)*c:][:len(dst)]
			if d.ReLUInput {
				for k := range dst {
					dst[k] += float32(max(src[k], 0) * w[k])
				}
			} else {
				for k := range dst {
					dst[k] += float32(src[k] * w[k])
				}
			}
		}
	}
	activate(dst, dst, d.Activation)
}
