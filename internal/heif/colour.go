package heif

import (
	"context"
	"math"

	"garb/internal/raster"
)

// colour has the ColourPrimaries, MatrixCoefficients and VideoFullRangeFlag of ITU-T H.273, which define the
// conversion from Y'CbCr to RGB.
type colour struct {
	primaries int
	matrix    int
	fullRange bool
	rgb       bool // an overlay's samples are RGB, whatever the file says
}

const (
	identity    = 0
	unspecified = 2
)

// toRGB converts to 3 bytes per pixel. Pixels that share a chroma sample use the same one, as in
// libheif's conversion to 8-bit RGB (yuv2rgb.cc), which pillow-heif uses.
func (p *planes[T]) toRGB(ctx context.Context) (raster.Image, error) {
	m := raster.New(p.y.width, p.y.height)
	var convert rowConverter[T, uint8]
	if p.subY != 0 && p.colour.isConvertedInPairs() {
		k, err := p.colour.coefficients()
		if err != nil {
			return raster.Image{}, err
		}
		convert = convertPairs[T](k, p.bits-8)
	} else {
		var err error
		if convert, err = newConverter[T, uint8](p, p.bits-8); err != nil {
			return raster.Image{}, err
		}
	}
	const rows = 64 // a call's
	err := inParallel(ctx, (m.Height+rows-1)/rows, func(_ context.Context, i int) error {
		for y := i * rows; y < min((i+1)*rows, m.Height); y++ {
			convert(m.Row(y), p.y.row(y), p.cb.row(y>>p.subY), p.cr.row(y>>p.subY))
		}
		return nil
	})
	return m, err
}

// isConvertedInPairs reports whether libheif has a special conversion for 4:2:0 in these colours.
func (c colour) isConvertedInPairs() bool {
	return c.fullRange && c.matrix != identity && c.matrix != yCgCo
}

// rowConverter writes a row of RGB.
type rowConverter[T, O sample] func(out []O, y, cb, cr []T)

// newConverter returns a converter of p's rows to RGB, which drops some of the samples' bits.
func newConverter[T, O sample](p *planes[T], drop int) (rowConverter[T, O], error) {
	switch {
	case p.isGrey():
		return func(out []O, y, _, _ []T) {
			for x, v := range y {
				l := O(v >> drop)
				out[3*x], out[3*x+1], out[3*x+2] = l, l, l
			}
		}, nil
	case p.colour.matrix == identity:
		return convertIdentity[T, O](p.colour.fullRange, p.bits, p.subX, drop), nil
	case p.colour.matrix == yCgCo:
		return convertYCgCo[T, O](p.bits, p.subX, drop), nil
	}
	k, err := p.colour.coefficients()
	if err != nil {
		return nil, err
	}
	return convertFloat[T, O](k, p.colour.fullRange, p.bits, p.subX, drop), nil
}

// convertPairs converts 4:2:0 in full range. libheif drops the bits beyond 8 first, and rounds the chroma's
// part before it adds luma.
func convertPairs[T sample](k coefficients, shift int) rowConverter[T, uint8] {
	fixed := func(f float32) int32 { return int32(math.Round(float64(f) * 256)) }
	rCr, gCb, gCr, bCb := fixed(k.rCr), fixed(k.gCb), fixed(k.gCr), fixed(k.bCb)
	return func(out []uint8, y, cb, cr []T) {
		for i, v := range cb {
			b, r := int32(v>>shift)-128, int32(cr[i]>>shift)-128
			red, green, blue := (rCr*r+128)>>8, (gCb*b+gCr*r+128)>>8, (bCb*b+128)>>8
			for _, l := range y[2*i : min(2*i+2, len(y))] {
				l := int32(l >> shift)
				o := out[:3:3]
				o[0], o[1], o[2] = clamp(l+red), clamp(l+green), clamp(l+blue)
				out = out[3:]
			}
		}
	}
}

// Factors of libheif (yuv2rgb.cc) from limited range to full range, of luma and of chroma.
const (
	lumaStretch   = 1.1689
	chromaStretch = 1.1429
)

// convertFloat converts samples of the given bits, with a chroma sample for 1<<subX pixels.
func convertFloat[T, O sample](k coefficients, fullRange bool, bits, subX, drop int) rowConverter[T, O] {
	var tables [5][]float32
	for i := range tables {
		tables[i] = make([]float32, 1<<bits)
	}
	luma, toR, toGb, toGr, toB := tables[0], tables[1], tables[2], tables[3], tables[4]
	for i := range luma {
		l, c := float32(i), float32(i-1<<(bits-1))
		if !fullRange {
			l, c = (l-black(bits))*lumaStretch, c*chromaStretch
		}
		luma[i], toR[i], toGb[i], toGr[i], toB[i] = l, k.rCr*c, k.gCb*c, k.gCr*c, k.bCb*c
	}
	round := newRounder[O](bits, drop)
	return func(out []O, y, cb, cr []T) {
		for x, v := range y {
			l, b, r := luma[v], cb[x>>subX], cr[x>>subX]
			o := out[3*x:][:3:3]
			o[0], o[1], o[2] = round(l+toR[r]), round(l+toGb[b]+toGr[r]), round(l+toB[b])
		}
	}
}

// convertYCgCo converts luma and the two differences to green and orange. Like libheif it takes every
// range for the full one.
func convertYCgCo[T, O sample](bits, subX, drop int) rowConverter[T, O] {
	half, highest := int32(1)<<(bits-1), int32(1)<<bits-1
	limit := func(v int32) O { return O(max(0, min(v, highest)) >> drop) }
	return func(out []O, y, cb, cr []T) {
		for x, v := range y {
			cg, co := int32(cb[x>>subX])-half, int32(cr[x>>subX])-half
			rest := int32(v) - cg
			o := out[3*x:][:3:3]
			o[0], o[1], o[2] = limit(rest+co), limit(int32(v)+cg), limit(rest-co)
		}
	}
}

// convertIdentity converts green, blue and red.
func convertIdentity[T, O sample](fullRange bool, bits, subX, drop int) rowConverter[T, O] {
	green, other := make([]O, 1<<bits), make([]O, 1<<bits)
	round := newRounder[O](bits, drop)
	for i := range green {
		green[i], other[i] = round(float32(i)), round(float32(i))
		if !fullRange {
			v := float32(i) - black(bits)
			green[i], other[i] = round(float32(v*lumaStretch)), round(float32(v*chromaStretch))
		}
	}
	return func(out []O, y, cb, cr []T) {
		for x, v := range y {
			out[3*x], out[3*x+1], out[3*x+2] = other[cr[x>>subX]], green[v], other[cb[x>>subX]]
		}
	}
}

// black returns the luma of black in limited range.
func black(bits int) float32 { return float32(int(16) << (bits - 8)) }

// newRounder returns a function that rounds to a sample of the given bits and drops some of them.
func newRounder[O sample](bits, drop int) func(float32) O {
	highest := int32(1)<<bits - 1
	return func(v float32) O { return O(max(0, min(int32(v+0.5), highest)) >> drop) }
}

func clamp(v int32) uint8 {
	if uint32(v) > 255 {
		return uint8(^v >> 31) // 0 if negative, else 255
	}
	return uint8(v)
}
