//go:build !purego

package kernel

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// detectLevel returns the best level of this CPU.
func detectLevel() Level {
	x := &cpu.X86
	switch {
	case !x.HasAVX2 || !x.HasFMA || !x.HasF16C:
		return Generic
	case x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL:
		return AVX512
	}
	return AVX2
}

// The functions below process whole vectors of 8 values and return the number of values
// that they processed.

func maxVector(dst, src []float32) int {
	n := len(dst) &^ 7
	if n == 0 || level == Generic {
		return 0
	}
	maxAVX2(&dst[0], &src[0], n/8)
	return n
}

func addVector(dst, src []float32, low, high float32) int {
	n := len(dst) &^ 7
	if n == 0 || level == Generic {
		return 0
	}
	addAVX2(&dst[0], &src[0], n/8, low, high)
	return n
}

func activateVector(dst, src []float32, low, high float32) int {
	n := len(dst) &^ 7
	if n == 0 || level == Generic {
		return 0
	}
	activateAVX2(&dst[0], &src[0], n/8, low, high)
	return n
}

func zeroOutsideVector(dst, src []float32, low, high float32) int {
	n := len(dst) &^ 7
	if n == 0 || level == Generic {
		return 0
	}
	zeroOutsideAVX2(&dst[0], &src[0], n/8, low, high)
	return n
}

func fromHalfVector(dst []float32, src []byte) int {
	n := len(dst) &^ 7
	if n == 0 || level == Generic {
		return 0
	}
	fromHalfAVX2(unsafe.SliceData(dst), unsafe.SliceData(src), n/8)
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

// lanes returns the number of values in a vector.
func (l Level) lanes() int {
	if l == AVX512 {
		return 16
	}
	return 8
}

// Pause waits about ten nanoseconds per turn and tells the core that it spins.
func Pause(turns int) { pauseAMD64(turns) }
