//go:build (amd64 || arm64) && !purego

package webp

import "garb/internal/kernel"

// vector reports whether the assembly is in use, which GARB_CPU decides as in package kernel.
var vector = kernel.ActiveLevel() != kernel.Generic

// blend computes what blendGeneric says.
func blend(out, alpha []uint8) {
	if vectors := len(alpha) / 16; vector && vectors > 0 {
		_ = out[3*len(alpha)-1]
		blendAssembly(&out[0], &alpha[0], vectors)
		out, alpha = out[48*vectors:], alpha[16*vectors:]
	}
	blendGeneric(out, alpha)
}
