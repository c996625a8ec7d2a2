package onnx

import (
	"math"
	"slices"

	"garb/nn"
	"garb/tensor"
)

// pad puts zeros, the lowest number or values of the map itself around it.
func (c *call) pad() (value, error) {
	v, err := c.picture(0)
	if err != nil {
		return value{}, err
	}
	var border nn.Border
	switch mode := c.text("mode", "constant"); mode {
	case "constant":
	case "reflect", "edge", "wrap":
		border = nn.Border(mode)
		c.ignore("value") // of the other mode
		c.taken[2] = true
	default:
		return value{}, c.lack("mode %q", mode)
	}
	pads, _, err := c.listOrInput("pads", 1)
	if err != nil {
		return value{}, err
	}
	fill := float32(0)
	if border == "" {
		fill = c.float("value", 0)
	}
	if border == "" && c.has(2) {
		fill, err = c.number(2)
		if err != nil {
			return value{}, err
		}
	}
	if fill != 0 && !(fill <= -math.MaxFloat32) {
		return value{}, c.lack("a value of %v", fill)
	}
	rank := len(v.axes) + 1
	padded := make([]int, rank)
	for i := range padded {
		padded[i] = i
	}
	if c.has(3) {
		list, err := c.integers(3)
		if err != nil {
			return value{}, err
		}
		if padded, err = c.axesAt(list, rank); err != nil {
			return value{}, err
		}
	}
	if len(pads) != 2*len(padded) {
		return value{}, c.damaged("%d pads for %d axes", len(pads), len(padded))
	}
	var of [maxRank + 1]span
	for i, at := range padded {
		before, after := pads[i], pads[i+len(padded)]
		if before < 0 || after < 0 || before > 1<<20 || after > 1<<20 {
			return value{}, c.lack("pads %v", pads)
		}
		of[at] = span{int(before), int(after)}
	}
	if of == [maxRank + 1]span{} {
		return v, nil
	}
	// Whether axes are [c h w] or [h w c], rows and columns are what our layer has as such.
	turn := []int{0, 1, 2}
	if len(v.axes) == 3 && !v.axes[0].innermost() && v.axes[2].innermost() {
		turn = []int{2, 0, 1}
	}
	if len(v.axes) == 3 {
		v.axes = []axis{v.axes[turn[0]], v.axes[turn[1]], v.axes[turn[2]]}
	}
	layer, h, w, channels, err := c.image(v)
	if err != nil {
		return value{}, err
	}
	batch, depth, vertical, horizontal := of[0], of[1+turn[0]], of[1+turn[1]], of[1+turn[2]]
	if batch != (span{}) || depth != (span{}) {
		return value{}, c.lack("pads %v, of channels", pads)
	}
	l := nn.Layer{Op: nn.OpPad, Inputs: []int{layer}, Lowest: fill != 0, Border: border,
		Above: vertical.before, Below: vertical.after, Left: horizontal.before, Right: horizontal.after}
	if _, err := nn.OutputShape(l, [][]int{{h, w, channels}}); err != nil {
		return value{}, c.lack("%s", err.Error())
	}
	h, w = h+l.Above+l.Below, w+l.Left+l.Right
	axes := nchw(h, w, channels)
	axes[0] = v.axes[0]
	back := make([]axis, 3)
	for i, from := range turn {
		back[from] = axes[i]
	}
	return c.made(l, []int{h, w, channels}, back)
}

