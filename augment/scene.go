package augment

import (
	"math"
	"math/rand/v2"

	"garb/picture"
)

// Bounds of the changes of a scene: beyond them a picture cannot be recognized.
const (
	maxZoomOut   = 10
	maxBlur      = 16
	maxNoise     = 128
	maxShrinkMin = 4096
)

// sceneShare is the share of the pictures that each of distance, thumbnail, blur and noise
// changes if it is on. With all four on, a third of the pictures stay unchanged.
const sceneShare = 0.25

// scene says how one picture was taken: how the camera was held, how far away it was, and how
// the camera and later programs degraded the picture. The zero value changes nothing.
type scene struct {
	quarters int // clockwise rotations by 90°, from 0 to 3

	distance   float64  // the picture's sides are divided by it; 0 and 1 keep them
	left, top  float64  // from 0 to 1 of what is possible
	background [3]uint8 // around the picture

	thumbnail int     // the thumbnail's shorter side in pixels, or 0
	blur      float64 // standard deviation of a Gaussian, in pixels
	noise     float64 // standard deviation of the noise, in levels
	levels    *rand.Rand
}

// drawScene draws the scene of an input of the given size. Its random numbers are separate, so
// that settings without a scene keep the views that they had before scenes existed.
func (c Config) drawScene(r *rand.Rand, width, height int) scene {
	s := scene{levels: r}
	chance := func(share float64) bool { return r.Float64() < share }
	turned, quarters := r.Float64() < c.QuarterTurns, 1+r.IntN(3)
	if turned {
		s.quarters = quarters
	}
	far, distance := chance(sceneShare), 1+float64((c.ZoomOut-1)*r.Float64())
	s.left, s.top = r.Float64(), r.Float64()
	grey, levels := chance(0.5), r.Uint32()
	if far && c.ZoomOut > 1 {
		s.distance = distance
	}
	for i := range s.background {
		s.background[i] = uint8(levels >> (8 * i))
		if grey {
			s.background[i] = uint8(levels)
		}
	}
	small, size := chance(sceneShare), r.Float64()
	if side := min(width, height); small && c.ShrinkMin > 0 && c.ShrinkMin < side {
		least := float64(c.ShrinkMin)
		s.thumbnail = int(math.Round(least * math.Pow(float64(side)/least, size)))
	}
	soft, deviation := chance(sceneShare), c.BlurMax*r.Float64()
	if soft {
		s.blur = deviation
	}
	noisy, noise := chance(sceneShare), c.Noise*r.Float64()
	if noisy {
		s.noise = noise
	}
	return s
}

// rotateQuarters returns p rotated clockwise by 90° times quarters. It returns p itself if
// quarters is a multiple of 4.
func rotateQuarters(p *picture.RGB, quarters int) *picture.RGB {
	quarters &= 3
	if quarters == 0 {
		return p
	}
	out := &picture.RGB{Width: p.Width, Height: p.Height, Pix: make([]uint8, len(p.Pix))}
	if quarters != 2 {
		out.Width, out.Height = p.Height, p.Width
	}
	// The next pixel to the right in p is right pixels further in out, the next one below is
	// down pixels further.
	var start, right, down int
	switch quarters {
	case 1: // p's left column, from the bottom up, becomes the top row
		start, right, down = out.Width-1, out.Width, -1
	case 2:
		start, right, down = out.Width*out.Height-1, -1, -out.Width
	case 3: // p's right column, from the top down, becomes the top row
		start, right, down = out.Width*(out.Height-1), -out.Width, 1
	}
	pix := p.Pix
	for y := range p.Height {
		for at := 3 * (start + y*down); len(pix) > 0; at += 3 * right {
			copy(out.Pix[at:at+3], pix[:3])
			if pix = pix[3:]; len(pix)%(3*p.Width) == 0 {
				break
			}
		}
	}
	return out
}

// shrinkSpec returns spec with its sides divided by the distance.
func (s scene) shrinkSpec(spec picture.Spec) picture.Spec {
	if s.distance > 1 {
		spec.Width = max(int(math.Round(float64(spec.Width)/s.distance)), 1)
		spec.Height = max(int(math.Round(float64(spec.Height)/s.distance)), 1)
	}
	return spec
}

