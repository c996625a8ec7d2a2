package onnx

import (
	"garb/nn"
)

// slice cuts parts out of a value's axes, in steps of 1.
func (c *call) slice() (value, error) {
	v, err := c.picture(0)
	if err != nil {
		return value{}, err
	}
	var lists [4][]int64
	for i, name := range []string{"starts", "ends", "axes", "steps"} {
		given := false
		if lists[i], given, err = c.listOrInput(name, i+1); err != nil {
			return value{}, err
		}
		if !given && i < 2 {
			return value{}, c.damaged("no %s", name)
		}
	}
	starts, ends, axes, steps := lists[0], lists[1], lists[2], lists[3]
	if axes == nil {
		for i := range starts {
			axes = append(axes, int64(i))
		}
	}
	if len(starts) != len(ends) || len(axes) != len(starts) || steps != nil && len(steps) != len(starts) {
		return value{}, c.damaged("starts %v, ends %v, axes %v and steps %v", starts, ends, axes, steps)
	}
	places, err := c.axesAt(axes, len(v.axes)+1)
	if err != nil {
		return value{}, err
	}
	cuts := make([]cut, len(v.axes))
	for j, a := range v.axes {
		cuts[j] = cut{0, a.size()}
	}
	for i, at := range places {
		if steps != nil && steps[i] != 1 {
			return value{}, c.lack("steps of %d", steps[i])
		}
		if at == 0 {
			if starts[i] == 0 && (ends[i] >= 1<<31-1 || ends[i] == batchSize || c.batch > 0 && ends[i] >= c.batch) {
				continue // the whole batch
			}
			return value{}, c.lack("a part of the batch")
		}
		size := int64(v.axes[at-1].size())
		bound := func(n int64) int64 {
			if n < 0 {
				n = max(n, -size) + size
			}
			return min(n, size)
		}
		if starts[i] == batchSize || ends[i] == batchSize {
			return value{}, c.lack("the size of the batch as a number")
		}
		cuts[at-1] = cut{int(bound(starts[i])), int(bound(ends[i]))}
	}
	return c.cut(v, cuts)
}

// cut is what is kept of an axis: from low to below high.
type cut struct{ low, high int }

// cut keeps a part of each axis of a value.
func (c *call) cut(v value, cuts []cut) (value, error) {
	whole := true
	for j, a := range v.axes {
		if cuts[j].low >= cuts[j].high {
			return value{}, c.lack("nothing of axis %d, of %d", j+1, a.size())
		}
		whole = whole && cuts[j] == cut{0, a.size()}
	}
	if whole {
		v.sole = false // there may be several such parts
		return v, nil
	}
	if len(v.axes) == 1 {
		layer, err := c.row(v)
		if err != nil {
			return value{}, err
		}
		n := cuts[0].high - cuts[0].low
		l := nn.Layer{Op: nn.OpCrop, Inputs: []int{layer}, Before: cuts[0].low, After: v.axes[0].size() - cuts[0].high}
		if order := v.axes[0].places(); order != nil {
			l = nn.Layer{Op: nn.OpSelect, Inputs: []int{layer}, Channels: order[cuts[0].low:cuts[0].high]}
		}
		return c.made(l, []int{n}, []axis{{{n, 1}}})
	}
	if len(v.axes) != 3 {
		return value{}, c.lack("an input of %d axes", len(v.axes)+1)
	}
	order := chw
	if !v.isMap(order) {
		order = hwc
	}
	if !v.isMap(order) {
		return value{}, c.lack("an input whose values lie in another order than [n c h w]")
	}
	of := func(i int) (before, after, kept int) {
		k := cuts[order[i]]
		return k.low, v.axes[order[i]].size() - k.high, k.high - k.low
	}
	l := nn.Layer{Op: nn.OpCrop, Inputs: []int{c.shaped(v.layer, v.mapShape(order))}}
	shape := make([]int, 3)
	l.Before, l.After, shape[2] = of(0)
	l.Above, l.Below, shape[0] = of(1)
	l.Left, l.Right, shape[1] = of(2)
	channels := v.axes[order[0]]
	if l.Before+l.After == 0 {
		return c.made(l, shape, ordered(order, shape, channels))
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
	return c.made(l, shape, ordered(order, shape, axis{{shape[2], 1}}))
}

// split cuts an axis into parts, each an output.
func (c *call) split() (value, error) {
	v, err := c.picture(0)
	if err != nil {
		return value{}, err
	}
	j, err := c.innerAxis(c.integer("axis", 0), len(v.axes)+1)
	if err != nil {
		return value{}, err
	}
	total := v.axes[j].size()
	sizes, given, err := c.listOrInput("split", 1)
	if err != nil {
		return value{}, err
	}
	if !given {
		n := c.integer("num_outputs", int64(len(c.outputs)))
		if n != int64(len(c.outputs)) || n > int64(total) {
			return value{}, c.damaged("%d parts of %d as %d outputs", n, total, len(c.outputs))
		}
		each := (int64(total) + n - 1) / n
		if c.model.opset < 18 && each*n != int64(total) {
			return value{}, c.damaged("%d equal parts of %d", n, total)
		}
		for range n - 1 {
			sizes = append(sizes, each)
		}
		sizes = append(sizes, int64(total)-each*(n-1))
	}
	if len(sizes) != len(c.outputs) {
		return value{}, c.damaged("%d parts as %d outputs", len(sizes), len(c.outputs))
	}
	left := int64(total)
	for _, n := range sizes {
		if n < 1 || n > left {
			return value{}, c.damaged("parts %v of %d", sizes, total)
		}
		left -= n
	}
	if left != 0 {
		return value{}, c.damaged("parts %v of %d", sizes, total)
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
		part, err := c.cut(v, cuts)
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
