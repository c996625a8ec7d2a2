package jpeg

// The inverse transforms of libjpeg: the accurate integer one (Loeffler,
// Ligtenberg and Moschytz 1989, with 13-bit constants and two passes) and its
// reduced forms. Their constants are round(x·2¹³).
const (
	constBits = 13
	passBits  = 2

	fix0211164243 = 1730
	fix0298631336 = 2446
	fix0390180644 = 3196
	fix0509795579 = 4176
	fix0541196100 = 4433
	fix0601344887 = 4926
	fix0720959822 = 5906
	fix0765366865 = 6270
	fix0850430095 = 6967
	fix0899976223 = 7373
	fix1061594337 = 8697
	fix1175875602 = 9633
	fix1272758580 = 10426
	fix1451774981 = 11893
	fix1501321110 = 12299
	fix1847759065 = 15137
	fix1961570560 = 16069
	fix2053119869 = 16819
	fix2172734803 = 17799
	fix2562915447 = 20995
	fix3072711026 = 25172
	fix3624509785 = 29692
)

// clampByte limits v to 0…255.
func clampByte(v int32) byte {
	if uint32(v) > 255 {
		if v < 0 {
			return 0
		}
		return 255
	}
	return byte(v)
}

// descale divides by 2ⁿ, rounding halves up.
func descale(v int32, n uint) int32 { return (v + 1<<(n-1)) >> n }

// fillBlock fills a block that has only its first coefficient.
func fillBlock(out []byte, stride, size int, dc int32) {
	v := clampByte(descale(dc, 3) + 128)
	for y := range size {
		row := out[y*stride:][:size]
		for x := range row {
			row[x] = v
		}
	}
}

// transform turns a block's coefficients into size × size samples.
func transform(block *[64]int16, quantization *[64]int32, out []byte, stride, size int) {
	switch size {
	case 8:
		if vector {
			transformVector(block, quantization, out, stride)
		} else {
			transform8(block, quantization, out, stride)
		}
	case 4:
		transform4(block, quantization, out, stride)
	case 2:
		transform2(block, quantization, out, stride)
	case 1:
		out[0] = clampByte(descale(int32(block[0])*quantization[0], 3) + 128)
	}
}

// transform8 computes 8 × 8 samples: columns first, then rows.
func transform8(block *[64]int16, q *[64]int32, out []byte, stride int) {
	var ws [64]int32
	for i := range 8 {
		c0 := int32(block[i]) * q[i]
		if block[8+i]|block[16+i]|block[24+i]|block[32+i]|block[40+i]|block[48+i]|block[56+i] == 0 {
			v := c0 << passBits
			for j := i; j < 64; j += 8 {
				ws[j] = v
			}
			continue
		}
		o := butterfly(c0, int32(block[8+i])*q[8+i], int32(block[16+i])*q[16+i], int32(block[24+i])*q[24+i],
			int32(block[32+i])*q[32+i], int32(block[40+i])*q[40+i], int32(block[48+i])*q[48+i],
			int32(block[56+i])*q[56+i])
		for j := range 8 {
			ws[8*j+i] = descale(o[j], constBits-passBits)
		}
	}
	for i := range 8 {
		w := ws[8*i:][:8]
		row := out[i*stride:][:8]
		o := butterfly(w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7])
		for j := range row {
			row[j] = clampByte(descale(o[j], constBits+passBits+3) + 128)
		}
	}
}

// butterfly computes the one-dimensional transform of 8 values, times 2¹³.
func butterfly(x0, x1, x2, x3, x4, x5, x6, x7 int32) [8]int32 {
	z1 := (x2 + x6) * fix0541196100
	t2 := z1 - x6*fix1847759065
	t3 := z1 + x2*fix0765366865
	t0 := (x0 + x4) << constBits
	t1 := (x0 - x4) << constBits
	t10, t13, t11, t12 := t0+t3, t0-t3, t1+t2, t1-t2

	z1 = x7 + x1
	z2 := x5 + x3
	z3 := x7 + x3
	z4 := x5 + x1
	z5 := (z3 + z4) * fix1175875602
	z1 *= -fix0899976223
	z2 *= -fix2562915447
	z3 = z3*-fix1961570560 + z5
	z4 = z4*-fix0390180644 + z5
	o0 := x7*fix0298631336 + z1 + z3
	o1 := x5*fix2053119869 + z2 + z4
	o2 := x3*fix3072711026 + z2 + z3
	o3 := x1*fix1501321110 + z1 + z4
	return [8]int32{t10 + o3, t11 + o2, t12 + o1, t13 + o0, t13 - o0, t12 - o1, t11 - o2, t10 - o3}
}

// transform4 computes 4 × 4 samples; the fifth row and column do not count.
func transform4(block *[64]int16, q *[64]int32, out []byte, stride int) {
	var ws [32]int32
	four := func(x0, x1, x2, x3, x5, x6, x7 int32) (int32, int32, int32, int32) {
		t0 := x0 << (constBits + 1)
		t2 := x2*fix1847759065 - x6*fix0765366865
		t10, t12 := t0+t2, t0-t2
		t0 = -x7*fix0211164243 + x5*fix1451774981 - x3*fix2172734803 + x1*fix1061594337
		t2 = -x7*fix0509795579 - x5*fix0601344887 + x3*fix0899976223 + x1*fix2562915447
		return t10 + t2, t12 + t0, t12 - t0, t10 - t2
	}
	for i := range 8 {
		if i == 4 {
			continue
		}
		at := func(row int) int32 { return int32(block[8*row+i]) * q[8*row+i] }
		a, b, c, e := four(at(0), at(1), at(2), at(3), at(5), at(6), at(7))
		const n = constBits - passBits + 1
		ws[i], ws[8+i], ws[16+i], ws[24+i] = descale(a, n), descale(b, n), descale(c, n), descale(e, n)
	}
	for i := range 4 {
		w := ws[8*i:][:8]
		a, b, c, e := four(w[0], w[1], w[2], w[3], w[5], w[6], w[7])
		row := out[i*stride:][:4]
		const n = constBits + passBits + 3 + 1
		row[0], row[1] = clampByte(descale(a, n)+128), clampByte(descale(b, n)+128)
		row[2], row[3] = clampByte(descale(c, n)+128), clampByte(descale(e, n)+128)
	}
}

// transform2 computes 2 × 2 samples; of the rows and columns after the first only the odd ones
// count.
func transform2(block *[64]int16, q *[64]int32, out []byte, stride int) {
	var ws [16]int32
	two := func(x0, x1, x3, x5, x7 int32) (int32, int32) {
		t10 := x0 << (constBits + 2)
		t0 := -x7*fix0720959822 + x5*fix0850430095 - x3*fix1272758580 + x1*fix3624509785
		return t10 + t0, t10 - t0
	}
	for _, i := range [5]int{0, 1, 3, 5, 7} {
		at := func(row int) int32 { return int32(block[8*row+i]) * q[8*row+i] }
		if block[8+i]|block[24+i]|block[40+i]|block[56+i] == 0 {
			ws[i] = at(0) << passBits
			ws[8+i] = ws[i]
			continue
		}
		a, b := two(at(0), at(1), at(3), at(5), at(7))
		const n = constBits - passBits + 2
		ws[i], ws[8+i] = descale(a, n), descale(b, n)
	}
	for i := range 2 {
		w := ws[8*i:][:8]
		a, b := two(w[0], w[1], w[3], w[5], w[7])
		const n = constBits + passBits + 3 + 2
		out[i*stride], out[i*stride+1] = clampByte(descale(a, n)+128), clampByte(descale(b, n)+128)
	}
}
