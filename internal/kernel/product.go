package kernel

// Multiply sets dst[i] = x[i]·y[i]. Any of the slices may be the same. It panics if x or
// y is shorter than dst.
func Multiply(dst, x, y []float32) { applyBinary(multiplyBinary, dst, x, y) }

// AddMultiply sets dst[i] += x[i]·y[i]; with assembly the product is not rounded first.
// It panics if x or y is shorter than dst.
func AddMultiply(dst, x, y []float32) { applyBinary(addMultiplyBinary, dst, x, y) }

// MultiplyRows multiplies each row of x by row: dst[r·c+i] = x[r·c+i]·row[i], for c =
// len(row). dst and x may be the same. It panics if dst is not made of whole rows or x is
// shorter than dst.
func MultiplyRows(dst, x, row []float32) { applyRows(multiplyBinary, dst, x, row) }

// AddMultiplyRows adds to dst each row of x multiplied by row: dst[r·c+i] += x[r·c+i]·row[i],
// for c = len(row); with assembly the product is not rounded first. It panics if dst is not
// made of whole rows or x is shorter than dst.
func AddMultiplyRows(dst, x, row []float32) { applyRows(addMultiplyBinary, dst, x, row) }

// PReLU sets dst[r·c+i] = src[r·c+i] above zero and slopes[i]·src[r·c+i] below, for c =
// len(slopes). dst and src may be the same. It panics if dst is not made of whole rows or
// src is shorter than dst.
func PReLU(dst, src, slopes []float32) { applyRows(preluBinary, dst, src, slopes) }

// PReLUGradient sets dst[r·c+i] *= 1 where src[r·c+i] is above zero, and slopes[i]
// elsewhere. It panics as PReLU does.
func PReLUGradient(dst, src, slopes []float32) { applyRows(preluGradientBinary, dst, src, slopes) }

// PReLUSlopesGradient adds to sums the gradient by PReLU's slopes, where gradient is that by
// its result: sums[i] += Σ_r gradient[r·c+i]·min(src[r·c+i], 0), in the order of r, for c =
// len(sums). It panics if gradient is not made of whole rows or src is shorter.
func PReLUSlopesGradient(sums, gradient, src []float32) {
	if len(gradient) > 0 && (len(sums) == 0 || len(gradient)%len(sums) != 0) {
		panic("kernel: gradient is not made of whole rows")
	}
	if len(src) < len(gradient) {
		panic("kernel: source is shorter than gradient")
	}
	for low := 0; low < len(gradient); low += len(sums) {
		applyBinary(preluSlopesBinary, sums, src[low:], gradient[low:])
	}
}

// binaryFunction is a function of two slices.
type binaryFunction uint8

const (
	multiplyBinary binaryFunction = iota
	addMultiplyBinary
	preluBinary
	preluGradientBinary
	preluSlopesBinary
	binaryFunctions // the number of functions
)

func applyBinary(f binaryFunction, dst, x, y []float32) {
	if len(x) < len(dst) || len(y) < len(dst) {
		panic("kernel: source is shorter than destination")
	}
	x, y = x[:len(dst)], y[:len(dst)]
	if level.complete() {
		binaryVectors(f, dst, x, y)
		return
	}
	switch f {
	case multiplyBinary:
		for i, v := range x {
			dst[i] = v * y[i]
		}
	case addMultiplyBinary:
		for i, v := range x {
			dst[i] += float32(v * y[i])
		}
	case preluBinary:
		for i, v := range x {
			if !(v > 0) {
				v *= y[i]
			}
			dst[i] = v
		}
	case preluSlopesBinary:
		for i, v := range x {
			dst[i] += float32(min(v, 0) * y[i])
		}
	case preluGradientBinary:
		for i, v := range x {
			dst[i] *= float32(leakyReLUDerivative(float64(v), float64(y[i]), 0))
		}
	}
}

// applyRows computes f of each row of x and row. Short rows are processed several at a time, with
// as many copies of row.
func applyRows(f binaryFunction, dst, x, row []float32) {
	switch {
	case len(row) == 0 && len(dst) == 0:
		return
	case len(row) == 0 || len(dst)%len(row) != 0:
		panic("kernel: destination is not made of whole rows")
	case len(x) < len(dst):
		panic("kernel: source is shorter than destination")
	}
	var copies [256]float32
	if len(row) <= len(copies)/2 && len(dst) > len(row) {
		n := 0
		for n+len(row) <= min(len(copies), len(dst)) {
			n += copy(copies[n:], row)
		}
		row = copies[:n]
	}
	for low := 0; low < len(dst); low += len(row) {
		n := min(len(row), len(dst)-low)
		applyBinary(f, dst[low:][:n], x[low:], row)
	}
}
