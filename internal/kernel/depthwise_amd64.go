//go:build !purego

package kernel

import "unsafe"

// depthwiseTile is the argument of the depthwise functions; the generator has its
// layout. Strides are in bytes.
type depthwiseTile struct {
	dst, src      unsafe.Pointer
	left          int  // bytes from src to the first column; it may lie outside the picture
	inside        uint // bit q: column q lies inside the picture and an output needs it
	outputs       int
	kernel, bias  unsafe.Pointer
	srcRow        uintptr // between rows of src
	pixel         uintptr // between columns of src, kernel and dst
	kernelRow     uintptr // between rows of the kernel
	rows, columns int     // of the kernel that lie inside the picture
	vectors       int     // full vectors of channels
	mask          uintptr // of the channels left over, as in gemmTile
	low, high     float32
}

// depthwiseOutputs is the largest number of outputs that the generator's depthwise
// functions compute together.
const depthwiseOutputs = 8

func depthwiseVector(d *Depthwise, rowLow, rowHigh int, level Level) {
	const value = int(unsafe.Sizeof(float32(0)))
	c := d.Channels
	vector := 8 // values
	if level == AVX512 {
		vector = 16
	}
	t := depthwiseTile{
		srcRow:    uintptr(d.SrcWidth * c * value),
		pixel:     uintptr(c * value),
		kernelRow: uintptr(d.KernelWidth * c * value),
		vectors:   c / vector,
		mask:      maskOf(level, c%vector),
	}
	t.low, t.high = d.Activation.bounds()
	if d.Bias != nil {
		t.bias = unsafe.Pointer(&d.Bias[0])
	}
	width, blocks := 0, d.DstWidth // one output at a time
	if (d.KernelWidth == 3 || d.KernelWidth == 5) && d.Stride <= 2 {
		width, blocks = d.KernelWidth, (d.DstWidth+depthwiseOutputs-1)/depthwiseOutputs
	}
	for y := rowLow; y < rowHigh; y++ {
		top := y*d.Stride - d.PadTop
		i := max(0, -top)
		t.rows = min(d.KernelHeight, d.SrcHeight-top) - i
		for x, rest := 0, blocks; rest > 0; rest-- {
			t.outputs = (d.DstWidth - x + rest - 1) / rest
			left := x*d.Stride - d.PadLeft
			columnLow := max(0, -left)
			columnHigh := min((t.outputs-1)*d.Stride+d.KernelWidth, d.SrcWidth-left)
			t.dst = unsafe.Pointer(&d.Dst[(y*d.DstWidth+x)*c])
			t.kernel = unsafe.Pointer(&d.Kernel[i*d.KernelWidth*c])
			t.src = unsafe.Pointer(&d.Src[(top+i)*d.SrcWidth*c])
			t.left = left * c * value
			t.inside = 1<<columnHigh - 1<<columnLow
			if width == 0 {
				t.src = unsafe.Add(t.src, (left+columnLow)*c*value)
				t.kernel = unsafe.Add(t.kernel, columnLow*c*value)
				t.columns = columnHigh - columnLow
			}
			if level == AVX512 {
				depthwiseAVX512(width, d.Stride, d.ReLUInput, (*byte)(unsafe.Pointer(&t)))
			} else {
				depthwiseAVX2(width, d.Stride, d.ReLUInput, (*byte)(unsafe.Pointer(&t)))
			}
			x += t.outputs
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
