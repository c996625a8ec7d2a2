package kernel

import (
	"encoding/binary"
	"math"
	"testing"
)

// halfValue computes the definition in IEEE 754-2019, section 3.4, for 1 sign bit, 5
// exponent bits with bias 15 and 10 fraction bits.
func halfValue(h uint16) float64 {
	sign := 1 - 2*float64(h>>15)
	exponent, fraction := int(h>>10&31), float64(h&1023)
	switch {
	case exponent == 31 && fraction != 0:
		return math.NaN()
	case exponent == 31:
		return math.Inf(int(sign))
	case exponent == 0:
		return math.Copysign(math.Ldexp(fraction, -24), sign)
	}
	return sign * math.Ldexp(1024+fraction, exponent-25)
}

// TestHalf takes every half-precision number there and back.
func TestHalf(t *testing.T) {
	for i := range 1 << 16 {
		h := uint16(i)
		want, got := halfValue(h), HalfToFloat(h)
		if want != want {
			if got == got || FloatToHalf(got)&0x7c00 != 0x7c00 || FloatToHalf(got)&0x3ff == 0 {
				t.Fatalf("%#04x: a NaN became %v, and then %#04x", h, got, FloatToHalf(got))
			}
			continue
		}
		if float64(got) != want || math.Signbit(float64(got)) != math.Signbit(want) {
			t.Fatalf("HalfToFloat(%#04x) = %v, want %v", h, got, want)
		}
		if back := FloatToHalf(got); back != h {
			t.Fatalf("FloatToHalf(%v) = %#04x, want %#04x", got, back, h)
		}
	}
}

// TestHalfRounding tries, between each two neighbours, the middle and the nearest
// float32 on both sides of it.
func TestHalfRounding(t *testing.T) {
	for h := uint16(0); h < 0x7c00; h++ {
		low, high := halfValue(h), halfValue(h+1)
		if h+1 == 0x7c00 {
			high = 65536 // where the next number would be
		}
		middle := float32((low + high) / 2)
		even := h + h&1
		for _, c := range []struct {
			value float32
			want  uint16
		}{
			{math.Nextafter32(middle, 0), h},
			{middle, even},
			{math.Nextafter32(middle, 70000), h + 1},
		} {
			if got := FloatToHalf(c.value); got != c.want {
				t.Fatalf("FloatToHalf(%v) = %#04x, want %#04x", c.value, got, c.want)
			}
			if got := FloatToHalf(-c.value); got != c.want|0x8000 {
				t.Fatalf("FloatToHalf(%v) = %#04x, want %#04x", -c.value, got, c.want|0x8000)
			}
		}
	}
	for _, v := range []float32{65536, 1e10, math.MaxFloat32, float32(math.Inf(1))} {
		if got := FloatToHalf(v); got != 0x7c00 {
			t.Errorf("FloatToHalf(%v) = %#04x, want infinity", v, got)
		}
	}
}

func TestFromHalf(t *testing.T) {
	all := make([]byte, 2<<16)
	for i := range 1 << 16 {
		binary.LittleEndian.PutUint16(all[2*i:], uint16(i))
	}
	eachLevel(t, func(t *testing.T, l Level) {
		for _, n := range append(lengths, 1<<16) {
			for _, from := range []int{0, 1<<16 - n} {
				dst := newGuarded(n)
				FromHalf(dst.values, all[2*from:][:2*n])
				dst.check(t)
				for i, v := range dst.values {
					want := HalfToFloat(uint16(from + i))
					if math.Float32bits(v) != math.Float32bits(want) && (v == v || want == want) {
						t.Fatalf("value %d of %d: %v, want %v", i, n, v, want)
					}
				}
			}
		}
	})
	mustPanic(t, "lengths do not match", func() { FromHalf(make([]float32, 2), make([]byte, 5)) })
}
