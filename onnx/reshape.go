package onnx

import (
	"math"
	"slices"
)

// The operators here change how a value is seen, and make no layers.

func (c *call) identity() value { return c.input(0) }

// cast changes the type of a value: between kinds of floating point nothing changes here.
func (c *call) cast() value {
	v := c.input(0)
	c.ignore("saturate", "round_mode")
	to := c.integer("to", 0)
	floating := to == typeFloat || to == typeDouble || to == typeFloat16 || to == typeBFloat16
	k := v.constant
	switch {
	case k == nil && !floating:
		c.lack("a value as type %d", to)
	case k == nil || floating == (k.floats != nil):
	case floating:
		v.constant = &constant{dims: k.dims, floats: k.values()}
	default:
		whole := make([]int64, len(k.floats))
		for i, f := range k.floats {
			if math.Abs(float64(f)) < 1<<31 {
				whole[i] = int64(f)
			}
		}
		v.constant = &constant{dims: k.dims, integers: whole}
	}
	return v
}

// constantNode is a constant that is written as a node.
func (c *call) constantNode() value {
	var k *constant
	for name := range c.attributes {
		s := c.attribute(name)
		switch name {
		case "value":
			if s.tensor == nil {
				c.damaged("its value is missing")
			}
			var err error
			k, err = s.tensor.decode(&c.decoded, c.beside)
			c.must(err)
		case "value_float":
			k = &constant{floats: []float32{s.float}}
		case "value_floats":
			k = &constant{dims: []int{len(s.floats)}, floats: append([]float32{}, s.floats...)}
		case "value_int":
			k = &constant{integers: []int64{s.integer}}
		case "value_ints":
			k = &constant{dims: []int{len(s.integers)}, integers: append([]int64{}, s.integers...)}
		default:
			c.lack("an attribute %q", name)
		}
	}
	if k == nil {
		c.damaged("it has no value")
	}
	return value{constant: k}
}

func (c *call) transpose() value {
	v := c.input(0)
	rank := len(v.axes) + 1
	if v.constant != nil {
		rank = len(v.constant.dims)
	}
	perm := c.list("perm")
	if perm == nil {
		for i := rank - 1; i >= 0; i-- {
			perm = append(perm, int64(i))
		}
	}
	seen := make([]bool, rank)
	for _, p := range perm {
		if p < 0 || p >= int64(rank) || seen[p] {
			c.damaged("perm %v for %d axes", perm, rank)
		}
		seen[p] = true
	}
	if len(perm) != rank {
		c.damaged("perm %v for %d axes", perm, rank)
	}
	if v.constant != nil {
		return value{constant: c.turned(v.constant, perm)}
	}
	if perm[0] != 0 {
		c.lack("perm %v, which moves the batch", perm)
	}
	axes := make([]axis, len(v.axes))
	for i, p := range perm[1:] {
		axes[i] = v.axes[p-1]
	}
	v.axes = axes
	return v
}

// turned transposes a constant.
func (c *call) turned(k *constant, perm []int64) *constant {
	c.must(c.decoded.take(k.len()))
	strides := make([]int, len(k.dims))
	for i, n := len(k.dims)-1, 1; i >= 0; i-- {
		strides[i] = n
		n *= k.dims[i]
	}
	out := &constant{dims: make([]int, len(perm)), floats: slices.Clone(k.floats), integers: slices.Clone(k.integers)}
	var all axis
	for i, p := range perm {
		out.dims[i] = k.dims[p]
		all = append(all, factor{k.dims[p], strides[p]})
	}
	if k.len() == 0 {
		return out
	}
	order := all.places()
	for i := range out.floats {
		out.floats[i] = k.floats[place(order, i)]
	}
	for i := range out.integers {
		out.integers[i] = k.integers[place(order, i)]
	}
	return out
}

