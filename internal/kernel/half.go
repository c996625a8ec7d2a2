package kernel

import "math"

// HalfToFloat returns the value of an IEEE 754 binary16 number, exactly.
func HalfToFloat(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exponent := uint32(h>>10) & 0x1f
	fraction := uint32(h) & 0x3ff
	switch exponent {
	case 0: // zero and subnormals: fraction · 2⁻²⁴
		v := float32(fraction) * (1.0 / (1 << 24))
		return math.Float32frombits(sign | math.Float32bits(v))
	case 31: // infinity and NaN
		return math.Float32frombits(sign | 0x7f800000 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+112)<<23 | fraction<<13)
}

// FloatToHalf returns the nearest binary16 number, ties to even. Values from 65520 on become
// infinite.
func FloatToHalf(f float32) uint16 {
	bits := math.Float32bits(f)
	sign := uint16(bits>>16) & 0x8000
	bits &= 0x7fffffff
	switch {
	case bits > 0x7f800000: // NaN stays NaN
		return sign | 0x7e00
	case bits >= 0x47800000: // 2¹⁶ and above
		return sign | 0x7c00
	case bits < 0x38800000: // below 2⁻¹⁴: adding 0.5 leaves the rounded subnormal in the low bits
		v := math.Float32frombits(bits) + 0.5
		return sign | uint16(math.Float32bits(v)-0x3f000000)
	}
	bits += 0xfff + bits>>13&1 // round to nearest even at bit 13; a carry may reach infinity
	return sign | uint16((bits-0x38000000)>>13)
}

// FromHalf sets dst[i] to the IEEE 754 binary16 value stored little-endian at
// src[2i]. It panics if src does not have exactly two bytes per value.
func FromHalf(dst []float32, src []byte) {
	if len(src) != 2*len(dst) {
		panic("kernel: half-precision source and destination lengths do not match")
	}
	for i := fromHalfVector(dst, src); i < len(dst); i++ {
		dst[i] = HalfToFloat(uint16(src[2*i]) | uint16(src[2*i+1])<<8)
	}
}
