package onnx

import (
	"math"
	"slices"
)

// The operators here change how a value is seen, and make no layers.

func (c *call) identity() (value, error) { return c.input(0) }

// cast changes the type of a value: between kinds of floating point nothing changes here.
func (c *call) cast() (value, error) {
	v, err := c.input(0)
	if err != nil {
		return value{}, err
	}
	to := c.integer("to", 0)
	floating := to == typeFloat || to == typeDouble || to == typeFloat16 || to == typeBFloat16
	k := v.constant
	switch {
	case k == nil && !floating:
		return value{}, c.lack("a value as type %d", to)
	case floating && (k == nil || k.floats != nil):
	case floating:
		floats, err := c.valuesOf(k)
		if err != nil {
			return value{}, err
		}
		v.constant = &constant{dims: k.dims, floats: floats}
	case to != typeInt64 && to != typeInt32:
		return value{}, c.lack("a constant as type %d", to)
	case k.floats == nil:
		wide := func(n int64) bool { return n != batchSize && n != int64(int32(n)) }
		if to == typeInt32 && slices.ContainsFunc(k.integers, wide) {
			return value{}, c.lack("a value of more than 32 bits")
		}
	default:
		whole := make([]int64, len(k.floats))
		for i, f := range k.floats {
			if !(math.Abs(float64(f)) < 1<<31) {
				return value{}, c.lack("the value %v as a whole number", f)
			}
			whole[i] = int64(f)
		}
		v.constant = &constant{dims: k.dims, integers: whole}
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
			k, err = s.tensor.decode(&c.decoded, c.beside)
			if err != nil {
				return value{}, err
			}
		case "value_float":
			k = &constant{floats: []float32{s.float}}
		case "value_floats":
			k = &constant{dims: []int{len(s.floats)}, floats: append([]float32{}, s.floats...)}
		case "value_int":
			k = &constant{integers: []int64{s.integer}}
		case "value_ints":
			k = &constant{dims: []int{len(s.integers)}, integers: append([]int64{}, s.integers...)}
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
	v, err := c.input(0)
	if err != nil {
		return value{}, err
	}
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
			return value{}, c.damaged("perm %v for %d axes", perm, rank)
		}
		seen[p] = true
	}
	if len(perm) != rank {
		return value{}, c.damaged("perm %v for %d axes", perm, rank)
	}
	if v.constant != nil {
		k, err := c.turned(v.constant, perm)
		return value{constant: k}, err
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

// turned transposes a constant.
func (c *call) turned(k *constant, perm []int64) (*constant, error) {
	if err := c.decoded.take(k.len()); err != nil {
		return nil, err
	}
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
		return out, nil
	}
	order := all.places()
	for i := range out.floats {
		out.floats[i] = k.floats[place(order, i)]
	}
	for i := range out.integers {
		out.integers[i] = k.integers[place(order, i)]
	}
	return out, nil
}

func (c *call) reshape() (value, error) {
	v, err := c.input(0)
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
	if v.constant != nil {
		k, err := c.reshaped(v.constant, to)
		return value{constant: k}, err
	}
	if len(to) == 0 {
		return value{}, c.damaged("no axes")
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
		return value{}, c.lack("a shape %v, which is not one of batches", to)
	}
	axes, ok := whole.split(sizes)
	if !ok {
		return value{}, c.lack("a shape %v across the picture's axes", to)
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
			return nil, false, c.damaged("a shape %v for %d values", list, total)
		}
		product *= int(n)
		sizes = append(sizes, int(n))
	}
	if at >= 0 {
		sizes[at] = total / product
		product *= sizes[at]
	}
	if product != total {
		return nil, false, c.damaged("a shape %v for %d values", list, total)
	}
	return sizes, at >= 0, nil
}

func (c *call) reshaped(k *constant, to []int64) (*constant, error) {
	for i, n := range to {
		if n == 0 && i < len(k.dims) {
			to[i] = int64(k.dims[i])
		}
	}
	if k.len() == 0 {
		return nil, c.lack("no values")
	}
	sizes, _, err := c.sizes(to, k.len())
	if err != nil {
		return nil, err
	}
	return &constant{dims: sizes, floats: k.floats, integers: k.integers}, nil
}

// flatten keeps the batch, and makes one axis of the others.
func (c *call) flatten() (value, error) {
	v, err := c.picture(0)
	if err != nil {
		return value{}, err
	}
	at := c.integer("axis", 1)
	if at < 0 {
		at += int64(len(v.axes)) + 1
	}
	if at != 1 {
		return value{}, c.lack("axis %d", at)
	}
	v.axes = []axis{flat(v.axes)}
	return v, nil
}