// place returns p on a plain background of width × height, or p if it has that size.
func (s scene) place(p *picture.RGB, width, height int) *picture.RGB {
	if p.Width == width && p.Height == height {
		return p
	}
	out := &picture.RGB{Width: width, Height: height, Pix: make([]uint8, 3*width*height)}
	for i := 0; i < len(out.Pix); i += 3 {
		copy(out.Pix[i:], s.background[:])
	}
	left, top := int(s.left*float64(width-p.Width+1)), int(s.top*float64(height-p.Height+1))
	for y := range p.Height {
		copy(out.Pix[3*((top+y)*width+left):], p.Pix[3*y*p.Width:][:3*p.Width])
	}
	return out
}

// degrade scales p down and up again by the filter, blurs it and adds noise. It may change p,
// and may return another picture.
func (s scene) degrade(p *picture.RGB, filter picture.Filter) *picture.RGB {
	if side := min(p.Width, p.Height); s.thumbnail > 0 && s.thumbnail < side {
		scale := float64(s.thumbnail) / float64(side)
		size := func(n int) int { return max(int(math.Round(scale*float64(n))), 1) }
		small := picture.Spec{Width: size(p.Width), Height: size(p.Height), Filter: filter, Fit: picture.Stretch}
		large := picture.Spec{Width: p.Width, Height: p.Height, Filter: filter, Fit: picture.Stretch}
		p = large.Resize(small.Resize(p))
	}
	if s.blur > 0 {
		p = applyBlur(p, s.blur)
	}
	if s.noise > 0 {
		for i, v := range p.Pix {
			p.Pix[i] = uint8(min(max(math.Round(float64(v)+float64(s.noise*s.levels.NormFloat64())), 0), 255))
		}
	}
	return p
}

// blurBits is the number of bits of a blur's weight: sums of levels times weights have 24.
const blurBits = 16

// gaussian returns the weights of a Gaussian from −3·std to 3·std pixels. They sum to
// 1<<blurBits.
func gaussian(std float64) []int32 {
	radius := int(math.Ceil(3 * std))
	values, sum := make([]float64, 2*radius+1), 0.0
	for i := range values {
		d := float64(i-radius) / std
		values[i] = math.Exp(-d * d / 2)
		sum += values[i]
	}
	weights, left := make([]int32, len(values)), int32(1<<blurBits)
	for i, v := range values {
		weights[i] = int32(math.Round(v / sum * (1 << blurBits)))
		left -= weights[i]
	}
	weights[radius] += left // make up for rounding
	return weights
}

// applyBlur returns p convolved with a Gaussian of the given standard deviation in pixels, cut
// off at three standard deviations. Outside p the nearest pixel is repeated.
func applyBlur(p *picture.RGB, std float64) *picture.RGB {
	weights := gaussian(std)
	out := &picture.RGB{Width: p.Width, Height: p.Height, Pix: make([]uint8, len(p.Pix))}
	convolve(out.Pix, p.Pix, weights, p.Height, p.Width, 3*p.Width, 3)
	down := make([]uint8, len(p.Pix))
	convolve(down, out.Pix, weights, p.Width, p.Height, 3, 3*p.Width)
	out.Pix = down
	return out
}

// convolve sets dst to src convolved with weights along lines of n pixels. Lines are between
// levels apart, pixels are along levels apart.
func convolve(dst, src []uint8, weights []int32, lines, n, between, along int) {
	radius := len(weights) / 2
	padded := make([]int32, 3*(n+2*radius))
	for line := range lines {
		for i := range n + 2*radius {
			at := line*between + min(max(i-radius, 0), n-1)*along
			padded[3*i], padded[3*i+1], padded[3*i+2] = int32(src[at]), int32(src[at+1]), int32(src[at+2])
		}
		for i := range n {
			const half = 1 << (blurBits - 1)
			red, green, blue := int32(half), int32(half), int32(half)
			window := padded[3*i:][:3*len(weights)]
			for k, w := range weights {
				red += w * window[3*k]
				green += w * window[3*k+1]
				blue += w * window[3*k+2]
			}
			to := dst[line*between+i*along:][:3]
			to[0], to[1], to[2] = uint8(red>>blurBits), uint8(green>>blurBits), uint8(blue>>blurBits)
		}
	}
}
