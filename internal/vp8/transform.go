package vp8

// transformDC writes the DC coefficients of 16 blocks, which are the inverse Walsh–Hadamard transform
// of dc (RFC 6386, section 14.3).
func transformDC(dc *[16]int16, out *[24 * 16]int16) {
	var t [16]int32
	for i := range 4 {
		a, b := int32(dc[i])+int32(dc[12+i]), int32(dc[4+i])+int32(dc[8+i])
		c, d := int32(dc[4+i])-int32(dc[8+i]), int32(dc[i])-int32(dc[12+i])
		t[i], t[4+i], t[8+i], t[12+i] = a+b, d+c, a-b, d-c
	}
	for i := range 4 {
		u := t[4*i:][:4]
		a, b := u[0]+u[3]+3, u[1]+u[2]
		c, d := u[1]-u[2], u[0]-u[3]+3
		o := out[64*i:][:49]
		o[0], o[16], o[32], o[48] = int16((a+b)>>3), int16((d+c)>>3), int16((a-b)>>3), int16((d-c)>>3)
	}
}

// The factors of the inverse cosine transform in 1/65536 (RFC 6386, section 14.4): √2·cos(π/8) − 1
// and √2·sin(π/8).
const (
	cosine = 20091
	sine   = 35468
)

// addResidual adds the inverse cosine transform of a block to 4 × 4 samples at w[at]. Sums wrap at 16
// bits, as in libwebp's assembly.
func addResidual(block *[16]int16, w *workspace, at int) {
	var t [16]int16
	for i := range 4 {
		t[i], t[4+i], t[8+i], t[12+i] = butterfly(block[i], block[4+i], block[8+i], block[12+i])
	}
	for i := range 4 {
		u := t[4*i:][:4]
		u[0], u[1], u[2], u[3] = butterfly(u[0]+4, u[1], u[2], u[3])
	}
	for y := range 4 {
		row := w[at+y*workStride:][:4]
		for x := range row {
			row[x] = clamp(int32(int16(row[x]) + t[4*y+x]>>3))
		}
	}
}

// butterfly transforms four values. sine is subtracted from 65536, so that it fits into 16 bits.
func butterfly(v0, v1, v2, v3 int16) (o0, o1, o2, o3 int16) {
	high := func(v int16, k int32) int16 { return int16(int32(v) * k >> 16) }
	a, b := v0+v2, v0-v2
	c := v1 - v3 + (high(v1, sine-65536) - high(v3, cosine))
	d := v1 + v3 + (high(v1, cosine) + high(v3, sine-65536))
	return a + d, b + c, b - c, a - d
}

// addFewResidual is addResidual for blocks of which only coefficients 0, 1 and 4 are not zero, without
// overflow.
func addFewResidual(block *[16]int16, w *workspace, at int) {
	product := func(v int16, k int32) int32 { return int32(v) * k >> 16 }
	c4, d4 := product(block[4], sine), product(block[4], cosine)+int32(block[4])
	c1, d1 := product(block[1], sine), product(block[1], cosine)+int32(block[1])
	dc := int32(block[0]) + 4
	for y, v := range [4]int32{dc + d4, dc + c4, dc - c4, dc - d4} {
		row := w[at+y*workStride:][:4]
		for x, u := range [4]int32{d1, c1, -c1, -d1} {
			row[x] = clamp(int32(row[x]) + (v+u)>>3)
		}
	}
}

// addDC is addResidual for blocks of which only the DC coefficient is not zero, without overflow.
func addDC(dc int16, w *workspace, at int) {
	v := (int32(dc) + 4) >> 3
	for y := range 4 {
		row := w[at+y*workStride:][:4]
		for x := range row {
			row[x] = clamp(int32(row[x]) + v)
		}
	}
}

func clamp(v int32) uint8 { return uint8(min(max(v, 0), 255)) }
