//go:build (!amd64 && !arm64) || purego

package vp8

func addOne(block *[16]int16, w *workspace, at int) { addResidual(block, w, at) }

func addTwo(blocks *[32]int16, w *workspace, at int) {
	addResidual((*[16]int16)(blocks[:]), w, at)
	addResidual((*[16]int16)(blocks[16:]), w, at+4)
}

func predictTrueMotion(w *workspace, at, size int) { predictTrueMotionGeneric(w, at, size) }

func filterNormal(c *rowCache, luma, chroma int, s strength, left, above bool) {
	filterNormalGeneric(c, luma, chroma, s, left, above)
}

func filterSimple(p []uint8, at, stride int, s strength, left, above bool) {
	filterSimpleGeneric(p, at, stride, s, left, above)
}

func upsample(to, near, far []uint8, n int) { upsampleGeneric(to, near, far, n) }

func convert(out, luma, u, v []uint8) { convertGeneric(out, luma, u, v) }
