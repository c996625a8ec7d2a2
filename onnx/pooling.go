package onnx

import (
	"slices"

	"garb/nn"
)

// steps reads a window's strides and dilations.
func (c *call) steps(l *nn.Layer) error {
	both := func(name string) (height, width int, err error) {
		list := c.list(name)
		if list == nil {
			return 1, 1, nil
		}
		if len(list) != 2 || min(list[0], list[1]) < 1 || max(list[0], list[1]) > 1<<20 {
			return 0, 0, c.damaged("%s %v", name, list)
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

// window reads how a layer's window pads a map, and gives it that padding: the layer's
// own if that is the same, otherwise a layer before it. It returns the layer to read and
// the rows and columns of the output. up is ONNX's ceil_mode.
func (c *call) window(l *nn.Layer, in, h, w int, up bool) (layer, rows, columns int, err error) {
	var v, u span // vertical, horizontal
	// Of a pool's window with gaps, all that is left may be padding: nn has none such.
	gaps := l.Op != nn.OpConv && (l.Dilation > 1 || l.DilationWidth > 1)
	mode := c.text("auto_pad", "NOTSET")
	pads := c.list("pads")
	switch {
	case mode != "NOTSET" && (pads != nil || up):
		// ONNX has no such thing, or it means one thing here and another there.
		return 0, 0, 0, c.lack("auto_pad %q beside pads or ceil_mode", mode)
	case gaps && (mode == "SAME_UPPER" || mode == "SAME_LOWER"):
		// ONNX Runtime pads as if there were no gaps, ONNX itself does not.
		return 0, 0, 0, c.lack("auto_pad %q beside dilations %v", mode, c.list("dilations"))
	case mode == "SAME_UPPER" || mode == "SAME_LOWER":
		v, u = same(*l, h, w)
		if mode == "SAME_LOWER" {
			v, u = span{v.after, v.before}, span{u.after, u.before}
		}
	case mode == "VALID" || mode == "NOTSET" && pads == nil:
	case mode == "NOTSET" && len(pads) == 4:
		for _, p := range pads {
			if p < 0 || p > 1<<20 {
				return 0, 0, 0, c.lack("pads %v", pads)
			}
		}
		v, u = span{int(pads[0]), int(pads[2])}, span{int(pads[1]), int(pads[3])}
	default:
		return 0, 0, 0, c.lack("auto_pad %q and pads %v", mode, pads)
	}
	reachHeight, reachWidth := l.Reach()
	strideHeight, strideWidth := l.Strides()
	vertical := slide(h, reachHeight, strideHeight, v, up)
	horizontal := slide(w, reachWidth, strideWidth, u, up)
	if vertical.positions == 0 || horizontal.positions == 0 {
		return 0, 0, 0, c.damaged("a window of %d × %d on a map of %d × %d", reachHeight, reachWidth, h, w)
	}
	rows, columns = vertical.positions, horizontal.positions
	v, u = vertical.span, horizontal.span
	counted := l.Op == nn.OpAveragePool && c.integer("count_include_pad", 0) != 0
	sameVertical, sameHorizontal := same(*l, h, w)
	switch {
	case v == span{} && u == span{}:
		return in, rows, columns, nil
	case !counted && !gaps && v == sameVertical && u == sameHorizontal:
		l.Same = true
		return in, rows, columns, nil
	case l.Op == nn.OpAveragePool && !gaps && !counted && centred(h, reachHeight, strideHeight, vertical) &&
		centred(w, reachWidth, strideWidth, horizontal):
		l.Same = true
		l.SetStrides(1, 1) // pool leaves out the others
		return in, rows, columns, nil
	case l.Op == nn.OpAveragePool && (!counted || up):
		return 0, 0, 0, c.lack("padding by %v that its means leave out", pads)
	}
	pad := nn.Layer{Op: nn.OpPad, Inputs: []int{in}, Above: v.before, Below: v.after, Left: u.before, Right: u.after,
		Lowest: l.Op == nn.OpMaxPool}
	shape := c.shapeOf(in)
	shape[0] += v.before + v.after
	shape[1] += u.before + u.after
	if err := c.emit(pad, shape); err != nil {
		return 0, 0, 0, err
	}
	return len(c.layers) - 1, rows, columns, nil
}

// centred tells whether the middle of each window lies inside the axis: then the windows are
// some of those that Same puts around each position.
func centred(size, reach, stride int, s window) bool {
	return reach%2 == 1 && s.before == reach/2 && (s.positions-1)*stride < size
}

func (c *call) maxPool() (value, error) {
	return c.pool(nn.OpMaxPool)
}

func (c *call) averagePool() (value, error) {
	c.ignore("count_include_pad") // without padding
	return c.pool(nn.OpAveragePool)
}

func (c *call) pool(op nn.Op) (value, error) {
	v, err := c.picture(0)
	if err != nil {
		return value{}, err
	}
	layer, h, w, channels, err := c.image(v)
	if err != nil {
		return value{}, err
	}
	size := c.list("kernel_shape")
	if len(size) != 2 || min(size[0], size[1]) < 1 || max(size[0], size[1]) > 1<<20 {
		return value{}, c.damaged("a window of %v", size)
	}
	l := nn.Layer{Op: op, Height: int(size[0]), Width: int(size[1])}
	if err := c.steps(&l); err != nil {
		return value{}, err
	}
	strideHeight, strideWidth := l.Strides()
	layer, rows, columns, err := c.window(&l, layer, h, w, c.integer("ceil_mode", 0) != 0)
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
	return c.made(l, []int{rows, columns, channels}, axes)
}

// global pools all axes but the channels'.
func global(op nn.Op) operator {
	return func(c *call) (value, error) {
		v, err := c.picture(0)
		if err != nil {
			return value{}, err
		}
		var axes []int
		for j := 1; j < len(v.axes); j++ {
			axes = append(axes, j)
		}
		return c.poolAxes(op, v, axes, true)
	}
}

// reduce pools the axes that a node names, all if none.
func reduce(op nn.Op) operator {
	return func(c *call) (value, error) {
		v, err := c.picture(0)
		if err != nil {
			return value{}, err
		}
		list, given, err := c.listOrInput("axes", 1)
		if err != nil {
			return value{}, err
		}
		c.ignore("noop_with_empty_axes") // there are axes
		if !given || len(list) == 0 {
			return value{}, c.lack("no axes named")
		}
		axes, err := c.innerAxes(list, len(v.axes)+1)
		if err != nil {
			return value{}, err
		}
		return c.poolAxes(op, v, axes, c.integer("keepdims", 1) != 0)
	}
}

func (c *call) poolAxes(op nn.Op, v value, pooled []int, keep bool) (value, error) {
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
			return value{}, c.lack("axes %v of %d", pooled, len(v.axes)+1)
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
		return value{}, c.lack("all axes")
	}
	layer, err := c.channels(v, channel)
	if err != nil {
		return value{}, err
	}
	n := v.axes[channel].size()
	return c.made(nn.Layer{Op: op, Inputs: []int{layer}}, []int{n}, after)
}
