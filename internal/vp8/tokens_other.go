//go:build !amd64 || purego

package vp8

func readTokens(r *boolReader, table *tokenTable, context, first int, q *steps, out *[16]int16) int {
	return readTokensGeneric(r, table, context, first, q, out)
}
