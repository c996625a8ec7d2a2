package augment

import (
	"math"

	"garb/picture"
)

// affine maps a pixel (x, y) of the result to the point of the source that it shows:
// (xx·x + xy·y + x0, yx·x + yy·y + y0), in pixels. (0, 0) is the centre of the first pixel.
type affine struct{ xx, xy, x0, yx, yy, y0 float64 }

var identity = affine{xx: 1, yy: 1}

// newAffine composes rotation · shift · shear · zoom about the centre of a picture of
// width × height, as Keras's apply_affine_transform does: it first zooms a point of the
// result, then shears, shifts and rotates it. Shear moves x by −sin(shear)·y and multiplies y
// by cos(shear).
//
// Keras swaps the two axes' centres and shifts: its centre across is half the height, and its
// shift across comes from height_shift_range. newAffine does not. For square pictures and
// equal shifts the results are the same.
func newAffine(degrees, across, down, shearDegrees, zoomAcross, zoomDown float64, width, height int) affine {
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	shearSin, shearCos := math.Sincos(shearDegrees * math.Pi / 180)
	a := affine{
		xx: cos * zoomAcross,
		xy: (-float64(cos*shearSin) - float64(sin*shearCos)) * zoomDown,
		x0: float64(cos*across) - float64(sin*down),
		yx: sin * zoomAcross,
		yy: (-float64(sin*shearSin) + float64(cos*shearCos)) * zoomDown,
		y0: float64(sin*across) + float64(cos*down),
	}
	centreX, centreY := float64(float64(width-1)/2), float64(float64(height-1)/2)
	a.x0 += centreX - (float64(a.xx*centreX) + float64(a.xy*centreY))
	a.y0 += centreY - (float64(a.yx*centreX) + float64(a.yy*centreY))
	return a
}

// positionBits is the number of fractional bits of a position in fixed point. An error of half
// a unit, summed over the 4096 pixels of the longest row, is 2⁻²¹ pixels.
const positionBits = 32

// weightBits is the number of bits of a weight: the product of two weights and a level has 30.
const weightBits = 11

// halfWeight is added to a position so that truncating it to weightBits rounds it.
const halfWeight = 1 << (positionBits - weightBits - 1)

// resample returns the transformed picture at p's size. It interpolates bilinearly between
// pixels, repeats the nearest pixel outside p, and rounds levels to the nearest.
func (a affine) resample(p *picture.RGB) *picture.RGB {
	width, height := p.Width, p.Height
	out := &picture.RGB{Width: width, Height: height, Pix: make([]uint8, len(p.Pix))}
	fixed := func(v float64) int64 { return int64(math.Round(v * (1 << positionBits))) }
	stepX, stepY := fixed(a.xx), fixed(a.yx)
	stride := 3 * width
	for y := range height {
		atX, atY := fixed(float64(a.xy*float64(y))+a.x0)+halfWeight, fixed(float64(a.yy*float64(y))+a.y0)+halfWeight
		row := out.Pix[y*stride:][:stride:stride]
		for ; len(row) >= 3; row = row[3:] {
			u, v := int(atX>>positionBits), int(atY>>positionBits)
			fx, fy := int32(uint32(atX)>>(positionBits-weightBits)), int32(uint32(atY)>>(positionBits-weightBits))
			atX += stepX
			atY += stepY
			var top, bottom []uint8
			if uint(u) < uint(width-1) && uint(v) < uint(height-1) {
				at := v*stride + 3*u
				top, bottom = p.Pix[at:at+6], p.Pix[at+stride:at+stride+6]
				row[0] = interpolate(top[0], top[3], bottom[0], bottom[3], fx, fy)
				row[1] = interpolate(top[1], top[4], bottom[1], bottom[4], fx, fy)
				row[2] = interpolate(top[2], top[5], bottom[2], bottom[5], fx, fy)
				continue
			}
			left, right := 3*min(max(u, 0), width-1), 3*min(max(u+1, 0), width-1)
			top = p.Pix[min(max(v, 0), height-1)*stride:][:stride]
			bottom = p.Pix[min(max(v+1, 0), height-1)*stride:][:stride]
			for c := range 3 {
				row[c] = interpolate(top[left+c], top[right+c], bottom[left+c], bottom[right+c], fx, fy)
			}
		}
	}
	return out
}

// interpolate interpolates between four levels, at fx of the way to the right and fy down.
func interpolate(topLeft, topRight, bottomLeft, bottomRight uint8, fx, fy int32) uint8 {
	top := int32(topLeft)<<weightBits + fx*(int32(topRight)-int32(topLeft))
	bottom := int32(bottomLeft)<<weightBits + fx*(int32(bottomRight)-int32(bottomLeft))
	return uint8((top<<weightBits + fy*(bottom-top) + 1<<(2*weightBits-1)) >> (2 * weightBits))
}

// flipAcross mirrors p left to right.
func flipAcross(p *picture.RGB) {
	for y := range p.Height {
		row := p.Pix[3*y*p.Width:][:3*p.Width]
		for i, j := 0, len(row)-3; i < j; i, j = i+3, j-3 {
			l, r := row[i:i+3:i+3], row[j:j+3:j+3]
			l[0], l[1], l[2], r[0], r[1], r[2] = r[0], r[1], r[2], l[0], l[1], l[2]
		}
	}
}

// flipDown mirrors p top to bottom.
func flipDown(p *picture.RGB) {
	stride := 3 * p.Width
	kept := make([]uint8, stride)
	for i, j := 0, len(p.Pix)-stride; i < j; i, j = i+stride, j-stride {
		copy(kept, p.Pix[i:])
		copy(p.Pix[i:i+stride], p.Pix[j:])
		copy(p.Pix[j:], kept)
	}
}
