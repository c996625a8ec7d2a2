// Package kernel computes on slices of float32: matrix products, depthwise
// convolutions, element-wise operations. It does not know tensors or layers.
//
// Each operation has a portable implementation in Go, which is the reference and
// always compiled, and assembly for amd64 (AVX2 with FMA, AVX-512) and arm64 (NEON).
// All assembly gives the same bits. For WebAssembly (the build tag simd128) simd128.wasm has the
// product and the depthwise convolution, with the bits of the portable kernels. The level is
// chosen once at start-up; the environment variable GARB_CPU (generic, avx2, avx512, neon,
// simd128) forces one.
package kernel

import (
	"fmt"
	"os"
	"strings"
)

//go:generate sh -c "cd _generate && go run . -out ../kernel_amd64.s -stubs ../stubs_amd64.go -pkg kernel"
//go:generate go run ./_neon kernel
//go:generate go run ./_wasm -out simd128.wasm

// Level is the instruction set that the kernels use.
type Level uint8

// Levels. They have no order: a machine and a build offer a set of them.
const (
	Generic    Level = iota // portable Go
	AVX2                    // amd64: 256-bit vectors, with FMA and F16C
	AVX512                  // amd64: 512-bit vectors: F, BW, DQ, VL
	NEON                    // arm64: 128-bit vectors
	SIMD128                 // WebAssembly: 128-bit vectors; the bits of Generic
	levelCount              // the number of levels
)

// String returns the level's name in GARB_CPU.
func (l Level) String() string {
	return [levelCount]string{"generic", "avx2", "avx512", "neon", "simd128"}[l]
}

// complete tells whether the level has its own kernels for all operations; these do not round a product
// before they add it. SIMD128 has kernels for Gemm and Depthwise, which round as the portable ones do.
func (l Level) complete() bool { return l != Generic && l != SIMD128 }

// level is the level in use; levelErr says what is wrong with GARB_CPU.
var level, levelErr = chooseLevel(os.Getenv("GARB_CPU"), offeredLevels())

// ActiveLevel returns the level in use.
func ActiveLevel() Level { return level }

// LevelError says why the level in GARB_CPU is not in use: it is unknown, or the CPU or this build
// does not offer it. Then the best level is used instead.
func LevelError() error { return levelErr }

// chooseLevel returns the level with a name, or without one the last that is offered.
func chooseLevel(name string, offered []Level) (Level, error) {
	best := offered[len(offered)-1]
	if name == "" {
		return best, nil
	}
	names := make([]string, len(offered))
	for i, l := range offered {
		if l.String() == name {
			return l, nil
		}
		names[i] = l.String()
	}
	for l := range levelCount {
		if l.String() == name {
			return best, fmt.Errorf("GARB_CPU=%s: this machine and build offer only %s; "+
				"unset it or choose one of these", name, strings.Join(names, ", "))
		}
	}
	return best, fmt.Errorf("GARB_CPU=%s: the levels are generic, avx2, avx512, neon and simd128", name)
}

// Pack packs b, a rows × columns matrix in row-major order, for Gemm. Column j is multiplied by
// scale[j], unless scale is nil. b is not kept. It panics if the lengths do not fit.
func Pack(b []float32, rows, columns int, scale []float32) *Matrix {
	m := newMatrix(rows, columns, level)
	m.Set(b, scale)
	return m
}

// PackTransposed packs the transpose of b: b has the shape columns × rows, and its column j, now
// row j, is multiplied by scale[j].
func PackTransposed(b []float32, rows, columns int, scale []float32) *Matrix {
	m := newMatrix(rows, columns, level)
	m.SetTransposed(b, scale)
	return m
}

// Set packs other values into m, as Pack does. Nothing may use m meanwhile.
func (m *Matrix) Set(b []float32, scale []float32) {
	if len(b) != m.Rows*m.Columns {
		panic("kernel: matrix to pack does not have rows × columns values")
	}
	if scale != nil && len(scale) != m.Columns {
		panic("kernel: matrix to pack does not have one scale per column")
	}
	m.set(b)
	m.scaleColumns(scale)
}

// SetTransposed packs other values into m, as PackTransposed does. Nothing may use m meanwhile.
func (m *Matrix) SetTransposed(b []float32, scale []float32) {
	if len(b) != m.Rows*m.Columns {
		panic("kernel: matrix to pack does not have rows × columns values")
	}
	if scale != nil && len(scale) != m.Rows {
		panic("kernel: matrix to pack does not have one scale per column")
	}
	m.setTransposed(b, scale)
}
