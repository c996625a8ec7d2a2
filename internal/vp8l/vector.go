//go:build (amd64 || arm64) && !purego

package vp8l

import "garb/internal/kernel"

// vector reports whether the assembly is in use, which GARB_CPU decides as in package kernel.
var vector = kernel.ActiveLevel() != kernel.Generic

// kernels has the kernels of the modes of prediction.
var kernels = [16]func(out, in, above *uint32, n int){
	1: predictLeftAssembly, 2: predictAboveAssembly, 3: predictAboveRightAssembly, 4: predictAboveLeftAssembly,
	5: predict5Assembly, 6: predict6Assembly, 7: predict7Assembly, 8: predict8Assembly,
	9: predict9Assembly, 10: predict10Assembly, 11: predict11Assembly, 12: predict12Assembly, 13: predict13Assembly,
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
		addColourAssembly(&out[0], &in[0], vectors, factor(0)<<16|factor(8), factor(16)<<16)
		out, in = out[8*vectors:], in[8*vectors:]
	}
	addColourGeneric(out, in, factors)
}

// addGreen computes what addGreenGeneric says.
func addGreen(out, in []uint32) {
	vectors := len(in) / 8
	if vector && vectors > 0 {
		_ = out[len(in)-1]
		addGreenAssembly(&out[0], &in[0], vectors)
		out, in = out[8*vectors:], in[8*vectors:]
	}
	addGreenGeneric(out, in)
}

// Pack writes pixels 0xAARRGGBB as red, green and blue.
func Pack(out []uint8, in []uint32) {
	_ = out[:3*len(in)]
	// A vector writes 16 bytes for 4 pixels.
	if vectors := (len(in) - 2) / 4; vector && vectors > 0 {
		packAssembly(&out[0], &in[0], vectors)
		out, in = out[12*vectors:], in[4*vectors:]
	}
	packGeneric(out, in)
}
