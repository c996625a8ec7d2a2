package onnx

import (
	"fmt"
	"slices"
	"strings"
)

// The operators in this file change only the axes of a value, and add no layers.

func (c *call) readIdentity() (value, error) { return c.input(0) }

// readCast reads a change of a value's type: types of floating point are all float32 here.
func (c *call) readCast() (value, error) {
	v, err := c.pictureInput(0)
	if err != nil {
		return value{}, err
	}
	if to := c.integerAttribute("to", 0); !isFloating(to) {
		return value{}, c.errUnsupported("a value as type %d", to)
	}
	return v, nil
}

// readConstant reads a node that holds a constant.
func (c *call) readConstant() (value, error) {
	var k *constant
	for name := range c.attributes {
		s := c.attribute(name)
		switch name {
		case "value":
			if s.tensor == nil {
				return value{}, c.errDamaged("its value is missing")
			}
			var err error
			k, err = c.decodeConstant(s.tensor)
			if err != nil {
				return value{}, err
			}
		case "value_float":
			k = &constant{kind: typeFloat, floats: []float32{s.float}}
		case "value_floats":
			k = &constant{kind: typeFloat, dims: []int{len(s.floats)}, floats: append([]float32{}, s.floats...)}
		case "value_int":
			k = &constant{kind: typeInt64, integers: []int64{s.integer}}
		case "value_ints":
			k = newList(s.integers)
		default:
			return value{}, c.errUnsupported("an attribute %q", name)
		}
	}
	if k == nil {
		return value{}, c.errDamaged("it has no value")
	}
	return value{constant: k}, nil
}

func (c *call) readTranspose() (value, error) {
	v, err := c.pictureInput(0)
	if err != nil {
		return value{}, err
	}
	perm, err := c.transposeOrder(len(v.axes) + 1)
	if err != nil {
		return value{}, err
	}
	if perm[0] != 0 { // a value has at least the batch's axis
		return value{}, c.errUnsupported("perm %v, which moves the batch", perm)
	}
	axes := make([]axis, len(v.axes))
	for i, p := range perm[1:] {
		axes[i] = v.axes[p-1]
	}
	v.axes = axes
	return v, nil
}

// transposeOrder returns the order of a Transpose's axes: reversed if it names none.
func (c *call) transposeOrder(rank int) ([]int64, error) {
	perm := c.listAttribute("perm")
	if perm == nil {
		for i := rank - 1; i >= 0; i-- {
			perm = append(perm, int64(i))
		}
	}
	seen := make([]bool, rank)
	for _, p := range perm {
		if p < 0 || p >= int64(rank) || seen[p] {
			return nil, c.errDamaged("perm %v for %d axes", perm, rank)
		}
		seen[p] = true
	}
	if len(perm) != rank {
		return nil, c.errDamaged("perm %v for %d axes", perm, rank)
	}
	return perm, nil
}

func (c *call) readReshape() (value, error) {
	v, err := c.pictureInput(0)
	if err != nil {
		return value{}, err
	}
	list, err := c.integerInput(1)
	if err != nil {
		return value{}, err
	}
	to := slices.Clone(list)
	if c.integerAttribute("allowzero", 0) != 0 && slices.Contains(to, 0) {
		return value{}, c.errUnsupported("sizes of zero")
	}
	if len(to) > maxRank {
		return value{}, c.errUnsupported("%d axes", len(to))
	}
	if len(to) == 0 {
		return value{}, c.errDamaged("no axes")
	}
	if whole := flatten(v.axes); len(to) == 1 && whole.size() > 1 &&
		(to[0] == -1 || c.batch > 0 && to[0] == c.batch*int64(whole.size())) {
		v.axes, v.joined = []axis{whole}, true
		return v, nil
	}
	for i, n := range to[1:] {
		if n == 0 && i < len(v.axes) {
			to[i+1] = int64(v.axes[i].size())
		}
	}
	whole := flatten(v.axes)
	sizes, open, err := c.resolveSizes(to[1:], whole.size())
	if err != nil {
		return value{}, err
	}
	// The first axis stays the batch's: as batchSize, by its size, or as the one left open.
	switch n := to[0]; {
	case n == 0 || n == batchSize || n == c.batch && n > 0:
	case n == -1 && !open:
	default:
		return value{}, c.errUnsupported("a shape %s, which is not one of batches", c.formatSizes(to))
	}
	axes, ok := whole.split(sizes)
	if !ok {
		return value{}, c.errUnsupported("a shape %s across the picture's axes", c.formatSizes(to))
	}
	v.axes = axes
	return v, nil
}

// resolveSizes returns the sizes of a shape whose product is total. One may be left open by −1.
func (c *call) resolveSizes(list []int64, total int) (sizes []int, open bool, err error) {
	at, product := -1, 1
	for i, n := range list {
		switch {
		case n == -1 && at < 0:
			at = i
			n = 1
		case n < 1 || n > int64(total/product):
			return nil, false, c.errDamaged("a shape %s for %d values", c.formatSizes(list), total)
		}
		product *= int(n)
		sizes = append(sizes, int(n))
	}
	if at >= 0 {
		sizes[at] = total / product
		product *= sizes[at]
	}
	if product != total {
		return nil, false, c.errDamaged("a shape %s for %d values", c.formatSizes(list), total)
	}
	return sizes, at >= 0, nil
}

