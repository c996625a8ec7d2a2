package onnx

import (
	"slices"

	"garb/nn"
)

// readStrides reads a window's strides and dilations.
func (c *call) readStrides(l *nn.Layer) error {
	both := func(name string) (height, width int, err error) {
		list := c.listAttribute(name)
		if list == nil {
			return 1, 1, nil
		}
		if len(list) != 2 || min(list[0], list[1]) < 1 || max(list[0], list[1]) > 1<<20 {
			return 0, 0, c.errDamaged("%s %v", name, list)
		}
		return int(list[0]), int(list[1]), nil
	}
	height, width, err := both("strides")
	if err != nil {
		return err
	}
	l.SetStrides(height, width)
	if height, width, err = both("dilations"); err != nil {
		return err
	}
	l.SetDilations(height, width)
	return nil
}

// readPadding reads how a layer's window pads a map, and gives it that padding: the layer's
// own if that is the same, otherwise a layer before it. It returns the layer to read and
// the rows and columns of the output. up is ONNX's ceil_mode.
func (c *call) readPadding(l *nn.Layer, in, h, w int, up bool) (layer, rows, columns int, err error) {
	v, u, err := c.readWindowPads(l, h, w, up)
	if err != nil {
		return 0, 0, 0, err
	}
	reachHeight, reachWidth := l.Reach()
	strideHeight, strideWidth := l.Strides()
	vertical := slideWindow(h, reachHeight, strideHeight, v, up)
	horizontal := slideWindow(w, reachWidth, strideWidth, u, up)
	if vertical.positions == 0 || horizontal.positions == 0 {
		return 0, 0, 0, c.errDamaged("a window of %d × %d on a map of %d × %d", reachHeight, reachWidth, h, w)
	}
	rows, columns = vertical.positions, horizontal.positions
	v, u = vertical.span, horizontal.span
	gaps := hasPoolGaps(l)
	counted := l.Op == nn.OpAveragePool && c.integerAttribute("count_include_pad", 0) != 0
	sameVertical, sameHorizontal := samePadding(*l, h, w)
	switch {
	case v == span{} && u == span{}:
		return in, rows, columns, nil
	case !counted && !gaps && v == sameVertical && u == sameHorizontal:
		l.Same = true
		return in, rows, columns, nil
	case l.Op == nn.OpAveragePool && !gaps && !counted && isCentred(h, reachHeight, strideHeight, vertical) &&
		isCentred(w, reachWidth, strideWidth, horizontal):
		l.Same = true
		l.SetStrides(1, 1) // readPool leaves out the other positions
		return in, rows, columns, nil
	case l.Op == nn.OpAveragePool && (!counted || up):
		return 0, 0, 0, c.errUnsupported("padding by %v that its means leave out", c.listAttribute("pads"))
	}
	pad := nn.Layer{Op: nn.OpPad, Inputs: []int{in}, Lowest: l.Op == nn.OpMaxPool,
		Above: v.before, Below: v.after, Left: u.before, Right: u.after}
	shape := c.copyShape(in)
	shape[0] += v.before + v.after
	shape[1] += u.before + u.after
	if err := c.emit(pad, shape); err != nil {
		return 0, 0, 0, err
	}
	return len(c.layers) - 1, rows, columns, nil
}

// hasPoolGaps tells whether a layer is a pool whose window has gaps. Of such a window, all that is
// left may be padding, which nn has no layer for.
func hasPoolGaps(l *nn.Layer) bool {
	return l.Op != nn.OpConv && (l.Dilation > 1 || l.DilationWidth > 1)
}

// readWindowPads reads how far a node pads a map above and below it, and left and right of it.
func (c *call) readWindowPads(l *nn.Layer, h, w int, up bool) (vertical, horizontal span, err error) {
	mode := c.textAttribute("auto_pad", "NOTSET")
	pads := c.listAttribute("pads")
	same := mode == "SAME_UPPER" || mode == "SAME_LOWER"
	switch {
	case mode != "NOTSET" && (pads != nil || up):
		// ONNX does not say what this means, or runtimes differ.
		return span{}, span{}, c.errUnsupported("auto_pad %q beside pads or ceil_mode", mode)
	case same && hasPoolGaps(l):
		// ONNX Runtime pads as if there were no gaps, ONNX itself does not.
		return span{}, span{}, c.errUnsupported("auto_pad %q beside dilations %v", mode, c.listAttribute("dilations"))
	case same:
		v, u := samePadding(*l, h, w)
		if mode == "SAME_LOWER" {
			v, u = span{v.after, v.before}, span{u.after, u.before}
		}
		return v, u, nil
	case mode == "VALID" || mode == "NOTSET" && pads == nil:
		return span{}, span{}, nil
	case mode == "NOTSET" && len(pads) == 4:
		if slices.Min(pads) < 0 || slices.Max(pads) > 1<<20 {
			return span{}, span{}, c.errUnsupported("pads %v", pads)
		}
		return span{int(pads[0]), int(pads[2])}, span{int(pads[1]), int(pads[3])}, nil
	}
	return span{}, span{}, c.errUnsupported("auto_pad %q and pads %v", mode, pads)
}

