package onnx

import (
	"math"
	"slices"
)

// fold computes the first output of a node whose inputs are all constants, and stores its other
// outputs in the reader's values. Its errors are *FormatError and *UnknownOperatorError.
type fold func(*call) (*constant, error)

// folds has the operators that garb computes when all their inputs are constants: with these,
// PyTorch and TensorFlow compute sizes and paddings from the shape of a map. The size of the batch
// is among these constants, as batchSize: it can be moved, but not computed with.
var folds map[string]fold

func init() {
	folds = map[string]fold{
		"Add": sums.fold, "Sub": differences.fold, "Mul": products.fold, "Div": quotients.fold, "Mod": (*call).foldMod,
		"Pow": (*call).foldPow, "Clip": (*call).foldClip,
		"Min": smallest.foldAll, "Max": largest.foldAll, "Sum": sums.foldAll,
		"Neg": negatives.fold, "Abs": magnitudes.fold, "Sqrt": roots.fold, "Floor": floors.fold, "Ceil": ceilings.fold,
		"Round": nearests.fold, "Reciprocal": reciprocals.fold, "Exp": exponentials.fold, "Log": logarithms.fold,
		"Equal": comparison(equal).fold, "Less": comparison(less).fold, "Greater": comparison(greater).fold,
		"LessOrEqual": comparison(lessOrEqual).fold, "GreaterOrEqual": comparison(greaterOrEqual).fold,
		"Not": (*call).foldNot, "And": logic(and).fold, "Or": logic(or).fold, "Where": (*call).foldWhere,
		"ReduceSum": reducedSum.fold, "ReduceMean": reducedMean.fold, "ReduceProd": reducedProduct.fold,
		"ReduceMax": reducedMax.fold, "ReduceMin": reducedMin.fold,

		"Identity": (*call).foldIdentity, "Cast": (*call).foldCast, "Shape": (*call).foldShape,
		"Size":            (*call).foldSize,
		"ConstantOfShape": (*call).foldConstantOfShape, "Range": (*call).foldRange,
		"Gather": (*call).foldGather, "Slice": (*call).foldSlice, "Split": (*call).foldSplit,
		"Concat":    (*call).foldConcat,
		"Transpose": (*call).foldTranspose, "Reshape": (*call).foldReshape, "Flatten": (*call).foldFlatten,
		"Squeeze": (*call).foldSqueeze, "Unsqueeze": (*call).foldUnsqueeze,
		"Expand": (*call).foldExpand, "Tile": (*call).foldTile,
	}
}

// foldedValues is how many values garb computes for each value of the file's weights, and
// foldedAtLeast how many for all nodes together if the file has few or no weights.
const (
	foldedValues  = 16
	foldedAtLeast = 1 << 20
)

// foldNode computes the node if all its inputs are constants and its operator is among folds.
func (c *call) foldNode() (k *constant, ok bool, err error) {
	f := folds[c.op]
	if f == nil {
		return nil, false, nil
	}
	for _, name := range c.inputs {
		v, known := c.values[name]
		if name != "" && v.constant == nil && (known || c.model.initializers[name] == nil) {
			return nil, false, nil
		}
	}
	k, err = f(c)
	return k, true, err
}

// spendValues counts n values that are computed, and returns an error if they are too many.
func (c *call) spendValues(n int) error {
	if n < 0 || n > c.foldable {
		return c.errDamaged("it and the constants before it take more computing than a file of this size may ask for")
	}
	c.foldable -= n
	return nil
}

// newLike returns a constant of k's type and the given sizes, whose values are zero.
func (c *call) newLike(k *constant, dims []int) (*constant, error) {
	n := 1 // axes of no values are bounded too
	for _, d := range dims {
		if d < 0 || d > 0 && n > c.foldable/d {
			return nil, c.errDamaged("it would make a constant of %v", dims)
		}
		n *= max(d, 1)
	}
	if slices.Contains(dims, 0) {
		n = 0
	}
	if len(dims) > maxRank {
		return nil, c.errUnsupported("%d axes", len(dims))
	}
	if err := c.spendValues(n); err != nil {
		return nil, err
	}
	return newConstant(k.kind, slices.Clone(dims), n), nil
}