func (c *call) squeeze() (value, error) {
	v, err := c.input(0)
	if err != nil {
		return value{}, err
	}
	list, given, err := c.listOrInput("axes", 1)
	if err != nil {
		return value{}, err
	}
	if k := v.constant; k != nil {
		// Of a constant only the number of axes matters: a size, or a list of one.
		if k.len() != 1 {
			return value{}, c.lack("%d constants", k.len())
		}
		return value{constant: &constant{floats: k.floats, integers: k.integers}}, nil
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
	v, err := c.input(0)
	if err != nil {
		return value{}, err
	}
	list, _, err := c.listOrInput("axes", 1)
	if err != nil {
		return value{}, err
	}
	if k := v.constant; k != nil {
		dims := slices.Clone(k.dims)
		rank := len(dims) + len(list)
		if rank > maxRank {
			return value{}, c.lack("%d axes", rank)
		}
		places, err := c.axesAt(list, rank)
		if err != nil {
			return value{}, err
		}
		slices.Sort(places)
		for _, at := range places {
			if at > len(dims) {
				return value{}, c.damaged("axes %v", list)
			}
			dims = slices.Insert(dims, at, 1)
		}
		return value{constant: &constant{dims: dims, floats: k.floats, integers: k.integers}}, nil
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
	v, err := c.input(0)
	if err != nil {
		return value{}, err
	}
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
	return sizesOf(sizes[min(start, end):end]), nil
}

func sizesOf(list []int64) value {
	return value{constant: &constant{dims: []int{len(list)}, integers: append([]int64{}, list...)}}
}

// gather picks one or several of a list of sizes.
func (c *call) gather() (value, error) {
	if v, err := c.input(0); err == nil && v.constant == nil {
		return c.selectChannels(v)
	}
	list, err := c.integers(0)
	if err != nil {
		return value{}, err
	}
	k, err := c.weights(1)
	if err != nil {
		return value{}, err
	}
	if len(k.dims) > 1 || k.integers == nil || c.integer("axis", 0) != 0 {
		return value{}, c.lack("indices %v", k.dims)
	}
	picked := &constant{dims: k.dims, integers: []int64{}}
	for _, at := range k.integers {
		i, err := c.axisAt(at, len(list))
		if err != nil {
			return value{}, err
		}
		picked.integers = append(picked.integers, list[i])
	}
	return value{constant: picked}, nil
}

// slice cuts a list of sizes, or rows of such, forwards or backwards. PyTorch turns its
// pads into ONNX's so.
func (c *call) slice() (value, error) {
	k, err := c.weights(0)
	if err != nil {
		return value{}, err
	}
	if c.model.opset < 10 {
		return value{}, c.lack("opset %d", c.model.opset)
	}
	if k.integers == nil || len(k.dims) == 0 || k.len() == 0 {
		return value{}, c.lack("a constant %v", k.dims)
	}
	var settings [5]int64 // by the numbers of the inputs: starts, ends, axes, steps
	for i := 1; i < len(settings); i++ {
		if i == 4 {
			settings[i] = 1
		}
		if i > 2 && !c.has(i) {
			continue
		}
		list, err := c.integers(i)
		if err != nil {
			return value{}, err
		}
		if len(list) != 1 {
			return value{}, c.lack("%d bounds", len(list))
		}
		settings[i] = list[0]
	}
	step := settings[4]
	if at := settings[3]; at != 0 && at != int64(-len(k.dims)) || step != 1 && step != -1 {
		return value{}, c.lack("axis %d and steps of %d", at, step)
	}
	rows := int64(k.dims[0])
	bound := func(at int64) int64 {
		if at < 0 {
			at = max(at, -rows-1) + rows
		}
		if step > 0 {
			return min(max(at, 0), rows)
		}
		return min(max(at, -1), rows-1)
	}
	start, end := bound(settings[1]), bound(settings[2])
	length := int64(k.len()) / rows
	cut := &constant{dims: slices.Clone(k.dims), integers: []int64{}}
	for i := start; i*step < end*step; i += step {
		cut.integers = append(cut.integers, k.integers[i*length:][:length]...)
	}
	cut.dims[0] = len(cut.integers) / int(length)
	return value{constant: cut}, nil
}

// constantOfShape is a list of one number again and again.
func (c *call) constantOfShape() (value, error) {
	k := &constant{floats: []float32{0}}
	if s := c.attribute("value"); s != nil && s.tensor != nil {
		var err error
		k, err = s.tensor.decode(&c.decoded, c.beside)
		if err != nil {
			return value{}, err
		}
	}
	sizes, err := c.integers(0)
	if err != nil {
		return value{}, err
	}
	if len(sizes) != 1 || sizes[0] < 0 || sizes[0] > maxNumbers || k.len() != 1 {
		return value{}, c.lack("a shape %v", sizes)
	}
	n := int(sizes[0])
	if k.integers != nil {
		return sizesOf(slices.Repeat(k.integers, n)), nil
	}
	return value{constant: &constant{dims: []int{n}, floats: slices.Repeat(k.floats, n)}}, nil
}

func (c *call) concatConstants() (value, error) {
	var all []int64
	for i := range c.inputs {
		list, err := c.integers(i)
		if err != nil {
			return value{}, err
		}
		all = append(all, list...)
		if len(all) > maxNumbers {
			return value{}, c.lack("more than %d sizes", maxNumbers)
		}
	}
	return sizesOf(all), nil
}
