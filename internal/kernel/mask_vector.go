//go:build ((amd64 || arm64) && !purego) || (js && simd128)

package kernel

import "unsafe"

// noescape hides a pointer from escape analysis, so that a tile that is passed to a function
// in a table stays on the stack. The assembly keeps no pointer.
func noescape[T any](p *T) *T {
	address := uintptr(unsafe.Pointer(p))
	return *(**T)(unsafe.Pointer(&address))
}

// lanes returns the number of values in a vector. With NEON and SIMD128 two registers
// make up a vector, so that AVX2's kernels and theirs do the same.
func (l Level) lanes() int {
	if l == AVX512 {
		return 16
	}
	return 8
}

// partMasks has eight ones and eight zeros: the mask of the first n of 8 values begins at 8−n.
var partMasks = [16]int32{-1, -1, -1, -1, -1, -1, -1, -1}

// makeMask returns what selects the first n values of a vector: bits with AVX-512, the address of a
// mask with AVX2, and n itself with NEON and SIMD128; 0 for n = 0.
func makeMask(level Level, n int) uintptr {
	switch {
	case n == 0:
		return 0
	case level == AVX512:
		return 1<<n - 1
	case level == NEON || level == SIMD128:
		return uintptr(n)
	}
	return uintptr(unsafe.Pointer(&partMasks[8-n]))
}
