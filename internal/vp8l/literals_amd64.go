//go:build !purego

package vp8l

import "golang.org/x/sys/cpu"

// bmi2 reports whether the assembly that needs BMI2 is in use.
var bmi2 = vector && cpu.X86.HasBMI2

func readLiterals(r *bitReader, g *group, run []uint32) (n, symbol int) {
	if !bmi2 {
		return readLiteralsGeneric(r, g, run)
	}
	n, symbol = readLiteralsBMI2(&r.value, &g.codes[0].entries, &run[0], len(run))
	if n == len(run) || symbol >= 0 {
		return n, symbol
	}
	rest, symbol := readLiteralsGeneric(r, g, run[n:])
	return n + rest, symbol
}
