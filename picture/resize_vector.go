//go:build (amd64 || arm64) && !purego

package picture

import "garb/internal/kernel"

// vector reports whether the assembly is in use, which GARB_CPU decides as in package kernel.
var vector = kernel.ActiveLevel() != kernel.Generic

// scaleRows scales the width of two rows. The dsts are rowSlack longer than the rows. What follows the
// srcs' last pixels has no influence.
func scaleRows(dst0, dst1, src0, src1 []uint8, w *weights) {
	n := 0 // pixels that the assembly computes
	if vector {
		// The assembly reads 16 bytes for a pair of weights. If the row ends before, Go computes the last
		// pixels.
		l := w.lanes()
		vectors := len(l.places) / 2
		for vectors > 0 && l.places[2*vectors-1]+6*(l.pairs-1)+16 > min(len(src0), len(src1)) {
			vectors--
		}
		if vectors > 0 {
			_, _ = dst0[2*vectors*l.step], dst1[2*vectors*l.step]
			scaleRowsAssembly(&dst0[0], &dst1[0], &src0[0], &src1[0], &l.places[0], &l.order[0], &l.halves[0], l.pairs,
				l.step, vectors)
			n = min(2*vectors*l.step/3, len(w.first))
		}
	}
	rest := weights{first: w.first[n:], count: w.count[n:], size: w.size, values: w.values[n*w.size:]}
	scaleRowGeneric(dst0[3*n:], src0, &rest)
	scaleRowGeneric(dst1[3*n:], src1, &rest)
}

// lanes has weights in the form that the assembly needs. It computes 8 values at once, of which each half of
// a vector takes 4 from 16 bytes of a row.
type lanes struct {
	// step is the number of values from a half to the next: 4, or 3 (a pixel) if 16 bytes are too few for
	// two pixels.
	step   int
	places []int   // of the bytes, for each half
	order  []uint8 // shuffles the bytes of a half: two pixels' levels, as words, for each value
	pairs  int     // number of pairs of weights
	halves []int16 // for each vector and pair the lower halves of the weights and then the upper ones
}

// halfBits is the number of bits of the lower half of a weight.
const halfBits = precisionBits / 2

func newLanes(w *weights) *lanes {
	const nothing = 0x80 // in order
	n, step, most := len(w.first), 4, w.count[0]
	for i := 1; i < n; i++ {
		most = max(most, w.count[i])
		if w.first[i]-w.first[i-1] > 3 {
			step = 3
		}
	}
	vectors := (3*n + 2*step - 1) / (2 * step)
	l := &lanes{step: step, places: make([]int, 2*vectors), order: make([]uint8, 32*vectors), pairs: (most + 1) / 2}
	l.halves = make([]int16, 32*l.pairs*vectors)
	for half := range l.places {
		at := w.first[min(half*step/3, n-1)]
		l.places[half] = 3 * at
		for lane := range min(step, 3*n-half*step) { // other lanes have weights of zero
			value := half*step + lane
			from := uint8(3*(w.first[value/3]-at) + value%3)
			order := l.order[16*half+4*lane:][:4]
			order[0], order[1], order[2], order[3] = from, nothing, from+3, nothing
			out := l.halves[half/2*32*l.pairs+half%2*8+2*lane:]
			for j, k := range w.at(value / 3) {
				to := j/2*32 + j%2
				out[to], out[to+16] = int16(k&(1<<halfBits-1)), int16(k>>halfBits)
			}
		}
	}
	return l
}

// mixRows sets dst[i] = Σ_j k[j]·rows[j·stride+i].
func mixRows(dst, rows []uint8, stride int, k []int32) {
	done := 0
	if vectors := len(dst) / rowVector; vector && vectors > 0 {
		done = vectors * rowVector
		_ = rows[(len(k)-1)*stride+done-1]
		mixRowsAssembly(&dst[0], &rows[0], stride, &k[0], len(k), vectors)
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
	normalizeAssembly(&dst[0], &pix[0], &means, &stds, groups)
	return done
}

// normalGroup is the number of values that the assembly computes at once.
const normalGroup = 24
