package onnx

import (
	"fmt"
	"slices"
	"strings"
)

// The operators here change how a value is seen, and make no layers.

func (c *call) identity() (value, error) { return c.input(0) }

// cast changes the type of a value: between kinds of floating point nothing changes here.
func (c *call) cast() (value, error) {
	v, err := c.picture(0)
	if err != nil {
		return value{}, err
	}
	if to := c.integer("to", 0); !floating(to) {
		return value{}, c.lack("a value as type %d", to)
	}
	return v, nil
}

// constantNode is a constant that is written as a node.
func (c *call) constantNode() (value, error) {
	var k *constant
	for name := range c.attributes {
		s := c.attribute(name)
		switch name {
		case "value":
			if s.tensor == nil {
				return value{}, c.damaged("its value is missing")
			}
			var err error
			k, err = c.decode(s.tensor)
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
			k = listOf(s.integers)
		default:
			return value{}, c.lack("an attribute %q", name)
		}
	}
	if k == nil {
		return value{}, c.damaged("it has no value")
	}
	return value{constant: k}, nil
}

func (c *call) transpose() (value, error) {
	v, err := c.picture(0)
	if err != nil {
		return value{}, err
	}
	perm, err := c.permutation(len(v.axes) + 1)
	if err != nil {
		return value{}, err
	}
	if perm[0] != 0 { // a value has the batch's axis at least
		return value{}, c.lack("perm %v, which moves the batch", perm)
	}
	axes := make([]axis, len(v.axes))
	for i, p := range perm[1:] {
		axes[i] = v.axes[p-1]
	}
	v.axes = axes
	return v, nil
}

// permutation is the order of a Transpose's axes: without one they are reversed.
func (c *call) permutation(rank int) ([]int64, error) {
	perm := c.list("perm")
	if perm == nil {
		for i := rank - 1; i >= 0; i-- {
			perm = append(perm, int64(i))
		}
	}
	seen := make([]bool, rank)
	for _, p := range perm {
		if p < 0 || p >= int64(rank) || seen[p] {
			return nil, c.damaged("perm %v for %d axes", perm, rank)
		}
		seen[p] = true
	}
	if len(perm) != rank {
		return nil, c.damaged("perm %v for %d axes", perm, rank)
	}
	return perm, nil
}

func (c *call) reshape() (value, error) {
	v, err := c.picture(0)
	if err != nil {
		return value{}, err
	}
	list, err := c.integers(1)
	if err != nil {
		return value{}, err
	}
	to := slices.Clone(list)
	if c.integer("allowzero", 0) != 0 && slices.Contains(to, 0) {
		return value{}, c.lack("sizes of zero")
	}
	if len(to) > maxRank {
		return value{}, c.lack("%d axes", len(to))
	}
	if len(to) == 0 {
		return value{}, c.damaged("no axes")
	}
	if whole := flat(v.axes); len(to) == 1 && whole.size() > 1 && (to[0] == -1 || c.batch > 0 && to[0] == c.batch*int64(whole.size())) {
		v.axes, v.joined = []axis{whole}, true
		return v, nil
	}
	for i, n := range to[1:] {
		if n == 0 && i < len(v.axes) {
			to[i+1] = int64(v.axes[i].size())
		}
	}
	whole := flat(v.axes)
	sizes, open, err := c.sizes(to[1:], whole.size())
	if err != nil {
		return value{}, err
	}
	// The first axis stays the batch's: by its name, its size, or as what is left over.
	switch n := to[0]; {
	case n == 0 || n == batchSize || n == c.batch && n > 0:
	case n == -1 && !open:
	default:
		return value{}, c.lack("a shape %s, which is not one of batches", c.sizesText(to))
	}
	axes, ok := whole.split(sizes)
	if !ok {
		return value{}, c.lack("a shape %s across the picture's axes", c.sizesText(to))
	}
	v.axes = axes
	return v, nil
}

