package jpeg

import "encoding/binary"

// The inverse transforms of libjpeg: the accurate integer one (Loeffler,
// Ligtenberg and Moschytz 1989, with 13-bit constants and two passes) and its
// reduced forms. Their constants are round(x·2¹³).
//
// Damaged data can have coefficients far out of range. Then what libjpeg-turbo's vector code does
// counts (jidctint-avx2.asm, jidctred-sse2.asm): it multiplies and adds in 16 bits, without the
// carry, and limits results of the first pass to 16 bits.
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

// clampWords limits values to 16 bits. beyond has 1<<15 added to each of them, with bits from 16 on only
// if one does not fit.
func clampWords(values []int32, beyond int32) {
	if uint32(beyond)>>16 == 0 {
		return
	}
	for i, v := range values {
		values[i] = min(max(v, -1<<15), 1<<15-1)
	}
}

// descale divides by 2ⁿ, rounding halves up.
func descale(v int32, n uint) int32 { return (v + 1<<(n-1)) >> n }

// fillBlock fills a block that has only its first coefficient.
func fillBlock(out []byte, stride, size int, dc, quantization int16) {
	if size == 1 {
		out[0] = onePixel(dc, quantization)
		return
	}
	v := clampByte(descale(int32(dc*quantization<<passBits), passBits+3) + 128)
	if size == 2 {
		v = clampByte(descale(int32(dc*quantization)<<(constBits+passBits+2), constBits+passBits+3+2) + 128)
	}
	if size == 8 {
		for y := range 8 {
			binary.LittleEndian.PutUint64(out[y*stride:], uint64(v)*0x0101010101010101)
		}
		return
	}
	for y := range size {
		row := out[y*stride:][:size]
		for x := range row {
			row[x] = v
		}
	}
}

// onePixel returns the only sample of a block at 1/8 of the size. It takes 10 bits of the sum, as
// libjpeg's table of limits does.
func onePixel(dc, quantization int16) byte {
	v := descale(int32(dc)*int32(quantization), 3) & 1023
	return clampByte((v ^ 512 - 512) + 128)
}

// transform turns a block's coefficients into size × size samples.
func transform(block, quantization *[64]int16, out []byte, stride, size int) {
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
		out[0] = onePixel(block[0], quantization[0])
	}
}

// isZero reports whether coefficients are zero.
func isZero(coefficients []int16) bool {
	var all int16
	for _, v := range coefficients {
		all |= v
	}
	return all == 0
}

// tooLarge is set in a sum of coefficient + 1<<13 if the coefficient times 4 does not fit into 16 bits.
// For blocks without coefficients after the first row libjpeg-turbo takes a shortcut, which loses the
// bits beyond.
const tooLarge = -1 << (16 - passBits)

// transform8 computes 8 × 8 samples: columns first, then rows.
func transform8(block, q *[64]int16, out []byte, stride int) {
	var ws [64]int32
	var beyond, large int32
	for i := range 8 {
		at := func(row int) int16 { return block[8*row+i] * q[8*row+i] }
		large |= int32(at(0)) + 1<<(15-passBits)
		o := butterfly(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7))
		for j := range 8 {
			v := descale(o[j], constBits-passBits)
			ws[8*j+i] = v
			beyond |= v + 1<<15
		}
	}
	clampWords(ws[:], beyond)
	if large&tooLarge != 0 && isZero(block[8:]) {
		for i := range ws {
			ws[i] = int32(block[i%8] * q[i%8] << passBits)
		}
	}
	for i := range 8 {
		w := ws[8*i:][:8]
		row := out[i*stride:][:8]
		o := butterfly(int16(w[0]), int16(w[1]), int16(w[2]), int16(w[3]), int16(w[4]), int16(w[5]), int16(w[6]),
			int16(w[7]))
		for j := range row {
			row[j] = clampByte(descale(o[j], constBits+passBits+3) + 128)
		}
	}
}

