package kernel

// Max sets dst[i] = max(dst[i], src[i]). The slices have one length.
func Max(dst, src []float32) { runMax(dst, src) }

// Add sets dst[i] = act(dst[i] + src[i]). The slices have one length.
func Add(dst, src []float32, a Activation) { runAdd(dst, src, a) }

// Activate sets dst[i] = act(src[i]). The slices have one length and may be the
// same.
func Activate(dst, src []float32, a Activation) { runActivate(dst, src, a) }

// Scale sets dst[i] *= factor.
func Scale(dst []float32, factor float32) {
	for i := range dst {
		dst[i] *= factor
	}
}

// FromHalf sets dst[i] to the IEEE 754 binary16 value stored little-endian at
// src[2i]. It panics if src does not hold exactly two bytes a value.
func FromHalf(dst []float32, src []byte) {
	if len(src) != 2*len(dst) {
		panic("kernel: half-precision source and destination lengths do not match")
	}
	runFromHalf(dst, src)
}

func maxGeneric(dst, src []float32) {
	for i, v := range src[:len(dst)] {
		dst[i] = max(dst[i], v)
	}
}

func addGeneric(dst, src []float32, a Activation) {
	for i, v := range src[:len(dst)] {
		dst[i] += v
	}
	if a != Identity {
		activate(dst, dst, a)
	}
}
