package explain

import (
	"fmt"
	"image"
	"image/color"

	"garb/nn"
)

// Filters draws the kernels of the first convolution that sees the picture's colours, as
// the colours that they look for: grey where a weight is zero, red, green and blue each
// lighter where more of it speaks for the filter and darker where less. The name is the
// layer's. It is nil for a network without such a layer. Of more than 256 filters the
// first are drawn.
func (l *Layers) Filters() (m *image.NRGBA, name string, shape []int) {
	for i, layer := range l.layers {
		if layer.Op != nn.OpConv || layer.Height*layer.Width == 1 {
			continue
		}
		kernel, err := l.network.Tensors.Tensor(layer.Name + "/kernel")
		if err != nil || len(kernel.Shape) != 4 || kernel.Shape[2] != channelsFirst {
			return nil, "", nil
		}
		h, w, filters := kernel.Shape[0], kernel.Shape[1], kernel.Shape[3]
		var tiles []Tile
		for f := range min(filters, maxFilters) {
			tiles = append(tiles, Tile{filter(kernel.Data, h, w, filters, f), []string{fmt.Sprint(f)}})
		}
		title := fmt.Sprintf("%s: %d filters of %d x %d", l.Name(i), filters, h, w)
		return Grid(title, tiles, gridColumns), l.Name(i), kernel.Shape
	}
	return nil, "", nil
}

// filter draws filter f of a kernel [h w 3 filters].
func filter(kernel []float32, h, w, filters, f int) *image.NRGBA {
	largest := float32(0)
	for i := f; i < len(kernel); i += filters {
		largest = max(largest, kernel[i], -kernel[i])
	}
	if largest == 0 {
		largest = 1
	}
	out := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range h * w {
		level := func(channel int) uint8 {
			return uint8(127.5 + 127.5*kernel[(i*channelsFirst+channel)*filters+f]/largest)
		}
		out.SetNRGBA(i%w, i/w, color.NRGBA{level(0), level(1), level(2), 255})
	}
	return enlarged(out, max(filterSide/max(h, w), 1))
}
