package onnx

import (
	"cmp"
	"math"
	mathbits "math/bits"
	"slices"

	"garb/internal/kernel"
)

// newConstant makes a constant of n values that are zero.
func newConstant(kind int64, dims []int, n int) *constant {
	k := &constant{kind: kind, dims: dims}
	if !floating(kind) {
		k.integers = make([]int64, n)
		return k
	}
	k.floats = make([]float32, n)
	if kind == typeDouble {
		k.doubles = make([]float64, n)
	}
	return k
}

// floating reports whether a type is one of floating point.
func floating(kind int64) bool {
	return kind == typeFloat || kind == typeDouble || kind == typeFloat16 || kind == typeBFloat16
}

// typeName is ONNX's name for a type.
func typeName(kind int64) string {
	names := map[int64]string{
		typeFloat: "float32", typeUint8: "uint8", typeInt8: "int8", typeInt32: "int32", typeInt64: "int64",
		typeBool:    "bool",
		typeFloat16: "float16", typeDouble: "float64", typeBFloat16: "bfloat16",
	}
	return names[kind]
}

// put sets value i to value j of another constant of the same type.
func (k *constant) put(i int, from *constant, j int) {
	switch {
	case k.integers != nil:
		k.integers[i] = from.integers[j]
	case k.doubles != nil:
		k.doubles[i] = from.doubles[j]
		fallthrough
	default:
		k.floats[i] = from.floats[j]
	}
}

// number is value i of floating point.
func (k *constant) number(i int) float64 {
	if k.doubles != nil {
		return k.doubles[i]
	}
	return float64(k.floats[i])
}

// setNumber sets value i of floating point, rounded to the constant's type.
func (k *constant) setNumber(i int, v float64) {
	switch k.kind {
	case typeDouble:
		k.doubles[i] = v
	case typeFloat16:
		v = float64(kernel.HalfToFloat(kernel.FloatToHalf(float32(v))))
	case typeBFloat16:
		if b := math.Float32bits(float32(v)); v == v { // the upper half of a float32, rounded to even
			v = float64(math.Float32frombits((b + 0x7fff + b>>16&1) &^ 0xffff))
		}
	}
	k.floats[i] = float32(v)
}

// ranges are those of the whole numbers of each type.
var ranges = map[int64][2]int64{
	typeUint8: {0, math.MaxUint8}, typeInt8: {math.MinInt8, math.MaxInt8}, typeBool: {0, 1},
	typeInt32: {math.MinInt32, math.MaxInt32}, typeInt64: {batchSize + 1, math.MaxInt64},
}

// setWhole sets value i of whole numbers, and fails if its type cannot hold it.
func (c *call) setWhole(k *constant, i int, v int64) error {
	if limits := ranges[k.kind]; v < limits[0] || v > limits[1] {
		return c.damaged("a result that is no %s", typeName(k.kind))
	}
	k.integers[i] = v
	return nil
}

// knownSize fails for the size of the batch, which is no number.
func (c *call) knownSize(values ...int64) error {
	if slices.Contains(values, batchSize) {
		return c.lack("the size of the batch as a number")
	}
	return nil
}

// pairing is an operator of two constants, of floating point or whole: nil for neither. A
// float32 result is right when rounded from the float64 one, which has more than twice its
// digits. whole reports whether there is a result.
type pairing struct {
	float func(a, b float64) float64
	whole func(a, b int64) (int64, bool)
	// neutral tells the numbers that leave the size of a batch as it is: on the right, and on
	// the left if either.
	neutral func(int64) bool
	either  bool
}

var (
	sums        = &pairing{func(a, b float64) float64 { return a + b }, sumOf, zero, true}
	differences = &pairing{func(a, b float64) float64 { return a - b }, differenceOf, zero, false}
	products    = &pairing{func(a, b float64) float64 { return a * b }, productOf, one, true}
	quotients   = &pairing{func(a, b float64) float64 { return a / b }, quotientOf, one, false}
	smallest    = &pairing{smaller, func(a, b int64) (int64, bool) { return min(a, b), true }, never, true}
	largest     = &pairing{larger, func(a, b int64) (int64, bool) { return max(a, b), true }, atMostOne, true}
)

func zero(n int64) bool      { return n == 0 }
func one(n int64) bool       { return n == 1 }
func never(int64) bool       { return false }
func atMostOne(n int64) bool { return n <= 1 } // a batch has a picture at least

