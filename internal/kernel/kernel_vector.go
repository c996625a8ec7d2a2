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

// noescape hides a pointer from escape analysis, so that a tile that is passed to a function
// in a table stays on the stack. The assembly keeps no pointer.
func noescape[T any](p *T) *T {
	address := uintptr(unsafe.Pointer(p))
	return *(**T)(unsafe.Pointer(&address))
}

// lanes returns the number of values in a vector. With NEON two registers make up a vector, so that
// AVX2's kernels and NEON's do the same.
func (l Level) lanes() int {
	if l == AVX512 {
		return 16
	}
	return 8
}

// partMasks has eight ones and eight zeros: the mask of the first n of 8 values begins at 8−n.
var partMasks = [16]int32{-1, -1, -1, -1, -1, -1, -1, -1}

// makeMask returns what selects the first n values of a vector: bits with AVX-512, the address of a
// mask with AVX2, and n itself with NEON; 0 for n = 0.
func makeMask(level Level, n int) uintptr {
	switch {
	case n == 0:
		return 0
	case level == AVX512:
		return 1<<n - 1
	case level == NEON:
		return uintptr(n)
	}
	return uintptr(unsafe.Pointer(&partMasks[8-n]))
}

// Pause waits about ten nanoseconds per turn and tells the core that it spins.
func Pause(turns int) { pause(turns) }
