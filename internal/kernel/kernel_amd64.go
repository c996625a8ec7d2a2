//go:build !purego

package kernel

import "golang.org/x/sys/cpu"

// offeredLevels returns the levels of this CPU, the best last.
func offeredLevels() []Level {
	x := &cpu.X86
	switch {
	case !x.HasAVX2 || !x.HasFMA || !x.HasF16C:
		return []Level{Generic}
	case x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL:
		return []Level{Generic, AVX2, AVX512}
	}
	return []Level{Generic, AVX2}
}