// readFlatten reads a reshape to two axes: of the axes before one, the batch's among them, and of
// the others.
func (c *call) readFlatten() (value, error) {
	v, err := c.pictureInput(0)
	if err != nil {
		return value{}, err
	}
	at, err := c.resolveFlattenAxis(len(v.axes) + 1)
	if err != nil {
		return value{}, err
	}
	if at == 0 || flatten(v.axes[:at-1]).size() != 1 {
		return value{}, c.errUnsupported("axis %d, which joins other axes and the batch's", at)
	}
	v.axes = []axis{flatten(v.axes[at-1:])}
	return v, nil
}

// resolveFlattenAxis returns the axis of a Flatten, which may be as large as the number of axes.
func (c *call) resolveFlattenAxis(rank int) (int, error) {
	at := c.integerAttribute("axis", 1)
	if at == int64(rank) {
		return rank, nil
	}
	return c.resolveAxis(at, rank)
}

func (c *call) readSqueeze() (value, error) {
	v, err := c.pictureInput(0)
	if err != nil {
		return value{}, err
	}
	list, given, err := c.listOrInput("axes", 1)
	if err != nil {
		return value{}, err
	}
	var gone []int
	if given {
		gone, err = c.resolveInnerAxes(list, len(v.axes)+1)
		if err != nil {
			return value{}, err
		}
	} else {
		for j, a := range v.axes {
			if a.size() == 1 {
				gone = append(gone, j)
			}
		}
	}
	var axes []axis
	for j, a := range v.axes {
		if !slices.Contains(gone, j) {
			axes = append(axes, a)
		} else if a.size() != 1 {
			return value{}, c.errDamaged("it drops axis %d, of %d", j+1, a.size())
		}
	}
	v.axes = axes
	return v, nil
}

func (c *call) readUnsqueeze() (value, error) {
	v, err := c.pictureInput(0)
	if err != nil {
		return value{}, err
	}
	list, _, err := c.listOrInput("axes", 1)
	if err != nil {
		return value{}, err
	}
	rank := len(v.axes) + 1 + len(list)
	if rank > maxRank {
		return value{}, c.errUnsupported("%d axes", rank)
	}
	added, err := c.resolveInnerAxes(list, rank)
	if err != nil {
		return value{}, err
	}
	slices.Sort(added)
	axes := slices.Clone(v.axes)
	for _, at := range added {
		axes = slices.Insert(axes, at, nil)
	}
	v.axes = axes
	return v, nil
}

// readShape reads a value's sizes as constants, with batchSize for the batch.
func (c *call) readShape() (value, error) {
	v, err := c.pictureInput(0)
	if err != nil {
		return value{}, err
	}
	sizes := []int64{batchSize}
	for _, a := range v.axes {
		sizes = append(sizes, int64(a.size()))
	}
	return value{constant: newList(c.sliceShape(sizes))}, nil
}

// sliceShape returns the part of a list of sizes that a Shape's attributes select.
func (c *call) sliceShape(sizes []int64) []int64 {
	bound := func(name string, otherwise int) int {
		at := c.integerAttribute(name, int64(otherwise))
		if at < 0 {
			at += int64(len(sizes))
		}
		return int(min(max(at, 0), int64(len(sizes))))
	}
	start, end := bound("start", 0), bound("end", len(sizes))
	return sizes[min(start, end):end]
}

// readExpand reads a repetition of a value along axes of size 1, which garb supports only as a part
// of arithmetic with a value of that shape.
func (c *call) readExpand() (value, error) {
	v, err := c.pictureInput(0)
	if err != nil {
		return value{}, err
	}
	list, err := c.integerInput(1)
	if err != nil {
		return value{}, err
	}
	skip := len(v.axes) + 1 - len(list)
	if skip < 0 {
		return value{}, c.errUnsupported("a shape %s", c.formatSizes(list))
	}
	sizes, more := []int{}, false
	for _, a := range v.axes {
		sizes = append(sizes, a.size())
	}
	for i, n := range list {
		at := i + skip - 1 // among the axes without the batch's
		switch {
		case n == 1, at < 0 && (n == batchSize || n == c.batch), at >= 0 && n == int64(sizes[at]):
		case at < 0 || sizes[at] != 1 || n < 1 || n > 1<<24:
			return value{}, c.errUnsupported("a shape %s", c.formatSizes(list))
		default:
			sizes[at], more = int(n), true
		}
	}
	if more {
		v.repeated = sizes
	}
	return v, nil
}

// formatSizes formats a list of sizes for an error.
func (c *call) formatSizes(list []int64) string {
	text := make([]string, len(list))
	for i, n := range list {
		if text[i] = fmt.Sprint(n); n == batchSize {
			text[i] = "batch"
		}
	}
	return "[" + strings.Join(text, " ") + "]"
}
