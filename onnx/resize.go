package onnx

import (
	"math"
	"slices"

	"garb/nn"
)

// upsample is what Resize was called before opset 10.
func (c *call) upsample() (value, error) {
	v, err := c.picture(0)
	if err != nil {
		return value{}, err
	}
	var factors []float32
	if s := c.typed("scales", kindFloats); s != nil {
		factors = s.floats
	} else if factors, err = c.numbers(1); err != nil {
		return value{}, err
	}
	return c.repeat(v, factors)
}

// repeat makes a map larger, by whole factors, as before opset 11.
func (c *call) repeat(v value, factors []float32) (value, error) {
	if mode := c.text("mode", "nearest"); mode != "nearest" {
		return value{}, c.lack("mode %q before opset 11", mode)
	}
	if len(factors) != len(v.axes)+1 {
		return value{}, c.damaged("%d factors for %d axes", len(factors), len(v.axes)+1)
	}
	sizes := make([]int, len(factors))
	for i, f := range factors {
		if !(f >= 1 && f <= maxFactor) || f != float32(int(f)) || i == 0 && f != 1 {
			return value{}, c.lack("factors %v, which are not whole", factors)
		}
		if sizes[i] = 1; i > 0 {
			sizes[i] = v.axes[i-1].size() * int(f)
		}
	}
	return c.resized(v, sizes, false)
}

// resize makes a map of another size.
func (c *call) resize() (value, error) {
	v, err := c.picture(0)
	if err != nil {
		return value{}, err
	}
	if c.model.opset < 11 {
		factors, err := c.numbers(1)
		if err != nil {
			return value{}, err
		}
		return c.repeat(v, factors)
	}
	factors, sizes, err := c.factors(v)
	if err != nil {
		return value{}, err
	}
	mode := c.text("mode", "nearest")
	coordinates, rounding := c.text("coordinate_transformation_mode", "half_pixel"),
		c.text("nearest_mode", "round_prefer_floor")
	if c.integer("antialias", 0) != 0 {
		return value{}, c.lack("antialias")
	}
	if policy := c.text("keep_aspect_ratio_policy", "stretch"); policy != "stretch" {
		return value{}, c.lack("keep_aspect_ratio_policy %q", policy)
	}
	// the part that is cut out, which other modes have
	c.has(1)
	c.ignore("cubic_coeff_a", "exclude_outside", "extrapolation_value") // of other modes
	if mode != "nearest" && mode != "linear" {
		return value{}, c.lack("mode %q", mode)
	}
	for i, factor := range factors {
		if i == 0 || i > len(v.axes) || sizes[i] == v.axes[i-1].size() {
			continue
		}
		from := v.axes[i-1].size()
		ok := false
		switch whole := factor == float32(int(factor)) && sizes[i]%from == 0; {
		case mode == "linear":
			ok = slices.Contains([]string{"half_pixel", "half_pixel_symmetric"}, coordinates) ||
				coordinates == "pytorch_half_pixel" && sizes[i] > 1
			ok = ok && math.Abs(float64(factor)*float64(from)/float64(sizes[i])-1) < 1e-6
		case whole:
			ok = repeats(factor, coordinates, rounding)
		default:
			ok = slices.Equal(resampling{factor, from, sizes[i]}.nearest(coordinates, rounding),
				nn.Nearest(from, sizes[i]))
		}
		switch {
		case !ok && mode == "linear":
			return value{}, c.lack("coordinate_transformation_mode %q with mode %q and a factor of %v for %d places",
				coordinates, mode, factor, from)
		case !ok:
			return value{},
				c.lack("coordinate_transformation_mode %q with nearest_mode %q and a factor of %v for %d places",
					coordinates, rounding, factor, from)
		}
	}
	return c.resized(v, sizes, mode == "linear")
}

