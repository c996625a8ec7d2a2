package heif

import "math"

// colour tells how to come from Y'CbCr to RGB: MatrixCoefficients and
// VideoFullRangeFlag of ITU-T H.273.
type colour struct {
	matrix    int
	fullRange bool
}

const (
	identity    = 0
	unspecified = 2
)

// luma gives the weights of red and blue in Y' (H.273, table 4). An unspecified matrix
// is taken for BT.601's, as by libheif.
func (c colour) luma() (kr, kb float64, err error) {
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
	return 0, 0, unsupported("its colours use matrix %d; save it as JPEG or PNG", c.matrix)
}

// planes is a picture of 8-bit samples in planes, each row of which begins a multiple
// of alignment bytes after the one before.
type planes struct {
	width, height             int
	subX, subY                int // log2 of the chroma's subsampling
	grey                      bool
	y, cb, cr                 []byte
	yStride, cStride, cHeight int
}

// rgb converts to 3 bytes a pixel. Chroma of less resolution is interpolated linearly,
// its samples taken to lie in the middle of the pixels they stand for, as libheif does.
func (p *planes) rgb(c colour) ([]byte, error) {
	out := make([]byte, 3*p.width*p.height)
	yScale, yOffset, cScale := 1.0, 0.0, 1.0
	if !c.fullRange {
		yScale, yOffset, cScale = 255.0/219, 16, 255.0/224
	}
	var luma [256]int32 // 16.16 fixed point, and half for rounding
	for i := range luma {
		luma[i] = fixed((float64(i)-yOffset)*yScale) + 1<<15
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
		kr, kb, err := c.luma()
		if err != nil {
			return nil, err
		}
		kg := 1 - kr - kb
		for i := range 256 {
			v := float64(i-128) * cScale
			toR[i] = fixed(2 * (1 - kr) * v)
			toB[i] = fixed(2 * (1 - kb) * v)
			toGb[i] = -fixed(2 * kb * (1 - kb) / kg * v)
			toGr[i] = -fixed(2 * kr * (1 - kr) / kg * v)
		}
	}
	cbRow, crRow := make([]byte, p.width), make([]byte, p.width)
	sums := make([]int32, (p.width+p.subX)>>p.subX)
	for y := range p.height {
		p.chromaRow(cbRow, p.cb, y, sums)
		p.chromaRow(crRow, p.cr, y, sums)
		row := p.y[y*p.yStride:][:p.width]
		o := out[3*y*p.width:][:3*p.width]
		for x, v := range row {
			cb, cr := cbRow[x], crRow[x]
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

// chromaRow interpolates one row of a chroma plane to the width of the picture.
// sums is scratch, of the plane's width.
func (p *planes) chromaRow(dst, plane []byte, y int, sums []int32) {
	near := plane[(y>>p.subY)*p.cStride:]
	if p.subX == 0 {
		copy(dst, near[:len(dst)])
		return
	}
	far := near
	if p.subY == 1 {
		other := y>>1 - 1 + y&1*2
		other = max(0, min(other, p.cHeight-1))
		far = plane[other*p.cStride:]
	}
	for i := range sums {
		sums[i] = 3*int32(near[i]) + int32(far[i])
	}
	for x := range dst {
		at := x >> 1
		other := max(0, min(at-1+x&1*2, len(sums)-1))
		dst[x] = byte((3*sums[at] + sums[other] + 8) >> 4)
	}
}

func fixed(v float64) int32 { return int32(math.Round(v * (1 << 16))) }

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