// newOfType is like newLike for another type than k's.
func (c *call) newOfType(kind int64, dims []int) (*constant, error) {
	return c.newLike(&constant{kind: kind}, dims)
}

// strides returns how far apart neighbours along each axis of the sizes are.
func strides(dims []int) []int {
	all := make([]int, len(dims))
	for i, n := len(dims)-1, 1; i >= 0; i-- {
		all[i] = n
		n *= dims[i]
	}
	return all
}

// copyStrided returns a constant of the given sizes whose value at [i j …] is k's value number
// first + i·steps[0] + j·steps[1] + ….
func (c *call) copyStrided(k *constant, dims, steps []int, first int) (*constant, error) {
	out, err := c.newLike(k, dims)
	if err != nil {
		return nil, err
	}
	index := make([]int, len(dims))
	at := first
	for i := range out.len() {
		out.copyValue(i, k, at)
		for d := len(dims) - 1; d >= 0; d-- {
			index[d]++
			at += steps[d]
			if index[d] < dims[d] {
				break
			}
			at -= dims[d] * steps[d]
			index[d] = 0
		}
	}
	return out, nil
}

// reshape returns k with other sizes, of as many values.
func (k *constant) reshape(dims ...int) *constant {
	other := *k
	other.dims = dims
	return &other
}

// foldIdentity returns the input itself, since no constant is ever changed.
func (c *call) foldIdentity() (*constant, error) { return c.constantInput(0) }

func (c *call) foldTranspose() (*constant, error) {
	k, err := c.constantInput(0)
	if err != nil {
		return nil, err
	}
	perm, err := c.transposeOrder(len(k.dims))
	if err != nil {
		return nil, err
	}
	dims, steps, all := []int{}, []int{}, strides(k.dims)
	for _, p := range perm {
		dims, steps = append(dims, k.dims[p]), append(steps, all[p])
	}
	return c.copyStrided(k, dims, steps, 0)
}

func (c *call) foldReshape() (*constant, error) {
	k, err := c.constantInput(0)
	if err != nil {
		return nil, err
	}
	list, err := c.integerInput(1)
	if err != nil {
		return nil, err
	}
	if len(list) > maxRank {
		return nil, c.errUnsupported("%d axes", len(list))
	}
	zeros := c.integerAttribute("allowzero", 0) != 0
	dims, open, product := make([]int, len(list)), -1, 1
	for i, n := range list {
		if n == 0 && !zeros {
			if i >= len(k.dims) {
				return nil, c.errDamaged("a shape %v of %v", list, k.dims)
			}
			n = int64(k.dims[i])
		}
		switch {
		case n == -1 && open < 0:
			open = i
			continue
		case n < 0 || n > 0 && int64(product) > math.MaxInt32/n:
			return nil, c.errDamaged("a shape %v of %v", list, k.dims)
		}
		dims[i] = int(n)
		product *= int(n)
	}
	if open >= 0 && product > 0 {
		dims[open] = k.len() / product
		product *= dims[open]
	}
	if product != k.len() || open >= 0 && slices.Contains(dims, 0) && k.len() > 0 {
		return nil, c.errDamaged("a shape %v of %v", list, k.dims)
	}
	return k.reshape(dims...), nil
}

func (c *call) foldFlatten() (*constant, error) {
	k, err := c.constantInput(0)
	if err != nil {
		return nil, err
	}
	at, err := c.resolveFlattenAxis(len(k.dims))
	if err != nil {
		return nil, err
	}
	rows, columns := 1, 1
	for i, n := range k.dims {
		if i < at {
			rows *= n
		} else {
			columns *= n
		}
	}
	return k.reshape(rows, columns), nil
}

