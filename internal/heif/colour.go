package heif

import (
	"math"

	"garb/internal/raster"
)

// colour has the MatrixCoefficients and VideoFullRangeFlag of ITU-T H.273, which define the
// conversion from Y'CbCr to RGB.
type colour struct {
	matrix    int
	fullRange bool
}

const (
	identity    = 0
	unspecified = 2
)

// lumaWeights returns the weights of red and blue in Y' (H.273, table 4). An unspecified matrix is
// taken for BT.601's, as by libheif.
func (c colour) lumaWeights() (kr, kb float64, err error) {
	switch c.matrix {
	case 1:
		return 0.2126, 0.0722, nil
	case unspecified, 5, 6:
		return 0.299, 0.114, nil
	case 4:
		return 0.30, 0.11, nil
	case 7:
		return 0.212, 0.087, nil
	case 9:
		return 0.2627, 0.0593, nil
	}
	return 0, 0, raster.Unsupportedf("its colours use matrix %d; save it as JPEG or PNG", c.matrix)
}

// planes is a picture of 8-bit samples in planes. yStride and cStride are the distances between
// rows in bytes.
type planes struct {
	width, height             int
	subX, subY                int // log2 of the chroma's subsampling
	grey                      bool
	y, cb, cr                 []byte
	yStride, cStride, cHeight int
}

// toRGB converts to 3 bytes per pixel. Pixels that share a chroma sample use the same one, as in
// libheif's own conversion to 8-bit RGB, which Pillow uses for HEIC.
func (p *planes) toRGB(c colour) ([]byte, error) {
	out := make([]byte, 3*p.width*p.height)
	yScale, yOffset, cScale := 1.0, 0.0, 1.0
	if !c.fullRange {
		yScale, yOffset, cScale = 255.0/219, 16, 255.0/224
	}
	var luma [256]int32 // 16.16 fixed point, plus one half for rounding
	for i := range luma {
		luma[i] = toFixed((float64(i)-yOffset)*yScale) + 1<<15
	}
	if p.grey {
		for y := range p.height {
			row := p.y[y*p.yStride:][:p.width]
			o := out[3*y*p.width:][:3*p.width]
			for x, v := range row {
				g := clamp(luma[v])
				o[3*x], o[3*x+1], o[3*x+2] = g, g, g
			}
		}
		return out, nil
	}
	plain := c.matrix == identity && p.subX == 0 && p.subY == 0
	var toR, toGb, toGr, toB [256]int32
	if !plain {
		kr, kb, err := c.lumaWeights()
		if err != nil {
			return nil, err
		}
		kg := 1 - kr - kb
		for i := range 256 {
			v := float64(i-128) * cScale
			toR[i] = toFixed(2 * (1 - kr) * v)
			toB[i] = toFixed(2 * (1 - kb) * v)
			toGb[i] = -toFixed(2 * kb * (1 - kb) / kg * v)
			toGr[i] = -toFixed(2 * kr * (1 - kr) / kg * v)
		}
	}
	for y := range p.height {
		at := (y >> p.subY) * p.cStride
		cbRow, crRow := p.cb[at:], p.cr[at:]
		row := p.y[y*p.yStride:][:p.width]
		o := out[3*y*p.width:][:3*p.width]
		for x, v := range row {
			cb, cr := cbRow[x>>p.subX], crRow[x>>p.subX]
			if plain {
				o[3*x], o[3*x+1], o[3*x+2] = clamp(luma[cr]), clamp(luma[v]), clamp(luma[cb])
				continue
			}
			l := luma[v]
			o[3*x] = clamp(l + toR[cr])
			o[3*x+1] = clamp(l + toGb[cb] + toGr[cr])
			o[3*x+2] = clamp(l + toB[cb])
		}
	}
	return out, nil
}

func toFixed(v float64) int32 { return int32(math.Round(v * (1 << 16))) }

func clamp(v int32) byte {
	v >>= 16
	if uint32(v) > 255 {
		if v < 0 {
			return 0
		}
		return 255
	}
	return byte(v)
}
