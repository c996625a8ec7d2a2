//go:build ((!amd64 && !arm64) || purego) && !(js && simd128)

package kernel

// offeredLevels returns the levels of this build.
func offeredLevels() []Level { return []Level{Generic} }

// Without assembly the level is Generic, so nothing calls these.

func gemmVector(g *Gemm, rowLow, rowHigh, panelLow, panelHigh int) {
	gemmGeneric(g, rowLow, rowHigh, panelLow, panelHigh)
}

func depthwiseVector(d *Depthwise, rowLow, rowHigh int, _ Level) {
	depthwiseGeneric(d, rowLow, rowHigh)
}