func (c *call) foldSqueeze() (*constant, error) {
	k, err := c.constantInput(0)
	if err != nil {
		return nil, err
	}
	list, given, err := c.listOrInput("axes", 1)
	if err != nil {
		return nil, err
	}
	gone, err := c.resolveAxes(list, len(k.dims))
	if err != nil {
		return nil, err
	}
	dims := []int{}
	for i, n := range k.dims {
		switch drop := slices.Contains(gone, i); {
		case drop && n != 1:
			return nil, c.errDamaged("it drops axis %d, of %d", i, n)
		case !drop && (given || n != 1):
			dims = append(dims, n)
		}
	}
	return k.reshape(dims...), nil
}

func (c *call) foldUnsqueeze() (*constant, error) {
	k, err := c.constantInput(0)
	if err != nil {
		return nil, err
	}
	list, _, err := c.listOrInput("axes", 1)
	if err != nil {
		return nil, err
	}
	rank := len(k.dims) + len(list)
	if rank > maxRank {
		return nil, c.errUnsupported("%d axes", rank)
	}
	places, err := c.resolveAxes(list, rank)
	if err != nil {
		return nil, err
	}
	slices.Sort(places)
	dims := slices.Clone(k.dims)
	for _, at := range places {
		dims = slices.Insert(dims, at, 1)
	}
	return k.reshape(dims...), nil
}

func (c *call) foldShape() (*constant, error) {
	k, err := c.constantInput(0)
	if err != nil {
		return nil, err
	}
	return newList(c.sliceShape(toInt64s(k.dims))), nil
}

func (c *call) foldSize() (*constant, error) {
	k, err := c.constantInput(0)
	if err != nil {
		return nil, err
	}
	return &constant{kind: typeInt64, integers: []int64{int64(k.len())}}, nil
}

// newList returns a list of sizes as a constant.
func newList(list []int64) *constant {
	return &constant{kind: typeInt64, dims: []int{len(list)}, integers: append([]int64{}, list...)}
}

// shapeInput returns input i, a list of sizes of the output.
func (c *call) shapeInput(i int) ([]int, error) {
	list, err := c.integerInput(i)
	if err != nil {
		return nil, err
	}
	dims := make([]int, len(list))
	for j, n := range list {
		switch {
		case n == batchSize:
			return nil, c.errUnsupported("the size of the batch as that of a constant")
		case n < 0 || n != int64(int(n)):
			return nil, c.errDamaged("a shape %v", list)
		}
		dims[j] = int(n)
	}
	return dims, nil
}

func (c *call) foldConstantOfShape() (*constant, error) {
	k := &constant{kind: typeFloat, floats: []float32{0}}
	if s := c.typedAttribute("value", kindTensor); s != nil && s.tensor != nil {
		var err error
		k, err = c.decodeConstant(s.tensor)
		if err != nil {
			return nil, err
		}
	}
	if k.len() != 1 {
		return nil, c.errDamaged("%d values to repeat", k.len())
	}
	dims, err := c.shapeInput(0)
	if err != nil {
		return nil, err
	}
	return c.copyStrided(k, dims, make([]int, len(dims)), 0)
}

func (c *call) foldExpand() (*constant, error) {
	k, err := c.constantInput(0)
	if err != nil {
		return nil, err
	}
	dims, err := c.shapeInput(1)
	if err != nil {
		return nil, err
	}
	if dims, err = c.broadcastSizes(k.dims, dims); err != nil {
		return nil, err
	}
	return c.broadcastTo(k, dims)
}

// broadcastSizes returns the common sizes of two constants that are broadcast to each other.
func (c *call) broadcastSizes(a, b []int) ([]int, error) {
	if len(a) < len(b) {
		a, b = b, a
	}
	dims := slices.Clone(a)
	for i, n := range b {
		at := i + len(a) - len(b)
		switch {
		case dims[at] == 1:
			dims[at] = n
		case n != 1 && n != dims[at]:
			return nil, c.errDamaged("constants of %v and %v", a, b)
		}
	}
	return dims, nil
}

// broadcastTo broadcasts a constant to sizes that broadcastSizes returned.
func (c *call) broadcastTo(k *constant, dims []int) (*constant, error) {
	if slices.Equal(k.dims, dims) {
		return k, nil
	}
	steps, skip := make([]int, len(dims)), len(dims)-len(k.dims)
	for i, step := range strides(k.dims) {
		if k.dims[i] > 1 {
			steps[i+skip] = step
		}
	}
	return c.copyStrided(k, dims, steps, 0)
}

