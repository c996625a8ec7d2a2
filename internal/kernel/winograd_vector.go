//go:build (amd64 || arm64) && !purego

package kernel

import "unsafe"

// winogradTile is the argument of the winograd functions. The generator has the same layout.
// Strides are in bytes.
type winogradTile struct {
	pixels, residual, planes, bias unsafe.Pointer
	line, pixel, plane, pitch      uintptr
	count                          int
	vectors                        int     // full vectors of channels
	mask                           uintptr // of the remaining channels, as in gemmTile
	low, high                      float32
}

// transformVector transforms count tiles at the level in use, which has assembly.
func (w *Winograd) transformVector(count, transform int, e *WinogradEpilogue) {
	const value = unsafe.Sizeof(float32(0))
	lanes := level.lanes()
	t := winogradTile{
		pixels: unsafe.Pointer(&w.Map[0]), planes: unsafe.Pointer(&w.Planes[0]),
		bias: unsafe.Pointer(unsafe.SliceData(e.Bias)), residual: unsafe.Pointer(unsafe.SliceData(e.Residual)),
		line: uintptr(w.Line) * value, pixel: uintptr(w.Pixel) * value,
		plane: uintptr(w.Plane) * value, pitch: uintptr(w.Pitch) * value,
		count: count, vectors: w.Channels / lanes, mask: makeMask(level, w.Channels%lanes),
	}
	t.low, t.high = e.Activation.bounds()
	winogradKernels[level][transform](noescape((*byte)(unsafe.Pointer(&t))))
}
