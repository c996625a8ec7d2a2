package nn

import (
	"cmp"
	"fmt"
)

// Padding says how a convolution or pooling treats the border.
type Padding uint8

const (
	// Valid uses only positions where the whole window is inside: the output has
	// ⌊(size−window)/stride⌋+1 positions.
	Valid Padding = iota
	// Same pads with zeros so that the output has ⌈size/stride⌉ positions. If the amount of padding
	// is odd, the larger part is at the end, as in TensorFlow.
	Same
)

// SamePadding returns the zeros that Same adds before and after an axis of size values for a window
// that covers reach values, dilation included.
func SamePadding(size, reach, stride int) (before, after int) {
	positions := (size + stride - 1) / stride
	total := max(0, (positions-1)*stride+reach-size)
	return total / 2, total - total/2
}

// Strides returns the distances between adjacent windows of a layer, vertically and horizontally.
func (l Layer) Strides() (height, width int) {
	return l.Stride, cmp.Or(l.StrideWidth, l.Stride)
}

// Dilations returns the distances between adjacent taps of a layer's window, vertically and
// horizontally: 1 for a window that is not dilated.
func (l Layer) Dilations() (height, width int) {
	height = cmp.Or(l.Dilation, 1)
	return height, cmp.Or(l.DilationWidth, height)
}

// Reach returns the numbers of rows and columns that a layer's window covers, dilation included.
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

// windowed has the methods that operations with a window share.
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

// slideOver returns the height and width of the output of a layer's windows over a map.
func (l Layer) slideOver(in []int) (height, width int, err error) {
	if err = checkMap(in); err != nil {
		return 0, 0, err
	}
	strideHeight, strideWidth := l.Strides()
	dilationHeight, dilationWidth := l.Dilations()
	if height, err = l.positions(in[0], l.Height, strideHeight, dilationHeight); err == nil {
		width, err = l.positions(in[1], l.Width, strideWidth, dilationWidth)
	}
	return height, width, err
}

// positions returns the number of positions of a layer's window along an axis.
func (l Layer) positions(size, window, stride, dilation int) (int, error) {
	if window <= 0 || stride <= 0 {
		return 0, fmt.Errorf("window of %d with stride %d", window, stride)
	}
	if window-1 > (maxSetting-1)/dilation {
		return 0, fmt.Errorf("window of %d with dilation %d covers more than %d", window, dilation, maxSetting)
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

// window is the geometry of a layer's windows on a feature map.
type window struct {
	height, width, channels       int // of the input
	outHeight, outWidth           int
	kernelHeight, kernelWidth     int
	strideHeight, strideWidth     int
	dilationHeight, dilationWidth int
	padTop, padLeft               int
}

// window returns the geometry of a node with one input.
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
	// A single tap has no neighbours.
	if w.kernelHeight == 1 {
		w.dilationHeight = 1
	}
	if w.kernelWidth == 1 {
		w.dilationWidth = 1
	}
	return w
}

// reachesMap reports whether the first and the last windows reach into the map.
func (w *window) reachesMap() bool {
	return w.padTop <= (w.kernelHeight-1)*w.dilationHeight && (w.outHeight-1)*w.strideHeight-w.padTop < w.height &&
		w.padLeft <= (w.kernelWidth-1)*w.dilationWidth && (w.outWidth-1)*w.strideWidth-w.padLeft < w.width
}

// isPadded reports whether a window reaches over the border.
func (w *window) isPadded() bool {
	return w.padTop > 0 || w.padLeft > 0 ||
		(w.outHeight-1)*w.strideHeight+(w.kernelHeight-1)*w.dilationHeight >= w.height ||
		(w.outWidth-1)*w.strideWidth+(w.kernelWidth-1)*w.dilationWidth >= w.width
}

// isContiguous reports whether windows are not dilated and have the same stride vertically and
// horizontally.
func (w *window) isContiguous() bool {
	return w.dilationHeight == 1 && w.dilationWidth == 1 && w.strideHeight == w.strideWidth
}

// lineLen returns the number of values in an input row with its padding, for windows without gaps
// in their rows.
func (w *window) lineLen() int {
	return ((w.outWidth-1)*w.strideWidth + w.kernelWidth) * w.channels
}

// tapRange returns which of count taps, dilation apart, are inside an axis of size values. The
// first tap is at start, which may be before the axis.
func tapRange(start, count, dilation, size int) (low, high int) {
	if start < 0 {
		low = (-start + dilation - 1) / dilation
	}
	if start < size {
		high = min(count, (size-start+dilation-1)/dilation)
	}
	return low, high
}