func (c *call) reshape() value {
	v := c.input(0)
	to := slices.Clone(c.integers(1))
	if c.integer("allowzero", 0) != 0 && slices.Contains(to, 0) {
		c.lack("sizes of zero")
	}
	if len(to) > maxRank {
		c.lack("%d axes", len(to))
	}
	if v.constant != nil {
		return value{constant: c.reshaped(v.constant, to)}
	}
	if len(to) == 0 {
		c.damaged("no axes")
	}
	for i, n := range to[1:] {
		if n == 0 && i < len(v.axes) {
			to[i+1] = int64(v.axes[i].size())
		}
	}
	whole := flat(v.axes)
	sizes, open := c.sizes(to[1:], whole.size())
	// The first axis stays the batch's: by its name, its size, or as what is left over.
	switch n := to[0]; {
	case n == 0 || n == batchSize || n == c.batch && n > 0:
	case n == -1 && !open:
	default:
		c.lack("a shape %v, which is not one of batches", to)
	}
	axes, ok := whole.split(sizes)
	if !ok {
		c.lack("a shape %v across the picture's axes", to)
	}
	v.axes = axes
	return v
}

// sizes are those of a shape whose product is total. One may be left open by −1.
func (c *call) sizes(list []int64, total int) (sizes []int, open bool) {
	at, product := -1, 1
	for i, n := range list {
		switch {
		case n == -1 && at < 0:
			at = i
			n = 1
		case n < 1 || n > int64(total/product):
			c.damaged("a shape %v for %d values", list, total)
		}
		product *= int(n)
		sizes = append(sizes, int(n))
	}
	if at >= 0 {
		sizes[at] = total / product
		product *= sizes[at]
	}
	if product != total {
		c.damaged("a shape %v for %d values", list, total)
	}
	return sizes, at >= 0
}

func (c *call) reshaped(k *constant, to []int64) *constant {
	for i, n := range to {
		if n == 0 && i < len(k.dims) {
			to[i] = int64(k.dims[i])
		}
	}
	if k.len() == 0 {
		c.lack("no values")
	}
	sizes, _ := c.sizes(to, k.len())
	return &constant{dims: sizes, floats: k.floats, integers: k.integers}
}

// flatten keeps the batch, and makes one axis of the others.
func (c *call) flatten() value {
	v := c.picture(0)
	at := c.integer("axis", 1)
	if at < 0 {
		at += int64(len(v.axes)) + 1
	}
	if at != 1 {
		c.lack("axis %d", at)
	}
	v.axes = []axis{flat(v.axes)}
	return v
}

func (c *call) squeeze() value {
	v := c.input(0)
	list, given := c.listOrInput("axes", 1)
	if k := v.constant; k != nil {
		// Of a constant only the number of axes matters: a size, or a list of one.
		if k.len() != 1 {
			c.lack("%d constants", k.len())
		}
		return value{constant: &constant{floats: k.floats, integers: k.integers}}
	}
	var gone []int
	if given {
		gone = c.innerAxes(list, len(v.axes)+1)
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
			c.damaged("it drops axis %d, of %d", j+1, a.size())
		}
	}
	v.axes = axes
	return v
}

func (c *call) unsqueeze() value {
	v := c.input(0)
	list, _ := c.listOrInput("axes", 1)
	if k := v.constant; k != nil {
		dims := slices.Clone(k.dims)
		rank := len(dims) + len(list)
		if rank > maxRank {
			c.lack("%d axes", rank)
		}
		places := make([]int, len(list))
		for i, at := range list {
			places[i] = c.axisAt(at, rank)
		}
		slices.Sort(places)
		for _, at := range places {
			if at > len(dims) {
				c.damaged("axes %v", list)
			}
			dims = slices.Insert(dims, at, 1)
		}
		return value{constant: &constant{dims: dims, floats: k.floats, integers: k.integers}}
	}
	rank := len(v.axes) + 1 + len(list)
	if rank > maxRank {
		c.lack("%d axes", rank)
	}
	added := c.innerAxes(list, rank)
	slices.Sort(added)
	axes := slices.Clone(v.axes)
	for _, at := range added {
		axes = slices.Insert(axes, at, nil)
	}
	v.axes = axes
	return v
}

