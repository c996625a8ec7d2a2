//go:build ((amd64 || arm64) && !purego) || (js && simd128)

package kernel

import "unsafe"

// depthwiseTile is the argument of the depthwise functions. The generator has the same layout.
// Strides are in bytes.
type depthwiseTile struct {
	dst, src      unsafe.Pointer
	left          int  // bytes from src to the first column, which may be outside the picture
	inside        uint // bit q: column q is inside the picture and an output needs it
	outputs       int
	kernel, bias  unsafe.Pointer
	srcRow        uintptr // between rows of src
	pixel         uintptr // between columns of src, kernel and dst
	kernelRow     uintptr // between rows of the kernel
	rows, columns int     // of the kernel that lie inside the picture
	vectors       int     // full vectors of channels
	mask          uintptr // of the remaining channels, as in gemmTile
	low, high     float32
}

// depthwiseOutputs is the largest number of outputs that the generator's depthwise
// functions compute together.
const depthwiseOutputs = 8

func depthwiseVector(d *Depthwise, rowLow, rowHigh int, level Level) {
	const value = int(unsafe.Sizeof(float32(0)))
	c := d.Channels
	lanes := level.lanes()
	t := depthwiseTile{
		srcRow:    uintptr(d.SrcWidth * c * value),
		pixel:     uintptr(c * value),
		kernelRow: uintptr(d.KernelWidth * c * value),
		vectors:   c / lanes,
		mask:      makeMask(level, c%lanes),
	}
	t.low, t.high = d.Activation.bounds()
	if d.Bias != nil {
		t.bias = unsafe.Pointer(&d.Bias[0])
	}
	// One output at a time, unless the generator has a function for the width and stride.
	width, stride, relu, blocks := 0, 0, 0, d.DstWidth
	if (d.KernelWidth == 3 || d.KernelWidth == 5) && d.Stride <= 2 && level != SIMD128 {
		width, stride, blocks = d.KernelWidth, d.Stride, (d.DstWidth+depthwiseOutputs-1)/depthwiseOutputs
	}
	if d.ReLUInput {
		relu = 1
	}
	run := depthwiseKernels[level][width][stride][relu]
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
			run(noescape((*byte)(unsafe.Pointer(&t))))
			x += t.outputs
		}
	}
}
