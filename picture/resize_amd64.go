//go:build !purego

package picture

import "garb/internal/kernel"

// vector reports whether the assembly is in use, which GARB_CPU decides as in package kernel.
var vector = kernel.ActiveLevel() >= kernel.AVX2

// scaleRows scales the width of two rows. The dsts are rowSlack longer than the rows. What follows the
// srcs' last pixels has no influence.
func scaleRows(dst0, dst1, src0, src1 []uint8, w *weights) {
	// The assembly reads 16 bytes for four weights. If the row ends before, Go computes the last
	// pixels.
	n := len(w.first)
	if vector {
		for n > 0 && 3*(w.first[n-1]+(w.count[n-1]-1)/4*4)+16 > min(len(src0), len(src1)) {
			n--
		}
	} else {
		n = 0
	}
	if n > 0 {
		if w.halves == nil {
			w.halves = splitWeights(w)
		}
		_, _ = dst0[3*n], dst1[3*n]
		scaleRowsAVX2(&dst0[0], &dst1[0], &src0[0], &src1[0], &w.first[0], &w.count[0], &w.halves[0],
			2*len(w.halves)/len(w.first), n)
	}
	rest := weights{first: w.first[n:], count: w.count[n:], size: w.size, values: w.values[n*w.size:]}
	scaleRowGeneric(dst0[3*n:], src0, &rest)
	scaleRowGeneric(dst1[3*n:], src1, &rest)
}

// halfBits is the number of bits of the lower half of a weight.
const halfBits = precisionBits / 2

// splitWeights splits weights into halves: for each four of them the lower halves and then the upper
// ones. Weights that are missing are zero.
func splitWeights(w *weights) []int16 {
	groups := (w.size + 3) / 4
	halves := make([]int16, 8*groups*len(w.first))
	for i := range w.first {
		out := halves[8*groups*i:]
		for j, k := range w.at(i) {
			at := j/4*8 + j%4
			out[at], out[at+4] = int16(k&(1<<halfBits-1)), int16(k>>halfBits)
		}
	}
	return halves
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

// normalize sets dst[i] = (pix[i] − mean) / std of the colour, for whole groups of normalGroup values, and
// returns the number of values.
func normalize(dst []float32, pix []uint8, mean, std [3]float32) int {
	groups := len(pix) / normalGroup
	if !vector || groups == 0 {
		return 0
	}
	var means, stds [normalGroup]float32
	for i := range means {
		means[i], stds[i] = mean[i%3], std[i%3]
	}
	done := groups * normalGroup
	_ = dst[done-1]
	normalizeAVX2(&dst[0], &pix[0], &means, &stds, groups)
	return done
}

// normalGroup is the number of values that the assembly computes at once.
const normalGroup = 24
