package nn

import "fmt"

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
// there for a window of kernel values.
func SamePadding(size, kernel, stride int) (before, after int) {
	positions := (size + stride - 1) / stride
	total := max(0, (positions-1)*stride+kernel-size)
	return total / 2, total - total/2
}

// windowed has what operations with a window share.
type windowed struct{ unary }

func (windowed) settings(l Layer) Layer {
	return Layer{Height: l.Height, Width: l.Width, Stride: l.Stride, Same: l.Same}
}

func (windowed) text(l Layer) string {
	if l.Stride > 1 {
		return fmt.Sprintf(" %d×%d /%d", l.Height, l.Width, l.Stride)
	}
	return fmt.Sprintf(" %d×%d", l.Height, l.Width)
}

// slide returns the height and width of what a layer's windows over a map make.
func (l Layer) slide(in []int) (height, width int, err error) {
	if err := isMap(in); err != nil {
		return 0, 0, err
	}
	if height, err = l.positions(in[0], l.Height); err == nil {
		width, err = l.positions(in[1], l.Width)
	}
	return height, width, err
}

// positions returns the number of places that a layer's window has along an axis.
func (l Layer) positions(size, window int) (int, error) {
	switch {
	case window <= 0 || l.Stride <= 0:
		return 0, fmt.Errorf("window of %d with stride %d", window, l.Stride)
	case l.Same:
		return (size + l.Stride - 1) / l.Stride, nil
	case size < window:
		return 0, fmt.Errorf("window of %d does not fit into %d", window, size)
	}
	return (size-window)/l.Stride + 1, nil
}

// window is where a layer's windows are on a feature map: what its step computes with.
type window struct {
	height, width, channels           int // of the input
	outHeight, outWidth               int
	kernelHeight, kernelWidth, stride int
	padTop, padLeft                   int
}

// window returns that of a node with one input.
func (n *node) window() window {
	in := n.inputs[0]
	w := window{
		height: in[0], width: in[1], channels: in[2], outHeight: n.shape[0], outWidth: n.shape[1],
		kernelHeight: n.Height, kernelWidth: n.Width, stride: n.Stride,
	}
	if n.Same {
		w.padTop, _ = SamePadding(in[0], n.Height, n.Stride)
		w.padLeft, _ = SamePadding(in[1], n.Width, n.Stride)
	}
	return w
}

// padded reports whether a window reaches over the border.
func (w *window) padded() bool {
	return w.padTop > 0 || w.padLeft > 0 ||
		(w.outHeight-1)*w.stride+w.kernelHeight > w.height ||
		(w.outWidth-1)*w.stride+w.kernelWidth > w.width
}

// lineLen is the number of values in an input row with its padding.
func (w *window) lineLen() int {
	return ((w.outWidth-1)*w.stride + w.kernelWidth) * w.channels
}
