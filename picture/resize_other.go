//go:build (!amd64 && !arm64) || purego

package picture

// lanes has no form for assembly.
type lanes struct{}

func newLanes(*weights) *lanes { return nil }

// scaleRows scales the width of two rows.
func scaleRows(dst0, dst1, src0, src1 []uint8, w *weights) {
	scaleRowGeneric(dst0, src0, w)
	scaleRowGeneric(dst1, src1, w)
}

// mixRows sets dst[i] = Σ_j k[j]·rows[j·stride+i].
func mixRows(dst, rows []uint8, stride int, k []int32) { mixRowsGeneric(dst, rows, stride, k) }

func normalize([]float32, []uint8, [3]float32, [3]float32) int { return 0 }
