package onnx

import "slices"

// PyTorch's newer exporter writes a view of memory (as_strided, which it uses for a pooling of maps
// whose channels lie last) by the numbers of its values: all pictures become one list, a Range
// numbers the pictures, and a Gather takes for picture i the values number i·n + k. garb reads
// views that leave the values in their order.

// numbering is whole numbers along the batch's axis, the first: k for the first picture, and each
// more for every picture after it.
type numbering struct {
	k    *constant
	each int64
}

// maxNumber bounds the numbers, far below an overflow.
const maxNumber = 1 << 40

// isNumbering tells whether a Range numbers the pictures of a batch of any size from 0 on.
func (c *call) isNumbering() bool {
	if c.op != "Range" || len(c.inputs) != 3 {
		return false
	}
	for i, want := range []int64{0, batchSize, 1} {
		k, err := c.constantInput(i)
		if err != nil || k.kind != typeInt64 || k.len() != 1 || k.integers[0] != want {
			return false
		}
	}
	return true
}

// foldNumbering computes a node with a numbering as an input; ok is false if it has none.
func (c *call) foldNumbering() (v value, ok bool, err error) {
	if c.isNumbering() {
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
			return value{}, true, c.errDamaged("%d inputs", len(c.inputs))
		}
		var other *constant
		other, err = c.constantInput(1 - at)
		switch {
		case err != nil:
			return value{}, true, err
		case other.kind != typeInt64 || slices.Contains(other.integers, batchSize) ||
			len(other.dims) > len(n.k.dims) ||
			len(other.dims) == len(n.k.dims) && other.dims[0] != 1 || c.op == "Mul" && other.len() != 1:
			return value{}, true, c.errUnsupported("numbers of pictures and a constant %v", other.dims)
		case slices.ContainsFunc(other.integers, func(i int64) bool { return i < 0 || i > maxNumber/max(n.each, 1) }):
			return value{}, true, c.errUnsupported("numbers of pictures and a constant so large")
		case c.op == "Mul":
			n.each *= other.integers[0]
		}
	case "Unsqueeze":
		var list []int64
		if list, _, err = c.listOrInput("axes", 1); err != nil {
			return value{}, true, err
		}
		var added []int
		if added, err = c.resolveAxes(list, len(n.k.dims)+len(list)); err != nil {
			return value{}, true, err
		}
		if slices.Contains(added, 0) {
			return value{}, true, c.errUnsupported("an axis before the batch's")
		}
	default:
		return value{}, true, c.errUnsupported("numbers of pictures")
	}
	// The numbers for the first picture are computed as a constant.
	before := c.values[name]
	c.values[name] = value{constant: n.k}
	n.k, _, err = c.foldNode()
	c.values[name] = before
	return value{numbering: &n}, true, err
}

// readJoinedGather reads a view of the values of all pictures, which are one list.
func (c *call) readJoinedGather(v value) (value, error) {
	if c.integerAttribute("axis", 0) != 0 {
		return value{}, c.errDamaged("an axis of a list that is not its first")
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
		return value{}, c.errUnsupported("values of a list of all pictures, other than all of each")
	}
	inOrder := k.integers != nil && len(k.dims) > 1 && int64(k.len()) == count*int64(total)
	for i, at := range k.integers {
		inOrder = inOrder && at == int64(i)
	}
	if !inOrder {
		return value{}, c.errUnsupported("values of a list of all pictures in another order")
	}
	axes, ok := v.axes[0].split(k.dims[1:])
	if !ok {
		return value{}, c.errUnsupported("a view %v across the picture's axes", k.dims)
	}
	v.axes, v.joined = axes, false
	return v, nil
}
