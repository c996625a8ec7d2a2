//go:build !amd64 || purego

package kernel

func runPack(b []float32, rows, columns int) *Matrix { return packGeneric(b, rows, columns) }

func runGemm(g *Gemm, rowLow, rowHigh, panelLow, panelHigh int) {
	gemmGeneric(g, rowLow, rowHigh, panelLow, panelHigh)
}

func runDepthwise(d *Depthwise, rowLow, rowHigh int) { depthwiseGeneric(d, rowLow, rowHigh) }

func runMax(dst, src []float32)                    { maxGeneric(dst, src) }
func runAdd(dst, src []float32, a Activation)      { addGeneric(dst, src, a) }
func runActivate(dst, src []float32, a Activation) { activate(dst, src, a) }
func runFromHalf(dst []float32, src []byte)        { fromHalfGeneric(dst, src) }
