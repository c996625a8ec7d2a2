//go:build !purego

package vp8l

import (
	"golang.org/x/sys/cpu"

	"garb/internal/kernel"
)

// vector reports whether the assembly is in use, which GARB_CPU decides as in package kernel.
var vector = kernel.ActiveLevel() != kernel.Generic && cpu.X86.HasBMI2

func readLiterals(r *bitReader, g *group, run []uint32) (n, symbol int) {
	if !vector {
		return readLiteralsGeneric(r, g, run)
	}
	n, symbol = readLiteralsBMI2(&r.value, &g.codes[0].entries, &run[0], len(run))
	if n == len(run) || symbol >= 0 {
		return n, symbol
	}
	rest, symbol := readLiteralsGeneric(r, g, run[n:])
	return n + rest, symbol
}

// kernels has the kernels of the modes of prediction.
var kernels = [16]func(out, in, above *uint32, n int){
	1: predictLeftAVX2, 2: predictAboveAVX2, 3: predictAboveRightAVX2, 4: predictAboveLeftAVX2,
	5: predict5AVX2, 6: predict6AVX2, 7: predict7AVX2, 8: predict8AVX2, 9: predict9AVX2, 10: predict10AVX2,
	11: predict11AVX2, 12: predict12AVX2, 13: predict13AVX2,
}

// predict adds predictions of a mode to all pixels but the first.
func predict(mode int, out, in, above []uint32) {
	n := len(out) - 1
	if !vector || n == 0 || kernels[mode] == nil {
		predictGeneric(mode, out, in, above)
		return
	}
	_, _ = in[n], above[n+1]
	kernels[mode](&out[0], &in[0], &above[0], n)
}

// addColour computes what addColourGeneric says.
func addColour(out, in []uint32, factors uint32) {
	vectors := len(in) / 8
	if vector && vectors > 0 {
		_ = out[len(in)-1]
		factor := func(shift int) uint32 { return uint32(int32(int8(factors>>shift))*8) & 0xffff }
		addColourAVX2(&out[0], &in[0], vectors, factor(0)<<16|factor(8), factor(16)<<16)
		out, in = out[8*vectors:], in[8*vectors:]
	}
	addColourGeneric(out, in, factors)
}

// addGreen computes what addGreenGeneric says.
func addGreen(out, in []uint32) {
	vectors := len(in) / 8
	if vector && vectors > 0 {
		_ = out[len(in)-1]
		addGreenAVX2(&out[0], &in[0], vectors)
		out, in = out[8*vectors:], in[8*vectors:]
	}
	addGreenGeneric(out, in)
}

// Pack writes pixels 0xAARRGGBB as red, green and blue.
func Pack(out []uint8, in []uint32) {
	_ = out[:3*len(in)]
	// A vector writes 16 bytes for 4 pixels.
	if vectors := (len(in) - 2) / 4; vector && vectors > 0 {
		packAVX2(&out[0], &in[0], vectors)
		out, in = out[12*vectors:], in[4*vectors:]
	}
	packGeneric(out, in)
}
