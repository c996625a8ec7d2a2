//go:build !amd64 || purego

package vp8l

func readLiterals(r *bitReader, g *group, run []uint32) (n, symbol int) {
	return readLiteralsGeneric(r, g, run)
}
