package onnx

import (
	"slices"

	"garb/nn"
)

// stride is that of a window, the same both ways.
func (c *call) stride() int {
	strides := c.list("strides")
	for _, d := range c.list("dilations") {
		if d != 1 {
			c.lack("dilations %v", c.list("dilations"))
		}
	}
	if strides == nil {
		return 1
	}
	if len(strides) != 2 || strides[0] != strides[1] {
		c.lack("strides %v", strides)
	}
	if strides[0] < 1 || strides[0] > 1<<20 {
		c.damaged("strides %v", strides)
	}
	return int(strides[0])
}

// window reads how a layer's window pads a map, and gives it that padding: the layer's
// own if that is the same, otherwise a layer before it. It returns the layer to read and
// the rows and columns of the output. up is ONNX's ceil_mode.
func (c *call) window(l *nn.Layer, in, h, w int, up bool) (layer, rows, columns int) {
	var v, u span // vertical, horizontal
	mode := "NOTSET"
	if s := c.attribute("auto_pad"); s != nil && s.text != "" {
		mode = s.text
	}
	pads := c.list("pads")
	switch {
	case mode == "SAME_UPPER" || mode == "SAME_LOWER":
		v, u = same(h, l.Height, l.Stride), same(w, l.Width, l.Stride)
		if mode == "SAME_LOWER" {
			v, u = span{v.after, v.before}, span{u.after, u.before}
		}
		up = false
	case mode == "VALID" || mode == "NOTSET" && pads == nil:
	case mode == "NOTSET" && len(pads) == 4:
		for _, p := range pads {
			if p < 0 || p > 1<<20 {
				c.lack("pads %v", pads)
			}
		}
		v, u = span{int(pads[0]), int(pads[2])}, span{int(pads[1]), int(pads[3])}
	default:
		c.lack("auto_pad %q and pads %v", mode, pads)
	}
	vertical := slide(h, l.Height, l.Stride, v, up)
	horizontal := slide(w, l.Width, l.Stride, u, up)
	if vertical.positions == 0 || horizontal.positions == 0 {
		c.damaged("a window of %d × %d on a map of %d × %d", l.Height, l.Width, h, w)
	}
	rows, columns = vertical.positions, horizontal.positions
	v, u = vertical.span, horizontal.span
	counted := l.Op == nn.OpAveragePool && c.integer("count_include_pad", 0) == 1
	switch {
	case v == span{} && u == span{}:
		return in, rows, columns
	case !counted && v == same(h, l.Height, l.Stride) && u == same(w, l.Width, l.Stride):
		l.Same = true
		return in, rows, columns
	case l.Op == nn.OpAveragePool && (!counted || up):
		c.lack("padding by %v that its means leave out", pads)
	}
	pad := nn.Layer{Op: nn.OpPad, Inputs: []int{in}, Above: v.before, Below: v.after, Left: u.before, Right: u.after, Lowest: l.Op == nn.OpMaxPool}
	shape := c.shapeOf(in)
	shape[0] += v.before + v.after
	shape[1] += u.before + u.after
	c.must(c.emit(pad, shape))
	return len(c.layers) - 1, rows, columns
}

func (c *call) maxPool() value {
	c.ignore("storage_order")
	return c.pool(nn.OpMaxPool)
}

func (c *call) averagePool() value {
	c.ignore("count_include_pad")
	return c.pool(nn.OpAveragePool)
}

func (c *call) pool(op nn.Op) value {
	v := c.picture(0)
	layer, h, w, channels := c.image(v)
	size := c.list("kernel_shape")
	if len(size) != 2 || size[0] < 1 || size[1] < 1 || size[0] > 1<<20 {
		c.damaged("a window of %v", size)
	}
	if size[0] != size[1] {
		if size[0] == int64(h) && size[1] == int64(w) { // the whole map
			c.ignore("auto_pad", "strides", "dilations", "ceil_mode")
			for _, p := range c.list("pads") {
				if p != 0 {
					c.lack("a window of %v", size)
				}
			}
			whole := nn.OpGlobalMaxPool
			if op == nn.OpAveragePool {
				whole = nn.OpGlobalAveragePool
			}
			return c.made(nn.Layer{Op: whole, Inputs: []int{layer}}, []int{channels}, []axis{v.axes[0], nil, nil})
		}
		c.lack("a window of %v", size)
	}
	l := nn.Layer{Op: op, Height: int(size[0]), Width: int(size[1]), Stride: c.stride()}
	layer, rows, columns := c.window(&l, layer, h, w, c.integer("ceil_mode", 0) != 0)
	l.Inputs = []int{layer}
	axes := nchw(rows, columns, channels)
	axes[0] = v.axes[0]
	return c.made(l, []int{rows, columns, channels}, axes)
}

// global pools all axes but the channels'.
func global(op nn.Op) func(*call) value {
	return func(c *call) value {
		v := c.picture(0)
		var axes []int
		for j := 1; j < len(v.axes); j++ {
			axes = append(axes, j)
		}
		return c.poolAxes(op, v, axes, true)
	}
}

// reduce pools the axes that a node names, all if none.
func reduce(op nn.Op) func(*call) value {
	return func(c *call) value {
		v := c.picture(0)
		list, given := c.listOrInput("axes", 1)
		c.ignore("noop_with_empty_axes")
		if !given || len(list) == 0 {
			c.lack("no axes named")
		}
		return c.poolAxes(op, v, c.innerAxes(list, len(v.axes)+1), c.integer("keepdims", 1) != 0)
	}
}

func (c *call) poolAxes(op nn.Op, v value, pooled []int, keep bool) value {
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
			c.lack("axes %v of %d", pooled, len(v.axes)+1)
		case channel < 0 || a.size() > 1:
			channel = j
		}
		after = append(after, a)
	}
	if positions == 1 {
		v.axes = after
		return v
	}
	if channel < 0 {
		c.lack("all axes")
	}
	layer, n := c.channels(v, channel), v.axes[channel].size()
	return c.made(nn.Layer{Op: op, Inputs: []int{layer}}, []int{n}, after)
}
