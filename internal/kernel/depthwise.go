package kernel

// Depthwise is a depthwise convolution over one image in h, w, c order:
//
//	dst[y,x,c] = act(bias[c] + Σ_i Σ_j in(src[y·Stride+i−PadTop, x·Stride+j−PadLeft, c]) · kernel[i,j,c])
//
// where positions outside src count as zero, and in is max(v,0) if ReLUInput is
// set and v otherwise. The sum runs over i and j in that order by fused
// multiply-add, starting from zero; then the bias is added. Padding is skipped,
// never read.
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
// same time. It allocates nothing.
func (d *Depthwise) Run(rowLow, rowHigh int) { runDepthwise(d, rowLow, rowHigh) }

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
			clear(dst)
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
			if d.Bias != nil {
				for k := range dst {
					dst[k] += d.Bias[k]
				}
			}
			activate(dst, dst, d.Activation)
		}
	}
}
