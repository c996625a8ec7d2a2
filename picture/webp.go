package picture

import "image"

// vp8Rows converts the rows of a lossy WebP as libwebp does: with its "fancy"
// chroma upsampling and its fixed-point conversion from BT.601's limited range
// (libwebp, src/dsp/upsampling.c and yuv.h).
type vp8Rows struct {
	m      *image.YCbCr
	cb, cr []uint8 // a row of chroma at full width
}

func newVP8Rows(m *image.YCbCr) *vp8Rows {
	return &vp8Rows{m, make([]uint8, m.Rect.Dx()), make([]uint8, m.Rect.Dx())}
}

// writeRow writes row y, counted from the picture's top, to out.
func (v *vp8Rows) writeRow(y int, out []uint8) {
	m := v.m
	width, height := m.Rect.Dx(), m.Rect.Dy()
	chromaWidth, chromaHeight := (width+1)/2, (height+1)/2
	near := y / 2
	far := min(max(near-1+y%2*2, 0), chromaHeight-1)
	for _, plane := range []struct{ from, to []uint8 }{{m.Cb, v.cb}, {m.Cr, v.cr}} {
		upsample(plane.to, plane.from[near*m.CStride:][:chromaWidth], plane.from[far*m.CStride:][:chromaWidth])
	}
	for x, l := range m.Y[y*m.YStride:][:width] {
		part := func(v uint8, factor int32) int32 { return int32(v) * factor >> 8 }
		light, b, r := part(l, 19077), v.cb[x], v.cr[x]
		out[3*x] = vp8Level(light + part(r, 26149) - 14234)
		out[3*x+1] = vp8Level(light - part(b, 6419) - part(r, 13320) + 8708)
		out[3*x+2] = vp8Level(light + part(b, 33050) - 17685)
	}
}

// vp8Level rounds a level with 6 bits after the point.
func vp8Level(v int32) uint8 { return uint8(min(max(v>>6, 0), 255)) }

// upsample doubles the width of a row of chroma. The nearest sample has the weight 9/16, those
// beside, above and diagonal 3/16, 3/16 and 1/16, rounded in libwebp's order.
func upsample(to, near, far []uint8) {
	last := len(near) - 1
	for x := range to {
		i := x / 2
		j := i - 1 + x%2*2
		n, v := int(near[i]), int(far[i])
		if j < 0 || j > last {
			to[x] = uint8((3*n + v + 2) >> 2)
			continue
		}
		h, d := int(near[j]), int(far[j])
		diagonal := (n + h + v + d + 8 + 2*(h+v)) >> 3
		to[x] = uint8((diagonal + n) >> 1)
	}
}
