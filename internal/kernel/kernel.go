// Package kernel computes on slices of float32: matrix products, depthwise
// convolution rows, element-wise operations. It knows no tensors and no layers.
//
// Each operation has a portable Go implementation, always compiled, that is the
// reference, and assembly for amd64 (AVX2 with FMA, AVX-512) chosen once at
// start-up. The environment variable GARB_CPU (generic, avx2, avx512) forces a
// lower level.
package kernel

// Pack lays out b, a rows × columns matrix in row-major order, for Gemm. b is
// not kept.
func Pack(b []float32, rows, columns int) *Matrix {
	if len(b) != rows*columns {
		panic("kernel: matrix to pack does not have rows × columns values")
	}
	return runPack(b, rows, columns)
}
