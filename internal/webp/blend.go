package webp

import "garb/internal/raster"

// blendGeneric blends a row of RGB with white.
func blendGeneric(out, alpha []uint8) {
	for x, a := range alpha {
		p := out[3*x:][:3]
		p[0], p[1], p[2] = raster.OverWhite(p[0], a), raster.OverWhite(p[1], a), raster.OverWhite(p[2], a)
	}
}
