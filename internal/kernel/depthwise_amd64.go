//go:build !purego

package kernel

import "unsafe"

// depthwiseTile is the argument of the depthwise functions; the generator has its
// layout. Strides are in bytes.
type depthwiseTile struct {
	dst, src, kernel, bias unsafe.Pointer
	srcRow                 uintptr // between rows of src
	pixel                  uintptr // between columns of src, kernel and dst
	kernelRow              uintptr // between rows of the kernel
	rows, columns          int     // of the kernel that lie inside the picture
	vectors                int     // full vectors of channels
	mask                   uintptr // of the channels left over, as in gemmTile
	low, high              float32
}

// depthwiseOutputs is the number of outputs that the generator's depthwise
// functions compute together.
const depthwiseOutputs = 4

func depthwiseVector(d *Depthwise, rowLow, rowHigh int, level Level) {
	const value = unsafe.Sizeof(float32(0))
	c := d.Channels
	vector := panelColumns[level].vector
	t := depthwiseTile{
		srcRow:    uintptr(d.SrcWidth*c) * value,
		pixel:     uintptr(c) * value,
		kernelRow: uintptr(d.KernelWidth*c) * value,
		vectors:   c / vector,
		mask:      maskOf(level, c%vector),
	}
	t.low, t.high = d.Activation.bounds()
	if d.Bias != nil {
		t.bias = unsafe.Pointer(&d.Bias[0])
	}
	// Outputs [insideLow,insideHigh) have windows inside the picture from left to
	// right: they are computed several at a time, the last ones twice if need be.
	insideLow := min((d.PadLeft+d.Stride-1)/d.Stride, d.DstWidth)
	insideHigh := insideLow
	if d.SrcWidth >= d.KernelWidth {
		insideHigh = min(d.DstWidth, (d.SrcWidth-d.KernelWidth+d.PadLeft)/d.Stride+1)
	}
	together := (d.KernelWidth == 3 || d.KernelWidth == 5) && d.Stride <= 2 && insideHigh-insideLow >= depthwiseOutputs
	for y := rowLow; y < rowHigh; y++ {
		top := y*d.Stride - d.PadTop
		i := max(0, -top)
		t.rows = min(d.KernelHeight, d.SrcHeight-top) - i
		for x := 0; x < d.DstWidth; {
			several := together && x >= insideLow && x < insideHigh
			if several {
				x = min(x, insideHigh-depthwiseOutputs)
			}
			left := x*d.Stride - d.PadLeft
			j := max(0, -left)
			t.columns = min(d.KernelWidth, d.SrcWidth-left) - j
			t.dst = unsafe.Pointer(&d.Dst[(y*d.DstWidth+x)*c])
			t.src = unsafe.Pointer(&d.Src[((top+i)*d.SrcWidth+left+j)*c])
			t.kernel = unsafe.Pointer(&d.Kernel[(i*d.KernelWidth+j)*c])
			width := 0
			if several {
				width = d.KernelWidth
			}
			if level == AVX512 {
				depthwiseAVX512(width, d.Stride, d.ReLUInput, (*byte)(unsafe.Pointer(&t)))
			} else {
				depthwiseAVX2(width, d.Stride, d.ReLUInput, (*byte)(unsafe.Pointer(&t)))
			}
			if several {
				x += depthwiseOutputs
			} else {
				x++
			}
		}
	}
}

// depthwiseAVX512 calls the function for a kernel's width, 0 for one output at a
// time. The calls are direct, so that the tile stays on the stack.
func depthwiseAVX512(width, stride int, relu bool, t *byte) {
	switch {
	case width == 0 && relu:
		depthwiseOneReLUAVX512(t)
	case width == 0:
		depthwiseOneAVX512(t)
	case width == 3 && stride == 1 && relu:
		depthwise3s1ReLUAVX512(t)
	case width == 3 && stride == 1:
		depthwise3s1AVX512(t)
	case width == 3 && stride == 2 && relu:
		depthwise3s2ReLUAVX512(t)
	case width == 3 && stride == 2:
		depthwise3s2AVX512(t)
	case width == 5 && stride == 1 && relu:
		depthwise5s1ReLUAVX512(t)
	case width == 5 && stride == 1:
		depthwise5s1AVX512(t)
	case width == 5 && stride == 2 && relu:
		depthwise5s2ReLUAVX512(t)
	case width == 5 && stride == 2:
		depthwise5s2AVX512(t)
	}
}

// depthwiseAVX2 calls the function for a kernel's width, 0 for one output at a
// time. The calls are direct, so that the tile stays on the stack.
func depthwiseAVX2(width, stride int, relu bool, t *byte) {
	switch {
	case width == 0 && relu:
		depthwiseOneReLUAVX2(t)
	case width == 0:
		depthwiseOneAVX2(t)
	case width == 3 && stride == 1 && relu:
		depthwise3s1ReLUAVX2(t)
	case width == 3 && stride == 1:
		depthwise3s1AVX2(t)
	case width == 3 && stride == 2 && relu:
		depthwise3s2ReLUAVX2(t)
	case width == 3 && stride == 2:
		depthwise3s2AVX2(t)
	case width == 5 && stride == 1 && relu:
		depthwise5s1ReLUAVX2(t)
	case width == 5 && stride == 1:
		depthwise5s1AVX2(t)
	case width == 5 && stride == 2 && relu:
		depthwise5s2ReLUAVX2(t)
	case width == 5 && stride == 2:
		depthwise5s2AVX2(t)
	}
}
