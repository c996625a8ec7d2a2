//go:build (amd64 || arm64) && !purego

package kernel

import "unsafe"

// tapsTile is the argument of the depthwiseTaps functions. The generator has the same layout.
type tapsTile struct {
	dst, src, out, sums unsafe.Pointer
	count               int     // outputs
	pixel, step         uintptr // bytes between pixels, and between inputs of adjacent outputs
	vectors             int
	mask                uintptr
}

// splitChannels returns the number of full vectors of c channels and the mask of the rest.
func splitChannels(c int) (vectors int, mask uintptr) {
	lanes := level.lanes()
	return c / lanes, makeMask(level, c%lanes)
}

func (d *Depthwise) addTapsVector(kernelRow, sums, ignored, line, out []float32) {
	const value = int(unsafe.Sizeof(float32(0)))
	c := d.Channels
	t := tapsTile{
		dst: unsafe.Pointer(&kernelRow[0]), src: unsafe.Pointer(&line[0]), out: unsafe.Pointer(&out[0]),
		sums:  unsafe.Pointer(&sums[0]),
		count: d.DstWidth, pixel: uintptr(c * value), step: uintptr(d.Stride * c * value),
	}
	t.vectors, t.mask = splitChannels(c)
	if d.KernelWidth == 3 || d.KernelWidth == 5 {
		tapsKernels[level][d.KernelWidth](noescape((*byte)(unsafe.Pointer(&t))))
		return
	}
	for j := range d.KernelWidth {
		t.dst, t.src = unsafe.Pointer(&kernelRow[j*c]), unsafe.Pointer(&line[j*c])
		tapsKernels[level][1](noescape((*byte)(unsafe.Pointer(&t))))
		t.sums = unsafe.Pointer(&ignored[0]) // they are added once
	}
}

func (d *Depthwise) sumTapsVector(dst, src, taps []float32, rows, columns, tapColumns, pixels int) {
	const value = int(unsafe.Sizeof(float32(0)))
	c := d.Channels
	t := depthwiseTile{
		kernel: unsafe.Pointer(&taps[0]),
		srcRow: uintptr(d.DstWidth * c * value), pixel: uintptr(c * value), kernelRow: uintptr(tapColumns * c * value),
		rows: rows, columns: columns,
	}
	t.low, t.high = Identity.bounds()
	t.vectors, t.mask = splitChannels(c)
	run := depthwiseKernels[level][0][0][0]
	for pixel := range pixels {
		t.dst, t.src = unsafe.Pointer(&dst[pixel*d.Stride*c]), unsafe.Pointer(&src[pixel*c])
		run(noescape((*byte)(unsafe.Pointer(&t))))
	}
}