// sizes are those of a shape whose product is total. One may be left open by −1.
func (c *call) sizes(list []int64, total int) (sizes []int, open bool, err error) {
	at, product := -1, 1
	for i, n := range list {
		switch {
		case n == -1 && at < 0:
			at = i
			n = 1
		case n < 1 || n > int64(total/product):
			return nil, false, c.damaged("a shape %s for %d values", c.sizesText(list), total)
		}
		product *= int(n)
		sizes = append(sizes, int(n))
	}
	if at >= 0 {
		sizes[at] = total / product
		product *= sizes[at]
	}
	if product != total {
		return nil, false, c.damaged("a shape %s for %d values", c.sizesText(list), total)
	}
	return sizes, at >= 0, nil
}

// flatten makes two axes: of those before one, the batch's among them, and of the others.
func (c *call) flatten() (value, error) {
	v, err := c.picture(0)
	if err != nil {
		return value{}, err
	}
	at, err := c.flattenAxis(len(v.axes) + 1)
	if err != nil {
		return value{}, err
	}
	if at == 0 || flat(v.axes[:at-1]).size() != 1 {
		return value{}, c.lack("axis %d, which joins other axes and the batch's", at)
	}
	v.axes = []axis{flat(v.axes[at-1:])}
	return v, nil
}

// flattenAxis is the axis of a Flatten, which may be as many as there are.
func (c *call) flattenAxis(rank int) (int, error) {
	at := c.integer("axis", 1)
	if at == int64(rank) {
		return rank, nil
	}
	return c.axisAt(at, rank)
}

func (c *call) squeeze() (value, error) {
	v, err := c.picture(0)
	if err != nil {
		return value{}, err
	}
	list, given, err := c.listOrInput("axes", 1)
	if err != nil {
		return value{}, err
	}
	var gone []int
	if given {
		gone, err = c.innerAxes(list, len(v.axes)+1)
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
			return value{}, c.damaged("it drops axis %d, of %d", j+1, a.size())
		}
	}
	v.axes = axes
	return v, nil
}

func (c *call) unsqueeze() (value, error) {
	v, err := c.picture(0)
	if err != nil {
		return value{}, err
	}
	list, _, err := c.listOrInput("axes", 1)
	if err != nil {
		return value{}, err
	}
	rank := len(v.axes) + 1 + len(list)
	if rank > maxRank {
		return value{}, c.lack("%d axes", rank)
	}
	added, err := c.innerAxes(list, rank)
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

// shape is a value's sizes, as constants: that of the batch stands for itself.
func (c *call) shape() (value, error) {
	v, err := c.picture(0)
	if err != nil {
		return value{}, err
	}
	sizes := []int64{batchSize}
	for _, a := range v.axes {
		sizes = append(sizes, int64(a.size()))
	}
	return value{constant: listOf(c.part(sizes))}, nil
}

// part is what a Shape's attributes leave of a list of sizes.
func (c *call) part(sizes []int64) []int64 {
	bound := func(name string, otherwise int) int {
		at := c.integer(name, int64(otherwise))
		if at < 0 {
			at += int64(len(sizes))
		}
		return int(min(max(at, 0), int64(len(sizes))))
	}
	start, end := bound("start", 0), bound("end", len(sizes))
	return sizes[min(start, end):end]
}

// expand repeats a value along axes of size 1, which garb does only as a part of arithmetic
// with a value of that shape.
func (c *call) expand() (value, error) {
	v, err := c.picture(0)
	if err != nil {
		return value{}, err
	}
	list, err := c.integers(1)
	if err != nil {
		return value{}, err
	}
	skip := len(v.axes) + 1 - len(list)
	if skip < 0 {
		return value{}, c.lack("a shape %s", c.sizesText(list))
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
			return value{}, c.lack("a shape %s", c.sizesText(list))
		default:
			sizes[at], more = int(n), true
		}
	}
	if more {
		v.repeated = sizes
	}
	return v, nil
}

// sizesText writes a list of sizes for an error.
func (c *call) sizesText(list []int64) string {
	text := make([]string, len(list))
	for i, n := range list {
		if text[i] = fmt.Sprint(n); n == batchSize {
			text[i] = "batch"
		}
	}
	return "[" + strings.Join(text, " ") + "]"
}
