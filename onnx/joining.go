package onnx

import (
	"math"
	"slices"

	"garb/nn"
	"garb/tensor"
)

// readPad reads a border of zeros, the lowest number or values of the map itself.
func (c *call) readPad() (value, error) {
	v, err := c.pictureInput(0)
	if err != nil {
		return value{}, err
	}
	border, lowest, err := c.readFill()
	if err != nil {
		return value{}, err
	}
	pads, err := c.readPads(len(v.axes) + 1)
	if err != nil {
		return value{}, err
	}
	if pads == [maxRank + 1]span{} {
		return v, nil
	}
	// The axes are [c h w] or [h w c]; garb's layer determines which are rows and columns.
	turn := []int{0, 1, 2}
	if len(v.axes) == 3 && !v.axes[0].innermost() && v.axes[2].innermost() {
		turn = []int{2, 0, 1}
	}
	if len(v.axes) == 3 {
		v.axes = []axis{v.axes[turn[0]], v.axes[turn[1]], v.axes[turn[2]]}
	}
	layer, h, w, channels, err := c.asMap(v)
	if err != nil {
		return value{}, err
	}
	batch, depth, vertical, horizontal := pads[0], pads[1+turn[0]], pads[1+turn[1]], pads[1+turn[2]]
	if batch != (span{}) || depth != (span{}) {
		return value{}, c.errUnsupported("pads of the batch or channels")
	}
	l := nn.Layer{
		Op: nn.OpPad, Inputs: []int{layer}, Lowest: lowest, Border: border,
		Above: vertical.before, Below: vertical.after, Left: horizontal.before, Right: horizontal.after,
	}
	if _, err := nn.OutputShape(l, [][]int{{h, w, channels}}); err != nil {
		return value{}, c.errUnsupported("%s", err.Error())
	}
	h, w = h+l.Above+l.Below, w+l.Left+l.Right
	axes := nchw(h, w, channels)
	axes[0] = v.axes[0]
	back := make([]axis, 3)
	for i, from := range turn {
		back[from] = axes[i]
	}
	return c.addLayer(l, []int{h, w, channels}, back)
}

// readFill reads how a Pad fills the border: with the map's own values, or with zeros or the
// lowest number.
func (c *call) readFill() (border nn.Border, lowest bool, err error) {
	switch mode := c.textAttribute("mode", "constant"); mode {
	case "constant":
	case "reflect", "edge", "wrap":
		c.ignore("value") // of the mode constant
		c.taken[2] = true
		return nn.Border(mode), false, nil
	default:
		return "", false, c.errUnsupported("mode %q", mode)
	}
	fill := c.floatAttribute("value", 0)
	if c.hasInput(2) {
		if fill, err = c.numberInput(2); err != nil {
			return "", false, err
		}
	}
	if fill != 0 && !(fill <= -math.MaxFloat32) {
		return "", false, c.errUnsupported("a value of %v", fill)
	}
	return "", fill != 0, nil
}

// readPads reads a Pad's padding of each of rank axes.
func (c *call) readPads(rank int) (all [maxRank + 1]span, err error) {
	pads, _, err := c.listOrInput("pads", 1)
	if err != nil {
		return all, err
	}
	padded := make([]int, rank)
	for i := range padded {
		padded[i] = i
	}
	if c.hasInput(3) {
		list, err := c.integerInput(3)
		if err != nil {
			return all, err
		}
		if padded, err = c.resolveAxes(list, rank); err != nil {
			return all, err
		}
	}
	if len(pads) != 2*len(padded) {
		return all, c.errDamaged("%d pads for %d axes", len(pads), len(padded))
	}
	for i, at := range padded {
		before, after := pads[i], pads[i+len(padded)]
		if before < 0 || after < 0 || before > 1<<20 || after > 1<<20 {
			return all, c.errUnsupported("pads %v", pads)
		}
		all[at] = span{int(before), int(after)}
	}
	return all, nil
}