// isCentred tells whether the middle of each window lies inside the axis: then the windows are
// some of those that Same puts around each position.
func isCentred(size, reach, stride int, s window) bool {
	return reach%2 == 1 && s.before == reach/2 && (s.positions-1)*stride < size
}

func (c *call) readMaxPool() (value, error) {
	return c.readPool(nn.OpMaxPool)
}

func (c *call) readAveragePool() (value, error) {
	c.ignore("count_include_pad") // without padding
	return c.readPool(nn.OpAveragePool)
}

func (c *call) readPool(op nn.Op) (value, error) {
	v, err := c.pictureInput(0)
	if err != nil {
		return value{}, err
	}
	layer, h, w, channels, err := c.asMap(v)
	if err != nil {
		return value{}, err
	}
	size := c.listAttribute("kernel_shape")
	if len(size) != 2 || min(size[0], size[1]) < 1 || max(size[0], size[1]) > 1<<20 {
		return value{}, c.errDamaged("a window of %v", size)
	}
	l := nn.Layer{Op: op, Height: int(size[0]), Width: int(size[1])}
	if err = c.readStrides(&l); err != nil {
		return value{}, err
	}
	strideHeight, strideWidth := l.Strides()
	layer, rows, columns, err := c.readPadding(&l, layer, h, w, c.integerAttribute("ceil_mode", 0) != 0)
	if err != nil {
		return value{}, err
	}
	l.Inputs = []int{layer}
	if height, width := l.Strides(); height != strideHeight || width != strideWidth {
		if err := c.emit(l, []int{h, w, channels}); err != nil {
			return value{}, err
		}
		l = nn.Layer{Op: nn.OpMaxPool, Height: 1, Width: 1, Inputs: []int{len(c.layers) - 1}}
		l.SetStrides(strideHeight, strideWidth)
	}
	axes := nchw(rows, columns, channels)
	axes[0] = v.axes[0]
	return c.addLayer(l, []int{rows, columns, channels}, axes)
}

// readGlobal returns the operator that pools all axes but the channels'.
func readGlobal(op nn.Op) operator {
	return func(c *call) (value, error) {
		v, err := c.pictureInput(0)
		if err != nil {
			return value{}, err
		}
		var axes []int
		for j := 1; j < len(v.axes); j++ {
			axes = append(axes, j)
		}
		return c.applyPoolAxes(op, v, axes, true)
	}
}

// readReduce returns the operator that pools the axes that a node names.
func readReduce(op nn.Op) operator {
	return func(c *call) (value, error) {
		v, err := c.pictureInput(0)
		if err != nil {
			return value{}, err
		}
		list, given, err := c.listOrInput("axes", 1)
		if err != nil {
			return value{}, err
		}
		c.ignore("noop_with_empty_axes") // there are axes
		if !given || len(list) == 0 {
			return value{}, c.errUnsupported("no axes named")
		}
		axes, err := c.resolveInnerAxes(list, len(v.axes)+1)
		if err != nil {
			return value{}, err
		}
		return c.applyPoolAxes(op, v, axes, c.integerAttribute("keepdims", 1) != 0)
	}
}

func (c *call) applyPoolAxes(op nn.Op, v value, pooled []int, keep bool) (value, error) {
	channel, positions := -1, 1
	var after []axis
	for j, a := range v.axes {
		switch {
		case slices.Contains(pooled, j):
			positions *= a.size()
			if keep {
				after = append(after, nil)
			}
			continue
		case channel >= 0 && a.size() > 1 && v.axes[channel].size() > 1:
			return value{}, c.errUnsupported("axes %v of %d", pooled, len(v.axes)+1)
		case channel < 0 || a.size() > 1:
			channel = j
		}
		after = append(after, a)
	}
	if positions == 1 {
		v.axes = after
		return v, nil
	}
	if channel < 0 {
		return value{}, c.errUnsupported("all axes")
	}
	layer, err := c.withChannelsLast(v, channel)
	if err != nil {
		return value{}, err
	}
	n := v.axes[channel].size()
	return c.addLayer(nn.Layer{Op: op, Inputs: []int{layer}}, []int{n}, after)
}
