package onnx

import (
	"math"
	"slices"

	"garb/nn"
)

// readUpsample reads the predecessor of Resize before opset 10.
func (c *call) readUpsample() (value, error) {
	v, err := c.pictureInput(0)
	if err != nil {
		return value{}, err
	}
	var factors []float32
	if s := c.typedAttribute("scales", kindFloats); s != nil {
		factors = s.floats
	} else if factors, err = c.numberInputs(1); err != nil {
		return value{}, err
	}
	return c.applyRepeat(v, factors)
}

// applyRepeat enlarges a map by whole factors, as before opset 11.
func (c *call) applyRepeat(v value, factors []float32) (value, error) {
	if mode := c.textAttribute("mode", "nearest"); mode != "nearest" {
		return value{}, c.errUnsupported("mode %q before opset 11", mode)
	}
	if len(factors) != len(v.axes)+1 {
		return value{}, c.errDamaged("%d factors for %d axes", len(factors), len(v.axes)+1)
	}
	sizes := make([]int, len(factors))
	for i, f := range factors {
		if !(f >= 1 && f <= maxFactor) || f != float32(int(f)) || i == 0 && f != 1 {
			return value{}, c.errUnsupported("factors %v, which are not whole", factors)
		}
		if sizes[i] = 1; i > 0 {
			sizes[i] = v.axes[i-1].size() * int(f)
		}
	}
	return c.applyResize(v, sizes, false)
}

// readResize reads a resizing of a map.
func (c *call) readResize() (value, error) {
	v, err := c.pictureInput(0)
	if err != nil {
		return value{}, err
	}
	if c.model.opset < 11 {
		var factors []float32
		if factors, err = c.numberInputs(1); err != nil {
			return value{}, err
		}
		return c.applyRepeat(v, factors)
	}
	factors, sizes, err := c.readFactors(v)
	if err != nil {
		return value{}, err
	}
	mode := c.textAttribute("mode", "nearest")
	coordinates, rounding := c.textAttribute("coordinate_transformation_mode", "half_pixel"),
		c.textAttribute("nearest_mode", "round_prefer_floor")
	if c.integerAttribute("antialias", 0) != 0 {
		return value{}, c.errUnsupported("antialias")
	}
	if policy := c.textAttribute("keep_aspect_ratio_policy", "stretch"); policy != "stretch" {
		return value{}, c.errUnsupported("keep_aspect_ratio_policy %q", policy)
	}
	// Other modes cut out a part, input 1, and have these attributes.
	c.hasInput(1)
	c.ignore("cubic_coeff_a", "exclude_outside", "extrapolation_value")
	if mode != "nearest" && mode != "linear" {
		return value{}, c.errUnsupported("mode %q", mode)
	}
	const refused = "coordinate_transformation_mode %q with %s %q and a factor of %v for %d places"
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
			ok = isRepetition(factor, coordinates, rounding)
		default:
			ok = slices.Equal(resampling{factor, from, sizes[i]}.nearest(coordinates, rounding),
				nn.Nearest(from, sizes[i]))
		}
		switch {
		case !ok && mode == "linear":
			return value{}, c.errUnsupported(refused, coordinates, "mode", mode, factor, from)
		case !ok:
			return value{}, c.errUnsupported(refused, coordinates, "nearest_mode", rounding, factor, from)
		}
	}
	return c.applyResize(v, sizes, mode == "linear")
}

// readFactors returns the factor of each axis, that of the batch first, and its new size.
func (c *call) readFactors(v value) (factors []float32, sizes []int, err error) {
	rank := len(v.axes) + 1
	factors, sizes = slices.Repeat([]float32{1}, rank), slices.Repeat([]int{1}, rank)
	places := make([]int, rank)
	for i := range places {
		if places[i] = i; i > 0 {
			sizes[i] = v.axes[i-1].size()
		}
	}
	if list := c.listAttribute("axes"); list != nil {
		if places, err = c.resolveAxes(list, rank); err != nil {
			return nil, nil, err
		}
	}
	if c.hasInput(2) {
		var scales []float32
		if scales, err = c.numberInputs(2); err != nil {
			return nil, nil, err
		}
		if len(scales) > 0 || !c.hasInput(3) {
			return factors, sizes, c.setFactors(factors, sizes, places, scales)
		}
	}
	list, err := c.integerInput(3)
	if err != nil {
		return nil, nil, err
	}
	return factors, sizes, c.setSizes(factors, sizes, places, list)
}

// setFactors multiplies the sizes of the axes at places by scales.
func (c *call) setFactors(factors []float32, sizes, places []int, scales []float32) error {
	if len(scales) != len(places) {
		return c.errDamaged("%d factors for %d axes", len(scales), len(places))
	}
	for i, at := range places {
		if !(scales[i] > 0 && scales[i] <= maxFactor) || at == 0 && scales[i] != 1 {
			return c.errUnsupported("factors %v", scales)
		}
		factors[at], sizes[at] = scales[i], scaleLength(sizes[at], scales[i])
	}
	return nil
}

// setSizes sets the sizes of the axes at places to list, and their factors.
func (c *call) setSizes(factors []float32, sizes, places []int, list []int64) error {
	if len(list) != len(places) {
		return c.errDamaged("%d sizes for %d axes", len(list), len(places))
	}
	for i, at := range places {
		if at == 0 {
			if list[i] != batchSize && list[i] != c.batch {
				return c.errUnsupported("a batch of %d", list[i])
			}
			continue
		}
		if list[i] < 1 || list[i] > maxFactor {
			return c.errUnsupported("an axis of %d resized to %d", sizes[at], list[i])
		}
		factors[at] = float32(list[i]) / float32(sizes[at])
		sizes[at] = int(list[i])
	}
	return nil
}

// maxFactor bounds factors and sizes, as package nn does.
const maxFactor = 1 << 20

// scaleLength returns a length times a factor, rounded as ONNX Runtime does.
func scaleLength(from int, factor float32) int { return int(float32(from) * factor) }

// isRepetition tells whether resizing by a whole factor to the nearest place repeats each place:
// then every factor-th one is the next, from the first on.
func isRepetition(factor float32, coordinates, rounding string) bool {
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
		nearest := map[string]bool{ // whether the nearest place is 0
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

// resampling is a resizing of an axis from one size to another.
type resampling struct {
	factor   float32
	from, to int
}

// nearest returns the place that each of the new ones is a copy of, in ONNX Runtime's float32
// arithmetic; nil for coordinates and roundings that garb does not support.
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

// applyResize resizes the rows and columns of a map. sizes has all axes, the batch's included.
func (c *call) applyResize(v value, sizes []int, linear bool) (value, error) {
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
		return value{}, c.errUnsupported("sizes %v, of more than rows and columns", sizes[1:])
	}
	shape := v.mapShape(order)
	l := nn.Layer{Op: nn.OpResize, Inputs: []int{c.withShape(v.layer, slices.Clone(shape))}, Linear: linear,
		Rows: sizes[1+order[1]], Columns: sizes[1+order[2]]}
	if l.Rows%shape[0] == 0 && l.Columns%shape[1] == 0 {
		l.Op, l.Rows, l.Columns = nn.OpUpsample, l.Rows/shape[0], l.Columns/shape[1]
	}
	shape[0], shape[1] = sizes[1+order[1]], sizes[1+order[2]]
	return c.addLayer(l, shape, orderAxes(order, shape, v.axes[order[0]]))
}
