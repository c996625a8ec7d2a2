package onnx

import (
	"slices"

	"garb/nn"
)

// readSlice reads a node that cuts parts out of a value's axes, in steps of 1.
func (c *call) readSlice() (value, error) {
	v, err := c.pictureInput(0)
	if err != nil {
		return value{}, err
	}
	starts, ends, steps, places, err := c.readCutLists(len(v.axes) + 1)
	if err != nil {
		return value{}, err
	}
	cuts := make([]cut, len(v.axes))
	for j, a := range v.axes {
		cuts[j] = cut{0, a.size()}
	}
	for i, at := range places {
		if steps != nil && steps[i] != 1 {
			return value{}, c.errUnsupported("steps of %d", steps[i])
		}
		if at == 0 {
			if !c.isWholeBatch(starts[i], ends[i]) {
				return value{}, c.errUnsupported("a part of the batch")
			}
			continue
		}
		if starts[i] == batchSize || ends[i] == batchSize {
			return value{}, c.errUnsupported("the size of the batch as a number")
		}
		size := v.axes[at-1].size()
		cuts[at-1] = cut{resolvePosition(starts[i], size), resolvePosition(ends[i], size)}
	}
	return c.applyCut(v, cuts)
}

// readCutLists reads the inputs of a Slice of a value of rank axes: where it starts and ends on
// each of the axes at places, and its steps, nil for 1.
func (c *call) readCutLists(rank int) (starts, ends, steps []int64, places []int, err error) {
	var lists [4][]int64
	for i, name := range []string{"starts", "ends", "axes", "steps"} {
		given := false
		if lists[i], given, err = c.listOrInput(name, i+1); err != nil {
			return nil, nil, nil, nil, err
		}
		if !given && i < 2 {
			return nil, nil, nil, nil, c.errDamaged("no %s", name)
		}
	}
	starts, ends, steps = lists[0], lists[1], lists[3]
	axes := lists[2]
	if axes == nil {
		for i := range starts {
			axes = append(axes, int64(i))
		}
	}
	if len(starts) != len(ends) || len(axes) != len(starts) || steps != nil && len(steps) != len(starts) {
		return nil, nil, nil, nil, c.errDamaged("starts %v, ends %v, axes %v and steps %v", starts, ends, axes, steps)
	}
	places, err = c.resolveAxes(axes, rank)
	return starts, ends, steps, places, err
}

// isWholeBatch tells whether a slice from start to end of the batch's axis is all of it.
func (c *call) isWholeBatch(start, end int64) bool {
	return start == 0 && (end >= 1<<31-1 || end == batchSize || c.batch > 0 && end >= c.batch)
}

// resolvePosition returns a position of an axis, which may be counted from its end, within 0…size.
func resolvePosition(n int64, size int) int {
	if n < 0 {
		n = max(n, -int64(size)) + int64(size)
	}
	return int(min(n, int64(size)))
}

// cut is the part of an axis that is kept: from low to below high.
type cut struct{ low, high int }