func (c *call) foldTile() (*constant, error) {
	k, err := c.constantInput(0)
	if err != nil {
		return nil, err
	}
	times, err := c.shapeInput(1)
	if err != nil {
		return nil, err
	}
	if len(times) != len(k.dims) {
		return nil, c.errDamaged("repeats %v for %v", times, k.dims)
	}
	out := k
	for i, n := range times { // one axis after the other: [… n·d …] is [… n d …]
		if n == 1 {
			continue
		}
		dims, steps := slices.Insert(slices.Clone(out.dims), i, n), slices.Insert(strides(out.dims), i, 0)
		if len(dims) > maxRank {
			return nil, c.errUnsupported("%d axes", len(k.dims))
		}
		sizes := slices.Clone(out.dims)
		if out, err = c.copyStrided(out, dims, steps, 0); err != nil {
			return nil, err
		}
		sizes[i] *= n
		out = out.reshape(sizes...)
	}
	return out, nil
}

// foldGather computes a Gather: values at some places along an axis.
func (c *call) foldGather() (*constant, error) {
	k, err := c.constantInput(0)
	if err != nil {
		return nil, err
	}
	which, err := c.constantInput(1)
	if err != nil {
		return nil, err
	}
	at, err := c.resolveAxis(c.integerAttribute("axis", 0), len(k.dims))
	if err != nil {
		return nil, err
	}
	if which.integers == nil {
		return nil, c.errDamaged("its places are no whole numbers")
	}
	outer, inner := 1, 1
	for i, n := range k.dims {
		if i < at {
			outer *= n
		} else if i > at {
			inner *= n
		}
	}
	out, err := c.newLike(k, slices.Concat(k.dims[:at], which.dims, k.dims[at+1:]))
	if err != nil {
		return nil, err
	}
	next := 0
	for o := range outer {
		for _, place := range which.integers {
			i, err := c.resolveAxis(place, k.dims[at])
			if err != nil {
				return nil, err
			}
			for j := range inner {
				out.copyValue(next, k, (o*k.dims[at]+i)*inner+j)
				next++
			}
		}
	}
	return out, nil
}

// foldSlice computes a Slice along some axes, forwards or backwards.
func (c *call) foldSlice() (*constant, error) {
	k, err := c.constantInput(0)
	if err != nil {
		return nil, err
	}
	starts, ends, axes, steps, err := c.readSliceBounds()
	if err != nil {
		return nil, err
	}
	if axes == nil {
		for i := range starts {
			axes = append(axes, int64(i))
		}
	}
	if steps == nil {
		steps = slices.Repeat([]int64{1}, len(starts))
	}
	if len(ends) != len(starts) || len(axes) != len(starts) || len(steps) != len(starts) {
		return nil, c.errDamaged("starts %v, ends %v, axes %v and steps %v", starts, ends, axes, steps)
	}
	places, err := c.resolveAxes(axes, len(k.dims))
	if err != nil {
		return nil, err
	}
	dims, along, first := slices.Clone(k.dims), strides(k.dims), 0
	for i, at := range places {
		n, step := int64(k.dims[at]), steps[i]
		if step == 0 || starts[i] == batchSize || ends[i] == batchSize || step == batchSize {
			return nil, c.errDamaged("starts %v, ends %v and steps %v", starts, ends, steps)
		}
		bound := func(b int64) int64 {
			if b < 0 {
				b = max(b, -n-1) + n
			}
			if step > 0 {
				return min(max(b, 0), n)
			}
			return min(max(b, -1), n-1)
		}
		from, to := bound(starts[i]), bound(ends[i])
		step = min(max(step, -n-1), n+1) // beyond the axis all steps are alike
		count := int64(0)
		if step > 0 && to > from {
			count = (to - from + step - 1) / step
		} else if step < 0 && from > to {
			count = (from - to - step - 1) / -step
		}
		dims[at] = int(count)
		first += int(from) * along[at]
		along[at] *= int(step)
	}
	if slices.Contains(dims, 0) {
		first = 0
	}
	return c.copyStrided(k, dims, along, first)
}