// shape is a value's sizes, as constants: that of the batch stands for itself.
func (c *call) shape() value {
	v := c.input(0)
	var sizes []int64
	if v.constant != nil {
		sizes = int64s(v.constant.dims)
	} else {
		sizes = []int64{batchSize}
		for _, a := range v.axes {
			sizes = append(sizes, int64(a.size()))
		}
	}
	bound := func(name string, otherwise int) int {
		at := c.integer(name, int64(otherwise))
		if at < 0 {
			at += int64(len(sizes))
		}
		return int(min(max(at, 0), int64(len(sizes))))
	}
	start, end := bound("start", 0), bound("end", len(sizes))
	return sizesOf(sizes[min(start, end):end])
}

func sizesOf(list []int64) value {
	return value{constant: &constant{dims: []int{len(list)}, integers: append([]int64{}, list...)}}
}

// gather picks one or several of a list of sizes.
func (c *call) gather() value {
	if c.input(0).constant == nil {
		c.lack("values of the picture")
	}
	list := c.integers(0)
	k := c.weights(1)
	if len(k.dims) > 1 || k.integers == nil || c.integer("axis", 0) != 0 {
		c.lack("indices %v", k.dims)
	}
	picked := &constant{dims: k.dims, integers: []int64{}}
	for _, at := range k.integers {
		picked.integers = append(picked.integers, list[c.axisAt(at, len(list))])
	}
	return value{constant: picked}
}

// slice cuts a list of sizes, or rows of such, forwards or backwards. PyTorch turns its
// pads into ONNX's so.
func (c *call) slice() value {
	k := c.input(0).constant
	if k == nil || c.model.opset < 10 {
		c.lack("values of the picture")
	}
	if k.integers == nil || len(k.dims) == 0 || k.len() == 0 {
		c.lack("a constant %v", k.dims)
	}
	one := func(i int, otherwise int64) int64 {
		if !c.has(i) {
			return otherwise
		}
		list := c.integers(i)
		if len(list) != 1 {
			c.lack("%d bounds", len(list))
		}
		return list[0]
	}
	step := one(4, 1)
	if at := one(3, 0); at != 0 && at != int64(-len(k.dims)) || step != 1 && step != -1 {
		c.lack("axis %d and steps of %d", at, step)
	}
	rows := int64(k.dims[0])
	bound := func(i int) int64 {
		at := one(i, 0)
		if at < 0 {
			at = max(at, -rows-1) + rows
		}
		if step > 0 {
			return min(max(at, 0), rows)
		}
		return min(max(at, -1), rows-1)
	}
	start, end := bound(1), bound(2)
	length := int64(k.len()) / rows
	cut := &constant{dims: slices.Clone(k.dims), integers: []int64{}}
	for i := start; i*step < end*step; i += step {
		cut.integers = append(cut.integers, k.integers[i*length:][:length]...)
	}
	cut.dims[0] = len(cut.integers) / int(length)
	return value{constant: cut}
}

// constantOfShape is a list of one number again and again.
func (c *call) constantOfShape() value {
	k := &constant{floats: []float32{0}}
	if s := c.attribute("value"); s != nil && s.tensor != nil {
		var err error
		k, err = s.tensor.decode(&c.decoded, c.beside)
		c.must(err)
	}
	sizes := c.integers(0)
	if len(sizes) != 1 || sizes[0] < 0 || sizes[0] > maxNumbers || k.len() != 1 {
		c.lack("a shape %v", sizes)
	}
	n := int(sizes[0])
	if k.integers != nil {
		return sizesOf(slices.Repeat(k.integers, n))
	}
	return value{constant: &constant{dims: []int{n}, floats: slices.Repeat(k.floats, n)}}
}

func (c *call) concatConstants() value {
	var all []int64
	for i := range c.inputs {
		all = append(all, c.integers(i)...)
		if len(all) > maxNumbers {
			c.lack("more than %d sizes", maxNumbers)
		}
	}
	return sizesOf(all)
}
