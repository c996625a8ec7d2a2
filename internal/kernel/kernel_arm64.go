//go:build !purego

package kernel

// offeredLevels returns the levels of this CPU, the best last: every arm64 CPU has NEON.
func offeredLevels() []Level { return []Level{Generic, NEON} }
