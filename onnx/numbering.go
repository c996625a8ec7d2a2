package onnx

import "slices"

// PyTorch's newer exporter writes a view of memory (as_strided, which it makes of a pooling of
// maps whose channels lie last) as numbers of values: all pictures become one list, a Range
// numbers the pictures, and a Gather takes for picture i the values number i·n + k. Read here
// are views that leave the values in their order.

// numbering is whole numbers along the batch's axis, the first: k's for the first picture, and
// so many more for each that follows.
type numbering struct {
	k    *constant
	each int64
}

// maxNumber bounds what numberings count, far from where they would overflow.
const maxNumber = 1 << 40

// numbersPictures tells whether a Range numbers the pictures of a batch of any size from 0 on.
func (c *call) numbersPictures() bool {
	if c.op != "Range" || len(c.inputs) != 3 {
		return false
	}
	for i, want := range []int64{0, batchSize, 1} {
		k, err := c.weights(i)
		if err != nil || k.kind != typeInt64 || k.len() != 1 || k.integers[0] != want {
			return false
		}
	}
	return true
}

// numbered computes with a numbering, which is one of the inputs if ok.
func (c *call) numbered() (v value, ok bool, err error) {
	if c.numbersPictures() {
		return value{numbering: &numbering{&constant{kind: typeInt64, dims: []int{1}, integers: []int64{0}}, 1}},
			true, nil
	}
	at := slices.IndexFunc(c.inputs, func(name string) bool { return c.values[name].numbering != nil })
	if at < 0 || c.op == "Gather" {
		return value{}, false, nil
	}
	name := c.inputs[at]
	n := *c.values[name].numbering
	switch c.op {
	case "Add", "Mul":
		if len(c.inputs) != 2 {
			return value{}, true, c.damaged("%d inputs", len(c.inputs))
		}
		other, err := c.weights(1 - at)
		switch {
		case err != nil:
			return value{}, true, err
		case other.kind != typeInt64 || slices.Contains(other.integers, batchSize) ||
			len(other.dims) > len(n.k.dims) ||
			len(other.dims) == len(n.k.dims) && other.dims[0] != 1 || c.op == "Mul" && other.len() != 1:
			return value{}, true, c.lack("numbers of pictures and a constant %v", other.dims)
		case slices.ContainsFunc(other.integers, func(i int64) bool { return i < 0 || i > maxNumber/max(n.each, 1) }):
			return value{}, true, c.lack("numbers of pictures and a constant so large")
		case c.op == "Mul":
			n.each *= other.integers[0]
		}
	case "Unsqueeze":
		list, _, err := c.listOrInput("axes", 1)
		if err != nil {
			return value{}, true, err
		}
		added, err := c.axesAt(list, len(n.k.dims)+len(list))
		if err != nil {
			return value{}, true, err
		}
		if slices.Contains(added, 0) {
			return value{}, true, c.lack("an axis before the batch's")
		}
	default:
		return value{}, true, c.lack("numbers of pictures")
	}
	// What it makes for the first picture is computed as of a constant.
	before := c.values[name]
	c.values[name] = value{constant: n.k}
	n.k, _, err = c.folded()
	c.values[name] = before
	return value{numbering: &n}, true, err
}

// gatherJoined views the values of all pictures, which are one list.
func (c *call) gatherJoined(v value) (value, error) {
	if c.integer("axis", 0) != 0 {
		return value{}, c.damaged("an axis of a list that is not its first")
	}
	numbers, err := c.input(1)
	if err != nil {
		return value{}, err
	}
	total, count := v.axes[0].size(), int64(1)
	k := numbers.constant
	switch n := numbers.numbering; {
	case n != nil && n.each == int64(total):
		k = n.k
	case n == nil && k != nil && c.batch > 0 && len(k.dims) > 0 && int64(k.dims[0]) == c.batch:
		count = c.batch
	default:
		return value{}, c.lack("values of a list of all pictures, other than all of each")
	}
	inOrder := k.integers != nil && len(k.dims) > 1 && int64(k.len()) == count*int64(total)
	for i, at := range k.integers {
		inOrder = inOrder && at == int64(i)
	}
	if !inOrder {
		return value{}, c.lack("values of a list of all pictures in another order")
	}
	axes, ok := v.axes[0].split(k.dims[1:])
	if !ok {
		return value{}, c.lack("a view %v across the picture's axes", k.dims)
	}
	v.axes, v.joined = axes, false
	return v, nil
}
