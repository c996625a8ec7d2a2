//go:build !purego

package kernel

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

func best() Level {
	x := &cpu.X86
	switch {
	case !x.HasAVX2 || !x.HasFMA || !x.HasF16C:
		return Generic
	case x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL:
		return AVX512
	}
	return AVX2
}

// The functions below do as much as whole vectors of 8 values hold and return how
// many values that is.

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

func withinVector(dst, src []float32, low, high float32) int {
	n := len(dst) &^ 7
	if n == 0 || level == Generic {
		return 0
	}
	withinAVX2(&dst[0], &src[0], n/8, low, high)
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
	lanes := lanesOf(level)
	unaryVector(f, unsafe.SliceData(dst), unsafe.SliceData(src), len(dst)/lanes, maskOf(level, len(dst)%lanes), a, b)
}

// binaryVectors computes f at the level in use, which has assembly.
func binaryVectors(f binaryFunction, dst, x, y []float32) {
	lanes := lanesOf(level)
	binaryVector(f, unsafe.SliceData(dst), unsafe.SliceData(x), unsafe.SliceData(y),
		len(dst)/lanes, maskOf(level, len(dst)%lanes))
}

// lanesOf returns the number of values in a vector.
func lanesOf(l Level) int {
	if l == AVX512 {
		return 16
	}
	return 8
}

// Pause waits a moment, some ten nanoseconds a turn, and tells the core so.
func Pause(turns int) { pauseAMD64(turns) }
