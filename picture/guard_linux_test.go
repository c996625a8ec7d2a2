package picture

import (
	"os"
	"syscall"
	"testing"
)

// TestScaleRowsReadNothingBeyond puts rows of pixels at the end of memory that may be read:
// a byte more ends the test.
func TestScaleRowsReadNothingBeyond(t *testing.T) {
	page := os.Getpagesize()
	memory, err := syscall.Mmap(-1, 0, 2*page,
		syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Munmap(memory)
	if err := syscall.Mprotect(memory[page:], syscall.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	for in := 1; in < 40; in++ {
		row := memory[page-3*in : page : page]
		for _, out := range []int{1, in/2 + 1, in, 2*in + 1} {
			for _, filter := range []Filter{Bilinear, Bicubic} {
				dst := [2][]uint8{make([]uint8, 3*out+rowSlack), make([]uint8, 3*out+rowSlack)}
				scaleRows(dst[0], dst[1], row, row, newWeights(in, out, filter))
			}
		}
	}
}
