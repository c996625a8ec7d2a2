//go:build (!amd64 && !arm64) || purego

package jpeg

const vector = false

func transformVector(block, quantization *[64]int16, out []byte, stride int) {
	transform8(block, quantization, out, stride)
}

func addRows(sums []int16, near, far []byte) { addRowsGeneric(sums, near, far) }

func expand(out []byte, sums []int16, n int, evenBias, oddBias int16, shift uint) {
	expandGeneric(out, sums, n, evenBias, oddBias, shift)
}

func convert(out, y, cb, cr []byte) int { return 0 }
