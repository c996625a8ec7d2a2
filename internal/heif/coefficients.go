package heif

import "garb/internal/raster"

// coefficients are the factors of the chroma samples in red, green and blue, and those of red, green and
// blue in luma and chroma.
type coefficients struct {
	rCr, gCb, gCr, bCb float32
	y, cb, cr          [3]float32
}

// bt601 has the rounded factors that libheif takes for unspecified matrices (nclx.cc).
var bt601 = coefficients{
	rCr: 1.402, gCb: -0.344136, gCr: -0.714136, bCb: 1.772,
	y:  [3]float32{0.299, 0.587, 0.114},
	cb: [3]float32{-0.168735, -0.331264, 0.5},
	cr: [3]float32{0.5, -0.418688, -0.081312},
}

// coefficients returns the factors that libheif uses (nclx.cc). They follow from the weights of red
// and blue in Y' (H.273, table 4). Unspecified and reserved matrices are taken for BT.601's.
func (c colour) coefficients() (coefficients, error) {
	var kr, kb float32
	switch c.matrix {
	case 1:
		kr, kb = 0.2126, 0.0722
	case 4:
		kr, kb = 0.30, 0.11
	case 5, 6:
		kr, kb = 0.299, 0.114
	case 7:
		kr, kb = 0.212, 0.087
	case 9, 10:
		kr, kb = 0.2627, 0.0593
	case 12, 13:
		primaries, known := primaryColours[c.primaries]
		if !known {
			return bt601, nil
		}
		kr, kb = primaries.weights()
	case 8, 11, 14, 16: // YCgCo, Y'D'zD'x, ICtCp
		return coefficients{}, raster.Unsupportedf("its colours use matrix %d; save it as JPEG or PNG", c.matrix)
	default:
		return bt601, nil
	}
	kg := 1 - kr - kb
	return coefficients{
		rCr: 2 * (1 - kr), bCb: 2 * (1 - kb),
		gCb: 2 * kb * (1 - kb) / (kb + kr - 1), gCr: 2 * kr * (1 - kr) / (kb + kr - 1),
		y:  [3]float32{kr, kg, kb},
		cb: [3]float32{-kr / (1 - kb) / 2, -kg / (1 - kb) / 2, 0.5},
		cr: [3]float32{0.5, -kg / (1 - kr) / 2, -kb / (1 - kr) / 2},
	}, nil
}

// primaryColour has the chromaticities of red, green, blue and white, x and y.
type primaryColour struct{ red, green, blue, white [2]float32 }

var (
	d65         = [2]float32{0.3127, 0.3290}
	illuminantC = [2]float32{0.310, 0.316}
)

// primaryColours are those of H.273, table 2, by their number. Number 10 is left out: its red and blue have
// no weight in luma, which libheif takes for unknown primaries.
var primaryColours = map[int]primaryColour{
	1:  {[2]float32{0.640, 0.330}, [2]float32{0.300, 0.600}, [2]float32{0.150, 0.060}, d65},
	4:  {[2]float32{0.67, 0.33}, [2]float32{0.21, 0.71}, [2]float32{0.14, 0.08}, illuminantC},
	5:  {[2]float32{0.64, 0.33}, [2]float32{0.29, 0.60}, [2]float32{0.15, 0.06}, d65},
	6:  {[2]float32{0.630, 0.340}, [2]float32{0.310, 0.595}, [2]float32{0.155, 0.070}, d65},
	7:  {[2]float32{0.630, 0.340}, [2]float32{0.310, 0.595}, [2]float32{0.155, 0.070}, d65},
	8:  {[2]float32{0.681, 0.319}, [2]float32{0.243, 0.692}, [2]float32{0.145, 0.049}, illuminantC},
	9:  {[2]float32{0.708, 0.292}, [2]float32{0.170, 0.797}, [2]float32{0.131, 0.046}, d65},
	11: {[2]float32{0.680, 0.320}, [2]float32{0.265, 0.690}, [2]float32{0.150, 0.060}, [2]float32{0.314, 0.351}},
	12: {[2]float32{0.680, 0.320}, [2]float32{0.265, 0.690}, [2]float32{0.150, 0.060}, d65},
	22: {[2]float32{0.630, 0.340}, [2]float32{0.295, 0.605}, [2]float32{0.155, 0.077}, d65},
}

// weights returns the weights of red and blue in Y' (H.273, equations 39 to 44): the parts of the
// primaries in white, times their y.
func (p primaryColour) weights() (kr, kb float32) {
	// The third coordinate makes the sum 1. A primary's part is the volume that it spans with the two
	// others when white takes its place.
	z := func(c [2]float32) float32 { return 1 - c[0] - c[1] }
	volume := func(a, b, c [2]float32) float32 {
		minor := func(a, b [2]float32) float32 { return float32(a[1]*z(b)) - float32(b[1]*z(a)) }
		return float32(a[0]*minor(b, c)) + float32(b[0]*minor(c, a)) + float32(c[0]*minor(a, b))
	}
	all := p.white[1] * volume(p.red, p.green, p.blue)
	return p.red[1] * volume(p.white, p.green, p.blue) / all, p.blue[1] * volume(p.red, p.green, p.white) / all
}