// butterfly computes the one-dimensional transform of 8 values, times 2¹³.
func butterfly(x0, x1, x2, x3, x4, x5, x6, x7 int16) [8]int32 {
	a, b := int32(x2), int32(x6)
	t2 := a*fix0541196100 + b*(fix0541196100-fix1847759065)
	t3 := a*(fix0541196100+fix0765366865) + b*fix0541196100
	t0 := int32(x0+x4) << constBits
	t1 := int32(x0-x4) << constBits
	t10, t13, t11, t12 := t0+t3, t0-t3, t1+t2, t1-t2

	// The sums in parentheses are of 16 bits.
	z3, z4 := int32(x7+x3), int32(x5+x1)
	z5 := z3*fix1175875602 + z4*(fix1175875602-fix0390180644)
	z3 = z3*(fix1175875602-fix1961570560) + z4*fix1175875602
	c, e, f, g := int32(x7), int32(x5), int32(x3), int32(x1)
	o0 := c*(fix0298631336-fix0899976223) - g*fix0899976223 + z3
	o1 := e*(fix2053119869-fix2562915447) - f*fix2562915447 + z5
	o2 := -e*fix2562915447 + f*(fix3072711026-fix2562915447) + z3
	o3 := -c*fix0899976223 + g*(fix1501321110-fix0899976223) + z5
	return [8]int32{t10 + o3, t11 + o2, t12 + o1, t13 + o0, t13 - o0, t12 - o1, t11 - o2, t10 - o3}
}

// transform4 computes 4 × 4 samples; the fifth row and column do not count.
func transform4(block, q *[64]int16, out []byte, stride int) {
	var ws [32]int32
	var beyond, large int32
	for i := range 8 {
		if i == 4 {
			continue
		}
		at := func(row int) int32 { return int32(block[8*row+i] * q[8*row+i]) }
		x0 := at(0)
		large |= x0 + 1<<(15-passBits)
		a, b, c, e := butterfly4(x0, at(1), at(2), at(3), at(5), at(6), at(7))
		const n = constBits - passBits + 1
		a, b, c, e = descale(a, n), descale(b, n), descale(c, n), descale(e, n)
		ws[i], ws[8+i], ws[16+i], ws[24+i] = a, b, c, e
		beyond |= (a + 1<<15) | (b + 1<<15) | (c + 1<<15) | (e + 1<<15)
	}
	clampWords(ws[:], beyond)
	if large&tooLarge != 0 && isZero(block[8:32]) && isZero(block[40:]) {
		for i := range ws {
			ws[i] = int32(block[i%8] * q[i%8] << passBits)
		}
	}
	for i := range 4 {
		w := ws[8*i:][:8]
		a, b, c, e := butterfly4(w[0], w[1], w[2], w[3], w[5], w[6], w[7])
		row := out[i*stride:][:4]
		const n = constBits + passBits + 3 + 1
		row[0], row[1] = clampByte(descale(a, n)+128), clampByte(descale(b, n)+128)
		row[2], row[3] = clampByte(descale(c, n)+128), clampByte(descale(e, n)+128)
	}
}

// butterfly4 computes 4 values of the one-dimensional transform, times 2¹⁴.
func butterfly4(x0, x1, x2, x3, x5, x6, x7 int32) (a, b, c, e int32) {
	t0 := x0 << (constBits + 1)
	t2 := x2*fix1847759065 - x6*fix0765366865
	t10, t12 := t0+t2, t0-t2
	t0 = -x7*fix0211164243 + x5*fix1451774981 - x3*fix2172734803 + x1*fix1061594337
	t2 = -x7*fix0509795579 - x5*fix0601344887 + x3*fix0899976223 + x1*fix2562915447
	return t10 + t2, t12 + t0, t12 - t0, t10 - t2
}

// transform2 computes 2 × 2 samples; of the rows and columns after the first only the odd ones
// count.
func transform2(block, q *[64]int16, out []byte, stride int) {
	var ws [2][8]int32
	for _, i := range [5]int{0, 1, 3, 5, 7} {
		at := func(row int) int32 { return int32(block[8*row+i] * q[8*row+i]) }
		t := at(0) << (constBits + 2)
		odd := weighOdd(at(1), at(3), at(5), at(7))
		const n = constBits - passBits + 2
		a, b := descale(t+odd, n), descale(t-odd, n)
		ws[0][i], ws[1][i] = a, b
	}
	for i := range 2 {
		w := &ws[i]
		t := w[0] << (constBits + 2) // of 32 bits, other than the rest
		beyond := (w[1] + 1<<15) | (w[3] + 1<<15) | (w[5] + 1<<15) | (w[7] + 1<<15)
		clampWords(w[:], beyond)
		odd := weighOdd(w[1], w[3], w[5], w[7])
		const n = constBits + passBits + 3 + 2
		out[i*stride], out[i*stride+1] = clampByte(descale(t+odd, n)+128), clampByte(descale(t-odd, n)+128)
	}
}

// weighOdd returns the odd part of 2 values of the one-dimensional transform, times 2¹⁵.
func weighOdd(x1, x3, x5, x7 int32) int32 {
	return x1*fix3624509785 - x3*fix1272758580 + x5*fix0850430095 - x7*fix0720959822
}
