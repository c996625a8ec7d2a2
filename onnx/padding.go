package onnx

import "garb/nn"

// span is padding along one axis.
type span struct{ before, after int }

// samePadding returns the padding of nn's Same of a map [h w ...] for a layer's window.
func samePadding(l nn.Layer, h, w int) (vertical, horizontal span) {
	reachHeight, reachWidth := l.Reach()
	strideHeight, strideWidth := l.Strides()
	vertical.before, vertical.after = nn.SamePadding(h, reachHeight, strideHeight)
	horizontal.before, horizontal.after = nn.SamePadding(w, reachWidth, strideWidth)
	return vertical, horizontal
}

// window is what a convolution or pooling reads of an axis.
type window struct {
	span          // the padding that is read
	positions int // 0 if the kernel does not fit
}

// slideWindow slides a kernel, its gaps included, over a padded axis. up counts a last position
// that is only partly inside, as long as it begins inside: ONNX's ceil_mode.
func slideWindow(size, kernel, stride int, pad span, up bool) window {
	free := size + pad.before + pad.after - kernel
	if free < 0 {
		return window{}
	}
	positions := free/stride + 1
	if up && free%stride != 0 && positions*stride < size+pad.before {
		positions++
	}
	return window{span{pad.before, max(0, (positions-1)*stride+kernel-size-pad.before)}, positions}
}
