//go:build !purego

package vp8

import "golang.org/x/sys/cpu"

// bmi2 reports whether the assembly that needs BMI2 is in use. All CPUs with AVX2 and BMI2 have LZCNT
// too.
var bmi2 = vector && cpu.X86.HasBMI2

func readTokens(r *boolReader, table *tokenTable, context, first int, q *steps, out *[16]int16) int {
	if !bmi2 {
		return readTokensGeneric(r, table, context, first, q, out)
	}
	return readTokensBMI2(&r.value, &table[0][0][0], context, first, &q[0], &out[0])
}
