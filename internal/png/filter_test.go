package png

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestVectorFiltersEqualPortable compares the assembly with its portable twin, byte by byte, with guard
// values behind the row.
func TestVectorFiltersEqualPortable(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 150 {
		for filter := uint8(1); filter <= 4; filter++ {
			for _, bpp := range []int{1, 2, 3, 4, 6, 8} {
				data, above := make([]uint8, n), make([]uint8, n)
				for i := range data {
					data[i], above[i] = uint8(random.Uint32()), uint8(random.Uint32()>>random.IntN(24))
				}
				got := bytes.Repeat([]byte{0xaa}, n+8)
				want := bytes.Clone(got)
				unfilter(filter, got[:n], data, above, bpp)
				switch filter {
				case 1:
					unfilterSubFrom(0, want[:n], data, bpp)
				case 2:
					unfilterUpFrom(0, want[:n], data, above)
				case 3:
					unfilterAverageFrom(0, want[:n], data, above, bpp)
				case 4:
					unfilterPaethFrom(0, want[:n], data, above, bpp)
				}
				if !bytes.Equal(got, want) {
					t.Fatalf("filter %d, %d bytes of %d per pixel: the assembly and its twin differ\n% x\n% x",
						filter, n, bpp, got, want)
				}
			}
		}
	}
}
