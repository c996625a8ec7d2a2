//go:build !purego

package kernel

import "unsafe"

// tapsTile is the argument of the depthwiseTaps functions; the generator has its
// layout.
type tapsTile struct {
	dst, src, out, sums unsafe.Pointer
	count               int     // outputs
	pixel, step         uintptr // bytes between pixels, and between inputs of adjacent outputs
	vectors             int
	mask                uintptr
}

// vectorsOf returns how many full vectors c channels make, and the mask of the rest.
func vectorsOf(c int) (vectors int, mask uintptr) {
	if level == AVX512 {
		return c / 16, maskOf(level, c%16)
	}
	return c / 8, maskOf(level, c%8)
}

func (d *Depthwise) tapsVector(into, sums, ignored, line, out []float32) {
	const value = int(unsafe.Sizeof(float32(0)))
	c := d.Channels
	t := tapsTile{
		dst: unsafe.Pointer(&into[0]), src: unsafe.Pointer(&line[0]), out: unsafe.Pointer(&out[0]),
		sums:  unsafe.Pointer(&sums[0]),
		count: d.DstWidth, pixel: uintptr(c * value), step: uintptr(d.Stride * c * value),
	}
	t.vectors, t.mask = vectorsOf(c)
	if d.KernelWidth == 3 || d.KernelWidth == 5 {
		depthwiseTaps(d.KernelWidth, (*byte)(unsafe.Pointer(&t)))
		return
	}
	for j := range d.KernelWidth {
		t.dst, t.src = unsafe.Pointer(&into[j*c]), unsafe.Pointer(&line[j*c])
		depthwiseTaps(1, (*byte)(unsafe.Pointer(&t)))
		t.sums = unsafe.Pointer(&ignored[0]) // they are added once
	}
}

func depthwiseTaps(width int, t *byte) {
	switch {
	case level == AVX512 && width == 1:
		depthwiseTaps1AVX512(t)
	case level == AVX512 && width == 3:
		depthwiseTaps3AVX512(t)
	case level == AVX512:
		depthwiseTaps5AVX512(t)
	case width == 1:
		depthwiseTaps1AVX2(t)
	case width == 3:
		depthwiseTaps3AVX2(t)
	default:
		depthwiseTaps5AVX2(t)
	}
}

func (d *Depthwise) pixelsVector(dst, src, taps []float32, rows, columns, tapColumns, pixels int) {
	const value = int(unsafe.Sizeof(float32(0)))
	c := d.Channels
	t := depthwiseTile{
		kernel: unsafe.Pointer(&taps[0]),
		srcRow: uintptr(d.DstWidth * c * value), pixel: uintptr(c * value), kernelRow: uintptr(tapColumns * c * value),
		rows: rows, columns: columns,
	}
	t.low, t.high = Identity.bounds()
	t.vectors, t.mask = vectorsOf(c)
	for pixel := range pixels {
		t.dst, t.src = unsafe.Pointer(&dst[pixel*d.Stride*c]), unsafe.Pointer(&src[pixel*c])
		if level == AVX512 {
			depthwiseOneAVX512((*byte)(unsafe.Pointer(&t)))
		} else {
			depthwiseOneAVX2((*byte)(unsafe.Pointer(&t)))
		}
	}
}
