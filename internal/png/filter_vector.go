//go:build (amd64 || arm64) && !purego

package png

import "garb/internal/kernel"

//go:generate sh -c "cd _generate && go run . -out ../png_amd64.s -stubs ../stubs_amd64.go -pkg png"
//go:generate go run ../kernel/_neon png

// vector reports whether the assembly is in use, which GARB_CPU decides as in package kernel.
var vector = kernel.ActiveLevel() != kernel.Generic

// countPixels returns the number of pixels in n bytes that the assembly can unfilter: it reads 8 bytes
// for each.
func countPixels(n, bpp int) int {
	if !vector || bpp != 3 && bpp != 4 || n < 8 {
		return 0
	}
	return (n-8)/bpp + 1
}

// unfilterSub unfilters pixels from the first one on and returns the number of their bytes.
func unfilterSub(out, data []uint8, bpp int) int {
	pixels := countPixels(len(out), bpp)
	if pixels == 0 {
		return 0
	}
	_ = data[len(out)-1]
	if bpp == 3 {
		sub3Assembly(&out[0], &data[0], pixels)
	} else {
		sub4Assembly(&out[0], &data[0], pixels)
	}
	return pixels * bpp
}

func unfilterUp(out, data, above []uint8) int {
	const vectorBytes = 32
	vectors := len(out) / vectorBytes
	if !vector || vectors == 0 {
		return 0
	}
	_, _ = data[len(out)-1], above[len(out)-1]
	upAssembly(&out[0], &data[0], &above[0], vectors)
	return vectors * vectorBytes
}

func unfilterAverage(out, data, above []uint8, bpp int) int {
	pixels := countPixels(len(out), bpp)
	if pixels == 0 {
		return 0
	}
	_, _ = data[len(out)-1], above[len(out)-1]
	if bpp == 3 {
		average3Assembly(&out[0], &data[0], &above[0], pixels)
	} else {
		average4Assembly(&out[0], &data[0], &above[0], pixels)
	}
	return pixels * bpp
}

func unfilterPaeth(out, data, above []uint8, bpp int) int {
	pixels := countPixels(len(out), bpp)
	if pixels == 0 {
		return 0
	}
	_, _ = data[len(out)-1], above[len(out)-1]
	if bpp == 3 {
		paeth3Assembly(&out[0], &data[0], &above[0], pixels)
	} else {
		paeth4Assembly(&out[0], &data[0], &above[0], pixels)
	}
	return pixels * bpp
}
