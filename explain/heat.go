// Package explain shows what a network looked at, as pictures and as pages of them.
package explain

import (
	"image"
	"image/color"
	"math"

	"garb/model"
	"garb/picture"
)

// maxHeatSide is the longer side of a heat map in pixels. A map has a few dozen positions, so
// a larger one would show no more.
const maxHeatSide = 256

// DrawHeat draws an activation map to be laid over its picture, which has width × height
// pixels and was prepared by spec. It is transparent where nothing speaks for the class, then
// yellow, and red where most does. It has the picture's shape and a longer side of at most 256
// pixels.
func DrawHeat(m *model.ActivationMap, spec picture.Spec, width, height int) *image.NRGBA {
	scale := min(1, maxHeatSide/float64(max(width, height)))
	w, h := max(1, int(math.Round(scale*float64(width)))), max(1, int(math.Round(scale*float64(height))))
	return drawMap(m, spec, width, height, w, h, func(share float64) color.NRGBA { return heatColour(max(share, 0)) })
}

// interpolate returns the value of a map at (x, y), interpolated bilinearly between its
// positions. Beyond the outer positions it repeats their values.
func interpolate(m *model.ActivationMap, x, y float64) float64 {
	x, y = min(max(x, 0), float64(m.Width-1)), min(max(y, 0), float64(m.Height-1))
	left, top := int(x), int(y)
	right, bottom := min(left+1, m.Width-1), min(top+1, m.Height-1)
	fx, fy := x-float64(left), y-float64(top)
	value := func(x, y int) float64 { return float64(m.Values[y*m.Width+x]) }
	row := func(y int) float64 { return float64((1-fx)*value(left, y)) + float64(fx*value(right, y)) }
	return float64((1-fy)*row(top)) + float64(fy*row(bottom))
}

// heatColour returns the colour of a heat from 0 to 1.
func heatColour(heat float64) color.NRGBA {
	const opacity = 0.8 // the picture shows through
	return color.NRGBA{
		R: 255, G: uint8(math.Round(220 * (1 - heat))), B: 0, A: uint8(math.Round(255 * opacity * heat)),
	}
}