// readConcat joins values along their channels, rows or columns.
func (c *call) readConcat() (value, error) {
	at := c.integerAttribute("axis", 1)
	first, err := c.pictureInput(0)
	if err != nil {
		return value{}, err
	}
	if len(c.inputs) == 1 {
		return first, nil
	}
	j, err := c.resolveInnerAxis(at, len(first.axes)+1)
	if err != nil {
		return value{}, err
	}
	for i := range c.inputs {
		v, err := c.pictureInput(i)
		if err != nil {
			return value{}, err
		}
		if len(v.axes) == 3 && len(first.axes) == 3 && !v.axes[j].innermost() {
			return c.concatMaps(j)
		}
	}
	l := nn.Layer{Op: nn.OpConcat}
	var shape []int
	depth := 0
	for i := range c.inputs {
		v, err := c.pictureInput(i)
		if err != nil {
			return value{}, err
		}
		if len(v.axes) != len(first.axes) {
			return value{}, c.errDamaged("input %d has %d axes", i, len(v.axes)+1)
		}
		if v, err = c.sortChannels(v, j); err != nil {
			return value{}, err
		}
		layer, s, err := c.concatInput(v, first, j, shape)
		if err != nil {
			return value{}, err
		}
		shape = s
		depth += s[len(s)-1]
		l.Inputs = append(l.Inputs, layer)
	}
	shape[len(shape)-1] = depth
	return c.addLayer(l, shape, replaceChannels(first.axes, j, first.axes[j].size(), depth))
}

// concatInput returns the layer of an input of a Concat along axis j, and its shape: that of the
// inputs before, unless nil, but for the channels. first is the first input.
func (c *call) concatInput(v, first value, j int, shape []int) (layer int, own []int, err error) {
	if layer, err = c.withChannelsLast(v, j); err != nil {
		return 0, nil, err
	}
	own = c.copyShape(layer)
	n := own[len(own)-1]
	for k, a := range v.axes { // strides of the other axes, counted in positions
		if k != j && !inPositions(a, n).equal(inPositions(first.axes[k], first.axes[j].size())) {
			return 0, nil, c.errUnsupported("values in different orders")
		}
	}
	if shape == nil {
		return layer, own, nil
	}
	if tensor.Len(own)/n != tensor.Len(shape)/shape[len(shape)-1] {
		return 0, nil, c.errUnsupported("values of %s and %s", tensor.ShapeString(shape), tensor.ShapeString(own))
	}
	own = append(slices.Clone(shape[:len(shape)-1]), n)
	return c.withShape(layer, own), own, nil
}

// replaceChannels returns axes whose innermost, j, of so many channels, is replaced by one of
// others channels, which are in order.
func replaceChannels(axes []axis, j, channels, others int) []axis {
	replaced := make([]axis, len(axes))
	for k, a := range axes {
		replaced[k] = inPositions(a, channels)
		for i := range replaced[k] {
			replaced[k][i].stride *= others
		}
	}
	replaced[j] = axis{{others, 1}}
	return replaced
}

// concatMaps joins maps along their rows or columns: as flat values, or as maps of one column, so
// that what lies together in memory are channels.
func (c *call) concatMaps(j int) (value, error) {
	order := chw
	for i := range c.inputs {
		if v, err := c.pictureInput(i); err != nil {
			return value{}, err
		} else if len(v.axes) == 3 && !v.isMap(chw) {
			order = hwc
		}
	}
	if j == order[0] {
		return value{}, c.errUnsupported("axis %d of a value whose innermost is another", j+1)
	}
	l, sum, columns := nn.Layer{Op: nn.OpConcat}, 0, 0
	var shape []int
	var channels axis
	for i := range c.inputs {
		v, err := c.pictureInput(i)
		if err != nil {
			return value{}, err
		}
		if len(v.axes) != 3 || !v.isMap(order) {
			return value{}, c.errUnsupported("values in different orders")
		}
		s := v.mapShape(order)
		if i == 0 {
			shape, columns, channels = slices.Clone(s), s[1], v.axes[order[0]]
		}
		if err := c.checkOtherSides(order, j, shape, s); err != nil {
			return value{}, err
		}
		if !v.axes[order[0]].equal(channels) {
			return value{}, c.errUnsupported("channels in different orders")
		}
		flat := []int{s[0], 1, s[1] * s[2]}
		if j == order[1] {
			flat = []int{tensor.Len(s)}
		}
		l.Inputs = append(l.Inputs, c.withShape(c.withShape(v.layer, s), flat))
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
	return value{layer: c.withShape(len(c.layers)-1, shape), axes: orderAxes(order, shape, channels), sole: true}, nil
}

// checkOtherSides checks that two maps have the same size along all axes but j.
func (c *call) checkOtherSides(order mapOrder, j int, shape, other []int) error {
	for k, n := range other {
		if order[(k+1)%3] != j && n != shape[k] {
			return c.errDamaged("parts of %s and %s", tensor.ShapeString(shape), tensor.ShapeString(other))
		}
	}
	return nil
}

// inPositions returns an axis with its strides counted in positions of a map of the given channels.
func inPositions(a axis, channels int) axis {
	var all axis
	for _, f := range a.simplify() {
		all = append(all, factor{f.size, f.stride / channels})
	}
	return all
}
