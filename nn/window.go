package nn

import (
	"cmp"
	"fmt"
)

// Padding says what a convolution or pooling does at the border.
type Padding uint8

const (
	// Valid uses only positions where the whole window lies inside: the output
	// has ⌊(size−window)/stride⌋+1 positions.
	Valid Padding = iota
	// Same pads with zeros so that the output has ⌈size/stride⌉ positions; of an
	// odd amount of padding the larger part is at the end, as in TensorFlow.
	Same
)

// SamePadding returns the zeros before and after an axis of size values that Same puts
// there for a window that reaches over reach values, its gaps included.
func SamePadding(size, reach, stride int) (before, after int) {
	positions := (size + stride - 1) / stride
	total := max(0, (positions-1)*stride+reach-size)
	return total / 2, total - total/2
}

// Strides returns how far a layer's window moves at a time, down and along a row.
func (l Layer) Strides() (height, width int) {
	return l.Stride, cmp.Or(l.StrideWidth, l.Stride)
}

// Dilations returns the distances between adjacent taps of a layer's window, down and along
// a row: 1 for a window without gaps.
func (l Layer) Dilations() (height, width int) {
	height = cmp.Or(l.Dilation, 1)
	return height, cmp.Or(l.DilationWidth, height)
}

// Reach returns how many rows and columns a layer's window reaches over, its gaps included.
func (l Layer) Reach() (height, width int) {
	down, along := l.Dilations()
	return (l.Height-1)*down + 1, (l.Width-1)*along + 1
}

// SetStrides sets what Strides returns.
func (l *Layer) SetStrides(height, width int) {
	l.Stride, l.StrideWidth = height, width
	if width == height {
		l.StrideWidth = 0
	}
}

// SetDilations sets what Dilations returns.
func (l *Layer) SetDilations(height, width int) {
	l.Dilation, l.DilationWidth = height, width
	if width == height {
		l.DilationWidth = 0
	}
	if height == 1 {
		l.Dilation = 0
	}
}

// windowed has what operations with a window share.
type windowed struct{ unary }

func (windowed) settings(l Layer) Layer {
	s := Layer{Height: l.Height, Width: l.Width, Same: l.Same}
	s.SetStrides(l.Strides())
	s.SetDilations(l.Dilations())
	return s
}

func (windowed) text(l Layer) string {
	text := fmt.Sprintf(" %d×%d", l.Height, l.Width)
	switch height, width := l.Strides(); {
	case height != width:
		text += fmt.Sprintf(" /%d×%d", height, width)
	case height > 1:
		text += fmt.Sprintf(" /%d", height)
	}
	switch height, width := l.Dilations(); {
	case height != width:
		text += fmt.Sprintf(" dilated %d×%d", height, width)
	case height > 1:
		text += fmt.Sprintf(" dilated %d", height)
	}
	return text
}

// slide returns the height and width of what a layer's windows over a map make.
func (l Layer) slide(in []int) (height, width int, err error) {
	if err := isMap(in); err != nil {
		return 0, 0, err
	}
	strideHeight, strideWidth := l.Strides()
	dilationHeight, dilationWidth := l.Dilations()
	if height, err = l.positions(in[0], l.Height, strideHeight, dilationHeight); err == nil {
		width, err = l.positions(in[1], l.Width, strideWidth, dilationWidth)
	}
	return height, width, err
}

// positions returns the number of places that a layer's window has along an axis.
func (l Layer) positions(size, window, stride, dilation int) (int, error) {
	if window <= 0 || stride <= 0 {
		return 0, fmt.Errorf("window of %d with stride %d", window, stride)
	}
	if window-1 > (maxSetting-1)/dilation {
		return 0, fmt.Errorf("window of %d with dilation %d reaches over more than %d", window, dilation, maxSetting)
	}
	reach := (window-1)*dilation + 1
	switch {
	case l.Same:
		return (size + stride - 1) / stride, nil
	case size < reach:
		return 0, fmt.Errorf("window of %d does not fit into %d", reach, size)
	}
	return (size-reach)/stride + 1, nil
}

// window is where a layer's windows are on a feature map: what its step computes with.
type window struct {
	height, width, channels       int // of the input
	outHeight, outWidth           int
	kernelHeight, kernelWidth     int
	strideHeight, strideWidth     int
	dilationHeight, dilationWidth int
	padTop, padLeft               int
}

// window returns that of a node with one input.
func (n *node) window() window {
	in := n.inputs[0]
	w := window{
		height: in[0], width: in[1], channels: in[2], outHeight: n.shape[0], outWidth: n.shape[1],
		kernelHeight: n.Height, kernelWidth: n.Width,
	}
	w.strideHeight, w.strideWidth = n.Strides()
	w.dilationHeight, w.dilationWidth = n.Dilations()
	if n.Same {
		reachHeight, reachWidth := n.Reach()
		w.padTop, _ = SamePadding(in[0], reachHeight, w.strideHeight)
		w.padLeft, _ = SamePadding(in[1], reachWidth, w.strideWidth)
	}
	// A single tap has no gaps beside it.
	if w.kernelHeight == 1 {
		w.dilationHeight = 1
	}
	if w.kernelWidth == 1 {
		w.dilationWidth = 1
	}
	return w
}

// touches reports whether the first and the last windows reach into the map.
func (w *window) touches() bool {
	return w.padTop <= (w.kernelHeight-1)*w.dilationHeight && (w.outHeight-1)*w.strideHeight-w.padTop < w.height &&
		w.padLeft <= (w.kernelWidth-1)*w.dilationWidth && (w.outWidth-1)*w.strideWidth-w.padLeft < w.width
}

// padded reports whether a window reaches over the border.
func (w *window) padded() bool {
	return w.padTop > 0 || w.padLeft > 0 ||
		(w.outHeight-1)*w.strideHeight+(w.kernelHeight-1)*w.dilationHeight >= w.height ||
		(w.outWidth-1)*w.strideWidth+(w.kernelWidth-1)*w.dilationWidth >= w.width
}

// dense reports whether windows have no gaps and move as far down as along a row.
func (w *window) dense() bool {
	return w.dilationHeight == 1 && w.dilationWidth == 1 && w.strideHeight == w.strideWidth
}

// lineLen is the number of values in an input row with its padding, for windows without
// gaps in their rows.
func (w *window) lineLen() int {
	return ((w.outWidth-1)*w.strideWidth + w.kernelWidth) * w.channels
}

// taps returns which of count taps, dilation apart, lie inside an axis of size values: the
// first of them at position start, which may lie before the axis.
func taps(start, count, dilation, size int) (low, high int) {
	if start < 0 {
		low = (-start + dilation - 1) / dilation
	}
	if start < size {
		high = min(count, (size-start+dilation-1)/dilation)
	}
	return low, high
}