// factors are by how much each axis, that of the batch first, becomes longer, and sizes how
// long.
func (c *call) factors(v value) (factors []float32, sizes []int, err error) {
	rank := len(v.axes) + 1
	factors, sizes = slices.Repeat([]float32{1}, rank), slices.Repeat([]int{1}, rank)
	places := make([]int, rank)
	for i := range places {
		if places[i] = i; i > 0 {
			sizes[i] = v.axes[i-1].size()
		}
	}
	if list := c.list("axes"); list != nil {
		if places, err = c.axesAt(list, rank); err != nil {
			return nil, nil, err
		}
	}
	if c.has(2) {
		scales, err := c.numbers(2)
		if err != nil {
			return nil, nil, err
		}
		if len(scales) > 0 || !c.has(3) {
			if len(scales) != len(places) {
				return nil, nil, c.damaged("%d factors for %d axes", len(scales), len(places))
			}
			for i, at := range places {
				if !(scales[i] > 0 && scales[i] <= maxFactor) || at == 0 && scales[i] != 1 {
					return nil, nil, c.lack("factors %v", scales)
				}
				factors[at], sizes[at] = scales[i], length(sizes[at], scales[i])
			}
			return factors, sizes, nil
		}
	}
	list, err := c.integers(3)
	if err != nil {
		return nil, nil, err
	}
	if len(list) != len(places) {
		return nil, nil, c.damaged("%d sizes for %d axes", len(list), len(places))
	}
	for i, at := range places {
		if at == 0 {
			if list[i] != batchSize && list[i] != c.batch {
				return nil, nil, c.lack("a batch of %d", list[i])
			}
			continue
		}
		if list[i] < 1 || list[i] > maxFactor {
			return nil, nil, c.lack("%d places made %d", sizes[at], list[i])
		}
		factors[at] = float32(list[i]) / float32(sizes[at])
		sizes[at] = int(list[i])
	}
	return factors, sizes, nil
}

// maxFactor bounds factors and sizes, as package nn does.
const maxFactor = 1 << 20

// length is that of an axis of from by a factor, as ONNX Runtime rounds it.
func length(from int, factor float32) int { return int(float32(from) * factor) }

// repeats tells whether the nearest of the places before is, for a whole factor, the one
// that is repeated: then every factor-th is the next, from the first on.
func repeats(factor float32, coordinates, rounding string) bool {
	n := int(factor)
	for i := range n {
		var place, unit int // the coordinate is place/unit
		switch coordinates {
		case "asymmetric":
			place, unit = 2*i, 2*n
		case "half_pixel", "pytorch_half_pixel", "half_pixel_symmetric":
			place, unit = 2*i+1-n, 2*n
		case "tf_half_pixel_for_nn":
			place, unit = 2*i+1, 2*n
		default:
			return false
		}
		nearest := map[string]bool{ // whether it is 0
			"floor": place >= 0 && place < unit, "ceil": place > -unit && place <= 0,
			"round_prefer_floor": 2*place > -unit && 2*place <= unit,
			"round_prefer_ceil":  2*place >= -unit && 2*place < unit,
		}
		if !nearest[rounding] {
			return false
		}
	}
	return true
}

// resampling is an axis of from that a factor makes one of to.
type resampling struct {
	factor   float32
	from, to int
}

// nearest tells which place each of the new ones is a copy of, in ONNX Runtime's float32
// arithmetic; nil for coordinates and ways to round that garb lacks.
func (r resampling) nearest(coordinates, rounding string) []int {
	places := make([]int, r.to)
	for i := range places {
		place := float32(i) + 0.5
		switch {
		case coordinates == "half_pixel", coordinates == "pytorch_half_pixel" && r.to > 1:
			place = place/r.factor - 0.5
		case coordinates == "tf_half_pixel_for_nn":
			place /= r.factor
		case coordinates == "asymmetric":
			place = float32(i) / r.factor
		default:
			return nil
		}
		exact := float64(place)
		switch rounding {
		case "floor":
			exact = math.Floor(exact)
		case "ceil":
			exact = math.Ceil(exact)
		case "round_prefer_floor":
			exact = math.Ceil(exact - 0.5)
		case "round_prefer_ceil":
			exact = math.Floor(exact + 0.5)
		default:
			return nil
		}
		places[i] = min(max(int(exact), 0), r.from-1)
	}
	return places
}

// resized makes rows and columns of a map as many as sizes say, which has all axes.
func (c *call) resized(v value, sizes []int, linear bool) (value, error) {
	changed := false
	for j, a := range v.axes {
		changed = changed || sizes[j+1] != a.size()
	}
	if !changed {
		return v, nil
	}
	order := chw
	if len(v.axes) == 3 && (!v.isMap(order) || sizes[1] != v.axes[0].size()) {
		order = hwc
	}
	if len(v.axes) != 3 || !v.isMap(order) || sizes[1+order[0]] != v.axes[order[0]].size() {
		return value{}, c.lack("sizes %v, of more than rows and columns", sizes[1:])
	}
	shape := v.mapShape(order)
	l := nn.Layer{Op: nn.OpResize, Inputs: []int{c.shaped(v.layer, slices.Clone(shape))}, Linear: linear,
		Rows: sizes[1+order[1]], Columns: sizes[1+order[2]]}
	if l.Rows%shape[0] == 0 && l.Columns%shape[1] == 0 {
		l.Op, l.Rows, l.Columns = nn.OpUpsample, l.Rows/shape[0], l.Columns/shape[1]
	}
	shape[0], shape[1] = sizes[1+order[1]], sizes[1+order[2]]
	return c.made(l, shape, ordered(order, shape, v.axes[order[0]]))
}
