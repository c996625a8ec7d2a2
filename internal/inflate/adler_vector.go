//go:build (amd64 || arm64) && !purego

package inflate

import "garb/internal/kernel"

//go:generate sh -c "cd _generate && go run . -out ../inflate_amd64.s -stubs ../stubs_amd64.go -pkg inflate"
//go:generate go run ../kernel/_neon inflate

// vector reports whether the assembly is in use, which GARB_CPU decides as in package kernel.
var vector = kernel.ActiveLevel() != kernel.Generic

// sumAdler adds at most adlerBlock bytes to the sums, without the modulus.
func sumAdler(a, b uint32, p []byte) (uint32, uint32) {
	vectors := len(p) / adlerVector
	if vector && vectors > 0 {
		var sums [3][8]uint32
		adlerAssembly(&p[0], vectors, &sums)
		n := vectors * adlerVector
		b += uint32(n) * a
		for i := range sums[0] {
			a += sums[0][i]
			b += adlerVector*sums[1][i] + sums[2][i]
		}
		p = p[n:]
	}
	return sumAdlerGeneric(a, b, p)
}
