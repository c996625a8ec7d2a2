package kernel

// Max sets dst[i] = max(dst[i], src[i]). It panics if src is shorter than dst.
func Max(dst, src []float32) {
	src = src[:len(dst)]
	done := maxVector(dst, src)
	for i, v := range src[done:] {
		dst[done+i] = max(dst[done+i], v)
	}
}

// Add sets dst[i] = act(dst[i] + src[i]). It panics if src is shorter than dst.
func Add(dst, src []float32, a Activation) {
	src = src[:len(dst)]
	low, high := a.bounds()
	done := addVector(dst, src, low, high)
	for i, v := range src[done:] {
		dst[done+i] = min(max(dst[done+i]+v, low), high)
	}
}

// Activate sets dst[i] = act(src[i]). The slices may be the same. It panics if src
// is shorter than dst.
func Activate(dst, src []float32, a Activation) {
	src = src[:len(dst)]
	low, high := a.bounds()
	done := activateVector(dst, src, low, high)
	activate(dst[done:], src[done:], a)
}

// Scale sets dst[i] *= factor.
func Scale(dst []float32, factor float32) { applyUnary(scaleUnary, dst, dst, float64(factor), 0) }

// ActivationGradient turns dst from the gradient by an activation's result out into
// the gradient by its argument: it sets dst[i] = 0 where the activation is flat. It
// panics if out is shorter than dst.
func ActivationGradient(dst, out []float32, a Activation) {
	if a == Identity {
		return
	}
	out = out[:len(dst)]
	low, high := a.bounds()
	done := zeroOutsideVector(dst, out, low, high)
	for i, v := range out[done:] {
		if !(v > low && v < high) {
			dst[done+i] = 0
		}
	}
}
