//go:build (amd64 || arm64) && !purego

package jpeg

import "garb/internal/kernel"

// vector reports whether the assembly is in use, which GARB_CPU decides as in package kernel.
var vector = kernel.ActiveLevel() != kernel.Generic

func transformVector(block, quantization *[64]int16, out []byte, stride int) {
	_ = out[7*stride+7]
	transformAssembly(&block[0], &quantization[0], &out[0], stride)
}

// addRows sets sums[i] = 3·near[i] + far[i]. near and far are rows of planes,
// which have room for whole vectors.
func addRows(sums []int16, near, far []byte) {
	if !vector {
		addRowsGeneric(sums, near, far)
		return
	}
	vectors := (len(near) + vectorSamples - 1) / vectorSamples
	_, _, _ = sums[vectors*vectorSamples-1], near[:vectors*vectorSamples], far[:vectors*vectorSamples]
	sumsAssembly(&sums[0], &near[0], &far[0], vectors)
}

// expand computes what the method expandRow says; n sums begin at sums[1]. The slices have room for
// whole vectors.
func expand(out []byte, sums []int16, n int, evenBias, oddBias int16, shift uint) {
	if !vector {
		expandGeneric(out, sums, n, evenBias, oddBias, shift)
		return
	}
	vectors := (n + vectorSamples - 1) / vectorSamples
	_, _ = out[2*vectors*vectorSamples-1], sums[vectors*vectorSamples+1]
	expandAssembly(&out[0], &sums[1], vectors, uint16(evenBias), uint16(oddBias), uint64(shift))
}

// convert converts whole vectors of pixels and returns the number of pixels. The last vector may overlap
// the one before.
func convert(out, y, cb, cr []byte) int {
	n := len(y)
	vectors := n / vectorSamples
	if !vector || vectors == 0 {
		return 0
	}
	_, _, _ = out[3*n-1], cb[n-1], cr[n-1]
	convertAssembly(&out[0], &y[0], &cb[0], &cr[0], vectors)
	if last := n - vectorSamples; n%vectorSamples > 0 {
		convertAssembly(&out[3*last], &y[last], &cb[last], &cr[last], 1)
	}
	return n
}