// applyCut keeps a part of each axis of a value.
func (c *call) applyCut(v value, cuts []cut) (value, error) {
	whole := true
	for j, a := range v.axes {
		if cuts[j].low >= cuts[j].high {
			return value{}, c.errUnsupported("nothing of axis %d, of %d", j+1, a.size())
		}
		whole = whole && cuts[j] == cut{0, a.size()}
	}
	if whole {
		v.sole = false // several outputs may be the whole value
		return v, nil
	}
	if len(v.axes) == 1 {
		layer, err := c.asRow(v)
		if err != nil {
			return value{}, err
		}
		n := cuts[0].high - cuts[0].low
		l := nn.Layer{Op: nn.OpCrop, Inputs: []int{layer}, Before: cuts[0].low, After: v.axes[0].size() - cuts[0].high}
		if order := v.axes[0].places(); order != nil {
			l = nn.Layer{Op: nn.OpSelect, Inputs: []int{layer}, Channels: order[cuts[0].low:cuts[0].high]}
		}
		return c.addLayer(l, []int{n}, []axis{{{n, 1}}})
	}
	if len(v.axes) != 3 {
		return value{}, c.errUnsupported("an input of %d axes", len(v.axes)+1)
	}
	order := chw
	if !v.isMap(order) {
		order = hwc
	}
	if !v.isMap(order) {
		return value{}, c.errUnsupported("an input whose values lie in another order than [n c h w]")
	}
	margins := func(i int) (before, after, kept int) {
		k := cuts[order[i]]
		return k.low, v.axes[order[i]].size() - k.high, k.high - k.low
	}
	l := nn.Layer{Op: nn.OpCrop, Inputs: []int{c.withShape(v.layer, v.mapShape(order))}}
	shape := make([]int, 3)
	l.Before, l.After, shape[2] = margins(0)
	l.Above, l.Below, shape[0] = margins(1)
	l.Left, l.Right, shape[1] = margins(2)
	channels := v.axes[order[0]]
	if l.Before+l.After == 0 {
		return c.addLayer(l, shape, orderAxes(order, shape, channels))
	}
	if places := channels.places(); places != nil { // they are picked one by one
		pick := nn.Layer{Op: nn.OpSelect, Inputs: l.Inputs, Channels: places[l.Before:][:shape[2]]}
		if l.Before, l.After = 0, 0; l.Above+l.Below+l.Left+l.Right > 0 {
			if err := c.emit(l, []int{shape[0], shape[1], channels.size()}); err != nil {
				return value{}, err
			}
			pick.Inputs = []int{len(c.layers) - 1}
		}
		l = pick
	}
	return c.addLayer(l, shape, orderAxes(order, shape, axis{{shape[2], 1}}))
}

// readSplit reads a node that cuts an axis into parts, each an output.
func (c *call) readSplit() (value, error) {
	v, err := c.pictureInput(0)
	if err != nil {
		return value{}, err
	}
	j, err := c.resolveInnerAxis(c.integerAttribute("axis", 0), len(v.axes)+1)
	if err != nil {
		return value{}, err
	}
	sizes, err := c.readSplitSizes(v.axes[j].size())
	if err != nil {
		return value{}, err
	}
	cuts := make([]cut, len(v.axes))
	for i, a := range v.axes {
		cuts[i] = cut{0, a.size()}
	}
	var first value
	low := 0
	for i, n := range sizes {
		cuts[j] = cut{low, low + int(n)}
		low += int(n)
		if i > 0 && (c.outputs[i] == "" || c.uses[c.outputs[i]] == 0) {
			continue
		}
		part, err := c.applyCut(v, cuts)
		if err != nil {
			return value{}, err
		}
		if i == 0 {
			first = part
			continue
		}
		part.sole = part.sole && c.uses[c.outputs[i]] == 1
		c.values[c.outputs[i]] = part
	}
	return first, nil
}

// readSplitSizes returns the sizes of the parts that a Split cuts an axis of size total into: one
// for each output.
func (c *call) readSplitSizes(total int) ([]int64, error) {
	sizes, given, err := c.listOrInput("split", 1)
	if err != nil {
		return nil, err
	}
	if !given {
		return c.splitEvenly(int64(total))
	}
	if len(sizes) != len(c.outputs) {
		return nil, c.errDamaged("%d parts as %d outputs", len(sizes), len(c.outputs))
	}
	left := int64(total)
	for _, n := range sizes {
		if n < 1 || n > left {
			return nil, c.errDamaged("parts %v of %d", sizes, total)
		}
		left -= n
	}
	if left != 0 {
		return nil, c.errDamaged("parts %v of %d", sizes, total)
	}
	return sizes, nil
}

// splitEvenly returns the sizes of equal parts of an axis, the last of which may be smaller.
func (c *call) splitEvenly(total int64) ([]int64, error) {
	n := c.integerAttribute("num_outputs", int64(len(c.outputs)))
	if n != int64(len(c.outputs)) || n > total {
		return nil, c.errDamaged("%d parts of %d as %d outputs", n, total, len(c.outputs))
	}
	each := (total + n - 1) / n
	if c.model.opset < 18 && each*n != total {
		return nil, c.errDamaged("%d equal parts of %d", n, total)
	}
	sizes := slices.Repeat([]int64{each}, int(n))
	if sizes[n-1] = total - each*(n-1); sizes[n-1] < 1 {
		return nil, c.errDamaged("parts %v of %d", sizes, total)
	}
	return sizes, nil
}
