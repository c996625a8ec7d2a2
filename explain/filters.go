package explain

import (
	"fmt"
	"image"
	"image/color"

	"garb/nn"
)

// DrawFilters draws the kernels of the first convolution, if it sees the picture's colours: at
// most 256. The weights of red, green and blue become that colour's value: mid-grey is zero,
// lighter is positive. DrawFilters also returns the layer's name and the kernel's shape. m is
// nil if the network has no such layer.
func (l *Layers) DrawFilters() (m *image.NRGBA, name string, shape []int) {
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
			tiles = append(tiles, Tile{drawFilter(kernel.Data, h, w, filters, f), []string{fmt.Sprint(f)}})
		}
		title := fmt.Sprintf("%s: %d filters of %d x %d", l.Name(i), filters, h, w)
		return DrawGrid(title, tiles, gridColumns), l.Name(i), kernel.Shape
	}
	return nil, "", nil
}

// drawFilter draws filter f of a kernel [h w 3 filters].
func drawFilter(kernel []float32, h, w, filters, f int) *image.NRGBA {
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
	return enlarge(out, max(filterSide/max(h, w), 1))
}