// readSliceBounds reads the bounds of a Slice; older files have them as attributes.
func (c *call) readSliceBounds() (starts, ends, axes, steps []int64, err error) {
	if c.model.opset < 10 {
		return c.listAttribute("starts"), c.listAttribute("ends"), c.listAttribute("axes"), nil, nil
	}
	for i, into := range []*[]int64{&starts, &ends, &axes, &steps} {
		if i > 1 && !c.hasInput(i+1) {
			continue
		}
		if *into, err = c.integerInput(i + 1); err != nil {
			return nil, nil, nil, nil, err
		}
	}
	return starts, ends, axes, steps, nil
}

// foldSplit cuts a constant into the node's outputs.
func (c *call) foldSplit() (*constant, error) {
	k, err := c.constantInput(0)
	if err != nil {
		return nil, err
	}
	at, err := c.resolveAxis(c.integerAttribute("axis", 0), len(k.dims))
	if err != nil {
		return nil, err
	}
	list, given, err := c.listOrInput("split", 1)
	if err != nil {
		return nil, err
	}
	size, count := k.dims[at], len(c.outputs)
	n := c.integerAttribute("num_outputs", int64(count))
	if n != int64(count) || given && c.attributes["num_outputs"] != nil {
		return nil, c.errDamaged("num_outputs %d for %d outputs", n, count)
	}
	if !given {
		each := (size + count - 1) / count
		if c.attributes["num_outputs"] == nil && size%count != 0 {
			return nil, c.errDamaged("%d outputs of %v along axis %d", count, k.dims, at)
		}
		for i := range count {
			list = append(list, int64(min(each, max(size-i*each, 0))))
		}
	}
	total := int64(0)
	for _, n := range list {
		if n < 0 || n > int64(size) {
			return nil, c.errDamaged("parts %v of %v along axis %d", list, k.dims, at)
		}
		total += n
	}
	if total != int64(size) || len(list) != count {
		return nil, c.errDamaged("parts %v of %v along axis %d", list, k.dims, at)
	}
	steps, first, place := strides(k.dims), (*constant)(nil), 0
	for i, n := range list {
		dims := slices.Clone(k.dims)
		dims[at] = int(n)
		part, err := c.copyStrided(k, dims, steps, place*steps[at])
		if err != nil {
			return nil, err
		}
		place += int(n)
		if i == 0 {
			first = part
		} else if c.outputs[i] != "" {
			c.values[c.outputs[i]] = value{constant: part}
		}
	}
	return first, nil
}

// foldConcat joins constants along an axis.
func (c *call) foldConcat() (*constant, error) {
	first, err := c.constantInput(0)
	if err != nil {
		return nil, err
	}
	if c.attributes["axis"] == nil {
		return nil, c.errDamaged("it names no axis")
	}
	at, err := c.resolveAxis(c.integerAttribute("axis", 0), len(first.dims))
	if err != nil {
		return nil, err
	}
	dims := slices.Clone(first.dims)
	dims[at] = 0
	var all []*constant
	for i := range c.inputs {
		var k *constant
		if k, err = c.constantInput(i); err != nil {
			return nil, err
		}
		if k.kind != first.kind || len(k.dims) != len(dims) {
			return nil, c.errDamaged("input %d is %s %v, and input 0 %s %v",
				i, typeName(k.kind), k.dims, typeName(first.kind), first.dims)
		}
		for j, n := range k.dims {
			if j != at && n != dims[j] {
				return nil, c.errDamaged("input %d is %v, and input 0 %v", i, k.dims, first.dims)
			}
		}
		dims[at] += k.dims[at]
		all = append(all, k)
	}
	out, err := c.newLike(first, dims)
	if err != nil {
		return nil, err
	}
	outer, next := 1, 0
	for _, n := range dims[:at] {
		outer *= n
	}
	for o := range outer {
		for _, k := range all {
			run := k.len() / outer
			for j := range run {
				out.copyValue(next, k, o*run+j)
				next++
			}
		}
	}
	return out, nil
}
