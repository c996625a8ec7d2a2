// The generator of package kernel's assembly for amd64: run `go generate` there.
package main

import . "github.com/mmcloughlin/avo/build"

func main() {
	ConstraintExpr("!purego")
	for _, s := range []isa{avx512, avx2} {
		for rows := 1; rows <= s.gemmRows; rows++ {
			for vectors := 1; vectors <= 2; vectors++ {
				gemm(s, rows, vectors)
			}
		}
		for _, relu := range []bool{false, true} {
			for _, width := range []int{3, 5} {
				for _, stride := range []int{1, 2} {
					depthwise(s, width, stride, relu)
				}
			}
			depthwiseOne(s, relu)
		}
	}
	elementwise()
	fromHalf()
	pause()
	Generate()
}
