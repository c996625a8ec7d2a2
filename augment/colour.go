package augment

import (
	"math"
	"math/rand/v2"

	"garb/picture"
)

// Weights of the channels in luma (ITU-R BT.601), in thousandths.
const redWeight, greenWeight, blueWeight = 299, 587, 114

// changeColours multiplies p's levels by brightness, then their distances from the mean luma
// by contrast, then their distances from their pixel's luma by saturation. All three together
// are one linear map of a level and its pixel's luma,
//
//	level' = s·c·b·level + (1−s)·c·b·luma + (1−c)·b·mean luma,
//
// which is rounded and clipped to 0…255 once.
func changeColours(p *picture.RGB, brightness, contrast, saturation float64) {
	if len(p.Pix) == 0 {
		return
	}
	var sum int64
	for pix := p.Pix; len(pix) >= 3; pix = pix[3:] {
		sum += luma(pix)
	}
	mean := float64(sum) / 1000 / float64(len(p.Pix)/3)
	const bits = 32 // fractional bits; luma's 18 and the factor's 3 fit before them
	fixed := func(v float64) int64 { return int64(math.Round(v * (1 << bits))) }
	levelFactor := fixed(saturation * contrast * brightness)
	lumaFactor := fixed((1 - saturation) * contrast * brightness / 1000)
	offset := fixed(float64((1-contrast)*brightness*mean) + 0.5)
	level := func(v int64) uint8 { return uint8(min(max(v>>bits, 0), 255)) }
	for pix := p.Pix; len(pix) >= 3; pix = pix[3:] {
		rest := lumaFactor*luma(pix) + offset
		pix[0] = level(levelFactor*int64(pix[0]) + rest)
		pix[1] = level(levelFactor*int64(pix[1]) + rest)
		pix[2] = level(levelFactor*int64(pix[2]) + rest)
	}
}

// luma returns 1000 times a pixel's luma.
func luma(pix []uint8) int64 {
	return redWeight*int64(pix[0]) + greenWeight*int64(pix[1]) + blueWeight*int64(pix[2])
}

// The erased rectangle's smallest and largest share of the area, and the largest ratio of its
// sides: s_l, s_h and 1/r_1 of Zhong et al. 2020, section 4.1, for person re-identification.
const (
	minErased    = 0.02
	maxErased    = 0.2
	erasedAspect = 1 / 0.3
)

// rectangle is the part of a picture that becomes noise.
type rectangle struct {
	area      float64 // a share
	aspect    float64 // height over width
	left, top float64 // from 0 to 1 of what is possible
	noise     *rand.Rand
}

// erase fills the rectangle of p with random levels.
func (t rectangle) erase(p *picture.RGB) {
	pixels := t.area * float64(p.Width) * float64(p.Height)
	width := min(max(int(math.Round(math.Sqrt(pixels/t.aspect))), 1), p.Width)
	height := min(max(int(math.Round(math.Sqrt(pixels*t.aspect))), 1), p.Height)
	left, top := int(t.left*float64(p.Width-width+1)), int(t.top*float64(p.Height-height+1))
	for y := range height {
		row := p.Pix[3*((top+y)*p.Width+left):][:3*width]
		for len(row) > 0 {
			n := min(len(row), 8)
			levels := t.noise.Uint64()
			for i := range row[:n] {
				row[i] = uint8(levels >> (8 * i))
			}
			row = row[n:]
		}
	}
}