// concat puts values one after another along their channels, rows or columns.
func (c *call) concat() (value, error) {
	at := c.integer("axis", 1)
	first, err := c.picture(0)
	if err != nil {
		return value{}, err
	}
	if len(c.inputs) == 1 {
		return first, nil
	}
	j, err := c.innerAxis(at, len(first.axes)+1)
	if err != nil {
		return value{}, err
	}
	for i := range c.inputs {
		v, err := c.picture(i)
		if err != nil {
			return value{}, err
		}
		if len(v.axes) == 3 && len(first.axes) == 3 && !v.axes[j].innermost() {
			return c.tile(j)
		}
	}
	l := nn.Layer{Op: nn.OpConcat}
	var shape []int
	depth := 0
	for i := range c.inputs {
		v, err := c.picture(i)
		if err != nil {
			return value{}, err
		}
		if len(v.axes) != len(first.axes) {
			return value{}, c.damaged("input %d has %d axes", i, len(v.axes)+1)
		}
		if v, err = c.straightened(v, j); err != nil {
			return value{}, err
		}
		layer, err := c.channels(v, j)
		if err != nil {
			return value{}, err
		}
		s := c.shapeOf(layer)
		n := s[len(s)-1]
		for k, a := range v.axes { // the others' strides, counted in positions
			if k != j && !perPosition(a, n).equal(perPosition(first.axes[k], first.axes[j].size())) {
				return value{}, c.lack("values in different orders")
			}
		}
		if i > 0 {
			if tensor.Len(s)/n != tensor.Len(shape)/shape[len(shape)-1] {
				return value{}, c.lack("values of %s and %s", tensor.ShapeString(shape), tensor.ShapeString(s))
			}
			s = append(slices.Clone(shape[:len(shape)-1]), n)
			layer = c.shaped(layer, s)
		}
		shape = s
		depth += n
		l.Inputs = append(l.Inputs, layer)
	}
	shape[len(shape)-1] = depth
	return c.made(l, shape, withChannels(first.axes, j, first.axes[j].size(), depth))
}

// withChannels are axes whose innermost, j, of so many channels, is replaced by one of others,
// which are in order.
func withChannels(axes []axis, j, channels, others int) []axis {
	replaced := make([]axis, len(axes))
	for k, a := range axes {
		replaced[k] = perPosition(a, channels)
		for i := range replaced[k] {
			replaced[k][i].stride *= others
		}
	}
	replaced[j] = axis{{others, 1}}
	return replaced
}

// tile puts maps below one another, or side by side: as flat values, or as rows of one
// position, all that is to lie together in memory are channels.
func (c *call) tile(j int) (value, error) {
	order := chw
	for i := range c.inputs {
		if v, err := c.picture(i); err != nil {
			return value{}, err
		} else if len(v.axes) == 3 && !v.isMap(chw) {
			order = hwc
		}
	}
	if j == order[0] {
		return value{}, c.lack("axis %d of a value whose innermost is another", j+1)
	}
	l, sum, columns := nn.Layer{Op: nn.OpConcat}, 0, 0
	var shape []int
	var channels axis
	for i := range c.inputs {
		v, err := c.picture(i)
		if err != nil {
			return value{}, err
		}
		if len(v.axes) != 3 || !v.isMap(order) {
			return value{}, c.lack("values in different orders")
		}
		s := v.mapShape(order)
		if i == 0 {
			shape, columns, channels = slices.Clone(s), s[1], v.axes[order[0]]
		}
		for k, n := range s {
			if order[(k+1)%3] != j && n != shape[k] {
				return value{}, c.damaged("parts of %s and %s", tensor.ShapeString(shape), tensor.ShapeString(s))
			}
		}
		if !v.axes[order[0]].equal(channels) {
			return value{}, c.lack("channels in different orders")
		}
		flat := []int{s[0], 1, s[1] * s[2]}
		if j == order[1] {
			flat = []int{tensor.Len(s)}
		}
		l.Inputs = append(l.Inputs, c.shaped(c.shaped(v.layer, s), flat))
		sum += v.axes[j].size()
	}
	flat := []int{shape[0], 1, sum * shape[2]}
	if shape[1] = sum; j == order[1] {
		shape[0], shape[1] = sum, columns
		flat = []int{tensor.Len(shape)}
	}
	if err := c.emit(l, flat); err != nil {
		return value{}, err
	}
	return value{layer: c.shaped(len(c.layers)-1, shape), axes: ordered(order, shape, channels), sole: true}, nil
}

// perPosition is an axis with its strides in positions of a map of the given channels.
func perPosition(a axis, channels int) axis {
	var all axis
	for _, f := range a.simplified() {
		all = append(all, factor{f.size, f.stride / channels})
	}
	return all
}