// smaller and larger are NaN if one of two is.
func smaller(a, b float64) float64 { return min(a, b) }
func larger(a, b float64) float64  { return max(a, b) }

func sumOf(a, b int64) (int64, bool) {
	sum := a + b
	return sum, (a < 0) != (b < 0) || (sum < 0) == (a < 0)
}

func differenceOf(a, b int64) (int64, bool) {
	d := a - b
	return d, (a < 0) == (b < 0) || (d < 0) == (a < 0)
}

func productOf(a, b int64) (int64, bool) {
	high, low := mathbits.Mul64(magnitude(a), magnitude(b))
	return a * b, high == 0 && low <= math.MaxInt64
}

func magnitude(a int64) uint64 {
	if a < 0 {
		return -uint64(a)
	}
	return uint64(a)
}

// quotientOf is towards zero.
func quotientOf(a, b int64) (int64, bool) {
	if b == 0 {
		return 0, false
	}
	return a / b, true
}

func (o *pairing) fold(c *call) (*constant, error) {
	a, err := c.weights(0)
	if err != nil {
		return nil, err
	}
	b, err := c.weights(1)
	if err != nil {
		return nil, err
	}
	return o.apply(c, a, b)
}

// foldAll is for operators of any number of inputs.
func (o *pairing) foldAll(c *call) (*constant, error) {
	all, err := c.weights(0)
	if err != nil {
		return nil, err
	}
	for i := range c.inputs[1:] {
		next, err := c.weights(i + 1)
		if err != nil {
			return nil, err
		}
		if all, err = o.apply(c, all, next); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// broadcast gives two constants of one type the same sizes.
func (c *call) broadcast(a, b *constant) (*constant, *constant, error) {
	if a.kind != b.kind {
		return nil, nil, c.damaged("a %s and a %s", typeName(a.kind), typeName(b.kind))
	}
	dims, err := c.together(a.dims, b.dims)
	if err != nil {
		return nil, nil, err
	}
	if a, err = c.stretched(a, dims); err != nil {
		return nil, nil, err
	}
	b, err = c.stretched(b, dims)
	return a, b, err
}

func (o *pairing) apply(c *call, a, b *constant) (*constant, error) {
	a, b, err := c.broadcast(a, b)
	if err != nil {
		return nil, err
	}
	if a.kind == typeBool || !floating(a.kind) && o.whole == nil || floating(a.kind) && o.float == nil {
		return nil, c.lack("a %s", typeName(a.kind))
	}
	out, err := c.vacant(a, a.dims)
	if err != nil {
		return nil, err
	}
	if floating(a.kind) {
		for i := range out.floats {
			out.setNumber(i, o.float(a.number(i), b.number(i)))
		}
		return out, nil
	}
	for i := range out.integers {
		x, y := a.integers[i], b.integers[i]
		if x == batchSize && o.neutral(y) || y == batchSize && o.either && o.neutral(x) {
			out.integers[i] = batchSize
			continue
		}
		if err := c.knownSize(x, y); err != nil {
			return nil, err
		}
		v, ok := o.whole(x, y)
		if !ok {
			return nil, c.damaged("no result for %d and %d", x, y)
		}
		if err := c.setWhole(out, i, v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// foldMod: with fmod the rest has the sign of the dividend, without that of the divisor.
func (c *call) foldMod() (*constant, error) {
	o := &pairing{neutral: never, whole: func(a, b int64) (int64, bool) {
		if b == 0 {
			return 0, false
		}
		r := a % b
		if r != 0 && (r < 0) != (b < 0) {
			r += b
		}
		return r, true
	}}
	if c.integer("fmod", 0) != 0 {
		o = &pairing{neutral: never, float: math.Mod, whole: func(a, b int64) (int64, bool) {
			if b == 0 {
				return 0, false
			}
			return a % b, true
		}}
	}
	return o.fold(c)
}

// foldPow has the type of the base, whatever that of the exponent is.
func (c *call) foldPow() (*constant, error) {
	base, err := c.weights(0)
	if err != nil {
		return nil, err
	}
	exponent, err := c.weights(1)
	if err != nil {
		return nil, err
	}
	if base.kind == typeBool || exponent.kind == typeBool {
		return nil, c.lack("a bool")
	}
	kind := base.kind
	if floating(base.kind) || floating(exponent.kind) {
		if base, err = c.converted(base, typeDouble); err != nil {
			return nil, err
		}
		if exponent, err = c.converted(exponent, typeDouble); err != nil {
			return nil, err
		}
	} else if exponent, err = c.converted(exponent, base.kind); err != nil {
		return nil, err
	}
	out, err := (&pairing{float: math.Pow, whole: powerOf, neutral: one}).apply(c, base, exponent)
	if err != nil {
		return nil, err
	}
	return c.converted(out, kind)
}

func powerOf(base, exponent int64) (power int64, ok bool) {
	switch {
	case base == 1 || exponent == 0:
		return 1, true
	case base == -1:
		return 1 - 2*(exponent&1), true
	case base == 0:
		return 0, exponent > 0
	case exponent < 0:
		return 0, true // a fraction, towards zero
	}
	power, ok = 1, true
	for range min(exponent, 64) { // any other base is out of range by then
		if power, ok = productOf(power, base); !ok {
			return 0, false
		}
	}
	return power, true
}

// foldClip is min(max(x, low), high), with both bounds of x's type.
func (c *call) foldClip() (*constant, error) {
	k, err := c.weights(0)
	if err != nil {
		return nil, err
	}
	var low, high *constant
	if c.model.opset < 11 {
		for name, into := range map[string]**constant{"min": &low, "max": &high} {
			if c.typed(name, kindFloat) != nil {
				*into = &constant{kind: typeFloat, floats: []float32{c.float(name, 0)}}
			}
		}
	} else {
		for i, into := range []**constant{&low, &high} {
			if !c.has(i + 1) {
				continue
			}
			if *into, err = c.weights(i + 1); err != nil {
				return nil, err
			}
			if (*into).len() != 1 {
				return nil, c.damaged("a bound of %v", (*into).dims)
			}
			*into = (*into).as()
		}
	}
	if low != nil {
		if k, err = largest.apply(c, k, low); err != nil {
			return nil, err
		}
	}
	if high != nil {
		return smallest.apply(c, k, high)
	}
	return k, nil
}

// mapping is an operator of one constant.
type mapping struct {
	float func(float64) float64
	whole func(int64) (int64, bool) // nil for whole numbers
}

var (
	negatives    = mapping{func(v float64) float64 { return -v }, func(v int64) (int64, bool) { return -v, true }}
	magnitudes   = mapping{math.Abs, func(v int64) (int64, bool) { return max(v, -v), true }}
	roots        = mapping{float: math.Sqrt}
	floors       = mapping{float: math.Floor}
	ceilings     = mapping{float: math.Ceil}
	nearests     = mapping{float: math.RoundToEven}
	reciprocals  = mapping{float: func(v float64) float64 { return 1 / v }}
	exponentials = mapping{float: math.Exp}
	logarithms   = mapping{float: math.Log}
)

func (o mapping) fold(c *call) (*constant, error) {
	k, err := c.weights(0)
	if err != nil {
		return nil, err
	}
	if k.kind == typeBool || !floating(k.kind) && o.whole == nil {
		return nil, c.lack("a %s", typeName(k.kind))
	}
	out, err := c.vacant(k, k.dims)
	if err != nil {
		return nil, err
	}
	for i := range out.floats {
		out.setNumber(i, o.float(k.number(i)))
	}
	for i, v := range k.integers {
		if err := c.knownSize(v); err != nil {
			return nil, err
		}
		v, _ = o.whole(v)
		if err := c.setWhole(out, i, v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// bothOf reads an operator's two inputs, and gives them one shape.
func (c *call) bothOf(read func(input int) (*constant, error)) (a, b *constant, err error) {
	if a, err = read(0); err != nil {
		return nil, nil, err
	}
	if b, err = read(1); err != nil {
		return nil, nil, err
	}
	return c.broadcast(a, b)
}

// comparison tells how two numbers compare from the sign of their difference.
type comparison func(sign int) bool

func equal(sign int) bool          { return sign == 0 }
func less(sign int) bool           { return sign < 0 }
func greater(sign int) bool        { return sign > 0 }
func lessOrEqual(sign int) bool    { return sign <= 0 }
func greaterOrEqual(sign int) bool { return sign >= 0 }

func (holds comparison) fold(c *call) (*constant, error) {
	a, b, err := c.bothOf(c.weights)
	if err != nil {
		return nil, err
	}
	out, err := c.vacantOf(typeBool, a.dims)
	if err != nil {
		return nil, err
	}
	for i := range out.integers {
		sign, known := 0, true
		if a.integers != nil {
			x, y := a.integers[i], b.integers[i]
			switch { // the batch is larger than 0, and no larger than any number
			case x == batchSize && y == batchSize:
			case x == batchSize && y <= 0:
				sign = 1
			case y == batchSize && x <= 0:
				sign = -1
			default:
				if err := c.knownSize(x, y); err != nil {
					return nil, err
				}
				sign = cmp.Compare(x, y)
			}
		} else {
			x, y := a.number(i), b.number(i)
			known = x == x && y == y // nothing holds of NaN
			sign = cmp.Compare(x, y)
		}
		if known && holds(sign) {
			out.integers[i] = 1
		}
	}
	return out, nil
}

// logic is an operator of two truths.
type logic func(a, b int64) int64

func and(a, b int64) int64 { return a & b }
func or(a, b int64) int64  { return a | b }

func (f logic) fold(c *call) (*constant, error) {
	a, b, err := c.bothOf(c.truths)
	if err != nil {
		return nil, err
	}
	out, err := c.vacant(a, a.dims)
	if err != nil {
		return nil, err
	}
	for i := range out.integers {
		out.integers[i] = f(a.integers[i], b.integers[i])
	}
	return out, nil
}

// truths are those of input i.
func (c *call) truths(i int) (*constant, error) {
	k, err := c.weights(i)
	if err == nil && k.kind != typeBool {
		err = c.damaged("input %d is a %s and no bool", i, typeName(k.kind))
	}
	return k, err
}

func (c *call) foldNot() (*constant, error) {
	k, err := c.truths(0)
	if err != nil {
		return nil, err
	}
	out, err := c.vacant(k, k.dims)
	if err != nil {
		return nil, err
	}
	for i, v := range k.integers {
		out.integers[i] = 1 - v
	}
	return out, nil
}

// foldWhere picks from the second input where the first is true, otherwise from the third.
func (c *call) foldWhere() (*constant, error) {
	condition, err := c.truths(0)
	if err != nil {
		return nil, err
	}
	yes, err := c.weights(1)
	if err != nil {
		return nil, err
	}
	no, err := c.weights(2)
	if err != nil {
		return nil, err
	}
	if yes, no, err = c.broadcast(yes, no); err != nil {
		return nil, err
	}
	dims, err := c.together(condition.dims, yes.dims)
	if err != nil {
		return nil, err
	}
	for _, k := range []**constant{&condition, &yes, &no} {
		if *k, err = c.stretched(*k, dims); err != nil {
			return nil, err
		}
	}
	out, err := c.vacant(yes, dims)
	if err != nil {
		return nil, err
	}
	for i, v := range condition.integers {
		if v != 0 {
			out.put(i, yes, i)
		} else {
			out.put(i, no, i)
		}
	}
	return out, nil
}

func (c *call) foldCast() (*constant, error) {
	k, err := c.weights(0)
	if err != nil {
		return nil, err
	}
	to := c.integer("to", 0)
	if typeName(to) == "" {
		return nil, c.lack("a constant as type %d", to)
	}
	return c.converted(k, to)
}

// converted casts a constant to another type: fractions are cut off.
func (c *call) converted(k *constant, to int64) (*constant, error) {
	if k.kind == to {
		return k, nil
	}
	out, err := c.vacantOf(to, k.dims)
	if err != nil {
		return nil, err
	}
	wide := to == typeInt64 || to == typeInt32
	for i := range out.len() {
		switch {
		case k.integers != nil && k.integers[i] == batchSize && wide:
			out.integers[i] = batchSize
		case k.integers != nil && k.integers[i] == batchSize:
			return nil, c.knownSize(batchSize)
		case k.integers != nil && floating(to):
			out.setNumber(i, float64(k.integers[i]))
		case k.integers != nil && to == typeBool:
			out.integers[i] = min(1, max(k.integers[i], -k.integers[i]))
		case k.integers != nil:
			err = c.setWhole(out, i, k.integers[i])
		case floating(to):
			out.setNumber(i, k.number(i))
		case to == typeBool:
			if k.number(i) != 0 {
				out.integers[i] = 1
			}
		default:
			v := k.number(i)
			if !(math.Abs(v) < 1<<63) {
				return nil, c.damaged("the value %v as a whole number", v)
			}
			err = c.setWhole(out, i, int64(v))
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// foldRange counts from a start to below a limit.
func (c *call) foldRange() (*constant, error) {
	var all [3]*constant
	for i := range all {
		k, err := c.weights(i)
		if err != nil {
			return nil, err
		}
		if k.len() != 1 || k.kind != all[0].kindOr(k.kind) || k.kind == typeBool {
			return nil, c.damaged("input %d is %s %v", i, typeName(k.kind), k.dims)
		}
		all[i] = k
	}
	start, limit, delta := all[0], all[1], all[2]
	count := 0.0
	if start.integers != nil {
		if err := c.knownSize(start.integers[0], limit.integers[0], delta.integers[0]); err != nil {
			return nil, err
		}
		reach, ok := differenceOf(limit.integers[0], start.integers[0])
		step := delta.integers[0]
		if !ok || step == 0 {
			return nil, c.damaged("a range from %d to %d by %d", start.integers[0], limit.integers[0], step)
		}
		whole := reach / step
		if reach%step != 0 && (reach < 0) == (step < 0) {
			whole++
		}
		count = float64(whole)
	} else {
		count = math.Ceil((limit.number(0) - start.number(0)) / delta.number(0))
	}
	if !(count <= math.MaxInt32) {
		return nil, c.damaged("a range of %v values", count)
	}
	out, err := c.vacant(start, []int{int(max(count, 0))})
	if err != nil {
		return nil, err
	}
	for i := range out.floats {
		out.setNumber(i, float64(i)*delta.number(0)) // rounded, as the sum is
		out.setNumber(i, start.number(0)+out.number(i))
	}
	for i := range out.integers {
		if err := c.setWhole(out, i, start.integers[0]+int64(i)*delta.integers[0]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// kindOr is the constant's type, or another if there is none yet.
func (k *constant) kindOr(other int64) int64 {
	if k == nil {
		return other
	}
	return k.kind
}

// reduction combines the values along some axes.
type reduction struct {
	pairing *pairing
	mean    bool
}

var (
	reducedSum     = reduction{pairing: sums}
	reducedMean    = reduction{pairing: sums, mean: true}
	reducedProduct = reduction{pairing: products}
	reducedMax     = reduction{pairing: largest}
	reducedMin     = reduction{pairing: smallest}
)

func (r reduction) fold(c *call) (*constant, error) {
	k, err := c.weights(0)
	if err != nil {
		return nil, err
	}
	list, given, err := c.listOrInput("axes", 1)
	if err != nil {
		return nil, err
	}
	none := !given || len(list) == 0
	if c.integer("noop_with_empty_axes", 0) != 0 && none {
		c.ignore("keepdims")
		return k, nil
	}
	axes, err := c.axesAt(list, len(k.dims))
	if err != nil {
		return nil, err
	}
	keep := c.integer("keepdims", 1) != 0
	if k.kind == typeBool || r.mean && !floating(k.kind) {
		return nil, c.lack("a %s", typeName(k.kind))
	}
	// The reduced axes are turned behind the others.
	var kept, dims, steps, gone, goneSteps []int
	all, count := strides(k.dims), 1
	for i, n := range k.dims {
		if none || slices.Contains(axes, i) {
			gone, goneSteps, count = append(gone, n), append(goneSteps, all[i]), count*n
			if keep {
				kept = append(kept, 1)
			}
			continue
		}
		dims, steps, kept = append(dims, n), append(steps, all[i]), append(kept, n)
	}
	if k.len() == 0 {
		return nil, c.lack("no values")
	}
	turned, err := c.strided(k, slices.Concat(dims, gone), slices.Concat(steps, goneSteps), 0)
	if err != nil {
		return nil, err
	}
	out, err := c.vacant(k, kept)
	if err != nil {
		return nil, err
	}
	for i := range out.floats {
		sum := turned.number(i * count)
		for j := 1; j < count; j++ {
			sum = r.pairing.float(sum, turned.number(i*count+j))
		}
		if r.mean {
			sum /= float64(count)
		}
		out.setNumber(i, sum)
	}
	for i := range out.integers {
		sum, ok := turned.integers[i*count], true
		if err := c.knownSize(turned.integers[i*count:][:count]...); err != nil {
			return nil, err
		}
		for _, v := range turned.integers[i*count+1:][:count-1] {
			if sum, ok = r.pairing.whole(sum, v); !ok {
				return nil, c.damaged("no result for %d and %d", sum, v)
			}
		}
		if err := c.setWhole(out, i, sum); err != nil {
			return nil, err
		}
	}
	return out, nil
}
