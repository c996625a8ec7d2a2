//go:build (amd64 || arm64) && !purego

package kernel

import "unsafe"

// The functions below process whole vectors of 8 values and return the number of values
// that they processed.

func maxVector(dst, src []float32) int {
	n := len(dst) &^ 7
	if n == 0 || level == Generic {
		return 0
	}
	maxEights(&dst[0], &src[0], n/8)
	return n
}

func addVector(dst, src []float32, low, high float32) int {
	n := len(dst) &^ 7
	if n == 0 || level == Generic {
		return 0
	}
	addEights(&dst[0], &src[0], n/8, low, high)
	return n
}

func activateVector(dst, src []float32, low, high float32) int {
	n := len(dst) &^ 7
	if n == 0 || level == Generic {
		return 0
	}
	activateEights(&dst[0], &src[0], n/8, low, high)
	return n
}

func zeroOutsideVector(dst, src []float32, low, high float32) int {
	n := len(dst) &^ 7
	if n == 0 || level == Generic {
		return 0
	}
	zeroOutsideEights(&dst[0], &src[0], n/8, low, high)
	return n
}

func fromHalfVector(dst []float32, src []byte) int {
	n := len(dst) &^ 7
	if n == 0 || level == Generic {
		return 0
	}
	fromHalfEights(unsafe.SliceData(dst), unsafe.SliceData(src), n/8)
	return n
}

// unaryVectors computes f at the level in use, which has assembly.
func unaryVectors(f unaryFunction, dst, src []float32, a, b float32) {
	lanes := level.lanes()
	unaryKernels[level][f](noescape(unsafe.SliceData(dst)), noescape(unsafe.SliceData(src)),
		len(dst)/lanes, makeMask(level, len(dst)%lanes), a, b)
}

// binaryVectors computes f at the level in use, which has assembly.
func binaryVectors(f binaryFunction, dst, x, y []float32) {
	lanes := level.lanes()
	binaryKernels[level][f](noescape(unsafe.SliceData(dst)), noescape(unsafe.SliceData(x)),
		noescape(unsafe.SliceData(y)), len(dst)/lanes, makeMask(level, len(dst)%lanes))
}

// Pause waits about ten nanoseconds per turn and tells the core that it spins.
func Pause(turns int) { pause(turns) }
