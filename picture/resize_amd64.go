//go:build !purego

package picture

import "garb/internal/kernel"

// vector reports whether the assembly is in use, which GARB_CPU decides as in package kernel.
var vector = kernel.ActiveLevel() >= kernel.AVX2

// scaleRows scales the width of two rows. The dsts are rowSlack longer than the rows.
func scaleRows(dst0, dst1, src0, src1 []uint8, w *weights) {
	// The assembly reads a byte beyond the last pixel that it needs. If the row ends there, Go
	// computes the last pixels.
	n := len(w.first)
	if vector {
		for n > 0 && 3*(w.first[n-1]+w.count[n-1])+1 > min(len(src0), len(src1)) {
			n--
		}
	} else {
		n = 0
	}
	if n > 0 {
		_, _ = dst0[3*n], dst1[3*n]
		scaleRowsAVX2(&dst0[0], &dst1[0], &src0[0], &src1[0], &w.first[0], &w.count[0], &w.values[0], w.size, n)
	}
	rest := weights{first: w.first[n:], count: w.count[n:], size: w.size, values: w.values[n*w.size:]}
	scaleRowGeneric(dst0[3*n:], src0, &rest)
	scaleRowGeneric(dst1[3*n:], src1, &rest)
}

// mixRows sets dst[i] = Σ_j k[j]·rows[j·stride+i].
func mixRows(dst, rows []uint8, stride int, k []int32) {
	done := 0
	if vectors := len(dst) / rowVector; vector && vectors > 0 {
		done = vectors * rowVector
		_ = rows[(len(k)-1)*stride+done-1]
		mixRowsAVX2(&dst[0], &rows[0], stride, &k[0], len(k), vectors)
	}
	mixRowsGeneric(dst[done:], rows[done:], stride, k)
}

// rowVector is the number of bytes that the assembly processes at once.
const rowVector = 32
