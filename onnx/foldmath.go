package onnx

import (
	"cmp"
	"math"
	mathbits "math/bits"
	"slices"

	"garb/internal/kernel"
)

// newConstant returns a constant of n values that are zero.
func newConstant(kind int64, dims []int, n int) *constant {
	k := &constant{kind: kind, dims: dims}
	if !isFloating(kind) {
		k.integers = make([]int64, n)
		return k
	}
	k.floats = make([]float32, n)
	if kind == typeDouble {
		k.doubles = make([]float64, n)
	}
	return k
}

// isFloating tells whether a type is one of floating point.
func isFloating(kind int64) bool {
	return kind == typeFloat || kind == typeDouble || kind == typeFloat16 || kind == typeBFloat16
}

// typeName returns ONNX's name of a type.
func typeName(kind int64) string {
	names := map[int64]string{
		typeFloat: "float32", typeUint8: "uint8", typeInt8: "int8", typeInt32: "int32", typeInt64: "int64",
		typeBool:    "bool",
		typeFloat16: "float16", typeDouble: "float64", typeBFloat16: "bfloat16",
	}
	return names[kind]
}

// copyValue sets value i to value j of another constant of the same type.
func (k *constant) copyValue(i int, from *constant, j int) {
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

// number returns value i of floating point.
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

// ranges are the ranges of the whole numbers of each type.
var ranges = map[int64][2]int64{
	typeUint8: {0, math.MaxUint8}, typeInt8: {math.MinInt8, math.MaxInt8}, typeBool: {0, 1},
	typeInt32: {math.MinInt32, math.MaxInt32}, typeInt64: {batchSize + 1, math.MaxInt64},
}

// setWhole sets value i of whole numbers, and returns an error if its type cannot hold it.
func (c *call) setWhole(k *constant, i int, v int64) error {
	if limits := ranges[k.kind]; v < limits[0] || v > limits[1] {
		return c.errDamaged("a result that is no %s", typeName(k.kind))
	}
	k.integers[i] = v
	return nil
}

// knownSize returns an error if a number stands for the size of the batch, which is not known.
func (c *call) knownSize(values ...int64) error {
	if slices.Contains(values, batchSize) {
		return c.errUnsupported("the size of the batch as a number")
	}
	return nil
}

// pairing is an operator of two constants, of floating point or whole: nil for neither. A float32
// result is exact when rounded from the float64 one, which has more than twice its digits. whole
// also tells whether there is a result.
type pairing struct {
	float func(a, b float64) float64
	whole func(a, b int64) (int64, bool)
	// neutral tells whether a number leaves the size of a batch as it is: on the right, and if
	// commutative also on the left.
	neutral     func(int64) bool
	commutative bool
}

var (
	sums        = &pairing{func(a, b float64) float64 { return a + b }, addIntegers, isZero, true}
	differences = &pairing{func(a, b float64) float64 { return a - b }, subtractIntegers, isZero, false}
	products    = &pairing{func(a, b float64) float64 { return a * b }, multiplyIntegers, isOne, true}
	quotients   = &pairing{func(a, b float64) float64 { return a / b }, divideIntegers, isOne, false}
	smallest    = &pairing{smaller, func(a, b int64) (int64, bool) { return min(a, b), true }, never, true}
	largest     = &pairing{larger, func(a, b int64) (int64, bool) { return max(a, b), true }, isAtMostOne, true}
)

func isZero(n int64) bool      { return n == 0 }
func isOne(n int64) bool       { return n == 1 }
func never(int64) bool         { return false }
func isAtMostOne(n int64) bool { return n <= 1 } // a batch has a picture at least

// smaller returns NaN if one of the two is NaN, as larger does.
func smaller(a, b float64) float64 { return min(a, b) }
func larger(a, b float64) float64  { return max(a, b) }

func addIntegers(a, b int64) (int64, bool) {
	sum := a + b
	return sum, (a < 0) != (b < 0) || (sum < 0) == (a < 0)
}

func subtractIntegers(a, b int64) (int64, bool) {
	d := a - b
	return d, (a < 0) == (b < 0) || (d < 0) == (a < 0)
}

func multiplyIntegers(a, b int64) (int64, bool) {
	high, low := mathbits.Mul64(magnitude(a), magnitude(b))
	return a * b, high == 0 && low <= math.MaxInt64
}

func magnitude(a int64) uint64 {
	if a < 0 {
		return -uint64(a)
	}
	return uint64(a)
}

// divideIntegers rounds towards zero.
func divideIntegers(a, b int64) (int64, bool) {
	if b == 0 {
		return 0, false
	}
	return a / b, true
}

func (o *pairing) fold(c *call) (*constant, error) {
	a, err := c.constantInput(0)
	if err != nil {
		return nil, err
	}
	b, err := c.constantInput(1)
	if err != nil {
		return nil, err
	}
	return o.apply(c, a, b)
}

// foldAll computes operators of any number of inputs.
func (o *pairing) foldAll(c *call) (*constant, error) {
	all, err := c.constantInput(0)
	if err != nil {
		return nil, err
	}
	for i := range c.inputs[1:] {
		next, err := c.constantInput(i + 1)
		if err != nil {
			return nil, err
		}
		if all, err = o.apply(c, all, next); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// broadcast returns two constants of one type broadcast to the same sizes.
func (c *call) broadcast(a, b *constant) (*constant, *constant, error) {
	if a.kind != b.kind {
		return nil, nil, c.errDamaged("a %s and a %s", typeName(a.kind), typeName(b.kind))
	}
	dims, err := c.broadcastSizes(a.dims, b.dims)
	if err != nil {
		return nil, nil, err
	}
	if a, err = c.broadcastTo(a, dims); err != nil {
		return nil, nil, err
	}
	b, err = c.broadcastTo(b, dims)
	return a, b, err
}

func (o *pairing) apply(c *call, a, b *constant) (*constant, error) {
	a, b, err := c.broadcast(a, b)
	if err != nil {
		return nil, err
	}
	if a.kind == typeBool || !isFloating(a.kind) && o.whole == nil || isFloating(a.kind) && o.float == nil {
		return nil, c.errUnsupported("a %s", typeName(a.kind))
	}
	out, err := c.newLike(a, a.dims)
	if err != nil {
		return nil, err
	}
	if isFloating(a.kind) {
		for i := range out.floats {
			out.setNumber(i, o.float(a.number(i), b.number(i)))
		}
		return out, nil
	}
	for i := range out.integers {
		x, y := a.integers[i], b.integers[i]
		if x == batchSize && o.neutral(y) || y == batchSize && o.commutative && o.neutral(x) {
			out.integers[i] = batchSize
			continue
		}
		if err := c.knownSize(x, y); err != nil {
			return nil, err
		}
		v, ok := o.whole(x, y)
		if !ok {
			return nil, c.errDamaged("no result for %d and %d", x, y)
		}
		if err := c.setWhole(out, i, v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// foldMod computes the remainder: with fmod it has the sign of the dividend, without that of the
// divisor.
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
	if c.integerAttribute("fmod", 0) != 0 {
		o = &pairing{neutral: never, float: math.Mod, whole: func(a, b int64) (int64, bool) {
			if b == 0 {
				return 0, false
			}
			return a % b, true
		}}
	}
	return o.fold(c)
}

// foldPow computes a power; its type is that of the base.
func (c *call) foldPow() (*constant, error) {
	base, err := c.constantInput(0)
	if err != nil {
		return nil, err
	}
	exponent, err := c.constantInput(1)
	if err != nil {
		return nil, err
	}
	if base.kind == typeBool || exponent.kind == typeBool {
		return nil, c.errUnsupported("a bool")
	}
	kind := base.kind
	if isFloating(base.kind) || isFloating(exponent.kind) {
		if base, err = c.convert(base, typeDouble); err != nil {
			return nil, err
		}
		if exponent, err = c.convert(exponent, typeDouble); err != nil {
			return nil, err
		}
	} else if exponent, err = c.convert(exponent, base.kind); err != nil {
		return nil, err
	}
	out, err := (&pairing{float: math.Pow, whole: power, neutral: isOne}).apply(c, base, exponent)
	if err != nil {
		return nil, err
	}
	return c.convert(out, kind)
}

func power(base, exponent int64) (result int64, ok bool) {
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
	result = 1
	for range min(exponent, 64) { // any other base is out of range by then
		if result, ok = multiplyIntegers(result, base); !ok {
			return 0, false
		}
	}
	return result, true
}

// foldClip computes min(max(x, low), high), with both bounds of x's type.
func (c *call) foldClip() (*constant, error) {
	k, err := c.constantInput(0)
	if err != nil {
		return nil, err
	}
	var low, high *constant
	if c.model.opset < 11 {
		for name, into := range map[string]**constant{"min": &low, "max": &high} {
			if c.typedAttribute(name, kindFloat) != nil {
				*into = &constant{kind: typeFloat, floats: []float32{c.floatAttribute(name, 0)}}
			}
		}
	} else {
		for i, into := range []**constant{&low, &high} {
			if !c.hasInput(i + 1) {
				continue
			}
			if *into, err = c.constantInput(i + 1); err != nil {
				return nil, err
			}
			if (*into).len() != 1 {
				return nil, c.errDamaged("a bound of %v", (*into).dims)
			}
			*into = (*into).reshape()
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
	k, err := c.constantInput(0)
	if err != nil {
		return nil, err
	}
	if k.kind == typeBool || !isFloating(k.kind) && o.whole == nil {
		return nil, c.errUnsupported("a %s", typeName(k.kind))
	}
	out, err := c.newLike(k, k.dims)
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

// readOperands returns an operator's two inputs, broadcast to one shape.
func (c *call) readOperands(read func(input int) (*constant, error)) (a, b *constant, err error) {
	if a, err = read(0); err != nil {
		return nil, nil, err
	}
	if b, err = read(1); err != nil {
		return nil, nil, err
	}
	return c.broadcast(a, b)
}

// comparison tells how two numbers compare, by the sign of their difference.
type comparison func(sign int) bool

func equal(sign int) bool          { return sign == 0 }
func less(sign int) bool           { return sign < 0 }
func greater(sign int) bool        { return sign > 0 }
func lessOrEqual(sign int) bool    { return sign <= 0 }
func greaterOrEqual(sign int) bool { return sign >= 0 }

func (holds comparison) fold(c *call) (*constant, error) {
	a, b, err := c.readOperands(c.constantInput)
	if err != nil {
		return nil, err
	}
	out, err := c.newOfType(typeBool, a.dims)
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
			known = x == x && y == y // comparisons with NaN are false
			sign = cmp.Compare(x, y)
		}
		if known && holds(sign) {
			out.integers[i] = 1
		}
	}
	return out, nil
}

// logic is an operator of two booleans.
type logic func(a, b int64) int64

func and(a, b int64) int64 { return a & b }
func or(a, b int64) int64  { return a | b }

func (f logic) fold(c *call) (*constant, error) {
	a, b, err := c.readOperands(c.truthInput)
	if err != nil {
		return nil, err
	}
	out, err := c.newLike(a, a.dims)
	if err != nil {
		return nil, err
	}
	for i := range out.integers {
		out.integers[i] = f(a.integers[i], b.integers[i])
	}
	return out, nil
}

// truthInput returns input i as booleans.
func (c *call) truthInput(i int) (*constant, error) {
	k, err := c.constantInput(i)
	if err == nil && k.kind != typeBool {
		err = c.errDamaged("input %d is a %s and no bool", i, typeName(k.kind))
	}
	return k, err
}

func (c *call) foldNot() (*constant, error) {
	k, err := c.truthInput(0)
	if err != nil {
		return nil, err
	}
	out, err := c.newLike(k, k.dims)
	if err != nil {
		return nil, err
	}
	for i, v := range k.integers {
		out.integers[i] = 1 - v
	}
	return out, nil
}

// foldWhere computes a choice: of the second input where the first is true, otherwise of the third.
func (c *call) foldWhere() (*constant, error) {
	condition, err := c.truthInput(0)
	if err != nil {
		return nil, err
	}
	yes, err := c.constantInput(1)
	if err != nil {
		return nil, err
	}
	no, err := c.constantInput(2)
	if err != nil {
		return nil, err
	}
	if yes, no, err = c.broadcast(yes, no); err != nil {
		return nil, err
	}
	dims, err := c.broadcastSizes(condition.dims, yes.dims)
	if err != nil {
		return nil, err
	}
	for _, k := range []**constant{&condition, &yes, &no} {
		if *k, err = c.broadcastTo(*k, dims); err != nil {
			return nil, err
		}
	}
	out, err := c.newLike(yes, dims)
	if err != nil {
		return nil, err
	}
	for i, v := range condition.integers {
		if v != 0 {
			out.copyValue(i, yes, i)
		} else {
			out.copyValue(i, no, i)
		}
	}
	return out, nil
}

func (c *call) foldCast() (*constant, error) {
	k, err := c.constantInput(0)
	if err != nil {
		return nil, err
	}
	to := c.integerAttribute("to", 0)
	if typeName(to) == "" {
		return nil, c.errUnsupported("a constant as type %d", to)
	}
	return c.convert(k, to)
}

// convert casts a constant to another type, and truncates fractions.
func (c *call) convert(k *constant, to int64) (*constant, error) {
	if k.kind == to {
		return k, nil
	}
	out, err := c.newOfType(to, k.dims)
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
		case k.integers != nil && isFloating(to):
			out.setNumber(i, float64(k.integers[i]))
		case k.integers != nil && to == typeBool:
			out.integers[i] = min(1, max(k.integers[i], -k.integers[i]))
		case k.integers != nil:
			err = c.setWhole(out, i, k.integers[i])
		case isFloating(to):
			out.setNumber(i, k.number(i))
		case to == typeBool:
			if k.number(i) != 0 {
				out.integers[i] = 1
			}
		default:
			v := k.number(i)
			if !(math.Abs(v) < 1<<63) {
				return nil, c.errDamaged("the value %v as a whole number", v)
			}
			err = c.setWhole(out, i, int64(v))
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// foldRange computes the numbers from a start up to a limit, which is excluded.
func (c *call) foldRange() (*constant, error) {
	var all [3]*constant
	for i := range all {
		k, err := c.constantInput(i)
		if err != nil {
			return nil, err
		}
		if k.len() != 1 || k.kind != all[0].kindOrDefault(k.kind) || k.kind == typeBool {
			return nil, c.errDamaged("input %d is %s %v", i, typeName(k.kind), k.dims)
		}
		all[i] = k
	}
	start, limit, delta := all[0], all[1], all[2]
	count := 0.0
	if start.integers != nil {
		if err := c.knownSize(start.integers[0], limit.integers[0], delta.integers[0]); err != nil {
			return nil, err
		}
		reach, ok := subtractIntegers(limit.integers[0], start.integers[0])
		step := delta.integers[0]
		if !ok || step == 0 {
			return nil, c.errDamaged("a range from %d to %d by %d", start.integers[0], limit.integers[0], step)
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
		return nil, c.errDamaged("a range of %v values", count)
	}
	out, err := c.newLike(start, []int{int(max(count, 0))})
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

// kindOrDefault returns the constant's type, or other if it has none yet.
func (k *constant) kindOrDefault(other int64) int64 {
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
	k, err := c.constantInput(0)
	if err != nil {
		return nil, err
	}
	list, given, err := c.listOrInput("axes", 1)
	if err != nil {
		return nil, err
	}
	none := !given || len(list) == 0
	if c.integerAttribute("noop_with_empty_axes", 0) != 0 && none {
		c.ignore("keepdims")
		return k, nil
	}
	axes, err := c.resolveAxes(list, len(k.dims))
	if err != nil {
		return nil, err
	}
	keep := c.integerAttribute("keepdims", 1) != 0
	if k.kind == typeBool || r.mean && !isFloating(k.kind) {
		return nil, c.errUnsupported("a %s", typeName(k.kind))
	}
	if k.len() == 0 {
		return nil, c.errUnsupported("no values")
	}
	if none {
		for i := range k.dims {
			axes = append(axes, i)
		}
	}
	moved, kept, count, err := c.moveReduced(k, axes, keep)
	if err != nil {
		return nil, err
	}
	out, err := c.newLike(k, kept)
	if err != nil {
		return nil, err
	}
	for i := range out.floats {
		sum := moved.number(i * count)
		for j := 1; j < count; j++ {
			sum = r.pairing.float(sum, moved.number(i*count+j))
		}
		if r.mean {
			sum /= float64(count)
		}
		out.setNumber(i, sum)
	}
	for i := range out.integers {
		sum, err := r.sumIntegers(c, moved.integers[i*count:][:count])
		if err != nil {
			return nil, err
		}
		if err := c.setWhole(out, i, sum); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// moveReduced returns k with the reduced axes behind the others, the dimensions that remain,
// and the number of values that are combined into one.
func (c *call) moveReduced(k *constant, axes []int, keep bool) (moved *constant, kept []int, count int, err error) {
	var dims, steps, gone, goneSteps []int
	all := strides(k.dims)
	count = 1
	for i, n := range k.dims {
		if slices.Contains(axes, i) {
			gone, goneSteps, count = append(gone, n), append(goneSteps, all[i]), count*n
			if keep {
				kept = append(kept, 1)
			}
			continue
		}
		dims, steps, kept = append(dims, n), append(steps, all[i]), append(kept, n)
	}
	moved, err = c.copyStrided(k, slices.Concat(dims, gone), slices.Concat(steps, goneSteps), 0)
	return moved, kept, count, err
}

// sumIntegers adds up integers.
func (r reduction) sumIntegers(c *call, values []int64) (int64, error) {
	if err := c.knownSize(values...); err != nil {
		return 0, err
	}
	sum := values[0]
	for _, v := range values[1:] {
		next, ok := r.pairing.whole(sum, v)
		if !ok {
			return 0, c.errDamaged("no result for %d and %d", sum, v)
		}
		sum = next
	}
	return sum, nil
}
